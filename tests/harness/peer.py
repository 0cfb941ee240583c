"""A peer over a real socket: a pycrdt document, the y-protocols, `quire.v1`.

Promises: an edit is sent as one Update while the socket is up, and is otherwise carried to the server by the sync of the next
`connect`; `durable` counts the edits that the server has called saved; `drop` cuts the socket without a good-bye. The server is
never asked for anything that stock peers do not ask for.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import anyio
from anyio.abc import TaskGroup
from pycrdt import Doc, Text, TransactionEvent
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake
from websockets.typing import Subprotocol

from tests.harness import wire
from tests.harness.server import ServerProcess
from tests.harness.until import auntil

LARGEST = 64 * 1024 * 1024


class Peer:
    """Made by `Crowd.peer`. `edits` counts the changes made here, `durable` those known to be saved."""

    def __init__(
        self, tasks: TaskGroup, address: str, *, subprotocol: str | None, doc: Doc[Text] | None = None
    ) -> None:
        self.address = address
        self.doc: Doc[Text] = doc if doc is not None else Doc()
        self.text = self.doc.get("content", type=Text)
        self.edits = 0
        self.durable = 0
        self.position = 0
        self.states: dict[int, tuple[int, str]] = {}
        self.denied: list[str] = []
        self.frames = 0
        self.code: int | None = None
        self.reason = ""
        self._tasks = tasks
        self._subprotocol = subprotocol
        self._socket: ClientConnection | None = None
        self._synced = anyio.Event()
        self._closed = anyio.Event()
        self._news = anyio.Event()
        self._outgoing: list[bytes] = []
        self._applying = False
        self._sent: list[int] = []
        self._clock = 0
        self.doc.observe(self._noticed)

    # the document

    def __str__(self) -> str:
        return str(self.text)

    async def insert(self, index: int, text: str) -> None:
        """At a code point."""
        await self.replace(index, 0, text)

    async def delete(self, index: int, length: int) -> None:
        await self.replace(index, length, "")

    async def append(self, text: str) -> None:
        await self.replace(len(str(self.text)), 0, text)

    async def replace(self, index: int, length: int, text: str) -> None:
        """One transaction; sent at once when there is a socket."""
        before = str(self.text)
        start = len(before[:index].encode())
        end = start + len(before[index : index + length].encode())
        self.edits += bool(end > start or text)
        with self.doc.transaction():
            if end > start:
                del self.text[start:end]
            if text:
                self.text.insert(start, text)
        await self._flush()

    def _noticed(self, event: TransactionEvent) -> None:
        if not self._applying:
            self._outgoing.append(event.update)

    def _apply(self, update: bytes) -> None:
        self._applying = True
        self.doc.apply_update(update)
        self._applying = False

    # the socket

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._closed.is_set()

    async def connect(self, *, synced: bool = True, buffer: int | None = None) -> None:
        """Also again, with the document as it is. Returns when the server's document has arrived, unless told not to wait.
        `buffer`: bytes that the system takes for this socket before this end reads."""
        assert not self.connected, "connected already"
        subprotocols = [Subprotocol(self._subprotocol)] if self._subprotocol else None
        connection = await websocket(
            self.address,
            subprotocols=subprotocols,
            compression=None,
            max_size=LARGEST,
            ping_interval=None,
            proxy=None,
            open_timeout=30,
            sock=None if buffer is None else self._small_socket(buffer),
        )
        self._socket = connection
        self._synced, self._closed = anyio.Event(), anyio.Event()
        self._outgoing.clear()
        self._sent.clear()
        self.code, self.reason = None, ""
        self.states.clear()
        self._tasks.start_soon(self._listen, connection, self._synced, self._closed)
        await self.send(wire.sync(wire.STEP1, self.doc.get_state()))
        if synced:
            await self.synced()

    def _small_socket(self, buffer: int) -> socket.socket:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        where = urlsplit(self.address)
        small.connect((where.hostname, where.port))
        small.setblocking(False)
        return small

    async def synced(self) -> None:
        with anyio.fail_after(30):
            await self._synced.wait()

    async def reconnect(self, *, seconds: float = 30) -> None:
        """Tries until there is a server again."""
        with anyio.fail_after(seconds):
            while True:
                try:
                    return await self.connect()
                except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                    await anyio.sleep(0.02)

    async def send(self, frame: bytes) -> None:
        """A frame as it is; into the void when the socket is gone."""
        assert self._socket is not None, "never connected"
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            return

    async def pass_on(self, update: bytes) -> None:
        """An update made elsewhere, as if it had been typed here."""
        self._apply(update)
        self.edits += 1
        self._sent.append(self.edits)
        await self.send(wire.sync(wire.UPDATE, update))

    async def tell(self, state_vector: bytes = b"\0") -> None:
        """Everything that whoever has `state_vector` lacks."""
        self._sent.append(self.edits)
        await self.send(wire.sync(wire.STEP2, self.doc.get_update(state_vector)))

    async def _flush(self) -> None:
        updates, self._outgoing = self._outgoing, []
        if not self.connected:
            return
        for update in updates:
            self._sent.append(self.edits)
            await self.send(wire.sync(wire.UPDATE, update))

    def drop(self) -> None:
        """The cable is pulled."""
        assert self._socket is not None, "never connected"
        self._socket.transport.abort()

    async def offline(self) -> None:
        """`drop`, and waits until this end knows."""
        self.drop()
        await self.closed()

    async def leave(self) -> None:
        """With a good-bye."""
        assert self._socket is not None, "never connected"
        await self._socket.close()
        await self.closed()

    async def closed(self) -> int:
        """Waits for the end of the socket; its close code."""
        with anyio.fail_after(30):
            await self._closed.wait()
        return self.code or 1006

    async def hears(self, condition: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
        """Until `condition` holds; it is looked at after every frame that arrives."""
        with anyio.move_on_after(seconds):
            while not condition():
                await self._news.wait()
        assert condition(), f"{what}: not within {seconds:g} s (closed with {self.code} {self.reason})"

    async def has(self, client: int, clock: int) -> None:
        """Until what `client` wrote up to `clock` has arrived."""
        await self.hears(lambda: self.clocks.get(client, 0) >= clock, f"clock {clock} of {client}")

    @property
    def clocks(self) -> dict[int, int]:
        return wire.state_vector(self.doc.get_state())

    def pause(self) -> None:
        """Stops reading: what the server sends stays in the sockets' buffers."""
        assert self._socket is not None, "never connected"
        self._socket.transport.pause_reading()

    def resume(self) -> None:
        assert self._socket is not None, "never connected"
        self._socket.transport.resume_reading()

    async def _listen(self, connection: ClientConnection, synced: anyio.Event, closed: anyio.Event) -> None:
        with suppress(ConnectionClosedError):  # how it ended stands in the code
            async for frame in connection:
                assert isinstance(frame, bytes), "the server sent text"
                self.frames += 1
                await self._receive(wire.Reader(frame), synced)
                self._ring()
        self.code, self.reason = connection.close_code, connection.close_reason or ""
        closed.set()
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _receive(self, message: wire.Reader, synced: anyio.Event) -> None:
        match message.varint():
            case wire.SYNC:
                await self._sync(message.varint(), message.varbytes(), synced)
            case wire.AWARENESS:
                self._presence(message.varbytes())
            case wire.AUTH:
                message.varint()
                self.denied.append(message.text())
            case wire.QUIRE if message.varint() == wire.SAVED:
                self._saved(message.varint(), message.varint())

    async def _sync(self, kind: int, data: bytes, synced: anyio.Event) -> None:
        if kind == wire.STEP1:
            await self.tell(data)
            return
        self._apply(data)
        if kind == wire.STEP2:
            synced.set()

    def _saved(self, position: int, count: int) -> None:
        assert count <= len(self._sent), f"saved {count} of {len(self._sent)} messages sent"
        self.position = position
        self.durable = max(self.durable, self._sent[count - 1])

    async def saved(self, *, seconds: float = 20) -> None:
        """Until everything edited here so far is durable. Needs `quire.v1`."""
        wanted = self.edits
        await self.hears(lambda: self.durable >= wanted, f"edit {wanted} saved", seconds=seconds)

    # presence

    @property
    def client(self) -> int:
        return self.doc.client_id

    async def show(self, **state: Any) -> None:
        """This peer's awareness state."""
        self._clock += 1
        await self.send(wire.awareness(self.client, self._clock, json.dumps(state)))

    def _presence(self, data: bytes) -> None:
        for client, clock, state in wire.states(data):
            known = self.states.get(client, (-1, ""))[0]
            if clock > known or (clock == known and state == "null"):
                self.states[client] = (clock, state)

    @property
    def present(self) -> Mapping[int, Any]:
        """The states of whoever is here, by client id."""
        return {client: json.loads(state) for client, (_, state) in self.states.items() if state != "null"}


