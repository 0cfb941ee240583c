"""`/git/{project}.git`: what git clients ask for, over smart HTTP.

`GET info/refs` tells which refs there are and what can be asked for; `POST git-upload-pack` is a clone or a fetch, `POST
git-receive-pack` a push (web.git.receiving). How many packs are made at once is bounded, for everybody and for each who asks; a client that reads nothing, or whose token has
ended, is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import anyio
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from collab.errors import Forbidden, Invalid, ProtocolError, QuireError, Unavailable
from snapshots.rounds import told
from snapshots.serving import Served, place
from web.git import advertisement, packing, receiving
from web.git.advertisement import RECEIVE, UPLOAD, Service, content_type
from web.git.asking import Asked, asked, body, refusal

log = structlog.get_logger(__name__)

ASKING_MOST: Final = 32 << 20
"""Bytes of what a client says that it wants and has."""

SILENCE: Final = 120.0
"""Seconds in which a client takes nothing of what it asked for, after which it is left."""

Serve = Callable[[Request], Awaitable[Response]]


def _answering(service: Service) -> Callable[[Serve], Serve]:
    """What is refused is said as git prints it."""

    def wrap(serve: Serve) -> Serve:
        async def served(request: Request) -> Response:
            try:
                return await serve(request)
            except QuireError as error:
                return refusal(error, service)
            except PermissionError as error:
                log.error("a git client could not be served", exc_info=error)
                return refusal(Unavailable(told(error)), service)

        return served

    return wrap


async def info_refs(request: Request) -> Response:
    service = request.query_params.get("service")
    if service == UPLOAD:
        return await _answering(UPLOAD)(_advertise(UPLOAD))(request)
    if service == RECEIVE:
        return await _answering(RECEIVE)(_advertise(RECEIVE))(request)
    return await dumb(request)


def _advertise(service: Service) -> Serve:
    async def serve(request: Request) -> Response:
        call = await asked(request, service)
        if service == RECEIVE:
            served = await _own(call)
            call.services.pushing.looked(call.project.id)
        else:
            served = await call.services.serving.of(call.project)
        version = advertisement.version(request.headers.get("git-protocol"))
        content = advertisement.advertisement(service, await served.refs(), version)
        return Response(content, media_type=content_type(service, "advertisement"))

    return serve


async def _own(call: Asked) -> Served:
    """Where pushes are taken."""
    own = await call.services.serving.own(call.project)
    if own is None:
        remote = await call.services.snapshotter.remotes.of(call.project)
        raise Forbidden(f"the commits of {call.project.name} go to {place(remote)}: push there")
    return own


@_answering(UPLOAD)
async def upload_pack(request: Request) -> Response:
    call = await asked(request, UPLOAD)
    _check_type(request, UPLOAD)
    content = b"".join([piece async for piece in body(request, ASKING_MOST)])
    version = advertisement.version(request.headers.get("git-protocol"))
    served = await call.services.serving.of(call.project)
    kind = content_type(UPLOAD, "result")
    if version == 2:
        try:
            command = advertisement.command(content)
            if command is None or command.name == "ls-refs":
                told = b"" if command is None else advertisement.ls_refs(await served.refs(), command.arguments)
                return Response(told, media_type=kind)
        except ProtocolError as error:
            return Response(advertisement.refused(error.message), media_type=kind)
    return _Streamed(call, packing.fetch(served, content, version), kind)


@_answering(RECEIVE)
async def receive_pack(request: Request) -> Response:
    call = await asked(request, RECEIVE)
    await _own(call)
    _check_type(request, RECEIVE)
    return await receiving.receive(request, call)


class _Streamed(Response):
    """Pieces as they come, for as long as the client takes them and its token holds."""

    def __init__(self, call: Asked, pieces: AsyncGenerator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._call, self._pieces = call, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks, contextlib.aclosing(self._pieces):
                tasks.start_soon(self._left, receive, tasks.cancel_scope)
                tasks.start_soon(self._ended, tasks.cancel_scope)
                async with self._call.services.packing.turn(self._call.access.actor.id):
                    await self._send(send)
                tasks.cancel_scope.cancel()
        except* Unavailable as errors:
            (error,) = errors.exceptions
            assert isinstance(error, QuireError)
            await refusal(error, UPLOAD)(scope, receive, send)
        except* TimeoutError:
            log.info("a git client took nothing for long", project=self._call.project.name)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self._pieces:
            with anyio.fail_after(SILENCE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _left(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _ended(self, scope: anyio.CancelScope) -> None:
        await self._call.services.identity.until_ended(self._call.access, self._call.project.name)
        scope.cancel()


def _check_type(request: Request, service: Service) -> None:
    """What a page of another site could send unasked is none of ours."""
    wanted = content_type(service, "request")
    if request.headers.get("content-type", "").partition(";")[0].strip() != wanted:
        raise Invalid(f"send this as {wanted}", field="Content-Type")


async def dumb(request: Request) -> Response:
    """For git without smart HTTP (older than 2010), and for people who open the address."""
    words = (
        "This is a git repository, for clients that speak smart HTTP (git 1.6.6 and newer): "
        f"git clone {request.url.replace(query='')}\n"
    )
    return PlainTextResponse(words, 404 if request.url.path.endswith(".git") else 403)


ROUTES: Final = [
    Route("/git/{project}/info/refs", info_refs, methods=["GET"]),
    Route("/git/{project}/git-upload-pack", upload_pack, methods=["POST"]),
    Route("/git/{project}/git-receive-pack", receive_pack, methods=["POST"]),
    Route("/git/{project}", dumb, methods=["GET"]),
    Route("/git/{project}/{rest:path}", dumb, methods=["GET"]),
]
