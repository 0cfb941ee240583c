"""`/mcp`: who may come in, and from where; then the protocol itself (mcp's Streamable HTTP, without sessions).

What it promises
1. A token, as everywhere: `Authorization: Bearer`. A cookie is no credential here. 401 says how to ask.
2. No page of another site talks to it: a request that names an origin must name ours; and a server that listens at the loopback
   answers to names of the loopback alone (DNS rebinding).
3. mcp is imported when the first agent comes, which takes a second, in a thread; nobody else waits.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from collab.errors import Forbidden, QuireError
from web import errors
from web.errors import Unauthenticated
from web.identity import LOOPBACK
from web.services import Services

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

BODY_MOST: Final = 16_000_000

ACCESS: Final = "quire.access"
"""Where the scope of a request says who asks."""


class Mcp:
    """An ASGI application for one address."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        services: Services = request.app.state.services
        try:
            _check_place(request, services)
            if "authorization" not in request.headers:
                raise Unauthenticated("send a token as 'Authorization: Bearer TOKEN'")
            access = await services.identity.authenticate(request)
        except QuireError as error:
            answer = await errors.on_quire_error(request, error)
            await answer(scope, receive, send)
            return
        manager = await self._running(services)
        await manager.handle_request({**scope, ACCESS: access}, receive, send)

    async def _running(self, services: Services) -> StreamableHTTPSessionManager:
        async with self._lock:
            if self._manager is None:
                # The first import of it is heavy; then it runs as long as the application.
                build = await anyio.to_thread.run_sync(_import)
                self._manager = build(services)
                await services.tasks.start(_run, self._manager, services.closing)
            return self._manager


def _import():  # type: ignore[no-untyped-def]
    from web.mcp.server import manager

    return manager


async def _run(
    manager: StreamableHTTPSessionManager, closing: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(manager.run())
        task_status.started()
        await closing.wait()


def _check_place(request: Request, services: Services) -> None:
    if "origin" in request.headers:
        services.identity.check_origin(request)
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    settings = services.settings
    own = (settings.origin or "").partition("://")[2]
    if settings.host in LOOPBACK and name not in LOOPBACK and host != own:
        raise Forbidden(f"this server does not answer to the name {host!r}", code="host_refused")
