"""When a branch is looked at for what others pushed. PURE: times are values, in milliseconds.

A branch on this machine is looked at every `here`, one elsewhere every `elsewhere`: by a conditional request, which costs
nothing of GitHub's budget while nothing has moved.

Where webhooks arrive, looking is the fallback: a branch is looked at `RELAXED` times less often once a webhook has told of
a push to it. The first look that finds what no webhook had told of ends that, until the next webhook: a webhook that was
taken away, or lost its secret, costs one late change and no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from collab.ids import Millis, ProjectId

RELAXED: Final = 10

SOONEST: Final = 10
"""Nobody is asked for more often than so many times in the shortest period."""


@dataclass(frozen=True, slots=True)
class Watch:
    """When a branch was looked at, when it will be (None: never by itself), and when a webhook told of it last."""

    last_look: Millis | None
    next_look: Millis | None
    last_webhook: Millis | None
    by_webhook: bool
    """Webhooks are relied on: looks are rare."""


@dataclass(slots=True)
class _Branch:
    looked: Millis | None = None
    every: int = 0
    heard: Millis | None = None
    trusted: bool = False


class Polling:
    """`here` and `elsewhere` None: such branches are never looked at by themselves."""

    def __init__(self, *, here: int | None, elsewhere: int | None, clock: Callable[[], Millis]) -> None:
        self._here = here
        self._elsewhere = elsewhere
        self._clock = clock
        self._branches: defaultdict[ProjectId, _Branch] = defaultdict(_Branch)

    @property
    def shortest(self) -> int | None:
        """How often at most there is anything to look at."""
        given = [each for each in (self._here, self._elsewhere) if each is not None]
        return min(given, default=None)

    def pause(self) -> float:
        """Seconds until one of those that were looked at is due again: no longer than the shortest period, and long enough
        for looks that are under way."""
        assert self.shortest is not None  # else nobody waits
        dues = [at - self._clock() for each in self._branches.values() if (at := self._next(each)) is not None]
        return max(self.shortest / SOONEST, min([*dues, self.shortest])) / 1000

    def due(self, project: ProjectId) -> bool:
        """Whether to look at it now. One that was never looked at is due."""
        at = self._next(self._branches[project])
        return at is not None and at <= self._clock()

    def looked(self, project: ProjectId, *, elsewhere: bool, news: bool) -> None:
        """`news`: the branch stood where nobody here had known it to stand."""
        branch = self._branches[project]
        branch.looked = self._clock()
        branch.every = (self._elsewhere if elsewhere else self._here) or 0
        branch.trusted = branch.trusted and not news

    def heard(self, project: ProjectId) -> None:
        """A webhook told of a push to its branch."""
        branch = self._branches[project]
        branch.heard = self._clock()
        branch.trusted = True

    def forget(self, project: ProjectId) -> None:
        self._branches.pop(project, None)

    def watch(self, project: ProjectId) -> Watch:
        branch = self._branches[project]
        return Watch(branch.looked, self._next(branch), branch.heard, branch.trusted)

    def _next(self, branch: _Branch) -> Millis | None:
        if self.shortest is None:
            return None
        now = self._clock()
        if branch.looked is None or branch.looked > now:
            # Never, or before the clock went back.
            return now
        if not branch.every:
            return None
        return Millis(branch.looked + branch.every * (RELAXED if branch.trusted else 1))
