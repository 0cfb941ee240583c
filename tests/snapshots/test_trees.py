"""The trees that we make, against those of real git."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab import paths
from collab.errors import Invalid
from collab.ids import BlobSha, Path
from snapshots import trees
from snapshots.remotes.base import TreeEntry, TreeSha
from tests.snapshots.git import git, new_repository

Files = dict[bytes, TreeEntry]

names = st.sampled_from([b"a", b"a.b", b"a-b", b"a0", b"b", b"\xff", "é".encode(), b"a b"])
file_paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
entries = st.builds(
    TreeEntry,
    st.sampled_from([BlobSha(digit * 40) for digit in "123"]),
    st.sampled_from([0o100644, 0o100755, 0o120000, 0o160000]),
)


def settled(files: Mapping[bytes, TreeEntry]) -> Files:
    """Of a file and what lies below it, the file stays."""
    return {
        path: entry
        for path, entry in files.items()
        if not any(other != path and path.startswith(other + b"/") for other in files)
    }


all_files = st.dictionaries(file_paths, entries, max_size=12).map(settled)


def write_tree(repository: pathlib.Path, files: Files) -> str:
    """What git makes of an index that holds these files."""
    git(repository, "read-tree", "--empty")
    lines = [b"%o %s\t%s\0" % (entry.mode, entry.sha.encode(), path) for path, entry in files.items()]
    git(repository, "update-index", "-z", "--index-info", stdin=b"".join(lines))
    return git(repository, "write-tree", "--missing-ok")


def as_paths(files: Files) -> dict[Path, TreeEntry]:
    return {paths.from_bytes(path): entry for path, entry in files.items()}


class Objects:
    """Trees by their SHA; counts what is read."""

    def __init__(self) -> None:
        self.known: dict[TreeSha, bytes] = {}
        self.read_count = 0

    def read(self, sha: TreeSha) -> bytes:
        self.read_count += 1
        return self.known[sha]

    def make(self, root: TreeSha | None, writes: Files, deletes: set[bytes]) -> TreeSha:
        rebuilt = trees.rebuild(root, as_paths(writes), [paths.from_bytes(path) for path in deletes], self.read)
        self.known.update(rebuilt.objects)
        return rebuilt.root


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return new_repository(tmp_path_factory.mktemp("trees") / "judge")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=all_files, after=all_files)
def test_from_any_tree_to_any_other_like_git(repository: pathlib.Path, before: Files, after: Files) -> None:
    objects = Objects()
    root = objects.make(None, before, set())
    assert root == write_tree(repository, before) == trees.tree_of(as_paths(before))
    writes = {path: entry for path, entry in after.items() if before.get(path) != entry}
    made = objects.make(root, writes, before.keys() - after.keys())
    assert made == write_tree(repository, after)
    assert dict(trees.walk(made, objects.read)) == as_paths(after)


def test_parsing_is_the_inverse_of_writing() -> None:
    tree = {b"a": TreeEntry(BlobSha("1" * 40), 0o100664), b"a.b": TreeEntry(BlobSha("0" * 40), trees.DIRECTORY)}
    assert trees.parse(trees.encode(tree)) == tree
    assert trees.sha_of(b"") == trees.EMPTY_TREE == trees.tree_of({})


def test_a_change_reads_only_the_trees_on_its_way() -> None:
    objects = Objects()
    entry = TreeEntry(BlobSha("1" * 40), 0o100644)
    root = objects.make(None, {b"d%d/e/f%d" % (n % 100, n): entry for n in range(1000)}, set())
    objects.read_count = 0
    objects.make(root, {b"d7/e/new": entry}, set())
    assert objects.read_count == 3


def test_a_path_may_be_thousands_of_directories_deep() -> None:
    objects = Objects()
    deep = b"/".join([b"d"] * 3_000)
    entry = TreeEntry(BlobSha("1" * 40), 0o100644)
    root = objects.make(None, {deep: entry}, set())
    assert dict(trees.walk(root, objects.read)) == {paths.from_bytes(deep): entry}
    assert objects.make(root, {}, {deep}) == trees.EMPTY_TREE


def test_a_file_and_a_directory_of_one_name_are_refused() -> None:
    entry = TreeEntry(BlobSha("1" * 40), 0o100644)
    with pytest.raises(Invalid):
        trees.tree_of({Path("a"): entry, Path("a/b"): entry})
