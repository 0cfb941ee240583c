"""Ways to a GitHub API server, for tests: time stands still unless somebody waits, and then passes at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio.lowlevel

from collab.ids import Millis
from snapshots.budget import Limits
from snapshots.remotes.github_hub import Credential, Hub, PersonalToken

GENEROUS: Final = Limits(
    requests_an_hour=10**9, content_a_minute=10**9, content_an_hour=10**9, pushes_a_minute=10**9, between_writes=0
)
"""A server that lets everybody do everything at once."""


@dataclass
class Time:
    now: int = 1_800_000_000_000
    waited: list[float] = field(default_factory=list)

    def __call__(self) -> Millis:
        return Millis(self.now)

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += round(seconds * 1000)
        await anyio.lowlevel.checkpoint()


def hub_to(
    url: str, credential: Credential | str, time: Time | None = None, *, limits: Limits = GENEROUS, timeout: float = 20
) -> Hub:
    time = time or Time()
    signed = PersonalToken(credential) if isinstance(credential, str) else credential
    return Hub(signed, clock=time, api=url, limits=limits, pause=time.pause, timeout=timeout)
