"""Whatever is written, whoever makes snapshots or sweeps old ones at the same time, whatever fails in between: a reader of
the object store finds whole snapshots, nothing that is named is deleted, and it all comes to an end."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
from anyio import lowlevel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from collab import bases
from collab.errors import NotFound, QuireError
from collab.ids import Path
from collab.objects.memory import MemoryObjects
from snapshots import journal
from snapshots.manifest import DAY, HOUR, MINUTE, Place, decode
from snapshots.materialiser import Materialiser
from snapshots.retention import Sweeper
from tests.faulty_objects import FaultyObjects, Order
from tests.snapshots.bucket import look, newest
from tests.snapshots.house import ALICE, house

PATHS = ["a.md", "b.md", "d/c.md", "d/e.bin"]
METHODS = ["get", "put", "copy", "delete", "list"]
paths = st.sampled_from(PATHS).map(Path)
delays = st.lists(st.integers(0, 6), min_size=1, max_size=12)


class Shuffled(FaultyObjects):
    """Every request waits for a while of its own, so that those who are at it together meet in every order."""

    def __init__(self) -> None:
        super().__init__(MemoryObjects())
        self.delays = [0]
        self.asked = 0

    async def _before(self, method: str, key: str) -> Order | None:
        self.asked += 1
        for _ in range(self.delays[self.asked % len(self.delays)]):
            await lowlevel.checkpoint()
        return await super()._before(method, key)


class Anyhow(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.objects = Shuffled()
        self.named: set[str] = set()
        """Blobs that were there, and that a commit names."""

    @initialize()
    def begin(self) -> None:
        self.runner.run(self.open())
        self.place = Place(self.home.project.id)
        self.makers = [self.maker(), self.maker()]
        self.sweepers = [Sweeper(maker, self.home.store, keep=2 * HOUR, clock=self.home.clock) for maker in self.makers]

    async def open(self) -> None:
        self.home_is_open, self.over = asyncio.Event(), asyncio.Event()
        self.living = asyncio.create_task(self.live())
        await self.home_is_open.wait()

    async def live(self) -> None:
        """A task of its own: who opens the house closes it."""
        async with house(self.folder, objects=self.objects) as self.home:
            self.home_is_open.set()
            await self.over.wait()

    async def close(self) -> None:
        self.over.set()
        await self.living

    def maker(self) -> Materialiser:
        return Materialiser(self.home.store, self.objects, clock=self.home.clock)

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        self.runner.run(refused_or_done(lambda: work))

    # what people do

    @rule(path=paths, content=st.sampled_from(["one", "two", "three"]))
    def write(self, path: Path, content: str) -> None:
        data = b"\xff" + content.encode() if path.endswith(".bin") else content.encode()
        self.do(self.home.write(path, data))

    @rule(source=paths, to=paths)
    def move(self, source: Path, to: Path) -> None:
        self.do(self.home.workspace.move(self.home.project, source, to, ALICE))

    @rule(path=paths)
    def delete(self, path: Path) -> None:
        self.do(self.home.workspace.delete(self.home.project, path, ALICE))

    @rule(path=paths)
    def undelete(self, path: Path) -> None:
        self.do(self.home.workspace.undelete(self.home.project, path, None, ALICE))

    @rule()
    def commit(self) -> None:
        self.do(self.home.snapshotter.snapshot(self.home.project))

    @rule(millis=st.sampled_from([MINUTE, HOUR, DAY]))
    def wait(self, millis: int) -> None:
        self.home.clock.now += millis

    # what Quire does, and what happens to it

    @rule(method=st.sampled_from(METHODS), key=st.sampled_from(["", "/blobs/", "/HEAD", "/snapshots/", "/files/", "FILES"]),
          after=st.booleans())  # fmt: skip
    def fail(self, method: str, key: str, after: bool) -> None:
        self.objects.fail(method, key, after=after)

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.makers[which] = self.maker()
        self.sweepers[which] = Sweeper(self.makers[which], self.home.store, keep=2 * HOUR, clock=self.home.clock)

    @rule(which=st.integers(0, 1))
    def make(self, which: int) -> None:
        self.together([lambda: self.makers[which].round(self.home.project)], [0])

    @rule(delays=delays, sweeping=st.booleans(), writing=st.booleans())
    def all_at_once(self, delays: list[int], sweeping: bool, writing: bool) -> None:
        work: list[Callable[[], Awaitable[object]]] = [
            lambda: self.makers[0].round(self.home.project),
            lambda: self.sweep(1) if sweeping else self.makers[1].round(self.home.project),
        ]
        if writing:
            work.append(lambda: self.home.write("a.md", f"{self.objects.asked}"))
        self.together(work, delays)

    async def sweep(self, which: int) -> None:
        sweeper = self.sweepers[which]
        await sweeper.sweep(self.home.project, await sweeper.plan(self.home.project))

    def together(self, work: list[Callable[[], Awaitable[object]]], delays: list[int]) -> None:
        async def run() -> None:
            async with anyio.create_task_group() as readers:
                readers.start_soon(self.read)
                async with anyio.create_task_group() as tasks:
                    for each in work:
                        tasks.start_soon(refused_or_done, each)
                readers.cancel_scope.cancel()

        self.objects.delays = delays
        self.runner.run(run())
        self.objects.delays = [0]
        self.runner.run(self.check())

    async def read(self) -> None:
        """Whoever reads HEAD finds a whole snapshot; or it was swept away while he read, and HEAD has moved on."""
        objects = self.objects.objects
        while True:
            before = None
            try:
                before = (await objects.get(self.place.head)).content
                await newest(objects, self.home.project)
            except NotFound:
                if before is not None:
                    assert (await objects.get(self.place.head)).content != before
            await lowlevel.checkpoint()

    async def check(self) -> None:
        """HEAD, and every manifest that is there, names what is there; what a commit names stays."""
        objects = self.objects.objects
        await newest(objects, self.home.project)
        blobs = {key.removeprefix(self.place.blobs) async for key in objects.list(self.place.blobs)}
        async for key in objects.list(self.place.manifests):
            manifest = decode((await objects.get(key)).content)
            assert {file.sha for file in manifest.files if file.has_blob} <= blobs
        assert self.named <= blobs
        snapshots = await journal.snapshots(self.home.store, self.home.project.id)
        named = {file.sha for each in snapshots for file in each.files if file.sha is not None}
        named |= {base.sha for base in (await bases.bases(self.home.store, self.home.project.id)).values()}
        self.named |= named & blobs

    def teardown(self) -> None:
        try:
            self.runner.run(self.end())
        finally:
            self.runner.run(self.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    async def end(self) -> None:
        """Once nothing fails any more, the next round brings everything there, and sweeps come to an end."""
        self.objects.orders.clear()
        self.home.clock.now += HOUR
        if (await self.makers[0].round(self.home.project)).number:
            found = await look(self.objects.objects, self.home.project)
            assert found is not None
            assert found.contents == found.files == await self.home.files()
        for _ in range(4):
            self.home.clock.now += DAY
            await self.sweep(0)
            await self.makers[0].round(self.home.project)
        assert (await self.sweepers[0].plan(self.home.project)).ended
        await self.check()


async def refused_or_done(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except QuireError:
        await lowlevel.checkpoint()


Anyhow.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyhow = Anyhow.TestCase
