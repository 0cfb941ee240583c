"""What a commit does to the tables: appends and changes of the catalog, inside a transaction that the writer holds.

What `change` raises on purpose (`PathTaken`, `Stale`, `NotFound`) leaves statements behind that the writer rolls back to
its savepoint; an `append` that is refused has done nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final

from collab.errors import PathTaken, Stale
from collab.ids import BlobSha, DocumentId, Millis, Position, ProjectId
from collab.store import rows
from collab.store.base import (
    Announce,
    Anything,
    Append,
    Change,
    CreateDocument,
    CreateProject,
    DeleteProject,
    DropStaged,
    Emit,
    Event,
    PublishStaged,
    PutRecord,
    RenameProject,
    SetDocument,
    leaves,
    leaving,
)
from collab.store.refusals import moved_on, name_taken, no_document, no_project, path_taken, record_moved

# One statement for any number of entries: between statements the interpreter lock changes hands, and a writer that has to
# win it back for every row falls behind a busy event loop. (The triggers of `schema` move the heads and bind the clients.)
_ENTRY: Final = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ENTRIES: Final = f"""
INSERT INTO entries
SELECT {", ".join(f"json_extract(value, '$[{column}]')" for column in range(8))},
       substr(?2, json_extract(value, '$[8]'), json_extract(value, '$[9]'))
FROM json_each(?1)
"""
_EVENT: Final = f"INSERT INTO events({rows.EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DOCUMENT: Final = f"INSERT INTO documents({rows.DOCUMENT}) VALUES ({', '.join('?' * 21)})"
_ANNOUNCED: Final = """
UPDATE documents SET
    announced = max(documents.announced, news.position),
    sha = iif(news.position >= documents.sha_position, news.sha, documents.sha),
    size = iif(news.position >= documents.sha_position, news.size, documents.size),
    sha_position = max(documents.sha_position, news.position)
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[2]') AS sha, json_extract(value, '$[3]') AS position,
             json_extract(value, '$[5]') AS size FROM json_each(?)) AS news
