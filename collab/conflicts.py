"""What both sides changed, and nobody has decided yet: records of the store (collection "conflicts").

A conflict is made in the transaction that found it, and ends in the one that decides it. It blocks nobody: the file stays
editable, other files go on; its own paths (`holds`) are held back from commits until then. The bytes of all its sides lie
among the objects, under their SHA, for good: whatever loses can be brought back. A new one's id is made of where it is
and of the commit that brought it, so that who finds it twice finds the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from collab import paths
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, ProjectId
from collab.merge import Hunk
from collab.store.base import ANY, Anything, PutRecord, Store

COLLECTION: Final = "conflicts"

ConflictKind = Literal["modify/modify", "add/add", "modify/delete", "delete/modify", "rename", "type", "binary"]

State = Literal["open", "resolved", "gone"]
"""`gone`: the branch moved on before anybody decided; what is in conflict now, if anything, is another one."""


class Side(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`path` is as `collab.paths.show` gives it. `document`: of the base and of ours."""

    path: str
    sha: BlobSha
    mode: int
    document: DocumentId | None = None


class FileConflict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ours` is how it stood when the conflict was found. `blockers`: files of ours in the way of theirs."""

    id: str
    path: str
    kind: ConflictKind
    at: Millis
    commit: str
    base: Side | None = None
    ours: Side | None = None
    theirs: Side | None = None
    hunks: tuple[Hunk, ...] = ()
    blockers: tuple[str, ...] = ()
    state: State = "open"
    taken: str = ""
    """How it was resolved: ours, theirs, both, text, branch, or itself (what was typed since agrees with theirs)."""
    ended_at: Millis | None = None
    ended_by: ActorId | None = None

    @property
    def holds(self) -> frozenset[Path]:
        """The paths that are not to be committed before it is resolved."""
        sides = [side.path for side in (self.base, self.ours, self.theirs) if side is not None]
        return frozenset(paths.parse(each) for each in (self.path, *sides, *self.blockers))


def new_id(project: ProjectId, path: Path, commit: str, again: int = 0) -> str:
    digest = hashlib.sha256(b"\0".join([project.encode(), paths.to_bytes(path), commit.encode(), b"%d" % again]))
    return digest.hexdigest()[:20]


async def conflicts(store: Store, project: ProjectId) -> list[FileConflict]:
    """All, those that are decided too, the oldest first."""
    found = await store.records(COLLECTION, project)
    return sorted(map(decode, found.values()), key=lambda each: (each.at, each.path))


async def still_open(store: Store, project: ProjectId) -> list[FileConflict]:
    return [each for each in await conflicts(store, project) if each.state == "open"]


async def conflict(store: Store, project: ProjectId, id_: str) -> FileConflict | None:
    found = await store.record(COLLECTION, project, id_)
    return None if found is None else decode(found)


def decode(value: bytes) -> FileConflict:
    return msgspec.json.decode(value, type=FileConflict)


def put(project: ProjectId, each: FileConflict, *, expect: FileConflict | Anything | None = ANY) -> PutRecord:
    """`expect` None: there must be none of this id yet."""
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=each.id,
        value=msgspec.json.encode(each),
        expect=msgspec.json.encode(expect) if isinstance(expect, FileConflict) else expect,
    )


def held_back(found: Iterable[FileConflict]) -> frozenset[Path]:
    return frozenset(path for each in found if each.state == "open" for path in each.holds)


def documents(found: Iterable[FileConflict]) -> frozenset[DocumentId]:
    """Ours, wherever they stand by now."""
    sides = [each.ours for each in found if each.state == "open"]
    return frozenset(side.document for side in sides if side is not None and side.document is not None)
