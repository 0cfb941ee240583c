"""A socket to a room, again and again: what is edited while there is none goes with the next one.

What it promises
1. After every connect, both sides tell each other what they lack; so nothing has to be remembered but the document itself.
2. A code that is final (4400 to 4413 of Quire, an HTTP refusal) ends it with `PeerClosed`; anything else is tried again, after
   `FIRST_WAIT` seconds, then longer, up to `LONGEST_WAIT`, each time with a fresh token if `token` is a function.
3. `saved` returns when the server has said that everything sent is durable. A server that does not say so (no `quire.v1`) counts
   as having it once it has answered our state after it.

Source: y-protocols (sync, awareness), y-websocket's message types, and the quire.v1 messages of docs/http.md.
"""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlencode

import anyio
import anyio.abc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from collab import protocol
from collab.errors import ProtocolError
from collab.ids import ClientId
from collab.peer.replica import Replica
from collab.protocol import ClientState

SUBPROTOCOL: Final = Subprotocol("quire.v1")
FINAL: Final = frozenset({4400, 4401, 4403, 4404, 4409, 4413})
LARGEST: Final = 64_000_000
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 10.0
RENEW: Final = 15.0
"""Seconds after which presence is told again: y-protocols forgets it after 30."""

Token = str | Callable[[], str] | Callable[[], Awaitable[str]] | None


class PeerClosed(Exception):
    """The server will not have us: `code` is its close code, or an HTTP status."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason or 'the server closed the connection'} ({code})")
        self.code, self.reason = code, reason


class Wire:
    def __init__(self, url: str, path: str, replica: Replica, token: Token) -> None:
        self._url, self._path, self._replica, self._token = url.rstrip("/"), path, replica, token
        self._socket: ClientConnection | None = None
        self._sent = self._acknowledged = 0
        self._extended = False
        self._outgoing: list[bytes] = []
        self._waiting = anyio.Event()
        self._changed = anyio.Event()
        self._clock = 0
        self._state: dict[str, Any] | None = None
        self.synced = False
        self.position = 0
        self.ended: PeerClosed | None = None
        self.others: dict[ClientId, tuple[int, Any]] = {}

    # -- what the room asks

    def send(self, updates: list[bytes]) -> None:
        """As soon as there is a socket; if there is none, it is in the document, and goes with the next."""
        if self._socket is not None and self.synced:
            for update in updates:
                self._queue(protocol.update(update), counts=True)

    def show(self, state: dict[str, Any] | None) -> None:
        self._state = state
        self._clock += 1
        if self._socket is not None:
            self._queue(self._presence())

    async def until(self, condition: Callable[[], bool]) -> None:
        """It is looked at after everything that happens. `PeerClosed` when nothing will happen any more."""
        while not condition():
            if self.ended is not None:
                raise self.ended
            await self._changed.wait()

    @property
    def settled(self) -> bool:
        """Everything that was edited here is durable."""
        return self.synced and self._acknowledged >= self._sent and not self._outgoing

    def ring(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # -- the socket

    async def run(self) -> None:
        """Until it is final."""
        wait = FIRST_WAIT
        while self.ended is None:
            try:
                async with connect(
                    await self._address(),
                    subprotocols=[SUBPROTOCOL],
                    compression=None,
                    max_size=LARGEST,
                    open_timeout=20,
                ) as socket:
                    wait = FIRST_WAIT
                    await self._serve(socket)
            except InvalidStatus as error:
                self._refused(error.response.status_code)
            except (OSError, InvalidHandshake, TimeoutError, ConnectionClosed):
                pass  # it is tried again, below; what was edited is in the document
            self._socket, self.synced = None, False
            self.others.clear()
            self.ring()
            if self.ended is None:
                await anyio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, LONGEST_WAIT)

    async def _address(self) -> str:
        token = self._token
        if callable(token):
            made = token()
            token = await made if inspect.isawaitable(made) else made
        query = f"?{urlencode({'token': token})}" if token else ""
        return f"{self._url}/{quote(self._path, safe='/~')}{query}"

    def _refused(self, status: int) -> None:
        if status in (400, 401, 403, 404, 410):
            self.ended = PeerClosed(status, "the server refused the connection")

    async def _serve(self, socket: ClientConnection) -> None:
        self._socket, self._extended = socket, socket.subprotocol == SUBPROTOCOL
        self._sent = self._acknowledged = 0
        self._outgoing = [protocol.sync_step1(self._replica.state_vector())]
        if self._state is not None:
            self._clock += 1
            self._outgoing.append(self._presence())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, socket)
            tasks.start_soon(self._renew)
            with suppress(ConnectionClosed):  # how it ended stands in the code
                async for frame in socket:
                    if isinstance(frame, bytes):
                        self._take(frame)
                    self.ring()
            tasks.cancel_scope.cancel()
        if socket.close_code in FINAL:
            self.ended = PeerClosed(socket.close_code or 0, socket.close_reason or "")

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the reader hears of it
            while True:
                while self._outgoing:
                    await socket.send(self._outgoing.pop(0))
                self.ring()
                await self._waiting.wait()
                self._waiting = anyio.Event()

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(RENEW)
            if self._state is not None:
                self._clock += 1
                self._queue(self._presence())

    def _queue(self, frame: bytes, *, counts: bool = False) -> None:
        self._sent += counts
        self._outgoing.append(frame)
        self._waiting.set()

    def _presence(self) -> bytes:
        state = json.dumps(self._state) if self._state is not None else "null"
        return protocol.awareness([ClientState(ClientId(self._replica.client), self._clock, state)])

    def _take(self, frame: bytes) -> None:
        match protocol.decode(frame):
            case protocol.SyncStep1(state_vector):
                self._queue(protocol.sync_step2(self._replica.since(state_vector)), counts=True)
            case protocol.SyncStep2(update):
                self._apply(update)
                self.synced = True
                if not self._extended:
                    self._acknowledged = self._sent
            case protocol.Update(update):
                self._apply(update)
            case protocol.AwarenessUpdate(states):
                self._hear(states)
            case protocol.Saved(position, count):
                self.position, self._acknowledged = position, max(self._acknowledged, count)
            case _:
                pass

    def _apply(self, update: bytes) -> None:
        try:
            self._replica.apply(update)
        except ValueError as error:
            raise ProtocolError(f"the server sent an update that cannot be read: {error}") from error

    def _hear(self, states: Any) -> None:
        for each in states:
            if each.client == self._replica.client or each.clock < self.others.get(each.client, (-1, None))[0]:
                continue
            if each.state == "null":
                self.others.pop(each.client, None)
            else:
                self.others[each.client] = (each.clock, json.loads(each.state))

    @property
    def present(self) -> Mapping[int, Any]:
        return {client: state for client, (_, state) in self.others.items()}
