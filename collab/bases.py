"""What the git branch holds of each path, and so what is not yet committed.

A base is kept per path: the commit that brought it, the blob, the mode, and the document and position that it was made
from. Bases are records of the store (collection "bases") and move by compare-and-swap, in the transaction that journals
the commit, or that brings what others pushed. `changes` compares them with the catalog and is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from collab import paths
from collab.ids import BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import ANY, Anything, PutRecord, Row, Store

COLLECTION: Final = "bases"

NOWHERE: Final = ""
"""The commit of a base that no commit held: what the project had when it was connected elsewhere, for the branch to replace."""

ChangeKind = Literal["added", "modified", "deleted", "renamed"]


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """It begins as `Store.unlike` wants it."""

    document: str
    sha: str
    mode: int
    position: int
    commit: str
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Base:
    """`apart`: the document never stood exactly there (what was pushed was merged with what was typed). The bytes lie
    among the objects, under their SHA, and `position` says only up to where the log's entries are known to the branch."""

    path: Path
    document: DocumentId
    sha: BlobSha
    mode: int
    position: Position
    commit: str
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """One path that differs from the branch. `row` is None for what was deleted, `base` for what was added; a rename
    has both, and `base.path` is where it stood."""

    path: Path
    change: ChangeKind
    row: Row | None
    base: Base | None


async def bases(store: Store, project: ProjectId) -> dict[Path, Base]:
    return decoded(await store.records(COLLECTION, project))


def decoded(records: Mapping[str, bytes]) -> dict[Path, Base]:
    decoder = msgspec.json.Decoder(_Record)
    found = ((paths.parse(key), value) for key, value in records.items())
    return {path: _base(path, decoder.decode(value)) for path, value in found}


async def base(store: Store, project: ProjectId, path: Path) -> Base | None:
    found = await store.record(COLLECTION, project, paths.show(path))
    if found is None:
        return None
    return _base(path, msgspec.json.decode(found, type=_Record))


def _base(path: Path, record: _Record) -> Base:
    return Base(
        path,
        DocumentId(record.document),
        BlobSha(record.sha),
        record.mode,
        Position(record.position),
        record.commit,
        record.apart,
    )


def encode(each: Base) -> bytes:
    """Always the same bytes for the same base: they are compared."""
    fields = (each.document, each.sha, each.mode, each.position, each.commit)
    return msgspec.json.encode((*fields, True) if each.apart else fields)


def put(project: ProjectId, each: Base, *, expect: Base | Anything | None = ANY) -> PutRecord:
    """`expect` None: there must be no base of this path yet."""
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=paths.show(each.path),
        value=encode(each),
        expect=encode(expect) if isinstance(expect, Base) else expect,
    )


def drop(project: ProjectId, each: Base) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=paths.show(each.path), value=None, expect=encode(each))


def changes(rows: Iterable[Row], held: Mapping[Path, Base]) -> list[Changed]:
    """What differs, in the order of paths. Rows must have exact SHAs; those that are as their bases say may be left out, with
    their bases. A document that was committed at one path and
    stands at another is a rename, unless another document took its old path."""
    live = {row.path: row for row in rows}
    moved_from = {each.document: each for each in held.values() if each.path not in live}
    found: list[Changed] = []
    renamed: set[Path] = set()
    for path, row in live.items():
        there = held.get(path)
        if there is not None:
            if (there.sha, there.mode) != (row.sha, row.mode):
                found.append(Changed(path, "modified", row, there))
        elif (origin := moved_from.get(row.id)) is not None:
            renamed.add(origin.path)
            found.append(Changed(path, "renamed", row, origin))
        else:
            found.append(Changed(path, "added", row, None))
    found.extend(
        Changed(path, "deleted", None, there)
        for path, there in held.items()
        if path not in live and path not in renamed
    )
    return sorted(found, key=lambda each: paths.to_bytes(each.path))
