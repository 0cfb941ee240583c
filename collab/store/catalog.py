"""Questions to the catalog: projects, documents, events, records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from collab.ids import BlobSha, ClientId, DocumentId, Path, Position, ProjectId
from collab.store import rows
from collab.store.base import Event, Project, Row, Touched

LIVE: Final = "deleted_at IS NULL AND staged IS NULL"

_PROJECTS: Final = f"SELECT {rows.PROJECT} FROM projects"
_DOCUMENTS: Final = f"SELECT {rows.DOCUMENT} FROM documents"
_AT_PATH: Final = f"{_DOCUMENTS} WHERE project = ? AND path = ? AND {LIVE}"
_FORMER: Final = (
    f"{_DOCUMENTS} WHERE n = (SELECT document FROM former_paths WHERE project = ?1 AND path = ?2 AND leads "
    f"ORDER BY n DESC LIMIT 1) AND {LIVE}"
)
_DELETED: Final = (
    f"{_DOCUMENTS} WHERE project = ? AND path = ? AND deleted_at IS NOT NULL AND staged IS NULL "
    "ORDER BY deleted_at DESC, n DESC LIMIT 1"
)
# Whoever stood at the document's path before: tombstones there, and those that were moved away.
_BOUND_BEFORE: Final = """
WITH mine AS (SELECT n, project, path FROM documents WHERE id = ?),
     others AS (SELECT d.n FROM documents AS d, mine
                WHERE d.project = mine.project AND d.path = mine.path AND d.deleted_at IS NOT NULL AND d.n <> mine.n
                UNION SELECT f.document FROM former_paths AS f, mine
                WHERE f.project = mine.project AND f.path = mine.path AND f.document <> mine.n)
SELECT 1 FROM clients WHERE client = ? AND document IN others LIMIT 1
"""

# Values are stored as bytes, and SQLite's JSON reads text. What begins with a double quote (22) is shown in another form.
_UNLIKE: Final = f"""
SELECT {", ".join(f"d.{column}" for column in rows.DOCUMENT.split(", "))}, r.value
FROM documents AS d LEFT JOIN records AS r ON r.collection = ?2 AND r.project = d.project AND r.key = d.path
    AND substr(d.path, 1, 1) <> x'22'
WHERE d.project = ?1 AND d.deleted_at IS NULL AND d.staged IS NULL
    AND (r.value IS NULL OR d.sha_position <> d.head OR d.quarantined IS NOT NULL
         OR json_extract(CAST(r.value AS TEXT), '$[1]') <> d.sha OR json_extract(CAST(r.value AS TEXT), '$[2]') <> d.mode)
ORDER BY d.path
"""
_LONELY: Final = f"""
SELECT r.key, r.value FROM records AS r
WHERE r.collection = ?2 AND r.project = ?1
    AND NOT EXISTS (SELECT 1 FROM documents WHERE project = ?1 AND path = r.key AND substr(path, 1, 1) <> x'22' AND {LIVE})
