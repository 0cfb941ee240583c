"""A project to work on: everything in memory, unless a store is given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from collab.bases import Base, put
from collab.bus.local import LocalBus
from collab.ids import ActorId, Millis, Path
from collab.objects.memory import MemoryObjects
from collab.rooms import Rooms
from collab.store.base import Project, Store
from collab.store.memory import MemoryStore
from collab.workspace import Workspace
from tests.collab.peers import Peer

ALICE, BOB = ActorId("alice"), ActorId("bob")


class Desk:
    def __init__(self, workspace: Workspace, rooms: Rooms, project: Project) -> None:
        self.workspace = workspace
        self.rooms = rooms
        self.project = project

    async def put(self, path: str, text: str | bytes, actor: ActorId = ALICE) -> str:
        content = text.encode() if isinstance(text, str) else text
        written = await self.workspace.write(self.project, Path(path), content, actor)
        return written.row.sha

    async def text(self, path: str) -> str:
        return (await self.workspace.read(self.project, Path(path))).content.decode()

    async def paths(self, **wanted: object) -> list[str]:
        page = await self.workspace.tree(self.project, **wanted)  # type: ignore[arg-type]
        return [row.path for row in page.rows]

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.workspace.events(self.project, 0)]

    @asynccontextmanager
    async def peer(self, path: str, name: str = "alice") -> AsyncIterator[Peer]:
        row = await self.workspace.resolve(self.project, Path(path))
        async with self.rooms.use(row.id) as room:
            peer = Peer(name)
            peer.connect(room)
            await peer.until_saved()
            yield peer
            room.leave(peer.member)

    async def commit_everything(self) -> None:
        """As if a snapshot had just been taken."""
        rows = (await self.workspace.tree(self.project)).rows
        bases = [Base(row.path, row.id, row.sha, row.mode, row.head, "c0ffee") for row in rows]
        await self.workspace.store.commit(changes=[put(self.project.id, base) for base in bases])


@asynccontextmanager
async def desk(store: Store | None = None, project: Project | None = None) -> AsyncIterator[Desk]:
    ticks = count(1_000)
    store, bus = store or MemoryStore(clock=lambda: Millis(next(ticks))), LocalBus()
    async with Rooms(store, bus) as rooms:
        workspace = Workspace(store, MemoryObjects(), rooms, bus, lambda: Millis(next(ticks)))
        yield Desk(workspace, rooms, project or await workspace.create_project("notes", ALICE))
