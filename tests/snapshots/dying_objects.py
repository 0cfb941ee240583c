"""A process that dies, as by `kill -9`, at one moment of a snapshot in the object store. Run by test_kill_objects.py.

    python -m tests.snapshots.dying_objects FOLDER ADDRESS BUCKET STEP
    python -m tests.snapshots.dying_objects FOLDER ADDRESS BUCKET NUMBER

It dies at a named step of the materialiser or the sweeper, or right before its request of that number. ADDRESS `-` is a
folder instead of S3.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import AsyncIterator, Callable

import anyio

from collab.ids import Path
from collab.objects.base import ObjectStore
from collab.objects.folder import FolderObjects
from collab.store.sqlite import open_store
from snapshots.manifest import DAY, HOUR
from snapshots.materialiser import Materialiser, no_step
from snapshots.retention import Sweeper
from tests.faulty_objects import FaultyObjects, Order
from tests.harness.s3 import objects_in
from tests.snapshots.dying import die
from tests.snapshots.house import ALICE, Clock, House, house

Step = Callable[[str], None]


def open_objects(root: pathlib.Path, address: str, bucket: str) -> ObjectStore:
    return FolderObjects(root / "objects") if address == "-" else objects_in(address, bucket)


class DyingObjects(FaultyObjects):
    """Dies right before a request of a number."""

    number = 0

    async def _before(self, method: str, key: str) -> Order | None:
        order = await super()._before(method, key)
        if self.requests.total() == self.number:
            die()
        return order


@contextlib.asynccontextmanager
async def durable(
    root: pathlib.Path, address: str, bucket: str, *, step: Step = no_step, clock: Clock | None = None
) -> AsyncIterator[tuple[House, DyingObjects, Materialiser, Sweeper]]:
    clock = clock or Clock()
    store = await open_store(root / "data", clock=clock)
    objects = DyingObjects(open_objects(root, address, bucket))
    try:
        async with house(root, store=store, objects=objects, clock=clock) as home:
            materialiser = Materialiser(home.store, objects, clock=clock, step=step)
            yield home, objects, materialiser, Sweeper(materialiser, store, keep=HOUR, clock=clock, step=step)
    finally:
        await objects.aclose()
        await store.aclose()


async def run(root: pathlib.Path, address: str, bucket: str, at: str) -> None:
    armed = False

    def step(name: str) -> None:
        if armed and name == at:
            die()

    async with durable(root, address, bucket, step=step) as (home, objects, materialiser, sweeper):
        for number in range(4):
            await home.write(f"d{number}/a.md", "one\n")
        await home.write("old.bin", b"\xfe")
        await materialiser.round(home.project)
        home.clock.now += 2 * DAY
        await home.write("d0/a.md", "two\n")
        await home.workspace.move(home.project, Path("d1/a.md"), Path("e/a.md"), ALICE)
        await home.workspace.delete(home.project, Path("d2/a.md"), ALICE)
        await home.workspace.delete(home.project, Path("old.bin"), ALICE)
        await home.write("new.bin", b"\xff")
        armed = True
        if at.isdecimal():
            objects.requests.clear()
            objects.number = int(at)
        await materialiser.round(home.project)
        await sweeper.sweep(home.project, await sweeper.plan(home.project))


if __name__ == "__main__":
    _, folder, given_address, given_bucket, given_at = sys.argv
    anyio.run(run, pathlib.Path(folder), given_address, given_bucket, given_at)
