"""Which refs may become what."""

from __future__ import annotations

import subprocess

import pytest

from snapshots.packs import rules
from snapshots.packs.entries import Oid
from snapshots.packs.refs import Refs, Update
from snapshots.packs.verdict import Judged

ONE, TWO = Oid(b"1" * 20), Oid(b"2" * 20)
MAIN, SIDE = b"refs/heads/main", b"refs/heads/side"
REFS = Refs({MAIN: ONE, SIDE: ONE, b"refs/tags/v1": ONE}, {}, MAIN)


def problem(update: Update, *, forward: bool = True, why: str = "") -> str:
    judged = {update.ref: Judged(ref=update.ref, forward=forward, problem=why)}
    return rules.problems([update], judged, REFS, "main").get(update.ref, "")


def test_the_projects_branch_only_goes_on() -> None:
    assert problem(Update(MAIN, ONE, TWO)) == ""
    assert problem(Update(MAIN, ONE, TWO), forward=False) == rules.NOT_FORWARD
    assert "cannot be deleted" in problem(Update(MAIN, ONE, None))
    assert problem(Update(MAIN, TWO, ONE)) == rules.PULL_FIRST
    assert problem(Update(MAIN, None, TWO)) == rules.PULL_FIRST


def test_other_branches_and_tags_are_whoevers_who_may_push() -> None:
    assert problem(Update(SIDE, ONE, TWO), forward=False) == ""
    assert problem(Update(SIDE, ONE, None)) == ""
    assert problem(Update(b"refs/tags/v2", None, TWO)) == ""
    assert problem(Update(b"refs/notes/commits", None, TWO)) == ""
    assert "not what it was" in problem(Update(SIDE, TWO, None))
    assert problem(Update(SIDE, ONE, TWO), why="it is no commit") == "it is no commit"


def test_what_is_nobodys_is_refused() -> None:
    for name in (b"HEAD", b"refs/remotes/origin/main", b"refs/quire/x", b"refs/heads", b"main"):
        assert "only branches, tags and notes" in problem(Update(name, None, TWO))


@pytest.mark.parametrize(
    "name",
    ["a", "a/b", "a.b", "é", "a..b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a/", "/a", "a//b", ".a", "a/.b",
     "a.lock", "a.lock/b", "a.", "a@{b", "@", "a\x7fb", "a\tb"],
)  # fmt: skip
def test_names_are_judged_as_git_judges_them(name: str) -> None:
    full = f"refs/heads/{name}"
    fine = subprocess.run(["git", "check-ref-format", full], check=False).returncode == 0
    assert (problem(Update(full.encode(), None, TWO)) == "") == fine


def test_a_ref_and_a_directory_of_refs_cannot_have_one_name() -> None:
    assert "is in the way of it" in problem(Update(b"refs/heads/side/more", None, TWO))
    more = Update(b"refs/heads/side/more", None, TWO)
    assert rules.problems([more, Update(SIDE, ONE, None)], {}, REFS, "main") == {}
    both = [Update(b"refs/heads/new", None, TWO), Update(b"refs/heads/new/er", None, TWO)]
    assert set(rules.problems(both, {}, REFS, "main")) == {b"refs/heads/new", b"refs/heads/new/er"}


def test_a_ref_is_named_once() -> None:
    twice = [Update(SIDE, ONE, TWO), Update(SIDE, ONE, None)]
    assert rules.problems(twice, {}, REFS, "main") == {SIDE: "it is named twice"}
