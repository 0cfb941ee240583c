"""What packs, and what lies loose, is made of: headers of entries, deltas, commits, tags. PURE.

An object is named by an `Oid`: 20 raw bytes. In a pack an entry is a header (its type and the size of its content), for a
delta what it is made of, and then a zlib stream. Bytes that cannot be raise `ProtocolError`.

See git's gitformat-pack for the clauses.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NewType, Protocol, overload

from collab.errors import ProtocolError

Oid = NewType("Oid", bytes)

SIGNATURE: Final = b"PACK"
HEADER: Final = 12
TRAILER: Final = 20
VARINT_LONGEST: Final = 10
"""Bytes: 64 bits are more than any size or distance that there is."""

DIRECTORY: Final = 0o040000
SUBMODULE: Final = 0o160000


class Bytes(Protocol):
    """Bytes, or a mapped file."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, at: int, /) -> int: ...

    @overload
    def __getitem__(self, at: slice, /) -> bytes: ...


class Kind(enum.IntEnum):
    """The types of objects, and the two kinds of deltas, as a pack numbers them."""

    COMMIT = 1
    TREE = 2
    BLOB = 3
    TAG = 4
    OFS_DELTA = 6
    REF_DELTA = 7


DELTAS: Final = (Kind.OFS_DELTA, Kind.REF_DELTA)

NAMES: Final[dict[Kind, bytes]] = {
    Kind.COMMIT: b"commit",
    Kind.TREE: b"tree",
    Kind.BLOB: b"blob",
    Kind.TAG: b"tag",
}
KINDS: Final = {name: kind for kind, name in NAMES.items()}


@dataclass(frozen=True, slots=True)
class Head:
    """`size` is that of the content, of a delta that of the delta. `content`: where the zlib stream begins. `base`: the
    offset (OFS_DELTA) or the name (REF_DELTA) of what it is made of."""

    kind: Kind
    size: int
    content: int
    base: int | Oid | None = None


def pack_header(objects: int) -> bytes:
    return SIGNATURE + (2).to_bytes(4, "big") + objects.to_bytes(4, "big")


def parse_pack_header(data: bytes) -> int:
    """How many objects the pack says that it has."""
    if data[:4] != SIGNATURE:
        raise ProtocolError(f"this is no pack: it begins with {data[:4]!r}")
    version = int.from_bytes(data[4:8], "big")
    if version not in (2, 3) or len(data) < HEADER:
        raise ProtocolError(f"a pack of version {version} is not known here, only 2 and 3")
    return int.from_bytes(data[8:12], "big")


def parse_head(data: Bytes, at: int) -> Head:
    """Of the entry at `at`."""
    start = at
    byte, at = _byte(data, at)
    number, size, shift = (byte >> 4) & 7, byte & 15, 4
    while byte & 0x80:
        byte, at = _byte(data, at)
        size |= (byte & 0x7F) << shift
        shift += 7
        if shift > 60:
            raise ProtocolError(f"the size of the entry at {start} has no end")
    try:
        kind = Kind(number)
    except ValueError:
        raise ProtocolError(f"the entry at {start} is of type {number}, which there is not") from None
    if kind is Kind.OFS_DELTA:
        distance, at = _distance(data, at)
        if not 0 < distance <= start - HEADER:
            raise ProtocolError(f"the delta at {start} is made of something {distance} bytes before it")
        return Head(kind, size, at, start - distance)
    if kind is Kind.REF_DELTA:
        name = bytes(data[at : at + 20])
        if len(name) < 20:
            raise ProtocolError(f"the entry at {start} is cut short")
        return Head(kind, size, at + 20, Oid(name))
    return Head(kind, size, at)


def head(kind: Kind, size: int, *, distance: int = 0, base: Oid | None = None) -> bytes:
    """The header of an entry; of a delta with its base: by `distance` (OFS_DELTA), or by name (REF_DELTA)."""
    out = bytearray()
    byte = (kind << 4) | (size & 15)
    size >>= 4
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    if kind is Kind.OFS_DELTA:
        out += _encoded_distance(distance)
    elif kind is Kind.REF_DELTA:
        assert base is not None
        out += base
    return bytes(out)


def _distance(data: Bytes, at: int) -> tuple[int, int]:
    byte, at = _byte(data, at)
    value = byte & 0x7F
    for _ in range(VARINT_LONGEST):
        if not byte & 0x80:
            return value, at
        byte, at = _byte(data, at)
        value = ((value + 1) << 7) | (byte & 0x7F)
    raise ProtocolError(f"the distance at {at} has no end")


def _encoded_distance(distance: int) -> bytes:
    out = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        out.append(0x80 | (distance & 0x7F))
        distance >>= 7
    return bytes(reversed(out))


def delta_sizes(delta: bytes) -> tuple[int, int]:
    """Of what it is made of, and of what it makes."""
    source, at = _varint(delta, 0)
    target, _ = _varint(delta, at)
    return source, target


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for _ in range(VARINT_LONGEST):
        byte, at = _byte(data, at)
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise ProtocolError("a size in a delta has no end")


def _byte(data: Bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ProtocolError("the pack is cut short")
    return data[at], at + 1


# -- what is in objects ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Commit:
    """`time`: of the committer, in seconds since the epoch."""

    tree: Oid
    parents: tuple[Oid, ...]
    time: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a tree's."""

    name: bytes
    mode: int
    oid: Oid


def parse_commit(content: bytes) -> Commit:
    tree, parents, time = None, [], 0
    for row in content.partition(b"\n\n")[0].split(b"\n"):
        key, _, value = row.partition(b" ")
        if key == b"tree" and tree is None:
            tree = oid(value)
        elif key == b"parent":
            parents.append(oid(value))
        elif key == b"committer":
            time = _time(value)
            break
    if tree is None:
        raise ProtocolError("a commit names no tree")
    return Commit(tree, tuple(parents), time)


def _time(signature: bytes) -> int:
    """Bad ones exist in old histories; they count as the beginning of time, as in git."""
    words = signature.rpartition(b">")[2].split()
    return int(words[0]) if words and words[0].isdigit() and len(words[0]) < 19 else 0


def parse_tag(content: bytes) -> tuple[Oid, Kind]:
    """What it names, and of which type that is."""
    rows = dict(row.partition(b" ")[::2] for row in content.partition(b"\n\n")[0].split(b"\n")[:2])
    kind = KINDS.get(rows.get(b"type", b""))
    if b"object" not in rows or kind is None:
        raise ProtocolError("a tag names no object, or says not what that is")
    return oid(rows[b"object"]), kind


def parse_tree(content: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(content):
        space, end = content.find(b" ", at), content.find(b"\0", at)
        if not at < space < end or end + 21 > len(content):
            raise ProtocolError(f"a tree cannot be read beyond byte {at}")
        try:
            mode = int(content[at:space], 8)
        except ValueError:
            raise ProtocolError(f"a tree has the mode {content[at:space][:20]!r}, which is no number") from None
        yield Entry(content[space + 1 : end], mode, Oid(content[end + 1 : end + 21]))
        at = end + 21


def oid(name: bytes | str) -> Oid:
    """40 hex digits -> the name."""
    try:
        found = bytes.fromhex(name if isinstance(name, str) else name.decode("ascii"))
    except ValueError:
        found = b""
    if len(found) != 20 or len(name) != 40:
        raise ProtocolError(f"{name[:60]!r} is no name of an object: it has 40 hex digits")
    return Oid(found)
