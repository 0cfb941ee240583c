"""A process that is killed while edits go to a pull request or to a branch of their own, or while a push is accepted; and the
next one, which ends it once."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import anyio
import pytest

from collab import conflicts
from tests.snapshots.dying_elsewhere import TEN, durable, host
from tests.snapshots.git import git

pytestmark = pytest.mark.anyio

OFFER_STEPS = (
    "journalled",
    "files held back",
    "branch begun",
    "committed",
    "recorded",
    "pull request opened",
    "pull request recorded",
    "offer adopted",
)
ASIDE_STEPS = ("put aside",)
PUSH_STEPS = ("push planned", "push landed")


async def killed(root: pathlib.Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.snapshots.dying_elsewhere", str(root), *arguments]
    done = await anyio.to_thread.run_sync(lambda: subprocess.run(command, check=False, timeout=60))
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", OFFER_STEPS)
async def test_an_offer_killed_anywhere_ends_as_one_pull_request_and_nothing_twice(
    tmp_path: pathlib.Path, step: str
) -> None:
    await killed(tmp_path, "offer", step)
    place = host(tmp_path)
    place.protected.add("main")
    async with durable(tmp_path, on=place) as home:
        await home.snapshotter.snapshot(home.project)
        (pull,) = place.pulls
        if pull.state == "open":
            assert place.difference(pull) == {"a.md": "M"}
            assert place.git("rev-list", "--count", f"main..{pull.branch}") == "1"
            place.merge(pull, "squash")
            await home.snapshotter.snapshot(home.project)
        assert len(place.pulls) == 1
        assert place.show("main", "a.md") == TEN + "alice"
        assert place.git("rev-list", "--count", "main") == "2"
        assert await home.files() == {"a.md": (TEN + "alice\n").encode(), "secret.md": b"a secret\n"}
        assert [each.path for each in await home.workspace.changed(home.project)] == ["secret.md"]
        assert await conflicts.still_open(home.store, home.project.id) == []


@pytest.mark.parametrize("step", ASIDE_STEPS)
async def test_ours_put_aside_by_a_process_that_is_killed_is_aside_once(tmp_path: pathlib.Path, step: str) -> None:
    await killed(tmp_path, "aside", step)
    async with durable(tmp_path) as home:
        await home.snapshotter.pull(home.project)
        (decided,) = await conflicts.ended(home.store, home.project.id)
        assert decided.aside is not None
        assert (decided.state, decided.taken) == ("resolved", "branch")
        assert git(home.repository, "show", f"{decided.aside.branch}:a.md") == TEN.replace("line 3", "alice").rstrip()
        assert git(home.repository, "rev-list", "--count", f"main..{decided.aside.branch}") == "1"
        assert len(git(home.repository, "for-each-ref", "refs/heads").split("\n")) == 2
        assert await home.files() == {"a.md": TEN.replace("line 3", "bob").encode()}
        assert await home.workspace.changed(home.project) == []


@pytest.mark.parametrize("step", PUSH_STEPS)
async def test_a_push_whose_server_is_killed_happens_whole_or_not_at_all(tmp_path: pathlib.Path, step: str) -> None:
    await killed(tmp_path, "push", step)
    landed = step == "push landed"
    async with durable(tmp_path) as home:
        assert git(home.repository, "rev-list", "--count", "main") == ("2" if landed else "1")
        assert (await home.snapshotter.pull(home.project)).state == ("done" if landed else "nothing")
        if not landed:
            # Whoever pushed was told nothing, and pushes again.
            git(tmp_path / "bob", "push", "--quiet")
            assert (await home.snapshotter.pull(home.project)).state == "done"
        both = TEN.replace("line 3", "bob").replace("line 8", "alice")
        assert await home.files() == {"a.md": both.encode()}
        assert (await home.snapshotter.snapshot(home.project)).state == "done"
        assert git(home.repository, "show", "main:a.md") == both.rstrip()
