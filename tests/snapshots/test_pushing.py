"""What becomes of a push: merged as a whole or refused as a whole, among people who type, and wherever the process dies."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import pytest

from collab import actors, conflicts
from collab.ids import Path
from snapshots import pushes
from snapshots.packs import rules
from snapshots.packs.verdict import PushLimits
from snapshots.remotes.base import CommitSha
from tests.snapshots.dying import durable
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, BOB, House, house
from tests.snapshots.pushes import Told, pushed

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        for name in ("a.md", "b.md"):
            await made.write(name, TEN)
        await made.snapshotter.snapshot(made.project)
        yield made


@pytest.fixture
def bob(home: House, tmp_path: pathlib.Path) -> pathlib.Path:
    git(tmp_path, "clone", "--quiet", str(home.repository), "bob")
    return tmp_path / "bob"


def commit(clone: pathlib.Path, **files: str) -> str:
    for name, content in files.items():
        (clone / name.replace("_", ".")).write_text(content)
    return commit_all(clone)


async def state(home: House) -> object:
    rows = await home.store.tree_with_deleted(home.project.id)
    records = [await home.store.records(each, home.project.id) for each in ("bases", "conflicts", "branches", "pushes")]
    objects = sorted(str(each) for each in (home.repository / "objects").rglob("*"))
    refs = git(home.repository, "for-each-ref")
    told = [each.kind for each in await home.workspace.events(home.project, 0) if each.kind != "changed"]
    return [(row.id, row.path, row.head, row.deleted_at) for row in rows], records, objects, refs, told


async def kinds(home: House, kind: str) -> list[object]:
    return [each.data.get("commit") for each in await home.workspace.events(home.project, 0) if each.kind == kind]


def fine(told: Told) -> None:
    assert (told.unpacked, told.problems) == ("ok", {}), told.words


async def test_what_is_refused_leaves_not_a_trace(home: House, bob: pathlib.Path) -> None:
    await home.write("a.md", TEN.replace("line 2", "alice"))
    commit(bob, a_md=TEN.replace("line 2", "bob"), new_md="new\n")
    before = await state(home)
    told = await pushed(home, bob)
    assert told.problems == {"refs/heads/main": "in conflict with what is being written here"}
    assert "a.md: line 3" in told.words
    assert await state(home) == before
    told = await pushed(home, bob, pack=b"PACK nonsense")
    assert told.unpacked != "ok"
    assert told.problems == {"refs/heads/main": "nothing of the push is taken"}
    assert await state(home) == before
    assert list((home.repository / ".quarantine").iterdir()) == []


async def test_whoever_pushed_is_the_one_who_wrote_it_unless_git_names_another(home: House, bob: pathlib.Path) -> None:
    git(bob, "config", "user.email", "bob@example.org")
    await home.store.commit(changes=[actors.put(actors.Actor(id=BOB, name="Bob", email="ALICE@example.org"))])
    sha = commit(bob, a_md=TEN + "bob\n")
    fine(await pushed(home, bob))
    row = await home.workspace.stat(home.project, Path("a.md"))
    (entry,) = await home.store.entries(row.id, type(row.head)(row.head - 1), row.head)
    # The commit's author has Bob's own address.
    assert (entry.entry.actor, entry.entry.on_behalf_of) == (BOB, None)
    (told,) = [each for each in await home.workspace.events(home.project, 0) if each.kind == "pushed"]
    assert (told.actors, told.data["commit"], told.data["count"]) == ((BOB,), sha, 1)
    assert await pushes.push(home.store, home.project.id, CommitSha(sha)) is None
    commit(bob, b_md=TEN + "carol\n")
    git(bob, "commit", "--quiet", "--amend", "--author", "Carol <carol@example.org>", "--no-edit")
    fine(await pushed(home, bob))
    row = await home.workspace.stat(home.project, Path("b.md"))
    (entry,) = await home.store.entries(row.id, type(row.head)(row.head - 1), row.head)
    carol = actors.from_git("Carol", "carol@example.org")
    assert (entry.entry.actor, entry.entry.on_behalf_of) == (BOB, carol.id)


async def test_what_is_typed_between_the_plan_and_the_merge_is_a_conflict_and_the_push_stands(
    home: House, bob: pathlib.Path
) -> None:
    sha = commit(bob, a_md=TEN.replace("line 2", "bob"), b_md=TEN + "bob\n")
    told = await pushed(home, bob, meanwhile=lambda: home.write("a.md", TEN.replace("line 2", "alice")))
    fine(told)
    assert (
        "In conflict with what was being written, to be decided at http://quire/p/notes/-/conflicts\n  a.md\n"
        in told.words
    )
    assert git(home.repository, "rev-parse", "main") == sha
    assert await home.files() == {"a.md": TEN.replace("line 2", "alice").encode(), "b.md": f"{TEN}bob\n".encode()}
    assert [each.path for each in await conflicts.still_open(home.store, home.project.id)] == ["a.md"]


async def test_who_is_overtaken_at_the_last_moment_is_told_to_pull(home: House, bob: pathlib.Path) -> None:
    commit(bob, a_md=TEN + "bob\n")
    git(bob.parent, "clone", "--quiet", str(home.repository), "carol")
    commit(bob.parent / "carol", b_md="carol\n")

    async def overtake() -> None:
        await anyio.to_thread.run_sync(git, bob.parent / "carol", "push", "--quiet")

    refs = {"refs/heads/main": "HEAD", "refs/heads/side": "HEAD"}
    told = await pushed(home, bob, refs=refs, atomic=True, meanwhile=overtake)
    assert told.problems == {"refs/heads/main": rules.PULL_FIRST, "refs/heads/side": rules.ALL_OR_NONE}
    assert git(home.repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert await home.store.records("pushes", home.project.id) == {}
    assert (await home.snapshotter.status(home.project)).state == "idle"


async def test_refs_stand_or_fall_each_by_itself_or_together(home: House, bob: pathlib.Path) -> None:
    await home.write("a.md", "alice\n")
    commit(bob, a_md="bob\n")
    refs = {"refs/heads/main": "HEAD", "refs/heads/side": "HEAD", "refs/tags/v1": "HEAD"}
    told = await pushed(home, bob, refs=refs, atomic=True)
    assert told.problems == {
        "refs/heads/main": "in conflict with what is being written here",
        "refs/heads/side": rules.ALL_OR_NONE,
        "refs/tags/v1": rules.ALL_OR_NONE,
    }
    assert git(home.repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    told = await pushed(home, bob, refs=refs)
    assert set(told.problems) == {"refs/heads/main"}
    assert git(home.repository, "rev-parse", "side", "v1").split() == [git(bob, "rev-parse", "HEAD")] * 2
    fine(await pushed(home, bob, refs={"refs/heads/main": "HEAD", "refs/heads/side": ""}, atomic=True, despite=True))
    assert git(home.repository, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main", "refs/tags/v1"]


async def test_a_branch_is_a_commit_and_a_tag_may_be_anything(home: House, bob: pathlib.Path) -> None:
    commit(bob, a_md="bob\n")
    told = await pushed(home, bob, refs={"refs/heads/side": "HEAD:a.md", "refs/tags/blob": "HEAD:a.md"})
    assert told.problems == {"refs/heads/side": "a branch names a commit, and this is a blob"}
    assert git(home.repository, "cat-file", "-t", "blob") == "blob"


async def test_more_files_than_a_project_takes_are_refused(home: House, bob: pathlib.Path) -> None:
    commit(bob, **{f"f{number}_md": "x\n" for number in range(20)})
    told = await pushed(home, bob, limits=PushLimits(files=10))
    assert told.problems == {"refs/heads/main": "it has 22 files, and 10 are the most"}


async def test_a_small_push_lies_loose_and_a_large_one_packed(home: House, bob: pathlib.Path) -> None:
    commit(bob, a_md="bob\n")
    fine(await pushed(home, bob))
    assert list((home.repository / "objects" / "pack").glob("*.pack")) == []
    commit(bob, **{f"f{number}_md": f"{number}\n" for number in range(150)})
    fine(await pushed(home, bob))
    assert len(list((home.repository / "objects" / "pack").glob("*.pack"))) == 1
    assert git(home.repository, "fsck", "--full", "--strict") == ""


async def test_a_project_that_gets_another_name_meanwhile_takes_the_push(home: House, bob: pathlib.Path) -> None:
    sha = commit(bob, a_md="bob\n", **{f"f{number}_md": f"{number}\n" for number in range(120)})

    async def renamed() -> None:
        await home.remotes.of(await home.workspace.rename_project("notes", "diary", ALICE))

    fine(await pushed(home, bob, meanwhile=renamed))
    diary = await home.workspace.project("diary")
    assert await (await home.remotes.of(diary)).head() == sha
    assert (await home.workspace.read(diary, Path("a.md"))).content == b"bob\n"


# killed


COMMITS = 10
"""Of a push of five files: its record, one for each file with what it tells of, and that it is pulled."""

STEPS = (
    *((step, 1) for step in ("push planned", "push kept", "push recorded", "ref moved", "push landed")),
    ("every path pulled", 1),
    *(("commit", number) for number in range(1, COMMITS + 1)),
)


@pytest.mark.parametrize(("step", "number"), STEPS)
async def test_a_push_killed_anywhere_has_happened_or_not_and_can_be_pushed_again(
    tmp_path: pathlib.Path, step: str, number: int
) -> None:
    command = [sys.executable, "-m", "tests.snapshots.dying", str(tmp_path), "push", step, str(number)]
    done = await anyio.to_thread.run_sync(lambda: subprocess.run(command, check=False, timeout=60))
    assert done.returncode == -signal.SIGKILL
    bob = tmp_path / "bob"
    new, old = git(bob, "rev-parse", "HEAD", "HEAD~1").split()
    async with durable(tmp_path) as (home, _):
        landed = git(home.repository, "rev-parse", "main") == new
        assert landed or git(home.repository, "rev-parse", "main") == old
        assert git(home.repository, "fsck", "--full", "--strict", "--no-dangling") == ""
        await home.remotes.of(home.project)
        assert list((home.repository / ".quarantine").glob("*")) == []
        if landed:
            await home.snapshotter.pull(home.project)
        else:
            assert (await home.files())["a.md"] == f"alice\n{TEN}".encode()
            fine(await pushed(home, bob))
        assert await home.files() == {
            "a.md": f"alice\n{TEN}bob\n".encode(), "b.md": b"b\n", "new.md": b"new\n",
            **{f"f{each}.md": b"f\n" for each in range(3)},
        }  # fmt: skip
        assert [each.path for each in await home.workspace.changed(home.project)] == ["a.md"]
        assert (await kinds(home, "pushed")).count(new) == 1
        assert (await kinds(home, "pulled")).count(new) == 1
        (told,) = [each for each in await home.workspace.events(home.project, 0) if each.kind == "pushed"]
        assert told.actors == (BOB,)
        made = await home.snapshotter.snapshot(home.project)
        assert git(home.repository, "rev-parse", f"{made.commit}^") == new


async def test_a_push_that_is_not_killed_makes_that_many_commits(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "tests.snapshots.dying", str(tmp_path), "push", "commit", str(COMMITS + 1)]
    done = await anyio.to_thread.run_sync(lambda: subprocess.run(command, check=False, timeout=60))
    assert done.returncode == 0
