"""The Store in memory: for tests, and for whoever wants to try something without a disk. PURE but for its clock.

Keeps every promise of the contract but one: what it holds goes with the process. A commit is carried out step by step,
each with a way back, and taken back when a step is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
from anyio import lowlevel

from collab.errors import LogFailed, Stale, Unavailable
from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId
from collab.store import rows
from collab.store.base import (
    Announce,
    Anything,
    Append,
    Change,
    Checkpoint,
    Committed,
    CreateDocument,
    CreateProject,
    DeleteProject,
    DropStaged,
    Emit,
    Event,
    Line,
    Loaded,
    Logged,
    LogSize,
    Project,
    PublishStaged,
    PutRecord,
    RenameProject,
    Row,
    RowFields,
    SetDocument,
    Span,
    Touched,
    leaves,
    leaving,
)
from collab.store.refusals import (
    beyond_head,
    moved_on,
    name_taken,
    no_document,
    no_project,
    path_taken,
    record_moved,
)
from collab.store.thinning import Mark, superfluous

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Log:
    entries: list[Logged] = field(default_factory=list)
    bindings: dict[ClientId, ActorId] = field(default_factory=dict)
    checkpoints: dict[Position, bytes] = field(default_factory=dict)
    packed: Position = Position(0)


@dataclass(slots=True)
class _Former:
    """That a document left a path; `leads` until something else stands there."""

    project: ProjectId
    path: Path
    document: DocumentId
    leads: bool = True


def now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


T = TypeVar("T")


class MemoryStore:
    """See `collab.store.base.Store`."""

    def __init__(self, *, clock: Callable[[], Millis] = now) -> None:
        self._clock = clock
        self._last_at = Millis(0)
        self._closed = False
        self._projects: dict[ProjectId, Project] = {}
        self._rows: dict[DocumentId, Row] = {}
        self._live: dict[tuple[ProjectId, Path], DocumentId] = {}
        self._logs: dict[DocumentId, _Log] = {}
        self._former: list[_Former] = []
        self._events: dict[ProjectId, list[Event]] = {}
        self._records: dict[tuple[str, ProjectId, str], bytes] = {}
        self._undo: list[Callable[[], object]] = []
        self._leaving: set[DocumentId] = set()
        """Those that the commit under way still has to move or delete: they make way for others."""

    @property
    def node(self) -> int:
        return 0

    @property
    def epoch(self) -> int:
        return 1

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        self._demand_open()
        await lowlevel.checkpoint()
        self._last_at = Millis(max(self._last_at, self._clock()))
        self._undo.clear()
        self._leaving = leaving(changes)
        try:
            events = [event for change in changes for event in self._change(change)]
            heads = {append.document: self._append(append) for append in appends}
        except BaseException:
            for back in reversed(self._undo):
                back()
            raise
        return Committed(self._last_at, heads, tuple(events))

    async def load(self, document: DocumentId, position: Position | None = None) -> Loaded | None:
        self._demand_read()
        row = self._rows.get(document)
        if row is None:
            return None
        if position is None:
            position = row.head
        elif not 0 <= position <= row.head:
            raise beyond_head(document, position, row.head)
        log = self._logs[document]
        base = max((at for at in log.checkpoints if at <= position), default=None)
        checkpoint = None if base is None else Checkpoint(base, log.checkpoints[base])
        return Loaded(row.head, position, checkpoint, tuple(log.entries[base or 0 : position]), dict(log.bindings))

    async def entries(
        self, document: DocumentId, after: Position, upto: Position, *, kind: int | None = None
    ) -> Sequence[Logged]:
        self._demand_read()
        log = self._logs.get(document)
        found = log.entries[max(after, 0) : max(upto, 0)] if log else []
        return found if kind is None else [logged for logged in found if logged.entry.kind == kind]

    async def actors(self, document: DocumentId, after: Position, upto: Position) -> Sequence[ActorId]:
        found = await self.entries(document, after, upto)
        return list(dict.fromkeys(logged.entry.actor for logged in found))

    async def gather(
        self, document: DocumentId, after: Position, upto: Position, over: Callable[[Iterator[Line]], T]
    ) -> T:
        found = [(each.position, each.at, each.entry) for each in await self.entries(document, after, upto)]
        return over(
            (position, at, entry.kind, entry.actor, entry.on_behalf_of, entry.turn, entry.payload)
            for position, at, entry in found
        )

    async def shares(self, spans: Sequence[Span]) -> Mapping[ActorId, int]:
        counted: dict[ActorId, int] = {}
        for document, after, upto in spans:
            for logged in await self.entries(document, after, upto):
                for each in (logged.entry.actor, logged.entry.on_behalf_of):
                    if each is not None:
                        counted[each] = counted.get(each, 0) + 1
        return counted

    async def position_at(self, document: DocumentId, at: Millis) -> Position:
        self._demand_read()
        log = self._logs.get(document)
        return Position(sum(1 for logged in log.entries if logged.at <= at) if log else 0)

    async def checkpoint(self, document: DocumentId, checkpoint: Checkpoint) -> None:
        self._demand_open()
        row = self._rows.get(document)
        if row is None:
            raise no_document(document)
        if not 0 < checkpoint.position <= row.head:
            raise beyond_head(document, checkpoint.position, row.head)
        log = self._logs[document]
        log.checkpoints[checkpoint.position] = checkpoint.state
        log.packed = max(log.packed, checkpoint.position)
        marks = [Mark(position, _weight(log.entries[:position])) for position in sorted(log.checkpoints)]
        for position in superfluous(marks):
            del log.checkpoints[position]

    async def size(self, document: DocumentId) -> LogSize | None:
        self._demand_read()
        row = self._rows.get(document)
        if row is None:
            return None
        log = self._logs[document]
        newest = max(log.checkpoints, default=Position(0))
        loose = log.entries[log.packed :]
        older = sum(len(state) for position, state in log.checkpoints.items() if position != newest)
        return LogSize(
            head=row.head,
            checkpoint=newest,
            loose=len(loose),
            loose_bytes=_weight(loose),
            packed_bytes=_weight(log.entries[: log.packed]) + older,
            checkpoint_bytes=len(log.checkpoints.get(newest, b"")),
        )

    async def quarantine(self, document: DocumentId, reason: str | None) -> None:
        self._demand_open()
        if document not in self._rows:
            raise no_document(document)
        self._rows[document] = replace(self._rows[document], quarantined=reason)

    async def bound_before(self, document: DocumentId, clients: Sequence[ClientId]) -> frozenset[ClientId]:
        self._demand_read()
        row = self._rows.get(document)
        if row is None:
            return frozenset()
        place = (row.project, row.path)
        others = {former.document for former in self._former if (former.project, former.path) == place}
        others |= {id_ for id_, other in self._rows.items() if _place(other) == place and other.deleted_at is not None}
        others.discard(document)
        return frozenset(client for client in clients if any(client in self._logs[id_].bindings for id_ in others))

    async def project(self, name: str) -> Project | None:
        self._demand_read()
        return next((project for project in self._projects.values() if project.name == name), None)

    async def project_by_id(self, project: ProjectId) -> Project | None:
        self._demand_read()
        return self._projects.get(project)

    async def projects(self) -> Sequence[Project]:
        self._demand_read()
        return sorted(self._projects.values(), key=lambda project: project.name)

    async def document(self, document: DocumentId) -> Row | None:
        self._demand_read()
        return self._rows.get(document)

    async def documents(self, ids: Sequence[DocumentId]) -> Mapping[DocumentId, Row]:
        self._demand_read()
        return {id_: self._rows[id_] for id_ in ids if id_ in self._rows}

    async def at_path(self, project: ProjectId, path: Path) -> Row | None:
        self._demand_read()
        return self._at(project, path)

    async def at_paths(self, project: ProjectId, paths: Sequence[Path]) -> Mapping[Path, Row]:
        self._demand_read()
        found = ((path, self._at(project, path)) for path in paths)
        return {path: row for path, row in found if row}

    async def led_from(self, project: ProjectId, path: Path) -> Row | None:
        self._demand_read()
        leading = [
            former for former in self._former if (former.project, former.path) == (project, path) and former.leads
        ]
        row = self._rows[leading[-1].document] if leading else None
        return row if row and _is_live(row) else None

    async def deleted_at_path(self, project: ProjectId, path: Path) -> Row | None:
        self._demand_read()
        found = [row for row in self._published(project) if row.path == path and row.deleted_at is not None]
        # Of several deleted at the same time, the one made last.
        return max(reversed(found), key=lambda row: row.deleted_at or 0, default=None)

    async def tree(
        self, project: ProjectId, *, prefix: str = "", after: Path | None = None, limit: int | None = None
    ) -> Sequence[Row]:
        self._demand_read()
        beginning = rows.to_bytes(prefix)
        behind = None if after is None else rows.to_bytes(after)
        found = ((rows.to_bytes(row.path), row) for row in self._published(project) if _is_live(row))
        chosen = sorted(
            (path, row.id, row)
            for path, row in found
            if path.startswith(beginning) and (behind is None or path > behind)
        )
        return [row for _, _, row in chosen][:limit]

    async def tree_with_deleted(self, project: ProjectId) -> Sequence[Row]:
        self._demand_read()
        return sorted(self._published(project), key=lambda row: rows.to_bytes(row.path))

    async def owed(self) -> Sequence[Row]:
        self._demand_read()
        return [row for row in self._rows.values() if _is_live(row) and row.announced < row.head]

    async def touched(self, project: ProjectId, after: int) -> Touched:
        self._demand_read()
        told = self._events.get(project, [])
        named = {event.document for event in told if event.n > after}
        found = self._published(project)
        return Touched(
            len(told), [row for row in found if row.id in named or (_is_live(row) and row.announced < row.head)]
        )

    async def unlike(self, project: ProjectId, collection: str) -> tuple[Sequence[Row], Mapping[str, bytes]]:
        kept = dict(await self.records(collection, project))
        found = []
        for row in await self.tree(project):
            value = None if row.path.startswith('"') else kept.get(row.path)
            settled = row.sha_position == row.head and row.quarantined is None
            if value is not None and settled and msgspec.json.decode(value)[1:3] == [row.sha, row.mode]:
                del kept[row.path]
            else:
                found.append(row)
        return found, kept

    async def names(self, project: ProjectId, directory: str) -> Set[str]:
        prefix = directory + "/" if directory else ""
        return {row.path[len(prefix) :].partition("/")[0] for row in await self.tree(project, prefix=prefix)}

    async def named(self, document: DocumentId, sha: BlobSha) -> Position | None:
        self._demand_read()
        told = (event for events in self._events.values() for event in events)
        found = [event.position for event in told if (event.document, event.sha) == (document, sha) and event.position]
        return max(found, default=None)

    async def events(self, project: ProjectId, *, after: int, limit: int) -> Sequence[Event]:
        self._demand_read()
        return self._events.get(project, [])[max(after, 0) :][:limit]

    async def record(self, collection: str, project: ProjectId, key: str) -> bytes | None:
        self._demand_read()
        return self._records.get((collection, project, key))

    async def records(self, collection: str, project: ProjectId, *, prefix: str = "") -> Mapping[str, bytes]:
        self._demand_read()
        found = {
            key: value
            for (of, where, key), value in self._records.items()
            if (of, where) == (collection, project) and key.startswith(prefix)
        }
        return dict(sorted(found.items(), key=lambda item: rows.to_bytes(item[0])))

    async def record_everywhere(self, collection: str, key: str) -> Mapping[ProjectId, bytes]:
        self._demand_read()
        found = {where: value for (of, where, name), value in self._records.items() if (of, name) == (collection, key)}
        return dict(sorted(found.items()))

    async def backup(self, destination: str) -> None:
        raise Unavailable("a store in memory has no file to copy")

    async def aclose(self) -> None:
        self._closed = True

    def _demand_open(self) -> None:
        if self._closed:
            raise LogFailed("the store is closed")

    def _demand_read(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _at(self, project: ProjectId, path: Path) -> Row | None:
        id_ = self._live.get((project, path))
        return None if id_ is None else self._rows[id_]

    def _published(self, project: ProjectId) -> list[Row]:
        return [row for row in self._rows.values() if row.project == project and row.staged is None]

    # What changes something goes through these two, which remember the way back.

    def _put(self, mapping: dict[K, V], key: K, value: V) -> None:
        if key in mapping:
            before = mapping[key]
            self._undo.append(lambda: mapping.__setitem__(key, before))
        else:
            self._undo.append(lambda: mapping.pop(key))
        mapping[key] = value

    def _drop(self, mapping: dict[K, V], key: K) -> None:
        before = mapping.pop(key)
        self._undo.append(lambda: mapping.__setitem__(key, before))

    def _append(self, append: Append) -> Position:
        row = self._rows.get(append.document)
        if row is None:
            raise no_document(append.document)
        if append.expect not in (None, row.head):
            raise moved_on(row.id, append.expect, row.head)
        if not append.entries:
            return row.head
        log = self._logs[row.id]
        self._undo.append(lambda: log.entries.__delitem__(slice(row.head, None)))
        for position, entry in enumerate(append.entries, start=row.head + 1):
            log.entries.append(Logged(Position(position), self._last_at, entry))
            for client in entry.clients:
                if client not in log.bindings:
                    self._put(log.bindings, client, entry.actor)
        head = Position(row.head + len(append.entries))
        self._put(
            self._rows, row.id, replace(row, head=head, updated_at=self._last_at, updated_by=append.entries[-1].actor)
        )
        return head

    def _change(self, change: Change) -> Sequence[Event]:
        made: Sequence[Event] | None = getattr(self, _METHODS[type(change)])(change)
        return made or ()

    def _create_project(self, change: CreateProject) -> None:
        project = change.project
        if project.id in self._projects or any(other.name == project.name for other in self._projects.values()):
            raise name_taken(project.name)
        self._put(
            self._projects, project.id, replace(project, created_at=project.created_at or self._last_at, events=0)
        )

    def _rename_project(self, change: RenameProject) -> None:
        project = self._demand_project(change.id)
        if any(other.name == change.name and other.id != change.id for other in self._projects.values()):
            raise name_taken(change.name)
        self._put(self._projects, project.id, replace(project, name=change.name))

    def _delete_project(self, change: DeleteProject) -> None:
        self._demand_project(change.id)
        self._drop(self._projects, change.id)
        self._forget([row for row in self._rows.values() if row.project == change.id])
        if change.id in self._events:
            self._drop(self._events, change.id)
        for key in [key for key in self._records if key[1] == change.id]:
            self._drop(self._records, key)

    def _create_document(self, change: CreateDocument) -> None:
        row = change.row
        self._demand_project(row.project)
        if row.id in self._rows:
            raise Stale(f"there is a document {row.id} already")
        at = self._last_at
        self._put(self._logs, row.id, _Log())
        new = replace(row, head=Position(0), created_at=at, updated_at=at, updated_by=row.created_by)
        self._put(self._rows, row.id, new)
        if _is_live(row):
            self._occupy(new)

    def _set_document(self, change: SetDocument) -> None:
        row = self._demand_row(change.id)
        rows.field_columns(change.fields)
        if change.expect_head not in (None, row.head):
            raise moved_on(row.id, change.expect_head, row.head)
        fields: dict[str, Any] = dict(change.fields)
        after = replace(row, **fields)
        if leaves(change):
            self._leaving.discard(row.id)
        stood = self._live.get(_place(row)) == row.id
        made_way = _is_live(row) and not stood
        if stood:
            self._drop(self._live, _place(row))
        if row.staged is None and after.path != row.path:
            self._remember(row)
        if _is_live(after) and not (made_way and row.id in self._leaving):
            if stood and after.path == row.path:
                self._put(self._live, _place(after), after.id)
            else:
                self._occupy(after)
        self._put(self._rows, row.id, after)

    def _publish_staged(self, change: PublishStaged) -> Sequence[Event]:
        self._demand_project(change.project)
        staged = [row for row in self._rows.values() if (row.project, row.staged) == (change.project, change.job)]
        for row in staged:
            published = replace(row, staged=None, announced=row.head)
            if published.deleted_at is None:
                self._occupy(published)
            self._put(self._rows, row.id, published)
        return self._number(
            [
                Event(
                    project=row.project,
                    kind="created",
                    path=row.path,
                    document=row.id,
                    sha=row.sha,
                    position=row.head,
                    actors=(row.created_by,),
                )
                for row in staged
            ]
        )

    def _drop_staged(self, change: DropStaged) -> None:
        self._forget([row for row in self._rows.values() if row.staged == change.job])

    def _emit(self, change: Emit) -> Sequence[Event]:
        return self._number([change.event])

    def _put_record(self, change: PutRecord) -> None:
        key = (change.collection, change.project, change.key)
        if not isinstance(change.expect, Anything) and self._records.get(key) != change.expect:
            raise record_moved(change)
        if change.value is not None:
            self._put(self._records, key, change.value)
        elif key in self._records:
            self._drop(self._records, key)

    def _announce(self, change: Announce) -> Sequence[Event]:
        event = change.event
        row = self._rows.get(event.document) if event.document is not None else None
        if row is None or row.project != event.project or event.position is None or event.sha is None:
            return ()
        fields: RowFields = {"announced": Position(max(row.announced, event.position))}
        if event.position >= row.sha_position:
            fields |= {"sha": event.sha, "size": change.size, "sha_position": event.position}
        self._set_document(SetDocument(id=row.id, fields=fields))
        return self._number([replace(event, path=row.path)])

    def _number(self, events: Sequence[Event]) -> Sequence[Event]:
        numbered = []
        for event in events:
            project = self._demand_project(event.project)
            n = project.events + 1
            self._put(self._projects, project.id, replace(project, events=n))
            numbered.append(replace(event, n=n, at=self._last_at))
            known = self._events.setdefault(project.id, [])
            known.append(numbered[-1])
            self._undo.append(known.pop)
        return numbered

    def _demand_project(self, project: ProjectId) -> Project:
        if project not in self._projects:
            raise no_project(project)
        return self._projects[project]

    def _demand_row(self, document: DocumentId) -> Row:
        if document not in self._rows:
            raise no_document(document)
        return self._rows[document]

    def _occupy(self, row: Row) -> None:
        """The document stands at its path from now on, and what stood there before is no longer led to."""
        if (there := self._live.get(_place(row))) is not None:
            if there not in self._leaving:
                raise path_taken(row.path)
            self._drop(self._live, _place(row))
        self._put(self._live, _place(row), row.id)
        for former in self._leading(_place(row)):
            former.leads = False
            self._undo.append(partial(setattr, former, "leads", True))

    def _leading(self, place: tuple[ProjectId, Path]) -> Iterator[_Former]:
        return (former for former in self._former if former.leads and (former.project, former.path) == place)

    def _remember(self, row: Row) -> None:
        self._former.append(_Former(row.project, row.path, row.id, leads=_place(row) not in self._live))
        self._undo.append(self._former.pop)

    def _forget(self, gone: Sequence[Row]) -> None:
        """Puts mappings without them in the place of the old ones, which keep their order for the way back."""
        former, known = self._former, self._rows
        self._undo.append(lambda: self._restore(former, known))
        ids = {row.id for row in gone}
        self._former = [left for left in former if left.document not in ids]
        self._rows = {id_: row for id_, row in known.items() if id_ not in ids}
        for row in gone:
            self._drop(self._logs, row.id)
            if self._live.get(_place(row)) == row.id:
                self._drop(self._live, _place(row))

    def _restore(self, former: list[_Former], known: dict[DocumentId, Row]) -> None:
        self._former, self._rows = former, known


_METHODS: dict[type, str] = {
    CreateProject: "_create_project",
    RenameProject: "_rename_project",
    DeleteProject: "_delete_project",
    CreateDocument: "_create_document",
    SetDocument: "_set_document",
    PublishStaged: "_publish_staged",
    DropStaged: "_drop_staged",
    Emit: "_emit",
    Announce: "_announce",
    PutRecord: "_put_record",
}


def _is_live(row: Row) -> bool:
    return row.deleted_at is None and row.staged is None


def _place(row: Row) -> tuple[ProjectId, Path]:
    return row.project, row.path


def _weight(entries: Sequence[Logged]) -> int:
    return sum(len(logged.entry.payload) for logged in entries)
