"""What others push comes into the live files: real git pushes into the bare repository, the table of a pull, conflicts."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from collab import actors, bases, conflicts
from collab.errors import Conflict, NotFound
from collab.ids import Path, ProjectId
from collab.store.base import Row
from collab.store.memory import MemoryStore
from snapshots import journal
from snapshots.puller import Puller
from tests.collab.peers import Peer
from tests.faults import FaultyStore
from tests.snapshots.git import blob_sha, git
from tests.snapshots.house import ALICE, BOB, Clock, House, house
from tests.snapshots.pulls import TEN, Copy, all_of, committed, conflict, ended, goes_out, pull, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
def bob(home: House, tmp_path: pathlib.Path) -> Copy:
    return Copy(home, tmp_path / "bob")


# the table


async def test_what_bob_pushed_is_there(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n", b_md="two\n", gone_md="gone\n", latin_txt=b"caf\xe9")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().write("a.md", "one, better\n").write("new/c.md", "three\n").write("latin.txt", b"caf\xe9s").run(
        "rm", "-q", "gone.md"
    )
    head = bob.push()
    pulled = await pull(home)
    assert (pulled.head, pulled.state) == (head, "done")
    assert sorted(pulled.merged) == ["a.md", "gone.md", "latin.txt", "new/c.md"]
    assert await home.files() == {
        "a.md": b"one, better\n", "b.md": b"two\n", "new/c.md": b"three\n", "latin.txt": b"caf\xe9s",
    }  # fmt: skip
    assert (await home.workspace.stat(home.project, Path("a.md"))).id == row.id
    assert await home.workspace.changed(home.project) == []
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"
    kinds = [event.kind for event in await home.workspace.events(home.project, 0)]
    assert kinds.count("pulled") == 1


async def test_both_changed_other_lines(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN)
    bob.fresh().write("a.md", TEN.replace("line 8", "bob's line 8")).push()
    await home.write("a.md", TEN.replace("line 2", "alice's line 2"))
    assert (await pull(home)).state == "done"
    both = TEN.replace("line 2", "alice's line 2").replace("line 8", "bob's line 8")
    assert await home.files() == {"a.md": both.encode()}
    (change,) = await home.workspace.changes(home.project)
    assert (change.path, change.change) == ("a.md", "modified")
    assert ALICE in change.actors
    await goes_out(home)
    assert git(home.repository, "diff", "--numstat", "main~1", "main") == "1\t1\ta.md"
    assert "Co-authored-by: Alice" in git(home.repository, "log", "-1", "--format=%B", "main")


async def test_discard_after_a_merge_gives_what_was_pushed(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN)
    pushed = TEN.replace("line 8", "bob's line 8")
    bob.fresh().write("a.md", pushed).push()
    await home.write("a.md", TEN.replace("line 2", "alice's line 2"))
    await pull(home)
    await home.workspace.discard(home.project, Path("a.md"), ALICE)
    assert await home.files() == {"a.md": pushed.encode()}
    assert await home.workspace.changed(home.project) == []


async def test_both_made_the_same(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "two\n").write("b.md", "new\n").push()
    await home.write("a.md", "two\n")
    await home.write("b.md", "new\n")
    heads = {row.path: row.head for row in await home.store.tree(home.project.id)}
    assert (await pull(home)).merged == ()
    assert {row.path: row.head for row in await home.store.tree(home.project.id)} == heads
    assert await home.workspace.changed(home.project) == []


async def test_both_deleted_it_and_ours_alone_goes_out(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n", c_md="c\n")
    bob.fresh().run("rm", "-q", "a.md").push()
    for path in ("a.md", "b.md"):
        await home.workspace.delete(home.project, Path(path), ALICE)
    assert (await pull(home)).merged == ()
    assert set(await bases.bases(home.store, home.project.id)) == {"b.md", "c.md"}
    await goes_out(home)


async def test_the_same_lines_are_a_conflict_and_others_go_on(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\ntwo\nthree\n", b_md="b\n")
    bob.fresh().write("a.md", "one\nbob\nthree\n").write("b.md", "b by bob\n").push()
    await home.write("a.md", "one\nalice\nthree\n")
    await home.write("c.md", "c\n")
    pulled = await pull(home)
    found = await conflict(home)
    assert (pulled.state, pulled.conflicts, pulled.merged) == ("conflicts", (found.id,), ("b.md",))
    assert (found.kind, found.path) == ("modify/modify", "a.md")
    ((hunk),) = found.hunks
    assert (hunk.base, hunk.ours, hunk.theirs, hunk.ours_line) == ("two\n", "alice\n", "bob\n", 2)
    assert (await home.files())["a.md"] == b"one\nalice\nthree\n"
    status = await home.snapshotter.status(home.project)
    assert (status.state, status.conflicts) == ("conflicts", 1)
    made = await home.snapshotter.snapshot(home.project)
    assert [each.path for each in made.files] == ["c.md"]
    assert git(home.repository, "show", "main:a.md") == "one\nbob\nthree"
    await home.write("a.md", "zero\none\nalice\nthree\n")
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"


@pytest.mark.parametrize(
    ("take", "text"),
    [
        ("ours", "one\nalice\nthree\nfour, bob\n"),
        ("theirs", "one\nbob\nthree\nfour, bob\n"),
        ("both", "one\nalice\nbob\nthree\nfour, bob\n"),
    ],
)
async def test_a_conflict_is_decided(home: House, bob: Copy, take: str, text: str) -> None:
    await committed(home, a_md="one\ntwo\nthree\nfour\n")
    bob.fresh().write("a.md", "one\nbob\nthree\nfour, bob\n").push()
    await home.write("a.md", "one\nalice\nthree\nfour\n")
    await pull(home)
    found = await conflict(home)
    await settle(home, take)
    assert await home.files() == {"a.md": text.encode()}
    assert (await home.snapshotter.status(home.project)).conflicts == 0
    with pytest.raises(Conflict):
        await home.snapshotter.settling.settle(home.project, found.id, take="ours", actor=ALICE)
    viewed = await home.snapshotter.settling.view(home.project, found.id)
    assert (viewed.conflict.state, viewed.conflict.taken) == ("resolved", take)
    assert await home.snapshotter.settling.kept(found.ours) == b"one\nalice\nthree\nfour\n"
    assert await home.snapshotter.settling.kept(found.theirs) == b"one\nbob\nthree\nfour, bob\n"
    await goes_out(home)
    assert git(home.repository, "show", "main:a.md") == text.rstrip("\n")


async def test_a_conflict_is_decided_by_hand(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    await home.snapshotter.settling.settle(home.project, (await conflict(home)).id, text=b"we\n", actor=BOB)
    assert await home.files() == {"a.md": b"we\n"}
    await goes_out(home)


async def test_two_files_of_one_name(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("new.md", "bob\n").write("same.md", "same\n").push()
    await home.write("new.md", "alice\n")
    await home.write("same.md", "same\n")
    await pull(home)
    assert (await conflict(home)).kind == "add/add"
    await settle(home, "both")
    assert (await home.files())["new.md"] == b"alice\nbob\n"
    await goes_out(home)


@pytest.mark.parametrize(("take", "left"), [("ours", True), ("theirs", False)])
async def test_bob_deleted_what_alice_changed(home: House, bob: Copy, take: str, left: bool) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    bob.fresh().run("rm", "-q", "a.md").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    assert (await conflict(home)).kind == "modify/delete"
    assert (await home.files())["a.md"] == b"alice\n"
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"
    await settle(home, take)
    assert ("a.md" in await home.files()) is left
    await goes_out(home)


@pytest.mark.parametrize(("take", "left"), [("ours", False), ("theirs", True)])
async def test_alice_deleted_what_bob_changed(home: House, bob: Copy, take: str, left: bool) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    before = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().write("a.md", "bob\n").push()
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await pull(home)
    assert (await conflict(home)).kind == "delete/modify"
    assert (await home.files())["a.md"] == b"bob\n"
    assert (await home.workspace.stat(home.project, Path("a.md"))).id == before.id
    await settle(home, take)
    assert ("a.md" in await home.files()) is left
    await goes_out(home)


async def test_bytes_that_both_changed(home: House, bob: Copy) -> None:
    await committed(home, a_bin=b"\xff\x00", b_bin=b"\xff\x01")
    bob.fresh().write("a.bin", b"\xff\x02").write("b.bin", "text now\n").push()
    await home.write("a.bin", b"\xff\x03")
    await pull(home)
    assert (await conflict(home)).kind == "binary"
    assert await home.files() == {"a.bin": b"\xff\x03", "b.bin": b"text now\n"}
    await settle(home, "theirs")
    assert (await home.files())["a.bin"] == b"\xff\x02"
    await goes_out(home)


async def test_a_file_becomes_a_symlink_while_alice_edits_it(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    bob.fresh().run("rm", "-q", "a.md")
    (bob.folder / "a.md").symlink_to("b.md")
    bob.push()
    await home.write("a.md", "alice\n")
    await pull(home)
    assert (await conflict(home)).kind == "type"
    await settle(home, "theirs")
    assert (await home.workspace.stat(home.project, Path("a.md"))).kind == "symlink"
    await goes_out(home)


async def test_modes_line_endings_and_boms_merge_by_themselves(home: House, bob: Copy) -> None:
    await committed(home, a_sh=TEN, b_txt=TEN)
    bob.fresh().run("update-index", "--chmod=+x", "a.sh").write(
        "b.txt", b"\xef\xbb\xbf" + TEN.replace("\n", "\r\n").encode()
    )
    (bob.folder / "a.sh").chmod(0o755)
    bob.push()
    await home.write("a.sh", TEN + "alice\n")
    await home.write("b.txt", TEN + "alice\n")
    assert (await pull(home)).state == "done"
    assert (await home.workspace.stat(home.project, Path("a.sh"))).mode == 0o100755
    assert await home.files() == {
        "a.sh": (TEN + "alice\n").encode(),
        "b.txt": b"\xef\xbb\xbf" + (TEN + "alice\n").replace("\n", "\r\n").encode(),
    }
    await goes_out(home)


# where things stand


async def test_a_rename_takes_document_history_and_cursors_along(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN, b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().run("mv", "a.md", "moved.md").write("moved.md", TEN + "bob\n").push()
    await home.write("a.md", "alice\n" + TEN)
    pulled = await pull(home)
    assert pulled.state == "done"
    moved = await home.workspace.stat(home.project, Path("moved.md"))
    assert moved.id == row.id
    assert await home.files() == {"moved.md": ("alice\n" + TEN + "bob\n").encode(), "b.md": b"b\n"}
    await goes_out(home)


async def test_alice_renamed_what_bob_changed(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN)
    bob.fresh().write("a.md", TEN + "bob\n").push()
    await home.workspace.move(home.project, Path("a.md"), Path("b.md"), ALICE)
    assert (await pull(home)).state == "done"
    assert await home.files() == {"b.md": (TEN + "bob\n").encode()}
    await goes_out(home)


@pytest.mark.parametrize(
    ("take", "names"), [("ours", ["alice.md"]), ("theirs", ["bob.md"]), ("both", ["alice.md", "bob.md"])]
)
async def test_both_renamed_it(home: House, bob: Copy, take: str, names: list[str]) -> None:
    await committed(home, a_md=TEN)
    bob.fresh().run("mv", "a.md", "bob.md").push()
    await home.workspace.move(home.project, Path("a.md"), Path("alice.md"), ALICE)
    await pull(home)
    assert (await conflict(home)).kind == "rename"
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"
    await settle(home, take)
    assert sorted(await home.files()) == names
    await goes_out(home)


@pytest.mark.parametrize("take", ["ours", "theirs"])
async def test_bob_renamed_onto_a_name_that_alice_took(home: House, bob: Copy, take: str) -> None:
    await committed(home, a_md=TEN)
    bob.fresh().run("mv", "a.md", "b.md").push()
    await home.write("b.md", "alice\n")
    await pull(home)
    assert (await conflict(home)).kind == "rename"
    await settle(home, take)
    assert await home.files() == (
        {"a.md": TEN.encode(), "b.md": b"alice\n"} if take == "ours" else {"b.md": TEN.encode()}
    )
    await goes_out(home)


@pytest.mark.parametrize("take", ["ours", "theirs"])
async def test_a_file_where_alice_made_a_directory(home: House, bob: Copy, take: str) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("docs", "a file\n").push()
    await home.write("docs/b.md", "alice\n")
    await pull(home)
    assert (await conflict(home)).kind == "type"
    await settle(home, take)
    assert sorted(await home.files()) == (["a.md", "docs/b.md"] if take == "ours" else ["a.md", "docs"])
    await goes_out(home)


async def test_a_file_becomes_a_directory(home: House, bob: Copy) -> None:
    await committed(home, docs="a file\n", a__b_md="b\n")
    bob.fresh().run("rm", "-q", "docs", "a/b.md").write("docs/a.md", "in it\n").write("a", "a file now\n").push()
    assert (await pull(home)).state == "done"
    assert await home.files() == {"docs/a.md": b"in it\n", "a": b"a file now\n"}


@pytest.mark.parametrize(
    ("take", "names"), [("ours", ["readme.md"]), ("theirs", ["README.md"]), ("both", ["README.md", "readme.md"])]
)
async def test_names_that_differ_in_case_alone(home: House, bob: Copy, take: str, names: list[str]) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("README.md", "bob\n").push()
    await home.write("readme.md", "alice\n")
    await pull(home)
    assert (await conflict(home)).kind == "add/add"
    await settle(home, take)
    assert sorted(await home.files()) == sorted(["a.md", *names])
    await goes_out(home)


async def test_twins_that_git_brings_are_carried(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("README.md", "one\n").write("readme.md", "two\n").write("café", "3").write(
        "cafe\u0301", "4"
    ).push()
    assert (await pull(home)).state == "done"
    assert len(await home.files()) == 5


# the branch


async def test_a_push_into_an_empty_repository(home: House, bob: Copy) -> None:
    await home.snapshotter.status(home.project)
    git(bob.folder.parent, "init", "--quiet", "--initial-branch=main", "bob")
    git(bob.folder, "remote", "add", "origin", str(home.repository))
    head = bob.write("a.md", "bob\n").push()
    await home.write("b.md", "alice\n")
    assert (await pull(home)).head == head
    await goes_out(home)


async def test_history_that_was_rewritten(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN, b_md="b\n")
    await committed(home, a_md=TEN + "more\n")
    bob.fresh().run("reset", "--quiet", "--hard", "HEAD~1").write("b.md", "bob\n").push("--force")
    git(home.repository, "reflog", "expire", "--expire=now", "--all")
    git(home.repository, "gc", "--quiet", "--prune=now")
    await home.write("a.md", "alice\n" + TEN + "more\n")
    assert (await pull(home)).state == "done"
    assert await home.files() == {"a.md": ("alice\n" + TEN).encode(), "b.md": b"bob\n"}
    await goes_out(home)


async def test_a_branch_that_is_gone_is_said_and_not_made_again(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh()
    git(home.repository, "update-ref", "-d", "refs/heads/main")
    await home.write("a.md", "alice\n")
    pulled = await home.snapshotter.pull(home.project)
    assert pulled.state == "failed"
    assert "is gone" in pulled.detail
    failed = await home.snapshotter.snapshot(home.project)
    assert failed.state == "failed"
    assert (await home.snapshotter.status(home.project)).state == "failed"
    # What the message says to do, done by hand.
    _, _, _, *arguments = failed.detail.partition("back with: ")[2].split()
    git(home.repository, *arguments)
    assert (await home.snapshotter.snapshot(home.project)).state == "done"


async def test_an_old_conflict_is_over_when_the_branch_goes_back(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    found = await conflict(home)
    bob.fresh().write("a.md", "one\n").push()
    assert (await pull(home)).conflicts == ()
    assert (await conflicts.conflict(home.store, home.project.id, found.id)).state == "gone"  # type: ignore[union-attr]
    await goes_out(home)


async def test_bob_pushes_again_to_a_file_in_conflict(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    first = (await pull(home)).conflicts
    bob.fresh().write("a.md", "bob again\n").write("b.md", "b\n").push()
    second = await pull(home)
    assert len(second.conflicts) == 1
    assert second.conflicts != first
    states = {each.id: each.state for each in await all_of(home)}
    assert states == {first[0]: "gone", second.conflicts[0]: "open"}
    bob.fresh().write("b.md", "b, better\n").push()
    assert (await pull(home)).conflicts == second.conflicts
    await settle(home, "theirs")
    assert (await home.files())["a.md"] == b"bob again\n"
    await goes_out(home)


@pytest.mark.parametrize(("policy", "text"), [("ours", b"alice\n"), ("theirs", b"bob\n")])
async def test_a_policy_decides_and_the_loser_is_kept(home: House, bob: Copy, policy: str, text: bytes) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    pulled = await home.snapshotter.pull(home.project, policy=policy)  # type: ignore[arg-type]
    assert (pulled.state, pulled.conflicts) == ("done", ())
    assert await home.files() == {"a.md": text}
    (found,) = await all_of(home)
    assert (found.state, found.taken) == ("resolved", policy)
    assert await home.snapshotter.settling.kept(found.ours) == b"alice\n"
    assert await home.snapshotter.settling.kept(found.theirs) == b"bob\n"
    await goes_out(home)


async def test_a_snapshot_pulls_first(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    theirs = bob.fresh().write("b.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    made = await home.snapshotter.snapshot(home.project)
    assert (made.state, made.parent) == ("done", theirs)
    branch = await journal.branch(home.store, home.project.id)
    assert branch is not None
    assert branch.commit == made.commit == git(home.repository, "rev-parse", "main")
    assert await home.files() == {"a.md": b"alice\n", "b.md": b"bob\n"}


async def test_the_branch_goes_back_and_forth(home: House, bob: Copy) -> None:
    """The same conflict is found again after it was over, and after it was decided."""
    await committed(home, a_md="one\n")
    first = git(home.repository, "rev-parse", "main")
    second = bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    seen: set[str] = set()
    for _ in range(3):
        git(home.repository, "update-ref", "refs/heads/main", second)
        seen.update((await pull(home)).conflicts)
        git(home.repository, "update-ref", "refs/heads/main", first)
        assert (await pull(home)).conflicts == ()
    assert len(seen) == 3
    git(home.repository, "update-ref", "refs/heads/main", second)
    await pull(home)
    await settle(home, "ours")
    await goes_out(home)


async def test_what_a_pull_deleted_comes_back_as_the_same_file(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().run("rm", "-q", "a.md").push()
    await pull(home)
    assert sorted(await home.files()) == ["b.md"]
    bob.write("a.md", "back\n").push()
    await pull(home)
    again = await home.workspace.stat(home.project, Path("a.md"))
    assert (again.id, (await home.files())["a.md"]) == (row.id, b"back\n")
    await home.write("a.md", "back, and edited\n")
    await goes_out(home)


async def test_a_file_in_conflict_is_held_back_wherever_it_goes(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    await home.workspace.move(home.project, Path("a.md"), Path("b.md"), ALICE)
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"
    await settle(home, "both")
    assert await home.files() == {"b.md": b"alice\nbob\n"}
    await goes_out(home)


async def test_a_name_that_alice_leaves_to_bob_is_no_conflict_any_more(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("new.md", "bob\n").push()
    await home.write("new.md", "alice\n")
    await pull(home)
    found = await conflict(home)
    await home.workspace.move(home.project, Path("new.md"), Path("newer.md"), ALICE)
    assert (await home.snapshotter.snapshot(home.project)).state == "done"
    assert await ended(home, found) == ("resolved", "itself")
    assert await home.files() == {"a.md": b"a\n", "new.md": b"bob\n", "newer.md": b"alice\n"}
    await goes_out(home)


# what is typed ends a conflict


@pytest.mark.parametrize("text", ["one\nbob\nthree\n", "one\ntwo\nthree\n", "zero\none\nbob\nthree\n"])
async def test_a_conflict_is_over_when_what_is_typed_agrees_with_what_was_pushed(
    home: House, bob: Copy, text: str
) -> None:
    """Because it is the same, or what it was before, or the same where they overlapped."""
    await committed(home, a_md="one\ntwo\nthree\n")
    bob.fresh().write("a.md", "one\nbob\nthree\n").push()
    await home.write("a.md", "one\nalice\nthree\n")
    await pull(home)
    found = await conflict(home)
    await home.write("a.md", "one\nalice again\nthree\n")
    assert (await pull(home)).conflicts == (found.id,)
    await home.write("a.md", text)
    assert (await pull(home)).conflicts == ()
    assert await ended(home, found) == ("resolved", "itself")
    merged = text.replace("two", "bob")
    assert await home.files() == {"a.md": merged.encode()}
    events = [each for each in await home.workspace.events(home.project, 0) if each.kind == "resolved"]
    assert [(each.path, each.data["state"], each.actors) for each in events] == [("a.md", "resolved", ("quire",))]
    if merged != "one\nbob\nthree\n":
        await goes_out(home)


async def test_a_conflict_of_bytes_is_over_when_ours_is_theirs(home: House, bob: Copy) -> None:
    await committed(home, a_bin=b"\xff\x00")
    bob.fresh().write("a.bin", b"\xff\x02").push()
    await home.write("a.bin", b"\xff\x03")
    await pull(home)
    found = await conflict(home)
    await home.write("a.bin", b"\xff\x02")
    assert (await pull(home)).conflicts == ()
    assert await ended(home, found) == ("resolved", "itself")


async def test_alice_deletes_what_bob_deleted_too(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    bob.fresh().run("rm", "-q", "a.md").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    found = await conflict(home)
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    assert (await pull(home)).conflicts == ()
    assert await ended(home, found) == ("resolved", "itself")
    await home.write("b.md", "alice\n")
    await goes_out(home)


async def test_alice_deletes_again_what_came_back(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await pull(home)
    found = await conflict(home)
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    assert (await pull(home)).conflicts == ()
    assert await ended(home, found) == ("resolved", "itself")
    assert await home.files() == {"b.md": b"b\n"}
    await goes_out(home)


async def test_bob_deletes_again_what_came_back(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await pull(home)
    found = await conflict(home)
    bob.fresh().run("rm", "-q", "a.md").push()
    assert (await pull(home)).conflicts == ()
    assert (await ended(home, found))[0] == "gone"
    assert await home.files() == {"b.md": b"b\n"}


async def test_what_came_back_goes_on_being_pushed_to(home: House, bob: Copy) -> None:
    """Whether it is wanted stays to be decided."""
    await committed(home, a_md=TEN, b_md="b\n")
    bob.fresh().write("a.md", TEN + "bob\n").push()
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    first = await pull(home)
    bob.fresh().write("a.md", TEN + "bob again\n").push()
    assert (await pull(home)).conflicts == first.conflicts
    assert (await home.files())["a.md"] == (TEN + "bob again\n").encode()
    await settle(home, "ours")
    assert await home.files() == {"b.md": b"b\n"}
    await goes_out(home)


@pytest.mark.parametrize(("take", "left"), [("theirs", True), ("ours", False)])
async def test_a_file_in_conflict_that_alice_deletes(home: House, bob: Copy, take: str, left: bool) -> None:
    await committed(home, a_md="one\n", b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    assert (await home.snapshotter.snapshot(home.project)).state == "nothing"
    await settle(home, take)
    assert ("a.md" in await home.files()) is left
    if left:
        assert (await home.workspace.stat(home.project, Path("a.md"))).id == row.id
        assert (await home.files())["a.md"] == b"bob\n"
        await home.write("b.md", "alice\n")
    await goes_out(home)


async def test_names_that_no_git_would_check_out_stay_in_the_repository(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh()
    blob = git(home.repository, "hash-object", "-w", "--stdin", stdin=b"evil\n")
    inner = git(home.repository, "mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    good = git(home.repository, "ls-tree", "main")
    root = git(home.repository, "mktree", stdin=f"{good}\n040000 tree {inner}\t.git\n".encode())
    commit = git(home.repository, "commit-tree", root, "-p", "main", "-m", "evil")
    git(home.repository, "update-ref", "refs/heads/main", commit)
    assert (await pull(home)).state == "done"
    assert await home.files() == {"a.md": b"a\n"}
    await home.write("a.md", "alice\n")
    assert (await home.snapshotter.snapshot(home.project)).state == "done"
    assert git(home.repository, "ls-tree", "-r", "--name-only", "main").split("\n") == [".git/config", "a.md"]


async def test_a_large_file(home: House, bob: Copy) -> None:
    """Merged beside the room; alice types meanwhile."""
    lines = [f"this is line {number} of many\n" for number in range(20_000)]
    await committed(home, a_md="".join(lines))
    lines[15_000] = "bob was here\n"
    bob.fresh().write("a.md", "".join(lines)).push()
    row = await home.workspace.stat(home.project, Path("a.md"))
    async with home.workspace.rooms.use(row.id) as room:
        alice = Peer("alice")
        alice.connect(room)
        await alice.until(lambda: alice.synced)
        alice.type("alice was here\n", at=0)
        await alice.until_saved()
        assert (await pull(home)).state == "done"
        expected = "alice was here\n" + "".join(lines)
        await alice.until(lambda: alice.text == expected)
        room.leave(alice.member)
        alice.close()
    await goes_out(home)


async def test_whoever_edits_a_file_that_bob_deleted_is_told(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().run("rm", "-q", "a.md").push()
    async with home.workspace.rooms.use(row.id) as room:
        alice = Peer("alice")
        alice.connect(room)
        await alice.until(lambda: alice.synced)
        assert (await home.snapshotter.pull(home.project)).state == "done"
        assert await alice.until_closed() == 4404
        alice.close()


async def test_a_file_that_cannot_be_read_holds_up_nothing_else(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    await home.store.quarantine(row.id, "broken")
    bob.fresh().write("a.md", "bob\n").write("b.md", "bob\n").push()
    assert (await home.snapshotter.pull(home.project)).merged == ("b.md",)
    await home.store.quarantine(row.id, None)
    bob.write("b.md", "bob again\n").push()
    assert sorted((await home.snapshotter.pull(home.project)).merged) == ["a.md", "b.md"]
    assert await home.files() == {"a.md": b"bob\n", "b.md": b"bob again\n"}


async def test_a_decision_about_what_is_not_there(home: House) -> None:
    with pytest.raises(NotFound):
        await home.snapshotter.settle(home.project, "none", take="ours", actor=ALICE)


@pytest.mark.parametrize("policy", ["ours", "theirs"])
async def test_a_policy_decides_every_kind(home: House, bob: Copy, policy: str) -> None:
    await committed(home, a_md=TEN, b_md="b\n", c_md="c\n", d_md="d\n" + TEN, e_bin=b"\xff")
    bob.fresh().run("rm", "-q", "b.md").run("mv", "d.md", "bob.md")
    bob.write("a.md", "bob\n").write("c.md", "bob\n").write("e.bin", b"\xff\x01").write("dir", "file\n").push()
    await home.write("a.md", "alice\n")
    await home.write("b.md", "alice\n")
    await home.workspace.delete(home.project, Path("c.md"), ALICE)
    await home.workspace.move(home.project, Path("d.md"), Path("alice.md"), ALICE)
    await home.write("e.bin", b"\xff\x02")
    await home.write("dir/f.md", "alice\n")
    pulled = await home.snapshotter.pull(home.project, policy=policy)  # type: ignore[arg-type]
    assert (pulled.state, pulled.conflicts) == ("done", ())
    names = {
        "ours": ["a.md", "alice.md", "b.md", "dir/f.md", "e.bin"],
        "theirs": ["a.md", "bob.md", "c.md", "dir", "e.bin"],
    }
    found = await home.files()
    assert sorted(found) == names[policy]
    assert found["a.md"] == (b"alice\n" if policy == "ours" else b"bob\n")
    assert found["e.bin"] == (b"\xff\x02" if policy == "ours" else b"\xff\x01")
    assert len(await all_of(home)) == 6
    await goes_out(home)


async def test_a_text_by_hand_keeps_line_endings_bom_and_mode_as_the_sides_have_them(home: House, bob: Copy) -> None:
    """The page sends bare line feeds."""
    crlf = b"\xef\xbb\xbfone\r\ntwo\r\n"
    await committed(home, a_txt=crlf, b_txt=b"one\n")
    bob.fresh().write("a.txt", crlf.replace(b"two", b"bob")).write("b.txt", b"bob\r\n")
    (bob.folder / "a.txt").chmod(0o755)
    bob.push()
    await home.write("a.txt", crlf.replace(b"two", b"alice"))
    await home.write("b.txt", b"alice\n")
    await pull(home)
    for found in await conflicts.still_open(home.store, home.project.id):
        sha = (await home.workspace.stat(home.project, Path(found.path))).sha
        await home.snapshotter.settle(home.project, found.id, text=b"one\nwe\n", made_of=sha, actor=BOB)
    assert await home.files() == {"a.txt": crlf.replace(b"two", b"we"), "b.txt": b"one\r\nwe\r\n"}
    assert (await home.workspace.stat(home.project, Path("a.txt"))).mode == 0o100755
    await goes_out(home)


# who wrote it


async def test_what_a_pull_brings_is_by_those_who_wrote_it(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN, b_md="b\n", gone_md="gone\n")
    carol, dave = "Carol <Carol@example.org>", "Da\tve <dave@example.org>"
    bob.fresh().write("a.md", TEN.replace("line 8", "carol")).write("b.md", "carol\n").commit(carol)
    bob.write("b.md", "dave\n").write("new.md", "dave\n").run("rm", "-q", "gone.md").commit(dave)
    bob.run("push", "-q", "origin", "HEAD:main")
    await home.write("a.md", TEN.replace("line 2", "alice"))
    await pull(home)
    by = {row.path: row.deleted_by or row.updated_by for row in await home.store.tree_with_deleted(home.project.id)}
    who = await actors.actors(home.store, by.values())
    assert {path: (who[each].name, who[each].kind) for path, each in by.items()} == {
        "a.md": ("Carol", "person"), "b.md": ("Da ve", "person"), "new.md": ("Da ve", "person"),
        "gone.md": ("Da ve", "person"),
    }  # fmt: skip
    (pulled,) = [each for each in await home.workspace.events(home.project, 0) if each.kind == "pulled"]
    assert sorted(who[each].name for each in pulled.actors) == ["Carol", "Da ve"]
    # What git has by them already is not theirs once more.
    (change,) = await home.workspace.changes(home.project)
    assert change.actors == (ALICE,)
    await goes_out(home)
    said = git(home.repository, "log", "-1", "--format=%B", "main")
    assert "Co-authored-by: Alice" in said
    assert "carol" not in said.casefold()


async def test_a_conflict_says_who_pushed(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n", b_md="b\n")
    bob.fresh().write("a.md", "carol\n").commit("Carol <carol@example.org>")
    bob.write("b.md", "b, better\n").commit("Dave <dave@example.org>").run("push", "-q", "origin", "HEAD:main")
    await home.write("a.md", "alice\n")
    await pull(home)
    found = await conflict(home)
    assert found.pushed_by is not None
    assert await actors.actor(home.store, found.pushed_by) == actors.from_git("Carol", "carol@example.org")
    await home.write("a.md", "one\n")
    await pull(home)
    assert (await home.workspace.stat(home.project, Path("a.md"))).updated_by == found.pushed_by


async def test_every_side_that_a_conflict_names_is_kept(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n", c_md="c\n")
    bob.fresh().write("a.md", "bob\n").write("c.md", "bob\n").run("rm", "-q", "b.md").push("--force")
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await home.write("b.md", "alice\n")
    await home.write("c.md", "alice\n")
    await pull(home)
    found = await conflicts.still_open(home.store, home.project.id)
    assert [each.kind for each in found] == ["delete/modify", "modify/delete", "modify/modify"]
    for each in found:
        for side in (each.base, each.ours, each.theirs):
            kept = await home.snapshotter.settling.kept(side)
            assert side is None or blob_sha(kept or b"") == side.sha


async def test_a_conflict_about_what_no_side_has_any_more_is_over(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    await home.write("Docs/a.md", "alice\n")
    bob.fresh().write("docs/b.md", "bob\n").push()
    await pull(home)
    assert (await conflict(home)).kind == "add/add"
    await home.workspace.delete(home.project, Path("Docs/a.md"), ALICE)
    bob.fresh().run("rm", "-q", "docs/b.md").push()
    assert (await pull(home)).conflicts == ()
    assert set(await home.files()) == {"a.md"}
    await goes_out(home)


async def test_a_rename_that_was_blocked_is_done_when_the_way_is_free_and_its_conflict_is_over(
    home: House, bob: Copy
) -> None:
    await committed(home, a_md=TEN)
    await home.write("c.md", "alice\n")
    bob.fresh().run("mv", "a.md", "c.md").push()
    await pull(home)
    assert (await conflict(home)).kind == "rename"
    await home.workspace.delete(home.project, Path("c.md"), ALICE)
    assert (await pull(home)).conflicts == ()
    assert await home.files() == {"c.md": TEN.encode()}
    await goes_out(home)


async def test_an_empty_file_takes_the_byte_order_mark_and_line_endings_of_what_comes(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    pushed = b"\xef\xbb\xbfone\r\ntwo\r\n"
    await home.write("new.md", "")
    bob.fresh().write("new.md", pushed).push()
    await pull(home)
    assert (await home.files())["new.md"] == pushed


# what is counted, and what is not asked twice


class Counting:
    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def pulled(self, state: str, seconds: float, merged: int) -> None:
        assert seconds >= 0
        self.told.append(("pulled", state, str(merged)))

    def conflict(self, kind: str) -> None:
        self.told.append(("conflict", kind))

    def settled(self, kind: str, taken: str) -> None:
        self.told.append(("settled", kind, taken))


async def test_pulls_and_conflicts_are_counted(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n", b_md="b\n", c_bin=b"\xff", gone_md="g\n")
    counting = Counting()
    puller = Puller(home.workspace, home.remotes, home.bus, clock=home.clock, observer=counting)
    bob.fresh().write("a.md", "bob\n").write("b.md", "bob\n").write("c.bin", b"\xff\x01").write(
        "gone.md", "bob\n"
    ).push()
    for path, content in (("a.md", b"alice\n"), ("c.bin", b"\xff\x02")):
        await home.write(path, content)
    await home.workspace.delete(home.project, Path("gone.md"), ALICE)
    await puller.pull(home.project)
    assert sorted(counting.told) == [
        ("conflict", "binary"), ("conflict", "delete/modify"), ("conflict", "modify/modify"), ("pulled", "conflicts", "2"),
    ]  # fmt: skip
    counting.told.clear()
    await home.write("a.md", "bob\n")
    await puller.pull(home.project)
    assert counting.told == [("settled", "modify/modify", "itself"), ("pulled", "conflicts", "0")]
    counting.told.clear()
    bob.fresh().write("c.bin", b"\xff\x03").push()
    await puller.pull(home.project, policy="theirs")
    assert sorted(counting.told) == [
        ("conflict", "binary"), ("pulled", "done", "0"), ("settled", "binary", "gone"), ("settled", "binary", "theirs"),
        ("settled", "delete/modify", "theirs"),
    ]  # fmt: skip
    counting.told.clear()
    await puller.pull(home.project)
    git(home.repository, "update-ref", "-d", "refs/heads/main")
    await puller.pull(home.project)
    assert counting.told == [("pulled", "nothing", "0"), ("pulled", "failed", "0")]


class Asked(FaultyStore):
    """Counts the looks at a whole project."""

    looks = 0

    async def tree(self, project: ProjectId, **rest: Any) -> Sequence[Row]:
        self.looks += 1
        return await super().tree(project, **rest)


async def test_a_pull_looks_again_only_when_a_file_in_conflict_was_touched(tmp_path: pathlib.Path) -> None:
    store = Asked(MemoryStore(clock=Clock()))
    async with house(tmp_path, store=store) as home:
        await committed(home, a_md="one\n", b_md="b\n")
        Copy(home, tmp_path / "bob").fresh().write("a.md", "bob\n").push()
        await home.write("a.md", "alice\n")
        await pull(home)
        store.looks = 0
        await home.write("b.md", "alice\n")
        await home.snapshotter.pull(home.project)
        assert store.looks == 0
        await home.write("a.md", "alice again\n")
        await home.snapshotter.pull(home.project)
        assert store.looks == 1
        await home.snapshotter.pull(home.project)
        assert store.looks == 1


async def test_both_renamed_it_and_alice_gives_in(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN)
    bob.fresh().run("mv", "a.md", "bob.md").push()
    await home.workspace.move(home.project, Path("a.md"), Path("alice.md"), ALICE)
    await pull(home)
    found = await conflict(home)
    await home.workspace.move(home.project, Path("alice.md"), Path("bob.md"), ALICE)
    assert (await pull(home)).conflicts == ()
    assert await ended(home, found) == ("resolved", "itself")
    await home.write("bob.md", "alice\n")
    await goes_out(home)
