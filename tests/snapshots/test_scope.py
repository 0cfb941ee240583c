"""A project that is a part of a repository: what belongs goes out and comes in, and nothing else is ever touched."""

from __future__ import annotations

import pathlib

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab.errors import Invalid
from collab.ids import BlobSha, Path
from snapshots.remotes.base import Author, CommitSha, NewCommit, TreeEntry
from snapshots.remotes.local import LocalRemote
from snapshots.remotes.refusals import FilesRefused
from snapshots.remotes.scoped import ScopedRemote
from snapshots.scope import Scope, in_the_way, parse
from tests.snapshots.git import blob_sha, git

pytestmark = pytest.mark.anyio

FILE = 0o100644


@pytest.mark.parametrize(
    ("patterns", "path", "belongs"),
    [
        ((), "anything/at/all", True),
        (("docs/**/*.md",), "docs/a.md", True),
        (("docs/**/*.md",), "docs/deep/down/a.md", True),
        (("docs/**/*.md",), "docs/a.txt", False),
        (("docs/**/*.md",), "other/docs/a.md", False),
        (("docs",), "docs/deep/a.bin", True),
        (("*.md", "*.txt"), "a/b.txt", True),
        (("docs", "!docs/drafts"), "docs/drafts/a.md", False),
        (("docs", "!docs/drafts", "docs/drafts/this.md"), "docs/drafts/this.md", True),
        (("!secret",), "a/b.md", True),
        (("!secret",), "secret/b.md", False),
    ],
)
def test_what_patterns_make_of_a_project(patterns: tuple[str, ...], path: str, belongs: bool) -> None:
    assert Scope("", patterns).covers(Path(path)) is belongs


def test_a_file_stands_below_the_folder_in_the_repository() -> None:
    scope = Scope("lib/docs", ("*.md",))
    assert scope.there(Path("a/b.md")) == "lib/docs/a/b.md"
    assert scope.here(Path("lib/docs/a/b.md")) == "a/b.md"
    assert scope.here(Path("lib/docs/a/b.txt")) is None
    assert scope.here(Path("lib/docsx/b.md")) is None
    assert scope.here(Path("b.md")) is None


