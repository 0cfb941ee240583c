"""Many at once, and never more than allowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
import pytest

from collab.crowd import each, each_as_it_comes

pytestmark = pytest.mark.anyio


async def test_all_are_done_and_never_more_at_once_than_allowed() -> None:
    done, now, most = [], 0, 0

    async def work(item: int) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await anyio.lowlevel.checkpoint()
        now -= 1
        done.append(item)

    await each(range(20), work, at_once=3)
    assert sorted(done) == list(range(20))
    assert most == 3


async def test_the_first_failure_stops_the_rest_and_is_raised_as_itself() -> None:
    begun = []

    async def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise KeyError(item)
        await anyio.sleep_forever()

    with pytest.raises(KeyError), anyio.fail_after(5):
        await each(range(100), work, at_once=3)
    assert begun == [0, 1, 2]


class Bringer:
    """Numbers, and how many were asked for."""

    def __init__(self, most: int, *, breaks: bool = False) -> None:
        self.most, self.breaks, self.asked, self.closed = most, breaks, 0, False

    async def bring(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.most):
                self.asked += 1
                await anyio.lowlevel.checkpoint()
                yield number
            if self.breaks:
                raise KeyError("broken off")
        finally:
            self.closed = True


async def test_what_is_brought_is_asked_for_no_sooner_than_it_is_worked_on() -> None:
    bringer, done = Bringer(30), []

    async def work(item: int) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(item)
        assert bringer.asked <= len(done) + 4

    await each_as_it_comes(bringer.bring(), work, at_once=3)
    assert sorted(done) == list(range(30))
    assert bringer.closed


async def test_the_first_failure_is_the_workers_or_the_bringers() -> None:
    bringer, done = Bringer(30), []

    async def work(item: int) -> None:
        if item == 3:
            raise ValueError(item)
        done.append(item)

    with pytest.raises(ValueError, match="3"), anyio.fail_after(5):
        await each_as_it_comes(bringer.bring(), work, at_once=2)
    assert bringer.closed
    assert bringer.asked < 10

    done.clear()
    with pytest.raises(KeyError), anyio.fail_after(5):
        await each_as_it_comes(Bringer(3, breaks=True).bring(), work, at_once=2)
    assert done == [0, 1, 2]
