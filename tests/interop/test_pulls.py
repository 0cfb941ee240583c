"""A pull under the hands of stock Yjs peers in Node: what others pushed appears in their files, and their cursors, selections and
undo stay what they were."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

from tests.harness.node import StockPeers, stock_peers
from tests.harness.server import ServerProcess
from tests.snapshots.git import commit_all, git

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("interop")]

PATH = "docs/a.md"
TEN = "".join(f"line {number}: 中文, 😀 and some words\n" for number in range(10))


@pytest.fixture
async def stock() -> AsyncIterator[StockPeers]:
    async with stock_peers() as peers:
        yield peers


@dataclass
class Project:
    """A project whose file is committed, and a clone of it in which bob works."""

    api: httpx.AsyncClient
    name: str
    bob: pathlib.Path

    @property
    def room(self) -> str:
        return f"{self.name}/{PATH}"

    async def push(self, text: str, path: str = PATH) -> dict[str, Any]:
        """Bob's file is this now; what the pull that brings it says."""
        (self.bob / PATH).unlink()
        (self.bob / path).write_text(text)
        await anyio.to_thread.run_sync(commit_all, self.bob)
        await anyio.to_thread.run_sync(git, self.bob, "push", "--quiet")
        pulled: dict[str, Any] = (await self.api.post(f"/projects/{self.name}/pull")).raise_for_status().json()
        return pulled

    async def text(self, path: str = PATH) -> str:
        return (await self.api.get(f"/projects/{self.name}/files/{path}")).raise_for_status().text


@pytest.fixture
async def shared(async_api: httpx.AsyncClient, project: str, server: ServerProcess, tmp_path: pathlib.Path) -> Project:
    (await async_api.put(f"/projects/{project}/files/{PATH}", content=TEN.encode())).raise_for_status()
    (await async_api.post(f"/projects/{project}/snapshots")).raise_for_status()
    repository = server.data / "git" / f"{project}.git"
    await anyio.to_thread.run_sync(git, tmp_path, "clone", "--quiet", str(repository), "bob")
    return Project(async_api, project, tmp_path / "bob")


