"""One connected peer's half of the sync protocol: bytes in, what they ask of the room out. PURE.

What it promises
1. `receive` gives exactly one request for every frame, or raises what the peer did wrong (ProtocolError, TooLarge).
2. SyncStep2 and Update messages are numbered from 1 in the order in which they came; `settle` says that one of them is
   durable (or brought nothing), and `saved` is the largest n such that messages 1..n all are.
3. Whoever may not write: his SyncStep2 is dropped unread (stock peers answer step 1 without being asked twice), his
   Update is answered with "permission denied"; neither is decoded, neither is counted.
4. Types it does not know are ignored, and reported as such, so that they can be counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from collab import gate, protocol
from collab.ids import ActorId
from collab.protocol import ClientState


@dataclass(frozen=True, slots=True)
class Join:
    """Wants what it lacks, compared with this state vector."""

    state_vector: bytes


@dataclass(frozen=True, slots=True)
class News:
    """An update that passed the walk; the room judges it."""

    number: int
    update: bytes
    walk: gate.Walk


@dataclass(frozen=True, slots=True)
class Presence:
    states: tuple[ClientState, ...]


@dataclass(frozen=True, slots=True)
class AskPresence:
    pass


@dataclass(frozen=True, slots=True)
class Reply:
    """Answered by the session itself."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Renew:
    """Goes on with this token (quire.v1)."""

    token: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do. `kind` is the message type when it was unknown."""

    kind: int | None = None


Request = Join | News | Presence | AskPresence | Reply | Renew | Ignored

DENIED = "permission denied: this token may read, not write"


class Session:
    def __init__(self, number: int, actor: ActorId, user: dict[str, Any], *, writes: bool, extended: bool) -> None:
        """`extended`: the peer speaks quire.v1 and is told what is saved."""
        self.number = number
        self.actor = actor
        self.user = user
        self.writes = writes
        self.extended = extended
        self.received = 0
        self._open: dict[int, None] = {}
        self._told = 0

    def receive(self, frame: bytes) -> Request:
        match protocol.decode(frame):
            case protocol.Update(update) | protocol.SyncStep2(update) if self.writes:
                walk = gate.walk(update)
                self.received += 1
                self._open[self.received] = None
                return News(self.received, update, walk)
            case protocol.Update():
                return Reply(protocol.denied(DENIED))
            case protocol.SyncStep1(state_vector):
                return Join(state_vector)
            case protocol.AwarenessUpdate(states):
                return Presence(states)
            case protocol.QueryAwareness():
                return AskPresence()
            case protocol.Token(token):
                return Renew(token)
            case protocol.Unknown(kind):
                return Ignored(kind)
            case _:
                return Ignored()

    def settle(self, number: int) -> None:
        """Message `number` is durable, or brought nothing that was not."""
        self._open.pop(number, None)

    @property
    def saved(self) -> int:
        return next(iter(self._open)) - 1 if self._open else self.received

    def news_of_saved(self) -> int | None:
        """`saved`, when it has grown since the last call and the peer wants to know."""
        saved = self.saved
        if saved == self._told or not self.extended:
            return None
        self._told = saved
        return saved

    def forget_told(self) -> None:
        """What it was told was dropped on the way: it must be told again."""
        self._told = 0
