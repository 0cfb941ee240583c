"""Who asks for a repository, and which one: what git clients send, judged.

The password of `Basic` is a token, whatever the user's name; `Bearer` counts as elsewhere. A cookie never does, because a
browser has nothing to do here. What somebody may not see is not found. Every refusal is plain text, which git prints
line by line after `remote: `.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from collab.errors import Invalid, ProtocolError, QuireError, TooLarge, Unavailable
from collab.store.base import Project
from web.errors import Unauthenticated, status_of
from web.git.advertisement import RECEIVE, Service
from web.roles import Access, Role, require, require_all
from web.services import Services

CHALLENGE: Final = 'Basic realm="Quire", charset="UTF-8"'
NEEDED: Final[dict[Service, Role]] = {"git-upload-pack": "viewer", "git-receive-pack": "editor"}
SILENCE: Final = 60.0
"""Seconds without a byte after which a client is given up."""
PIECE: Final = 1 << 18
HOW: Final = "Give any user name, and a token of the project as the password; the project's settings make one."


@dataclass(frozen=True, slots=True)
class Asked:
    services: Services
    access: Access
    project: Project


async def asked(request: Request, service: Service) -> Asked:
    services: Services = request.app.state.services
    access = await services.identity.authenticate_token(_token(request))
    name = str(request.path_params["project"]).removesuffix(".git")
    require(access, name, NEEDED[service])
    require_all(access, name)
    return Asked(services, access, await services.workspace.project(name))


def _token(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        raise Unauthenticated(HOW)
    try:
        pair = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("The header Authorization cannot be understood") from error
    return pair.partition(":")[2]


def refusal(error: QuireError, service: Service) -> Response:
    status = status_of(error)
    words = error.message
    headers = {"www-authenticate": CHALLENGE} if status == 401 else {}
    if status == 401 and words != HOW:
        words = f"{words}. {HOW}"
    if status == 403 and service == RECEIVE:
        words = f"Nothing was pushed: {words}."
    if isinstance(error, Unavailable):
        headers["retry-after"] = "5"
    return PlainTextResponse(words + "\n", status, headers)


async def body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """What the client sends, unpacked; `TooLarge` beyond `limit` bytes of it, `Unavailable` when nothing comes for long."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Invalid(f"a body cannot be encoded as {encoding!r} here, only as gzip", field="Content-Encoding")
    pieces = _sent(request) if encoding == "identity" else _unpacked(_sent(request))
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"this is larger than {limit:,} bytes, the most that is taken here")
        yield piece


async def _sent(request: Request) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            with anyio.fail_after(SILENCE):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Unavailable(f"nothing was sent for {SILENCE:.0f} seconds") from None
        if chunk:
            yield chunk


async def _unpacked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    async for chunk in chunks:
        while chunk:
            try:
                piece = inflate.decompress(chunk, PIECE)
            except zlib.error as error:
                raise ProtocolError(f"the body is not gzip, as it says: {error}") from error
            chunk = b"" if inflate.eof else inflate.unconsumed_tail
            yield piece
    if not inflate.eof:
        raise ProtocolError("the body ends before its gzip does")
