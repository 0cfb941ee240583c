"""What lost a conflict comes back, as an edit that can itself be undone; what was written since stays."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import pytest

from collab.conflicts import FileConflict
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import Path
from collab.merge import Take
from snapshots.restoring import Which
from tests.snapshots.house import ALICE, BOB, House, house
from tests.snapshots.pulls import TEN, Copy, committed, conflict, goes_out, pull

pytestmark = pytest.mark.anyio

ALICES = TEN.replace("line 2", "alice")
BOBS = TEN.replace("line 2", "bob").replace("line 9", "line 9, bob")


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
def bob(home: House, tmp_path: pathlib.Path) -> Copy:
    return Copy(home, tmp_path / "bob")


async def decided(home: House, bob: Copy, take: Take) -> FileConflict:
    await committed(home, a_md=TEN)
    bob.fresh().write("a.md", BOBS).push()
    await home.write("a.md", ALICES)
    await pull(home)
    return await home.snapshotter.settle(home.project, (await conflict(home)).id, take=take, actor=ALICE)


async def restore(home: House, found: FileConflict, which: Which, **options: bool) -> None:
    await home.snapshotter.restoring.restore(home.project, found.id, which, actor=BOB, **options)


async def text(home: House) -> str:
    return (await home.files())["a.md"].decode()


@pytest.mark.parametrize("take", ["ours", "theirs", "both"])
@pytest.mark.parametrize("which", ["ours", "theirs", "base"])
async def test_the_lines_of_a_side_come_back_and_what_was_written_since_stays(
    home: House, bob: Copy, take: Take, which: Which
) -> None:
    found = await decided(home, bob, take)
    await home.write("a.md", (await text(home)).replace("line 6", "line 6, later"))
    await restore(home, found, which)
    lines = {"ours": "alice", "theirs": "bob", "base": "line 2"}
    expected = BOBS.replace("bob\n", lines[which] + "\n", 1).replace("line 6", "line 6, later")
    if which == "base":
        expected = expected.replace("line 9, bob", "line 9")
    assert await text(home) == expected
    if which == "ours":
        await goes_out(home)


async def test_one_side_and_the_other_again(home: House, bob: Copy) -> None:
    found = await decided(home, bob, "theirs")
    for which, word in (("ours", "alice"), ("theirs", "bob"), ("ours", "alice")):
        await restore(home, found, which)  # type: ignore[arg-type]
        assert await text(home) == BOBS.replace("bob\n", f"{word}\n", 1)


async def test_lines_that_were_changed_since_are_not_overwritten(home: House, bob: Copy) -> None:
    found = await decided(home, bob, "theirs")
    since = (await text(home)).replace("bob\n", "bob and alice\n", 1)
    await home.write("a.md", since)
    with pytest.raises(Overlap) as caught:
        await restore(home, found, "ours")
    assert caught.value.details["hunks"][0]["ours"] == "bob and alice\n"
    assert await text(home) == since
    await restore(home, found, "ours", whole=True)
    assert await text(home) == ALICES


async def test_a_file_that_a_decision_deleted_comes_back_as_the_same_file(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n", b_md="b\n")
    row = await home.workspace.stat(home.project, Path("a.md"))
    bob.fresh().run("rm", "-q", "a.md").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    found = await home.snapshotter.settle(home.project, (await conflict(home)).id, take="theirs", actor=ALICE)
    with pytest.raises(Invalid, match="nothing to bring back"):
        await restore(home, found, "theirs")
    await restore(home, found, "ours")
    assert (await home.workspace.stat(home.project, Path("a.md"))).id == row.id
    assert await text(home) == "alice\n"
    await goes_out(home)


async def test_where_another_file_stands_nothing_comes_back(home: House, bob: Copy) -> None:
    await committed(home, a_md="a\n")
    bob.fresh().write("README.md", "bob\n").push()
    await home.write("readme.md", "alice\n")
    await pull(home)
    found = await home.snapshotter.settle(home.project, (await conflict(home)).id, take="ours", actor=ALICE)
    await home.workspace.move(home.project, Path("readme.md"), Path("README.md"), ALICE)
    with pytest.raises(Conflict, match="another file stands at"):
        await restore(home, found, "theirs")
    await home.workspace.move(home.project, Path("README.md"), Path("other.md"), ALICE)
    await restore(home, found, "theirs")
    assert (await home.files())["README.md"] == b"bob\n"


async def test_bytes_come_back_whole(home: House, bob: Copy) -> None:
    await committed(home, a_bin=b"\xff\x00")
    bob.fresh().write("a.bin", b"\xff\x02").push()
    await home.write("a.bin", b"\xff\x03")
    await pull(home)
    found = await home.snapshotter.settle(home.project, (await conflict(home)).id, take="theirs", actor=ALICE)
    await restore(home, found, "ours")
    assert (await home.files())["a.bin"] == b"\xff\x03"
    await goes_out(home)


async def test_what_is_open_is_decided_and_what_is_not_there_is_not(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    with pytest.raises(Conflict, match="is open"):
        await restore(home, await conflict(home), "ours")
    with pytest.raises(NotFound):
        await home.snapshotter.restoring.restore(home.project, "none", "ours", actor=BOB)


async def test_of_a_conflict_that_resolved_itself_only_the_whole_file_is_known(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    await pull(home)
    found = await conflict(home)
    await home.write("a.md", "bob\n")
    await pull(home)
    with pytest.raises(Overlap, match="bring the whole file back"):
        await restore(home, found, "ours")
    await restore(home, found, "ours", whole=True)
    assert await text(home) == "alice\n"
