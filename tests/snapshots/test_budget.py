"""What may be asked of GitHub, and when."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from collab.ids import Millis
from snapshots.budget import (
    HOUR,
    MINUTE,
    Budget,
    Kind,
    Limits,
    between_commits,
    clear_at,
    left,
    paused,
    renewed,
    spent,
    told,
)

LIMITS = Limits()
NOW = Millis(1_800_000_000_000)

SIX_PUSHES: Final[list[Kind]] = ["push"] * 6
WHOLE_HOUR: Final[list[Kind]] = ["content"] * 500

KINDS = st.sampled_from(["read", "write", "content", "push"])


def after(*kinds: Kind, budget: Budget | None = None, at: Millis = NOW, repository: str = "alice/notes") -> Budget:
    budget = budget or Budget()
    for kind in kinds:
        budget = spent(budget, kind, repository, at)
    return budget


def test_reads_wait_for_nothing_and_writes_for_a_second() -> None:
    budget = after("content")
    assert clear_at(budget, LIMITS, "read", "alice/notes", NOW) == NOW
    assert clear_at(budget, LIMITS, "write", "alice/notes", NOW) == NOW + 1_000
    assert clear_at(after("read", "read"), LIMITS, "content", "alice/notes", NOW) == NOW


def test_the_seventh_push_of_a_minute_waits_and_another_repository_does_not() -> None:
    budget = after(*SIX_PUSHES)
    assert clear_at(budget, LIMITS, "push", "alice/notes", NOW) == NOW + MINUTE
    assert clear_at(budget, LIMITS, "push", "bob/other", NOW) == NOW + 1_000
    later = spent(budget, "push", "bob/other", Millis(NOW + MINUTE))
    assert set(later.pushes) == {"bob/other"}, "what is over is forgotten"


def test_a_pause_holds_for_everything_and_a_shorter_one_does_not_end_it() -> None:
    budget = paused(paused(Budget(), Millis(NOW + 90_000)), Millis(NOW + 10_000))
    assert clear_at(budget, LIMITS, "read", "alice/notes", NOW) == NOW + 90_000
    assert left(budget, LIMITS, NOW).paused_until == NOW + 90_000
    assert left(budget, LIMITS, Millis(NOW + 90_000)).paused_until is None


def test_the_servers_count_wins_and_begins_again_at_its_hour() -> None:
    budget = told(Budget(), 1, Millis(NOW + 5_000))
    assert clear_at(budget, LIMITS, "read", "alice/notes", NOW) == NOW
    budget = after("read", budget=budget)
    assert clear_at(budget, LIMITS, "read", "alice/notes", NOW) == NOW + 5_000
    assert told(budget, 1, Millis(NOW + 5_000)).remaining == 1, "what was free is given back"
    assert renewed(budget, Millis(NOW + 5_000)).remaining is None
    assert left(budget, LIMITS, Millis(NOW + 5_000)).requests == 5_000


def test_commits_are_spread_so_that_the_hour_lasts() -> None:
    assert between_commits(Budget(), LIMITS, NOW) == HOUR * 4 // 500
    scarce = told(Budget(), 60, Millis(NOW + HOUR))
    assert between_commits(scarce, LIMITS, NOW) == HOUR // 10
    assert between_commits(told(Budget(), 0, Millis(NOW + HOUR)), LIMITS, NOW) == HOUR
    assert between_commits(after(*WHOLE_HOUR), LIMITS, NOW) == HOUR
    assert between_commits(paused(Budget(), Millis(NOW + HOUR)), LIMITS, NOW) == HOUR


def test_a_clock_that_went_backwards_stops_nobody_for_long() -> None:
    busy = paused(told(after(*SIX_PUSHES), 0, Millis(NOW + HOUR)), Millis(NOW + HOUR))
    day_before = Millis(NOW - 24 * HOUR)
    budget = renewed(busy, day_before)
    assert clear_at(budget, LIMITS, "push", "alice/notes", day_before) == day_before + HOUR
    assert clear_at(renewed(after(*SIX_PUSHES), day_before), LIMITS, "write", "a/b", day_before) == day_before + 1_000


@given(st.lists(st.tuples(KINDS, st.sampled_from(["a/a", "b/b"]), st.integers(0, 30_000)), max_size=300))
def test_whoever_waits_his_turn_never_goes_beyond_a_limit(asked: list[tuple[Kind, str, int]]) -> None:
    limits = Limits(content_a_minute=7, content_an_hour=20, pushes_a_minute=2)
    budget, now = Budget(), NOW
    content: list[int] = []
    pushes: list[tuple[str, int]] = []
    writes: list[int] = []
    for kind, repository, pause in asked:
        now = clear_at(budget, limits, kind, repository, Millis(now + pause))
        budget = spent(budget, kind, repository, now)
        if kind != "read":
            assert not writes or now - writes[-1] >= limits.between_writes
            writes.append(now)
        content += [now] if kind in ("content", "push") else []
        pushes += [(repository, now)] if kind == "push" else []
        assert sum(at > now - MINUTE for at in content) <= 7
        assert sum(at > now - HOUR for at in content) <= 20
        assert max(Counter(name for name, at in pushes if at > now - MINUTE).values(), default=0) <= 2
