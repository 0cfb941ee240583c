"""Saved means saved: a real server is killed with -9 while people type, and nothing that it called saved is missing or doubled.

Every person types tokens that nobody else types, and knows which of them the server has called saved. After each kill the
server is started again at once, on the same port and data, and what it then has is held against that, before anybody comes
back with what he still remembers; then everybody comes back, and everything is there exactly once.
"""

from __future__ import annotations

import pathlib
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import anyio
import httpx
import psutil
import pytest

from tests.harness.peer import Crowd, Peer, crowd
from tests.harness.server import ServerProcess
from tests.harness.tokens import Verdict, check, token
from tests.harness.until import until_awaited

pytestmark = pytest.mark.anyio

PROJECT = "notes"
FILES = ("a.md", "b.md")
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")
TORTURE = 200
LONGEST = 0.25
"""Seconds of typing between two kills, at most."""
IMPORTED = 3_000
"""Files of an import that is killed."""
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

    async def type_until_killed(self, moment: Callable[[], Awaitable[object]] | None = None) -> None:
        """Killed when `moment` is over; by default that is a random one."""
        async with anyio.create_task_group() as tasks:
            for typist in self.typists:
                tasks.start_soon(typist.type)
            await (moment or self.some_time)()
            self.server.kill()
            for typist in self.typists:
                await typist.peer.closed()

    async def some_time(self) -> None:
        """Not a wait for anything: the moment of the kill."""
        await anyio.sleep(self.chance.uniform(0, LONGEST))

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


async def killed(room: Office, moment: Callable[[], Awaitable[object]] | None = None) -> None:
    """One kill, one start at once, and what was saved is there."""
    await room.type_until_killed(moment)
    room.server.restart()
    verdicts = await room.verdicts()
    assert all(verdict.good for verdict in verdicts), f"{verdicts}"
    await room.everybody_comes_back()


async def endure(server: ServerProcess, kills: int) -> None:
    async with office(server, seed=kills) as room:
        for _ in range(kills):
            await killed(room)
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


@pytest.mark.parametrize("part", [0.0, 0.2, 0.6])
async def test_a_kill_during_an_import_leaves_all_of_it_or_nothing(
    spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path, part: float
) -> None:
    """At the first of the three moments the worker that reads the repository is alive; it ends by itself."""
    source = tmp_path / "source"
    await anyio.to_thread.run_sync(make_repository, source)
    server = spawn()
    workers: set[psutil.Process] = set()
    states: list[str] = []
    async with office(server, seed=3) as room, client(server) as api:
        (await api.post("/projects", json={"name": "handbook"})).raise_for_status()
        job = await start_import(api, source)

        async def so_much_is_done() -> bool:
            workers.update(server.children())
            state = await progress(api, job)
            states.append(state["state"])
            return state["state"] != "running" or (bool(workers) and state["done"] >= part * IMPORTED)

        await killed(room, lambda: until_awaited(so_much_is_done, "a worker at work"))
        assert states[-1] == "running", "the import was over before the kill"
        assert not psutil.wait_procs(list(workers), timeout=20)[1], "a worker outlived its server"
        state = await progress(api, job)
        there = (await api.get("/projects/handbook/files")).raise_for_status().json()["files"]
        assert (state["state"], len(there)) in {("failed", 0), ("done", IMPORTED)}
        if not there:
            assert state["message"]
            again = await start_import(api, source)

            async def is_done() -> bool:
                return bool((await progress(api, again))["state"] == "done")

            await until_awaited(is_done, "the second import", seconds=60)
        there = (await api.get("/projects/handbook/files")).raise_for_status().json()["files"]
        assert len(there) == IMPORTED


async def test_kills_during_snapshots_end_with_one_commit_each(spawn: Callable[..., ServerProcess]) -> None:
    server = spawn()
    repository = server.data / "git" / f"{PROJECT}.git"
    async with office(server, seed=4) as room:
        for number in range(5):
            await killed(room, lambda number=number: snapshot_until_killed(room, f"round {number}"))  # type: ignore[misc]
        async with client(server) as api:
            last = await api.post(f"/projects/{PROJECT}/snapshots", json={"message": "the last"})
            assert last.raise_for_status().json()["state"] == "done"
            for path in FILES:
                assert git(repository, "show", f"main:{path}") == await read(api, path)
        git(repository, "fsck", "--strict")
        messages = git(repository, "log", "--format=%s", "main").splitlines()
        assert len(messages) == len(set(messages)), f"a snapshot was committed twice: {messages}"
        trees = git(repository, "log", "--format=%T", "main").splitlines()
        assert all(tree != parent for tree, parent in pairwise(trees)), "a commit changes nothing"


async def snapshot_until_killed(room: Office, message: str) -> None:
    async with client(room.server) as api, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with suppress(httpx.TransportError):  # the kill comes before the answer, mostly
                await api.post(f"/projects/{PROJECT}/snapshots", json={"message": message})

        tasks.start_soon(ask)
        await anyio.sleep(room.chance.uniform(0, LONGEST))
        tasks.cancel_scope.cancel()


def make_repository(folder: pathlib.Path) -> None:
    for number in range(IMPORTED):
        file = folder / f"part-{number // 100:02}" / f"{number:04}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"chapter {number}\n" * 40)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Alice", "-c", "user.email=alice@example.org", "commit", "--quiet", "-m", "Everything")


def git(folder: pathlib.Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def start_import(api: httpx.AsyncClient, source: pathlib.Path) -> str:
    reply = await api.post("/projects/handbook/import", json={"git": str(source)})
    return str(reply.raise_for_status().json()["job"]["id"])


async def progress(api: httpx.AsyncClient, job: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/projects/handbook/import/{job}")).raise_for_status().json()["job"]
    return found


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
