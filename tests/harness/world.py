"""Rooms over a store in this process, with an event loop of their own that runs when it is told to.

`stop` and `start` are a restart of the server; `Flaky` is a disk that refuses a commit when the test says so.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from collab.bus.local import LocalBus
from collab.compaction import compact
from collab.errors import LogFailed
from collab.history import text_at
from collab.ids import ActorId, DocumentId, Millis, Path, Position, ProjectId, fresh
from collab.rooms import Rooms
from collab.store.base import Append, Change, Committed, CreateDocument, CreateProject, Project, Row, Store
from collab.store.memory import MemoryStore
from collab.store.sqlite import open_store
from tests.harness.local import LocalPeer

ROOT = ActorId("root")


class Flaky:
    """A store that is another store, until `failures` says that the next appends fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failures = 0

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        if appends and self.failures:
            self.failures -= 1
            raise LogFailed("the test's disk is full")
        return await self._store.commit(appends, changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class World:
    def __init__(self, folder: pathlib.Path | None = None) -> None:
        """In memory, or on disk in `folder`."""
        self.document = DocumentId(fresh())
        self.rooms: Rooms
        self.store: Flaky
        self._folder = folder
        self._memory = MemoryStore()
        self._life: asyncio.Task[None]
        self._end: anyio.Event

    async def start(self) -> None:
        store: Store = self._memory if self._folder is None else await open_store(self._folder)
        self.store = Flaky(store)
        ready, self._end = anyio.Event(), anyio.Event()
        self._life = asyncio.create_task(self._live(ready))
        await ready.wait()

    async def _live(self, ready: anyio.Event) -> None:
        async with Rooms(self.store, LocalBus()) as self.rooms:
            ready.set()
            await self._end.wait()

    async def stop(self) -> None:
        self._end.set()
        await self._life
        if self._folder is not None:
            await self.store.aclose()

    async def create(self) -> None:
        project = Project(id=ProjectId(fresh()), name="notes", created_at=Millis(0), created_by=ROOT)
        row = Row(id=self.document, project=project.id, path=Path("a.md"), created_by=ROOT)
        await self.store.commit(changes=[CreateProject(project), CreateDocument(row)])

    async def connect(self, peer: LocalPeer) -> None:
        async with self.rooms.use(self.document) as room:
            peer.connect(room)

    async def edit(self, actor: str, change: Callable[[str], str]) -> None:
        """What a `PUT` does: a turn of the room, as an edit of its own document."""
        async with self.rooms.turn(self.document) as turn:
            turn.stage(actor=ActorId(actor), target=change(turn.document.text))
            await self.rooms.commit([turn])

    async def compact(self) -> None:
        await compact(self.store, self.document)

    async def live(self) -> tuple[str, Position]:
        async with self.rooms.turn(self.document) as turn:
            return turn.document.text, turn.position

    async def logged(self) -> str:
        """What a process that starts now would load."""
        _, position = await self.live()
        return await text_at(self.store, self.document, position)
