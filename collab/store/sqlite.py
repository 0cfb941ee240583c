"""The Store on SQLite: one file, one process, nothing to install.

`DIR/quire.sqlite` in WAL mode with `synchronous=FULL`: what is committed is fsynced. One thread writes and checkpoints
(`writer`), others read (`readers`); SQLite before 3.51.3 may corrupt the file when two connections do the former.
A lock on the directory keeps other processes out (`lock`). The directory is readable by its owner alone.

Events of asyncio: a store lives in the event loop that opened it.
"""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Final, TypeVar

import anyio
from anyio import to_thread

from collab.errors import Unavailable
from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId
from collab.store import backup, catalog, log, schema
from collab.store.base import (
    Append,
    Change,
    Checkpoint,
    Committed,
    Event,
    Line,
    Loaded,
    Logged,
    LogSize,
    Project,
    Row,
    Span,
    Touched,
)
from collab.store.following import Signal, SqlitePages
from collab.store.lock import DirectoryLock
from collab.store.pages import Mark
from collab.store.readers import Readers
from collab.store.refusals import no_document
from collab.store.tail import Tail, was_left_at
from collab.store.writer import Writer

WAL_PAGES: Final = 16_000
"""The write-ahead log never grows further than this (64 MB) without SQLite itself checkpointing in a commit."""


def now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


async def open_store(folder: pathlib.Path, *, clock: Callable[[], Millis] = now, followed: bool = False) -> SqliteStore:
    """Opens the data in `folder`, which is made if it is not there. `Unavailable` when another process serves it, or
    when its format is unknown. `followed`: `pages` is there, and waits to hear whether anybody follows."""
    lock = await to_thread.run_sync(_lock, folder)
    try:
        left_at = await to_thread.run_sync(was_left_at, folder / schema.FILE)
        connection = await to_thread.run_sync(connect, folder / schema.FILE)
        return SqliteStore(folder, lock, connection, clock, left_at, followed=followed)
    except BaseException:
        lock.release()
        raise


T = TypeVar("T")


