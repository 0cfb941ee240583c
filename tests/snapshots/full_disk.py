"""A process whose disk fills up and is cleared again, while what was written becomes commits. For test_full_disk.

    python -m tests.snapshots.full_disk FOLDER BYTES

No file may grow beyond so many bytes: that does what a full disk does, writing fails. Exit status 0 when all went as it should.
"""

from __future__ import annotations

import pathlib
import random
import resource
import sys

import anyio

from collab.errors import LogFailed, QuireError
from collab.ids import Path
from tests.snapshots.dying import durable
from tests.snapshots.git import git
from tests.snapshots.house import House


async def main(folder: pathlib.Path, limit: int) -> None:
    big = random.Random(1).randbytes(4_000_000)
    async with durable(folder) as (home, _):
        await home.write("a.md", "one\n")
        first = await home.snapshotter.snapshot(home.project)
        await home.write("big.bin", big)
        await home.write("b.md", "b\n")
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        for _ in range(3):
            await fails(home)
        status = await home.snapshotter.status(home.project)
        assert status.state == "failed", status
        assert "full" in status.detail or "limit" in status.detail, status.detail
        assert "tried again" in status.detail, status.detail
        assert status.uncommitted == 2, status
        assert git(home.repository, "rev-parse", "main") == first.commit
        try:
            await home.write("c.md", "typed while there was no room\n")
            kept = True
        except LogFailed:
            kept = False

        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        made = await home.snapshotter._automatic(home.project)
        assert made.state == "done", made
        status = await home.snapshotter.status(home.project)
        assert (status.state, status.detail, status.uncommitted) == ("idle", "", 0), status
        assert git(home.repository, "rev-list", "--count", "main") == "2"
        assert git(home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""
        files = await home.files()
        assert files[Path("big.bin")] == big
        assert (Path("c.md") in files) == kept
        names = git(home.repository, "ls-tree", "-r", "--name-only", "main").split()
        assert names == sorted(files), "what was shown as saved is committed, and nothing else"


async def fails(home: House) -> None:
    try:
        made = await home.snapshotter.snapshot(home.project)
    except (OSError, QuireError):
        return
    raise AssertionError(f"there was room: {made}")


if __name__ == "__main__":
    anyio.run(main, pathlib.Path(sys.argv[1]), int(sys.argv[2]))
