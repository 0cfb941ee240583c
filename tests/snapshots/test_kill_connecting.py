"""A process that is killed while it connects a project elsewhere, and the next one that finds what it left."""

from __future__ import annotations

import pathlib
import signal

import anyio.to_thread
import pytest

from collab.ids import Path
from snapshots import connection as connections
from snapshots.connecting import Asker, Take
from snapshots.places import Wanted
from tests.snapshots.dying import HERE, durable
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, House
from tests.snapshots.test_connecting import bare, documents, held, text, uncommitted
from tests.snapshots.test_kill import run

pytestmark = pytest.mark.anyio

THERE = {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"}

COMMITS: dict[Take, int] = {"theirs": 7, "ours": 2, "merge": 5}
"""Of the store, while a project is connected: the switch and, before it, what ours would delete; after it, who pushed, each file
that the pull changes, and its record."""


async def connected(root: pathlib.Path, take: Take, number: int) -> int:
    bare(root, THERE)
    return await anyio.to_thread.run_sync(run, root, "connect", take, str(number))


async def go_on(home: House, take: Take) -> None:
    """What the next process does: whoever connected tries again, unless it is connected; then the schedule goes on."""
    if await connections.connection(home.store, home.project.id) is None:
        assert await text(home) == HERE
        wanted = Wanted(kind="git", repository=str(home.root / "theirs.git"))
        await home.connecting.connect(home.project, wanted, take, Asker(ALICE, root=True))


def after(take: Take) -> tuple[dict[str, str], dict[str, str]]:
    """The files here, and there, when all is done."""
    if take == "theirs":
        return THERE, THERE
    if take == "ours":
        return HERE, HERE
    return {**THERE, **HERE}, {**HERE, **THERE}


@pytest.mark.parametrize(("take", "number"), [(take, n) for take, many in COMMITS.items() for n in range(1, many + 1)])
async def test_a_switch_that_is_killed_anywhere_ends_as_if_it_had_not_been(
    tmp_path: pathlib.Path, take: Take, number: int
) -> None:
    assert await connected(tmp_path, take, number) == -signal.SIGKILL
    async with durable(tmp_path) as (home, _):
        await go_on(home, take)
        made = await home.snapshotter.snapshot(home.project)
        assert made.state == ("nothing" if take == "theirs" else "done")
        here, there = after(take)
        assert await text(home) == here
        assert held(home.root / "theirs.git") == {name: content.rstrip("\n") for name, content in there.items()}
        assert git(home.root / "theirs.git", "rev-list", "--count", "main") == ("1" if take == "theirs" else "2")
        waiting = [each.path for each in await home.snapshotter.settling.conflicts(home.project)]
        assert waiting == (["other.md"] if take == "merge" else [])
        assert await uncommitted(home) == ({"other.md": "added"} if take == "merge" else {})
        assert len(set((await documents(home)).values())) == len(here)
        if take != "merge":
            gone = "here.md" if take == "theirs" else "there.md"
            back = await home.workspace.undelete(home.project, Path(gone), None, ALICE)
            assert (await home.workspace.read(home.project, back.path)).content == {**HERE, **THERE}[gone].encode()


@pytest.mark.parametrize("take", COMMITS)
async def test_a_switch_that_is_not_killed_makes_that_many_commits(tmp_path: pathlib.Path, take: Take) -> None:
    assert await connected(tmp_path, take, COMMITS[take] + 1) == 0
