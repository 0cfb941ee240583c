"""Trees that would do harm in a checkout, and how large one is when it unfolds."""

from __future__ import annotations

import pytest

from snapshots.packs import checks
from snapshots.packs.checks import Extent, disguised, extent, problem
from snapshots.packs.entries import DIRECTORY, SUBMODULE, Entry, Kind, Oid, parse_tree
from tests.snapshots.packs.memory import Memory

BLOB = Oid(b"b" * 20)


def tree(*rows: tuple[bytes, int]) -> list[Entry]:
    return [Entry(name, mode, BLOB) for name, mode in rows]


@pytest.mark.parametrize(
    "name",
    [".git", ".GIT", ".gIt", "git~1", "GIT~1", ".git ", ".git.", ".git. .", ".git::$INDEX_ALLOCATION", ".git\\x", ".g\u200cit",
     "\u200e.git", ".git\ufeff", ".gi\u206at"],
)  # fmt: skip
def test_gits_own_directory_is_seen_in_every_disguise(name: str) -> None:
    assert disguised(name.encode(), ".git")
    assert problem(tree((name.encode(), 0o100644))) is not None


@pytest.mark.parametrize(
    "name", [".gitignore", "git", ".gita", "git~2", "x.git", ".git-x", "gitt~1", "..git", "\u00e9.git", ".g it"]
)
def test_honest_names_are_none(name: str) -> None:
    assert not disguised(name.encode(), ".git")
    assert problem(tree((name.encode(), 0o100644))) is None


def test_a_file_of_submodules_is_never_a_symlink() -> None:
    for name in (b".gitmodules", b".GITMODULES", b"gitmod~1", b".gitmodules ."):
        assert problem(tree((name, checks.SYMLINK))) is not None
        assert problem(tree((name, 0o100644))) is None


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/"])
def test_names_that_lead_elsewhere_are_refused(name: bytes) -> None:
    assert "names no file" in (problem(tree((name, 0o100644))) or "")


def test_order_doubles_and_modes_are_looked_at() -> None:
    assert problem(tree((b"a", 0o100644), (b"a.b", 0o100755), (b"a", DIRECTORY))) is not None
    assert problem(tree((b"a.b", 0o100755), (b"a", DIRECTORY), (b"b", SUBMODULE), (b"c", checks.SYMLINK))) is None
    assert "out of order" in (problem(tree((b"b", 0o100644), (b"a", 0o100644))) or "")
    assert "twice" in (problem(tree((b"a", 0o100644), (b"a", 0o100644))) or "")
    assert "mode 100600" in (problem(tree((b"a", 0o100600))) or "")


def test_a_tree_that_unfolds_beyond_measure_is_counted_all_the_same() -> None:
    memory = Memory()
    oid = memory.add(Kind.TREE, b"".join(b"100644 f%d\0" % number + BLOB for number in range(10)))
    for _ in range(30):
        oid = memory.add(Kind.TREE, b"".join(b"40000 d%d\0" % number + oid for number in range(10)))
    found = extent(oid, lambda each: list(parse_tree(memory.get(each)[1])))
    assert found == Extent(10**31, 31 * 2 + 30)
    assert len(memory.read) == 31


def test_a_tree_deeper_than_any_stack_is_measured() -> None:
    memory = Memory()
    oid = memory.add(Kind.TREE, b"100644 f\0" + BLOB)
    for _ in range(20_000):
        oid = memory.add(Kind.TREE, b"40000 d\0" + oid)
    assert extent(oid, lambda each: list(parse_tree(memory.get(each)[1]))) == Extent(1, 40_001)


def test_a_wide_tree_costs_what_it_holds() -> None:
    memory = Memory()
    rows = [
        b"40000 d%05d\0" % number + memory.add(Kind.TREE, b"100644 %d\0" % number + BLOB) for number in range(5_000)
    ]
    oid = memory.add(Kind.TREE, b"".join(rows))
    memory.read.clear()
    assert extent(oid, lambda each: list(parse_tree(memory.get(each)[1]))).files == 5_000
    assert len(memory.read) == 5_001
