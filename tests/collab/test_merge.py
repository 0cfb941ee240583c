"""The merge is git's: `git merge-file` is the oracle, on small texts where every alignment counts and on long ones."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collab.merge import Conflicted, Hunk, Merged, merge
from collab.text import lines
from tests.harness.oracle import Oracle, Verdict

Line = Callable[[random.Random], str]

LINES: dict[str, Line] = {
    "all different": lambda dice: f"{dice.random()}\n",
    "a dozen": lambda dice: f"{dice.randrange(12)}\n",
    "two": lambda dice: dice.choice(["a\n", "b\n"]),
    "mostly blank": lambda dice: dice.choice(["\n", "\n", f"{dice.randrange(99)}\n"]),
    "CRLF and LF": lambda dice: f"{dice.randrange(30)}{dice.choice(['', chr(13)])}\n",
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(tmp_path_factory.mktemp("merges"))


def marked(base: str, ours: str, theirs: str, hunks: tuple[Hunk, ...]) -> list[tuple[str, str, str]]:
    """The hunks, each cut again out of the whole texts by its line numbers."""
    cut = []
    for hunk in hunks:
        sides = (
            (base, hunk.base, hunk.base_line),
            (ours, hunk.ours, hunk.ours_line),
            (theirs, hunk.theirs, hunk.theirs_line),
        )
        cut.append(tuple("".join(lines(text)[line - 1 :][: len(lines(part))]) for text, part, line in sides))
    return [(a, b, c) for a, b, c in cut]


def edited(dice: random.Random, text: list[str], line: Line, most: int) -> list[str]:
    """The lines after a few inserts, deletes, replacements, copies and moves."""
    text = list(text)
    for _ in range(dice.randrange(1, most + 1)):
        at, size = dice.randrange(len(text) + 1), dice.randrange(1, 4)
        new = [line(dice) for _ in range(dice.randrange(1, 4))]
        part = text[at : at + size]
        match dice.randrange(6):
            case 0:
                text[at:at] = new
            case 1:
                del text[at : at + size]
            case 2:
                text[at : at + size] = new
            case 3:
                text[at : at + 1] = new[:1]
            case 4:
                text[at:at] = part
            case _:
                del text[at : at + size]
                there = dice.randrange(len(text) + 1)
                text[there:there] = part
    return text


def drawn(dice: random.Random, line: Line, size: int, most: int) -> tuple[str, str, str]:
    base = [line(dice) for _ in range(dice.randrange(size))]
    # Often both sides have some change in common, as after a cherry-pick.
    common = edited(dice, base, line, 2) if dice.random() < 0.3 else base
    texts = ["".join(t) for t in (base, edited(dice, common, line, most), edited(dice, common, line, most))]
    if dice.random() < 0.3:
        which = dice.randrange(3)
        texts[which] = texts[which].removesuffix("\n").removesuffix("\r")
    return texts[0], texts[1], texts[2]


def compare(oracle: Oracle, base: str, ours: str, theirs: str) -> Verdict:
    """How our result differs from git's; whatever it is, its hunks must be cut out of the texts."""
    result = merge(base, ours, theirs)
    if isinstance(result, Conflicted):
        assert marked(base, ours, theirs, result.hunks) == [
            (hunk.base, hunk.ours, hunk.theirs) for hunk in result.hunks
        ]
    return oracle.verdict(base, ours, theirs)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_small_texts_merge_as_git_merges_them(line: Line, oracle: Oracle) -> None:
    dice = random.Random(1)
    outcomes = [compare(oracle, *drawn(dice, line, 25, 3)) for _ in range(100)]
    assert set(outcomes) == {"same"}


@given(texts=st.tuples(*[st.lists(st.sampled_from("abc\n"), max_size=8).map("\n".join)] * 3))
@settings(max_examples=150, deadline=None)
def test_texts_with_little_in_common_merge_as_git_merges_them(texts: tuple[str, str, str], oracle: Oracle) -> None:
    assert compare(oracle, *texts) == "same"


@pytest.mark.parametrize("kind", ["all different", "a dozen", "mostly blank"])
def test_long_texts_merge_as_git_merges_them(kind: str, oracle: Oracle) -> None:
    dice = random.Random(2)
    outcomes = [compare(oracle, *drawn(dice, LINES[kind], 2000, 12)) for _ in range(20)]
    assert set(outcomes) == {"same"}


def test_long_texts_with_many_changes_merge_as_git_merges_them(oracle: Oracle) -> None:
    # Beyond `align.NEAR` differences unique lines decide, where git goes on as before. Where lines occur once it is the same.
    dice = random.Random(3)
    outcomes = [compare(oracle, *drawn(dice, LINES["all different"], 2000, 80)) for _ in range(20)]
    assert set(outcomes) == {"same"}


small = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "a\r\n", "x"]), max_size=10).map("".join)


@given(small, small)
@example("", "a")
@example("a", "")
@example("a", "a\n")
def test_what_only_one_side_changed_is_taken(base: str, changed: str) -> None:
    assert merge(base, changed, base) == merge(base, base, changed) == merge(base, changed, changed) == Merged(changed)


