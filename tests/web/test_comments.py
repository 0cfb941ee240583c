"""Comments stay with what they are about, and are nobody else's to change."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import Quire

pytestmark = pytest.mark.anyio

TEXT = "one\ntwo 😀 words\nthree\n"


@pytest.fixture
async def sha(root: httpx.AsyncClient, notes: str) -> str:
    made = await root.put(f"{notes}/files/a.md", content=TEXT)
    return str(made.raise_for_status().json()["sha"])


async def add(client: httpx.AsyncClient, notes: str, **body: Any) -> Any:
    made = await client.post(f"{notes}/comments", json=body)
    return made.raise_for_status().json()


async def listed(client: httpx.AsyncClient, notes: str, **query: str) -> list[Any]:
    found: list[Any] = (await client.get(f"{notes}/comments", params=query)).raise_for_status().json()["comments"]
    return found


async def edit(client: httpx.AsyncClient, notes: str, path: str, old: str, new: str) -> None:
    sha = (await client.get(f"{notes}/files/{path}")).headers["etag"].strip('"')
    body = {"base": sha, "edits": [{"old": old, "new": new}]}
    (await client.patch(f"{notes}/files/{path}", json=body)).raise_for_status()


async def test_a_comment_moves_with_its_text_through_edits_and_renames(
    root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await add(root, notes, path="a.md", start=8, end=9, text="A face, @scribe?")
    assert (made["quote"], made["line"], made["mentions"]) == ("😀", 2, ["scribe"])
    await edit(root, notes, "a.md", "one\n", "zero\none more\n")
    (await root.post(f"{notes}/moves", json={"from": "a.md", "to": "b.md"})).raise_for_status()
    [found] = await listed(root, notes, path="b.md")
    text = (await root.get(f"{notes}/files/b.md")).text
    assert text[found["start"] : found["end"]] == "😀"
    assert (found["path"], found["line"], found["gone"]) == ("b.md", 3, False)
    await edit(root, notes, "b.md", "two 😀 words", "2")
    [found] = await listed(root, notes)
    assert (found["gone"], found["quote"], found["line"]) == (True, "😀", 3)


async def test_a_range_of_an_older_text_is_found_in_the_new_one(root: httpx.AsyncClient, notes: str, sha: str) -> None:
    await edit(root, notes, "a.md", "one\n", "zero\none\n")
    made = await add(root, notes, path="a.md", start=0, end=3, base=sha, text="This one")
    assert (made["quote"], made["start"], made["end"]) == ("one", 5, 8)
    again = await add(root, notes, path="a.md", anchor=made["anchor"], text="The same place")
    assert (again["quote"], again["start"]) == ("one", 5)


async def test_threads_are_answered_resolved_and_opened_again(
    quire: Quire, root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    first = await add(root, notes, path="a.md", text="About all of it")
    assert (first["start"], first["anchor"]) == (None, None)
    token = await quire.token(notes.rpartition("/")[2], "suggester", agent="Scribe")
    async with quire.client(token) as scribe:
        thread = await add(scribe, notes, thread=first["id"], text="Yes")
        assert [each["author"]["name"] for each in thread["answers"]] == ["Scribe"]
        assert thread["answers"][0]["on_behalf_of"]["name"] == "Owner"
        resolved = await scribe.patch(f"{notes}/comments/{thread['answers'][0]['id']}", json={"resolved": True})
        assert resolved.json()["state"] == "resolved"
        assert resolved.json()["resolved_by"]["name"] == "Scribe"
    assert await listed(root, notes) == []
    assert len(await listed(root, notes, state="resolved")) == 1
    again = await root.patch(f"{notes}/comments/{first['id']}", json={"resolved": False})
    assert again.json()["state"] == "open"
    events = (await root.get(f"{notes}/events?kind=comment", headers={"accept": "application/json"})).json()["events"]
    assert [each["data"]["what"] for each in events] == ["begun", "answered", "resolved", "reopened"]


async def test_only_ones_own_words_are_changed_and_deleted(
    quire: Quire, root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    first = await add(root, notes, path="a.md", text="Mine")
    token = await quire.token(notes.rpartition("/")[2], "suggester", agent="Scribe")
    async with quire.client(token) as scribe:
        assert (await scribe.patch(f"{notes}/comments/{first['id']}", json={"text": "x"})).status_code == 403
        assert (await scribe.delete(f"{notes}/comments/{first['id']}")).status_code == 403
        own = (await add(scribe, notes, thread=first["id"], text="Own"))["answers"][0]
        changed = await scribe.patch(f"{notes}/comments/{own['id']}", json={"text": "Own, mended"})
        assert changed.json()["answers"][0]["edited"] is not None
    (await root.delete(f"{notes}/comments/{own['id']}")).raise_for_status()
    (await root.delete(f"{notes}/comments/{first['id']}")).raise_for_status()
    assert await listed(root, notes, state="all") == []
    assert (await root.patch(f"{notes}/comments/{first['id']}", json={"resolved": True})).status_code == 404


async def test_nothing_of_a_comment_is_in_the_file_or_its_commits(
    root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    (await root.post(f"{notes}/snapshots")).raise_for_status()
    await add(root, notes, path="a.md", start=0, end=3, text="A remark")
    assert (await root.get(f"{notes}/files/a.md")).headers["etag"] == f'"{sha}"'
    assert (await root.post(f"{notes}/snapshots")).json()["state"] == "nothing"


async def test_who_reaches_some_paths_alone_sees_no_other_comments(
    quire: Quire, root: httpx.AsyncClient, notes: str, sha: str
) -> None:
    made = await add(root, notes, path="a.md", text="Hidden")
    body = {"role": "editor", "paths": ["docs/**"]}
    token = (await root.post(f"{notes}/tokens", json=body)).json()["token"]
    async with quire.client(token) as limited:
        assert await listed(limited, notes) == []
        assert (await limited.post(f"{notes}/comments", json={"thread": made["id"], "text": "x"})).status_code == 404
        assert (await limited.post(f"{notes}/comments", json={"path": "a.md", "text": "x"})).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path": "a.md", "text": " "}, "text"),
        ({"text": "x"}, "path"),
        ({"path": "a.md", "text": "x", "start": 3}, "end"),
        ({"path": "a.md", "text": "x", "start": 3, "end": 99}, "range"),
        ({"path": "a.md", "text": "x", "anchor": {"start": 1}}, "anchor.start"),
    ],
)
async def test_what_makes_no_sense_is_named(
    root: httpx.AsyncClient, notes: str, sha: str, body: dict[str, Any], field: str
) -> None:
    refused = await root.post(f"{notes}/comments", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
