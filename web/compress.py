"""Gzip for JSON that is worth it. Pure ASGI.

Only an answer that comes whole, is JSON and larger than 1 kB: streams, ranges, downloads and whatever a project's files
hold go out as they are. Because the bytes on the wire are then others, a strong `ETag` becomes a weak one, which
`If-None-Match` compares all the same; where it may come back in an `If-Match` (a file's own) nothing is compressed.
"""

from __future__ import annotations

import gzip
from typing import Final

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST: Final = 1000
"""Bytes; below that it is not worth it."""
IN_A_THREAD: Final = 100_000
"""Bytes that would hold up the event loop."""
LEVEL: Final = 5


class Compress:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "POST"):
            await self._app(scope, receive, send)
            return
        wanted = accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))
        held: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _may_be(scope, message):
                held = message
                return
            if held is not None:
                start, held = held, None
                message = await _compressed(start, message, wanted=wanted)
                await send(start)
            await send(message)

        await self._app(scope, receive, sending)


def accepts_gzip(header: str) -> bool:
    for each in header.split(","):
        name, _, quality = each.partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _may_be(scope: Scope, start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    whole = (
        start["status"] not in (204, 206, 304) and "content-encoding" not in headers and "accept-ranges" not in headers
    )
    tagged_write = "etag" in headers and scope["method"] != "GET"
    return whole and not tagged_write and headers.get("content-type", "").startswith("application/json")


async def _compressed(start: Message, message: Message, *, wanted: bool) -> Message:
    """The one message of the body; changes the headers with it."""
    body = message.get("body", b"")
    if message.get("more_body", False) or len(body) < LEAST:
        return message
    headers = MutableHeaders(raw=start["headers"])
    headers.add_vary_header("accept-encoding")
    if not wanted:
        return message
    small = await packed(body)
    headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(small))
    if "etag" in headers and not headers["etag"].startswith("W/"):
        headers["etag"] = f"W/{headers['etag']}"
    return {**message, "body": small}


async def packed(content: bytes) -> bytes:
    if len(content) < IN_A_THREAD:
        return gzip.compress(content, LEVEL, mtime=0)
    return await anyio.to_thread.run_sync(lambda: gzip.compress(content, LEVEL, mtime=0))
