"""Stock Yjs peers in Node, ours between them, over the real server. Every one of them needs the server: `bc` is off."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, aconnect_ws
from pycrdt import Doc, Provider, Text
from pycrdt.websocket.websocket import HttpxWebsocket

from tests.harness.node import StockPeers, stock_peers
from tests.harness.peer import Crowd, crowd
from tests.harness.server import ServerProcess
from tests.harness.until import auntil

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("interop")]

PATH = "docs/a.md"
TWELVE, THIRTY = 12, 30


@pytest.fixture
async def stock() -> AsyncIterator[StockPeers]:
    async with stock_peers() as peers:
        yield peers


@pytest.fixture
async def people() -> AsyncIterator[Crowd]:
    async with crowd() as peers:
        yield peers


@pytest.fixture
async def room(async_api: httpx.AsyncClient, project: str) -> str:
    """A room with a small file in it, as a stock client names it."""
    await put(async_api, project, PATH, "begin 😀\n")
    return f"{project}/{PATH}"


async def put(api: httpx.AsyncClient, project: str, path: str, text: str) -> None:
    (await api.put(f"/projects/{project}/files/{path}", content=text.encode())).raise_for_status()


async def document_of(api: httpx.AsyncClient, project: str, path: str) -> str:
    files: list[dict[str, Any]] = (await api.get(f"/projects/{project}/files")).raise_for_status().json()["files"]
    return next(str(file["id"]) for file in files if file["path"] == path)


async def test_stock_peers_and_ours_edit_one_file(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    await stock.join("alice", server, room)
    ours = await people.join(server, project, PATH)
    await stock.join("bob", server, room)
    await stock.do("insert", "alice", at=0, text="héllo 中 ")
    await stock.do("contains", "bob", parts=["héllo 中 begin"])
    await ours.hears(lambda: "héllo 中 begin" in str(ours), "alice's edit")
    await ours.append("👩‍🚀 ours\n")
    text = "héllo 中 begin 😀\n👩‍🚀 ours\n"
    await stock.do("is", "alice", text=text)
    await stock.do("is", "bob", text=text)
    await stock.do("delete", "bob", at=0, length=len("héllo 中 "))
    await ours.hears(lambda: str(ours) == "begin 😀\n👩‍🚀 ours\n", "bob's deletion")


async def test_a_stock_pycrdt_provider_takes_part(
    stock: StockPeers, server: ServerProcess, room: str, async_api: httpx.AsyncClient, project: str
) -> None:
    await stock.join("alice", server, room)
    doc: Doc[Text] = Doc()
    text = doc.get("content", type=Text)
    url = f"{server.url}/sync/{quote(room)}?{urlencode({'token': server.token})}"
    async with (
        httpx.AsyncClient() as client,
        aconnect_ws(url, client, session_class=AsyncWebSocketSession) as socket,
        Provider(doc, HttpxWebsocket(socket, room)),
    ):
        await auntil(lambda: str(text) == "begin 😀\n", "the file in pycrdt")
        text.insert(0, "from pycrdt ")
        await stock.do("is", "alice", text="from pycrdt begin 😀\n")
        await stock.do("insert", "alice", text="from yjs\n")
        await auntil(lambda: "from yjs" in str(text), "alice's edit in pycrdt")
    assert (await async_api.get(f"/projects/{project}/files/{PATH}")).text == "from pycrdt begin 😀\nfrom yjs\n"


async def test_edits_made_offline_arrive_and_are_not_lost(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    await stock.join("alice", server, room)
    ours = await people.join(server, project, PATH)
    await stock.do("disconnect", "alice")
    await stock.do("insert", "alice", at=0, text="offline ")
    await ours.append("meanwhile\n")
    await stock.do("connect", "alice")
    await stock.do("is", "alice", text="offline begin 😀\nmeanwhile\n")
    await ours.hears(lambda: str(ours) == "offline begin 😀\nmeanwhile\n", "alice's offline edit")


async def test_an_edit_typed_before_the_first_sync_is_merged(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    await stock.join("alice", server, room, connect=False)
    await stock.do("insert", "alice", at=0, text="typed early ")
    await stock.do("connect", "alice")
    ours = await people.join(server, project, PATH)
    await ours.hears(lambda: "typed early" in str(ours), "the early edit")
    assert sorted(str(ours).split()) == sorted(["typed", "early", "begin", "😀"])


async def test_a_deleted_file_turns_its_peers_away_for_good(
    stock: StockPeers, server: ServerProcess, room: str, async_api: httpx.AsyncClient, project: str
) -> None:
    await stock.join("alice", server, room)
    (await async_api.delete(f"/projects/{project}/files/{PATH}")).raise_for_status()
    assert await stock.do("closed", "alice") == 4404
    assert not await stock.do("tries", "alice")
    await stock.knock("bob", server, room)
    assert await stock.do("closed", "bob") == 4404


async def test_a_peer_of_a_deleted_file_does_not_leak_into_the_new_one_at_its_path(
    stock: StockPeers, people: Crowd, server: ServerProcess, room: str, async_api: httpx.AsyncClient, project: str
) -> None:
    await stock.join("alice", server, room)
    await stock.do("insert", "alice", at=0, text="old ")
    await stock.do("disconnect", "alice")
    (await async_api.delete(f"/projects/{project}/files/{PATH}")).raise_for_status()
    await put(async_api, project, PATH, "another file\n")
    await stock.do("connect", "alice")
    assert await stock.do("closed", "alice") == 4409
    late = await people.join(server, project, PATH)
    assert str(late) == "another file\n"


async def test_a_peer_that_names_its_document_is_told_when_it_is_gone(
    people: Crowd, server: ServerProcess, async_api: httpx.AsyncClient, project: str, room: str
) -> None:
    document = await document_of(async_api, project, PATH)
    (await async_api.delete(f"/projects/{project}/files/{PATH}")).raise_for_status()
    await put(async_api, project, PATH, "another file\n")
    peer = people.peer(server, project, PATH, document=document)
    await peer.connect(synced=False)
    assert await peer.closed() == 4409


async def test_a_renamed_file_is_reached_by_its_old_path_its_id_and_its_new_path(
    stock: StockPeers, people: Crowd, server: ServerProcess, room: str, async_api: httpx.AsyncClient, project: str
) -> None:
    document = await document_of(async_api, project, PATH)
    await stock.join("alice", server, room)
    moved = await async_api.post(f"/projects/{project}/moves", json={"from": PATH, "to": "other/b c#1.md"})
    moved.raise_for_status()
    by_old_path = await people.join(server, project, PATH)
    by_new_path = await people.join(server, project, "other/b c#1.md")
    by_id = await people.join(server, project, f"~{document}")
    wrong_path = await people.join(server, project, "nowhere.md", document=document)
    await stock.do("insert", "alice", at=0, text="still here ")
    for peer in (by_old_path, by_new_path, by_id, wrong_path):
        await peer.hears(lambda peer=peer: str(peer).startswith("still here "), "alice's edit")  # type: ignore[misc]
    await stock.join("bob", server, f"{project}/~{document}")
    assert (await stock.do("text", "bob")).startswith("still here ")


async def test_a_wrong_token_is_turned_away(stock: StockPeers, server: ServerProcess, room: str) -> None:
    await stock.knock("mallory", server, room, params={"token": "wrong"})
    assert await stock.do("closed", "mallory") == 4401
    assert not await stock.do("tries", "mallory")


async def test_no_such_file_is_said_so(stock: StockPeers, server: ServerProcess, project: str) -> None:
    await stock.knock("alice", server, f"{project}/nowhere.md")
    assert await stock.do("closed", "alice") == 4404


async def test_a_viewer_reads_and_cannot_write_a_byte(
    stock: StockPeers, people: Crowd, server: ServerProcess, room: str, async_api: httpx.AsyncClient, project: str
) -> None:
    made = await async_api.post(f"/projects/{project}/tokens", json={"role": "viewer"})
    token = made.raise_for_status().json()["token"]
    await stock.join("vera", server, room, params={"token": token})
    ours = await people.join(server, project, PATH)
    await stock.do("insert", "vera", at=0, text="vera was here ")
    await ours.append("ours\n")
    await stock.do("contains", "vera", parts=["ours\n"])
    assert str(ours) == "begin 😀\nours\n"
    assert (await async_api.get(f"/projects/{project}/files/{PATH}")).text == "begin 😀\nours\n"
    assert await stock.do("codes", "vera") == []


async def test_presence_is_given_at_join_stamped_and_removed(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    alice = await stock.join("alice", server, room)
    await stock.do("show", "alice", state={"user": {"name": "somebody else", "id": "forged"}, "cursor": {"at": 3}})
    ours = await people.join(server, project, PATH)
    await ours.hears(lambda: "cursor" in ours.present.get(alice, {}), "alice's presence")
    assert ours.present[alice]["cursor"] == {"at": 3}
    assert ours.present[alice]["user"]["name"] != "somebody else"
    assert ours.present[alice]["user"]["id"] != "forged"
    late = await stock.join("bob", server, room)
    assert str(alice) in await stock.do("present", "bob", clients=[alice])
    await stock.do("show", "bob", state={"cursor": {"at": 1}})
    await ours.hears(lambda: late in ours.present, "bob's presence")
    await stock.do("disconnect", "alice")
    await ours.hears(lambda: alice not in ours.present, "alice's presence gone")
    ours.drop()
    await stock.do("absent", "bob", clients=[alice])


async def test_somebody_whose_cable_is_pulled_is_no_longer_seen(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    await stock.join("alice", server, room)
    ours = await people.join(server, project, PATH)
    await ours.show(cursor={"at": 0})
    await stock.do("present", "alice", clients=[ours.client])
    await ours.offline()
    await stock.do("absent", "alice", clients=[ours.client])


async def test_twelve_peers_that_join_thirty_new_rooms_in_one_instant_see_each_other(
    stock: StockPeers, server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    for number in range(THIRTY):
        await put(async_api, project, f"room-{number}.md", f"room {number}\n")
    everybody = [(f"peer-{peer}-{number}", number) for number in range(THIRTY) for peer in range(TWELVE)]
    for who, number in everybody:
        await stock.knock(who, server, f"{project}/room-{number}.md")
        await stock.do("insert", who, text=f"<{who}>")
    async with anyio.create_task_group() as tasks:
        for who, number in everybody:
            wanted = [f"room {number}\n", *(f"<peer-{peer}-{number}>" for peer in range(TWELVE))]
            tasks.start_soon(_contains, stock, who, wanted)
    for number in range(THIRTY):
        text = await stock.do("text", f"peer-0-{number}")
        assert len(text) == len(f"room {number}\n") + sum(len(f"<peer-{peer}-{number}>") for peer in range(TWELVE))
        assert (await async_api.get(f"/projects/{project}/files/room-{number}.md")).text == text


async def _contains(stock: StockPeers, who: str, parts: list[str]) -> None:
    await stock.do("contains", who, parts=parts)


async def test_stock_peers_come_back_by_themselves_after_a_kill(
    stock: StockPeers, spawn: Callable[..., ServerProcess]
) -> None:
    server = spawn()
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        (await api.post("/projects", json={"name": "notes"})).raise_for_status()
        await put(api, "notes", PATH, "")
        await stock.join("alice", server, f"notes/{PATH}")
        await stock.join("bob", server, f"notes/{PATH}")
        server.kill()
        await stock.do("closed", "alice")
        await stock.do("insert", "alice", text="while it was down ")
        server.restart()
        await stock.do("is", "bob", text="while it was down ")
        server.terminate()
        await stock.do("insert", "bob", text="and again")
        server.restart()
        await stock.do("is", "alice", text="while it was down and again")


async def test_without_the_server_peers_do_not_see_each_other(
    stock: StockPeers, spawn: Callable[..., ServerProcess]
) -> None:
    """What the other tests rest on: two peers of one process talk through the server and through nothing else."""
    server = spawn()
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        (await api.post("/projects", json={"name": "notes"})).raise_for_status()
        await put(api, "notes", PATH, "")
    await stock.join("alice", server, f"notes/{PATH}")
    await stock.join("bob", server, f"notes/{PATH}")
    server.kill()
    await stock.do("insert", "alice", text="nobody hears this")
    await stock.do("closed", "bob")
    assert await stock.do("text", "bob") == ""


async def test_tabs_that_also_talk_past_the_server_stay_alike(
    stock: StockPeers, people: Crowd, server: ServerProcess, project: str, room: str
) -> None:
    """With BroadcastChannel on, as in a browser: every edit reaches the server from several tabs, and counts once."""
    for tab in ("one", "two", "three"):
        await stock.join(tab, server, room, bc=True)
    ours = await people.join(server, project, PATH)
    words = [f"{tab}-{secrets.token_hex(2)} " for tab in ("one", "two", "three") for _ in range(10)]
    for word in words:
        await stock.do("insert", word.split("-")[0], at=0, text=word)
    for tab in ("one", "two", "three"):
        await stock.do("contains", tab, parts=words)
    await ours.hears(
        lambda: sorted(str(ours).split()) == sorted([*map(str.strip, words), "begin", "😀"]), "all words once"
    )
    for tab in ("one", "two", "three"):
        assert await stock.do("text", tab) == str(ours)
        assert await stock.do("codes", tab) == []
