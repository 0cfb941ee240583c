"""Alignments are right, as short as they can be on small inputs, like git's, and bounded on hostile ones."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.align import Budget, Change, align

PLENTY = 10**9

few = st.lists(st.integers(0, 3), max_size=30)
many = st.lists(st.integers(0, 1000), max_size=30)


def replay(before: Sequence[object], after: Sequence[object], changes: list[Change]) -> None:
    """Everything outside the changes is the same on both sides, and no two changes touch."""
    i = j = 0
    for number, (a0, a1, b0, b1) in enumerate(changes):
        assert before[i:a0] == after[j:b0]
        assert a0 > i or number == 0
        assert a1 > a0 or b1 > b0
        i, j = a1, b1
    assert before[i:] == after[j:]


def longest_common(before: list[int], after: list[int]) -> int:
    row = [0] * (len(after) + 1)
    for token in before:
        above = list(row)
        for j, other in enumerate(after):
            row[j + 1] = above[j] + 1 if token == other else max(row[j], above[j + 1])
    return row[-1]


@given(st.one_of(st.tuples(few, few), st.tuples(many, many)))
def test_an_alignment_keeps_as_much_as_can_be_kept(texts: tuple[list[int], list[int]]) -> None:
    before, after = texts
    changes = align(before, after, Budget(PLENTY))
    replay(before, after, changes)
    assert len(before) - sum(change.a1 - change.a0 for change in changes) == longest_common(before, after)


@given(few, few, st.integers(0, 60))
def test_whatever_the_budget_the_result_is_right(before: list[int], after: list[int], steps: int) -> None:
    replay(before, after, align(before, after, Budget(steps)))


@pytest.mark.parametrize("seed", range(6))
def test_long_sequences_with_many_changes(seed: int) -> None:
    dice = random.Random(seed)
    before = [dice.randrange(10 ** (seed + 1)) for _ in range(3000)]
    after = list(before)
    for _ in range(400):
        at = dice.randrange(len(after))
        after[at : at + dice.randrange(3)] = [dice.randrange(10 ** (seed + 1)) for _ in range(dice.randrange(3))]
    changes = align(before, after, Budget(PLENTY))
    replay(before, after, changes)
    assert sum(change.a1 - change.a0 for change in changes) < 1000


def hostile() -> list[tuple[str, list[str], list[str]]]:
    dice = random.Random(1)
    blank = ["\n"] * 100_000
    dotted, dashed = list(blank), list(blank)
    for _ in range(500):
        dotted[dice.randrange(len(blank))] = ".\n"
        dashed[dice.randrange(len(blank))] = "-\n"
    unique = [str(number) for number in range(50_000)]
    return [
        ("blank lines", blank, blank[:90_000]),
        ("blank lines, changed here and there", dotted, dashed),
        ("two kinds of lines", [dice.choice("ab") for _ in blank], [dice.choice("ab") for _ in blank]),
        ("no line in common", unique, [line + "x" for line in unique]),
        ("the same lines, shuffled", unique, dice.sample(unique, len(unique))),
        ("the same lines, reversed", unique, unique[::-1]),
        ("a period, shifted", ["a", "b", "c"] * 30_000, ["b", "a", "c"] + ["a", "b", "c"] * 20_000 + ["d"]),
    ]


@pytest.mark.parametrize(("before", "after"), [pytest.param(a, b, id=name) for name, a, b in hostile()])
def test_hostile_input_is_paid_from_the_budget(before: list[str], after: list[str]) -> None:
    budget = Budget(300_000)
    replay(before, after, align(before, after, budget))
    # One round of the search, or one look for unique tokens, may overdraw it.
    assert budget.left > -(len(before) + len(after))


def test_a_change_slides_to_where_the_other_side_changed() -> None:
    assert align("xbcbcy", "xbcQy", Budget(PLENTY)) == [Change(3, 5, 3, 4)]
    assert align("abab", "ababab", Budget(PLENTY)) == [Change(4, 4, 4, 6)]


def test_runs_that_meet_become_one() -> None:
    assert align("abcde", "abcabcde", Budget(PLENTY)) == [Change(3, 3, 3, 6)]


def git_changes(folder: Path, before: list[int], after: list[int]) -> list[Change]:
    for name, tokens in (("before", before), ("after", after)):
        (folder / name).write_text("".join(f"{token}\n" for token in tokens))
    command = ["git", "diff", "--no-index", "--no-indent-heuristic", "--diff-algorithm=myers", "-U0", "before", "after"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    changes = []
    for match in re.finditer(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", shown, re.MULTILINE):
        a, deleted, b, inserted = (1 if number is None else int(number) for number in match.groups())
        a0, b0 = a - 1 if deleted else a, b - 1 if inserted else b
        changes.append(Change(a0, a0 + deleted, b0, b0 + inserted))
    return changes


def test_git_sees_the_same_changes(tmp_path: Path) -> None:
    dice = random.Random(2)
    for number in range(150):
        kinds = (3, 12, 1000)[number % 3]
        before = [dice.randrange(kinds) for _ in range(dice.randrange(1, 40))]
        after = list(before)
        for _ in range(dice.randrange(1, 5)):
            at, size = dice.randrange(len(after) + 1), dice.randrange(1, 4)
            moved = after[at : at + size]
            after[at : at + dice.randrange(4)] = [dice.randrange(kinds) for _ in range(dice.randrange(3))]
            if dice.random() < 0.3:
                after[dice.randrange(len(after) + 1) :][:0] = moved
                after += moved
        assert align(before, after, Budget(PLENTY)) == git_changes(tmp_path, before, after)


def test_a_region_written_anew_is_one_change_where_chance_does_not_count() -> None:
    old, new = ([f"{age} {part} {number}" for number in range(20) for part in range(5)] for age in ("old", "new"))
    old[4::5] = new[4::5] = [""] * 20
    before, after = ["top", *old, "end"], ["top", *new, "end"]
    assert len(align(before, after, Budget(PLENTY))) == 20
    assert align(before, after, Budget(PLENTY), by_chance=False) == [Change(1, 100, 1, 100)]


def test_git_sees_the_same_changes_where_regions_were_written_anew(tmp_path: Path) -> None:
    dice = random.Random(3)
    for _ in range(60):
        before = [dice.choice([0, 0, 1, number]) for number in range(2, dice.randrange(60, 300))]
        after = list(before)
        for part in range(dice.randrange(1, 4)):
            at, size = dice.randrange(len(after)), dice.randrange(5, 50)
            after[at : at + size] = [dice.choice([0, 1, 1000 * part + n, 1000 * part + n]) for n in range(500, 530)]
        assert align(before, after, Budget(PLENTY), by_chance=False) == git_changes(tmp_path, before, after)
