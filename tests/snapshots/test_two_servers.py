"""Two servers, two data directories, one repository: both edit, both commit, and both end with the same."""

from __future__ import annotations

import pathlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import anyio.to_thread
import pytest

from collab import conflicts
from collab.errors import Conflict
from collab.ids import Path
from snapshots.connecting import Asker
from snapshots.places import Wanted
from snapshots.remotes.local import init
from snapshots.snapshot import Snapshot
from tests.harness.faultproxy import fault_proxy
from tests.harness.github import GitHubServer
from tests.harness.hosting import Host, there
from tests.harness.hubs import Time, hub_to
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

ROOT: Final = Asker(ALICE, root=True)
NAMES: Final = ("a.md", "b.md", "c.md")
START: Final = "".join(f"line {number}\n\n\n\n" for number in range(12))


async def converge(homes: list[House]) -> None:
    """Rounds in turn, and every conflict decided for both sides, until nobody has anything left."""
    for _ in range(12):
        for home in homes:
            await home.snapshotter.pull(home.project)
            for each in await conflicts.still_open(home.store, home.project.id):
                try:
                    await home.snapshotter.settle(home.project, each.id, actor=ALICE, take="both")
                except Conflict:
                    await home.snapshotter.settle(home.project, each.id, actor=ALICE, take="ours")
            await home.snapshotter.snapshot(home.project)
        files = [await home.files() for home in homes]
        clean = [not await home.workspace.changed(home.project) for home in homes]
        if all(clean) and files[0] == files[1]:
            return
    raise AssertionError("they do not come to an end")


async def both_at_once(homes: list[House]) -> list[Snapshot]:
    made: list[Snapshot] = []

    async def commit(home: House) -> None:
        made.append(await home.snapshotter.snapshot(home.project))

    async with anyio.create_task_group() as tasks:
        for home in homes:
            tasks.start_soon(commit, home)
    return made


async def edit(home: House, dice: random.Random, word: str) -> None:
    name = Path(dice.choice(NAMES))
    lines = (await home.files())[name].decode().split("\n")
    lines.insert(dice.randrange(len(lines)), word)
    await home.write(name, "\n".join(lines))


@asynccontextmanager
async def on_one_repository(tmp_path: pathlib.Path) -> AsyncIterator[tuple[list[House], pathlib.Path]]:
    path = tmp_path / "shared.git"
    await anyio.to_thread.run_sync(init, path)
    async with AsyncExitStack() as stack:
        homes = [await stack.enter_async_context(house(tmp_path / name)) for name in ("first", "second")]
        for name in NAMES:
            await homes[0].write(name, START)
        for home in homes:
            wanted = Wanted(kind="git", repository=str(path), branch="main")
            await home.connecting.connect(home.project, wanted, "merge", ROOT)
            await home.snapshotter.snapshot(home.project)
        yield homes, path


@pytest.mark.parametrize("seed", range(4))
async def test_two_servers_on_one_repository_lose_and_double_nothing(tmp_path: pathlib.Path, seed: int) -> None:
    dice = random.Random(seed)
    async with on_one_repository(tmp_path) as (homes, path):
        written: list[str] = []
        for number in range(24):
            home = dice.choice(homes)
            written.append(f"word-{number}")
            await edit(home, dice, written[-1])
            if dice.random() < 0.3:
                made = await both_at_once(homes)
                assert {each.state for each in made} <= {"done", "nothing"}
            elif dice.random() < 0.3:
                await home.snapshotter.snapshot(home.project)
        await converge(homes)
        files = await homes[0].files()
        words = Counter(word for text in files.values() for word in text.decode().split() if word.startswith("word"))
        assert words == Counter(written)
        head = git(path, "ls-tree", "-r", "--name-only", "main").split()
        assert {name: git(path, "show", f"main:{name}", strip=False).encode() for name in head} == files
        assert git(path, "fsck", "--strict", "--full", "--no-dangling") == ""
        assert git(path, "rev-list", "--merges", "--count", "main") == "0", "every commit is on top of the last"


async def test_two_servers_on_one_repository_of_githubs(github: GitHubServer, tmp_path: pathlib.Path) -> None:
    theirs = await anyio.to_thread.run_sync(github.make)
    time = Time()
    async with fault_proxy(github.url) as proxy, AsyncExitStack() as stack:
        homes = [
            await stack.enter_async_context(
                house(tmp_path / name, make_hub=lambda credential: hub_to(proxy.url, credential, time))
            )
            for name in ("first", "second")
        ]
        for name in NAMES:
            await homes[0].write(name, START)
        for home in homes:
            wanted = Wanted(kind="github", repository=theirs.full_name, token=theirs.token)
            await home.connecting.connect(home.project, wanted, "merge", ROOT)
            await home.snapshotter.snapshot(home.project)
        dice = random.Random(7)
        for number in range(8):
            for home in homes:
                await edit(home, dice, f"word-{number}-{homes.index(home)}")
            made = await both_at_once(homes)
            assert {each.state for each in made} <= {"done", "nothing"}
        await converge(homes)
        text = b"".join((await homes[0].files()).values()).decode()
        assert all(text.count(f"word-{number}-{which}\n") == 1 for number in range(8) for which in range(2))


async def test_two_servers_on_a_protected_branch_have_a_pull_request_each(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path / "host" / "notes.git")
    async with (
        house(tmp_path / "first", remotes_of=there(host)) as first,
        house(tmp_path / "second", remotes_of=there(host)) as second,
    ):
        homes = [first, second]
        for name in NAMES:
            await first.write(name, START)
        await first.snapshotter.snapshot(first.project)
        await second.snapshotter.pull(second.project)
        host.protected.add("main")
        await first.write("a.md", f"by the first\n{START}")
        await second.write("b.md", f"by the second\n{START}")
        made = await both_at_once(homes)
        assert len({each.branch for each in made}) == len(host.open) == 2
        assert {tuple(host.difference(pull)) for pull in host.open} == {("a.md",), ("b.md",)}
        for pull in list(host.open):
            assert host.merge(pull, "squash")
        for home in homes:
            await home.snapshotter.pull(home.project)
            assert await home.workspace.changed(home.project) == []
        assert await first.files() == await second.files()
        assert (await first.files())[Path("a.md")].decode().count("by the first") == 1