class Crowd:
    """Peers that end with their test. Made by `crowd`."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.peers: list[Peer] = []
        self._tasks = tasks

    def peer(
        self,
        server: ServerProcess,
        project: str,
        path: str,
        *,
        token: str | None = None,
        document: str | None = None,
        subprotocol: str | None = "quire.v1",
        doc: Doc[Text] | None = None,
    ) -> Peer:
        """A peer that is not connected yet. `path` may be `~ID`."""
        query = {"token": server.token if token is None else token, **({"document": document} if document else {})}
        address = f"{server.sync}/{project}/{quote(path, safe='/~')}?{urlencode(query)}"
        peer = Peer(self._tasks, address, subprotocol=subprotocol, doc=doc)
        self.peers.append(peer)
        return peer

    async def join(self, server: ServerProcess, project: str, path: str, **options: Any) -> Peer:
        peer = self.peer(server, project, path, **options)
        await peer.connect()
        return peer


@asynccontextmanager
async def crowd() -> AsyncIterator[Crowd]:
    async with anyio.create_task_group() as tasks:
        people = Crowd(tasks)
        try:
            yield people
        finally:
            for peer in people.peers:
                if peer.connected:
                    peer.drop()
            tasks.cancel_scope.cancel()


async def alike(*peers: Peer, seconds: float = 20) -> str:
    """Waits until all peers hold the same text and state; that text."""

    def equal() -> bool:
        texts = {str(peer) for peer in peers}
        return len(texts) == 1 and all(peer.clocks == peers[0].clocks for peer in peers)

    await auntil(equal, "all peers alike", seconds=seconds)
    return str(peers[0])
