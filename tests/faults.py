"""Faults at the plug point: a Store that fails, or waits, when a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TypeVar

import anyio

from collab.errors import LogFailed, QuireError
from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId
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
    Store,
    Touched,
)

T = TypeVar("T")


class FaultyStore:
    """Hands everything to `store`, but for what a test has ordered. Orders are taken one by one, first come first served.

    `fail_next_commit()`: the next commit raises and nothing happens. `fail_next_commit(after=True)`: it happens, and the
    caller is told that it failed. `hold()`: commits wait, in order, until `release()`; `waiting` of them do.
    `fail_next_load()`: the next load raises.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commits: list[tuple[Sequence[Append], Sequence[Change]]] = []
        """Every commit that succeeded, as it was asked for."""
        self.waiting = 0
        self._commit_faults: deque[tuple[QuireError, bool]] = deque()
        self._load_faults: deque[QuireError] = deque()
        self._gate = anyio.Event()
        self._gate.set()
        self._arrived = anyio.Event()

    def fail_next_commit(self, error: QuireError | None = None, *, after: bool = False) -> None:
        self._commit_faults.append((error or LogFailed("the disk is full"), after))

    def fail_next_load(self, error: QuireError | None = None) -> None:
        self._load_faults.append(error or LogFailed("the disk does not answer"))

    def hold(self) -> None:
        self._gate = anyio.Event()

    def release(self) -> None:
        self._gate.set()

    async def held(self, count: int = 1) -> None:
        """Returns when `count` commits wait to be released."""
        while self.waiting < count:
            self._arrived = anyio.Event()
            await self._arrived.wait()

    @property
    def node(self) -> int:
        return self.store.node

    @property
    def epoch(self) -> int:
        return self.store.epoch

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        fault = self._commit_faults.popleft() if self._commit_faults else None
        await self._pass_gate()
        if fault and not fault[1]:
            raise fault[0]
        committed = await self.store.commit(appends, changes)
        if fault:
            raise fault[0]
        self.commits.append((appends, changes))
        return committed

    async def _pass_gate(self) -> None:
        if self._gate.is_set():
            return
        self.waiting += 1
        self._arrived.set()
        try:
            await self._gate.wait()
        finally:
            self.waiting -= 1

    async def load(self, document: DocumentId, position: Position | None = None) -> Loaded | None:
        if self._load_faults:
            raise self._load_faults.popleft()
        return await self.store.load(document, position)

    async def entries(
        self, document: DocumentId, after: Position, upto: Position, *, kind: int | None = None
    ) -> Sequence[Logged]:
        return await self.store.entries(document, after, upto, kind=kind)

    async def actors(self, document: DocumentId, after: Position, upto: Position) -> Sequence[ActorId]:
        return await self.store.actors(document, after, upto)

    async def gather(
        self, document: DocumentId, after: Position, upto: Position, over: Callable[[Iterator[Line]], T]
    ) -> T:
        return await self.store.gather(document, after, upto, over)

    async def shares(self, spans: Sequence[Span]) -> Mapping[ActorId, int]:
        return await self.store.shares(spans)

    async def position_at(self, document: DocumentId, at: Millis) -> Position:
        return await self.store.position_at(document, at)

    async def checkpoint(self, document: DocumentId, checkpoint: Checkpoint) -> None:
        await self.store.checkpoint(document, checkpoint)

    async def size(self, document: DocumentId) -> LogSize | None:
        return await self.store.size(document)

    async def quarantine(self, document: DocumentId, reason: str | None) -> None:
        await self.store.quarantine(document, reason)

    async def bound_before(self, document: DocumentId, clients: Sequence[ClientId]) -> frozenset[ClientId]:
        return await self.store.bound_before(document, clients)

    async def project(self, name: str) -> Project | None:
        return await self.store.project(name)

    async def project_by_id(self, project: ProjectId) -> Project | None:
        return await self.store.project_by_id(project)

    async def projects(self) -> Sequence[Project]:
        return await self.store.projects()

    async def document(self, document: DocumentId) -> Row | None:
        return await self.store.document(document)

    async def documents(self, ids: Sequence[DocumentId]) -> Mapping[DocumentId, Row]:
        return await self.store.documents(ids)

    async def at_path(self, project: ProjectId, path: Path) -> Row | None:
        return await self.store.at_path(project, path)

    async def at_paths(self, project: ProjectId, paths: Sequence[Path]) -> Mapping[Path, Row]:
        return await self.store.at_paths(project, paths)

    async def led_from(self, project: ProjectId, path: Path) -> Row | None:
        return await self.store.led_from(project, path)

    async def deleted_at_path(self, project: ProjectId, path: Path) -> Row | None:
        return await self.store.deleted_at_path(project, path)

    async def tree(
        self, project: ProjectId, *, prefix: str = "", after: Path | None = None, limit: int | None = None
    ) -> Sequence[Row]:
        return await self.store.tree(project, prefix=prefix, after=after, limit=limit)

    async def tree_with_deleted(self, project: ProjectId) -> Sequence[Row]:
        return await self.store.tree_with_deleted(project)

    async def owed(self) -> Sequence[Row]:
        return await self.store.owed()

    async def touched(self, project: ProjectId, after: int) -> Touched:
        return await self.store.touched(project, after)

    async def unlike(self, project: ProjectId, collection: str) -> tuple[Sequence[Row], Mapping[str, bytes]]:
        return await self.store.unlike(project, collection)

    async def names(self, project: ProjectId, directory: str) -> Set[str]:
        return await self.store.names(project, directory)

    async def named(self, document: DocumentId, sha: BlobSha) -> Position | None:
        return await self.store.named(document, sha)

    async def events(self, project: ProjectId, *, after: int, limit: int) -> Sequence[Event]:
        return await self.store.events(project, after=after, limit=limit)

    async def record(self, collection: str, project: ProjectId, key: str) -> bytes | None:
        return await self.store.record(collection, project, key)

    async def records(self, collection: str, project: ProjectId, *, prefix: str = "") -> Mapping[str, bytes]:
        return await self.store.records(collection, project, prefix=prefix)

    async def record_everywhere(self, collection: str, key: str) -> Mapping[ProjectId, bytes]:
        return await self.store.record_everywhere(collection, key)

    async def backup(self, destination: str) -> None:
        await self.store.backup(destination)

    async def aclose(self) -> None:
        await self.store.aclose()
