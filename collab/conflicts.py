"""What both sides changed: records of the store, while nobody has decided it (collection "conflicts") and afterwards
("conflicts-ended", so that what is open is read without all that ever was).

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
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position, ProjectId
from collab.merge import Hunk
from collab.store.base import PutRecord, Store

COLLECTION: Final = "conflicts"
ENDED: Final = "conflicts-ended"

ConflictKind = Literal["modify/modify", "add/add", "modify/delete", "delete/modify", "rename", "type", "binary"]

State = Literal["open", "resolved", "gone"]
"""`gone`: the branch moved on before anybody decided; what is in conflict now, if anything, is another one."""


Policy = Literal["manual", "ours", "theirs", "branch"]
"""What becomes of it by itself: nothing, one side, or theirs, with ours on a branch of its own."""


class Side(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`path` is as `collab.paths.show` gives it. `document`: of the base and of ours."""

    path: str
    sha: BlobSha
    mode: int
    document: DocumentId | None = None


class Aside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where ours went when theirs was taken: a branch, and its pull request where the host has them."""

    branch: str
    url: str = ""


class FileConflict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ours` is how it stood when the conflict was found; `pushed_by` is who made theirs, as far as git says. `blockers`:
    files of ours in the way of theirs."""

    id: str
    path: str
    kind: ConflictKind
    at: Millis
    commit: str
    pushed_by: ActorId | None = None
    base: Side | None = None
    ours: Side | None = None
    theirs: Side | None = None
    hunks: tuple[Hunk, ...] = ()
    blockers: tuple[str, ...] = ()
    policy: Policy = "manual"
    detail: str = ""
    """Why the policy has not decided it."""
    state: State = "open"
    taken: str = ""
    """How it was resolved: ours, theirs, both, text, branch, or itself (what was typed since agrees with theirs)."""
    ended_at: Millis | None = None
    ended_by: ActorId | None = None
    outcome: tuple[DocumentId, Position] | None = None
    """Which document holds it, and where that stood then: without what was written later."""
    restored: Literal["base", "ours", "theirs"] | None = None
    """What was brought back since, latest."""
    aside: Aside | None = None

    @property
    def holds(self) -> frozenset[Path]:
        """The paths that are not to be committed before it is resolved."""
        sides = [side.path for side in (self.base, self.ours, self.theirs) if side is not None]
        return frozenset(paths.parse(each) for each in (self.path, *sides, *self.blockers))


def new_id(project: ProjectId, path: Path, commit: str, again: int = 0) -> str:
    digest = hashlib.sha256(b"\0".join([project.encode(), paths.to_bytes(path), commit.encode(), b"%d" % again]))
    return digest.hexdigest()[:20]


async def still_open(store: Store, project: ProjectId) -> list[FileConflict]:
    """The oldest first."""
    found = map(decode, (await store.records(COLLECTION, project)).values())
    return sorted((each for each in found if each.state == "open"), key=lambda each: (each.at, each.path))


async def ended(store: Store, project: ProjectId) -> list[FileConflict]:
    """The one that ended last first."""
    known = {**await store.records(COLLECTION, project), **await store.records(ENDED, project)}
    found = [each for each in map(decode, known.values()) if each.state != "open"]
    return sorted(found, key=lambda each: (each.ended_at or 0, each.at, each.path), reverse=True)


async def conflict(store: Store, project: ProjectId, id_: str) -> FileConflict | None:
    for collection in (COLLECTION, ENDED):
        found = await store.record(collection, project, id_)
        if found is not None:
            return decode(found)
    return None


def bring_back(project: ProjectId, each: FileConflict, *, expect: FileConflict) -> PutRecord:
    """It has ended, and something of it was brought back."""
    before = msgspec.json.encode(expect)
    return PutRecord(collection=ENDED, project=project, key=each.id, value=msgspec.json.encode(each), expect=before)


def decode(value: bytes) -> FileConflict:
    return msgspec.json.decode(value, type=FileConflict)


def begin(project: ProjectId, each: FileConflict) -> list[PutRecord]:
    """There must have been none of this id."""
    return [
        PutRecord(collection=COLLECTION, project=project, key=each.id, value=msgspec.json.encode(each), expect=None),
        PutRecord(collection=ENDED, project=project, key=each.id, value=None, expect=None),
    ]


def change(project: ProjectId, each: FileConflict, *, expect: FileConflict) -> PutRecord:
    """It is still open."""
    before = msgspec.json.encode(expect)
    return PutRecord(
        collection=COLLECTION, project=project, key=each.id, value=msgspec.json.encode(each), expect=before
    )


def end(project: ProjectId, each: FileConflict, *, expect: FileConflict) -> list[PutRecord]:
    """It is open no more."""
    before = msgspec.json.encode(expect)
    return [
        PutRecord(collection=COLLECTION, project=project, key=each.id, value=None, expect=before),
        PutRecord(collection=ENDED, project=project, key=each.id, value=msgspec.json.encode(each), expect=None),
    ]


def held_back(found: Iterable[FileConflict]) -> frozenset[Path]:
    return frozenset(path for each in found if each.state == "open" for path in each.holds)


def documents(found: Iterable[FileConflict]) -> frozenset[DocumentId]:
    """Ours, wherever they stand by now."""
    sides = [each.ours for each in found if each.state == "open"]
    return frozenset(side.document for side in sides if side is not None and side.document is not None)
