"""A workspace with git behind it, put together like the server's: real store, real repositories, no network."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from collab.actors import Actor, put
from collab.bus.local import LocalBus
from collab.ids import ActorId, Millis, Path
from collab.objects.base import ObjectStore
from collab.objects.memory import MemoryObjects
from collab.rooms import Rooms
from collab.store.base import Project, Store
from collab.store.memory import MemoryStore
from collab.workspace import Workspace
from snapshots.committer import Committer
from snapshots.connecting import Connecting
from snapshots.importer import Importer
from snapshots.remotes.base import GitRemote
from snapshots.remotes.connected import ConnectedRemotes
from snapshots.remotes.github_hub import Credential, Hub
from snapshots.remotes.local import LocalRemotes
from snapshots.schedule import Pace
from snapshots.secrets import Sealer
from snapshots.snapshotter import Snapshotter
from snapshots.sources import Limits

ALICE = ActorId("alice")
BOB = ActorId("bob")
BOT = ActorId("bot")

SEALER = Sealer("what seals in tests " * 2)


class Clock:
    """Stands still until it is told to move."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> Millis:
        return Millis(self.now)

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@dataclass
class House:
    store: Store
    bus: LocalBus
    objects: ObjectStore
    workspace: Workspace
    remotes: ConnectedRemotes
    connecting: Connecting
    snapshotter: Snapshotter
    importer: Importer
    project: Project
    root: pathlib.Path
    clock: Clock

    @property
    def repository(self) -> pathlib.Path:
        return self.root / "git" / f"{self.project.name}.git"

    async def write(self, path: str, content: bytes | str, actor: ActorId = ALICE, **options: object) -> None:
        data = content.encode() if isinstance(content, str) else content
        await self.workspace.write(self.project, Path(path), data, actor, force=True, **options)  # type: ignore[arg-type]

    async def files(self) -> dict[str, bytes]:
        rows = (await self.workspace.tree(self.project)).rows
        return {row.path: (await self.workspace.read(self.project, row.path)).content for row in rows}


class Unconnected(ConnectedRemotes):
    """Every project has its own repository, whatever its connection says."""

    async def of(self, project: Project) -> GitRemote:
        return await self.local.of(project)


@contextlib.asynccontextmanager
async def house(
    root: pathlib.Path,
    *,
    store: Store | None = None,
    objects: ObjectStore | None = None,
    clock: Clock | None = None,
    pace: Pace | None = None,
    step: Callable[[str], None] | None = None,
    limits: Limits | None = None,
    make_hub: Callable[[Credential], Hub] | None = None,
    remotes_of: Callable[..., ConnectedRemotes] = ConnectedRemotes,
    token: str | None = None,
) -> AsyncIterator[House]:
    """On `store` (else on one in memory), with a project `notes` in it."""
    clock = clock or Clock()
    store = store or MemoryStore(clock=clock)
    bus = LocalBus()
    objects = objects or MemoryObjects()
    for actor in (
        Actor(id=ALICE, name="Alice <of> Wonder\r\nland", email="alice@example.org"),
        Actor(id=BOB, name="Bob"),
        Actor(id=BOT, name="Bot", kind="agent", email="bot@example.org"),
    ):
        await store.commit(changes=[put(actor)])
    async with Rooms(store, bus) as rooms:
        workspace = Workspace(store, objects, rooms, bus, clock)
        step = step or (lambda name: None)
        local = LocalRemotes(root / "git", step=step)
        remotes = remotes_of(
            local, store, SEALER, clock=clock, api="http://github.invalid", make_hub=make_hub, token=token
        )
        snapshotter = Snapshotter(workspace, remotes, bus, clock=clock, pace=pace, step=step, chance=lambda: 0.0)
        connecting = Connecting(
            workspace,
            remotes,
            SEALER,
            bus,
            paused=snapshotter.paused,
            recover=Committer(workspace, remotes, bus, clock=clock).recover,
            pull=snapshotter.pull,
            clock=clock,
            step=step,
        )
        async with Importer(workspace, snapshotter, folder=root / "importing", clock=clock, limits=limits) as importer:
            project = await store.project("notes") or await workspace.create_project("notes", ALICE)
            yield House(
                store, bus, objects, workspace, remotes, connecting, snapshotter, importer, project, root, clock
            )
