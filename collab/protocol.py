"""Yjs wire messages and bytes, each way, with bounded decoding. PURE.

A message is one WebSocket frame (y-websocket, y-protocols 1.0.7):

    0 0 state vector      SyncStep1        1 awareness update      AwarenessUpdate
    0 1 update            SyncStep2        2 0 reason              Auth
    0 2 update            Update           3                       QueryAwareness
    8 1 position count    Saved            8 2 token               Token          (subprotocol quire.v1)

Numbers are lib0's varints: seven bits a byte, lowest first. Byte strings and strings have their length in bytes in front.

Promises of `decode`: it returns a message or raises ProtocolError, which says what was wrong and at which byte, or
TooLarge for a frame beyond `limit`; it never reads past the frame, reads at most ten bytes for a number, allocates no
more than the frame holds, and takes time linear in the frame. A state vector it returns is well-formed; an update is
opaque here (`collab.gate` walks it); an awareness state is text whose JSON nobody has parsed yet. A kind that is not
known gives Unknown, to be ignored: later versions may add some. Bytes after the message are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from collab.errors import ProtocolError, TooLarge
from collab.ids import ClientId

MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one frame: eight times the largest text, since a state carries its tombstones along."""

STATE_LIMIT: Final = 8 * 1024
"""Bytes of one client's awareness JSON. More than presence admits of its own: stock peers repeat what others were
stamped with."""

STATES_LIMIT: Final = 4096
"""Clients in one awareness message; a stock peer repeats everybody it has heard of."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript holds exactly; lib0 throws beyond it."""

MAX_CLOCK: Final = 2**31 - 1
"""The largest clock that the gate lets into a document: the decoder's own would wrap at 2^32."""

VARINT_BYTES: Final = 10

# y-protocols: messageSync, messageAwareness, messageAuth, messageQueryAwareness
SYNC: Final = 0
AWARENESS: Final = 1
AUTH: Final = 2
QUERY_AWARENESS: Final = 3
QUIRE: Final = 8

# y-protocols/sync: messageYjsSyncStep1, messageYjsSyncStep2, messageYjsUpdate
STEP_1: Final = 0
STEP_2: Final = 1
UPDATE: Final = 2

# y-protocols/auth: messagePermissionDenied
DENIED: Final = 0

SAVED: Final = 1
TOKEN: Final = 2


class SyncStep1(msgspec.Struct, frozen=True):
    state_vector: bytes


class SyncStep2(msgspec.Struct, frozen=True):
    update: bytes


class Update(msgspec.Struct, frozen=True):
    update: bytes


class ClientState(msgspec.Struct, frozen=True):
    """One client's awareness: `state` is JSON as it was sent; "null" says that the client is gone."""

    client: ClientId
    clock: int
    state: str


class AwarenessUpdate(msgspec.Struct, frozen=True):
    states: tuple[ClientState, ...]


class QueryAwareness(msgspec.Struct, frozen=True):
    pass


class Auth(msgspec.Struct, frozen=True):
    reason: str


class Saved(msgspec.Struct, frozen=True):
    """The first `count` updates that this socket sent are durable; the document stands at `position`."""

    position: int
    count: int


class Token(msgspec.Struct, frozen=True):
    token: str


class Unknown(msgspec.Struct, frozen=True):
    kind: int


Message: TypeAlias = SyncStep1 | SyncStep2 | Update | AwarenessUpdate | QueryAwareness | Auth | Saved | Token | Unknown


class Reader:
    """A cursor over bytes. Every read checks what is left first; a failed one raises ProtocolError."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)

    def integer(self, what: str, most: int = MAX_INTEGER) -> int:
        """An unsigned varint, at most `most`."""
        start = self.pos
        value = shift = 0
        for pos in range(start, min(start + VARINT_BYTES, self.end)):
            byte = self.data[pos]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > most:
                    raise malformed(f"{what} is {value}, more than {most}", start)
                self.pos = pos + 1
                return value
            shift += 7
        if self.end - start >= VARINT_BYTES:
            raise malformed(f"{what} is a number of more than {VARINT_BYTES} bytes", start)
        raise malformed(f"the message ends inside {what}", start)

    def blob(self, what: str) -> bytes:
        """A byte string: its length, then so many bytes."""
        start = self.pos
        length = self.integer(f"the length of {what}")
        stop = self.pos + length
        if stop > self.end:
            raise malformed(f"{what} has {length} bytes, but {self.end - self.pos} are left", start)
        value = self.data[self.pos : stop]
        self.pos = stop
        return value

    def string(self, what: str, most: int = MAX_INTEGER) -> str:
        """A string of at most `most` bytes of UTF-8."""
        start = self.pos
        raw = self.blob(what)
        if len(raw) > most:
            raise malformed(f"{what} has {len(raw)} bytes, more than {most}", start)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            where = self.pos - len(raw) + error.start
            raise malformed(f"{what} is not UTF-8", where) from error

    def close(self) -> None:
        """Nothing may follow: one frame holds one message."""
        if self.pos != self.end:
            raise malformed(f"{self.end - self.pos} bytes follow the message", self.pos)


def malformed(what: str, pos: int) -> ProtocolError:
    return ProtocolError(f"{what}, at byte {pos}", details={"byte": pos})


def decode(
    data: bytes,
    *,
    limit: int = MESSAGE_LIMIT,
    state_limit: int = STATE_LIMIT,
    states_limit: int = STATES_LIMIT,
) -> Message:
    """The message in one frame. See the module's promises."""
    size = len(data)
    if size > limit:
        raise TooLarge(f"a message of {size} bytes; the limit is {limit}", details={"limit": limit})
    # A keystroke: 0, 2, a length below 128, the update. Everything else may take its time.
    if 3 <= size <= 130 and data[0] == SYNC and data[1] == UPDATE and data[2] == size - 3:
        return Update(data[3:])
    reader = Reader(data)
    kind = reader.integer("the kind of message")
    if kind == SYNC:
        message = _sync(reader)
    elif kind == AWARENESS:
        message = _awareness(reader, state_limit, states_limit)
    elif kind == AUTH:
        message = _auth(reader)
    elif kind == QUERY_AWARENESS:
        message = QueryAwareness()
    elif kind == QUIRE:
        message = _quire(reader)
    else:
        message = Unknown(kind)
    if not isinstance(message, Unknown):
        reader.close()
    return message