@given(small, small, small)
def test_the_sides_can_be_swapped(base: str, ours: str, theirs: str) -> None:
    result, swapped = merge(base, ours, theirs), merge(base, theirs, ours)
    if isinstance(result, Merged):
        assert swapped == result
    else:
        assert isinstance(swapped, Conflicted)
        assert [(h.base, h.theirs, h.ours) for h in swapped.hunks] == [(h.base, h.ours, h.theirs) for h in result.hunks]
        assert marked(base, ours, theirs, result.hunks) == [(h.base, h.ours, h.theirs) for h in result.hunks]


@given(st.lists(st.sampled_from(["ours", "theirs", "both"]), max_size=30), st.integers(0, 2**32))
def test_changes_apart_are_all_taken(sides: list[str], seed: int) -> None:
    dice = random.Random(seed)
    base: list[str] = []
    ours: list[str] = []
    theirs: list[str] = []
    expected: list[str] = []
    for number, side in enumerate(sides):
        stays, goes = [f"stays {number}\n"], [f"goes {number}.{part}\n" for part in range(dice.randrange(3))]
        comes = [f"comes {number}.{part}\n" for part in range(dice.randrange(1, 3))]
        base += stays + goes
        ours += stays + (goes if side == "theirs" else comes)
        theirs += stays + (goes if side == "ours" else comes)
        expected += stays + comes
    assert merge("".join(base), "".join(ours), "".join(theirs)) == Merged("".join(expected))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "hunk"),
    [
        ("a\nb\nc\n", "a\nB\nc\n", "a\nX\nc\n", Hunk("b\n", "B\n", "X\n", 2, 2, 2)),
        ("a\nb\n", "a\nmine\nb\n", "a\nyours\nb\n", Hunk("", "mine\n", "yours\n", 2, 2, 2)),
        ("a\nb\nc\nd\n", "0\na\nB\nc\nd\n", "a\nb\nC\nd\n", Hunk("b\nc\n", "B\nc\n", "b\nC\n", 2, 3, 2)),
        ("a\nb\nc\n", "a\nc\n", "a\nB\nc\n", Hunk("b\n", "", "B\n", 2, 2, 2)),
        ("", "mine\n", "yours\n", Hunk("", "mine\n", "yours\n", 1, 1, 1)),
        ("a", "a\n", "b", Hunk("a", "a\n", "b", 1, 1, 1)),
        ("a\nb", "a\nb\nmine\n", "a\nb\nyours\n", Hunk("b", "b\nmine\n", "b\nyours\n", 2, 2, 2)),
        ("a\r\nb\r\n", "a\nb\r\n", "A\r\nb\r\n", Hunk("a\r\n", "a\n", "A\r\n", 1, 1, 1)),
    ],
    ids=[
        "both replace",
        "both insert",
        "touching",
        "delete and change",
        "both create",
        "final newline",
        "both append",
        "CRLF",
    ],
)
def test_overlaps_are_hunks(base: str, ours: str, theirs: str, hunk: Hunk) -> None:
    assert merge(base, ours, theirs) == Conflicted((hunk,))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "text"),
    [
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n"),
        ("a\nb\nc", "A\nb\nc", "a\nb\nc\n", "A\nb\nc\n"),
        ("a\nb\nc\n", "b\nc\n", "a\nb\n", "b\n"),
        ("a\nb\nc\nd\n", "", "", ""),
        ("a\n", "same\na\n", "same\na\nmore\n", "same\na\nmore\n"),
        ("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n", "A\r\nb\r\nC\r\n"),
    ],
    ids=["apart", "final newline", "deletes", "both empty", "one alike, one not", "CRLF"],
)
def test_clean_merges(base: str, ours: str, theirs: str, text: str) -> None:
    assert merge(base, ours, theirs) == Merged(text)


def test_a_megabyte_with_hundreds_of_changes_a_side() -> None:
    dice = random.Random(4)
    base = [dice.choice(["\n", "}\n", f"    line {number} of the text, and more of it\n"]) for number in range(40_000)]
    ours, theirs, expected = list(base), list(base), list(base)
    for at in range(100, 40_000, 200):
        ours[at - 50] = expected[at - 50] = f"ours at {at}\n"
        theirs[at + 50] = expected[at + 50] = f"theirs at {at}\n"
    assert merge("".join(base), "".join(ours), "".join(theirs)) == Merged("".join(expected))


def test_blank_lines_by_the_hundred_thousand() -> None:
    blank = "\n" * 100_000
    ours = blank[:10_000] + "ours\n" + blank[10_000:]
    theirs = blank[:90_000] + "theirs\n" + blank[90_000:]
    merged = merge(blank, ours, theirs)
    assert merged == Merged(blank[:10_000] + "ours\n" + blank[10_000:90_000] + "theirs\n" + blank[90_000:])


def test_three_unrelated_texts_of_blank_and_short_lines() -> None:
    dice = random.Random(5)
    base, ours, theirs = ("".join(dice.choices(["\n", "a\n", "b\n"], k=50_000)) for _ in range(3))
    result = merge(base, ours, theirs)
    assert isinstance(result, Conflicted)
    assert marked(base, ours, theirs, result.hunks) == [(h.base, h.ours, h.theirs) for h in result.hunks]
