"""Real histories merge as git merges them: branches of projects that were maintained beside each other, their changes taken in
part as cherry-picks take them, and people who typed at once. `git merge-file` is the oracle; what differs is explained."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from collab.merge import Conflicted, Merged, merge
from tests.harness.histories import History, in_part, typed, vendored
from tests.harness.oracle import CLEANER, Oracle


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(tmp_path_factory.mktemp("histories"))


def verdicts(oracle: Oracle, histories: list[History]) -> Counter[str]:
    return Counter(oracle.verdict(each.base, each.ours, each.theirs) for each in histories)


def clean(histories: list[History]) -> int:
    return sum(isinstance(merge(each.base, each.ours, each.theirs), Merged) for each in histories)


def test_branches_that_parted_merge_as_git_merges_them(oracle: Oracle) -> None:
    histories = vendored()
    # One file has more differences than are looked for at once; there another hunk is as long as git's.
    assert verdicts(oracle, histories) == {"same": 88, "another hunk": 1}
    assert 20 < clean(histories) < 70, "the corpus has merges of both kinds"


@pytest.mark.parametrize("seed", range(3))
def test_changes_taken_in_part_merge_as_git_merges_them(oracle: Oracle, seed: int) -> None:
    dice = random.Random(seed)
    histories = [in_part(each, dice) for each in vendored()]
    found = verdicts(oracle, histories)
    assert set(found) <= set(CLEANER)
    assert found["same"] >= len(histories) - 1
    assert 20 < clean(histories) < 80, "merges of both kinds"


@pytest.mark.parametrize("name", ["friendsforever", "clownschool"])
def test_what_people_typed_at_once_merges_as_git_merges_it(oracle: Oracle, name: str) -> None:
    histories = list(typed(name, every=80))
    assert len(histories) > 25
    assert verdicts(oracle, histories) == {"same": len(histories)}


def test_the_explanation_of_a_difference_is_checked(oracle: Oracle) -> None:
    """Woven from git's alignments, our merge is what git prints: else a difference counts as a fault."""
    history = next(each for each in vendored() if each.name == "urllib3/response.py")
    assert isinstance(merge(history.base, history.ours, history.theirs), Conflicted)
    assert oracle.verdict(history.base, history.ours, history.theirs) == "another hunk"
    assert oracle.woven(history.base, history.ours, history.theirs) == "same"
