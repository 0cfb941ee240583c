"""Edits become commits: on demand, by schedule, once more at the end; with real git as the judge."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import anyio
import pytest

from collab.bases import bases
from collab.ids import Path
from snapshots.committer import Committer
from snapshots.schedule import Pace
from snapshots.snapshotter import Snapshotter
from tests.snapshots.git import blob_sha, commit_all, git
from tests.snapshots.house import ALICE, BOB, BOT, Clock, House, house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def test_edits_become_a_commit_that_git_can_clone(home: House, tmp_path: pathlib.Path) -> None:
    await home.write("docs/a.md", "one\r\ntwo\r\n")
    await home.write("latin.txt", b"caf\xe9")
    await home.write("run.sh", b"\xef\xbb\xbf#!\n", mode=0o100755)
    made = await home.snapshotter.snapshot(home.project)
    assert made.state == "done"
    assert made.number == 1
    git(tmp_path, "clone", "--quiet", str(home.repository), "copy")
    assert (tmp_path / "copy/docs/a.md").read_bytes() == b"one\r\ntwo\r\n"
    assert (tmp_path / "copy/latin.txt").read_bytes() == b"caf\xe9"
    assert (tmp_path / "copy/run.sh").read_bytes() == b"\xef\xbb\xbf#!\n"
    assert (tmp_path / "copy/run.sh").stat().st_mode & 0o100
    assert git(home.repository, "fsck", "--strict", "--full") == ""
    assert git(home.repository, "rev-parse", "main") == made.commit
    assert await home.workspace.changed(home.project) == []


async def test_nothing_changed_makes_no_commit(home: House) -> None:
    nothing = await home.snapshotter.snapshot(home.project)
    assert (nothing.state, nothing.commit) == ("nothing", None)
    await home.write("a.md", "a")
    made = await home.snapshotter.snapshot(home.project)
    await home.write("a.md", "b")
    await home.write("a.md", "a")
    again = await home.snapshotter.snapshot(home.project)
    assert (again.state, again.commit, again.number) == ("nothing", made.commit, 1)
    assert len(await home.snapshotter.snapshots(home.project)) == 1


async def test_only_what_changed_is_in_the_next_commit(home: House) -> None:
    for name in ("a", "b", "c", "d/e", "d/f"):
        await home.write(name, f"{name}\n")
    await home.snapshotter.snapshot(home.project)
    await home.write("a", "a\nmore\n")
    await home.workspace.delete(home.project, Path("b"), ALICE)
    await home.workspace.move(home.project, Path("c"), Path("g/c"), ALICE)
    await home.workspace.delete(home.project, Path("d"), ALICE, recursive=True)
    await home.write("d", "a file now\n")
    made = await home.snapshotter.snapshot(home.project)
    assert {(each.path, each.change) for each in made.files} == {
        ("a", "modified"), ("b", "deleted"), ("g/c", "renamed"), ("d/e", "deleted"), ("d/f", "deleted"), ("d", "added"),
    }  # fmt: skip
    assert git(home.repository, "ls-tree", "-r", "--name-only", "main").split() == ["a", "d", "g/c"]
    assert git(home.repository, "diff", "--name-status", "-M", "main~1", "main").split("\n") == [
        "M\ta", "D\tb", "A\td", "D\td/e", "D\td/f", "R100\tc\tg/c",
    ]  # fmt: skip
    assert set(await bases(home.store, home.project.id)) == {"a", "d", "g/c"}
    assert await home.workspace.changed(home.project) == []


async def test_the_message_says_what_and_who(home: House) -> None:
    await home.write("a.md", "one\n")
    await home.write("b.md", "one\n", BOT)
    await home.snapshotter.snapshot(home.project)
    for number in range(3):
        await home.write("b.md", f"{number}\n", BOT)
    await home.write("a.md", "two\n", ALICE)
    await home.write("a.md", "three\n", BOB)
    await home.snapshotter.snapshot(home.project)
    lines = git(home.repository, "log", "-1", "--format=%B").split("\n")
    assert lines[0] == "Edit a.md and 1 more"
    assert lines[2:4] == ["M a.md", "M b.md"]
    assert "Edited-by: Bob" in lines
    trailers = git(home.repository, "log", "-1", "--format=%(trailers:only)").strip().split("\n")
    assert trailers[:2] == [
        "Co-authored-by: Bot <bot@example.org>",
        "Co-authored-by: Alice of Wonder land <alice@example.org>",
    ]
    assert trailers[2].startswith(f"Quire-Snapshot: {home.project.id}/2/")
    assert git(home.repository, "log", "-1", "--format=%an <%ae>") == "Quire <quire@localhost>"


async def test_a_commit_by_hand_has_its_message_and_its_author(home: House) -> None:
    await home.write("a.md", "one\n")
    made = await home.snapshotter.snapshot(home.project, message="Better words\r\n\r\nBy far.\n", actor=ALICE)
    assert (
        git(home.repository, "log", "-1", "--format=%an|%ae|%s")
        == "Alice of Wonder land|alice@example.org|Better words"
    )
    assert git(home.repository, "log", "-1", "--format=%b").startswith("By far.\n\nQuire-Snapshot: ")
    assert made.message.startswith("Better words\n\nBy far.\n")


async def test_only_chosen_paths(home: House) -> None:
    await home.write("a.md", "a")
    await home.write("docs/b.md", "b")
    await home.write("docs2/c.md", "c")
    made = await home.snapshotter.snapshot(home.project, paths=[Path("docs")])
    assert [each.path for each in made.files] == ["docs/b.md"]
    assert [each.path for each in await home.workspace.changed(home.project)] == ["a.md", "docs2/c.md"]
    await home.workspace.move(home.project, Path("docs/b.md"), Path("x/b.md"), ALICE)
    await home.snapshotter.snapshot(home.project, paths=[Path("x/b.md")])
    assert git(home.repository, "ls-tree", "-r", "--name-only", "main") == "x/b.md"
    await home.workspace.move(home.project, Path("x/b.md"), Path("y"), ALICE)
    await home.write("x", "a file where a directory was")
    await home.snapshotter.snapshot(home.project, paths=[Path("x")])
    assert git(home.repository, "ls-tree", "-r", "--name-only", "main").split() == ["x", "y"]
    assert (await home.snapshotter.snapshot(home.project, paths=[Path("x")])).state == "nothing"


async def test_when_somebody_else_moved_the_branch_nothing_is_lost(home: House, tmp_path: pathlib.Path) -> None:
    await home.write("a.md", "ours\n")
    first = await home.snapshotter.snapshot(home.project)
    git(tmp_path, "clone", "--quiet", str(home.repository), "copy")
    (tmp_path / "copy/theirs.md").write_text("theirs\n")
    theirs = commit_all(tmp_path / "copy")
    git(tmp_path / "copy", "push", "--quiet")
    await home.write("a.md", "ours, again\n")
    alone = Committer(home.workspace, home.remotes, home.bus, clock=home.clock)
    failed = await alone.round(home.project)
    assert failed.state == "failed"
    assert theirs[:10] in failed.detail
    assert git(home.repository, "rev-parse", "main") == theirs
    assert (await home.files())["a.md"] == b"ours, again\n"
    # The snapshotter pulls first.
    again = await home.snapshotter.snapshot(home.project)
    assert (again.state, again.parent) == ("done", theirs)
    assert git(home.repository, "log", "--format=%H", "main").split() == [again.commit, theirs, first.commit]
    assert await home.files() == {"a.md": b"ours, again\n", "theirs.md": b"theirs\n"}
    assert (await home.snapshotter.status(home.project)).state == "idle"


async def test_two_requests_at_once_make_one_commit(home: House) -> None:
    await home.write("a.md", "a")
    states: list[str] = []

    async def ask() -> None:
        states.append((await home.snapshotter.snapshot(home.project)).state)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ask)
    assert sorted(states) == ["done", "nothing", "nothing", "nothing"]
    assert git(home.repository, "rev-list", "--count", "main") == "1"


async def test_the_repository_follows_its_project_to_another_name(home: House) -> None:
    await home.write("a.md", "a")
    made = await home.snapshotter.snapshot(home.project)
    renamed = await home.workspace.rename_project("notes", "papers", ALICE)
    assert (await home.snapshotter.status(renamed)).head == made.commit
    assert not home.repository.exists()
    other = await home.workspace.create_project("notes", ALICE)
    assert (await home.snapshotter.status(other)).head is None
    await home.workspace.delete_project("papers")
    await home.snapshotter.forget(renamed.id)
    assert [each.name for each in (home.root / "git").iterdir()] == ["notes.git"]


async def test_the_schedule_commits_what_is_quiet(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    async with (
        house(tmp_path, clock=clock, pace=Pace(quiet=50, max_age=200)) as home,
        anyio.create_task_group() as tasks,
    ):
        await home.write("before.md", "typed before the start")
        tasks.start_soon(home.snapshotter.run)
        async with home.bus.subscribe(home.project.id) as hints:
            clock.advance(1)
            await committed(home, "before.md")
            await home.write("after.md", "typed later")
            with anyio.fail_after(5):
                await anext(hints)
            clock.advance(1)
            await committed(home, "after.md")
        assert (await home.snapshotter.status(home.project)).next_commit_at is None
        tasks.cancel_scope.cancel()


async def committed(home: House, path: str) -> None:
    """Moves the clock until the branch holds the path."""
    with anyio.fail_after(10):
        while path not in await bases(home.store, home.project.id):
            home.clock.advance(0.05)
            await anyio.sleep(0.02)


async def test_status_says_when_the_next_commit_is_due(tmp_path: pathlib.Path) -> None:
    async with house(tmp_path, pace=Pace(quiet=60_000, max_age=600_000)) as home, anyio.create_task_group() as tasks:
        tasks.start_soon(home.snapshotter.run)
        await anyio.wait_all_tasks_blocked()
        await home.write("a.md", "a")
        status = await home.snapshotter.status(home.project)
        with anyio.fail_after(5):
            while status.next_commit_at is None:
                await anyio.sleep(0.01)
                status = await home.snapshotter.status(home.project)
        assert status.next_commit_at == home.clock.now + 60_000
        assert status.uncommitted == 1
        assert status.remote is not None
        assert status.remote["clone"] == f"git clone {home.repository}"
        tasks.cancel_scope.cancel()


async def test_a_failure_is_tried_again_later_each_time(tmp_path: pathlib.Path) -> None:
    async with house(tmp_path, pace=Pace(quiet=10, max_age=10, first_wait=5_000)) as home:
        await home.write("a.md", "a")
        await home.snapshotter.snapshot(home.project)
        git(home.repository, "update-ref", "-d", "refs/heads/main")
        await home.write("a.md", "b")
        waits = []
        for _ in range(3):
            assert (await home.snapshotter.snapshot(home.project)).state == "failed"
            due = (await home.snapshotter.status(home.project)).next_commit_at
            assert due is not None
            waits.append(due - home.clock.now)
        assert waits == [5_000, 10_000, 20_000]


async def test_closing_commits_what_is_there(tmp_path: pathlib.Path) -> None:
    async with house(tmp_path) as home, anyio.create_task_group() as tasks:
        tasks.start_soon(home.snapshotter.run)
        await home.write("a.md", "typed in the last moment")
        await home.snapshotter.aclose(10)
    assert git(home.repository, "show", "main:a.md") == "typed in the last moment"


async def test_what_is_committed_is_what_stood_at_the_cut(home: House) -> None:
    await home.write("a.md", "one\n")
    await home.snapshotter.snapshot(home.project)
    await home.write("a.md", "two\n")
    remote = await home.remotes.of(home.project)
    parent = await remote.head()
    made = await home.snapshotter.snapshot(home.project)
    assert made.parent == parent
    await home.write("a.md", "three\n")
    base = (await bases(home.store, home.project.id))[Path("a.md")]
    assert base.sha == blob_sha(b"two\n")
    row = await home.store.document(base.document)
    assert row is not None
    assert (await home.workspace.at(row, base.position)).content == b"two\n"


async def test_a_commit_is_told_as_an_event(home: House) -> None:
    await home.write("a.md", "a")
    made = await home.snapshotter.snapshot(home.project, message="By hand", actor=BOB)
    told = (await home.workspace.events(home.project, 0))[-1]
    assert (told.kind, told.actors) == ("snapshot", (BOB,))
    assert dict(told.data) == {"number": 1, "commit": made.commit, "subject": "By hand"}


async def test_another_process_says_that_the_branch_is_gone(home: House) -> None:
    await home.write("a.md", "one\n")
    await home.snapshotter.snapshot(home.project)
    git(home.repository, "update-ref", "-d", "refs/heads/main")
    another = Snapshotter(home.workspace, home.remotes, home.bus, clock=home.clock)
    assert (await another.status(home.project)).state == "idle", "nothing is uncommitted"
    await home.write("a.md", "two\n")
    status = await another.status(home.project)
    assert status.state == "failed"
    assert "main" in status.detail


async def test_another_process_takes_a_branch_that_was_pushed_to_for_no_failure(home: House) -> None:
    await home.write("a.md", "one\n")
    made = await home.snapshotter.snapshot(home.project)
    tree = git(home.repository, "rev-parse", "HEAD^{tree}")
    pushed = git(home.repository, "commit-tree", tree, "-p", str(made.commit), "-m", "pushed")
    git(home.repository, "update-ref", "refs/heads/main", pushed)
    await home.write("a.md", "two\n")
    another = Snapshotter(home.workspace, home.remotes, home.bus, clock=home.clock)
    assert (await another.status(home.project)).state == "idle", "it is pulled before the next commit"
