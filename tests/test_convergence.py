"""Convergence is a property: whatever peers do and whatever the wire does, in the end everybody has the same text.

The state machine runs rooms in this process over a wire that stands still until a rule moves it. A smaller version runs over
real sockets against a real server that is killed. Recorded typing of several people at once ends where it ended for them.
"""

from __future__ import annotations

import asyncio
import pathlib
import random
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from collab.errors import LogFailed, Unavailable
from tests.harness import traces
from tests.harness.local import LocalPeer
from tests.harness.peer import Peer, alike, crowd
from tests.harness.server import ServerProcess
from tests.harness.until import auntil
from tests.harness.world import World

ALPHABET = "ab \n\t中文é😀👩‍🚀🇨🇭"
ALICE, ALICE_ELSEWHERE = 0, 1
"""One person with two tabs, which tell each other what they have."""
NAMES = ("alice", "alice", "bob", "carol")

snippets = st.text(ALPHABET, max_size=6)
places = st.floats(0, 1)
whom = st.integers(0, len(NAMES) - 1)
amount = st.integers(1, 5)


class Peers(RuleBasedStateMachine):
    """In memory; `PeersOnDisk` is the same on SQLite."""

    on_disk: ClassVar[bool] = False

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(pathlib.Path(self.folder.name) if self.on_disk else None)
        self.peers = [LocalPeer(name) for name in NAMES]
        self.run(self.world.start())
        self.run(self.world.create())
        for peer in self.peers:
            self.run(self.world.connect(peer))

    def run(self, steps: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(steps)

    @rule(who=whom, edits=st.lists(st.tuples(places, st.integers(0, 4), snippets), min_size=1, max_size=5))
    def somebody_types(self, who: int, edits: list[tuple[float, int, str]]) -> None:
        for at, delete, insert in edits:
            self.peers[who].edit(at, delete, insert)

    @rule(who=whom, out=amount, back=amount)
    def frames_arrive(self, who: int, out: int, back: int) -> None:
        self.run(_frames(self.peers[who], out, back))

    @rule(out=amount, back=amount)
    def frames_arrive_everywhere(self, out: int, back: int) -> None:
        for peer in self.peers:
            self.run(_frames(peer, out, back))

    @rule(who=whom, comes_back=st.booleans())
    def the_cable_is_pulled(self, who: int, comes_back: bool) -> None:
        self.run(_now(self.peers[who].drop))
        if comes_back:
            self.run(self.world.connect(self.peers[who]))

    @rule()
    def everybody_connects(self) -> None:
        for peer in self.peers:
            if not peer.connected:
                self.run(self.world.connect(peer))

    @rule(at=places, insert=snippets)
    def somebody_edits_by_http(self, at: float, insert: str) -> None:
        self.run(self.world.edit("agent", lambda text: _inserted(text, at, insert)))

    @rule(trouble=st.sampled_from(("tabs", "compaction", "disk", "restart")))
    def something_else_happens(self, trouble: str) -> None:
        match trouble:
            case "tabs":
                self.peers[ALICE_ELSEWHERE].overhear(self.peers[ALICE])
            case "compaction":
                self.run(self.world.compact())
            case "disk":
                self._the_disk_refuses()
            case "restart":
                self._the_server_restarts()

    def _the_disk_refuses(self) -> None:
        """Whoever was there is thrown out and comes back later."""
        self.world.store.failures = 1
        with pytest.raises((LogFailed, Unavailable)):
            self.run(self.world.edit("agent", lambda text: text + "!"))
        self.world.store.failures = 0

    def _the_server_restarts(self) -> None:
        self.run(self.world.stop())
        for peer in self.peers:
            self.run(_now(peer.drop))
        self.run(self.world.start())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.run(self.everybody_ends_alike())
        finally:
            self.run(self.world.stop())
            self.runner.close()
            self.folder.cleanup()

    async def everybody_ends_alike(self) -> None:
        await settled(self.world, self.peers)
        text, _ = await self.world.live()
        assert [str(peer) for peer in self.peers] == [text] * len(self.peers)
        assert await self.world.logged() == text
        assert [peer.durable for peer in self.peers] == [peer.edits for peer in self.peers]
        assert [peer.refused for peer in self.peers] == [[]] * len(self.peers), (
            "an honest peer was turned away for good"
        )


class PeersOnDisk(Peers):
    on_disk = True


Peers.TestCase.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
PeersOnDisk.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPeers = Peers.TestCase
TestPeersOnDisk = PeersOnDisk.TestCase


async def _frames(peer: LocalPeer, out: int, back: int) -> None:
    """So many arrive at the server, which has some time for them, then so many here."""
    peer.send(out)
    for _ in range(6):
        await checkpoint()
    peer.receive(back)


def _inserted(text: str, at: float, insert: str) -> str:
    index = round(at * len(text))
    return text[:index] + insert + text[index:]


async def _now(action: Callable[[], None]) -> None:
    action()


async def settled(world: World, peers: list[LocalPeer]) -> None:
    """Everybody is there, and everything under way has arrived."""
    with anyio.fail_after(30):
        while not (_at_rest(peers) and {str(peer) for peer in peers} == {(await world.live())[0]}):
            for peer in peers:
                if not peer.connected:
                    await world.connect(peer)
                peer.send(1000)
                peer.receive(1000)
            await anyio.sleep(0.001)


def _at_rest(peers: list[LocalPeer]) -> bool:
    return all(peer.connected and peer.idle and peer.durable == peer.edits for peer in peers)


@pytest.mark.anyio
async def test_somebody_who_comes_in_while_a_commit_fails_is_told_to_come_back() -> None:
    world = World()
    await world.start()
    await world.create()
    alice, bob = LocalPeer("alice"), LocalPeer("bob")
    await world.connect(alice)
    await _frames(alice, 5, 5)
    world.store.failures = 1
    alice.edit(0, 0, "what the disk refuses")
    alice.send(5)
    await world.connect(bob)
    with anyio.fail_after(5):
        while alice.connected or bob.connected:
            alice.receive(5)
            bob.receive(5)
            await anyio.sleep(0.001)
    await settled(world, [alice, bob])
    assert str(bob) == "what the disk refuses"
    await world.stop()


# over real sockets


PATH = "shared.md"


@pytest.mark.anyio
async def test_peers_on_real_sockets_end_alike_after_drops_kills_and_edits_by_http(
    spawn: Callable[..., ServerProcess],
) -> None:
    server = await anyio.to_thread.run_sync(spawn)
    chance = random.Random(20_240_601)
    async with crowd() as people, _client(server) as api:
        await _make(api, "notes", PATH, "😀 begin\n")
        peers = [await people.join(server, "notes", PATH) for _ in range(4)]
        for step in range(120):
            await _something_happens(chance, peers, api, step)
            if step in {40, 80}:
                await anyio.to_thread.run_sync(server.kill)
                await anyio.to_thread.run_sync(server.restart)
        for peer in peers:
            await _come_back(peer)
        text = await alike(*peers)
        await auntil(lambda: all(peer.durable == peer.edits for peer in peers), "every edit saved")
        await _file_is(api, "notes", PATH, text)
        await anyio.to_thread.run_sync(server.kill)
        await anyio.to_thread.run_sync(server.restart)
        await _file_is(api, "notes", PATH, text)


async def _something_happens(chance: random.Random, peers: list[Peer], api: httpx.AsyncClient, step: int) -> None:
    peer = chance.choice(peers)
    match chance.choices(("edit", "drop", "back", "http"), (12, 2, 4, 1))[0]:
        case "edit":
            length = len(str(peer))
            insert = "".join(chance.choices(ALPHABET, k=chance.randrange(5)))
            await peer.replace(chance.randrange(length + 1), chance.randrange(3), insert)
        case "drop" if peer.connected:
            await peer.offline()
        case "back":
            await _come_back(peer)
        case "http":
            await _append(api, f"\nby http {step} 中")


async def _come_back(peer: Peer) -> None:
    if not peer.connected:
        await peer.reconnect()


async def _append(api: httpx.AsyncClient, line: str) -> None:
    """A `PUT` against what was read; somebody else's edit of the same place is a refusal, not a loss."""
    read = await api.get(f"/projects/notes/files/{PATH}")
    headers = {"if-match": read.headers["etag"]}
    written = await api.put(f"/projects/notes/files/{PATH}", content=read.content + line.encode(), headers=headers)
    assert written.status_code in {200, 409}, written.text


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["friendsforever", "clownschool"])
async def test_recorded_typing_of_several_people_ends_as_it_did_for_them(
    server: ServerProcess, async_api: httpx.AsyncClient, project: str, name: str
) -> None:
    recorded = traces.trace(name)
    await _make(async_api, project, PATH, "")
    async with crowd() as people:
        peers = [await people.join(server, project, PATH) for _ in recorded.authors]
        await _replay(recorded, peers)
        await auntil(lambda: {str(peer) for peer in peers} == {recorded.end}, "the recorded end", seconds=60)
        await _file_is(async_api, project, PATH, recorded.end)
        late = await people.join(server, project, PATH)
        assert str(late) == recorded.end


async def _replay(recorded: traces.Trace, peers: list[Peer]) -> None:
    """Nobody types on what has not reached him through the server."""
    for number, transaction in enumerate(recorded.transactions):
        author, peer = recorded.authors[transaction["agent"]], peers[transaction["agent"]]
        news = author.news(recorded, number)
        for client, clock in {recorded.ends[each] for each in news}:
            await peer.has(client, clock)
        author.sees([recorded.updates[each] for each in news])
        await peer.pass_on(author.type(recorded, number))


def _client(server: ServerProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30)


async def _make(api: httpx.AsyncClient, project: str, path: str, text: str) -> None:
    made = await api.post("/projects", json={"name": project})
    assert made.status_code in {201, 409}, made.text
    (await api.put(f"/projects/{project}/files/{path}", content=text.encode())).raise_for_status()


async def _file_is(api: httpx.AsyncClient, project: str, path: str, text: str) -> None:
    read = await api.get(f"/projects/{project}/files/{path}")
    assert read.text == text
