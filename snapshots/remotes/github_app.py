"""Tokens of a GitHub App's installation: made from the App's key, an hour long, kept until shortly before. ADAPTER.

githubkit can do this too, but reads the time of expiry in one spelling only, and keeps what a server has refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import jwt

from collab.errors import Invalid
from collab.ids import Millis
from snapshots.remotes.github_hub import API, TIMEOUT, FetchedToken, Hub, Token
from snapshots.remotes.refusals import RemoteForbidden

ASSERTED_FOR: Final = 540
"""Seconds that the App's own statement of who it is holds; GitHub takes ten minutes."""

SKEW: Final = 60
"""Seconds that our clock may be ahead of GitHub's."""


class _Assertion:
    """What the App itself signs its requests with."""

    signs = True

    def __init__(self, app: str, key: str, clock: Callable[[], Millis]) -> None:
        self._app = app
        self._key = key
        self._clock = clock

    async def token(self) -> str:
        now = self._clock() // 1000
        claims = {"iss": self._app, "iat": now - SKEW, "exp": now - SKEW + ASSERTED_FOR}
        return jwt.encode(claims, self._key, algorithm="RS256")

    def drop(self) -> bool:
        return False


def installation(
    app: str,
    key: str,
    number: int,
    *,
    clock: Callable[[], Millis],
    api: str = API,
    timeout: float = TIMEOUT,
    proxy: str | None = None,
) -> FetchedToken:
    """The credential of installation `number` of the App `app` (its id or client id), whose private key is `key` (PEM)."""
    assertion = _Assertion(app, key, clock)
    try:
        jwt.get_algorithm_by_name("RS256").prepare_key(key)
    except (ValueError, TypeError, jwt.InvalidKeyError) as wrong:
        raise Invalid("the GitHub App's private key is no RSA key in PEM", field="key") from wrong
    hub = Hub(assertion, clock=clock, api=api, timeout=timeout, proxy=proxy)

    async def fetch() -> Token:
        async with hub.session():
            answer = await hub.send("POST", f"/app/installations/{number}/access_tokens", kind="write")
        if not answer.ok:
            raise RemoteForbidden(
                "The GitHub App is not installed there (any more), or is suspended: install it again.",
                code="remote_unauthorized",
            )
        ends = int(datetime.fromisoformat(answer.body["expires_at"]).timestamp() * 1000)
        return Token(answer.body["token"], hub.ours(ends, answer.headers))

    return FetchedToken(fetch, clock=clock, signs=True)