WHERE documents.id = news.id
"""
_CHANGED: Final = f"""
INSERT INTO events({rows.EVENT})
SELECT d.project, json_extract(value, '$[1]'), ?2, 'changed', d.path, d.id, json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), NULL
FROM json_each(?1) JOIN documents AS d ON d.id = json_extract(value, '$[0]')
"""
_LIVE: Final = "deleted_at IS NULL AND staged IS NULL"
_ASIDE: Final = b"\0"
"""Before the path of a document that makes way within a commit: no path begins so."""


FLUSH: Final = 32 << 20
"""Entries are held back until they weigh so many bytes, or the transaction ends."""
REMEMBERED: Final = 10_000

Heads = dict[DocumentId, tuple[int, Position]]
"""The number and the head of documents that were appended to lately. Only the writer changes heads, so it may remember
them; whatever is rolled back, or forgotten for good, clears it all."""


class Transaction:
    """One group of commits being carried out at the time `at`."""

    def __init__(self, connection: sqlite3.Connection, at: Millis, heads: Heads) -> None:
        self.at = at
        self._heads = heads
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._entries: list[tuple[Any, ...]] = []
        self._weight = 0
        self._leaving: set[DocumentId] = set()

    def begin(self, changes: Sequence[Change]) -> None:
        """Before the changes of one commit: who leaves a path in it makes way for whoever comes there first."""
        self._leaving = leaving(changes)

    def append(self, append: Append) -> Position:
        """The new head. The entries themselves wait for `flush`."""
        known = self._heads.get(append.document) or self._look_up(append.document)
        document, head = known
        if append.expect is not None and append.expect != head:
            raise moved_on(append.document, append.expect, head)
        for entry in append.entries:
            head = Position(head + 1)
            self._entries.append(
                (
                    document,
                    head,
                    self.at,
                    entry.kind,
                    entry.actor,
                    entry.on_behalf_of,
                    entry.turn,
                    entry.clients or None,
                    entry.payload,
                )
            )
            self._weight += len(entry.payload)
        self._heads[append.document] = (document, head)
        if self._weight > FLUSH:
            self.flush()
        return head

    def flush(self) -> None:
        """Writes the entries that wait."""
        waiting, self._entries, self._weight = self._entries, [], 0
        if len(waiting) == 1:
            *columns, clients, payload = waiting[0]
            self._execute(_ENTRY, (*columns, clients and rows.encode(clients), payload))
        elif waiting:
            self._execute(_ENTRIES, _joined(waiting))

    def forget(self) -> None:
        """What waits, and what is remembered, belongs to what is being rolled back."""
        self._entries, self._weight = [], 0
        self._heads.clear()

    def _look_up(self, document: DocumentId) -> tuple[int, Position]:
        found: tuple[int, Position] | None
        found = self._execute("SELECT n, head FROM documents WHERE id = ?", (document,)).fetchone()
        if found is None:
            raise no_document(document)
        if len(self._heads) >= REMEMBERED:
            self._heads.clear()
        return found

    def change(self, change: Change) -> tuple[Event, ...]:
        """Carries out one change, and says which events it made."""
        return _HANDLERS[type(change)](self, change) or ()

    def create_project(self, change: CreateProject) -> None:
        project = change.project
        values = (project.id, project.name, project.created_at or self.at, project.created_by)
        try:
            self._execute("INSERT INTO projects(id, name, created_at, created_by) VALUES (?, ?, ?, ?)", values)
        except sqlite3.IntegrityError as error:
            raise name_taken(project.name) from error

    def rename_project(self, change: RenameProject) -> None:
        try:
            found = self._execute("UPDATE projects SET name = ? WHERE id = ?", (change.name, change.id)).rowcount
        except sqlite3.IntegrityError as error:
            raise name_taken(change.name) from error
        if not found:
            raise no_project(change.id)

    def delete_project(self, change: DeleteProject) -> None:
        if not self._execute("DELETE FROM projects WHERE id = ?", (change.id,)).rowcount:
            raise no_project(change.id)
        self._forget_documents("project = ?", change.id)
        self._execute("DELETE FROM events WHERE project = ?", (change.id,))
        self._execute("DELETE FROM records WHERE project = ?", (change.id,))

    def create_document(self, change: CreateDocument) -> None:
        row = change.row
        self._demand_project(row.project)
        new = replace(row, head=Position(0), created_at=self.at, updated_at=self.at, updated_by=row.created_by)
        try:
            self._stand(_DOCUMENT, rows.document_columns(new), row.project, rows.to_bytes(row.path))
        except sqlite3.IntegrityError as error:
            if self._execute("SELECT 1 FROM documents WHERE id = ?", (row.id,)).fetchone():
                raise Stale(f"there is a document {row.id} already") from error
            raise path_taken(row.path) from error
        if row.deleted_at is None and row.staged is None:
            self._take(row.project, rows.to_bytes(row.path))

    def set_document(self, change: SetDocument) -> None:
        columns = dict(rows.field_columns(change.fields))
        query = "SELECT n, project, path, head, staged, deleted_at FROM documents WHERE id = ?"
        found = self._execute(query, (change.id,)).fetchone()
        if found is None:
            raise no_document(change.id)
        document, project, path, head, staged, deleted_at = found
        if change.expect_head is not None and change.expect_head != head:
            raise moved_on(change.id, change.expect_head, head)
        if not columns:
            return
        aside, path = path.startswith(_ASIDE), path.removeprefix(_ASIDE)
        if leaves(change):
            self._leaving.discard(change.id)
            if aside:
                columns.setdefault("path", path)
        assignments = ", ".join(f"{column} = ?" for column in columns)
        new_path = columns.get("path", path)
        query = f"UPDATE documents SET {assignments} WHERE n = ?"
        try:
            self._stand(query, (*columns.values(), document), project, new_path)
        except sqlite3.IntegrityError as error:
            raise path_taken(rows.from_bytes(new_path)) from error
        if staged is not None:
            return
        if new_path != path:
            self._leave(project, path, document)
        live = columns.get("deleted_at", deleted_at) is None
        if live and (new_path != path or deleted_at is not None):
            self._take(project, new_path)

    def publish_staged(self, change: PublishStaged) -> tuple[Event, ...]:
        self._demand_project(change.project)
        staged = (change.project, change.job)
        query = "SELECT id, path, sha, head, created_by FROM documents WHERE project = ? AND staged = ? ORDER BY n"
        found = self._execute(query, staged).fetchall()
        if not found:
            return ()
        for _, path, *_ in found if self._leaving else ():
            self._make_way(change.project, path)
        try:
            self._execute(
                "UPDATE documents SET staged = NULL, announced = head WHERE project = ? AND staged = ?", staged
            )
        except sqlite3.IntegrityError as error:
            raise self._collision(change) from error
        paths = [(change.project, path) for _, path, _, _, _ in found]
        self._executemany("UPDATE former_paths SET leads = 0 WHERE project = ? AND path = ?", paths)
        return self._number(
            change.project,
            [
                Event(
                    project=change.project,
                    kind="created",
                    path=rows.from_bytes(path),
                    document=DocumentId(id_),
                    sha=BlobSha(sha),
                    position=Position(head),
                    actors=(created_by,),
                )
                for id_, path, sha, head, created_by in found
            ],
        )

    def drop_staged(self, change: DropStaged) -> None:
        self._forget_documents("staged = ?", change.job)

    def emit(self, change: Emit) -> tuple[Event, ...]:
        return self._number(change.event.project, [change.event])

    def announce(self, changes: Sequence[Announce]) -> tuple[Event, ...]:
        """All of them in three statements: see `_ENTRY`."""
        by_project: dict[ProjectId, list[Announce]] = {}
        for change in changes:
            by_project.setdefault(change.event.project, []).append(change)
        told: list[Event] = []
        columns: list[tuple[Any, ...]] = []
        for project, of_one in by_project.items():
            there = self._there(project, of_one)
            for change, event in zip(there, self._count(project, [change.event for change in there]), strict=True):
                told.append(event)
                columns.append(
                    (event.document, event.n, event.sha, event.position, rows.encode(event.actors), change.size)
                )
        newest = {document: values for document, *values in sorted(columns, key=itemgetter(3))}
        self._execute(_ANNOUNCED, (rows.encode([(document, *values) for document, values in newest.items()]),))
        self._execute(_CHANGED, (rows.encode(columns), self.at))
        return tuple(told)

    def _there(self, project: ProjectId, changes: Sequence[Announce]) -> list[Announce]:
        """Those whose document there is."""
        query = (
            "SELECT json_group_array(id) FROM documents WHERE project = ? AND id IN (SELECT value FROM json_each(?))"
        )
        ids = rows.encode([change.event.document for change in changes])
        (found,) = self._execute(query, (project, ids)).fetchone()
        known = set(rows.decode(found))
        return [change for change in changes if change.event.document in known]

    def announce_one(self, change: Announce) -> tuple[Event, ...]:
        return self.announce([change])

    def put_record(self, change: PutRecord) -> None:
        key = (change.collection, change.project, rows.to_bytes(change.key))
        if not isinstance(change.expect, Anything):
            query = "SELECT value FROM records WHERE collection = ? AND project = ? AND key = ?"
            found = self._execute(query, key).fetchone()
            if change.expect != (found and found[0]):
                raise record_moved(change)
        if change.value is None:
            self._execute("DELETE FROM records WHERE collection = ? AND project = ? AND key = ?", key)
        else:
            self._execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", (*key, change.value))

    def _number(self, project: ProjectId, events: list[Event]) -> tuple[Event, ...]:
        numbered = self._count(project, events)
        self._executemany(_EVENT, map(rows.event_columns, numbered))
        return numbered

    def _count(self, project: ProjectId, events: list[Event]) -> tuple[Event, ...]:
        """The events with their numbers and their time."""
        if not events:
            return ()
        query = "UPDATE projects SET events = events + ? WHERE id = ? RETURNING events"
        found = self._execute(query, (len(events), project)).fetchall()
        if not found:
            raise no_project(project)
        first = found[0][0] - len(events) + 1
        return tuple(replace(event, n=n, at=self.at) for n, event in enumerate(events, start=first))

    def _demand_project(self, project: ProjectId) -> None:
        if not self._execute("SELECT 1 FROM projects WHERE id = ?", (project,)).fetchone():
            raise no_project(project)

    def _stand(self, query: str, values: tuple[Any, ...], project: str, path: bytes) -> None:
        """Carries out what brings a document to a path."""
        try:
            self._execute(query, values)
        except sqlite3.IntegrityError:
            if not self._make_way(project, path):
                raise
            self._execute(query, values)

    def _make_way(self, project: str, path: bytes) -> bool:
        """Puts who stands at a path aside, if it leaves later in this commit."""
        query = f"SELECT n, id FROM documents WHERE project = ? AND path = ? AND {_LIVE}"
        found = self._execute(query, (project, path)).fetchone()
        if found is None or found[1] not in self._leaving:
            return False
        self._execute("UPDATE documents SET path = ? WHERE n = ?", (_ASIDE + path, found[0]))
        return True

    def _leave(self, project: str, path: bytes, document: int) -> None:
        self._execute(
            "INSERT INTO former_paths(project, path, document, at, leads) "
            f"SELECT ?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM documents WHERE project = ?1 AND path = ?2 AND {_LIVE})",
            (project, path, document, self.at),
        )

    def _take(self, project: str, path: bytes) -> None:
        """Something stands at `path` now: from here on it leads to nothing that stood there before."""
        self._execute("UPDATE former_paths SET leads = 0 WHERE project = ? AND path = ?", (project, path))

    def _collision(self, change: PublishStaged) -> PathTaken:
        query = (
            f"SELECT path FROM documents AS mine WHERE project = ?1 AND staged = ?2 AND (EXISTS (SELECT 1 FROM documents"
            f" WHERE project = ?1 AND path = mine.path AND {_LIVE}) OR EXISTS (SELECT 1 FROM documents"
            " WHERE staged = ?2 AND project = ?1 AND path = mine.path AND n <> mine.n)) LIMIT 1"
        )
        (path,) = self._execute(query, (change.project, change.job)).fetchone()
        return path_taken(rows.from_bytes(path))

    def _forget_documents(self, condition: str, value: str) -> None:
        self._heads.clear()
        which = f"(SELECT n FROM documents WHERE {condition})"
        for table in ("entries", "clients", "segments", "checkpoints", "former_paths"):
            self._execute(f"DELETE FROM {table} WHERE document IN {which}", (value,))
        self._execute(f"DELETE FROM documents WHERE {condition}", (value,))


_HANDLERS: Final[dict[type, Callable[[Transaction, Any], tuple[Event, ...] | None]]] = {
    CreateProject: Transaction.create_project,
    RenameProject: Transaction.rename_project,
    DeleteProject: Transaction.delete_project,
    CreateDocument: Transaction.create_document,
    SetDocument: Transaction.set_document,
    PublishStaged: Transaction.publish_staged,
    DropStaged: Transaction.drop_staged,
    Emit: Transaction.emit,
    Announce: Transaction.announce_one,
    PutRecord: Transaction.put_record,
}


def _joined(waiting: list[tuple[Any, ...]]) -> tuple[str, bytes]:
    """Columns as JSON, each with where its payload begins (counted from 1) and how long it is; and all payloads, behind
    one byte, because SQLite makes NULL of a part of nothing."""
    begin = 2
    columns = []
    for *values, payload in waiting:
        columns.append((*values, begin, len(payload)))
        begin += len(payload)
    return rows.encode(columns), b"\0" + b"".join(values[-1] for values in waiting)
