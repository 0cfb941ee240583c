"""The contract Bus, over every adapter."""

from __future__ import annotations

import anyio
import pytest

from collab.bus.base import Bus
from collab.bus.local import LocalBus
from collab.ids import ProjectId

pytestmark = pytest.mark.anyio

NOTES = ProjectId("notes")
DIARY = ProjectId("diary")


@pytest.fixture(params=["local"])
def bus(request: pytest.FixtureRequest) -> Bus:
    return LocalBus()


async def test_whoever_listens_hears_of_news(bus: Bus) -> None:
    heard = []
    async with bus.subscribe(NOTES) as alice, bus.subscribe(NOTES) as bob:
        for number in (1, 2, 3):
            bus.publish(NOTES, number)
            with anyio.fail_after(5):
                heard.append((await anext(alice), await anext(bob)))
    assert heard == [(1, 1), (2, 2), (3, 3)]


async def test_whoever_waits_is_woken(bus: Bus) -> None:
    async with anyio.create_task_group() as group, bus.subscribe(NOTES) as news:
        with anyio.fail_after(5):
            waiting = anyio.Event()

            async def publish() -> None:
                await waiting.wait()
                await anyio.wait_all_tasks_blocked()
                bus.publish(NOTES, 7)

            group.start_soon(publish)
            waiting.set()
            assert await anext(news) == 7


async def test_hints_that_nobody_took_are_one_hint(bus: Bus) -> None:
    async with bus.subscribe(NOTES) as news:
        for number in (1, 3, 2):
            bus.publish(NOTES, number)
        assert await anext(news) == 3
        with anyio.move_on_after(0.01) as scope:
            await anext(news)
        assert scope.cancelled_caught


async def test_nobody_hears_of_other_projects(bus: Bus) -> None:
    async with bus.subscribe(NOTES) as news:
        bus.publish(DIARY, 9)
        bus.publish(NOTES, 1)
        assert await anext(news) == 1


async def test_news_of_all_projects_come_each_once(bus: Bus) -> None:
    async with bus.subscribe_all() as news:
        for project in (NOTES, DIARY, NOTES, NOTES):
            bus.publish(project, 1)
        assert [await anext(news), await anext(news)] == [NOTES, DIARY]
        bus.publish(NOTES, 2)
        assert await anext(news) == NOTES


async def test_whoever_left_hears_nothing(bus: Bus) -> None:
    async with bus.subscribe(NOTES) as news, bus.subscribe_all():
        pass
    bus.publish(NOTES, 1)
    with anyio.move_on_after(0.01) as scope:
        await anext(news)
    assert scope.cancelled_caught


async def test_closing_ends_everybody(bus: Bus) -> None:
    heard: list[int | ProjectId] = []

    async def follow(ready: anyio.Event) -> None:
        async with bus.subscribe(NOTES) as news:
            ready.set()
            async for number in news:
                heard.append(number)  # noqa: PERF401 - what was heard before the end counts too

    async def follow_all(ready: anyio.Event) -> None:
        async with bus.subscribe_all() as news:
            ready.set()
            async for project in news:
                heard.append(project)  # noqa: PERF401

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for follower in (follow, follow_all):
                ready = anyio.Event()
                group.start_soon(follower, ready)
                await ready.wait()
            bus.publish(NOTES, 4)
            await bus.aclose()
        assert sorted(map(str, heard)) == ["4", "notes"]
        async with bus.subscribe(NOTES) as news:
            assert [number async for number in news] == []
