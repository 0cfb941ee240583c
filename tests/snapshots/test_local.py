"""The bare repository on disk: locks, packs, and others who push at the same time."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from dataclasses import replace

import anyio
import pytest

from collab.errors import Invalid, Unavailable
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId
from collab.store.base import Project
from snapshots.remotes.base import Author, BranchMoved, Made, NewCommit, TreeEntry
from snapshots.remotes.local import STALE_LOCK, LocalRemote, LocalRemotes
from tests.snapshots.git import ENVIRONMENT, blob_sha, commit_all, git

pytestmark = pytest.mark.anyio


@pytest.fixture
def remote(tmp_path: pathlib.Path) -> LocalRemote:
    return LocalRemote(tmp_path / "notes.git")


async def commit(remote: LocalRemote, path: str, content: bytes, *, at: int = 1_700_000_000) -> Made:
    async def blob(sha: BlobSha) -> bytes:
        return content

    new = NewCommit(
        parent=await remote.head(),
        writes={Path(path): TreeEntry(blob_sha(content), 0o100644)},
        deletes=[],
        message=f"Edit {path}\n",
        author=Author("Quire", "quire@localhost"),
        at=at,
    )
    return await remote.commit(new, blob)


async def test_a_lock_that_a_dead_process_left_is_broken(remote: LocalRemote) -> None:
    await commit(remote, "a", b"1")
    lock = remote.path / "refs/heads/main.lock"
    lock.write_bytes(b"")
    old = time.time() - STALE_LOCK - 1
    os.utime(lock, (old, old))
    made = await commit(remote, "a", b"2")
    assert await remote.head() == made.commit


async def test_a_lock_that_somebody_holds_is_waited_for(remote: LocalRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    await commit(remote, "a", b"1")
    lock = remote.path / "refs/heads/main.lock"
    lock.write_bytes(b"")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit, remote, "a", b"2")
        await anyio.sleep(0.1)
        lock.unlink()
    assert git(remote.path, "rev-list", "--count", "main") == "2"
    lock.write_bytes(b"")
    monkeypatch.setattr("snapshots.remotes.local.LOCK_PATIENCE", 0.1)
    with pytest.raises(Unavailable):
        await commit(remote, "a", b"3")
    assert git(remote.path, "rev-list", "--count", "main") == "2"


async def test_loose_objects_are_packed_and_nothing_is_missing(remote: LocalRemote) -> None:
    for number in range(30):
        await commit(remote, f"d{number}/a", b"%d" % number)
    packed = await remote.pack(above=10)
    assert packed == 30 * 4
    assert git(remote.path, "count-objects").startswith("0 objects")
    assert git(remote.path, "fsck", "--strict", "--full") == ""
    await commit(remote, "d0/a", b"more")
    assert await remote.pack(above=10) == 0


async def test_what_git_gc_does_is_seen(remote: LocalRemote) -> None:
    for number in range(5):
        await commit(remote, "a", b"%d" % number)
    git(remote.path, "gc", "--quiet", "--prune=now")
    git(remote.path, "pack-refs", "--all")
    made = await commit(remote, "b", b"after")
    assert git(remote.path, "rev-parse", "main") == made.commit == await remote.head()
    assert git(remote.path, "rev-list", "--count", "main") == "6"
    assert git(remote.path, "fsck", "--strict", "--full") == ""


async def test_real_pushes_and_our_commits_never_overwrite_each_other(
    remote: LocalRemote, tmp_path: pathlib.Path
) -> None:
    """Every commit that was accepted, theirs and ours, is in the branch's history."""
    await commit(remote, "a", b"0")
    git(tmp_path, "clone", "--quiet", str(remote.path), "copy")
    copy = tmp_path / "copy"
    accepted: list[str] = []

    def push(number: int) -> str | None:
        git(copy, "pull", "--quiet", "--rebase")
        (copy / f"theirs{number}").write_text("theirs\n")
        made = commit_all(copy)
        done = subprocess.run(
            ["git", "-C", str(copy), "push", "--quiet"], env=ENVIRONMENT, capture_output=True, check=False
        )
        return made if done.returncode == 0 else None

    async def theirs() -> None:
        for number in range(8):
            made = await anyio.to_thread.run_sync(push, number)
            accepted.extend([made] if made is not None else [])

    async def ours() -> None:
        for number in range(60):
            try:
                accepted.append((await commit(remote, f"ours{number}", b"ours\n")).commit)
            except BranchMoved:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(theirs)
        tasks.start_soon(ours)
    history = set(git(remote.path, "rev-list", "main").split())
    assert set(accepted) <= history
    assert git(remote.path, "fsck", "--strict", "--full", "--no-dangling") == ""


@pytest.mark.parametrize("name", ["", "a..b", "a b", "-x/.lock", "x.lock"])
def test_a_branch_has_a_name_that_git_takes(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(Invalid):
        LocalRemote(tmp_path / "x.git", name)


async def test_what_a_dead_process_left_half_written_stands_in_nobodys_way(tmp_path: pathlib.Path) -> None:
    project = Project(id=ProjectId("p"), name="notes", created_at=Millis(0), created_by=ActorId("alice"))
    first = await LocalRemotes(tmp_path).of(project)
    await commit(first, "a", b"1")
    sha = blob_sha(b"2")
    (first.path / "objects" / sha[:2]).mkdir()
    left = [
        first.path / "objects" / sha[:2] / f"{sha[2:]}.lock",
        first.path / "objects/pack/tmpabc.pack",
        first.path / "refs/heads/main.lock",
    ]
    for each in left:
        each.write_bytes(b"half")
        os.utime(each, (1, 1))
    again = await LocalRemotes(tmp_path).of(project)
    made = await commit(again, "a", b"2")
    assert await again.head() == made.commit
    assert [each for each in left if each.exists()] == []


async def test_a_project_that_is_renamed_while_it_commits_keeps_its_commit(tmp_path: pathlib.Path) -> None:
    remotes = LocalRemotes(tmp_path)
    project = Project(id=ProjectId("p"), name="notes", created_at=Millis(0), created_by=ActorId("alice"))
    held = await remotes.of(project)
    renamed = replace(project, name="papers")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit, held, "a", b"1")
        tasks.start_soon(remotes.of, renamed)
    made = await commit(held, "a", b"2")
    assert git(tmp_path / "papers.git", "rev-parse", "main") == made.commit
    assert git(tmp_path / "papers.git", "rev-list", "--count", "main") == "2"
    assert not (tmp_path / "notes.git").exists()
