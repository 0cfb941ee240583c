"""When a project is due for a round. PURE: times are values, and so is chance.

A project is due when nobody has typed for `quiet`, or when its oldest uncommitted edit is older than `max_age`. After a
failure it waits, twice as long each time, up to a bound; each wait is spread by chance, so that many projects that failed
together do not come back together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from collab.ids import Millis

LONGEST: Final = 3_600_000
"""Milliseconds that anything waits because of what has happened before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Milliseconds. `spread` is the part of a wait that chance may add to it."""

    quiet: int = 60_000
    max_age: int = 600_000
    first_wait: int = 5_000
    longest_wait: int = 600_000
    spread: float = 0.25


@dataclass(frozen=True, slots=True)
class Pending:
    """Edits that no round has brought out: when the first and the last of them were made; how often a round has failed
    since, and until when the next attempt waits."""

    first: Millis
    last: Millis
    failures: int = 0
    wait_until: Millis = Millis(0)


def edited(pending: Pending | None, at: Millis) -> Pending:
    """One more edit. Hints may come late and out of order."""
    if pending is None:
        return Pending(at, at)
    return replace(pending, first=min(pending.first, at), last=max(pending.last, at))


def due_at(pending: Pending, pace: Pace) -> Millis:
    due = min(pending.last + pace.quiet, pending.first + pace.max_age)
    return Millis(max(due, pending.wait_until))


def failed(pending: Pending, pace: Pace, now: Millis, chance: float) -> Pending:
    """After one more failure; `chance` is from 0 to 1."""
    wait = min(pace.first_wait * 2 ** min(pending.failures, 30), pace.longest_wait)
    until = Millis(now + int(wait * (1 + pace.spread * chance)))
    return replace(pending, failures=pending.failures + 1, wait_until=until)


def paused(pending: Pending, until: Millis) -> Pending:
    """Somebody has said when to come back: that is no failure."""
    return replace(pending, wait_until=max(pending.wait_until, until))


def as_of(pending: Pending, now: Millis) -> Pending:
    """As a clock sees it that may have gone backwards: nothing was typed later than now, and nothing waits for ever."""
    if pending.last <= now and pending.wait_until <= now + LONGEST:
        return pending
    latest = Millis(now + LONGEST)
    return replace(
        pending,
        first=min(pending.first, now),
        last=min(pending.last, now),
        wait_until=min(pending.wait_until, latest),
    )


def merged(earlier: Pending | None, later: Pending | None) -> Pending | None:
    """What a round took up and could not finish, and what came in meanwhile."""
    if earlier is None or later is None:
        return earlier or later
    return replace(earlier, first=min(earlier.first, later.first), last=max(earlier.last, later.last))
