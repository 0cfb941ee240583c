"""Real source trees, the ugly parts of them, come out of Quire as they went in: git gives the tree of the commit that was made
anew of live documents the same SHA."""

from __future__ import annotations

import io
import lzma
import pathlib
import random
import tarfile

import pytest

from tests.harness.roundtrip import repository, round_trip
from tests.harness.ugliness import KINDS, ugliness
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, house

pytestmark = pytest.mark.anyio

ARCHIVE = pathlib.Path(__file__).parent.parent / "data" / "trees" / "trees.tar.xz"
TREES = ("babel", "codemirror", "docutils", "pygments", "test262-parser-tests")

NOT_THERE = {"large binary", "long line", "not ASCII in a name"}
"""What none of them has among its small files; `odd` has it."""


NAMES = (
    b"with space", b"tab\there", b"quote\"s'", b"back\\slash", b"caf\xc3\xa9", b"cafe\xcc\x81", b"latin-\xe9", b"-dash",
    b"#hash", b"A.md", b"a.md", b"trailing.", b"COM1", b"co:lon", b"\xf0\x9f\x98\x80", b"x" * 200, b"newline\nin it",
)  # fmt: skip


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("trees")
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(ARCHIVE.read_bytes()))) as archive:
        archive.extractall(folder, filter="tar")
    return folder


def test_the_trees_are_ugly_in_every_way(trees: pathlib.Path) -> None:
    assert sorted(each.name for each in trees.iterdir()) == list(TREES)
    assert set(KINDS) - set(ugliness(trees)) == NOT_THERE


@pytest.mark.parametrize("name", TREES)
async def test_a_real_tree_comes_out_as_it_went_in(trees: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    before = repository(trees / name)
    async with house(tmp_path) as home:
        done = await round_trip(home, trees / name)
        assert done.after == done.before == before
        assert done.files == ugliness(trees / name)["files"]
        # And once more, as a clone of what was committed.
        git(tmp_path, "clone", "--quiet", str(home.repository), "clone")
        assert git(tmp_path / "clone", "rev-parse", "HEAD^{tree}") == before
        assert git(tmp_path / "clone", "status", "--porcelain") == ""


def odd(folder: pathlib.Path) -> pathlib.Path:
    for number, name in enumerate(NAMES):
        place = folder / f"d{number % 3}" / name.decode("utf-8", "surrogateescape")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(name + b"\n")
    (folder / "large.bin").write_bytes(random.Random(1).randbytes(3_000_000))
    (folder / "large.txt").write_text("a line of text\n" * 200_000)
    (folder / "link").symlink_to("nowhere/at all")
    return folder


async def test_odd_names_and_large_bytes_come_out_as_they_went_in(tmp_path: pathlib.Path) -> None:
    source = odd(tmp_path / "odd")
    assert {"large binary", "not ASCII in a name", "odd name"} <= set(ugliness(source))
    before = repository(source)
    async with house(tmp_path) as home:
        done = await round_trip(home, source)
        assert done.after == before


async def test_an_edit_changes_its_file_and_no_other_byte(trees: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with house(tmp_path) as home:
        before = repository(trees / "pygments")
        await round_trip(home, trees / "pygments")
        rows = [row for row in await home.store.tree(home.project.id) if row.kind == "text" and row.size > 20]
        for row in rows:
            content = (await home.workspace.read(home.project, row.path)).content
            middle = content.index(b"\n", len(content) // 3) + 1 if b"\n" in content[len(content) // 3 :] else 0
            await home.workspace.write(
                home.project, row.path, content[:middle] + b"one line more\r\n" + content[middle:], ALICE, force=True
            )
        assert (await home.snapshotter.snapshot(home.project)).state == "done"
        changes = git(home.repository, "diff", "--numstat", before, "main").split("\n")
        assert len(changes) == len(rows)
        assert {line.split("\t")[0] for line in changes} == {"1"}
