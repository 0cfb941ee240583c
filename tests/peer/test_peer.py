"""The Python peer: against a real server of ours, and against another one of the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest

from collab.edits import Ambiguous
from collab.peer import PeerClosed, join
from tests.harness.peer import Crowd, crowd
from tests.harness.server import ServerProcess
from tests.harness.until import auntil

pytestmark = pytest.mark.anyio

TEXT = "one\ntwo 😀\nthree\n"


@pytest.fixture
async def people() -> AsyncIterator[Crowd]:
    async with crowd() as peers:
        yield peers


@pytest.fixture
async def rooms(server: ServerProcess, async_api: httpx.AsyncClient, project: str) -> str:
    (await async_api.put(f"/projects/{project}/files/a.md", content=TEXT)).raise_for_status()
    return f"{server.sync}/{project}"


async def read(api: httpx.AsyncClient, project: str) -> str:
    return (await api.get(f"/projects/{project}/files/a.md")).text


async def test_a_peer_reads_edits_and_knows_when_it_is_saved(
    rooms: str, server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    async with join(rooms, "a.md", token=server.token) as room:
        assert room.text == TEXT
        await room.edit("two 😀", "2 😀é")
        await room.insert(0, "中")
        assert await room.saved() > 2
        assert await read(async_api, project) == "中one\n2 😀é\nthree\n"
        with pytest.raises(Ambiguous):
            await room.edit("e", "x")


async def test_what_others_type_is_there_and_can_be_waited_for(
    rooms: str, server: ServerProcess, people: Crowd, project: str
) -> None:
    async with join(rooms, "a.md", token=server.token) as room:
        alice = await people.join(server, project, "a.md")
        changes = room.changes()
        await alice.append("four\n")
        with anyio.fail_after(20):
            assert await anext(changes) == f"{TEXT}four\n"
            await room.edit("one", "1")
            await alice.hears(lambda: str(alice) == f"{TEXT}four\n".replace("one", "1"), "the peer's edit")


async def test_a_stream_appears_piece_by_piece_and_moves_with_its_place(
    rooms: str, server: ServerProcess, people: Crowd, project: str
) -> None:
    async with join(rooms, "a.md", token=server.token) as room:
        alice = await people.join(server, project, "a.md")
        async with room.stream(after="two 😀") as out:
            await out.write(" and")
            await alice.hears(lambda: "two 😀 and\n" in str(alice), "the first piece")
            await alice.insert(0, "zero\n")
            await room.until("zero")
            await out.write(" é more")
        await alice.hears(lambda: str(alice) == f"zero\n{TEXT}".replace("😀", "😀 and é more"), "the rest")
        [seen] = [state for state in alice.present.values() if "cursor" in state]
        assert seen["user"]["id"]


async def test_a_stream_that_fails_is_taken_back_and_leaves_what_others_typed_inside(
    rooms: str, server: ServerProcess, people: Crowd, project: str
) -> None:
    async with join(rooms, "a.md", token=server.token) as room:
        alice = await people.join(server, project, "a.md")

        async def fail() -> None:
            async with room.stream() as out:
                await out.write("first 😀 ")
                await out.write("second")
                await alice.hears(lambda: str(alice).endswith("second"), "both pieces")
                await alice.insert(str(alice).encode().index(b"second") + 3, "ALICE")
                await room.until("ALICE")
                raise RuntimeError("the model failed")

        with pytest.raises(RuntimeError, match="the model failed"):
            await fail()
        await alice.hears(lambda: str(alice) == f"{TEXT}ALICE", "it is taken back")
        with anyio.CancelScope() as scope:
            async with room.stream(keep=True) as out:
                await out.write(" kept")
                scope.cancel()
                await anyio.sleep_forever()
        await alice.hears(lambda: str(alice) == f"{TEXT}ALICE kept", "it is kept")


async def test_edits_made_while_there_is_no_server_arrive_when_there_is_one(
    spawn: Callable[..., ServerProcess],
) -> None:
    server = spawn()
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        (await api.post("/projects", json={"name": "notes"})).raise_for_status()
        (await api.put("/projects/notes/files/a.md", content=TEXT)).raise_for_status()
    tokens: list[str] = []

    def fresh() -> str:
        tokens.append(server.token)
        return server.token

    async with join(f"{server.sync}/notes", "a.md", token=fresh) as room:
        await room.saved()
        server.kill()
        await auntil(lambda: not room.connected, "the peer to notice")
        await room.edit("one", "offline")
        server.restart()
        await room.saved()
        assert len(tokens) >= 2
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        assert (await api.get("/projects/notes/files/a.md")).text == TEXT.replace("one", "offline")


async def test_what_is_final_is_raised_with_its_code(rooms: str, server: ServerProcess, project: str) -> None:
    for path, token, code in (("never.md", server.token, 4404), ("a.md", "wrong", 4401)):
        with pytest.raises(PeerClosed) as refused:
            async with join(rooms, path, token=token):
                pass
        assert refused.value.code == code


async def test_a_file_that_is_deleted_meanwhile_ends_it(
    rooms: str, server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:

    async def wait() -> None:
        async with join(rooms, "a.md", token=server.token) as room:
            (await async_api.delete(f"/projects/{project}/files/a.md")).raise_for_status()
            await room.until("nothing that ever comes")

    with anyio.fail_after(20), pytest.raises(PeerClosed) as ended:
        await wait()
    assert ended.value.code == 4404


async def test_it_is_seen_with_its_selection_and_sees_others(
    rooms: str, server: ServerProcess, people: Crowd, project: str
) -> None:
    async with join(rooms, "a.md", token=server.token) as room:
        alice = await people.join(server, project, "a.md")
        await alice.show(cursor=None)
        room.select(4, 9)
        room.show(task="Reading")
        await alice.hears(lambda: any(each.get("task") == "Reading" for each in alice.present.values()), "the peer")
        await room.wire.until(lambda: len(room.present) == 1)
        state: dict[str, Any] = next(each for each in alice.present.values() if each.get("task") == "Reading")
        assert state["cursor"]["anchor"] != state["cursor"]["head"]
