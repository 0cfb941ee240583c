"""Which character of a text is which: the ids of a document's characters, in the order of the text. PURE.

A Yjs document names a character by the client that typed it and a clock that counts UTF-16 code units. Whoever wants to say
who wrote a character (collab.blame), or to point at one for longer than the next edit (collab.anchors), needs those names.
pycrdt gives them for ASCII alone: its sticky indices count bytes.

What it promises
1. The runs of `order` are all that was ever typed into the document, in the order in which its peers have it; without the
   deleted ones they are its text.
2. Near linear in the size of the encoding.

What breaks it: bytes that did not come out of an encoder (`ProtocolError`); a document that holds anything but one text.

Source of the algorithm: YATA, as in yjs/src/structs/Item.js (`integrate`). Items are cut beforehand wherever another one
hangs on their middle, so that each is a whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from collab.errors import ProtocolError
from collab.gate import walk
from collab.ids import ClientId

_NONE: Final = -1


class Run(NamedTuple):
    """Characters that one client typed one after the other. `length` counts clocks; `text` None: they were deleted."""

    client: ClientId
    clock: int
    length: int
    text: str | None


class _Item(NamedTuple):
    run: Run
    origin: tuple[ClientId, int] | None
    right: tuple[ClientId, int] | None


def order(update: bytes) -> list[Run]:
    """The runs of a document, from its whole encoding."""
    try:
        return list(_joined(_integrated(_pieces(update))))
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the encoding of a document cannot be read: {error!r}") from error


# -- reading ---------------------------------------------------------------------------------------------------------


class _Bytes:
    """Walks through an encoding that the gate has walked before."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self) -> int:
        data, at = self.data, self.at
        byte = data[at]
        at += 1
        value = byte & 0x7F
        shift = 7
        while byte >= 0x80:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
        self.at = at
        return value

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def id(self) -> tuple[ClientId, int]:
        return ClientId(self.number()), self.number()

    def string(self) -> str:
        length = self.number()
        self.at += length
        return self.data[self.at - length : self.at].decode()


def _items(reader: _Bytes) -> Iterator[_Item]:
    """Of every client in the order of their clocks. The kinds of struct are those that the gate lets in."""
    for _ in range(reader.number()):
        structs = reader.number()
        client, clock = reader.id()
        for _ in range(structs):
            info = reader.byte()
            kind = info & 0x1F
            if kind in (0, 10):  # collected, or skipped: nothing that stands anywhere
                clock += reader.number()
                continue
            origin = reader.id() if info & 0x80 else None
            right = reader.id() if info & 0x40 else None
            if not info & 0xC0:
                reader.number()  # the parent is a root
                reader.string()
            text = reader.string() if kind == 4 else None
            length = reader.number() if text is None else len(text.encode("utf-16-le")) // 2
            yield _Item(Run(client, clock, length, text), origin, right)
            clock += length


def _deletions(reader: _Bytes) -> dict[ClientId, list[tuple[int, int]]]:
    """Ranges of clocks, ascending."""
    found: dict[ClientId, list[tuple[int, int]]] = {}
    for _ in range(reader.number()):
        client = ClientId(reader.number())
        ranges = []
        for _ in range(reader.number()):
            clock = reader.number()
            ranges.append((clock, clock + reader.number()))
        found[client] = sorted(ranges)
    return found


def _pieces(update: bytes) -> list[_Item]:
    """The items, cut wherever something hangs on them or is deleted of them."""
    cuts = {client: sorted(set(places)) for client, places in walk(update).cuts.items()}
    reader = _Bytes(update)
    items = list(_items(reader))
    deleted = _deletions(reader)
    return [
        _marked(piece, deleted.get(piece.run.client, ()))
        for item in items
        for piece in _cut(item, cuts.get(item.run.client, ()))
    ]


def _cut(item: _Item, places: Sequence[int]) -> Iterator[_Item]:
    run = item.run
    first = bisect_right(places, run.clock)
    inside = places[first : bisect_right(places, run.clock + run.length - 1)]
    if not inside:
        yield item
        return
    origin = item.origin
    edges = [run.clock, *inside, run.clock + run.length]
    units = None if run.text is None else run.text.encode("utf-16-le")
    for start, end in pairwise(edges):
        text = None if units is None else units[(start - run.clock) * 2 : (end - run.clock) * 2].decode("utf-16-le")
        yield _Item(Run(run.client, start, end - start, text), origin, item.right)
        origin = (run.client, end - 1)


def _marked(item: _Item, deleted: Sequence[tuple[int, int]]) -> _Item:
    if item.run.text is None or not deleted:
        return item
    n = bisect_right(deleted, (item.run.clock, 1 << 62)) - 1
    if n >= 0 and deleted[n][0] <= item.run.clock < deleted[n][1]:
        return item._replace(run=item.run._replace(text=None))
    return item


