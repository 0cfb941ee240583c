"""The errors of the contract Store, worded once for every adapter. PURE."""

from __future__ import annotations

from collab.errors import Invalid, NotFound, PathTaken, Stale
from collab.ids import DocumentId, Path, Position, ProjectId
from collab.store.base import PutRecord


def no_document(document: DocumentId) -> NotFound:
    return NotFound(f"there is no document {document}")


def no_project(project: ProjectId) -> NotFound:
    return NotFound(f"there is no project {project}")


def name_taken(name: str) -> PathTaken:
    return PathTaken(f"a project named {name!r} exists; choose another name", field="name")


def path_taken(path: Path) -> PathTaken:
    shown = path.encode("utf-8", "backslashreplace").decode()
    return PathTaken(f"a file stands at {shown}; move or delete it first, or choose another path", field="path")


def moved_on(document: DocumentId, expected: Position | None, head: int) -> Stale:
    return Stale(f"document {document} stands at {head}, not at {expected}", details={"head": head})


def record_moved(change: PutRecord) -> Stale:
    return Stale(f"{change.collection}/{change.key} is not what was expected")


def beyond_head(document: DocumentId, position: Position, head: int) -> Invalid:
    return Invalid(f"document {document} stands at {head}; there is no position {position}", field="at")
