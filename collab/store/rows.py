"""Rows of the catalog, to and from the columns of SQLite. PURE.

Paths and keys are stored as bytes (git's own), so that their order is bytewise and a range finds a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collab.ids import Path
from collab.store.base import Event, Project, Row

PROJECT: Final = "id, name, created_at, created_by, events"
DOCUMENT: Final = (
    "id, project, path, kind, mode, eol, bom, object, head, sha, sha_position, size, announced, "
    "created_at, created_by, updated_at, updated_by, deleted_at, deleted_by, staged, quarantined"
)
EVENT: Final = "project, n, at, kind, path, document, sha, position, actors, data"

Columns = tuple[Any, ...]


def to_bytes(text: str) -> bytes:
    """Git's bytes of a path (or a key)."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> Path:
    return Path(data.decode("utf-8", "surrogateescape"))


def beyond(prefix: bytes) -> bytes | None:
    """The first bytes that sort after everything that begins with `prefix`; None when nothing does."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None


def project(columns: Columns) -> Project:
    id_, name, created_at, created_by, events = columns
    return Project(id=id_, name=name, created_at=created_at, created_by=created_by, events=events)


def document(columns: Columns) -> Row:
    return Row(
        id=columns[0],
        project=columns[1],
        path=from_bytes(columns[2]),
        kind=columns[3],
        mode=columns[4],
        eol=columns[5],
        bom=columns[6] != 0,
        object=columns[7],
        head=columns[8],
        sha=columns[9],
        sha_position=columns[10],
        size=columns[11],
        announced=columns[12],
        created_at=columns[13],
        created_by=columns[14],
        updated_at=columns[15],
        updated_by=columns[16],
        deleted_at=columns[17],
        deleted_by=columns[18],
        staged=columns[19],
        quarantined=columns[20],
    )


def document_columns(row: Row) -> Columns:
    return (
        row.id,
        row.project,
        to_bytes(row.path),
        row.kind,
        row.mode,
        row.eol,
        int(row.bom),
        row.object,
        row.head,
        row.sha,
        row.sha_position,
        row.size,
        row.announced,
        row.created_at,
        row.created_by,
        row.updated_at,
        row.updated_by,
        row.deleted_at,
        row.deleted_by,
        row.staged,
        row.quarantined,
    )


def field_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`SetDocument.fields` as columns; a field that is not the caller's to set is a ValueError."""
    unknown = fields.keys() - _SETTABLE
    if unknown:
        raise ValueError(f"SetDocument cannot set {', '.join(sorted(unknown))}")
    columns = dict(fields)
    if "path" in columns:
        columns["path"] = to_bytes(columns["path"])
    return columns


_SETTABLE: Final = frozenset(
    {
        "path",
        "kind",
        "mode",
        "eol",
        "bom",
        "object",
        "sha",
        "sha_position",
        "size",
        "announced",
        "deleted_at",
        "deleted_by",
    }
)


def event(columns: Columns) -> Event:
    project_, n, at, kind, path, document_, sha, position, actors, data = columns
    return Event(
        project=project_,
        kind=kind,
        path=None if path is None else from_bytes(path),
        document=document_,
        sha=sha,
        position=position,
        actors=tuple(decode(actors)) if actors else (),
        data=decode(data) if data else {},
        n=n,
        at=at,
    )


def event_columns(event_: Event) -> Columns:
    return (
        event_.project,
        event_.n,
        event_.at,
        event_.kind,
        None if event_.path is None else to_bytes(event_.path),
        event_.document,
        event_.sha,
        event_.position,
        encode(event_.actors) if event_.actors else None,
        encode(event_.data) if event_.data else None,
    )


def encode(value: object) -> str:
    """JSON text."""
    return msgspec.json.encode(value).decode()


def decode(text: str) -> Any:
    return msgspec.json.decode(text)
