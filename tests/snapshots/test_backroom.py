"""A process that stays: what it answers, what becomes of those who wait when it dies, and when it ends."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import AsyncIterator

import anyio
import psutil
import pytest

from collab.errors import PathTaken, Unavailable
from snapshots.backroom import Backroom

pytestmark = pytest.mark.anyio

MODULE = "tests.snapshots.answering"


@pytest.fixture
async def room() -> AsyncIterator[Backroom]:
    async with Backroom(MODULE, "first") as made:
        yield made


async def until(path: pathlib.Path, text: str) -> None:
    with anyio.fail_after(10):
        while not said(path, text):  # noqa: ASYNC110
            await anyio.sleep(0.01)


def said(path: pathlib.Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


async def test_nothing_runs_before_somebody_asks_and_one_process_answers_everybody(room: Backroom) -> None:
    assert room.process is None
    found: list[tuple[str, int, object]] = []

    async def ask(value: object) -> None:
        found.append(await room.ask("echo", value))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, {"number": number, "path": "caf\udce9"})
    assert {each[0] for each in found} == {"first"}
    assert sorted(each[1] for each in found) == list(range(1, 21))
    assert await room.ask("process") == room.process != os.getpid()


async def test_errors_come_back_as_they_were_raised(room: Backroom) -> None:
    with pytest.raises(PathTaken, match="taken") as taken:
        await room.ask("refuse")
    assert (taken.value.field, taken.value.details) == ("path", {"path": "a.md"})
    with pytest.raises(Unavailable, match="a fault of ours"):
        await room.ask("stumble")
    with pytest.raises(Unavailable, match="no answer that can be sent"):
        await room.ask("unspeakable")
    assert (await room.ask("echo", 1))[2] == 1


async def test_whoever_waits_when_it_dies_is_told_and_the_next_gets_another_one(
    room: Backroom, tmp_path: pathlib.Path
) -> None:
    told: list[str] = []

    async def wait() -> None:
        try:
            await room.ask("wait", tmp_path / "marker")
        except Unavailable as error:
            told.append(error.message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await until(tmp_path / "marker", "begun")
        with pytest.raises(Unavailable, match="status 9"):
            await room.ask("die")
    assert len(told) == 1
    assert await room.ask("echo", 1) == ("first", 1, 1)


async def test_it_may_be_killed_between_two_questions(room: Backroom) -> None:
    first = await room.ask("process")
    os.kill(first, signal.SIGKILL)
    with anyio.fail_after(10):
        while room.process is not None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    assert await room.ask("process") != first


async def test_whoever_stops_waiting_stops_the_work(room: Backroom, tmp_path: pathlib.Path) -> None:
    marker = tmp_path / "marker"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.ask, "wait", marker)
        await until(marker, "begun")
        tasks.cancel_scope.cancel()
    await until(marker, "stopped")
    assert (await room.ask("echo", 1))[1] == 1


async def test_it_ends_when_nobody_has_asked_for_a_while_and_comes_back(tmp_path: pathlib.Path) -> None:
    async with Backroom(MODULE, "first", idle=0.05) as room:
        first = await room.ask("process")
        with anyio.fail_after(10):
            while psutil.pid_exists(first):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert await room.ask("process") != first


async def test_it_is_gone_with_whoever_had_it(tmp_path: pathlib.Path) -> None:
    async with Backroom(MODULE, "first") as room:
        process = await room.ask("process")
    assert not psutil.pid_exists(process)
