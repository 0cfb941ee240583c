"""Bytes on their way to a client: whole or in part, from memory, from the objects a piece at a time, or from elsewhere.

One range is honoured (RFC 9110, 14.2); whoever asks for several gets everything. An answer that has begun and cannot be
ended is broken off, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from collab.errors import Unavailable
from collab.objects.base import ObjectStore
from web.api import given
from web.errors import ErrorBody
from web.errors import answer as answer_error

LINK_SECONDS: Final = 60
"""How long a download from elsewhere may take to begin."""

_RANGE: Final = re.compile(r"bytes=([0-9]*)-([0-9]*)")


def held(content: bytes, headers: Mapping[str, str], asked: Headers) -> Response:
    size = len(content)
    part = _part(size, headers["etag"], asked)
    if part is None:
        return Response(content, headers=dict(headers))
    start, stop = part
    if start >= stop:
        return _not_there(size)
    return Response(content[start:stop], 206, {**headers, "content-range": _said(start, stop, size)})


def streamed(objects: ObjectStore, key: str, size: int, headers: Mapping[str, str], asked: Headers) -> Response:
    part = _part(size, headers["etag"], asked)
    if part is None:
        return Streamed(objects, key, size, 0, size, 200, headers)
    start, stop = part
    if start >= stop:
        return _not_there(size)
    return Streamed(objects, key, size, start, stop, 206, {**headers, "content-range": _said(start, stop, size)})


async def redirected(objects: ObjectStore, key: str, headers: Mapping[str, str]) -> Response | None:
    """To where the object lies, with the headers that matter there; None where it has no address."""
    address = await objects.link(
        key,
        seconds=LINK_SECONDS,
        content_type=headers["content-type"],
        disposition=headers["content-disposition"],
    )
    if address is None:
        return None
    kept = {name: value for name, value in headers.items() if name == "etag" or name.startswith("x-quire-")}
    # The address is as good as a token: nobody keeps it, and it is told to nobody else.
    return Response(status_code=307, headers={**kept, "location": address, "cache-control": "no-store"})


class Streamed(Response):
    """An object, or a part of it. Trouble before the first piece is an answer like any other."""

    def __init__(
        self, objects: ObjectStore, key: str, size: int, start: int, stop: int, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(None, status, {**headers, "content-length": str(stop - start)})
        self._objects, self._key, self._size = objects, key, size
        self._start, self._stop = start, stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        async with self._objects.read(self._key, self._start, self._stop) as reading:
            if reading.size != self._size:
                raise Unavailable(
                    f"the object has {reading.size:,} bytes, and should have {self._size:,}: quire verify"
                )
            first = await anext(reading.chunks)
            answer = StreamingResponse(_chained(first, reading.chunks), self.status_code)
            answer.raw_headers = self.raw_headers
            await answer(scope, receive, send)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _part(size: int, tag: str, asked: Headers) -> tuple[int, int] | None:
    """What is asked for, from one byte up to another (nothing, if it is not there); None: everything."""
    wanted = asked.get("range")
    match = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or match.groups() == ("", "") or asked.get("if-range") not in (None, tag):
        return None
    first, last = match.groups()
    start = given.clamped(first) if first else max(size - given.clamped(last), 0)
    stop = min(given.clamped(last) + 1, size) if first and last else size
    return start, stop


def _said(start: int, stop: int, size: int) -> str:
    return f"bytes {start}-{stop - 1}/{size}"


def _not_there(size: int) -> Response:
    problem = ErrorBody("range_not_satisfiable", f"there are {size} bytes: give a range among them", "Range")
    return answer_error(416, problem, {"content-range": f"bytes */{size}", "cache-control": "no-store"})