def _sync(reader: Reader) -> Message:
    start = reader.pos
    step = reader.integer("the kind of sync message")
    if step == UPDATE:
        return Update(reader.blob("the update"))
    if step == STEP_2:
        return SyncStep2(reader.blob("the update"))
    if step == STEP_1:
        blob = reader.blob("the state vector")
        _read_state_vector(Reader(reader.data[: reader.pos], reader.pos - len(blob)))
        return SyncStep1(blob)
    raise malformed(f"{step} is no sync message (0, 1 or 2)", start)


def _awareness(reader: Reader, state_limit: int, states_limit: int) -> AwarenessUpdate:
    blob = reader.blob("the awareness update")
    inner = Reader(reader.data[: reader.pos], reader.pos - len(blob))
    start = inner.pos
    count = inner.integer("the number of awareness states")
    if count > states_limit:
        raise malformed(f"{count} awareness states, more than {states_limit}", start)
    states = []
    for _ in range(count):
        client = ClientId(inner.integer("a client id"))
        clock = inner.integer("an awareness clock")
        states.append(ClientState(client, clock, inner.string("an awareness state", state_limit)))
    inner.close()
    return AwarenessUpdate(tuple(states))


def _auth(reader: Reader) -> Message:
    if reader.integer("the kind of auth message") == DENIED:
        return Auth(reader.string("the reason"))
    return Unknown(AUTH)


def _quire(reader: Reader) -> Message:
    kind = reader.integer("the kind of quire message")
    if kind == SAVED:
        return Saved(reader.integer("the position"), reader.integer("the count"))
    if kind == TOKEN:
        return Token(reader.string("the token"))
    return Unknown(QUIRE)


def decode_state_vector(data: bytes) -> dict[ClientId, int]:
    """Clocks by client: how many units of each client its holder has."""
    return _read_state_vector(Reader(data))


def _read_state_vector(reader: Reader) -> dict[ClientId, int]:
    start = reader.pos
    count = reader.integer("the number of clients")
    if count > (reader.end - reader.pos) // 2:
        raise malformed(f"a state vector of {count} clients in {reader.end - reader.pos} bytes", start)
    clocks: dict[ClientId, int] = {}
    for _ in range(count):
        start = reader.pos
        client = ClientId(reader.integer("a client id"))
        if client in clocks:
            raise malformed(f"client {client} occurs twice in a state vector", start)
        clocks[client] = reader.integer("a clock", MAX_CLOCK)
    reader.close()
    return clocks


def encode_state_vector(clocks: Mapping[ClientId, int]) -> bytes:
    """As Yjs writes it: higher client ids first."""
    out = bytearray(varint(len(clocks)))
    for client, clock in sorted(clocks.items(), reverse=True):
        out += varint(client)
        out += varint(clock)
    return bytes(out)


def sync_step1(state_vector: bytes) -> bytes:
    return b"\0\0" + blob(state_vector)


def sync_step2(update: bytes) -> bytes:
    return b"\0\1" + blob(update)


def update(update: bytes) -> bytes:
    return b"\0\2" + blob(update)


def awareness(states: Iterable[ClientState]) -> bytes:
    listed = tuple(states)
    out = bytearray(varint(len(listed)))
    for state in listed:
        out += varint(state.client)
        out += varint(state.clock)
        out += string(state.state)
    return b"\1" + blob(bytes(out))


def query_awareness() -> bytes:
    return b"\3"


def denied(reason: str) -> bytes:
    return b"\2\0" + string(reason)


def saved(position: int, count: int) -> bytes:
    return b"\x08\1" + varint(position) + varint(count)


def token(token: str) -> bytes:
    return b"\x08\2" + string(token)


_SINGLE: Final = tuple(bytes((value,)) for value in range(0x80))


def varint(value: int) -> bytes:
    """An integer from 0 to 2^53 - 1 as lib0 writes it."""
    if 0 <= value < 0x80:
        return _SINGLE[value]
    if not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"{value} is not between 0 and 2^53 - 1")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def blob(data: bytes) -> bytes:
    return varint(len(data)) + data


def string(text: str) -> bytes:
    """Half a surrogate pair, which JSON may name and UTF-8 cannot hold, becomes a question mark."""
    return blob(text.encode(errors="replace"))
