"""A file's history, and who wrote it, by HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import Quire

pytestmark = pytest.mark.anyio


async def put(client: httpx.AsyncClient, notes: str, path: str, content: str, **headers: str) -> Any:
    response = await client.put(f"{notes}/files/{path}?force", content=content, headers=headers)
    return response.raise_for_status().json()


async def test_history_tells_who_did_what_in_sessions_and_which_commits_have_it(
    root: httpx.AsyncClient, notes: str
) -> None:
    made = await put(root, notes, "a.md", "one\n")
    commit = (await root.post(f"{notes}/snapshots", json={"message": "First"})).raise_for_status().json()["commit"]
    edits = [{"old": "one", "new": "1"}]
    turn = (await root.patch(f"{notes}/files/a.md", json={"base": made["sha"], "edits": edits})).json()
    await put(root, notes, "a.md", "1\n2\n")
    told = (await root.get(f"{notes}/history/a.md")).raise_for_status().json()
    assert [(each["from"], each["to"], each["turn"], each["happened"]) for each in told["sessions"]] == [
        (4, 4, None, ["edited"]),
        (3, 3, turn["turn"], ["edited"]),
        (1, 2, None, ["created", "edited"]),
    ]
    assert told["sessions"][0]["authors"][0]["actor"]["name"] == "Owner"
    assert [(each["commit"], each["position"], each["message"]) for each in told["commits"]] == [(commit, 2, "First")]
    first = (await root.get(f"{notes}/history/a.md?limit=1")).json()
    rest = (await root.get(f"{notes}/history/a.md?before={first['cursor']}")).json()
    assert [*first["sessions"], *rest["sessions"]] == told["sessions"]
    assert rest["cursor"] is None


async def test_a_deleted_file_still_has_its_history(root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "a.md", "one\n")
    (await root.delete(f"{notes}/files/a.md")).raise_for_status()
    told = (await root.get(f"{notes}/history/a.md")).json()
    assert told["sessions"][0]["happened"] == ["created", "edited", "deleted"]
    assert (await root.get(f"{notes}/history/never.md")).status_code == 404


async def test_blame_names_person_agent_and_turn_now_and_then(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    made = await put(root, notes, "a.md", "one\ntwo\nthree\n")
    token = await quire.token(notes.rpartition("/")[2], "editor", agent="Scribe")
    async with quire.client(token) as scribe:
        edits = [{"old": "two", "new": "2 é😀"}]
        turn = (await scribe.patch(f"{notes}/files/a.md", json={"base": made["sha"], "edits": edits})).json()
    commit = (await root.post(f"{notes}/snapshots")).raise_for_status().json()["commit"]
    blame = (await root.get(f"{notes}/blame/a.md")).raise_for_status().json()
    assert [
        (each["start"], each["end"], each["line"], each["actor"]["name"], each["turn"]) for each in blame["ranges"]
    ] == [(0, 4, 1, "Owner", None), (4, 8, 2, "Scribe", turn["turn"]), (8, 15, 2, "Owner", None)]
    assert blame["ranges"][1]["on_behalf_of"]["name"] == "Owner"
    assert blame["sha"] == turn["sha"]
    then = (await root.get(f"{notes}/blame/a.md?at={made['position']}")).json()
    assert [(each["start"], each["end"]) for each in then["ranges"]] == [(0, 14)]
    assert (await root.get(f"{notes}/blame/a.md?at={commit}")).json()["ranges"] == blame["ranges"]
    for at, status in (("99", 400), ("0" * 40, 404), ("2001-01-01T00:00:00Z", 404), ("soon", 400)):
        assert (await root.get(f"{notes}/blame/a.md?at={at}")).status_code == status


async def test_what_is_no_text_has_no_blame(root: httpx.AsyncClient, notes: str) -> None:
    (await root.put(f"{notes}/files/a.bin", content=b"\xff\0")).raise_for_status()
    assert (await root.get(f"{notes}/blame/a.bin")).status_code == 400
