"""The object store follows by itself: by schedule, after failures, after a crash, at the end; what is old or deleted goes."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio
import pytest

from collab.errors import QuireError, Unavailable
from collab.ids import Path, ProjectId
from collab.objects.memory import MemoryObjects
from collab.store.base import Store
from collab.store.memory import MemoryStore
from snapshots.follower import Follower
from snapshots.keeper import Keeper
from snapshots.manifest import DAY, HOUR, MINUTE, Place
from snapshots.materialiser import Materialiser, no_step
from snapshots.retention import NOBODY_FOR, Sweeper, Swept
from snapshots.schedule import Pace
from tests.faulty_objects import FaultyObjects
from tests.snapshots.bucket import Found, look
from tests.snapshots.house import ALICE, Clock, House, house

pytestmark = pytest.mark.anyio

QUICK = Pace(quiet=5_000, max_age=30_000, first_wait=2_000, longest_wait=60_000)


@dataclass
class Scene:
    home: House
    objects: FaultyObjects
    materialiser: Materialiser
    sweeper: Sweeper
    follower: Follower

    async def found(self) -> Found | None:
        return await look(self.objects.objects, self.home.project)

    async def until(self, holds: Callable[[Found | None], bool]) -> None:
        """Time passes until what is found there is so."""
        with anyio.fail_after(20):
            while not holds(await self.found()):
                self.home.clock.advance(1)
                self.wake()
                await anyio.sleep(0.01)

    async def until_there(self) -> None:
        files = await self.home.files()
        await self.until(lambda found: found is not None and found.files == files == found.contents)

    def wake(self) -> None:
        """The clock stands still between its steps: whoever waits for a time looks again."""
        self.home.bus.publish(self.home.project.id, 0)

    async def numbers(self) -> set[int]:
        place = Place(self.home.project.id)
        found = {place.number(key) async for key in self.objects.list(place.manifests)}
        return {number for number in found if number is not None}

    async def sweep(self, sweeper: Sweeper | None = None) -> Swept:
        sweeper = sweeper or self.sweeper
        return await sweeper.sweep(self.home.project, await sweeper.plan(self.home.project))

    async def blobs(self) -> int:
        return len([key async for key in self.objects.list(Place(self.home.project.id).blobs)])


def put_together(
    home: House,
    objects: FaultyObjects,
    *,
    keep: int = 30 * DAY,
    where: str = "s3://here",
    step: Callable[[str], None] = no_step,
) -> Scene:
    materialiser = Materialiser(home.store, objects, clock=home.clock)
    sweeper = Sweeper(materialiser, home.store, keep=keep, clock=home.clock, step=step)
    follower = Follower(
        Keeper(materialiser, sweeper),
        home.store,
        home.bus,
        where=where,
        clock=home.clock,
        pace=QUICK,
        chance=lambda: 0.0,
    )
    return Scene(home, objects, materialiser, sweeper, follower)


@pytest.fixture
async def scene(tmp_path: pathlib.Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        objects = FaultyObjects(MemoryObjects())
        yield put_together(await stack.enter_async_context(house(tmp_path, objects=objects)), objects)


# by schedule


async def test_what_is_quiet_for_five_seconds_is_there(scene: Scene) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await anyio.wait_all_tasks_blocked()
        await scene.home.write("a.md", "typed")
        await anyio.wait_all_tasks_blocked()
        status = scene.follower.status(scene.home.project.id)
        assert (status.state, status.snapshot, status.next_at) == ("idle", None, scene.home.clock.now + 5_000)
        start = scene.home.clock.now
        await scene.until_there()
        assert 5_000 <= scene.home.clock.now - start <= 8_000
        tasks.cancel_scope.cancel()


async def test_what_is_typed_without_a_pause_is_there_after_thirty_seconds(scene: Scene) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await anyio.wait_all_tasks_blocked()
        start = scene.home.clock.now
        while await scene.found() is None:
            await scene.home.write(f"{scene.home.clock.now}.md", "typed")
            scene.home.clock.advance(1)
            await anyio.wait_all_tasks_blocked()
            await anyio.sleep(0.005)
        assert 30_000 <= scene.home.clock.now - start <= 34_000
        tasks.cancel_scope.cancel()


async def test_objects_and_commits_have_schedules_of_their_own(scene: Scene) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        tasks.start_soon(scene.home.snapshotter.run)
        await anyio.wait_all_tasks_blocked()
        await scene.home.write("a.md", "typed")
        await scene.until_there()
        assert (await scene.home.snapshotter.status(scene.home.project)).uncommitted == 1
        # A commit changes nothing there, and costs nothing; but then it is known which snapshot holds it.
        scene.objects.requests.clear()
        await scene.home.snapshotter.snapshot(scene.home.project)
        with anyio.fail_after(5):
            while not await scene.follower.holding(scene.home.project.id):
                scene.home.clock.advance(1)
                scene.wake()
                await anyio.sleep(0.01)
        assert scene.follower.status(scene.home.project.id).next_at is None
        assert scene.objects.requests.total() == 0
        tasks.cancel_scope.cancel()


# bad days


async def test_a_store_that_is_down_is_said_in_words_and_followed_when_it_is_back(scene: Scene) -> None:
    home = scene.home
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await home.write("a.md", "one")
        await scene.until_there()
        scene.objects.down = True
        for _ in range(60):
            await home.write(f"{home.clock.now}.md", "typed during the outage")
            home.clock.advance(60)
            await anyio.sleep(0.005)
        status = scene.follower.status(home.project.id)
        assert status.state == "failed"
        assert "S3 does not answer" in status.detail
        assert "Nothing is lost" in status.detail
        assert status.next_at is not None
        assert status.next_at <= home.clock.now + 60_000
        assert (await scene.home.snapshotter.snapshot(home.project)).state == "done"
        scene.objects.down = False
        await scene.until_there()
        assert scene.follower.status(home.project.id).state == "idle"
        tasks.cancel_scope.cancel()


async def test_a_failure_is_tried_again_later_each_time_and_at_least_once_a_minute(scene: Scene) -> None:
    await scene.home.write("a.md", "one")
    scene.objects.down = True
    waits = []
    for _ in range(8):
        with pytest.raises(Unavailable):
            await scene.follower.follow(scene.home.project)
        due = scene.follower.status(scene.home.project.id).next_at
        assert due is not None
        waits.append((due - scene.home.clock.now) // 1000)
    # The first two would be 2 and 4; the five quiet seconds are not over then.
    assert waits == [5, 5, 8, 16, 32, 60, 60, 60]


async def test_what_an_earlier_process_left_is_taken_up(tmp_path: pathlib.Path) -> None:
    clock, objects = Clock(), FaultyObjects(MemoryObjects())
    store: Store = MemoryStore(clock=clock)
    async with house(tmp_path, store=store, objects=objects, clock=clock) as home:
        scene = put_together(home, objects)
        await home.write("a.md", "one")
        await scene.follower.follow(home.project)
        await home.write("a.md", "not there when the process died")
    async with house(tmp_path, store=store, objects=objects, clock=clock) as home, anyio.create_task_group() as tasks:
        scene = put_together(home, objects)
        tasks.start_soon(scene.follower.run)
        await scene.until_there()
        tasks.cancel_scope.cancel()


async def test_who_has_followed_asks_nothing_after_a_restart(scene: Scene) -> None:
    await scene.home.write("a.md", "one")
    await scene.home.snapshotter.snapshot(scene.home.project)
    await scene.follower.follow(scene.home.project)
    again = put_together(scene.home, scene.objects)
    scene.objects.requests.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again.follower.run)
        for _ in range(10):
            scene.home.clock.advance(60)
            again.wake()
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert scene.objects.requests.total() == 0
    assert again.follower.status(scene.home.project.id).snapshot == 1


async def test_another_bucket_gets_everything(scene: Scene) -> None:
    await scene.home.write("a.md", "one")
    await scene.follower.follow(scene.home.project)
    elsewhere = put_together(scene.home, FaultyObjects(MemoryObjects()), where="s3://there")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere.follower.run)
        await elsewhere.until_there()
        tasks.cancel_scope.cancel()


async def test_closing_lets_follow_what_is_there(scene: Scene) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await anyio.wait_all_tasks_blocked()
        await scene.home.write("a.md", "typed in the last moment")
        await scene.follower.aclose(10)
    found = await scene.found()
    assert found is not None
    assert found.files == {"a.md": b"typed in the last moment"}


async def test_closing_does_not_wait_for_a_store_that_is_down(scene: Scene) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await anyio.wait_all_tasks_blocked()
        await scene.home.write("a.md", "typed in the last moment")
        scene.objects.meanwhile("put", "/blobs/", anyio.sleep_forever)
        with anyio.fail_after(5):
            await scene.follower.aclose(0.05)


async def test_a_deleted_projects_objects_go_even_when_the_store_was_down(scene: Scene) -> None:
    home = scene.home
    await home.write("a.md", "one")
    await scene.follower.follow(home.project)
    scene.objects.down = True
    await home.workspace.delete_project("notes")
    await scene.follower.forget(home.project.id)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.follower.run)
        await anyio.wait_all_tasks_blocked()
        scene.objects.down = False
        again = put_together(home, scene.objects)
        tasks.start_soon(again.follower.run)
        with anyio.fail_after(5):
            while await home.store.records("objects", ProjectId(""), prefix="gone/"):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert [key async for key in scene.objects.objects.list("projects/")] == []


# what is old


async def made(scene: Scene, count: int, *, every: int) -> None:
    """Snapshots of a file that is another each time, so many milliseconds apart."""
    for _ in range(count):
        await scene.home.write("a.md", f"{scene.home.clock.now}")
        await scene.materialiser.round(scene.home.project)
        scene.home.clock.now += every


async def test_old_snapshots_go_with_the_blobs_that_nothing_names(scene: Scene) -> None:
    scene.sweeper = put_together(scene.home, scene.objects, keep=2 * HOUR).sweeper
    await scene.home.write("stays.md", "in every snapshot")
    await made(scene, 10, every=30 * MINUTE)
    assert await scene.blobs() == 11
    swept = await scene.sweep()
    assert swept.manifests >= 6
    assert swept.blobs == swept.manifests
    found = await scene.found()
    assert found is not None
    assert found.contents == found.files == await scene.home.files()
    numbers = await scene.numbers()
    for number in numbers:
        manifest = await scene.materialiser.manifest(Place(scene.home.project.id), number)
        assert manifest is not None
        for file in manifest.files:
            assert await scene.objects.exists(Place(scene.home.project.id).blob(file.sha))
    scene.materialiser.forget(scene.home.project.id)
    await made(scene, 1, every=0)
    assert (await scene.found()) is not None


async def test_what_a_commit_names_stays(scene: Scene) -> None:
    scene.sweeper = put_together(scene.home, scene.objects, keep=HOUR).sweeper
    await scene.home.write("a.md", "committed")
    await scene.materialiser.round(scene.home.project)
    await scene.home.snapshotter.snapshot(scene.home.project)
    await scene.home.write("a.md", "committed and replaced")
    await scene.home.snapshotter.snapshot(scene.home.project)
    scene.home.clock.now += MINUTE
    await made(scene, 4, every=DAY)
    swept = await scene.sweep()
    assert swept.manifests == 4
    contents = [
        (await scene.objects.get(key)).content async for key in scene.objects.list(Place(scene.home.project.id).blobs)
    ]
    assert b"committed" in contents


async def test_nothing_old_is_no_write(scene: Scene) -> None:
    await made(scene, 3, every=MINUTE)
    scene.objects.requests.clear()
    assert await scene.sweep() == Swept()
    assert set(scene.objects.requests) == {"get", "list"}


async def test_a_snapshot_that_is_made_during_a_sweep_loses_nothing(scene: Scene) -> None:
    """The other process had put a blob that the sweep deletes, and was about to name it."""
    home = scene.home
    sweeper = put_together(home, scene.objects, keep=HOUR).sweeper
    await home.write("a.md", "once more")
    await scene.materialiser.round(home.project)
    await made(scene, 3, every=DAY)
    other = Materialiser(home.store, scene.objects, clock=home.clock)
    await home.write("a.md", "once more")
    scene.objects.meanwhile("put", "/snapshots/", lambda: scene.sweep(sweeper))
    await other.round(home.project)
    found = await scene.found()
    assert found is not None
    assert found.contents == found.files == {"a.md": b"once more"}


async def test_nobody_begins_a_snapshot_while_old_ones_are_deleted(scene: Scene) -> None:
    home = scene.home
    refused: list[str] = []

    async def attempt() -> None:
        await home.write("a.md", "meanwhile")
        try:
            await Materialiser(home.store, scene.objects, clock=home.clock).round(home.project)
        except QuireError as error:
            refused.append(error.message)

    await made(scene, 3, every=DAY)
    sweeper = put_together(home, scene.objects, keep=HOUR).sweeper
    scene.objects.meanwhile("delete", "/blobs/", attempt)
    assert (await scene.sweep(sweeper)).manifests == 2
    assert len(refused) == 1
    assert "being deleted" in refused[0]
    assert (await scene.follower.follow(home.project)).state == "done"


async def test_a_sweep_that_died_holds_nobody_up_for_long(scene: Scene) -> None:
    home = scene.home
    await made(scene, 3, every=DAY)
    scene.objects.fail("delete", "/snapshots/")
    with pytest.raises(Unavailable):
        await scene.sweep(put_together(home, scene.objects, keep=HOUR).sweeper)
    await home.write("a.md", "typed after that")
    with pytest.raises(Unavailable):
        await scene.follower.follow(home.project)
    home.clock.now += NOBODY_FOR
    await scene.follower.follow(home.project)
    found = await scene.found()
    assert found is not None
    assert found.contents == {"a.md": b"typed after that"}


async def test_old_snapshots_are_swept_by_the_schedule(scene: Scene) -> None:
    home = scene.home
    follower = put_together(home, scene.objects, keep=HOUR).follower
    for _ in range(4):
        await home.write("a.md", f"{home.clock.now}")
        await follower.follow(home.project)
        home.clock.advance(6 * 3600)
    numbers = await scene.numbers()
    assert 1 not in numbers
    assert 2 not in numbers
    assert await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await follower.follow(home.project)
    assert await look(scene.objects, home.project) is not None


async def test_old_snapshots_of_a_project_that_nobody_edits_go_and_then_nothing_is_asked_any_more(scene: Scene) -> None:
    home = scene.home
    for _ in range(3):
        await home.write("a.md", f"{home.clock.now}")
        await scene.follower.follow(home.project)
        home.clock.advance(3600)
    follower = put_together(home, scene.objects, keep=5 * DAY).follower
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.run)
        with anyio.fail_after(20):
            while len(await scene.numbers()) > 1:
                home.clock.now += DAY
                scene.wake()
                await anyio.sleep(0.01)
        assert await scene.blobs() == 1
        home.clock.now += DAY
        scene.wake()
        await anyio.sleep(0.1)
        scene.objects.requests.clear()
        for _ in range(20):
            home.clock.now += DAY
            scene.wake()
            await anyio.wait_all_tasks_blocked()
        assert scene.objects.requests.total() == 0
        tasks.cancel_scope.cancel()
    found = await scene.found()
    assert found is not None
    assert found.contents == found.files == await home.files()
    again = put_together(home, scene.objects, keep=5 * DAY).follower
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again.run)
        home.clock.now += DAY
        scene.wake()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert scene.objects.requests.total() == 0


async def test_a_sweep_that_had_no_time_for_everything_is_ended_by_the_next(scene: Scene) -> None:
    sweeper = put_together(scene.home, scene.objects, keep=2 * HOUR).sweeper
    await made(scene, 6, every=2 * HOUR)

    async def time_passes() -> None:
        scene.home.clock.now += 2 * MINUTE

    scene.objects.meanwhile("list", "/blobs/", time_passes)
    assert not (await scene.sweep(sweeper)).whole
    assert await scene.blobs() == 6
    await made(scene, 1, every=0)
    assert (await sweeper.plan(scene.home.project)).unswept
    assert (await scene.sweep(sweeper)).whole
    assert await scene.blobs() == 2
    assert not (await sweeper.plan(scene.home.project)).unswept


# commits


async def test_of_each_commit_it_is_known_which_snapshot_holds_it(scene: Scene) -> None:
    home = scene.home
    key = "s3://here/" + Place(home.project.id).manifests
    await home.write("a.md", "one")
    await home.snapshotter.snapshot(home.project)
    assert await scene.follower.holding(home.project.id) == {}
    await scene.follower.follow(home.project)
    assert await scene.follower.holding(home.project.id) == {1: f"{key}1.json"}
    await home.write("a.md", "two")
    await scene.follower.follow(home.project)
    await home.snapshotter.snapshot(home.project)
    await scene.follower.follow(home.project)
    assert await scene.follower.holding(home.project.id) == {1: f"{key}1.json", 2: f"{key}2.json"}
    assert await scene.objects.exists(Place(home.project.id).manifest(2))


async def test_a_commit_names_no_snapshot_that_was_swept_away(scene: Scene) -> None:
    home = scene.home
    follower = put_together(home, scene.objects, keep=HOUR).follower
    for _ in range(4):
        await home.write("a.md", f"{home.clock.now}")
        await home.snapshotter.snapshot(home.project)
        await follower.follow(home.project)
        home.clock.advance(6 * 3600)
    numbers = await scene.numbers()
    named = {
        int(place.rpartition("/")[2].removesuffix(".json"))
        for place in (await follower.holding(home.project.id)).values()
    }
    assert named
    assert named <= numbers
    assert len(named) < 4


async def test_commits_of_before_are_not_said_to_lie_in_another_bucket(scene: Scene) -> None:
    home = scene.home
    for text in ("one", "two"):
        await home.write("a.md", text)
        await home.snapshotter.snapshot(home.project)
        await scene.follower.follow(home.project)
    elsewhere = put_together(home, FaultyObjects(MemoryObjects()), where="s3://there").follower
    await elsewhere.follow(home.project)
    place = Place(home.project.id)
    assert await elsewhere.holding(home.project.id) == {2: f"s3://there/{place.manifest(1)}"}
