"""A GitHub App: where it is installed, and tokens of its installations, which are made from the App's key, an hour long, and
kept until shortly before. ADAPTER.

githubkit can do this too, but reads the time of expiry in one spelling only, and keeps what a server has refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from collab.errors import Invalid
from collab.ids import Millis
from collab.store.base import Store
from snapshots import registration
from snapshots.registration import NoApp
from snapshots.remotes.github_calls import quoted
from snapshots.remotes.github_hub import API, TIMEOUT, Answer, FetchedToken, Hub, Nobody, Token
from snapshots.remotes.refusals import RemoteForbidden
from snapshots.secrets import Sealer

ASSERTED_FOR: Final = 540
"""Seconds that the App's own statement of who it is holds; GitHub takes ten minutes."""

SKEW: Final = 60
"""Seconds that our clock may be ahead of GitHub's."""

A_PAGE: Final = 100


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Of the App, at one account. `whole`: it reaches all repositories of the account, and not only chosen ones."""

    id: int
    account: str
    whole: bool
    suspended: bool
    may_commit: bool
    url: str
    """Where its owner says what it may reach."""


class App:
    """The App itself, which may ask where it is installed, and for tokens there."""

    def __init__(
        self,
        app: str,
        key: str,
        *,
        clock: Callable[[], Millis],
        api: str = API,
        timeout: float = TIMEOUT,
        proxy: str | None = None,
    ) -> None:
        """`app` is its id or client id, `key` its private key (PEM)."""
        try:
            jwt.get_algorithm_by_name("RS256").prepare_key(key)
        except (ValueError, TypeError, jwt.InvalidKeyError) as wrong:
            raise Invalid("the GitHub App's private key is no RSA key in PEM", field="key") from wrong
        self._clock = clock
        self._hub = Hub(_Assertion(app, key, clock), clock=clock, api=api, timeout=timeout, proxy=proxy)

    async def installations(self) -> list[Installation]:
        found: list[Installation] = []
        async with self._hub.session():
            for page in itertools.count(1):
                asked = {"per_page": str(A_PAGE), "page": str(page)}
                answer = await self._ask("/app/installations", asked)
                if not answer.ok:
                    raise gone()
                found.extend(_installation(each) for each in answer.body)
                if len(answer.body) < A_PAGE:
                    break
        return found

    async def installation_of(self, repository: str) -> Installation | None:
        """Through which it reaches `owner/name`; None: through none."""
        async with self._hub.session():
            answer = await self._ask(f"/repos/{quoted(repository)}/installation")
        return _installation(answer.body) if answer.ok else None

    async def _ask(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        try:
            return await self._hub.send("GET", path, params=params)
        except RemoteForbidden:
            raise gone() from None

    async def token(self, number: int) -> Token:
        """A fresh one of an installation."""
        async with self._hub.session():
            answer = await self._hub.send("POST", f"/app/installations/{number}/access_tokens", kind="write")
        if not answer.ok:
            raise RemoteForbidden(
                "The GitHub App is not installed there (any more), or is suspended: install it again.",
                code="remote_unauthorized",
            )
        ends = int(datetime.fromisoformat(answer.body["expires_at"]).timestamp() * 1000)
        return Token(answer.body["token"], self._hub.ours(ends, answer.headers))


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
    """The credential of installation `number` of an App."""
    made = App(app, key, clock=clock, api=api, timeout=timeout, proxy=proxy)
    return FetchedToken(lambda: made.token(number), clock=clock, signs=True)


def app_credential(
    store: Store, sealer: Sealer, number: int, *, clock: Callable[[], Millis], api: str = API
) -> FetchedToken:
    """The credential of an installation of this Quire's own App, whichever that is when a token is needed: `NoApp` then,
    where there is none."""

    async def fetch() -> Token:
        return await (await own_app(store, sealer, clock=clock, api=api)).token(number)

    return FetchedToken(fetch, clock=clock, signs=True)


async def own_app(store: Store, sealer: Sealer, *, clock: Callable[[], Millis], api: str = API) -> App:
    known = await registration.registration(store)
    if known is None or known.api != api:
        raise NoApp
    return App(str(known.id), await registration.key(store, sealer), clock=clock, api=api)


async def converted(code: str, *, clock: Callable[[], Millis], api: str = API) -> Mapping[str, Any]:
    """What GitHub gives, once and within an hour, for the code with which it sends the browser back: the App that was made,
    with its secrets."""
    hub = Hub(Nobody(), clock=clock, api=api)
    async with hub.session():
        answer = await hub.send("POST", f"/app-manifests/{quoted(code)}/conversions", kind="write", again=False)
    if not answer.ok:
        raise Invalid(
            "GitHub does not know this code (any more): it is good once, and for an hour. Make the App again.",
            field="code",
        )
    body: Mapping[str, Any] = answer.body
    return body


def gone() -> RemoteForbidden:
    return RemoteForbidden(
        "GitHub does not know the App (any more): somebody has deleted it there, or its key. Make it again.",
        code="remote_unauthorized",
    )


def _installation(body: Mapping[str, Any]) -> Installation:
    may = body.get("permissions") or {}
    return Installation(
        id=body["id"],
        account=body["account"]["login"],
        whole=body["repository_selection"] == "all",
        suspended=body.get("suspended_at") is not None,
        may_commit=may.get("contents") == "write",
        url=body["html_url"],
    )
