"""Sockets and what stands behind them: addresses, grants that end, renewal, a shutdown."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from collab import protocol
from tests.harness.peer import crowd
from tests.harness.server import ServerProcess

pytestmark = pytest.mark.anyio

PATH = "a.md"


async def token(api: httpx.AsyncClient, project: str, role: str) -> tuple[str, str]:
    """Of an agent of its own: the token, and the id under which it is revoked."""
    made = await api.post(f"/projects/{project}/tokens", json={"role": role, "agent": "robot"})
    made.raise_for_status()
    return made.json()["token"], made.json()["id"]


@pytest.mark.parametrize(
    "where", ["/sync", "/sync/", "/sync/project", "/sync/project/", "/elsewhere", "/sync/p/missing"]
)
async def test_an_address_that_names_no_file_is_accepted_and_closed_for_good(server: ServerProcess, where: str) -> None:
    url = server.url.replace("http", "ws", 1) + where + f"?token={server.token}"
    async with connect(url, proxy=None) as socket:
        with anyio.fail_after(10):
            await socket.wait_closed()
        assert socket.close_code == 4404


async def test_a_socket_ends_within_a_second_when_its_token_is_revoked(
    server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    (await async_api.put(f"/projects/{project}/files/{PATH}", content=b"")).raise_for_status()
    secret, number = await token(async_api, project, "editor")
    async with crowd() as people:
        robot = await people.join(server, project, PATH, token=secret)
        (await async_api.delete(f"/projects/{project}/tokens/{number}")).raise_for_status()
        with anyio.fail_after(1):
            assert await robot.closed() == 4401


async def test_a_socket_goes_on_with_a_token_of_its_own_actor_and_not_with_anothers(
    server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    (await async_api.put(f"/projects/{project}/files/{PATH}", content=b"")).raise_for_status()
    secret, _ = await token(async_api, project, "editor")
    async with crowd() as people:
        owner = await people.join(server, project, PATH)
        await owner.send(protocol.token(server.token))
        await owner.append("still here")
        await owner.saved()
        await owner.send(protocol.token(secret))
        assert await owner.closed() == 4403


async def test_at_shutdown_peers_are_told_to_come_back_and_what_they_sent_is_there_after(
    spawn: Callable[..., ServerProcess],
) -> None:
    server = spawn()
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        (await api.post("/projects", json={"name": "notes"})).raise_for_status()
        (await api.put(f"/projects/notes/files/{PATH}", content=b"")).raise_for_status()
    async with crowd() as people:
        peer = await people.join(server, "notes", PATH)
        await peer.append("last words")
        await peer.saved()
        await anyio.to_thread.run_sync(server.terminate)
        assert await peer.closed() == 1012
        server.restart()
        await peer.reconnect()
        await peer.append(", and more")
        await peer.saved()
        assert str(peer) == "last words, and more"
