"""Packs are made in processes of their own (web.git.worker), so many at a time; never all of them for one who asks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import anyio
import msgspec
import structlog

from collab.errors import Unavailable
from collab.ids import ActorId
from snapshots import child
from snapshots.serving import Served

log = structlog.get_logger(__name__)

PATIENCE: Final = 60.0
"""Seconds to wait for one's turn."""


class Fetch(msgspec.Struct, frozen=True):
    """`body` is what the client sent, in `version` of the protocol. `branch`: what HEAD is; `only`: nothing else is shown."""

    repository: str
    body: bytes
    version: int
    branch: bytes
    only: bool


class Packing:
    def __init__(self, at_once: int) -> None:
        self._all = anyio.CapacityLimiter(at_once)
        self._each = max(1, at_once - 1)
        self._of: dict[ActorId, anyio.CapacityLimiter] = {}

    @contextlib.asynccontextmanager
    async def turn(self, actor: ActorId) -> AsyncIterator[None]:
        """`Unavailable` when it does not come in time."""
        own = self._of.setdefault(actor, anyio.CapacityLimiter(self._each))
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._forget, actor, own)
            try:
                with anyio.fail_after(PATIENCE):
                    await stack.enter_async_context(own)
                    await stack.enter_async_context(self._all)
            except TimeoutError:
                raise Unavailable("too many are cloning, fetching or pushing at the moment; try again soon") from None
            yield

    def _forget(self, actor: ActorId, own: anyio.CapacityLimiter) -> None:
        if not own.borrowed_tokens and not own.statistics().tasks_waiting:
            self._of.pop(actor, None)


async def fetch(served: Served, body: bytes, version: int) -> AsyncGenerator[bytes]:
    """The answer, in pieces; cut short when the process ends early, which the client sees too."""
    place = served.repository.path
    request = msgspec.msgpack.encode(Fetch(str(place), body, version, served.branch, served.only))
    async with child.running("web.git.worker", request) as process:
        while True:
            try:
                yield await process.receive()
            except anyio.EndOfStream:
                break
        status = await process.wait()
        if status:
            log.warning("a pack could not be made", repository=place.name, status=status)