class SqliteStore:
    """See `collab.store.base.Store`. Made by `open_store`."""

    def __init__(
        self,
        folder: pathlib.Path,
        lock: DirectoryLock,
        connection: sqlite3.Connection,
        clock: Callable[[], Millis],
        left_at: Mark | None,
        *,
        followed: bool,
    ) -> None:
        self._lock: DirectoryLock | None = lock
        loop = asyncio.get_running_loop()
        file = folder / schema.FILE
        self._node = schema.number(connection, "node")
        self._epoch = schema.number(connection, "epoch")
        self._readers = Readers(file)
        signal = Signal(loop)
        tail = _tail(file, connection, left_at, signal) if followed else None
        self._writer = Writer(connection, clock, loop, tail)
        self._pages = SqlitePages(file, self._writer, tail, signal) if tail is not None else None

    @property
    def node(self) -> int:
        return self._node

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def pages(self) -> SqlitePages:
        """For whoever copies the store elsewhere, change by change."""
        assert self._pages is not None, "opened without `followed`"
        return self._pages

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        return await self._writer.commit(appends, changes)

    async def load(self, document: DocumentId, position: Position | None = None) -> Loaded | None:
        return await self._readers.read(partial(log.load, document=document, position=position))

    async def entries(
        self, document: DocumentId, after: Position, upto: Position, *, kind: int | None = None
    ) -> Sequence[Logged]:
        return await self._readers.read(partial(log.entries, document=document, after=after, upto=upto, kind=kind))

    async def actors(self, document: DocumentId, after: Position, upto: Position) -> Sequence[ActorId]:
        return await self._readers.read(partial(log.actors, document=document, after=after, upto=upto))

    async def gather(
        self, document: DocumentId, after: Position, upto: Position, over: Callable[[Iterator[Line]], T]
    ) -> T:
        return await self._readers.read(partial(log.gather, document=document, after=after, upto=upto, over=over))

    async def shares(self, spans: Sequence[Span]) -> Mapping[ActorId, int]:
        return await self._readers.read(partial(log.shares, spans=spans))

    async def position_at(self, document: DocumentId, at: Millis) -> Position:
        return await self._readers.read(partial(log.position_at, document=document, at=at))

    async def checkpoint(self, document: DocumentId, checkpoint: Checkpoint) -> None:
        packing = await self._readers.read(partial(log.prepare, document=document, checkpoint=checkpoint))
        await self._writer.carry_out(partial(log.put_in_place, packing=packing))

    async def size(self, document: DocumentId) -> LogSize | None:
        return await self._readers.read(partial(log.size, document=document))

    async def quarantine(self, document: DocumentId, reason: str | None) -> None:
        def mark(connection: sqlite3.Connection) -> None:
            query = "UPDATE documents SET quarantined = ? WHERE id = ?"
            if not connection.execute(query, (reason, document)).rowcount:
                raise no_document(document)

        await self._writer.carry_out(mark)

    async def bound_before(self, document: DocumentId, clients: Sequence[ClientId]) -> frozenset[ClientId]:
        return self._readers.look_up(partial(catalog.bound_before, document_=document, clients=clients))

    async def project(self, name: str) -> Project | None:
        return self._readers.look_up(partial(catalog.project, column="name", value=name))

    async def project_by_id(self, project: ProjectId) -> Project | None:
        return self._readers.look_up(partial(catalog.project, column="id", value=project))

    async def projects(self) -> Sequence[Project]:
        return await self._readers.read(catalog.projects)

    async def document(self, document: DocumentId) -> Row | None:
        return self._readers.look_up(partial(catalog.document, id_=document))

    async def documents(self, ids: Sequence[DocumentId]) -> Mapping[DocumentId, Row]:
        return await self._readers.read(partial(catalog.documents, ids=ids))

    async def at_path(self, project: ProjectId, path: Path) -> Row | None:
        return self._readers.look_up(partial(catalog.at_path, project_=project, path=path))

    async def at_paths(self, project: ProjectId, paths: Sequence[Path]) -> Mapping[Path, Row]:
        return await self._readers.read(partial(catalog.at_paths, project_=project, paths=paths))

    async def led_from(self, project: ProjectId, path: Path) -> Row | None:
        return self._readers.look_up(partial(catalog.led_from, project_=project, path=path))

    async def deleted_at_path(self, project: ProjectId, path: Path) -> Row | None:
        return self._readers.look_up(partial(catalog.deleted_at_path, project_=project, path=path))

    async def tree(
        self, project: ProjectId, *, prefix: str = "", after: Path | None = None, limit: int | None = None
    ) -> Sequence[Row]:
        query = partial(catalog.tree, project_=project, prefix=prefix, after=after, limit=limit)
        return await self._readers.read(query)

    async def tree_with_deleted(self, project: ProjectId) -> Sequence[Row]:
        return await self._readers.read(partial(catalog.tree_with_deleted, project_=project))

    async def owed(self) -> Sequence[Row]:
        return await self._readers.read(catalog.owed)

    async def touched(self, project: ProjectId, after: int) -> Touched:
        return await self._readers.read(partial(catalog.touched, project_=project, after=after))

    async def unlike(self, project: ProjectId, collection: str) -> tuple[Sequence[Row], Mapping[str, bytes]]:
        return await self._readers.read(partial(catalog.unlike, project_=project, collection=collection))

    async def names(self, project: ProjectId, directory: str) -> Set[str]:
        return await self._readers.read(partial(catalog.names, project_=project, directory=directory))

    async def named(self, document: DocumentId, sha: BlobSha) -> Position | None:
        return self._readers.look_up(partial(catalog.named, document_=document, sha=sha))

    async def events(self, project: ProjectId, *, after: int, limit: int) -> Sequence[Event]:
        return await self._readers.read(partial(catalog.events, project_=project, after=after, limit=limit))

    async def record(self, collection: str, project: ProjectId, key: str) -> bytes | None:
        return self._readers.look_up(partial(catalog.record, collection=collection, project_=project, key=key))

    async def records(self, collection: str, project: ProjectId, *, prefix: str = "") -> Mapping[str, bytes]:
        query = partial(catalog.records, collection=collection, project_=project, prefix=prefix)
        return await self._readers.read(query)

    async def record_everywhere(self, collection: str, key: str) -> Mapping[ProjectId, bytes]:
        return self._readers.look_up(partial(catalog.record_everywhere, collection=collection, key=key))

    async def backup(self, destination: str) -> None:
        await self._readers.read(partial(backup.copy, destination=pathlib.Path(destination)))

    async def aclose(self) -> None:
        """Commits that were accepted are finished and answered; then the threads end and the lock goes."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        self._readers.refuse()
        self._writer.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._end)
            lock.release()

    def _end(self) -> None:
        # The writer last: whoever closes last checkpoints, and that must be the one that writes.
        self._readers.close()
        self._writer.join()


def _tail(file: pathlib.Path, connection: sqlite3.Connection, left_at: Mark | None, signal: Signal) -> Tail:
    # From here on the writer alone says when; a commit never checkpoints by itself.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return Tail(file, page_size, left_at, signal.ring)


def _lock(folder: pathlib.Path) -> DirectoryLock:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return DirectoryLock(folder)


def connect(file: pathlib.Path) -> sqlite3.Connection:
    """The connection that writes, its tables in the newest format. `Unavailable` when the file is not ours, or broken."""
    file.touch(mode=0o600)
    fresh = not file.stat().st_size
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        if fresh:  # later it changes nothing, and is written all the same
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        schema.prepare(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise Unavailable(f"{file} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


_SETTINGS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    f"wal_autocheckpoint = {WAL_PAGES}",
    f"journal_size_limit = {WAL_PAGES * 4096}",
    "mmap_size = 0",
    "cache_size = -16000",
)
