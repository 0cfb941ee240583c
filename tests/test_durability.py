"""Saved means saved: a real server is killed with -9 while people type, and nothing that it called saved is missing or doubled.

Every person types tokens that nobody else types, and knows which of them the server has called saved. After each kill the
server is started again at once, on the same port and data, and what it then has is held against that, before anybody comes
back with what he still remembers; then everybody comes back, and everything is there exactly once.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from tests.harness.peer import Crowd, Peer, crowd
from tests.harness.server import ServerProcess
from tests.harness.tokens import Verdict, check, token

pytestmark = pytest.mark.anyio

PROJECT = "notes"
FILES = ("a.md", "b.md")
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")
TORTURE = 200
LONGEST = 0.25
"""Seconds of typing between two kills, at most."""
IN_FLIGHT = 40
"""Edits of one person that are not saved yet, at most: more would only measure how long a queue is."""


class Typist:
    """Types one token after the other into one file, as fast as the server saves them."""

    def __init__(self, name: str, path: str, peer: Peer, chance: random.Random) -> None:
        self.name, self.path, self.peer, self.chance = name, path, peer, chance

    def tokens(self, count: int) -> list[str]:
        """The first so many that he typed."""
        return [token(self.name, number) for number in range(1, count + 1)]

    async def type(self) -> None:
        while self.peer.connected:
            await self.peer.hears(self._may_go_on, f"{self.name}'s edits saved")
            await self._one_more()

    def _may_go_on(self) -> bool:
        return self.peer.edits - self.peer.durable < IN_FLIGHT or not self.peer.connected

    async def _one_more(self) -> None:
        """At the beginning of some line."""
        lines = str(self.peer).splitlines(keepends=True)
        index = sum(map(len, lines[: self.chance.randrange(len(lines) + 1)]))
        await self.peer.insert(index, token(self.name, self.peer.edits + 1) + "\n")


class Office:
    """A server and the people who type on it."""

    def __init__(self, server: ServerProcess, typists: list[Typist], chance: random.Random) -> None:
        self.server, self.typists, self.chance = server, typists, chance

    async def type_until_killed(self) -> None:
        async with anyio.create_task_group() as tasks:
            for typist in self.typists:
                tasks.start_soon(typist.type)
            await anyio.sleep(self.chance.uniform(0, LONGEST))  # not a wait for anything: the moment of the kill
            self.server.kill()
            for typist in self.typists:
                await typist.peer.closed()

    async def verdicts(self) -> list[Verdict]:
        """What the server has of what it had called saved."""
        return await self._held_against(lambda typist: typist.peer.durable)

    async def verdicts_on_everything(self) -> list[Verdict]:
        return await self._held_against(lambda typist: typist.peer.edits)

    async def _held_against(self, count: Callable[[Typist], int]) -> list[Verdict]:
        async with client(self.server) as api:
            return [check(await read(api, path), self._promised(path, count)) for path in FILES]

    def _promised(self, path: str, count: Callable[[Typist], int]) -> list[str]:
        here = [typist for typist in self.typists if typist.path == path]
        return [each for typist in here for each in typist.tokens(count(typist))]

    async def everybody_comes_back(self) -> None:
        for typist in self.typists:
            await typist.peer.reconnect()
        for typist in self.typists:
            await typist.peer.saved()


@asynccontextmanager
async def client(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
        yield api


async def read(api: httpx.AsyncClient, path: str) -> str:
    reply = await api.get(f"/projects/{PROJECT}/files/{path}")
    reply.raise_for_status()
    return reply.text


@asynccontextmanager
async def office(server: ServerProcess, seed: int) -> AsyncIterator[Office]:
    chance = random.Random(seed)
    async with crowd() as people:
        async with client(server) as api:
            (await api.post("/projects", json={"name": PROJECT})).raise_for_status()
            for path in FILES:
                (await api.put(f"/projects/{PROJECT}/files/{path}", content=b"")).raise_for_status()
        yield Office(server, [await _typist(people, server, number, chance) for number in range(len(NAMES))], chance)


async def _typist(people: Crowd, server: ServerProcess, number: int, chance: random.Random) -> Typist:
    path = FILES[number % len(FILES)]
    return Typist(NAMES[number], path, await people.join(server, PROJECT, path), chance)


async def endure(server: ServerProcess, kills: int) -> None:
    async with office(server, seed=kills) as room:
        for number in range(kills):
            await room.type_until_killed()
            server.restart()
            verdicts = await room.verdicts()
            assert all(verdict.good for verdict in verdicts), f"after kill {number + 1}: {verdicts}"
            await room.everybody_comes_back()
        verdicts = await room.verdicts_on_everything()
        assert all(verdict.good for verdict in verdicts), f"in the end: {verdicts}"
        assert sum(typist.peer.edits for typist in room.typists) > kills, "nobody typed"


async def test_nothing_saved_is_lost_or_doubled_by_kills_at_random_moments(
    spawn: Callable[..., ServerProcess], request: pytest.FixtureRequest
) -> None:
    await endure(spawn(), request.config.getoption("--kills"))


@pytest.mark.torture
@pytest.mark.timeout(3600)
async def test_nothing_saved_is_lost_or_doubled_by_two_hundred_kills(spawn: Callable[..., ServerProcess]) -> None:
    await endure(spawn(), TORTURE)


async def test_the_check_notices_a_log_that_has_lost_its_tail(spawn: Callable[..., ServerProcess]) -> None:
    """The negative control: the same people, the same check, and a disk that forgot the last minute."""
    server = spawn()
    async with office(server, seed=1) as room:
        await room.type_until_killed()
        earlier = server.data.with_name("earlier")
        shutil.copytree(server.data, earlier)
        server.restart()
        await room.everybody_comes_back()
        await _type_something_that_is_saved(room)
        server.kill()
        shutil.rmtree(server.data)
        earlier.rename(server.data)
        server.restart()
        verdicts = await room.verdicts()
        assert any(verdict.missing for verdict in verdicts), "the check did not notice that saved edits are gone"


async def _type_something_that_is_saved(room: Office) -> None:
    for typist in room.typists:
        await typist.peer.append(token(typist.name, typist.peer.edits + 1) + "\n")
        await typist.peer.saved()


async def test_the_check_notices_what_is_missing_doubled_or_torn() -> None:
    alice, bob = token("alice", 1), token("bob", 1)
    assert check(f"{alice}\n{bob}\n", [alice, bob]).good
    assert check(f"{alice}\n", [alice, bob]).missing == (bob,)
    assert check(f"{alice}\n{bob}{alice}\n", [alice]).doubled == (alice,)
    assert check(f"{alice[:4]}{bob}{alice[4:]}", [bob]).torn
