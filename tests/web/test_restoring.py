"""Differences between moments, bringing one back, versions, and taking back what somebody wrote."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import Quire

pytestmark = pytest.mark.anyio


async def put(client: httpx.AsyncClient, notes: str, path: str, content: str | bytes) -> Any:
    return (await client.put(f"{notes}/files/{path}?force", content=content)).raise_for_status().json()


async def tree(client: httpx.AsyncClient, notes: str) -> dict[str, str]:
    found = {}
    for each in (await client.get(f"{notes}/files")).json():
        found[each["path"]] = (await client.get(f"{notes}/files/{each['path']}")).text
    return found


async def version(client: httpx.AsyncClient, notes: str, name: str) -> str:
    """A moment that nothing else shares."""
    made = (await client.post(f"{notes}/versions", json={"name": name})).raise_for_status().json()
    while True:
        later = (await client.post(f"{notes}/versions", json={"name": f"after {name}"})).raise_for_status().json()
        (await client.delete(f"{notes}/versions/after {name}")).raise_for_status()
        if later["at"] > made["at"]:
            return f"version:{name}"


async def test_a_file_is_brought_back_as_it_was_and_that_is_undone_in_one_step(
    root: httpx.AsyncClient, notes: str
) -> None:
    first = await put(root, notes, "a.md", "one\ntwo\n")
    await put(root, notes, "a.md", "1\ntwo\n3\n")
    body = {"path": "a.md", "at": str(first["position"])}
    restored = (await root.post(f"{notes}/restore", json=body)).raise_for_status().json()
    assert await tree(root, notes) == {"a.md": "one\ntwo\n"}
    assert restored["files"][0]["sha"] == first["sha"]
    (await root.post(f"{notes}/turns/{restored['turn']}/undo")).raise_for_status()
    assert await tree(root, notes) == {"a.md": "1\ntwo\n3\n"}
    again = (await root.post(f"{notes}/restore", json={**body, "dry_run": True})).json()
    assert (again["turn"], again["files"][0]["sha"]) == (None, first["sha"])


async def test_some_changes_alone_are_taken_back(root: httpx.AsyncClient, notes: str) -> None:
    lines = [f"{n}\n" for n in range(9)]
    first = await put(root, notes, "a.md", "".join(lines))
    at = str(first["position"])
    now = await put(root, notes, "a.md", "".join(["zero\n", *lines[1:8], "eight\n"]))
    [told] = (await root.get(f"{notes}/diff?path=a.md&from={at}")).raise_for_status().json()["files"]
    assert [(each["number"], each["removed"], each["added"]) for each in told["hunks"]] == [
        (0, "0\n", "zero\n"),
        (1, "8\n", "eight\n"),
    ]
    body = {"path": "a.md", "at": at, "hunks": [1], "base": now["sha"]}
    (await root.post(f"{notes}/restore", json=body)).raise_for_status()
    assert (await root.get(f"{notes}/files/a.md")).text == "".join(["zero\n", *lines[1:]])
    stale = await root.post(f"{notes}/restore", json=body)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale")
    sha = (await root.get(f"{notes}/files/a.md")).headers["etag"].strip('"')
    unknown = await root.post(f"{notes}/restore", json={**body, "hunks": [7], "base": sha})
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (400, "hunks")


async def test_a_project_is_brought_back_with_documents_moves_and_all(root: httpx.AsyncClient, notes: str) -> None:
    for path in ("a.md", "b.md", "docs/c.md", "d.bin"):
        await put(root, notes, path, f"{path}\n")
    await put(root, notes, "e.bin", b"\xff\0")
    before, rows = await tree(root, notes), (await root.get(f"{notes}/files")).json()
    then = await version(root, notes, "1.0")
    await put(root, notes, "a.md", "changed\n")
    (await root.delete(f"{notes}/files/b.md")).raise_for_status()
    (await root.post(f"{notes}/moves", json={"from": "docs/c.md", "to": "c.md"})).raise_for_status()
    await put(root, notes, "docs/new.md", "new\n")
    await put(root, notes, "e.bin", b"\xff\1")
    after = await tree(root, notes)
    told = (await root.get(f"{notes}/diff", params={"from": then})).raise_for_status().json()["files"]
    assert {(each["path"], each["change"]) for each in told} == {
        ("a.md", "modified"),
        ("b.md", "deleted"),
        ("c.md", "renamed"),
        ("docs/new.md", "added"),
        ("e.bin", "modified"),
    }
    restored = (await root.post(f"{notes}/restore", json={"at": then})).raise_for_status().json()
    assert await tree(root, notes) == before
    assert {(each["path"], each["id"]) for each in (await root.get(f"{notes}/files")).json()} == {
        (each["path"], each["id"]) for each in rows
    }
    assert (await root.get(f"{notes}/diff", params={"from": then})).json()["files"] == []
    (await root.post(f"{notes}/turns/{restored['turn']}/undo")).raise_for_status()
    assert await tree(root, notes) == after
    (await root.post(f"{notes}/restore", json={"at": then, "prefix": "docs/"})).raise_for_status()
    assert await tree(root, notes) == {
        **{k: v for k, v in after.items() if k not in ("c.md", "docs/new.md")},
        "docs/c.md": "docs/c.md\n",
    }


async def test_a_commit_is_brought_back(root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "a.md", "one\n")
    commit = (await root.post(f"{notes}/snapshots")).raise_for_status().json()["commit"]
    await put(root, notes, "a.md", "two\n")
    await put(root, notes, "b.md", "new\n")
    (await root.post(f"{notes}/restore", json={"at": commit, "path": "a.md"})).raise_for_status()
    assert await tree(root, notes) == {"a.md": "one\n", "b.md": "new\n"}
    (await root.post(f"{notes}/restore", json={"at": commit})).raise_for_status()
    assert await tree(root, notes) == {"a.md": "one\n"}
    nothing = (await root.post(f"{notes}/restore", json={"at": commit})).raise_for_status().json()
    assert nothing == {"turn": None, "files": []}


async def test_a_version_stands_for_its_moment_until_its_name_is_taken_away(
    root: httpx.AsyncClient, notes: str
) -> None:
    await put(root, notes, "a.md", "one\n")
    then = await version(root, notes, "first draft")
    await put(root, notes, "a.md", "two\n")
    assert (await root.get(f"{notes}/files/a.md", params={"at": then})).text == "one\n"
    assert [each["name"] for each in (await root.get(f"{notes}/versions")).json()["versions"]] == ["first draft"]
    assert (await root.post(f"{notes}/versions", json={"name": "first draft"})).status_code == 409
    (await root.delete(f"{notes}/versions/first draft")).raise_for_status()
    assert (await root.get(f"{notes}/files/a.md", params={"at": then})).status_code == 404
    for body in ({"name": " "}, {"name": "x", "at": "soon"}, {"name": "x", "at": "2990-01-01T00:00:00Z"}):
        assert (await root.post(f"{notes}/versions", json=body)).status_code == 400


async def test_what_an_agent_wrote_in_a_while_is_taken_back_and_what_others_wrote_stays(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    lines = "".join(f"{n}\n" for n in range(12))
    for path in ("a.md", "b.md", "gone.md"):
        await put(root, notes, path, lines)
    token = await quire.token(notes.rpartition("/")[2], "editor", agent="Scribe")
    async with quire.client(token) as scribe:
        agent = (await scribe.get("/me")).json()["actor"]["id"]

        async def edit(client: httpx.AsyncClient, path: str, old: str, new: str) -> None:
            sha = (await client.get(f"{notes}/files/{path}")).headers["etag"].strip('"')
            body = {"base": sha, "edits": [{"old": old, "new": new}]}
            (await client.patch(f"{notes}/files/{path}", json=body)).raise_for_status()

        await edit(scribe, "a.md", "2\n3\n", "2\nscribe\n")
        await edit(root, "a.md", "7\n", "owner\n")
        await edit(scribe, "a.md", "10\n", "ten\n")
        await edit(scribe, "b.md", "5\n", "five\n")
        await edit(root, "b.md", "five\n", "five and more\n")
        await put(scribe, notes, "made.md", "made\n")
        (await scribe.delete(f"{notes}/files/gone.md")).raise_for_status()
    body = {"actor": agent, "since": "2020-01-01T00:00:00Z"}
    dry = (await root.post(f"{notes}/undo", json={**body, "dry_run": True})).raise_for_status().json()
    assert (dry["turn"], dry["kept"]) == (None, ["b.md"])
    done = (await root.post(f"{notes}/undo", json=body)).raise_for_status().json()
    assert done["kept"] == ["b.md"]
    assert await tree(root, notes) == {
        "a.md": lines.replace("7\n", "owner\n"),
        "b.md": lines.replace("5\n", "five and more\n"),
        "gone.md": lines,
    }
    (await root.post(f"{notes}/turns/{done['turn']}/undo")).raise_for_status()
    assert sorted(await tree(root, notes)) == ["a.md", "b.md", "made.md"]
    editor = await quire.token(notes.rpartition("/")[2], "editor")
    async with quire.client(editor) as client:
        assert (await client.post(f"{notes}/undo", json=body)).status_code == 403
