"""A process that is killed at any point of a snapshot or an import, and the next one that finds what it left."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import anyio
import psutil
import pytest

from snapshots import journal
from snapshots.sources import GitFolder, Request
from snapshots.worker import reading
from tests.harness.until import auntil
from tests.snapshots.dying import durable
from tests.snapshots.git import commit_all, git, new_repository
from tests.snapshots.house import ALICE

pytestmark = pytest.mark.anyio

SNAPSHOT_STEPS = (
    "journalled",
    "blobs written",
    "trees made",
    "objects written",
    "branch moved",
    "committed",
    "recorded",
)

IMPORT_COMMITS = 6
"""The job's record, three slices of files, the branch that is being adopted, and the publishing."""


def run(root: pathlib.Path, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.snapshots.dying", str(root), *arguments], check=False, timeout=60
    )
    return done.returncode


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A source that nobody reads to its end: its reader hangs in a full pipe."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(60):
        (folder / f"large{number}.md").write_text("x" * 100_000)
    return folder


@pytest.mark.parametrize("step", SNAPSHOT_STEPS)
async def test_a_snapshot_killed_anywhere_ends_with_exactly_one_commit(
    tmp_path: pathlib.Path, large: pathlib.Path, step: str
) -> None:
    """A worker is alive when the process dies, and holds up nobody."""
    assert await anyio.to_thread.run_sync(run, tmp_path, "snapshot", step, str(large)) == -signal.SIGKILL
    worker = int((tmp_path / "worker").read_text())
    await auntil(lambda: not psutil.pid_exists(worker), "the end of the worker")
    async with durable(tmp_path) as (home, _):
        again = await home.snapshotter.snapshot(home.project)
        moved = step in ("branch moved", "committed", "recorded")
        assert again.state == ("nothing" if moved else "done")
        assert git(home.repository, "rev-list", "--count", "main") == "2"
        assert git(home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""
        assert await home.workspace.changed(home.project) == []
        branch = await journal.branch(home.store, home.project.id)
        assert branch is not None
        assert branch.commit == git(home.repository, "rev-parse", "main") == again.commit
        states = [each.state for each in await home.snapshotter.snapshots(home.project)]
        assert states == (["done", "done"] if moved else ["done", "failed", "done"])
        assert git(home.repository, "diff", "--name-status", "-M", "main~1", "main").split("\n") == [
            "M\td0/a.md", "D\td2/a.md", "R100\td1/a.md\te/a.md", "A\tnew.bin",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = new_repository(tmp_path_factory.mktemp("source") / "source")
    for number in range(250):
        (folder / f"f{number}.md").write_text(f"file {number}\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    commit_all(folder)
    return folder


@pytest.mark.parametrize("number", range(1, IMPORT_COMMITS + 1))
async def test_an_import_killed_anywhere_leaves_nothing_and_can_be_run_again(
    tmp_path: pathlib.Path, source: pathlib.Path, number: int
) -> None:
    assert await anyio.to_thread.run_sync(run, tmp_path, "import", str(source), str(number)) == -signal.SIGKILL
    async with durable(tmp_path) as (home, _):
        assert (await home.workspace.tree(home.project)).rows == []
        jobs = await home.store.records("jobs", home.project.id)
        found = [await home.importer.job(job) for job in jobs]
        assert [job.state for job in found] == ([] if number == 1 else ["failed"])
        assert list((tmp_path / "git").glob(".import-*")) == []
        assert await (await home.remotes.of(home.project)).head() is None
        job = await home.importer.start(home.project, GitFolder(str(source)), ALICE)
        done = await home.importer.wait(job.id)
        assert done.state == "done", done.message
        assert await home.workspace.changed(home.project) == []
        assert git(home.repository, "rev-parse", "main") == git(source, "rev-parse", "HEAD")


async def test_an_import_that_is_not_killed_makes_that_many_commits(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    assert await anyio.to_thread.run_sync(run, tmp_path, "import", str(source), str(IMPORT_COMMITS + 1)) == 0


async def test_the_reader_of_a_source_ends_with_its_parent(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    """The pipe is full and nobody reads it: the worker hangs in a write when its parent dies."""
    for number in range(400):
        (source / f"large{number}.md").write_text("x" * 100_000)
    code = (
        "import anyio, sys\n"
        "from snapshots.sources import Folder, Request\n"
        "from snapshots.worker import reading\n"
        "async def main():\n"
        "    request = Request(source=Folder(sys.argv[1]), bare=sys.argv[2], scratch=sys.argv[2])\n"
        "    async with reading(request) as messages:\n"
        "        await anext(messages)\n"
        "        print('reading', flush=True)\n"
        "        await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", code, str(source), str(tmp_path / "x")], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert await anyio.to_thread.run_sync(parent.stdout.readline) == b"reading\n"
        (worker,) = psutil.Process(parent.pid).children()
        parent.kill()
    gone, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs([worker], timeout=10))
    assert (len(gone), alive) == (1, [])


async def test_a_reader_that_nobody_listens_to_any_more_ends(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    request = Request(source=GitFolder(str(source)), bare=str(tmp_path / "x"), scratch=str(tmp_path / "x"))
    before = set(psutil.Process().children())
    async with reading(request) as messages:
        await anext(messages)
        (worker,) = set(psutil.Process().children()) - before
    assert not worker.is_running()
