"""One credential's way to a GitHub server: requests through githubkit, paced, and their statuses. ADAPTER.

What it promises
1. Every request waits for its turn (`snapshots/budget.py`): a short wait is waited, a long one is `RemotePaused`.
2. An answer below 500 is given to the caller as it is, for him to decide by its status; except: 401 drops what was cached
   of the credential and asks once more, then `RemoteForbidden`; 403 and 429 that say how long to wait, and every 429,
   pause everybody with this credential (`RemotePaused`).
3. No answer, or 5xx, is `RemoteUnreachable`. What may be done twice is tried again first, `RETRIES` times: reads, and the
   making of objects that are named by what they hold. Moving a branch is not: its caller looks where it stands.

githubkit's own cache, retries (which repeat every request, and may sleep an hour inside the call), and following of
redirects (which turns a POST into a GET) are off; its client lives in a ContextVar, so a caller enters `session()` in the
task that makes the requests.
"""

from __future__ import annotations

import contextlib
import email.utils
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import anyio
import httpx
from githubkit import GitHub
from githubkit.auth import BaseAuthStrategy
from githubkit.exception import RequestError, RequestFailed
from githubkit.throttling import BaseThrottler

from collab.errors import QuireError
from collab.ids import Millis
from snapshots import budget
from snapshots.budget import Budget, Kind, Left, Limits
from snapshots.remotes.refusals import RemoteForbidden, RemotePaused, RemoteUnreachable

API: Final = "https://api.github.com"

TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 10.0
"""Seconds without a byte; GitHub gives up after 10 itself, and says 5xx or 422."""

RETRIES: Final = 2
RETRY_AFTER: Final = 0.5
"""Seconds before the first; twice as long before the second."""

PATIENCE: Final = 5_000
"""Milliseconds that a request waits for its turn inside the call."""

UNTOLD: Final = 60_000
"""Milliseconds of a pause whose length nobody has told: GitHub asks for a minute at least."""

RENEWED_BEFORE: Final = 300_000
"""Milliseconds before its end that a token is not used any more: a large commit takes minutes."""

TURN: Final = "quire.turn"
"""Where a request carries its kind and repository, from `send` to the throttler."""


class Credential(Protocol):
    """What a request is signed with."""

    signs: bool
    """GitHub signs what it makes (an App's): no author is given then."""

    async def token(self) -> str: ...

    def drop(self) -> bool:
        """The server refused it: whether `token` may give another one now."""


class PersonalToken:
    """A token that a person made."""

    signs = False

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    def drop(self) -> bool:
        return False


