"""A Starlette WebSocket and a room's member: accept, check, sync, and close with the right code.

    ws://HOST/sync/{project}/{path}              the file at this path
    ws://HOST/sync/{project}/~{document id}      this document
    ?document=ID                                 what the client holds: wins over the path while that document lives

What it promises
1. The socket is accepted first and closed then: a browser takes a refusal before `accept` for a network fault and tries
   again for ever.
2. Codes are those of interface.md: 44xx are final, all others may be tried again.
3. One task reads, one writes; a socket that takes nothing for long is closed (1013, collab.rooms), and costs bounded
   memory until then. Whole documents are sent to a bounded number of sockets at once.
4. When the grant behind the access ends, the socket is closed within a second (4401), unless it was renewed in-band.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, Final

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from collab import actors
from collab.errors import Conflict, Forbidden, NotFound, ProtocolError, QuireError, TooLarge
from collab.ids import DocumentId, Path
from collab.member import CloseCode, Closing, Member
from collab.room import Room
from collab.session import AskPresence, Ignored, Join, News, Presence, Renew, Reply, Session
from collab.store.base import Project, Row
from web.errors import Unauthenticated
from web.roles import Access, allows, require, require_path
from web.services import Services

SUBPROTOCOL: Final = "quire.v1"

BULK: Final = 256_000
"""Bytes from which a frame waits for one of the `BULK_AT_ONCE` places."""

BULK_AT_ONCE: Final = 16

BULK_SECONDS: Final = 2.0
"""After this long, a slow socket gives its place to the next one."""

_numbers = count(1)
_bulk = anyio.CapacityLimiter(BULK_AT_ONCE)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def sync(websocket: WebSocket) -> None:
    services: Services = websocket.app.state.services
    extended = SUBPROTOCOL in websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=SUBPROTOCOL if extended else None)
    try:
        access, project, row = await _admit(websocket, services)
        async with services.rooms.use(row.id) as room:
            closing = await _Connection(websocket, services, room, access, project, extended).run()
    except QuireError as error:
        closing = refusal(error)
    if closing is not None:
        await _close(websocket, closing)


async def nowhere(websocket: WebSocket) -> None:
    """An address below /sync that names no file."""
    await websocket.accept()
    await _close(websocket, Closing(CloseCode.NO_SUCH_FILE, "the address is /sync/PROJECT/PATH"))


async def _admit(websocket: WebSocket, services: Services) -> tuple[Access, Project, Row]:
    if services.closing.is_set():
        raise Conflict("the server restarts", code="restart")
    access = await services.identity.authenticate(websocket)
    name = websocket.path_params["project"]
    require(access, name, "viewer")
    project = await services.workspace.project(name)
    row = await find(services, project, websocket.path_params["path"], websocket.query_params.get("document"))
    require_path(access, name, row.path)
    if row.kind != "text":
        raise NotFound("this file is not text: it is served as bytes and not edited live")
    return access, project, row


async def find(services: Services, project: Project, path: str, held: str | None) -> Row:
    """The document that this address means. `Conflict` when the client holds another one."""
    store = services.store
    if held is None and path.startswith("~"):
        held = path[1:]
    if held is not None:
        row = await store.document(DocumentId(held))
        if row is not None and row.project == project.id and row.deleted_at is None and row.staged is None:
            return row
        if path.startswith("~"):
            gone = row if row is not None and row.project == project.id else None
            there = None if gone is None else await store.at_path(project.id, gone.path)
        else:
            there = await store.at_path(project.id, Path(path))
        if there is not None:
            raise Conflict("the document that you hold is gone; another one stands at its path")
        raise NotFound("there is no such file (any more)")
    return await services.workspace.resolve(project, Path(path))


def refusal(error: QuireError) -> Closing:
    """The close code that an error means."""
    match error:
        case QuireError(name="restart"):
            return Closing(CloseCode.RESTART, error.message)
        case Unauthenticated():
            return Closing(CloseCode.NOT_AUTHENTICATED, error.message)
        case Forbidden():
            return Closing(CloseCode.FORBIDDEN, error.message)
        case NotFound():
            return Closing(CloseCode.NO_SUCH_FILE, error.message)
        case TooLarge():
            return Closing(CloseCode.TOO_LARGE, error.message)
        case Conflict():
            return Closing(CloseCode.ANOTHER_DOCUMENT, error.message)
        case ProtocolError():
            return Closing(CloseCode.BAD_MESSAGE, error.message)
        case _:
            return Closing(CloseCode.TRY_LATER, error.message)


async def _close(websocket: WebSocket, closing: Closing) -> None:
    reason = closing.reason.encode()[:120].decode(errors="ignore")  # RFC 6455, 5.5: at most 125 bytes with the code
    with anyio.move_on_after(5):
        try:
            await websocket.close(int(closing.code), reason)
        except (RuntimeError, WebSocketDisconnect):
            return  # it is closed already


class _Connection:
    def __init__(
        self,
        websocket: WebSocket,
        services: Services,
        room: Room,
        access: Access,
        project: Project,
        extended: bool,
    ) -> None:
        self._websocket = websocket
        self._services = services
        self._room = room
        self._access = access
        self._project = project
        actor = access.actor
        user = actors.stamp(actor)
        writes = allows(access.role_in(project.name), "editor")
        self.session = Session(next(_numbers), actor.id, user, writes=writes, extended=extended)
        self.member = Member(self.session)
        self._watching = anyio.CancelScope()

    async def run(self) -> Closing | None:
        """Until it is over; how to close, None when the peer has left."""
        room, member = self._room, self.member
        room.enter(member)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, tasks.cancel_scope)
                tasks.start_soon(self._watch)
                await self._read()
                tasks.cancel_scope.cancel()
        finally:
            room.leave(member)
        return member.closing

    async def _read(self) -> None:
        receive = self._websocket.receive
        member = self.member
        while member.closing is None:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            frame = message.get("bytes")
            if frame is None:
                member.close(CloseCode.BAD_MESSAGE, "text frames mean nothing here: messages are binary")
                return
            try:
                await self._take(frame)
            except QuireError as error:
                closing = refusal(error)
                self._services.metrics.refused(int(closing.code))
                member.close(closing.code, closing.reason)
                return
            await member.calm()

    async def _take(self, frame: bytes) -> None:
        room, member = self._room, self.member
        request = self.session.receive(frame)
        match request:
            case News():
                room.submit(member, request)
            case Presence(states):
                room.tell_presence(member, states)
            case Join(state_vector):
                room.join(member, state_vector)
            case AskPresence():
                room.answer_presence(member)
            case Reply(answer):
                member.send(answer)
            case Renew(token):
                await self._renew(token)
            case Ignored(kind) if kind is not None:
                self._services.metrics.unknown(kind)
            case _:
                pass

    async def _renew(self, token: str) -> None:
        access = await self._services.identity.authenticate_token(token)
        project = await self._services.store.project_by_id(self._project.id)
        if project is None:
            raise NotFound("the project was deleted")
        self._project = project  # it may have another name by now
        role = access.role_in(project.name)
        if access.actor.id != self.session.actor or not allows(role, "viewer"):
            raise Forbidden("this token is somebody else's, or of another project")
        self.session.writes = allows(role, "editor")
        self._access = access
        self._watching.cancel()

    async def _write(self, scope: anyio.CancelScope) -> None:
        """Sends what the room has put out, at the pace of the socket, until there is a reason to go."""
        member = self.member
        member.abandon = scope.cancel
        while True:
            await member.ready()
            if member.closing is not None:
                break
            if member.outbox:
                await self._send(member.outbox.take())
            else:
                self._room.catch_up(member)
        scope.cancel()

    async def _send(self, frame: bytes) -> None:
        message = {"type": "websocket.send", "bytes": frame}
        self.member.sending_since = time.monotonic()
        try:
            if len(frame) < BULK:
                await self._websocket.send(message)
            else:
                await _send_bulk(self._websocket.send, message)
        except (RuntimeError, WebSocketDisconnect):
            self.member.close(CloseCode.TRY_LATER, "the peer has left")  # the reader hears of it, too
        self.member.sending_since = None

    async def _watch(self) -> None:
        """Closes the socket when the grant behind it ends; begins again when that is renewed."""
        while True:
            with anyio.CancelScope() as self._watching:
                await self._services.identity.until_ended(self._access, self._project.name)
                self.member.close(CloseCode.NOT_AUTHENTICATED, "the access behind this connection has ended")
                return


async def _send_bulk(send: Send, message: MutableMapping[str, Any]) -> None:
    """Few at once, so that many who open a large file do not each hold a copy in the socket's buffer."""
    async with anyio.create_task_group() as tasks:
        left = anyio.Event()

        async def hold_a_place() -> None:
            async with _bulk:
                started.set()
                with anyio.move_on_after(BULK_SECONDS):
                    await left.wait()

        started = anyio.Event()
        tasks.start_soon(hold_a_place)
        await started.wait()
        await send(message)
        left.set()
