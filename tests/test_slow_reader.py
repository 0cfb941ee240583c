"""One peer among twenty stops reading: the others do not notice, the server's memory stays bounded, and it is whole when it wakes."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import httpx
import psutil
import pytest

from tests.harness.peer import Peer, alike, crowd
from tests.harness.server import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.serial]

PEERS = 20
BLOCK = 40_000
"""Bytes of one edit. The file is always about one block long, so that the traffic costs bandwidth and not document."""
EDITS = 1_000
TRAFFIC = BLOCK * EDITS
BOUND = 24_000_000
"""The server may grow by this much: less than what the stalled peer was not sent."""
BUFFER = 16_384
"""Of the stalled peer's socket, so that the system does not read for it."""
DELAY = 0.25
"""Seconds that nearly every edit is saved within while somebody is stalled; it takes 5 ms on a machine at rest."""


async def test_a_stalled_peer_costs_the_others_nothing_and_the_server_little(
    spawn: Callable[..., ServerProcess],
) -> None:
    server = spawn()
    async with crowd() as people:
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
            (await api.post("/projects", json={"name": "notes"})).raise_for_status()
            (await api.put("/projects/notes/files/a.md", content=b"")).raise_for_status()
        stalled = people.peer(server, "notes", "a.md")
        await stalled.connect(buffer=BUFFER)
        awake = [await people.join(server, "notes", "a.md") for _ in range(PEERS - 1)]
        await _type(awake[0], 50)
        await alike(stalled, *awake)

        stalled.pause()
        before = most = _memory(server)
        delays: list[float] = []
        for _ in range(EDITS // 50):
            delays += await _type(awake[0], 50)
            most = max(most, _memory(server))
        text = await alike(*awake)
        assert str(stalled) != text, "it was not stalled"
        assert most - before < BOUND, f"{(most - before) / 1e6:.0f} MB more for {TRAFFIC / 1e6:.0f} MB of traffic"
        assert sorted(delays)[int(len(delays) * 0.98)] < DELAY, f"the slowest: {sorted(delays)[-20:]}"

        stalled.resume()
        assert await alike(stalled, *awake) == text
        await stalled.append("awake again")
        await stalled.saved()
        assert (await alike(stalled, *awake)).endswith("awake again")


async def _type(peer: Peer, edits: int) -> list[float]:
    """Replaces the whole text, time and again; seconds until each was saved."""
    delays = []
    for _ in range(edits):
        start = time.perf_counter()
        await peer.replace(0, len(str(peer)), f"{peer.edits} ".ljust(BLOCK, "x"))
        await peer.saved()
        delays.append(time.perf_counter() - start)
        await anyio.lowlevel.checkpoint()
    return delays


def _memory(server: ServerProcess) -> int:
    return int(psutil.Process(server.pid).memory_info().rss)