@pytest.mark.parametrize("folder", ["../up", "a/../b", "a//b", ".git/x", "a\0b"])
def test_what_is_no_folder_is_refused(folder: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(folder, ())
    assert caught.value.field == "folder"


def test_slashes_around_a_folder_say_nothing() -> None:
    assert parse("/docs/", ()) == Scope("docs")
    assert parse("/", ()) == Scope()


@pytest.mark.parametrize("wanted", [("",), ("!",), ("a\nb",), tuple("x" * 101)])
def test_what_is_no_pattern_is_refused(wanted: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        parse("", wanted)
    assert caught.value.field == "patterns"


def test_what_would_replace_something_that_does_not_belong_is_found() -> None:
    outside = {Path("a"): 1, Path("b/c/d"): 1, Path("e"): 1}
    writes = [Path("a/x"), Path("b"), Path("b/c"), Path("b/c/e"), Path("f")]
    assert in_the_way(writes, outside) == {"a/x": "a", "b": "b/c/d", "b/c": "b/c/d"}


names = st.sampled_from(["a", "b", "docs", "x.md", "y.md", "z.txt", "caf\udce9"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
entries = st.tuples(st.binary(max_size=3), st.sampled_from([FILE, 0o100755, 0o120000]))
trees = st.dictionaries(paths, entries, max_size=12)
scopes = st.builds(
    Scope,
    st.sampled_from(["", "docs", "a/docs"]),
    st.lists(st.sampled_from(["*.md", "docs/**/*.md", "a", "!b", "/x.md", "docs/*", "**"]), max_size=3).map(tuple),
)


def standing(files: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Those that can stand beside each other: no file where another one needs a directory."""
    kept: dict[str, tuple[bytes, int]] = {}
    for path, entry in files.items():
        if not any(path.startswith(f"{each}/") or each.startswith(f"{path}/") for each in kept):
            kept[path] = entry
    return kept


async def commit(
    remote: LocalRemote | ScopedRemote,
    parent: CommitSha | None,
    writes: dict[str, tuple[bytes, int]],
    deletes: list[str],
) -> CommitSha:
    held = {blob_sha(content): content for content, _ in writes.values()}

    async def blob(sha: BlobSha) -> bytes:
        return held[sha]

    new = NewCommit(
        parent=parent,
        writes={Path(path): TreeEntry(blob_sha(content), mode) for path, (content, mode) in writes.items()},
        deletes=[Path(path) for path in deletes],
        message="Edit\n",
        author=Author("Quire", "quire@localhost"),
        at=1_700_000_000,
    )
    return (await remote.commit(new, blob)).commit


def listed(repository: pathlib.Path, commit: str) -> dict[str, str]:
    """As real git has it: path -> mode, kind and SHA."""
    lines = git(repository, "ls-tree", "-rz", commit).split("\0")
    return {line.partition("\t")[2]: line.partition("\t")[0] for line in lines if line}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=trees, writes=trees, scope=scopes, data=st.data())
def test_a_commit_leaves_what_does_not_belong_as_it_was_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, tuple[bytes, int]],
    writes: dict[str, tuple[bytes, int]],
    scope: Scope,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("scoped") / "notes.git"
    there = standing(before)
    inside = sorted(here for each in there if (here := scope.here(Path(each))) is not None)
    deletes = data.draw(st.lists(st.sampled_from(inside), unique=True)) if inside else []
    kept = {str(each): there[scope.there(each)] for each in inside if each not in deletes}
    wanted = {each: entry for each, entry in standing({**writes, **kept}).items() if each not in kept}

    async def edit() -> tuple[CommitSha, CommitSha, frozenset[Path]]:
        whole = LocalRemote(path, "main")
        first = await commit(whole, None, there, [])
        remote = ScopedRemote(whole, scope)
        try:
            return first, await commit(remote, first, wanted, [*map(str, deletes)]), frozenset()
        except Invalid:
            # A file stands where the folder should be: nothing of the project can be there.
            assert await whole.head() == first
            return first, first, frozenset(map(Path, wanted))
        except FilesRefused as refused:
            assert await whole.head() == first
            good = {each: entry for each, entry in wanted.items() if each not in refused.files}
            second = await commit(remote, first, good, [*map(str, deletes)])
            return first, second, frozenset(refused.files)

    first, second, refused = anyio.run(edit)
    old, new = listed(path, first), listed(path, second)
    outside = {each: entry for each, entry in old.items() if scope.here(Path(each)) is None}
    assert {each: entry for each, entry in new.items() if scope.here(Path(each)) is None} == outside
    for each in wanted:
        if each in refused:
            assert not scope.covers(Path(each)) or in_the_way([scope.there(Path(each))], {Path(o): 1 for o in outside})
        else:
            assert new[scope.there(Path(each))].endswith(blob_sha(wanted[each][0]))
    assert not {scope.there(Path(each)) for each in deletes} & new.keys() - {scope.there(Path(each)) for each in wanted}


async def test_refusals_of_the_repository_are_told_by_the_paths_of_the_project(tmp_path: pathlib.Path) -> None:
    whole = LocalRemote(tmp_path / "notes.git", "main")
    first = await commit(whole, None, {"docs": (b"a file", FILE), "src/deep/a.c": (b"int", FILE)}, [])
    remote = ScopedRemote(whole, Scope("", ("docs/**", "src", "!src/deep")))
    with pytest.raises(FilesRefused) as caught:
        await commit(remote, first, {"docs/a.md": (b"x", FILE), "readme.md": (b"x", FILE), "src": (b"x", FILE)}, [])
    assert caught.value.files == {"docs/a.md": "in_the_way", "readme.md": "outside", "src": "in_the_way"}
    assert "readme.md: it does not belong" in caught.value.message


async def test_what_others_push_outside_is_taken_along(tmp_path: pathlib.Path) -> None:
    whole = LocalRemote(tmp_path / "notes.git", "main")
    first = await commit(whole, None, {"docs/a.md": (b"1", FILE), "src/a.c": (b"1", FILE)}, [])
    remote = ScopedRemote(whole, Scope("docs"))
    second = await commit(remote, first, {"a.md": (b"2", FILE)}, [])
    theirs = await commit(whole, second, {"src/a.c": (b"2", FILE), "src/b.c": (b"2", FILE)}, [])
    assert await remote.tree(theirs) == {Path("a.md"): TreeEntry(blob_sha(b"2"), FILE)}
    last = await commit(remote, theirs, {"b.md": (b"3", FILE)}, ["a.md"])
    assert listed(tmp_path / "notes.git", last).keys() == {"docs/b.md", "src/a.c", "src/b.c"}
