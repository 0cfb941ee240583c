"""Yjs wire messages, written once more and apart from the code under test, so that the two cannot be wrong together. PURE."""

from __future__ import annotations

from dataclasses import dataclass

SYNC, AWARENESS, AUTH, QUERY_AWARENESS, QUIRE = 0, 1, 2, 3, 8
STEP1, STEP2, UPDATE = 0, 1, 2
SAVED, TOKEN = 1, 2


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(128 | number & 127)
        number >>= 7
    out.append(number)
    return bytes(out)


def varbytes(data: bytes) -> bytes:
    return varint(len(data)) + data


def sync(kind: int, data: bytes) -> bytes:
    return bytes((SYNC, kind)) + varbytes(data)


def awareness(client: int, clock: int, state: str) -> bytes:
    """One client's state, `state` being JSON."""
    return bytes((AWARENESS,)) + varbytes(varint(1) + varint(client) + varint(clock) + varbytes(state.encode()))


@dataclass
class Reader:
    data: bytes
    at: int = 0

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def varbytes(self) -> bytes:
        length = self.varint()
        part = self.data[self.at : self.at + length]
        assert len(part) == length, "the server sent a short message"
        self.at += length
        return part

    def text(self) -> str:
        return self.varbytes().decode()


def states(data: bytes) -> list[tuple[int, int, str]]:
    """What an awareness message says: client, clock, JSON."""
    reader = Reader(data)
    return [(reader.varint(), reader.varint(), reader.text()) for _ in range(reader.varint())]


def state_vector(data: bytes) -> dict[int, int]:
    """The clock of every client."""
    reader = Reader(data)
    return {reader.varint(): reader.varint() for _ in range(reader.varint())}
