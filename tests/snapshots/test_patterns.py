"""Patterns of paths mean what git means by them in a `.gitignore`."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab.errors import Invalid
from snapshots.patterns import check, matches
from tests.snapshots.git import git


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("*.md", "a.md", True),
        ("*.md", "docs/deep/a.md", True),
        ("/*.md", "docs/a.md", False),
        ("docs/*.md", "docs/a.md", True),
        ("docs/*.md", "docs/deep/a.md", False),
        ("docs/**/*.md", "docs/a.md", True),
        ("docs/**/*.md", "docs/very/deep/a.md", True),
        ("docs/**/*.md", "docs/a.txt", False),
        ("**/dist/**", "web/dist/a.js", True),
        ("vendor/", "vendor/a/b.c", True),
        ("vendor/", "lib/vendor/b.c", True),
        ("vendor/", "vendor", False),
        ("vendor", "lib/vendor", True),
        ("docs/api", "docs/api/a.md", True),
        ("docs/api", "other/docs/api/a.md", False),
        ("*", "a/b", True),
        ("**", "a/b", True),
        ("a?.md", "ab.md", True),
        ("a?.md", "a/.md", False),
        ("[a].md", "[a].md", True),
    ],
)
def test_what_a_pattern_means(pattern: str, path: str, meant: bool) -> None:
    assert matches(pattern, path) is meant


names = st.sampled_from(["a", "b", "ab", "a.md", "b.md"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(["a", "b", "*", "**", "a*", "*.md", "?"])
patterns = st.tuples(
    st.sampled_from(["", "/"]), st.lists(pieces, min_size=1, max_size=3).map("/".join), st.sampled_from(["", "/"])
).map("".join)


def test_git_means_the_same(tmp_path: pathlib.Path) -> None:
    git(tmp_path, "init", "--quiet", "repository")
    repository = tmp_path / "repository"
    asked: list[tuple[str, list[str]]] = []

    @given(patterns, st.lists(paths, min_size=1, max_size=12, unique=True))
    def collect(pattern: str, some: list[str]) -> None:
        asked.append((pattern, some))

    settings(max_examples=40, database=None)(collect)()
    for pattern, some in asked[:40]:
        (repository / ".gitignore").write_text(f"{pattern}\n/always\n")
        told = git(repository, "check-ignore", "--no-index", "--verbose", "--non-matching", "always", *some)
        ignored = {line.rpartition("\t")[2]: not line.startswith("::") for line in told.splitlines()[1:]}
        assert {path: matches(pattern, path) for path in some} == ignored, pattern


@pytest.mark.parametrize("pattern", ["", "/", "a\nb", "a" * 501])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(Invalid, match="no pattern of paths"):
        check(pattern, field="pattern")


def test_a_pattern_that_means_harm_takes_no_time() -> None:
    assert not matches("*a" * 100 + "b", "a" * 5_000)
    assert not matches("**/a/" * 50 + "b", "a/" * 500 + "a")
