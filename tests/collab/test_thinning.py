"""Which checkpoints stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.ids import Position
from collab.store.thinning import ENTRIES, WEIGHT, Mark, superfluous

steps = st.lists(st.tuples(st.integers(1, 12_000), st.integers(0, 1_200_000)), min_size=1, max_size=60)


def marks(made: list[tuple[int, int]]) -> list[Mark]:
    position = weight = 0
    found = []
    for entries, heavier in made:
        position, weight = position + entries, weight + heavier
        found.append(Mark(Position(position), weight))
    return found


def thinned(before: list[Mark]) -> list[Mark]:
    gone = set(superfluous(before))
    return [mark for mark in before if mark.position not in gone]


@given(steps)
def test_no_position_is_far_from_a_checkpoint_and_the_newest_stays(made: list[tuple[int, int]]) -> None:
    before = marks(made)
    kept = thinned(before)
    assert kept[-1] == before[-1]
    for lower, upper in zip([Mark(Position(0), 0), *kept], kept, strict=False):
        assert upper.position - lower.position <= ENTRIES
        assert upper.weight - lower.weight <= WEIGHT


@given(steps)
def test_few_are_kept(made: list[tuple[int, int]]) -> None:
    kept = thinned(marks(made))
    for first, third in zip([Mark(Position(0), 0), *kept], kept[1:-1], strict=False):
        assert third.position - first.position > ENTRIES or third.weight - first.weight > WEIGHT


@given(steps, steps)
def test_what_was_kept_is_kept_when_more_have_come(early: list[tuple[int, int]], late: list[tuple[int, int]]) -> None:
    every = marks(early + late)
    kept = thinned(every[: len(early)])
    again = thinned(kept + every[len(early) :])
    assert set(kept[:-1]) <= set(again)