# -- putting in order ------------------------------------------------------------------------------------------------


def _integrated(items: Sequence[_Item]) -> Iterator[Run]:
    """YATA. An item is in once its neighbours are; the text is a list that is linked both ways, by numbers of items."""
    starts = {(item.run.client, item.run.clock): n for n, item in enumerate(items)}
    ends = {(item.run.client, item.run.clock + item.run.length - 1): n for n, item in enumerate(items)}
    origins = [_NONE if item.origin is None else ends[item.origin] for item in items]
    rights = [_NONE if item.right is None else starts[item.right] for item in items]
    clients = [item.run.client for item in items]
    after = [_NONE] * len(items)
    first = _NONE

    def place(n: int) -> int:
        """What it stands behind."""
        left, right = origins[n], rights[n]
        other = after[left] if left != _NONE else first
        if other == right:
            return left
        before_origin: set[int] = set()
        conflicting: set[int] = set()
        while other not in (_NONE, right):
            before_origin.add(other)
            conflicting.add(other)
            if origins[other] == origins[n]:
                if clients[other] < clients[n]:
                    left = other
                    conflicting.clear()
                elif rights[other] == rights[n]:
                    break
            elif origins[other] in before_origin:
                if origins[other] not in conflicting:
                    left = other
                    conflicting.clear()
            else:
                break
            other = after[other]
        return left

    for n in _dependable(items, origins, rights):
        left = place(n)
        if left == _NONE:
            after[n], first = first, n
        else:
            after[n], after[left] = after[left], n
    at = first
    while at != _NONE:
        yield items[at].run
        at = after[at]


def _dependable(items: Sequence[_Item], origins: Sequence[int], rights: Sequence[int]) -> Iterator[int]:
    """The items so that each comes after those that it hangs on, and after those of its client before it. The gate has
    seen to it that there is such an order."""
    done = bytearray(len(items))
    previous = [n - 1 if n and items[n - 1].run.client == item.run.client else _NONE for n, item in enumerate(items)]
    for first in range(len(items)):
        stack = [first]
        while stack:
            n = stack[-1]
            if done[n]:
                stack.pop()
                continue
            missing = [each for each in (origins[n], rights[n], previous[n]) if each != _NONE and not done[each]]
            if missing:
                stack.extend(missing)
            else:
                done[n] = 1
                stack.pop()
                yield n


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """Neighbours that were cut only for the work are one again."""
    held: Run | None = None
    for run in runs:
        if (
            held is not None
            and held.client == run.client
            and held.clock + held.length == run.clock
            and (held.text is None) == (run.text is None)
        ):
            text = None if held.text is None or run.text is None else held.text + run.text
            held = Run(held.client, held.clock, held.length + run.length, text)
            continue
        if held is not None:
            yield held
        held = run
    if held is not None:
        yield held


# -- names and places ------------------------------------------------------------------------------------------------


class Order:
    """Looks up names and places in one state of a document. Places are in code points of its text."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._begins: list[int] = []
        self._by_client: defaultdict[ClientId, list[tuple[int, int]]] = defaultdict(list)
        at = 0
        for n, run in enumerate(runs):
            self._begins.append(at)
            self._by_client[run.client].append((run.clock, n))
            at += 0 if run.text is None else len(run.text)
        self.length = at
        for places in self._by_client.values():
            places.sort()

    def id_at(self, place: int) -> tuple[ClientId, int]:
        """The name of the character at a place. `IndexError` at the end of the text and beyond."""
        if not 0 <= place < self.length:
            raise IndexError(place)
        n = bisect_right(self._begins, place) - 1  # the last that begins here is the one that is not deleted
        run = self.runs[n]
        assert run.text is not None  # it reaches further than it begins
        before = run.text[: place - self._begins[n]]
        return run.client, run.clock + len(before.encode("utf-16-le")) // 2

    def place_of(self, client: ClientId, clock: int) -> tuple[int, bool] | None:
        """Where the character of this name stands, and whether it is still there; of one that was deleted, where it stood.
        None: nobody has typed it (yet)."""
        places = self._by_client.get(client, [])
        n = bisect_right(places, (clock, 1 << 62)) - 1
        if n < 0:
            return None
        begin, number = places[n]
        run = self.runs[number]
        if clock >= begin + run.length:
            return None
        if run.text is None:
            return self._begins[number], False
        units = run.text.encode("utf-16-le")[: (clock - begin) * 2]
        return self._begins[number] + len(units.decode("utf-16-le", "ignore")), True


def ranges(runs: Sequence[Run]) -> Mapping[ClientId, list[tuple[int, int]]]:
    """The clocks of every client that are in the text, ascending."""
    found: defaultdict[ClientId, list[tuple[int, int]]] = defaultdict(list)
    for run in runs:
        if run.text is not None:
            found[run.client].append((run.clock, run.clock + run.length))
    return {client: sorted(places) for client, places in found.items()}
