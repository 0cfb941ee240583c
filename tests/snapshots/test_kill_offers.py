"""A process that is killed while edits go to a pull request, and the next one, which ends it once."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import anyio
import pytest

from collab import conflicts
from tests.snapshots.dying_offers import TEN, durable, host

pytestmark = pytest.mark.anyio

STEPS = (
    "journalled",
    "files held back",
    "branch begun",
    "committed",
    "recorded",
    "pull request opened",
    "pull request recorded",
    "offer adopted",
)


async def killed(root: pathlib.Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.snapshots.dying_offers", str(root), *arguments]
    done = await anyio.to_thread.run_sync(lambda: subprocess.run(command, check=False, timeout=60))
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
async def test_an_offer_killed_anywhere_ends_as_one_pull_request_and_nothing_twice(
    tmp_path: pathlib.Path, step: str
) -> None:
    await killed(tmp_path, step)
    place = host(tmp_path)
    place.protected.add("main")
    async with durable(tmp_path, place) as home:
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
