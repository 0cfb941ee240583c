"""A peer in the same process as the room, over a wire that the test holds still: frames move when it says so, and only then.

What a socket guarantees holds: frames of one connection arrive in order, or not at all; a dropped connection loses what was
under way, in both directions. Everything else (when, in which order among peers) is the test's choice.
"""

from __future__ import annotations

from collections import deque
from itertools import count

from pycrdt import Doc, Text, TransactionEvent

from collab.errors import ProtocolError
from collab.ids import ActorId
from collab.member import CloseCode, Member
from collab.room import Room
from collab.session import AskPresence, Join, News, Presence, Reply, Session
from tests.harness import wire

NUMBERS = count(1)


class LocalPeer:
    """Not connected at first. `offline` edits are carried by the next `connect`."""

    def __init__(self, name: str, doc: Doc[Text] | None = None) -> None:
        self.name = name
        self.actor = ActorId(name)
        self.doc: Doc[Text] = doc if doc is not None else Doc()
        self.text = self.doc.get("content", type=Text)
        self.edits = 0
        self.durable = 0
        self.refused: list[int] = []
        self._room: Room | None = None
        self._member: Member | None = None
        self._out: deque[tuple[bytes, int | None]] = deque()
        self._sent: list[int] = []
        self._applying = False
        self.doc.observe(self._noticed)

    # the document

    def __str__(self) -> str:
        return str(self.text)

    def edit(self, at: float, delete: int, insert: str) -> None:
        """Somewhere (0 the beginning, 1 the end), in whole code points."""
        before = str(self.text)
        index = round(at * len(before))
        start = len(before[:index].encode())
        end = start + len(before[index : index + delete].encode())
        self.edits += bool(end > start or insert)
        with self.doc.transaction():
            if end > start:
                del self.text[start:end]
            if insert:
                self.text.insert(start, insert)

    def overhear(self, other: LocalPeer) -> None:
        """Two tabs of one browser tell each other what they have, past the server."""
        self._apply(other.doc.get_update(self.doc.get_state()))

    def _noticed(self, event: TransactionEvent) -> None:
        if not self._applying and self.connected:
            self._post(wire.sync(wire.UPDATE, event.update), news=True)

    def _apply(self, update: bytes) -> None:
        self._applying = True
        self.doc.apply_update(update)
        self._applying = False

    # the wire

    @property
    def connected(self) -> bool:
        return self._member is not None and self._member.closing is None

    def connect(self, room: Room) -> None:
        self.drop()
        session = Session(next(NUMBERS), self.actor, {"id": self.actor}, writes=True, extended=True)
        self._room, self._member = room, Member(session)
        room.users += 1
        self._sent.clear()
        room.enter(self._member)
        self._post(wire.sync(wire.STEP1, self.doc.get_state()))

    def drop(self) -> None:
        """Whatever is under way is lost."""
        if self._room is not None and self._member is not None:
            self._room.leave(self._member)
            self._room.users -= 1
        self._room = self._member = None
        self._out.clear()

    def _post(self, frame: bytes, *, news: bool = False) -> None:
        self._out.append((frame, self.edits if news else None))

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self._out and not (self._member is not None and self._member.outbox)

    def send(self, frames: int) -> None:
        """So many frames arrive at the server."""
        for _ in range(min(frames, len(self._out))):
            frame, edits = self._out.popleft()
            if edits is not None:
                self._sent.append(edits)
            self._deliver(frame)

    def receive(self, frames: int) -> None:
        """So many frames arrive here; a close code when the server hung up."""
        member = self._member
        if member is None:
            return
        for _ in range(frames):
            if not member.outbox:
                break
            self._take(wire.Reader(member.outbox.take()))
        if member.closing is not None and not member.outbox:
            self._hung_up(member.closing.code)
        elif member.outbox.behind is not None and not member.owed_difference and self._room is not None:
            self._room.catch_up(member)

    def _hung_up(self, code: CloseCode) -> None:
        if 4400 <= code < 4500:
            self.refused.append(code)
        self.drop()

    def _deliver(self, frame: bytes) -> None:
        room, member = self._room, self._member
        if room is None or member is None or member.closing is not None:
            return
        try:
            request = member.session.receive(frame)
        except ProtocolError as error:
            member.close(CloseCode.BAD_MESSAGE, error.message)
            return
        match request:
            case Join(state_vector):
                room.join(member, state_vector)
            case News():
                room.submit(member, request)
            case Presence(states):
                room.tell_presence(member, states)
            case AskPresence():
                room.answer_presence(member)
            case Reply(answer):
                member.send(answer)

    def _take(self, message: wire.Reader) -> None:
        match message.varint():
            case wire.SYNC:
                kind, data = message.varint(), message.varbytes()
                if kind == wire.STEP1:
                    self._post(wire.sync(wire.STEP2, self.doc.get_update(data)), news=True)
                else:
                    self._apply(data)
            case wire.QUIRE if message.varint() == wire.SAVED:
                _, saved = message.varint(), message.varint()
                assert saved <= len(self._sent), f"saved {saved} of {len(self._sent)} messages"
                self.durable = max(self.durable, self._sent[saved - 1])
