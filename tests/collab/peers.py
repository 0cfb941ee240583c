"""A Yjs peer inside the test's process: a real pycrdt document behind a session and its place in a room."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import anyio
from pycrdt import Doc, Text, TransactionEvent

from collab import protocol
from collab.ids import ActorId, ClientId
from collab.member import Member
from collab.outbox import Outbox
from collab.protocol import ClientState
from collab.room import Room
from collab.session import Join, News, Presence, Reply, Session

_numbers = count(1)


class Peer:
    def __init__(self, name: str, *, writes: bool = True, client: int | None = None) -> None:
        self.name = name
        self.writes = writes
        self.doc: Doc[Any] = Doc() if client is None else Doc(client_id=client)
        self.content: Text = self.doc.get("content", type=Text)
        self.saved = 0
        self.position = 0
        self.sent = 0
        self.denied = ""
        self.frames = 0
        self.synced = False
        self.states: dict[ClientId, ClientState] = {}
        self.room: Room | None = None
        self.member: Member
        self._subscription = self.doc.observe(self._changed)
        self._applying = False

    def connect(self, room: Room, *, limit: int | None = None) -> None:
        session = Session(next(_numbers), ActorId(self.name), {"name": self.name}, writes=self.writes, extended=True)
        self.member = Member(session, outbox=None if limit is None else Outbox(limit=limit))
        self.room, self.sent, self.saved, self.synced = room, 0, 0, False
        room.enter(self.member)
        self.send(protocol.sync_step1(self.doc.get_state()))

    def disconnect(self) -> None:
        """The socket is gone; what it had sent is on its way all the same."""
        assert self.room is not None
        self.room.leave(self.member)
        self.room = None

    def close(self) -> None:
        self.doc.unobserve(self._subscription)

    def send(self, frame: bytes) -> None:
        assert self.room is not None
        request = self.member.session.receive(frame)
        match request:
            case News():
                self.sent += 1
                self.room.submit(self.member, request)
            case Join(state_vector):
                self.room.join(self.member, state_vector)
            case Presence(states):
                self.room.tell_presence(self.member, states)
            case Reply(answer):
                self.member.send(answer)

    def here(self, clock: int = 1, state: str = '{"cursor":1}', client: int | None = None) -> None:
        self.send(protocol.awareness([ClientState(ClientId(client or self.doc.client_id), clock, state)]))

    @property
    def text(self) -> str:
        return str(self.content)

    def type(self, text: str, at: int | None = None) -> None:
        """`at` in bytes of UTF-8."""
        self.content.insert(len(self.content) if at is None else at, text)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Takes what the room sends until `condition` holds."""
        with anyio.fail_after(10):
            while not condition():
                await self.member.ready()
                if self.member.closing is not None:
                    raise AssertionError(f"{self.name} was closed: {self.member.closing}")
                self.take_all()

    async def until_closed(self) -> int:
        with anyio.fail_after(10):
            while self.member.closing is None:
                await self.member.ready()
                self.take_all()
        return int(self.member.closing.code)

    async def until_saved(self) -> None:
        await self.until(lambda: self.synced and 0 < self.sent == self.saved)

    def take_all(self) -> None:
        while self.member.outbox:
            self._take(self.member.outbox.take())
        if self.member.wants_difference and self.room is not None:
            self.room.catch_up(self.member)

    def _take(self, frame: bytes) -> None:
        self.frames += 1
        match protocol.decode(frame):
            case protocol.SyncStep1(state_vector):
                self.send(protocol.sync_step2(self.doc.get_update(state_vector)))
            case protocol.SyncStep2(update):
                self._apply(update)
                self.synced = True
            case protocol.Update(update):
                self._apply(update)
            case protocol.Saved(position, number):
                self.position, self.saved = position, number
            case protocol.AwarenessUpdate(states):
                for state in states:
                    self.states[state.client] = state
            case protocol.Auth(reason):
                self.denied = reason

    def _apply(self, update: bytes) -> None:
        self._applying = True
        self.doc.apply_update(update)
        self._applying = False

    def _changed(self, event: TransactionEvent) -> None:
        if not self._applying and self.room is not None:
            self.send(protocol.update(event.update))
