"""The bell and the alarms."""

from __future__ import annotations

import time

import anyio
import pytest

from collab.bell import Alarms, Bell

pytestmark = pytest.mark.anyio


async def test_a_ring_is_heard_by_whoever_waits() -> None:
    bell, heard = Bell(), anyio.Event()

    async def listen() -> None:
        await bell.wait()
        heard.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.lowlevel.checkpoint()
        assert not heard.is_set()
        bell.ring()
        with anyio.fail_after(5):
            await heard.wait()


async def test_rings_that_nobody_waited_for_are_heard_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    with anyio.fail_after(5):
        await bell.wait()
    with anyio.move_on_after(0) as waited:
        await bell.wait()
    assert waited.cancelled_caught


async def test_a_wait_that_is_cancelled_leaves_the_bell_as_it_was() -> None:
    bell = Bell()
    with anyio.move_on_after(0):
        await bell.wait()
    bell.ring()
    with anyio.fail_after(5):
        await bell.wait()


async def test_alarms_go_off_in_the_order_of_their_times_and_not_before() -> None:
    alarms, rung, done = Alarms(), list[str](), anyio.Event()
    begin = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alarms.run)
        await anyio.lowlevel.checkpoint()
        alarms.at(begin + 0.06, done.set)
        alarms.at(begin + 0.02, lambda: rung.append("second"))
        alarms.at(begin, lambda: rung.append("first"))
        with anyio.fail_after(5):
            await done.wait()
        tasks.cancel_scope.cancel()
    assert rung == ["first", "second"]
    assert time.monotonic() >= begin + 0.06