def units(text: str) -> int:
    """Yjs in JavaScript counts UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def place(text: str, found: str) -> int:
    return units(text[: text.index(found)])


async def behind(stock: StockPeers, who: str, mark: object, text: str) -> str:
    """The text that follows a cursor."""
    at = await stock.do("where", who, mark=mark)
    return text.encode("utf-16-le")[2 * at :].decode("utf-16-le")


async def test_cursors_and_selections_stay_with_their_words(
    stock: StockPeers, server: ServerProcess, shared: Project
) -> None:
    await stock.join("alice", server, shared.room)
    await stock.join("carol", server, shared.room)
    alice = await stock.do("mark", "alice", at=place(TEN, "line 5"))
    start, end = place(TEN, "😀 and some words\nline 7"), place(TEN, "words\nline 8")
    selection = [await stock.do("mark", "carol", at=at, assoc=assoc) for at, assoc in ((start, 0), (end, -1))]
    pushed = TEN.replace("line 0", "before all, 編集\nline 0").replace("line 9", "the last line")
    pushed = pushed.replace("line 3: 中文, 😀 and some words\n", "")
    # In the very lines where they are: words before, behind and between.
    pushed = pushed.replace("line 5: 中文", "line 5: 日本語").replace("line 6: 中文", "6")
    assert (await shared.push(pushed))["state"] == "done"
    for who in ("alice", "carol"):
        await stock.do("is", who, text=pushed)
    assert (await behind(stock, "alice", alice, pushed)).startswith("line 5: 日本語")
    # What one of them shows the other is where she sees it herself.
    assert (await behind(stock, "carol", alice, pushed)).startswith("line 5: 日本語")
    first, last = [await behind(stock, "carol", mark, pushed) for mark in selection]
    assert first.startswith("😀 and some words\nline 7")
    assert last.startswith("words\nline 8")
    assert await shared.text() == pushed


async def test_undo_takes_back_ones_own_edits_and_no_others(
    stock: StockPeers, server: ServerProcess, shared: Project
) -> None:
    await stock.join("alice", server, shared.room)
    await stock.do("track", "alice")
    await stock.do("delete", "alice", at=place(TEN, "line 9"), length=units("line 9"))
    await stock.do("insert", "alice", at=place(TEN, "line 2"), text="alice's ")
    # Bob has changed the lines beside hers, and others.
    pushed = TEN.replace("line 0", "bob's line 0").replace("line 7: 中文, 😀 and some words\n", "line seven\n")
    pulled = await shared.push(pushed)
    assert (pulled["state"], pulled["conflicts"]) == ("done", [])
    without = pushed.replace("line 9", "")
    await stock.do("is", "alice", text=without.replace("line 2", "alice's line 2"))
    for text in (without, pushed):
        assert await stock.do("undo", "alice")
        await stock.do("is", "alice", text=text)
    assert not await stock.do("undo", "alice")
    assert await stock.do("redo", "alice")
    await stock.do("is", "alice", text=without)
    await stock.join("carol", server, shared.room)
    await stock.do("is", "carol", text=without)


@pytest.mark.parametrize(("take", "left"), [("ours", "alice wrote this\n"), ("theirs", "bob wrote this\n")])
async def test_a_conflict_changes_nothing_under_the_hands_until_it_is_decided(
    stock: StockPeers, server: ServerProcess, shared: Project, take: str, left: str
) -> None:
    await stock.join("alice", server, shared.room)
    await stock.do("track", "alice")
    line = TEN.splitlines(keepends=True)[4]
    await stock.do("delete", "alice", at=place(TEN, line), length=units(line))
    await stock.do("insert", "alice", at=place(TEN, line), text="alice wrote this\n")
    mine = TEN.replace(line, "alice wrote this\n")
    cursor = await stock.do("mark", "alice", at=place(mine, "line 7"))
    pulled = await shared.push(TEN.replace(line, "bob wrote this\n").replace("line 9", "line nine"))
    [conflict] = pulled["conflicts"]
    await stock.do("is", "alice", text=mine)
    url = f"/projects/{shared.name}/conflicts/{conflict}"
    (await shared.api.post(url, json={"take": take})).raise_for_status()
    decided = TEN.replace(line, left).replace("line 9", "line nine")
    await stock.do("is", "alice", text=decided)
    assert (await behind(stock, "alice", cursor, decided)).startswith("line 7")
    # What she wrote can still be undone, as far as it is there; of what others wrote, nothing goes.
    assert await stock.do("undo", "alice")
    kept = [each for each in decided.splitlines() if "wrote this" not in each]
    await stock.do("contains", "alice", parts=kept if take == "ours" else [*kept, "bob"])


async def test_a_renamed_file_stays_open_where_it_was(
    stock: StockPeers, server: ServerProcess, shared: Project
) -> None:
    await stock.join("alice", server, shared.room)
    await stock.do("track", "alice")
    await stock.do("insert", "alice", at=0, text="alice\n")
    cursor = await stock.do("mark", "alice", at=place("alice\n" + TEN, "line 5"))
    pushed = TEN.replace("line 9", "line nine")
    assert (await shared.push(pushed, "docs/moved.md"))["conflicts"] == []
    await stock.do("is", "alice", text="alice\n" + pushed)
    assert (await behind(stock, "alice", cursor, "alice\n" + pushed)).startswith("line 5")
    await stock.do("insert", "alice", at=0, text="still here, ")
    await stock.join("carol", server, f"{shared.name}/docs/moved.md")
    await stock.do("is", "carol", text="still here, alice\n" + pushed)
    assert await stock.do("undo", "alice")
    assert await stock.do("undo", "alice")
    await stock.do("is", "carol", text=pushed)