class Nobody:
    """No credential at all: for the little that GitHub answers to everybody."""

    signs = False

    async def token(self) -> str:
        return ""

    def drop(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    ends_at: Millis | None = None


class FetchedToken:
    """A token that is fetched when it is needed, and kept until it is refused or about to end: an App's, or a vault's."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], *, clock: Callable[[], Millis], signs: bool) -> None:
        self._fetch = fetch
        self._clock = clock
        self.signs = signs
        self._token: Token | None = None
        self._lock = anyio.Lock()

    async def token(self) -> str:
        async with self._lock:
            held = self._token
            if held is None or (held.ends_at is not None and held.ends_at - self._clock() < RENEWED_BEFORE):
                held = self._token = await self._fetch()
            return held.value

    def drop(self) -> bool:
        self._token = None
        return True


@dataclass(frozen=True, slots=True)
class Answer:
    """Any status below 500; `body` is its JSON, None when it has none."""

    status: int
    headers: httpx.Headers
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


async def sleep(seconds: float) -> None:
    await anyio.sleep(seconds)


class Hub:
    """See the module. `clock` in milliseconds, `pause` in seconds: the tests give their own."""

    def __init__(
        self,
        credential: Credential,
        *,
        clock: Callable[[], Millis],
        api: str = API,
        limits: Limits | None = None,
        pause: Callable[[float], Awaitable[None]] = sleep,
        timeout: float = TIMEOUT,
        proxy: str | None = None,
    ) -> None:
        self.credential = credential
        self.clock = clock
        self.api = api
        self.limits = limits or Limits()
        self.budget = Budget()
        self._pause = pause
        self._turns = anyio.Lock()
        self._github = GitHub(
            _Auth(credential),
            base_url=api,
            user_agent="Quire",
            follow_redirects=False,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT)),
            ssl_verify=httpx.create_ssl_context(),
            trust_env=False,
            proxy=proxy,
            http_cache=False,
            throttler=_Turns(self),
            auto_retry=False,
            rest_api_validate_body=False,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Connections are kept inside; enter it in the task that sends, and not twice."""
        async with self._github:
            yield

    def left(self) -> Left:
        return budget.left(self.budget, self.limits, self.clock())

    def spacing(self) -> int:
        """Milliseconds from one automatic commit to the next, so that what is left lasts."""
        now = self.clock()
        return budget.between_commits(budget.renewed(self.budget, now), self.limits, now)

    def pause_for(self, millis: int, why: str) -> RemotePaused:
        """Nobody sends anything for so long; the error that says so."""
        until = Millis(self.clock() + millis)
        self.budget = budget.paused(self.budget, until)
        return RemotePaused(why, until=until)

    async def send(
        self,
        method: str,
        path: str,
        *,
        kind: Kind = "read",
        repository: str = "",
        again: bool = True,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`again`: it may be done twice."""
        refused = False
        failures = 0
        while True:
            try:
                answer = await self._once(method, path, kind, repository, json, params, headers)
            except RemoteUnreachable:
                if not again or failures >= RETRIES:
                    raise
                await self._pause(RETRY_AFTER * 2**failures)
                failures += 1
                continue
            if answer.status != 401:
                return answer
            if refused or not self.credential.drop():
                raise RemoteForbidden(
                    "GitHub does not accept the token (any more): connect again with a new one.",
                    code="remote_unauthorized",
                )
            refused = True

    async def turn(self, kind: Kind, repository: str) -> None:
        """Waits until such a request may go out, and counts it."""
        if kind == "read":
            # Reads do not queue behind a write that waits.
            await self._turn(kind, repository)
            return
        async with self._turns:
            await self._turn(kind, repository)

    async def _turn(self, kind: Kind, repository: str) -> None:
        now = self.clock()
        self.budget = budget.renewed(self.budget, now)
        clear = budget.clear_at(self.budget, self.limits, kind, repository, now)
        if clear - now > PATIENCE:
            raise RemotePaused("GitHub's rate limit is reached: edits go out when it ends.", until=clear)
        if clear > now:
            await self._pause((clear - now) / 1000)
        self.budget = budget.spent(self.budget, kind, repository, max(clear, self.clock()))

    async def _once(
        self,
        method: str,
        path: str,
        kind: Kind,
        repository: str,
        json: Mapping[str, Any] | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        marked = {**(headers or {}), TURN: f"{kind} {repository}"}
        try:
            found = await self._github.arequest(method, path, json=json, params=params, headers=marked)
            raw = found.raw_response
        except RequestFailed as failed:
            raw = failed.response.raw_response
        except RequestError as broken:
            if isinstance(broken.exc, QuireError):
                # The credential's own: a token that could not be had.
                raise broken.exc from None
            raise RemoteUnreachable(
                f"GitHub did not answer ({type(broken.exc).__name__}): it is tried again."
            ) from broken
        except ValueError as odd:
            # githubkit reads `retry-after` of a 403 or 429 as a number, which a proxy need not give.
            raise self.pause_for(UNTOLD, "GitHub asks for a pause: edits go out after it.") from odd
        self._note(raw)
        if raw.status_code >= 500:
            raise RemoteUnreachable(f"GitHub failed ({raw.status_code}): it is tried again.")
        body = None
        if raw.content and not raw.is_redirect:
            try:
                body = raw.json()
            except ValueError as odd:
                raise RemoteUnreachable(f"GitHub's answer ({raw.status_code}) is no JSON: it is tried again.") from odd
        return Answer(raw.status_code, raw.headers, body)

    def _note(self, raw: httpx.Response) -> None:
        """The server's own count, and its wish for a pause."""
        remaining, ends = _number(raw.headers, "x-ratelimit-remaining"), _number(raw.headers, "x-ratelimit-reset")
        reset = self.ours(ends * 1000, raw.headers) if ends is not None else None
        if remaining is not None and reset is not None:
            self.budget = budget.told(self.budget, remaining, reset)
        if raw.status_code not in (403, 429):
            return
        after = _number(raw.headers, "retry-after")
        if after is not None:
            raise self.pause_for(after * 1000, "GitHub asks for a pause: edits go out after it.")
        if remaining == 0 and reset is not None:
            wait = max(0, reset - self.clock())
            raise self.pause_for(wait, "GitHub's rate limit is reached: edits go out when it ends.")
        if raw.status_code == 429:
            raise self.pause_for(UNTOLD, "GitHub asks for a pause: edits go out after it.")

    def ours(self, its: int, headers: httpx.Headers) -> Millis:
        """A time of the server's, by our clock: an answer also says what time it is there."""
        try:
            its_now = email.utils.parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else None
        except ValueError:
            its_now = None
        return Millis(its) if its_now is None else Millis(self.clock() + its - int(its_now * 1000))


class _Turns(BaseThrottler):
    """Where githubkit lets a request pass: inside the client, outside its retries."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @contextlib.contextmanager
    def acquire(self, request: httpx.Request) -> Generator[None, Any, Any]:
        raise NotImplementedError("only the asynchronous client is used")
        yield

    @asynccontextmanager
    async def async_acquire(self, request: httpx.Request) -> AsyncGenerator[None, Any]:
        kind, _, repository = request.headers.pop(TURN).partition(" ")
        await self._hub.turn(cast(Kind, kind), repository)
        yield


class _Auth(BaseAuthStrategy, httpx.Auth):
    """Asks for the token at each request, because it may have been dropped."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get_auth_flow(self, github: object) -> httpx.Auth:
        return self

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if token := await self._credential.token():
            request.headers["Authorization"] = f"Bearer {token}"
        yield request


def _number(headers: httpx.Headers, name: str) -> int | None:
    found = headers.get(name, "")
    return int(found) if found.isascii() and found.isdigit() else None
