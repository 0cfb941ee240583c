"""Edits against what was read, and turns, by HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from collab.text import blob_sha

pytestmark = pytest.mark.anyio


async def put(root: httpx.AsyncClient, project: str, path: str, content: str) -> str:
    response = await root.put(f"{project}/files/{path}", content=content)
    return str(response.raise_for_status().json()["sha"])


async def edit(client: httpx.AsyncClient, project: str, path: str, **body: Any) -> httpx.Response:
    return await client.patch(f"{project}/files/{path}", json=body)


async def test_an_edit_answers_with_its_turn_the_new_sha_and_the_difference(
    root: httpx.AsyncClient, notes: str
) -> None:
    sha = await put(root, notes, "docs/a.md", "one\ntwo\n")
    answered = await edit(root, notes, "docs/a.md", base=sha, edits=[{"old": "two", "new": "2"}])
    file = answered.raise_for_status().json()
    assert (file["sha"], file["rebased"], file["change"]) == (blob_sha(b"one\n2\n"), False, "edited")
    assert file["diff"].endswith("-two\n+2\n")
    read = await root.get(f"{notes}/files/docs/a.md")
    assert (read.text, read.headers["x-quire-position"]) == ("one\n2\n", str(file["position"]))
    turn = (await root.get(f"{notes}/turns/{file['turn']}")).json()
    assert turn["files"] == [
        {
            "path": "docs/a.md",
            "document": file["document"],
            "change": "edited",
            "before": file["position"] - 1,
            "after": file["position"],
            "to": None,
        }
    ]


async def test_a_match_that_is_not_unique_is_422_with_its_lines(root: httpx.AsyncClient, notes: str) -> None:
    sha = await put(root, notes, "a.md", "one\none\n")
    refused = await edit(root, notes, "a.md", base=sha, edits=[{"old": "one", "new": "1"}])
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["field"]) == (422, "ambiguous_match", "edits[0].old")
    assert error["details"]["lines"] == [1, 2]
    missing = await edit(root, notes, "a.md", base=sha, edits=[{"old": "onee", "new": "1"}])
    assert (missing.status_code, missing.json()["error"]["code"]) == (422, "no_match")
    assert missing.json()["error"]["details"]["nearest"][0]["text"] == "one"
    every = await edit(root, notes, "a.md", base=sha, edits=[{"old": "one", "new": "1", "all": True}])
    assert every.json()["sha"] == blob_sha(b"1\n1\n")


async def test_lines_that_changed_since_are_409_with_what_is_there_and_the_sha_to_try_with(
    root: httpx.AsyncClient, notes: str
) -> None:
    sha = await put(root, notes, "a.md", "one\ntwo\nthree\n")
    (await edit(root, notes, "a.md", base=sha, edits=[{"old": "two", "new": "2"}])).raise_for_status()
    refused = await edit(root, notes, "a.md", base=sha, edits=[{"old": "two", "new": "zwei"}])
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "overlap")
    [hunk] = error["details"]["hunks"]
    assert (hunk["ours"], hunk["theirs"], hunk["ours_line"]) == ("2\n", "zwei\n", 2)
    again = await edit(root, notes, "a.md", base=error["details"]["sha"], edits=[{"old": "2", "new": "zwei"}])
    assert again.status_code == 200
    elsewhere = await edit(root, notes, "a.md", base=sha, edits=[{"old": "three", "new": "3"}])
    assert elsewhere.status_code == 409  # it touches what was changed
    assert (await root.get(f"{notes}/files/a.md")).text == "one\nzwei\nthree\n"


async def test_a_turn_over_several_files_is_undone_and_done_again(root: httpx.AsyncClient, notes: str) -> None:
    sha = await put(root, notes, "a.md", "one\n")
    await put(root, notes, "old.md", "old\n")
    files = [
        {"path": "a.md", "base": sha, "edits": [{"old": "one", "new": "1"}]},
        {"path": "new.bin", "base64": "AAEC"},
        {"path": "old.md", "to": "docs/old.md"},
    ]
    dry = (await root.post(f"{notes}/turns", json={"files": files, "dry_run": True})).raise_for_status().json()
    assert dry["turn"] is None
    made = (await root.post(f"{notes}/turns", json={"files": files, "message": "Tidy"})).raise_for_status().json()
    assert [(each["path"], each["change"], each["sha"]) for each in made["files"]] == [
        (each["path"], each["change"], each["sha"]) for each in dry["files"]
    ]
    assert (await root.get(f"{notes}/files/new.bin")).content == b"\0\1\2"
    undone = (await root.post(f"{notes}/turns/{made['turn']}/undo")).raise_for_status().json()
    tree = (await root.get(f"{notes}/files")).json()
    assert [each["path"] for each in tree] == ["a.md", "old.md"]
    twice = await root.post(f"{notes}/turns/{made['turn']}/undo")
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "already_undone")
    assert twice.json()["error"]["details"]["undone_by"] == undone["turn"]
    (await root.post(f"{notes}/turns/{made['turn']}/redo")).raise_for_status()
    assert (await root.get(f"{notes}/files/docs/old.md")).text == "old\n"
    listed = (await root.get(f"{notes}/turns", params={"limit": 2})).json()
    assert len(listed["turns"]) == 2
    rest = (await root.get(f"{notes}/turns", params={"cursor": listed["cursor"]})).json()
    assert {each["turn"] for each in listed["turns"] + rest["turns"]} >= {made["turn"], undone["turn"]}


async def test_a_refused_turn_names_every_file_in_its_way(root: httpx.AsyncClient, notes: str) -> None:
    sha = await put(root, notes, "a.md", "one\n")
    files = [
        {"path": "a.md", "base": sha, "edits": [{"old": "nothing", "new": ""}]},
        {"path": "gone.md", "delete": True},
        {"path": "b.md", "text": "new\n"},
    ]
    refused = await root.post(f"{notes}/turns", json={"files": files})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (422, "turn_refused")
    assert [(each["path"], each["code"]) for each in error["details"]["files"]] == [
        ("a.md", "no_match"),
        ("gone.md", "not_found"),
    ]
    assert (await root.get(f"{notes}/files/b.md")).status_code == 404


async def test_an_agent_writes_in_its_own_name_for_whoever_made_its_token(root: httpx.AsyncClient, notes: str) -> None:
    sha = await put(root, notes, "a.md", "one\n")
    body = {"role": "editor", "agent": "Scribe"}
    token = (await root.post(f"{notes}/tokens", json=body)).raise_for_status().json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    edits = [{"old": "one", "new": "1"}]
    made = await root.patch(f"{notes}/files/a.md", json={"base": sha, "edits": edits, "task": "7"}, headers=bearer)
    turn = (await root.get(f"{notes}/turns/{made.raise_for_status().json()['turn']}")).json()
    assert (turn["actor"]["name"], turn["on_behalf_of"]["name"], turn["task"]) == ("Scribe", "Owner", "7")
    assert [
        each["turn"] for each in (await root.get(f"{notes}/turns?actor={turn['actor']['id']}")).json()["turns"]
    ] == [turn["turn"]]
    viewer = (await root.post(f"{notes}/tokens", json={"role": "viewer"})).json()["token"]
    refused = await root.post(f"{notes}/turns/{turn['turn']}/undo", headers={"authorization": f"Bearer {viewer}"})
    assert refused.status_code == 403


async def test_the_same_key_makes_one_turn(root: httpx.AsyncClient, notes: str) -> None:
    sha = await put(root, notes, "a.md", "one\n")
    body = {"base": sha, "edits": [{"old": "one", "new": "1"}]}
    first, again = [
        await root.patch(f"{notes}/files/a.md", json=body, headers={"idempotency-key": "k"}) for _ in range(2)
    ]
    assert first.json() == again.json()
    other = await root.patch(f"{notes}/files/a.md", json={**body, "message": "other"}, headers={"idempotency-key": "k"})
    assert other.status_code == 422


async def test_what_makes_no_sense_is_named(root: httpx.AsyncClient, notes: str) -> None:
    for body, field in (
        ({"files": []}, "files"),
        ({"files": [{"path": "a", "text": "", "base64": ""}]}, "files[0].base64"),
        ({"files": [{"path": "a", "base64": "!"}]}, "files[0].base64"),
        ({"files": [{"path": "a", "text": "", "mode": "755"}]}, "files[0].mode"),
        ({"files": [{"path": "a", "edits": [{"old": "a", "new": "b"}]}]}, "base"),
        ({"files": [{"path": "a", "text": "x", "what": 1}]}, "files[0].what"),
    ):
        refused = await root.post(f"{notes}/turns", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
