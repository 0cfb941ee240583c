"""What an installation may still ask of GitHub, and when. PURE: times are values, in milliseconds.

What GitHub says, or lets one find out: 5,000 requests an hour; 80 requests a minute and 500 an hour that make content
(blobs, trees, commits, branches, pull requests); a second between two writes; 6 pushes a minute to one repository. Who
asks for more is told to wait, and who goes on is told to wait longer. So the answer to "when may this go out?" is known
here before it is asked there; what the server itself says (`told`, `paused`) always wins.

What breaks it: several processes with one credential, each with a budget of its own. The server then says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from collab.ids import Millis

MINUTE: Final = 60_000
HOUR: Final = 3_600_000

Kind = Literal["read", "write", "content", "push"]
"""`write`: changes something and makes no content; `push`: moves a branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server allows. The hour and the minute slide."""

    requests_an_hour: int = 5_000
    content_a_minute: int = 80
    content_an_hour: int = 500
    pushes_a_minute: int = 6
    between_writes: int = 1_000
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What was spent. `remaining` is the server's own count, None until it has told; it starts anew at `resets_at`."""

    remaining: int | None = None
    resets_at: Millis = Millis(0)
    paused_until: Millis = Millis(0)
    last_write: Millis = Millis(-HOUR)
    content: tuple[Millis, ...] = ()
    """When content was made, in the last hour, oldest first."""
    pushes: Mapping[str, tuple[Millis, ...]] = field(default_factory=dict)
    """By repository, in the last minute."""


@dataclass(frozen=True, slots=True)
class Left:
    """For people: how many requests, and how many that make content, until when, and whether all of it waits."""

    requests: int
    content: int
    resets_at: Millis
    paused_until: Millis | None


def clear_at(budget: Budget, limits: Limits, kind: Kind, repository: str, now: Millis) -> Millis:
    """The earliest time at which such a request may go out; not before `now`."""
    waits = [now, budget.paused_until]
    if budget.remaining is not None and budget.remaining <= 0:
        waits.append(budget.resets_at)
    if kind != "read":
        waits.append(Millis(budget.last_write + limits.between_writes))
    if kind in ("content", "push"):
        waits.append(_room(budget.content, limits.content_a_minute, MINUTE))
        waits.append(_room(budget.content, limits.content_an_hour, HOUR))
    if kind == "push":
        waits.append(_room(budget.pushes.get(repository, ()), limits.pushes_a_minute, MINUTE))
    return max(waits)


def spent(budget: Budget, kind: Kind, repository: str, now: Millis) -> Budget:
    """After one more request has gone out."""
    after = budget if budget.remaining is None else replace(budget, remaining=max(0, budget.remaining - 1))
    if kind != "read":
        after = replace(after, last_write=now)
    if kind in ("content", "push"):
        after = replace(after, content=(*_since(after.content, now - HOUR), now))
    if kind == "push":
        recent = {name: kept for name, times in after.pushes.items() if (kept := _since(times, now - MINUTE))}
        after = replace(after, pushes={**recent, repository: (*recent.get(repository, ()), now)})
    return after


def told(budget: Budget, remaining: int, resets_at: Millis) -> Budget:
    """What an answer of the server says about its own count: it knows what was free (a conditional read is)."""
    return replace(budget, remaining=remaining, resets_at=resets_at)


def renewed(budget: Budget, now: Millis) -> Budget:
    """As `now` sees it. The server's count begins again when its hour is over; and a clock that went backwards makes
    nobody wait longer than an hour."""
    latest = Millis(now + HOUR)
    over = budget.remaining is not None and now >= budget.resets_at
    ahead = budget.last_write > now
    return replace(
        budget,
        remaining=None if over else budget.remaining,
        resets_at=min(budget.resets_at, latest),
        paused_until=min(budget.paused_until, latest),
        last_write=min(budget.last_write, now),
        content=tuple(min(at, now) for at in budget.content) if ahead else budget.content,
        pushes={name: tuple(min(at, now) for at in times) for name, times in budget.pushes.items()}
        if ahead
        else budget.pushes,
    )


def paused(budget: Budget, until: Millis) -> Budget:
    """The server wants to hear nothing before `until`. A shorter pause never ends a longer one."""
    return replace(budget, paused_until=max(budget.paused_until, until))


def left(budget: Budget, limits: Limits, now: Millis) -> Left:
    budget = renewed(budget, now)
    requests = limits.requests_an_hour if budget.remaining is None else budget.remaining
    content = max(0, limits.content_an_hour - len(_since(budget.content, now - HOUR)))
    pause = budget.paused_until if budget.paused_until > now else None
    return Left(requests, content, budget.resets_at if budget.remaining is not None else Millis(now + HOUR), pause)


def between_commits(budget: Budget, limits: Limits, now: Millis, *, requests: int = 6, content: int = 4) -> int:
    """Milliseconds from one automatic commit to the next, over all projects, so that what is left lasts: `requests` and
    `content` are what one commit costs."""
    rest = left(budget, limits, now)
    by_content = HOUR * content // max(1, limits.content_an_hour)
    if rest.content < content:
        by_content = max(by_content, _room(budget.content, max(1, limits.content_an_hour - content), HOUR) - now)
    until_reset = max(0, rest.resets_at - now)
    by_requests = until_reset if rest.requests < requests else until_reset * requests // rest.requests
    return max(by_content, by_requests, (rest.paused_until or now) - now)


def _room(times: tuple[Millis, ...], allowed: int, window: int) -> Millis:
    """When one more fits."""
    return Millis(times[-allowed] + window) if len(times) >= allowed else Millis(0)


def _since(times: tuple[Millis, ...], begin: int) -> tuple[Millis, ...]:
    return tuple(at for at in times if at > begin)
