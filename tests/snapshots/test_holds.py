"""Automatic commits wait while somebody pushes, and not for ever."""

from __future__ import annotations

from collab.ids import ProjectId
from snapshots.holds import MOST, Holds
from tests.snapshots.house import Clock

NOTES = ProjectId("notes")


def test_a_hold_lasts_as_long_as_it_is_renewed() -> None:
    clock = Clock(1_000_000)
    holds = Holds(clock)
    assert holds.clear_at(NOTES) <= clock()
    holds.hold(NOTES, 15_000)
    assert holds.clear_at(NOTES) == 1_015_000
    clock.advance(10)
    holds.hold(NOTES, 15_000)
    assert holds.clear_at(NOTES) == 1_025_000
    holds.release(NOTES)
    assert holds.clear_at(NOTES) <= clock()


def test_nobody_keeps_edits_out_of_git_for_ever() -> None:
    clock = Clock(1_000_000)
    holds = Holds(clock)
    for _ in range(1_000):
        holds.hold(NOTES, 15_000)
        clock.advance(10)
    assert holds.clear_at(NOTES) == 1_000_000 + MOST
    clock.advance(60)
    holds.hold(NOTES, 15_000)
    assert holds.clear_at(NOTES) == clock() + 15_000


def test_a_clock_that_goes_backwards_makes_no_hold_longer() -> None:
    clock = Clock(1_000_000)
    holds = Holds(clock)
    holds.hold(NOTES, 15_000)
    clock.advance(-500)
    holds.hold(NOTES, 15_000)
    assert holds.clear_at(NOTES) == clock() + 15_000
