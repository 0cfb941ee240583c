"""Suggestions: proposed by one, decided by another. Tasks: what agents do, for people to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.conftest import Quire

pytestmark = pytest.mark.anyio

LINES = "".join(f"{n}\n" for n in range(12))


@pytest.fixture
async def sha(root: httpx.AsyncClient, notes: str) -> str:
    made = await root.put(f"{notes}/files/a.md", content=LINES)
    return str(made.raise_for_status().json()["sha"])


@pytest.fixture
async def critic(quire: Quire, notes: str) -> AsyncIterator[httpx.AsyncClient]:
    async with quire.client(await quire.token(notes.rpartition("/")[2], "suggester", agent="Critic")) as client:
        yield client


async def propose(client: httpx.AsyncClient, notes: str, *files: dict[str, Any]) -> Any:
    made = await client.post(f"{notes}/suggestions", json={"files": files, "message": "Mend"})
    return made.raise_for_status().json()


def change(sha: str, *edits: tuple[str, str]) -> dict[str, Any]:
    return {"path": "a.md", "base": sha, "edits": [{"old": old, "new": new} for old, new in edits]}


async def text(client: httpx.AsyncClient, notes: str) -> str:
    return (await client.get(f"{notes}/files/a.md")).text


async def test_a_suggestion_changes_nothing_until_it_is_accepted_and_is_then_its_authors_turn(
    root: httpx.AsyncClient, critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await propose(
        critic, notes, change(sha, ("3\n", "three\n")), {"path": "new.md", "text": "new\n", "create": True}
    )
    assert (made["state"], made["applies"], made["author"]["name"]) == ("open", True, "Critic")
    assert await text(root, notes) == LINES
    assert (await critic.post(f"{notes}/suggestions/{made['id']}/accept")).status_code == 403
    done = (await root.post(f"{notes}/suggestions/{made['id']}/accept")).raise_for_status().json()
    assert await text(root, notes) == LINES.replace("3\n", "three\n")
    turn = (await root.get(f"{notes}/turns/{done['turn']}")).json()
    assert (turn["actor"]["name"], turn["on_behalf_of"]["name"], turn["message"]) == ("Critic", "Owner", "Mend")
    assert (done["suggestion"]["state"], done["suggestion"]["turn"]) == ("accepted", done["turn"])
    again = await root.post(f"{notes}/suggestions/{made['id']}/accept")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_decided")
    (await root.post(f"{notes}/turns/{done['turn']}/undo")).raise_for_status()
    assert await text(root, notes) == LINES


async def test_it_is_rebased_while_it_waits_and_says_when_it_no_longer_applies(
    root: httpx.AsyncClient, critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await propose(critic, notes, change(sha, ("8\n", "eight\n")))
    body = {"base": sha, "edits": [{"old": "0\n1\n", "new": "zero\n1\n"}]}
    now = (await root.patch(f"{notes}/files/a.md", json=body)).raise_for_status().json()
    (await root.post(f"{notes}/moves", json={"from": "a.md", "to": "b.md"})).raise_for_status()
    waiting = (await root.get(f"{notes}/suggestions/{made['id']}")).json()
    assert (waiting["applies"], waiting["files"][0]["path"], waiting["files"][0]["rebased"]) == (True, "b.md", True)
    body = {"base": now["sha"], "edits": [{"old": "8\n", "new": "acht\n"}]}
    (await root.patch(f"{notes}/files/b.md", json=body)).raise_for_status()
    [late] = (await root.get(f"{notes}/suggestions")).json()["suggestions"]
    assert (late["applies"], late["obstacle"]["code"]) == (False, "overlap")
    assert late["obstacle"]["details"]["hunks"][0]["ours"] == "acht\n"
    refused = await root.post(f"{notes}/suggestions/{made['id']}/accept")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "overlap")
    rejected = (await root.post(f"{notes}/suggestions/{made['id']}/reject")).raise_for_status().json()
    assert (rejected["state"], rejected["decided_by"]["name"]) == ("rejected", "Owner")
    assert (await root.get(f"{notes}/suggestions")).json()["suggestions"] == []


async def test_single_hunks_are_accepted(
    root: httpx.AsyncClient, critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await propose(critic, notes, change(sha, ("2\n3\n", "two\n3\n"), ("7\n", "seven\n"), ("11\n", "eleven\n")))
    wrong = await root.post(f"{notes}/suggestions/{made['id']}/accept", json={"hunks": {"a.md": [9]}})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "hunks")
    (await root.post(f"{notes}/suggestions/{made['id']}/accept", json={"hunks": {"a.md": [0, 2]}})).raise_for_status()
    assert await text(root, notes) == LINES.replace("2\n3", "two\n3", 1).replace("11\n", "eleven\n")


async def test_what_would_be_refused_as_a_turn_is_refused_as_a_suggestion(
    critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    refused = await critic.post(f"{notes}/suggestions", json={"files": [change(sha, ("nothing", ""))]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "no_match")


async def test_ones_own_is_withdrawn_and_nobody_elses(
    root: httpx.AsyncClient, critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await propose(critic, notes, change(sha, ("3\n", "three\n")))
    assert (await root.delete(f"{notes}/suggestions/{made['id']}")).status_code == 403
    assert (await critic.delete(f"{notes}/suggestions/{made['id']}")).json()["state"] == "withdrawn"


async def test_who_reaches_some_paths_alone_neither_sees_nor_decides_others(
    quire: Quire, root: httpx.AsyncClient, critic: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await propose(critic, notes, change(sha, ("3\n", "three\n")))
    body = {"role": "editor", "paths": ["docs/**"]}
    token = (await root.post(f"{notes}/tokens", json=body)).json()["token"]
    async with quire.client(token) as limited:
        assert (await limited.get(f"{notes}/suggestions")).json()["suggestions"] == []
        assert (await limited.post(f"{notes}/suggestions/{made['id']}/accept")).status_code == 404
        assert (
            await limited.post(f"{notes}/suggestions", json={"files": [change(sha, ("3", "x"))]})
        ).status_code == 404


async def test_a_task_tells_who_asked_what_was_read_and_what_came_of_it(
    quire: Quire, root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    asked = (await root.post(f"{notes}/tasks", json={"input": "Spell out the digits"})).raise_for_status().json()
    assert (asked["status"], asked["asked_by"]["name"], asked["agent"]) == ("open", "Owner", None)
    token = await quire.token(notes.rpartition("/")[2], "editor", agent="Scribe")
    async with quire.client(token) as scribe:
        task = f"{notes}/tasks/{asked['id']}"
        cited = [{"path": "a.md", "sha": sha, "first": 1, "last": 4}]
        body = {"status": "working", "take": True, "read": cited}
        (await scribe.patch(task, json=body)).raise_for_status()
        edits = [{"old": "3\n", "new": "three\n"}]
        turn = (
            await scribe.patch(f"{notes}/files/a.md", json={"base": sha, "edits": edits, "task": asked["id"]})
        ).json()
        done = await scribe.patch(task, json={"status": "done", "outcome": "Spelt out one", "read": cited})
        assert done.json()["read"] == cited
        late = await scribe.patch(task, json={"status": "working"})
        assert (late.status_code, late.json()["error"]["code"]) == (409, "already_ended")
    shown = (await root.get(f"{notes}/tasks/{asked['id']}")).json()
    assert (shown["status"], shown["agent"]["name"], shown["turns"]) == ("done", "Scribe", [turn["turn"]])
    assert [each["id"] for each in (await root.get(f"{notes}/tasks?status=done")).json()["tasks"]] == [asked["id"]]
    empty = await root.post(f"{notes}/tasks", json={"input": " "})
    assert (empty.status_code, empty.json()["error"]["field"]) == (400, "input")
