"""What GitHub tells of by itself: a push, a repository that was renamed, an App that was taken away.

Anybody can send a request here, so nothing is believed and little is spent before the signature holds: the headers are
looked at first, a body is held only as far as it has come in, all bodies together are bounded, and one that does not come
soon is let go. Refused, GitHub shows the answer beside the webhook; what it told of is then found by looking.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request

from collab.errors import Invalid, NotFound, Unavailable
from snapshots.remotes import github_hook
from snapshots.remotes.github_hook import Checked, Hint
from web.api.endpoint import Call, Endpoints, NoQuery, chunks
from web.errors import Unauthenticated

endpoints = Endpoints()

WITHIN: Final = 10.0
"""Seconds for a body to come in; GitHub itself waits no longer for the answer."""

TOGETHER: Final = 64 << 20
"""Bytes of all bodies that come in at the same time."""

IN_A_THREAD: Final = 256 << 10
"""Bytes that would hold up the event loop."""


class Heard(msgspec.Struct):
    """`state`: `accepted`, `repeated` (this delivery was heard before), `pong`, or `ignored` (nobody here follows it).
    `projects`: how many are looked at now."""

    state: str
    projects: int = 0


class Held:
    """How much of all bodies is held now."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = 0

    @contextmanager
    def room(self) -> Iterator[Room]:
        room = Room(self)
        try:
            yield room
        finally:
            self.now -= room.taken


class Room:
    def __init__(self, held: Held) -> None:
        self._held = held
        self.taken = 0

    def take(self, size: int) -> None:
        self.taken += size
        self._held.now += size
        if self._held.now > self._held.most:
            raise Unavailable("too much comes in at once; send it again")


BODIES: Final = Held(TOGETHER)


@endpoints.add(
    "POST",
    "/hooks/github",
    role=None,
    takes=("application/json", github_hook.FORM),
    answer=Heard,
    status=202,
    errors=(400, 401, 404, 413, 503),
    root=True,
    headers=(
        ("X-Hub-Signature-256", "`sha256=` and the HMAC of the body under the webhook's secret"),
        ("X-GitHub-Event", "what it is about"),
        ("X-GitHub-Delivery", "the delivery's id; the same one counts once"),
    ),
)
async def hear_github(call: Call[None, NoQuery]) -> Heard:
    """GitHub's webhook, of a repository, an organization or the App.

    Answers at once; what was pushed is pulled afterwards. Only bodies count that are signed with the webhook's secret."""
    headers = call.request.headers
    secrets = await call.services.listener.secrets()
    if not secrets:
        raise NotFound("no webhook is set up here: give QUIRE_GITHUB_WEBHOOK_SECRET, or make the GitHub App")
    checked = Checked(headers.get(github_hook.SIGNATURE), secrets)
    delivery = github_hook.delivery(headers.get(github_hook.DELIVERY))
    hint = await _read(call.request, checked, headers.get(github_hook.EVENT, ""))
    call.services.metrics.heard(hint.kind)
    if hint.kind == "ping":
        return Heard("pong")
    found = await call.services.listener.hear(delivery, hint)
    if found is None:
        return Heard("repeated")
    return Heard("accepted" if found else "ignored", found)


async def _read(request: Request, checked: Checked, event: str) -> Hint:
    parts: list[bytes] = []
    with BODIES.room() as room:
        with anyio.move_on_after(WITHIN) as scope:
            async for part in chunks(request, github_hook.LARGEST):
                room.take(len(part))
                parts.append(part)
        if scope.cancelled_caught:
            raise Invalid(f"the body did not come within {WITHIN:g} s")
        kind = request.headers.get("content-type", "")

        def understand() -> Hint:
            for part in parts:
                checked.update(part)
            if not checked.holds():
                raise Unauthenticated("the signature does not fit: the webhook on GitHub has another secret than Quire")
            return github_hook.understood(event, b"".join(parts), kind)

        if room.taken < IN_A_THREAD:
            return understand()
        return await anyio.to_thread.run_sync(understand)
