"""Projects of which somebody is about to push: automatic commits wait, so that they do not get in the way of it.

A hold lasts for seconds, and is renewed for as long as the push comes in; never longer than `MOST` without a break, whatever
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from collab.ids import Millis, ProjectId

MOST: Final = 15 * 60_000
"""Milliseconds: people's edits are not kept out of git any longer."""


class Holds:
    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock
        self._held: dict[ProjectId, tuple[Millis, Millis]] = {}
        """Since when, and until when."""

    def hold(self, project: ProjectId, milliseconds: int) -> None:
        now = self._clock()
        since, until = self._held.get(project, (now, now))
        if until < now or since > now:
            since = until = now
        self._held[project] = (since, Millis(max(until, now + milliseconds)))

    def release(self, project: ProjectId) -> None:
        """Whoever held it is done. Another one that is under way renews it."""
        self._held.pop(project, None)

    def clear_at(self, project: ProjectId) -> Millis:
        """When a commit may begin."""
        since, until = self._held.get(project, (Millis(0), Millis(0)))
        return Millis(min(until, since + MOST))
