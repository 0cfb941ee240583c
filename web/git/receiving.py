"""`POST git-receive-pack`: a push comes in, is carried out, and its client is told how it goes.

What it promises
1. It comes in piece by piece, to disk; nobody's turn is taken while it does but one of those for uploads.
2. Once it is there it is carried out to its end, whether its client still listens or not.
3. Whatever becomes of it is said in what git prints: words for people after `remote: `, and one reason for each ref.
4. A token that ended while it came in pushes nothing.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collab.errors import ProtocolError, QuireError
from snapshots.packs.refs import Outcome
from snapshots.pushing import Wish
from snapshots.serving import Incoming
from web import background
from web.git import pushing
from web.git.advertisement import RECEIVE, content_type
from web.git.asking import Asked, asked, body
from web.git.pktline import FLUSH, LONGEST, Sideband

log = structlog.get_logger(__name__)

PIECE: Final = 1 << 20
"""Bytes that are written to disk at once."""

ALIVE: Final = 5.0
"""Seconds after which a client that waits is shown a sign of life."""

KEEP: Final = "conflicts=keep"
"""The option of a push with which conflicts are made, and decided in the page."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A push that has come in whole. `refused`: why it is not even looked at."""

    asked: pushing.Asked
    incoming: Incoming
    refused: str = ""


async def receive(request: Request, call: Asked) -> Response:
    services, project = call.services, call.project
    async with services.uploading.turn(call.access.actor.id), services.pushing.holding(project.id):
        coming = await _upload(request, call)
    kind = content_type(RECEIVE, "result")
    if coming is None:
        # Clients ask so whether they may, before they send what is large.
        return Response(b"", media_type=kind)
    send, listen = anyio.create_memory_object_stream[bytes](float("inf"))
    teller = Teller(coming.asked, send)
    background.start(services.tasks, lambda: _carry_out(request, call, coming, teller))
    return _Telling(listen, teller.multiplexed, kind)


async def _upload(request: Request, call: Asked) -> Coming | None:
    """None: nothing is asked for."""
    most = call.services.settings.max_upload
    reader, writer = pushing.Reader(), None
    async with contextlib.AsyncExitStack() as stack:
        async for piece in body(request, 2 * most):
            if writer is not None:
                await writer.add(piece)
            elif (found := reader.feed(piece)) is not None:
                head, rest = found
                if not head.updates:
                    return None
                incoming = await call.services.serving.incoming(call.project)
                stack.push_async_callback(incoming.aclose)
                writer = _Writer(head, incoming, most)
                await writer.add(rest)
        if writer is None:
            raise ProtocolError("the push is cut short")
        coming = await writer.done()
        stack.pop_all()
        return coming


class _Writer:
    """The pack, to disk. What cannot be taken is read to its end all the same, so that the client listens to why."""

    def __init__(self, head: pushing.Asked, incoming: Incoming, most: int) -> None:
        self._head, self._incoming, self._most = head, incoming, most
        self._held = bytearray()
        self._size = 0
        self._refused = ""

    async def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most and not self._refused:
            self._refused = f"it is larger than {self._most:,} bytes (QUIRE_MAX_UPLOAD): push in smaller steps, the oldest commits first"
        if not self._refused:
            self._held += piece
            if len(self._held) >= PIECE:
                await self._write()

    async def done(self) -> Coming:
        if self._held and not self._refused:
            await self._write()
        return Coming(self._head, self._incoming, self._refused)

    async def _write(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        try:
            await self._incoming.write(held)
        except OSError as error:
            log.warning("a push could not be kept", error=str(error))
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            self._refused = "the server's disk is full" if full else "the server cannot write to its disk"


async def _carry_out(request: Request, call: Asked, coming: Coming, teller: Teller) -> None:
    services, head = call.services, coming.asked
    wish = Wish(
        actor=call.access.actor.id,
        updates=head.updates,
        say=teller.say,
        page=f"{services.identity.base_url(request)}/p/{call.project.name}",
        atomic=head.atomic,
        despite=KEEP in head.options,
    )
    try:
        for option in head.options:
            if option != KEEP:
                teller.say(f"The option {option!r} means nothing here.\n")
        unpacked, outcomes = await _pushed(request, call, coming, wish)
        teller.report(unpacked, outcomes)
        services.metrics.pushed(*("refused" if each.problem else "done" for each in outcomes))
    except QuireError as error:
        teller.say(f"{error.message}\n")
        teller.report("ok", [Outcome(each.ref, error.message) for each in head.updates])
    finally:
        await coming.incoming.aclose()
        teller.close()


async def _pushed(request: Request, call: Asked, coming: Coming, wish: Wish) -> tuple[str, Sequence[Outcome]]:
    services = call.services
    if coming.refused:
        wish.say(f"Nothing is taken of this push: {coming.refused}.\n")
        return coming.refused, [Outcome(each.ref, "nothing of the push is taken") for each in wish.updates]
    async with services.pushing.under_way(call.project.id), services.packing.turn(call.access.actor.id):
        # It may have come in for long.
        again = await asked(request, RECEIVE)
        return await services.pushing.push(again.project, coming.incoming, wish)


class Teller:
    """What the client is told, while it listens."""

    def __init__(self, head: pushing.Asked, out: MemoryObjectSendStream[bytes]) -> None:
        capabilities = head.capabilities
        self._out = out
        self._band = Sideband(LONGEST + 4)
        self.multiplexed = "side-band-64k" in capabilities
        self._quiet = "quiet" in capabilities
        self._reports = "report-status" in capabilities

    def say(self, words: str) -> None:
        """A line that ends in CR is how far it is, which not everybody wants to see."""
        if self.multiplexed and not (self._quiet and words.endswith("\r")):
            self._send(self._band.say(words))

    def report(self, unpacked: str, outcomes: Sequence[Outcome]) -> None:
        if not self._reports:
            return
        told = pushing.report(outcomes, unpacked)
        self._send(b"".join(self._band.data(told)) if self.multiplexed else told)

    def close(self) -> None:
        if self.multiplexed:
            self._send(FLUSH)
        self._out.close()

    def _send(self, content: bytes) -> None:
        try:
            self._out.send_nowait(content)
        except anyio.BrokenResourceError:
            return  # nobody listens any more; it is carried out all the same


class _Telling(Response):
    def __init__(self, told: MemoryObjectReceiveStream[bytes], multiplexed: bool, media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._told, self._multiplexed = told, multiplexed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._told:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (piece := await self._next()) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> bytes | None:
        """None: there is no more to be told."""
        with anyio.move_on_after(ALIVE if self._multiplexed else None):
            try:
                return await self._told.receive()
            except anyio.EndOfStream:
                return None
        return Sideband.ALIVE
