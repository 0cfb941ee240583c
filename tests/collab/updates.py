"""Yjs updates by hand: made of structs, and read back into them, plainly. The oracle for `collab.gate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collab.ids import ClientId
from collab.protocol import Reader, string, varint

Id = tuple[int, int]
Spans = tuple[tuple[int, int], ...]
"""Clocks from (inclusive) to (exclusive)."""

GC, DELETED, STRING, SKIP = 0, 1, 4, 10


@dataclass(frozen=True)
class Struct:
    """`text` for a string; `length` in UTF-16 code units."""

    kind: int
    length: int
    origin: Id | None = None
    right: Id | None = None
    text: str = ""

    def encode(self, root: str = "content") -> bytes:
        if self.kind in (GC, SKIP):
            return varint(self.kind) + varint(self.length)
        flags = (0x80 if self.origin else 0) | (0x40 if self.right else 0)
        ids = b"".join(varint(client) + varint(clock) for client, clock in filter(None, (self.origin, self.right)))
        parent = b"" if flags else b"\1" + string(root)
        content = string(self.text) if self.kind == STRING else varint(self.length)
        return bytes((self.kind | flags,)) + ids + parent + content


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def item(text: str, origin: Id | None = None, right: Id | None = None) -> Struct:
    return Struct(STRING, units(text), origin, right, text)


def gone(length: int, origin: Id | None = None, right: Id | None = None) -> Struct:
    return Struct(DELETED, length, origin, right)


def gc(length: int) -> Struct:
    return Struct(GC, length)


def skip(length: int) -> Struct:
    return Struct(SKIP, length)


def block(client: int, clock: int, *structs: Struct | bytes) -> bytes:
    encoded = [struct if isinstance(struct, bytes) else struct.encode() for struct in structs]
    return varint(len(encoded)) + varint(client) + varint(clock) + b"".join(encoded)


def deletions(ranges: Mapping[int, Iterable[tuple[int, int]]]) -> bytes:
    """By client, clock and length."""
    out = varint(len(ranges))
    for client, listed in ranges.items():
        pairs = list(listed)
        out += varint(client) + varint(len(pairs))
        out += b"".join(varint(clock) + varint(length) for clock, length in pairs)
    return out


def update(*blocks: bytes, deletes: Mapping[int, Iterable[tuple[int, int]]] | None = None) -> bytes:
    return varint(len(blocks)) + b"".join(blocks) + deletions(deletes or {})


def nested(depth: int) -> bytes:
    """A value that is an array in an array, `depth` times: the decoder reads it by recursion, and overflows its stack."""
    # lib0's any: 117 an array and how many it holds, 126 null
    return update(block(1, 0, b"\x08\1" + string("content") + b"\1" + b"\x75\1" * depth + b"\x7e"))


@dataclass(frozen=True)
class Content:
    """What an update holds, as it says it."""

    structs: dict[ClientId, tuple[tuple[int, Struct], ...]]
    deletes: dict[ClientId, Spans]

    def spans(self, *kinds: int) -> dict[ClientId, Spans]:
        """Where the structs of these kinds are; neighbours are joined."""
        found: dict[ClientId, Spans] = {}
        for client, structs in self.structs.items():
            spans: list[tuple[int, int]] = []
            for clock, struct in structs:
                if struct.kind in kinds:
                    begin = spans.pop()[0] if spans and spans[-1][1] == clock else clock
                    spans.append((begin, clock + struct.length))
            if spans:
                found[client] = tuple(spans)
        return found


def read(data: bytes) -> Content:
    """For updates that are well-formed and hold text alone."""
    reader = Reader(data)
    structs: dict[ClientId, tuple[tuple[int, Struct], ...]] = {}
    for _ in range(reader.integer("clients")):
        count = reader.integer("structs")
        client = ClientId(reader.integer("a client"))
        clock = reader.integer("a clock")
        found = []
        for _ in range(count):
            struct = _read_struct(reader)
            found.append((clock, struct))
            clock += struct.length
        structs[client] = tuple(found)
    deletes: dict[ClientId, Spans] = {}
    for _ in range(reader.integer("clients")):
        client = ClientId(reader.integer("a client"))
        pairs = [(reader.integer("a clock"), reader.integer("a length")) for _ in range(reader.integer("ranges"))]
        deletes[client] = tuple((clock, clock + length) for clock, length in pairs)
    reader.close()
    return Content(structs, deletes)


def _read_struct(reader: Reader) -> Struct:
    info = reader.data[reader.pos]
    reader.pos += 1
    kind = info & 0x1F
    if info in (GC, SKIP):
        return Struct(kind, reader.integer("a length"))
    origin = _read_id(reader) if info & 0x80 else None
    right = _read_id(reader) if info & 0x40 else None
    if not info & 0xC0:
        assert reader.integer("the parent's kind") == 1
        assert reader.string("the root") == "content"
    if kind == STRING:
        return item(reader.string("a text"), origin, right)
    assert kind == DELETED
    return gone(reader.integer("a length"), origin, right)


def _read_id(reader: Reader) -> Id:
    return reader.integer("a client"), reader.integer("a clock")
