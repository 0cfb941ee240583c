"""Around every request and socket: where it is, its id, its headers, its line in the log. Pure ASGI.

Where it is: `raw_path` is decoded here, once, with surrogate escapes, because a path in a project may hold bytes that are
not UTF-8. Under a path prefix (QUIRE_PUBLIC_URL) both kinds of proxies work: those that strip the prefix and those that
leave it; `root_path` is the prefix afterwards, and `path` begins with it.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import ErrorBody, answer
from web.observability import Metrics

log = structlog.get_logger(__name__)

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
ALWAYS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Answered while the server stops, too."""

HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
)
"""For every answer that does not say otherwise."""


def located(scope: Scope, prefix: str) -> Scope:
    """A copy of `scope` whose path is decoded, and below `prefix`."""
    raw = scope.get("raw_path")
    path = unquote(raw.decode("ascii", "surrogateescape"), errors="surrogateescape") if raw else scope["path"]
    if prefix and path != prefix and not path.startswith(prefix + "/"):
        path = prefix + path
    if path == prefix:
        path += "/"
    return {**scope, "path": path, "root_path": prefix}


class Edge:
    def __init__(self, app: ASGIApp, *, prefix: str, metrics: Metrics, closing: Callable[[], bool]) -> None:
        self._app, self._prefix, self._metrics, self._closing = app, prefix, metrics, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope = located(scope, self._prefix)
        scope["quire.request_id"] = number = _request_id(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=number)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._http(scope, receive, send, number)

    async def _http(self, scope: Scope, receive: Receive, send: Send, number: str) -> None:
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(raw=message.setdefault("headers", [])), number)
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except Exception:
            # Starlette has answered 500 already, if it still could.
            log.exception("a request failed", method=scope["method"], path=scope["path"])
        seconds = time.perf_counter() - began
        route = getattr(scope.get("route"), "path", "")
        self._metrics.answered(_method(scope), route, status, seconds)
        log.debug(
            "request", method=scope["method"], path=scope["path"], status=status, milliseconds=round(seconds * 1000, 1)
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._closing() and scope["path"].removeprefix(self._prefix) not in ALWAYS:
            closed = answer(
                503, ErrorBody("unavailable", "the server is stopping; try again soon"), {"retry-after": "2"}
            )
            await closed(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _request_id(scope: Scope) -> str:
    """A proxy's own, when it sends a sane one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _method(scope: Scope) -> str:
    """Clients may invent methods; labels may not."""
    method: Any = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _complete(headers: MutableHeaders, number: str) -> None:
    headers["x-request-id"] = number
    for name, value in HEADERS:
        if name not in headers:
            headers[name] = value