"""


def project(connection: sqlite3.Connection, column: str, value: str) -> Project | None:
    found = connection.execute(f"{_PROJECTS} WHERE {column} = ?", (value,)).fetchone()
    return found and rows.project(found)


def projects(connection: sqlite3.Connection) -> list[Project]:
    return [rows.project(found) for found in connection.execute(f"{_PROJECTS} ORDER BY name")]


def document(connection: sqlite3.Connection, id_: DocumentId) -> Row | None:
    return _one(connection, f"{_DOCUMENTS} WHERE id = ?", (id_,))


def documents(connection: sqlite3.Connection, ids: Iterable[DocumentId]) -> dict[DocumentId, Row]:
    found = (document(connection, id_) for id_ in ids)
    return {row.id: row for row in found if row}


def at_path(connection: sqlite3.Connection, project_: ProjectId, path: Path) -> Row | None:
    return _one(connection, _AT_PATH, (project_, rows.to_bytes(path)))


def at_paths(connection: sqlite3.Connection, project_: ProjectId, paths: Iterable[Path]) -> dict[Path, Row]:
    found = (at_path(connection, project_, path) for path in paths)
    return {row.path: row for row in found if row}


def led_from(connection: sqlite3.Connection, project_: ProjectId, path: Path) -> Row | None:
    return _one(connection, _FORMER, (project_, rows.to_bytes(path)))


def deleted_at_path(connection: sqlite3.Connection, project_: ProjectId, path: Path) -> Row | None:
    return _one(connection, _DELETED, (project_, rows.to_bytes(path)))


def tree(
    connection: sqlite3.Connection, project_: ProjectId, prefix: str, after: Path | None, limit: int | None
) -> list[Row]:
    condition, values = _range("path", rows.to_bytes(prefix))
    if after is not None:
        condition += " AND path > ?"
        values += (rows.to_bytes(after),)
    query = f"{_DOCUMENTS} WHERE project = ? AND {LIVE} AND {condition} ORDER BY path LIMIT ?"
    return _all(connection, query, (project_, *values, -1 if limit is None else limit))


def tree_with_deleted(connection: sqlite3.Connection, project_: ProjectId) -> list[Row]:
    return _all(connection, f"{_DOCUMENTS} WHERE project = ? AND staged IS NULL ORDER BY path, n", (project_,))


def owed(connection: sqlite3.Connection) -> list[Row]:
    return _all(connection, f"{_DOCUMENTS} WHERE announced < head AND {LIVE} ORDER BY n", ())


def touched(connection: sqlite3.Connection, project_: ProjectId, after: int) -> Touched:
    found = connection.execute("SELECT events FROM projects WHERE id = ?", (project_,)).fetchone()
    named_ = f"{_DOCUMENTS} WHERE project = ?1 AND id IN (SELECT document FROM events WHERE project = ?1 AND n > ?2) AND staged IS NULL"
    owing = f"{_DOCUMENTS} WHERE project = ?1 AND announced < head AND {LIVE}"
    return Touched(found[0] if found else 0, _all(connection, f"{named_} UNION {owing}", (project_, after)))


def unlike(connection: sqlite3.Connection, project_: ProjectId, collection: str) -> tuple[list[Row], dict[str, bytes]]:
    found = connection.execute(_UNLIKE, (project_, collection)).fetchall()
    lonely = connection.execute(_LONELY, (project_, collection)).fetchall()
    kept = [(columns[2], columns[-1]) for columns in found if columns[-1] is not None]
    return (
        [rows.document(columns[:-1]) for columns in found],
        {rows.from_bytes(key): value for key, value in sorted([*kept, *lonely])},
    )


def names(connection: sqlite3.Connection, project_: ProjectId, directory: str) -> frozenset[str]:
    prefix = rows.to_bytes(directory + "/" if directory else "")
    condition, values = _range("path", prefix)
    query = (
        "SELECT DISTINCT iif(instr(rest, x'2f'), substr(rest, 1, instr(rest, x'2f') - 1), rest) FROM "
        f"(SELECT substr(path, ?) AS rest FROM documents WHERE project = ? AND {LIVE} AND {condition})"
    )
    found = connection.execute(query, (len(prefix) + 1, project_, *values))
    return frozenset(rows.from_bytes(name) for (name,) in found)


def named(connection: sqlite3.Connection, document_: DocumentId, sha: BlobSha) -> Position | None:
    query = "SELECT max(position) FROM events WHERE document = ? AND sha = ?"
    (position,) = connection.execute(query, (document_, sha)).fetchone()
    return position  # type: ignore[no-any-return]


def events(connection: sqlite3.Connection, project_: ProjectId, after: int, limit: int) -> list[Event]:
    query = f"SELECT {rows.EVENT} FROM events WHERE project = ? AND n > ? ORDER BY n LIMIT ?"
    return [rows.event(found) for found in connection.execute(query, (project_, after, limit))]


def record(connection: sqlite3.Connection, collection: str, project_: ProjectId, key: str) -> bytes | None:
    query = "SELECT value FROM records WHERE collection = ? AND project = ? AND key = ?"
    found = connection.execute(query, (collection, project_, rows.to_bytes(key))).fetchone()
    return found and bytes(found[0])


def records(connection: sqlite3.Connection, collection: str, project_: ProjectId, prefix: str) -> dict[str, bytes]:
    condition, values = _range("key", rows.to_bytes(prefix))
    query = f"SELECT key, value FROM records WHERE collection = ? AND project = ? AND {condition} ORDER BY key"
    return {rows.from_bytes(key): value for key, value in connection.execute(query, (collection, project_, *values))}


def record_everywhere(connection: sqlite3.Connection, collection: str, key: str) -> dict[ProjectId, bytes]:
    query = "SELECT project, value FROM records WHERE collection = ? AND key = ? ORDER BY project"
    return dict(connection.execute(query, (collection, rows.to_bytes(key))))


def bound_before(
    connection: sqlite3.Connection, document_: DocumentId, clients: Sequence[ClientId]
) -> frozenset[ClientId]:
    return frozenset(client for client in clients if connection.execute(_BOUND_BEFORE, (document_, client)).fetchone())


def _one(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> Row | None:
    found = connection.execute(query, values).fetchone()
    return found and rows.document(found)


def _all(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> list[Row]:
    return list(map(rows.document, connection.execute(query, values)))


def _range(column: str, prefix: bytes) -> tuple[str, tuple[bytes, ...]]:
    """A condition for values that begin with `prefix`, which an index can answer."""
    end = rows.beyond(prefix)
    if end is None:
        return f"{column} >= ?", (prefix,)
    return f"{column} >= ? AND {column} < ?", (prefix, end)
