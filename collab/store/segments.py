"""Entries of a document's log, packed: one column per field, then zlib. PURE.

What goes in comes out, each entry with its position, time, actor, turn and client ids. A segment holds consecutive
positions, at most `ENTRIES` entries; the first byte of its data is the version of this format.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, pairwise
from operator import or_
from typing import Any, Final

import msgspec

from collab.errors import Quarantined
from collab.ids import ClientId, Millis, Position
from collab.store.base import Entry, Line, Logged

ENTRIES: Final = 4096
"""At most so many entries to a segment: reading one of them decodes them all (some 10 ms)."""
WEIGHT: Final = 1 << 20
"""At most so many bytes of payloads to a segment, unless one entry alone is larger."""

_VERSION: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Segment:
    first: Position
    last: Position
    until: Millis
    """The time of the last entry."""
    weight: int
    """Bytes of its payloads, unpacked."""
    kinds: int
    """The `mask`s of the kinds of its entries."""
    data: bytes

    @property
    def full(self) -> bool:
        """Not worth opening again for more entries."""
        return self.last - self.first + 1 > ENTRIES // 2 or self.weight > WEIGHT // 2


class _Columns(msgspec.Struct, array_like=True):
    """Numbers repeat or grow by little, so that zlib leaves next to nothing of them; texts are listed once."""

    first: int
    times: list[int]
    """The first in full, then differences."""
    kinds: list[int]
    words: list[str]
    """Actor ids and turns; the columns below name them by their place, counted from 1; 0 is None."""
    actors: list[int]
    behalfs: list[int]
    turns: list[int]
    clients: list[int]
    """By their place in `client_sets`."""
    client_sets: list[tuple[ClientId, ...]]
    lengths: list[int]
    """Of the payloads."""
    payloads: bytes
    """As `_transposed`."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Columns)


def pack(entries: Sequence[Logged]) -> Iterator[Segment]:
    """Segments that hold `entries`, which are consecutive."""
    for chunk in _chunks(entries):
        yield Segment(
            first=chunk[0].position,
            last=chunk[-1].position,
            until=chunk[-1].at,
            weight=sum(len(logged.entry.payload) for logged in chunk),
            kinds=reduce(or_, {mask(logged.entry.kind) for logged in chunk}),
            data=_VERSION + zlib.compress(_encoder.encode(_columns(chunk)), 9),
        )


def unpack(data: bytes) -> list[Logged]:
    """The entries of a segment. `Quarantined` when it is not one."""
    return list(_entries(_read(data)))


def lines(data: bytes) -> Iterator[Line]:
    """As `unpack`, for whoever reads many and keeps none of them."""
    columns = _read(data)
    words: list[Any] = [None, *columns.words]
    times = accumulate(columns.times)
    payloads = _restored(columns.lengths, columns.payloads)
    rest = zip(times, columns.kinds, columns.actors, columns.behalfs, columns.turns, payloads, strict=True)
    for position, (at, kind, actor, behalf, turn, payload) in enumerate(rest, start=columns.first):
        yield Position(position), Millis(at), kind, words[actor], words[behalf], words[turn], payload


def _read(data: bytes) -> _Columns:
    if data[:1] != _VERSION:
        raise Quarantined(f"a packed segment of the log begins with {data[:1]!r}, which this version cannot read")
    try:
        return _decoder.decode(zlib.decompress(data[1:]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise Quarantined(f"a packed segment of the log cannot be decoded: {error}") from error


def mask(kind: int) -> int:
    """A bit for every kind; those that are far out share one."""
    return 1 << min(kind, 62)


def _chunks(entries: Sequence[Logged]) -> Iterator[list[Logged]]:
    chunk: list[Logged] = []
    weight = 0
    for logged in entries:
        size = len(logged.entry.payload)
        if chunk and (len(chunk) == ENTRIES or weight + size > WEIGHT):
            yield chunk
            chunk, weight = [], 0
        chunk.append(logged)
        weight += size
    if chunk:
        yield chunk


def _columns(chunk: Sequence[Logged]) -> _Columns:
    entries = [logged.entry for logged in chunk]
    words = _Places(start=1)
    client_sets = _Places(start=0)
    return _Columns(
        first=chunk[0].position,
        times=[chunk[0].at, *(after.at - before.at for before, after in pairwise(chunk))],
        kinds=[entry.kind for entry in entries],
        actors=words.of(entry.actor for entry in entries),
        behalfs=words.of(entry.on_behalf_of for entry in entries),
        turns=words.of(entry.turn for entry in entries),
        words=words.known,
        clients=client_sets.of(entry.clients for entry in entries),
        client_sets=client_sets.known,
        lengths=[len(entry.payload) for entry in entries],
        payloads=_transposed([entry.payload for entry in entries]),
    )


def _entries(columns: _Columns) -> Iterator[Logged]:
    words: list[Any] = [None, *columns.words]
    at = 0
    rest = zip(
        columns.times,
        columns.kinds,
        columns.actors,
        columns.behalfs,
        columns.turns,
        columns.clients,
        _restored(columns.lengths, columns.payloads),
        strict=True,
    )
    for position, (later, kind, actor, behalf, turn, clients, payload) in enumerate(rest, start=columns.first):
        at += later
        entry = Entry(
            kind=kind,
            actor=words[actor],
            payload=payload,
            on_behalf_of=words[behalf],
            turn=words[turn],
            clients=columns.client_sets[clients],
        )
        yield Logged(Position(position), Millis(at), entry)


# Keystrokes are updates of the same length that differ in a clock and a character: one below the other, they are columns
# of bytes that hardly change, and zlib makes a sixth of what it makes of them one after the other.


def _transposed(payloads: Sequence[bytes]) -> bytes:
    """The payloads in groups of the same length, each group column by column where that is worth it."""
    groups: dict[int, list[bytes]] = {}
    for payload in payloads:
        groups.setdefault(len(payload), []).append(payload)
    out = []
    for length, group in groups.items():
        rows = b"".join(group)
        if _has_columns(length, len(group)):
            out += [rows[column::length] for column in range(length)]
        else:
            out.append(rows)
    return b"".join(out)


def _restored(lengths: Sequence[int], transposed: bytes) -> Iterator[bytes]:
    """The payloads in their order, from how long each of them is."""
    groups: dict[int, Iterator[bytes]] = {}
    begin = 0
    for length, count in Counter(lengths).items():
        end = begin + length * count
        groups[length] = _rows(transposed[begin:end], length, count)
        begin = end
    return (next(groups[length]) for length in lengths)


def _rows(data: bytes, length: int, count: int) -> Iterator[bytes]:
    if _has_columns(length, count):
        rows = bytearray(len(data))
        for column in range(length):
            rows[column::length] = data[column * count : (column + 1) * count]
        data = bytes(rows)
    return (data[row * length : (row + 1) * length] for row in range(count))


def _has_columns(length: int, count: int) -> bool:
    return count >= 4 and length <= 512


class _Places:
    """Numbers values in the order in which they come first."""

    def __init__(self, *, start: int) -> None:
        self._start = start
        self._places: dict[Any, int] = {}

    def of(self, values: Iterable[Any]) -> list[int]:
        places, start = self._places, self._start
        return [0 if value is None else places.setdefault(value, len(places) + start) for value in values]

    @property
    def known(self) -> list[Any]:
        return list(self._places)
