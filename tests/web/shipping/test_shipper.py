"""What is committed is in the backup a moment later, and comes back from there as it was, at any moment, whatever went wrong."""

from __future__ import annotations

import pathlib
import random
import shutil

import anyio
import pytest
from anyio.abc import TaskStatus

from collab.errors import Invalid, NotFound
from collab.ids import Millis
from collab.objects.memory import MemoryObjects
from tests.faulty_objects import FaultyObjects
from tests.harness.until import auntil
from tests.web.shipping.office import Clock, Office, numbers, office, restored
from web.shipping import copying, layout, shipper, spool
from web.shipping.shipper import Pace

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again soon."""
    monkeypatch.setattr(shipper, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(shipper, "LONGEST_WAIT", 0.1)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def objects() -> FaultyObjects:
    return FaultyObjects(MemoryObjects())


async def keys(objects: FaultyObjects, prefix: str) -> list[str]:
    return [key async for key in objects.objects.list(prefix)]


async def generations(objects: FaultyObjects) -> list[int]:
    return sorted({copy.generation for copy in await copying.copies(objects.objects)})


async def write_and_ship(alice: Office, first: int, count: int) -> None:
    """Each number in a segment of its own."""
    for number in range(first, first + count):
        await alice.write(number)
        await alice.shipped()


async def test_what_is_shipped_can_be_restored(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 5)
        await restored(objects, tmp_path / "again")
        assert numbers(tmp_path / "again") == [0, 1, 2, 3, 4]
        status = alice.shipper.status()
        assert (status.state, status.detail, status.seconds) == ("shipping", "", 0)
        assert status.at == alice.written[4]


async def test_any_moment_can_be_restored(folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path) -> None:
    chance = random.Random(1)
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 6)
        await alice.shipper.copy_now()
        await write_and_ship(alice, 6, 6)
        begin = alice.written[0] - 1000
        for count in range(12):
            at = Millis(chance.randrange(begin, alice.clock.now + 1000))
            await restored(objects, tmp_path / f"{count}", at)
            assert numbers(tmp_path / f"{count}") == [each for each in range(12) if alice.written[each] <= at]


async def test_what_was_before_the_backup_is_said_to_be_nowhere(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(NotFound, match="no backup here"):
        await restored(objects, tmp_path / "nothing")
    async with office(folder, objects) as alice:
        await alice.shipped()
    with pytest.raises(NotFound, match="begins at 2023-"):
        await restored(objects, tmp_path / "early", Millis(5))


async def test_after_an_orderly_end_the_chain_goes_on(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    clock = Clock()
    for round_ in range(3):
        async with office(folder, objects, clock=clock) as alice:
            await alice.write(2 * round_)
            await alice.shipped()
            await alice.write(2 * round_ + 1)  # shipped at the end
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2, 3, 4, 5]
    assert await generations(objects) == [1]


async def test_what_could_not_be_shipped_before_the_end_is_shipped_by_the_next_process(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    clock = Clock()
    async with office(folder, objects, clock=clock) as alice:
        await write_and_ship(alice, 0, 1)
        objects.down = True
        await alice.write(1)
    async with office(folder, objects, clock=clock, online=False) as alice:
        await alice.write(2)
    objects.down = False
    async with office(folder, objects, clock=clock) as alice:
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2]
    assert await generations(objects) == [1]


async def test_while_the_store_does_not_answer_everything_waits_and_then_follows_by_itself(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 2)
        objects.down = True
        for number in range(2, 8):
            await alice.write(number)
            await auntil(lambda: len(alice.shipper._spool.segments()) > 0, "a segment waits")
        await auntil(lambda: alice.shipper.status().state == "behind", "it says so")
        status = alice.shipper.status()
        assert "S3 does not answer" in status.detail
        assert status.seconds >= 5
        assert status.bytes > 0
        objects.down = False
        await alice.shipped()
        assert alice.shipper.status().state == "shipping"
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == list(range(8))
    assert await generations(objects) == [1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("key", ["OWNER", "copies/", "segments/", "pages/"])
async def test_a_request_that_fails_is_made_good(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path, key: str, *, after: bool
) -> None:
    for _ in range(2):
        objects.fail("put", key, after=after)
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 3)
        assert len(objects.orders) < 2
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2]


async def test_a_commit_that_is_too_large_for_one_segment_comes_in_parts(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 1)
        before = await alice.write(1)
        await alice.write(2, size=30_000_000)
        await write_and_ship(alice, 3, 1)
    assert any("." in key for key in await keys(objects, layout.SEGMENTS))
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2, 3]
    await restored(objects, tmp_path / "before", before)
    assert numbers(tmp_path / "before") in ([0], [0, 1])


async def test_a_segment_that_is_missing_is_named_with_what_can_be_restored(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 4)
    lost = (await keys(objects, layout.SEGMENTS))[-2]
    await objects.delete(lost)
    with pytest.raises(Invalid, match=r"missing.*give --at 2023-") as refused:
        await restored(objects, tmp_path / "again")
    moment = refused.value.message.split("--at ")[1]
    at = next(each for each in alice.written.values() if layout.shown(each) == moment)
    await restored(objects, tmp_path / "earlier", at)
    assert numbers(tmp_path / "earlier") == [each for each in range(4) if alice.written[each] <= at]


@pytest.mark.parametrize("prefix", [layout.PAGES, layout.SEGMENTS, layout.COPIES])
async def test_what_is_damaged_is_refused(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path, prefix: str
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 2)
    key = (await keys(objects, prefix))[-1]
    content = bytearray((await objects.get(key)).content)
    content[len(content) // 2] ^= 0xFF
    await objects.put(key, bytes(content))
    with pytest.raises(Invalid):
        await restored(objects, tmp_path / "again")


# -- copies, and what goes


async def test_a_copy_shares_what_has_not_changed(folder: pathlib.Path, objects: FaultyObjects) -> None:
    async with office(folder, objects) as alice:
        await alice.write(0, size=5_000_000)
        await alice.shipped()
        await alice.shipper.copy_now()
        before = set(await keys(objects, layout.PAGES))
        await write_and_ship(alice, 1, 1)
        await alice.shipper.copy_now()
        assert len(set(await keys(objects, layout.PAGES)) - before) <= 2


async def test_copies_are_made_when_they_are_due_and_something_has_changed(
    folder: pathlib.Path, objects: FaultyObjects
) -> None:
    async with office(folder, objects, pace=Pace(lag=0.02, renew=0.05, copy_every=60)) as alice:
        await alice.shipped()
        alice.clock.now += 61_000
        await write_and_ship(alice, 0, 1)
        await auntil(lambda: alice.shipper.status().copied_at == alice.clock.now, "a copy")
    assert len(await keys(objects, layout.COPIES)) == 2


async def test_a_copy_is_made_when_the_segments_have_grown_larger_than_it(
    folder: pathlib.Path, objects: FaultyObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "LEAST_SEGMENTS", 10_000)
    async with office(folder, objects) as alice:
        await alice.shipped()
        chance = random.Random(1)
        for number in range(100):
            await alice.write(number, size=chance.randrange(20_000))
            await alice.shipped()
            if len(await keys(objects, layout.COPIES)) > 1:
                return
    raise AssertionError("no copy was made")


async def test_every_moment_within_the_time_to_keep_stays_and_the_rest_goes(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    keep = 30
    async with office(folder, objects, pace=Pace(lag=0.02, renew=0.05, keep=keep)) as alice:
        for copies in range(5):
            await write_and_ship(alice, 10 * copies, 10)
            await alice.shipper.copy_now()
        since = alice.clock.now - keep * 1000
        for number in range(50):
            at = alice.written[number]
            if at < since:
                continue
            await restored(objects, tmp_path / f"{number}", at)
            assert numbers(tmp_path / f"{number}") == list(range(number + 1))
        first = min(copy.number for copy in await copying.copies(objects.objects))
        assert first > 0
        left = [layout.segment_of(key) for key in await keys(objects, layout.SEGMENTS)]
        assert min(place[1] for place in left if place) == first + 1
        with pytest.raises(NotFound, match="begins at"):
            await restored(objects, tmp_path / "too early", alice.written[2])
        named = {piece for copy in await copying.copies(objects.objects) for piece in copy.pieces}
        assert {key.removeprefix(layout.PAGES) for key in await keys(objects, layout.PAGES)} == named


async def test_a_generation_that_nobody_needs_goes_as_a_whole(folder: pathlib.Path, objects: FaultyObjects) -> None:
    pace = Pace(lag=0.02, renew=0.05, keep=5)
    async with office(folder, objects, pace=pace) as alice:
        await write_and_ship(alice, 0, 3)
        await alice.shipper._collector.give_up("the test says so")
        await write_and_ship(alice, 3, 10)
        await alice.shipper.copy_now()
        assert await generations(objects) == [2]
        assert {layout.segment_of(key)[0] for key in await keys(objects, layout.SEGMENTS)} <= {2}  # type: ignore[index]


# -- the chain breaks


async def test_after_somebody_changed_the_database_behind_its_back_another_generation_begins(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    clock = Clock()
    async with office(folder, objects, clock=clock) as alice:
        await write_and_ship(alice, 0, 2)
    shutil.copy2(folder / "quire.sqlite", tmp_path / "old.sqlite")
    (folder / "quire.sqlite").unlink()
    shutil.copy2(tmp_path / "old.sqlite", folder / "quire.sqlite")
    async with office(folder, objects, clock=clock) as alice:
        await write_and_ship(alice, 2, 2)
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2, 3]
    assert await generations(objects) == [1, 2]


async def test_a_damaged_segment_on_disk_begins_another_generation(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    clock = Clock()
    async with office(folder, objects, clock=clock) as alice:
        await write_and_ship(alice, 0, 2)
        objects.down = True
        await alice.write(2)
    waiting = next((folder / "backup").glob("000001-*"))
    waiting.write_bytes(waiting.read_bytes()[:-1])
    objects.down = False
    async with office(folder, objects, clock=clock) as alice:
        await write_and_ship(alice, 3, 1)
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2, 3]
    assert await generations(objects) == [1, 2]


async def test_without_room_on_the_disk_nothing_waits_there_and_later_another_generation_begins(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 2)
        with monkeypatch.context() as full:
            full.setattr(spool, "LEAST_FREE", 1 << 60)
            await alice.write(2)
            await auntil(lambda: alice.shipper.status().state == "behind", "it says so")
            assert "too little room" in alice.shipper.status().detail
            await alice.write(3)
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2, 3]
    assert len(await generations(objects)) == 2


async def test_a_bucket_that_somebody_has_emptied_is_filled_again(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 2)
        for key in await keys(objects, ""):
            await objects.delete(key)
        await auntil(lambda: alice.shipper.status().state != "shipping", "it is noticed")
        await alice.shipped()
        await write_and_ship(alice, 2, 1)
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [0, 1, 2]


# -- two servers


async def test_a_second_server_waits_and_says_so_until_the_first_has_ended(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    ended = anyio.Event()

    async def first(*, task_status: TaskStatus[Office]) -> None:
        async with office(folder, objects) as alice:
            await write_and_ship(alice, 0, 2)
            task_status.started(alice)
            await ended.wait()

    async with anyio.create_task_group() as tasks:
        alice = await tasks.start(first)
        async with office(tmp_path / "other", objects) as bob:
            await auntil(lambda: bob.shipper.status().state == "waiting", "the second waits")
            assert "another server ships" in bob.shipper.status().detail
            await write_and_ship(alice, 2, 1)
            assert alice.shipper.status().state == "shipping"
            ended.set()
            await bob.write(7)
            await bob.shipped()
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [7]


async def test_who_has_gone_without_a_word_is_waited_for_and_then_succeeded(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 1)
        gone = await objects.get(layout.OWNER)
    tag = (await objects.get(layout.OWNER)).tag
    await objects.put(layout.OWNER, gone.content, if_match=tag)
    async with office(tmp_path / "other", objects) as bob:
        await auntil(lambda: bob.shipper.status().state == "waiting", "it waits")
        await bob.write(7)
        await bob.shipped()


async def test_of_two_servers_on_copies_of_one_directory_the_older_stops_and_says_so(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 2)
        clone = tmp_path / "clone"
        shutil.copytree(folder, clone)
        async with office(clone, objects, clock=alice.clock) as bob:
            await bob.write(7)
            await bob.shipped()
            await alice.write(2)
            await auntil(lambda: alice.shipper.status().state == "waiting", "the older one stops")
            assert "another server ships" in alice.shipper.status().detail
            await write_and_ship(bob, 8, 1)
            assert bob.shipper.status().state == "shipping"
            await restored(objects, tmp_path / "again")
            assert numbers(tmp_path / "again") == [0, 1, 7, 8]
        await alice.shipped()
    await restored(objects, tmp_path / "last")
    assert numbers(tmp_path / "last") == [0, 1, 2]


async def test_an_idle_server_asks_for_nothing_but_to_stay_the_one(
    folder: pathlib.Path, objects: FaultyObjects
) -> None:
    async with office(folder, objects) as alice:
        await write_and_ship(alice, 0, 1)
        await auntil(lambda: ("get", copying.UNNAMED) in objects.keys, "the first copy is made, and swept after")
        objects.keys.clear()
        await auntil(lambda: len(objects.keys) >= 3, "the lease is renewed")
        assert {key for _, key in objects.keys} == {layout.OWNER}
