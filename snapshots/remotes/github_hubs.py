"""The ways to GitHub of this process: one `Hub` to a credential, however many projects have it. ADAPTER.

Two hubs with one credential would pace themselves apart, and be paused by the server. A hub lives as long as a remote has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from weakref import WeakValueDictionary

from snapshots.remotes.github_hub import Credential, Hub, PersonalToken


class Hubs:
    def __init__(self, make: Callable[[Credential], Hub]) -> None:
        self._make = make
        self._hubs: WeakValueDictionary[str, Hub] = WeakValueDictionary()

    def of_token(self, token: str) -> Hub:
        return self.of(hashlib.sha256(token.encode()).hexdigest(), lambda: PersonalToken(token))

    def of(self, name: str, credential: Callable[[], Credential]) -> Hub:
        """`name`: the same for whatever has the same credential."""
        if (found := self._hubs.get(name)) is None:
            found = self._hubs[name] = self._make(credential())
        return found

    def broken(self, why: Exception) -> Hub:
        """One whose every request fails with `why`: there is no credential."""
        return self._make(_Missing(why))


class _Missing:
    signs = False

    def __init__(self, why: Exception) -> None:
        self._why = why

    async def token(self) -> str:
        raise self._why

    def drop(self) -> bool:
        return False
