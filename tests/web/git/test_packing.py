"""So many packs are made at a time; nobody has all the turns, and nobody waits for ever."""

from __future__ import annotations

import anyio
import pytest

from collab.errors import Unavailable
from collab.ids import ActorId
from web.git import packing
from web.git.packing import Packing

pytestmark = pytest.mark.anyio

ALICE, BOB = ActorId("alice"), ActorId("bob")


async def test_one_who_asks_for_much_leaves_a_turn_for_others() -> None:
    turns = Packing(3)
    begun: list[str] = []
    end = anyio.Event()

    async def pack(who: ActorId) -> None:
        async with turns.turn(who):
            begun.append(who)
            await end.wait()

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(pack, ALICE)
        await anyio.wait_all_tasks_blocked()
        assert begun == [ALICE, ALICE]
        tasks.start_soon(pack, BOB)
        await anyio.wait_all_tasks_blocked()
        assert begun == [ALICE, ALICE, BOB]
        end.set()
    assert sorted(begun) == [ALICE] * 5 + [BOB]


async def test_whoever_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PATIENCE", 0.01)
    turns = Packing(1)
    end = anyio.Event()

    async def alice() -> None:
        async with turns.turn(ALICE):
            await end.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alice)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Unavailable, match="try again soon"):
            async with turns.turn(BOB):
                pytest.fail("there was no turn to be had")
        end.set()
    async with turns.turn(BOB):
        pass
