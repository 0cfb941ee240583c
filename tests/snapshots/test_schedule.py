"""When a project is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.ids import Millis
from snapshots.schedule import Pace, Pending, due_at, edited, failed, merged

PACE = Pace(quiet=60_000, max_age=600_000, first_wait=5_000, longest_wait=600_000, spread=0.25)


def test_quiet_after_the_last_edit() -> None:
    pending = edited(edited(None, Millis(1_000)), Millis(30_000))
    assert due_at(pending, PACE) == 90_000


def test_somebody_who_never_stops_is_committed_all_the_same() -> None:
    pending = None
    for second in range(0, 3_000, 30):
        pending = edited(pending, Millis(second * 1_000))
    assert pending is not None
    assert due_at(pending, PACE) == 600_000


def test_hints_may_come_out_of_order() -> None:
    assert edited(Pending(Millis(50), Millis(60)), Millis(10)) == Pending(Millis(10), Millis(60))


@given(st.integers(0, 100), st.floats(0, 1))
def test_waits_grow_and_are_bounded(failures: int, chance: float) -> None:
    pending = Pending(Millis(0), Millis(0), failures)
    after = failed(pending, PACE, Millis(1_000_000), chance)
    wait = after.wait_until - 1_000_000
    assert min(5_000 * 2**failures, 600_000) <= wait <= min(5_000 * 2**failures, 600_000) * 1.25
    assert due_at(after, PACE) == after.wait_until
    assert after.failures == failures + 1


def test_what_a_round_could_not_finish_joins_what_came_in() -> None:
    taken = Pending(Millis(10), Millis(20), 2, Millis(99))
    assert merged(taken, Pending(Millis(30), Millis(40))) == Pending(Millis(10), Millis(40), 2, Millis(99))
    assert merged(None, None) is None
    assert merged(None, taken) is merged(taken, None) is taken
