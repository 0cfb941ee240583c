"""What of GitHub this Quire can reach, beside the repositories that projects are connected to: its App, the App's
installations, and the repositories to choose from. ADAPTER.

Who may ask for what is for the caller to judge (snapshots.registration says what is allowed to whom); here every question
is answered. GitHub's other adapters take a second to load, and are loaded when they are needed first.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread

from collab.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from collab.ids import ActorId, Millis
from collab.store.base import Store
from snapshots import registration
from snapshots.registration import NoApp, Registration, Secrets
from snapshots.remotes import github_manifest
from snapshots.secrets import Sealer, SecretLost

if TYPE_CHECKING:
    from snapshots.remotes.github_app import App, Installation
    from snapshots.remotes.github_hub import Hub
    from snapshots.remotes.github_picker import Page, Picker

PICKERS: Final = 32
"""Lists that are remembered, and for how many milliseconds after they were used."""
REMEMBERED: Final = 600_000

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Accounts:
    """`hub` gives the way of an installation (None: of the server's own token) to GitHub, the same one each time."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        *,
        api: str,
        clock: Callable[[], Millis],
        hub: Callable[[int | None], Awaitable[Hub]],
    ) -> None:
        self.api = api
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._hub = hub
        self._app: tuple[Registration, App] | None = None
        self._webhook: tuple[Registration, str | None] | None = None
        self._pickers: dict[str, tuple[Millis, Picker]] = {}

    # -- the App -----------------------------------------------------------------------------------------------------

    async def registration(self) -> Registration | None:
        """None too where the App is one of another GitHub server."""
        found = await registration.registration(self._store)
        return found if found is not None and found.api == self.api else None

    async def register(self, code: str, by: ActorId) -> Registration:
        """Takes over what GitHub has made. `Conflict` where there is an App already."""
        if not _CODE.fullmatch(code):
            raise Invalid("this is no code of GitHub's", field="code")
        known = await registration.registration(self._store)
        if known is not None and known.api == self.api:
            raise Conflict(f"there is an App already, {known.name}: remove it first", code="app_exists")
        await _load()
        from snapshots.remotes.github_app import converted

        made, held = _taken(await converted(code, clock=self._clock, api=self.api), self.api, self._clock(), by)
        try:
            await self._store.commit(changes=registration.put(self._sealer, made, held, expect=known))
        except Stale:
            raise Conflict("somebody else has made an App meanwhile", code="app_exists") from None
        return made

    async def forget(self) -> Registration:
        """The App is not used any more; on GitHub it stays until its owner deletes it there."""
        known = await registration.registration(self._store)
        if known is None:
            raise NoApp
        await self._store.commit(changes=registration.forget(self._sealer, known))
        self._pickers.clear()
        return known

    async def webhook_secret(self) -> str | None:
        known = await registration.registration(self._store)
        if known is None:
            return None
        if self._webhook is None or self._webhook[0] != known:
            self._webhook = known, await self._opened(known)
        return self._webhook[1]

    async def _opened(self, known: Registration) -> str | None:
        try:
            return await registration.webhook_secret(self._store, self._sealer)
        except SecretLost:
            # Whoever uses the App is told so; a webhook under another secret still counts.
            return None

    def manifest(self, name: str | None, base: str, organization: str | None, state: str) -> tuple[str, dict[str, Any]]:
        """Where the browser posts what: GitHub then asks whoever sits there."""
        name = name or github_manifest.name_for(base.partition("://")[2].partition("/")[0])
        made = github_manifest.manifest(name, base, webhook=github_manifest.reachable(base))
        return github_manifest.action(self.api, organization, state), made

    def install_address(self, known: Registration) -> str:
        return github_manifest.install(self.api, known.slug)

    async def installations(self) -> list[Installation]:
        return await (await self._own()).installations()

    async def installation_of(self, repository: str) -> Installation | None:
        """The App's, through which it reaches `owner/name`; None also where there is no App."""
        if await self.registration() is None:
            return None
        return await (await self._own()).installation_of(repository)

    async def _own(self) -> App:
        known = await self.registration()
        if known is None:
            raise NoApp
        if self._app is None or self._app[0] != known:
            await _load()
            from snapshots.remotes.github_app import App

            key = await registration.key(self._store, self._sealer)
            self._app = known, App(str(known.id), key, clock=self._clock, api=self.api)
        return self._app[1]

    # -- repositories ------------------------------------------------------------------------------------------------

    async def of_installation(self, number: int, search: str, cursor: str | None, limit: int) -> Page:
        there = next((each for each in await self.installations() if each.id == number), None)
        if there is None:
            raise NotFound(f"the App has no installation {number} (any more)", field="installation")
        if there.suspended:
            raise Forbidden(f"{there.account} has suspended the App: it can be resumed on GitHub", code="app_suspended")
        picker = await self._picker(
            f"installation {number} {there.may_commit}", lambda: self._hub(number), may_commit=there.may_commit
        )
        return await picker.find(search, cursor=cursor, limit=limit)

    async def of_server(self, search: str, cursor: str | None, limit: int) -> Page:
        """Of the server's own token."""
        picker = await self._picker("server", lambda: self._hub(None), may_commit=None)
        return await picker.find(search, cursor=cursor, limit=limit)

    async def of_token(self, token: str, search: str, cursor: str | None, limit: int) -> Page:
        """Of a token that somebody has given for this question alone."""
        await _load()
        from snapshots.remotes.github_hub import Hub, PersonalToken

        async def hub() -> Hub:
            return Hub(PersonalToken(token), clock=self._clock, api=self.api)

        picker = await self._picker(f"token {hashlib.sha256(token.encode()).hexdigest()}", hub, may_commit=None)
        return await picker.find(search, cursor=cursor, limit=limit)

    async def _picker(self, name: str, hub: Callable[[], Awaitable[Hub]], *, may_commit: bool | None) -> Picker:
        """The same one for the next pages, and for the letters that are typed next."""
        await _load()
        from snapshots.remotes.github_picker import Picker

        now = self._clock()
        self._pickers = {each: held for each, held in self._pickers.items() if 0 <= now - held[0] < REMEMBERED}
        _, picker = self._pickers.pop(name, (0, None))
        if picker is None:
            picker = Picker(await hub(), may_commit=may_commit)
        self._pickers[name] = now, picker
        while len(self._pickers) > PICKERS:
            del self._pickers[next(iter(self._pickers))]
        return picker


async def _load() -> None:
    """Beside the event loop."""
    await anyio.to_thread.run_sync(importlib.import_module, "snapshots.remotes.github_picker")


def _taken(body: Mapping[str, Any], api: str, at: Millis, by: ActorId) -> tuple[Registration, Secrets]:
    made = Registration(
        id=body["id"],
        api=api,
        slug=body["slug"],
        name=body["name"],
        owner=(body.get("owner") or {}).get("login", ""),
        url=body["html_url"],
        client_id=body["client_id"],
        webhook=bool(body.get("webhook_secret")) and bool(body.get("events")),
        at=at,
        by=by,
    )
    return made, Secrets(body["pem"], body.get("webhook_secret"), body.get("client_secret"))
