"""The answer of work that takes long: one JSON object a line, while it goes on.

Lines are whatever the work tells, and at the end `{"done": ...}` or `{"error": {"code", "message", "details"}}` (the
status has been sent by then). Whoever stops reading stops the work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import anyio
import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collab.errors import QuireError
from web.errors import status_of

LINES: Final = "application/x-ndjson"
TOLD_EVERY: Final = 0.25
"""Seconds between two lines about how far the work is."""

T = TypeVar("T")

Line = Mapping[str, Any]
Tell = Callable[[Line], Awaitable[None]]
Work = Callable[[Tell], Awaitable[Line]]
"""Tells lines; what it returns becomes `done`."""

log = structlog.get_logger(__name__)


async def telling(tell: Tell, work: Callable[[Callable[[Line], None]], Awaitable[T]]) -> T:
    """Does `work`, which says how far it is as often as it likes, from worker threads too: the newest is told on."""
    latest: Line | None = None

    def note(line: Line) -> None:
        nonlocal latest
        latest = line

    async def report() -> None:
        told: Line | None = None
        while True:
            if latest is not told and (told := latest) is not None:
                await tell(told)
            await anyio.sleep(TOLD_EVERY)

    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(report)
        try:
            done = await work(note)
        except Exception as error:  # noqa: BLE001 - raised below, as itself and not inside a group
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return done


class Report(Response):
    media_type = LINES

    def __init__(self, work: Work) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def tell(line: Line) -> None:
            body = msgspec.json.encode(line) + b"\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
            await tell(await self._outcome(tell))
            await send({"type": "http.response.body", "body": b""})
            tasks.cancel_scope.cancel()

    async def _outcome(self, tell: Tell) -> Line:
        try:
            return {"done": await self._work(tell)}
        except QuireError as error:
            if status_of(error) >= 500:
                log.warning("long work failed", code=error.name, error=error.message)
            return {"error": {"code": error.name, "message": error.message, "details": error.details}}
        except OSError as error:
            log.warning("long work failed", error=str(error))
            return {"error": {"code": "unavailable", "message": f"{error.strerror or error}: {error.filename or ''}"}}


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
