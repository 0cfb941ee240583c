"""A store that is shipped to objects in memory, or wherever a test says, and what is restored from there."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from collab.ids import ActorId, DocumentId, Millis, Path, ProjectId
from collab.objects.base import ObjectStore
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, Project, Row
from collab.store.sqlite import SqliteStore, open_store
from snapshots.remotes.local import LocalRemotes
from web.shipping.assembly import Place, assemble
from web.shipping.collector import Step, no_step
from web.shipping.recovery import Recovered, recover
from web.shipping.shipper import Pace, Shipper

ALICE = ActorId("alice")
NOTES = Project(id=ProjectId("p-notes"), name="notes", created_at=Millis(1), created_by=ALICE)
README = DocumentId("d-readme")
PACE = Pace(lag=0.02, renew=0.05)


@dataclass
class Clock:
    """Goes on by a second with every commit that a test makes."""

    now: int = 1_700_000_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)

    def tick(self) -> None:
        self.now += 1000


@dataclass
class Office:
    """Alice writes numbers into README; `written` says when each was."""

    folder: pathlib.Path
    store: SqliteStore
    remotes: LocalRemotes
    shipper: Shipper
    clock: Clock
    written: dict[int, Millis] = field(default_factory=dict)

    async def write(self, number: int, size: int = 0) -> Millis:
        self.clock.tick()
        payload = f"{number} ".encode() + os.urandom(size)
        entry = Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=payload)
        done = await self.store.commit([Append(document=README, entries=(entry,))])
        self.written[number] = done.at
        return done.at

    async def shipped(self) -> None:
        with anyio.fail_after(60):
            await self.shipper.flushed()


@asynccontextmanager
async def office(
    folder: pathlib.Path,
    objects: ObjectStore,
    *,
    clock: Clock | None = None,
    pace: Pace = PACE,
    lapse: float = 0.5,
    online: bool = True,
    deadline: float = 10.0,
    step: Step = no_step,
) -> AsyncIterator[Office]:
    clock = clock or Clock()
    store = await open_store(folder, clock=clock, followed=True)
    try:
        remotes = LocalRemotes(folder / "git")
        shipper = await assemble(
            folder,
            store.pages,
            Place(objects=objects, name="memory"),
            epoch=store.epoch,
            moves=lambda: dict(remotes.moves),
            clock=clock,
            pace=pace,
            lapse=lapse,
            look=0.02,
            online=online,
            step=step,
        )
        if await store.project_by_id(NOTES.id) is None:
            row = Row(id=README, project=NOTES.id, path=Path("README.md"), created_by=ALICE)
            await store.commit(changes=[CreateProject(NOTES), CreateDocument(row)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shipper.run)
            try:
                yield Office(folder, store, remotes, shipper, clock)
            finally:
                with anyio.CancelScope(shield=True):
                    await shipper.aclose(deadline)
        await remotes.aclose()
    finally:
        await store.aclose()


def quiet(phase: str, done: int, total: int | None) -> None:
    """Nobody watches."""


async def restored(objects: ObjectStore, to: pathlib.Path, at: Millis | None = None) -> Recovered:
    await anyio.Path(to).mkdir()
    return await recover(objects, to, at, quiet)


def numbers(folder: pathlib.Path) -> list[int]:
    """What Alice wrote, by SQLite itself; and the file is sound."""
    connection = sqlite3.connect(folder / "quire.sqlite")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT payload FROM entries ORDER BY position").fetchall()
    finally:
        connection.close()
    return [int(payload.split(b" ")[0]) for (payload,) in found]
