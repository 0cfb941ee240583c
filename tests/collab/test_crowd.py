"""Many at once, and never more than allowed."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from collab.crowd import each

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
