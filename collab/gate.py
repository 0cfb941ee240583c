"""What an update holds, before the decoder sees it; and whether this document takes it from this actor. PURE.

`walk` reads a Yjs update (format v1, as `Y.encodeStateAsUpdate` and the update event write it) without recursion, in one
pass, linear in its bytes. It raises ProtocolError unless all of this holds:

1. Every struct is an Item of text or of deletions, a Skip, or a GC block. No other content, so nothing nests.
2. An item without origins names the root `content` as its parent; no item has a parent id or a map key.
3. Lengths are at least 1, clocks and their ends below 2^31, client ids at most 2^53 - 1, text is UTF-8.
4. A client has one block of structs, with at least one, and at most one list of deletions. Nothing follows them.
5. Nothing of it cuts its own texts inside a character (between the halves of a surrogate pair).
6. No item hangs on itself or on a later one, through whatever other clients: there is an order in which all of it can
   be integrated, once what it `needs` is there.

`judge` holds a walk against a document as it stands. What it lets through, the document integrates whole and leaves
nothing pending.

Why rule 5: Yjs makes two U+FFFD of a character that is cut; the decoder here forgets one of its two clocks instead, so that
whoever loads the document afterwards lacks them for ever. A document that holds such characters tells `judge` where they
are: `halves`, kept by `add_halves` from the walk of its encoding when it is opened, and of every update it takes.

Only the last range of a client can be news: a range that comes after a gap needs everything before it. So `needs` is one
clock per client.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Mapping, MutableSequence, Sequence, Set
from typing import Final, NoReturn

import msgspec

from collab.errors import AnotherDocument, Lacking, ProtocolError
from collab.ids import ActorId, ClientId, DocumentId

ROOT: Final = "content"

MAX_CLIENT: Final = 2**53 - 1
"""What JavaScript holds exactly."""

CLOCK_LIMIT: Final = 2**31
"""The decoder's clocks wrap at 2^32 without an error; differences of clocks below this stay within its integers."""

RESERVED_FLOOR: Final = 2**53 - 2**32
"""From here to MAX_CLIENT ids are the server's: Yjs draws 32 bits, pycrdt hits these once in two million."""

GAP_LIMIT: Final = 10_000
"""Skips in one update. Peers write one where they miss an update; it takes two bytes, and a range in memory."""

_VARINT_BYTES: Final = 10

# yjs/src/structs/Item.js: the low five bits of an item's info are its content; 0x80 says that its origin follows, 0x40
# its right origin, 0x20 that it has a map key.
_GC: Final = 0
_DELETED: Final = 1
_STRING: Final = 4
_SKIP: Final = 10
_PARENT_SUB: Final = 0x20
_CONTENT: Final = 0x1F

# varint 1 (the parent is a root type), then its name as a string
_ROOT_PARENT: Final = bytes((1, len(ROOT))) + ROOT.encode()

_ITEMS: Final = {
    content | flags: cuts
    for content in (_DELETED, _STRING)
    for flags, cuts in ((0, ()), (0x40, (0,)), (0x80, (1,)), (0xC0, (1, 0)))
}
"""The infos of items that a text has, each with what follows: an origin is cut behind its clock, a right origin before."""

_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
"""Characters of two UTF-16 code units."""

_CONTENT_NAMES: Final = {
    2: "JSON",
    3: "binary",
    5: "embed",
    6: "format",
    7: "type",
    8: "any",
    9: "subdocument",
    11: "move",
}

_NOWHERE: Final[Mapping[ClientId, Set[int]]] = {}

Ranges = tuple[tuple[int, int], ...]
"""Clocks from (inclusive) to (exclusive), ascending, with gaps between."""

_Edge = tuple[int, ClientId, int]
"""The item at a clock of its client hangs on another client's clock."""


class Walk(msgspec.Struct, frozen=True):
    """What an update holds: `news` all structs, GC blocks included, Skips not; `gc` the GC blocks among them; `needs`
    how much of each client must be known already (an exclusive end); `deletes` whether it deletes anything; `structs`
    how many there are; `cuts` the clocks before which it cuts texts apart; `halves` the clocks before which its own texts
    must not be cut."""

    news: dict[ClientId, Ranges]
    gc: dict[ClientId, Ranges]
    needs: dict[ClientId, int]
    deletes: bool
    structs: int
    cuts: dict[ClientId, MutableSequence[int]]
    halves: dict[ClientId, frozenset[int]]


def walk(update: bytes) -> Walk:
    """What `update` holds; see the module's list of what it refuses."""
    try:
        return _walk(update)
    except IndexError:
        raise _malformed("the update ends in the middle", len(update)) from None


def _walk(data: bytes) -> Walk:
    # Every keystroke of everybody comes through here, on the event loop: so this is one function that decodes its
    # numbers in place (`_long` reads those of more than two bytes), and IndexError finds the end of the data.
    size = len(data)
    items = _ITEMS
    news: dict[ClientId, Ranges] = {}
    gc: dict[ClientId, Ranges] = {}
    highest: dict[ClientId, int] = {}
    edges: dict[ClientId, list[_Edge]] = {}
    cuts: dict[ClientId, MutableSequence[int]] = {}
    halves: dict[ClientId, frozenset[int]] = {}
    structs = gaps = 0
    hollow = False

    clients = data[0]
    pos = 1
    if clients >= 0x80:
        clients, pos = _long(data, 0, MAX_CLIENT)
    for _ in range(clients):
        count = data[pos]
        pos += 1
        if count >= 0x80:
            count, pos = _long(data, pos - 1, MAX_CLIENT)
        if not count:
            raise _malformed("a block of no structs", pos - 1)
        structs += count
        start = pos
        number = data[pos]
        pos += 1
        if number >= 0x80:
            number, pos = _long(data, start, MAX_CLIENT)
        client = ClientId(number)
        if client in news:
            raise _malformed(f"a second block of client {client}", start)
        mine = data[start:pos]
        clock = data[pos]
        pos += 1
        if clock >= 0x80:
            clock, pos = _long(data, pos - 1)
        begin = clock
        ranges: list[tuple[int, int]] = []
        collected: list[tuple[int, int]] = []
        hanging: list[_Edge] = []
        apart: list[int] = []
        pairs: list[int] = []

        for _ in range(count):
            at = pos
            info = data[pos]
            pos += 1
            sides = items.get(info)
            if sides:
                for side in sides:
                    if data.startswith(mine, pos):
                        pos += len(mine)
                        other = client
                    else:
                        number = data[pos]
                        pos += 1
                        if number >= 0x80:
                            number, pos = _long(data, pos - 1, MAX_CLIENT)
                        other = ClientId(number)
                    origin = data[pos]
                    pos += 1
                    if origin >= 0x80:
                        byte = data[pos]
                        if byte < 0x80:
                            origin += (byte << 7) - 0x80
                            pos += 1
                        else:
                            origin, pos = _long(data, pos - 1)
                    if other == client:
                        if origin >= clock:
                            raise _malformed("an item that hangs on itself or on a later one", at)
                        if origin + side != clock:
                            apart.append(origin + side)
                    else:
                        if other in cuts:
                            cuts[other].append(origin + side)
                        else:
                            cuts[other] = [origin + side]
                        if highest.get(other, -1) < origin:
                            highest[other] = origin
                        if clients > 1:
                            hanging.append((clock, other, origin))
            elif sides is not None:
                # Item.write: the parent is written only when there is no origin to take it from
                if not data.startswith(_ROOT_PARENT, pos):
                    raise _malformed(f"an item whose parent is not the root {ROOT!r}", pos)
                pos += len(_ROOT_PARENT)
            elif info not in (_GC, _SKIP):
                raise _malformed(_describe(info), at)

            length = data[pos]
            pos += 1
            if length >= 0x80:
                length, pos = _long(data, pos - 1)
            if info & _STRING:  # of the kinds that are left, text alone has this bit
                raw = data[pos : pos + length]
                if len(raw) != length:
                    raise _malformed(f"a text of {length} bytes where {size - pos} are left", at)
                pos += length
                if not raw.isascii():
                    length = _units(raw, clock, pos - length, pairs)
            if not length:
                raise _malformed("a struct of length 0", at)
            if info == _SKIP:
                if clock > begin:
                    ranges.append((begin, clock))
                begin = clock + length
                gaps += 1
                if gaps > GAP_LIMIT:
                    raise _malformed(f"more than {GAP_LIMIT} gaps", at)
            elif info == _GC:
                if collected and collected[-1][1] == clock:
                    collected[-1] = (collected[-1][0], clock + length)
                else:
                    collected.append((clock, clock + length))
            clock += length
            if clock >= CLOCK_LIMIT:
                raise _malformed("a clock of 2^31 or more", at)

        if clock > begin:
            ranges.append((begin, clock))
        news[client] = tuple(ranges)
        if not ranges:
            hollow = True
        if collected:
            gc[client] = tuple(collected)
        if hanging:
            edges[client] = hanging
        if apart:
            cuts.setdefault(client, []).extend(apart)
        if pairs:
            halves[client] = frozenset(pairs)

    deletes = data[pos] != 0
    if deletes or pos + 1 != size:
        _deletions(data, pos, highest, cuts)
    if hollow:
        news = {client: found for client, found in news.items() if found}
    needs = _needs(news, highest)
    if edges:
        _order(news, edges)
    if halves and (split := _split(cuts, halves)):
        raise ProtocolError(f"the update cuts a character of client {split[0]} apart, at clock {split[1]}")
    return Walk(news, gc, needs, deletes, structs, cuts, halves)


def _deletions(data: bytes, pos: int, highest: dict[ClientId, int], cuts: dict[ClientId, MutableSequence[int]]) -> None:
    """Walks the delete set that begins at `pos` and ends the update; raises `highest` to what it deletes, and adds where
    it cuts."""
    clients, pos = _varint(data, pos, MAX_CLIENT)
    seen: set[ClientId] = set()
    for _ in range(clients):
        start = pos
        number, pos = _varint(data, pos, MAX_CLIENT)
        client = ClientId(number)
        if client in seen:
            raise _malformed(f"a second list of deletions of client {client}", start)
        seen.add(client)
        count, pos = _varint(data, pos, MAX_CLIENT)
        last = highest.get(client, -1)
        places = array("q")  # of eight bytes each: a deletion has two of them, and may take two bytes on the wire
        append = places.append
        for _ in range(count):
            start = pos
            clock = data[pos]
            pos += 1
            if clock >= 0x80:
                clock, pos = _long(data, start)
            length = data[pos]
            pos += 1
            if length >= 0x80:
                length, pos = _long(data, pos - 1)
            end = clock + length
            if not length:
                raise _malformed("a deletion of length 0", start)
            if end >= CLOCK_LIMIT:
                raise _malformed("a deletion up to clock 2^31 or more", start)
            append(clock)
            append(end)
            if end > last:
                last = end - 1
        if count:
            highest[client] = last
            if client in cuts:
                cuts[client].extend(places)
            else:
                cuts[client] = places
    if pos != len(data):
        raise _malformed(f"{len(data) - pos} bytes follow the update", pos)


def _needs(news: Mapping[ClientId, Ranges], highest: Mapping[ClientId, int]) -> dict[ClientId, int]:
    """How much of each client must be known already. A client's last range needs all that is before it, so that of the
    clocks which something hangs on, the highest alone can still need more."""
    needs = {}
    for client, ranges in news.items():
        begin = ranges[-1][0]
        if begin:
            needs[client] = begin
    for client, clock in highest.items():
        if client not in news or clock >= news[client][-1][1]:
            needs[client] = clock + 1
    return needs


def _order(news: Mapping[ClientId, Ranges], edges: Mapping[ClientId, list[_Edge]]) -> None:
    """Refuses structs that wait for each other for ever.

    As the decoder integrates them: a client's structs in order; one that hangs on another client's puts that client
    first. `ahead` is the next edge of each client that has not been seen to hold; the items before it are in. Every step
    takes an edge for good, or puts a client on the stack, where it stands at most once.
    """
    ahead = dict.fromkeys(edges, 0)

    def reached(client: ClientId, clock: int) -> bool:
        if client not in news or not news[client][-1][0] <= clock < news[client][-1][1]:
            return True  # known already, or `needs` has it
        waiting = edges.get(client, ())
        return client not in ahead or ahead[client] == len(waiting) or waiting[ahead[client]][0] > clock

    for first in edges:
        stack = [(first, CLOCK_LIMIT)]
        on_stack = {first}
        while stack:
            client, goal = stack[-1]
            waiting = edges[client]
            while ahead[client] < len(waiting) and waiting[ahead[client]][0] <= goal:
                _, other, clock = waiting[ahead[client]]
                if not reached(other, clock):
                    if other in on_stack:
                        raise ProtocolError(f"items of clients {client} and {other} that wait for each other")
                    stack.append((other, clock))
                    on_stack.add(other)
                    break
                ahead[client] += 1
            else:
                stack.pop()
                on_stack.discard(client)


def _varint(data: bytes, pos: int, most: int = CLOCK_LIMIT - 1) -> tuple[int, int]:
    """The number at `pos`, and where the next thing begins."""
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    return _long(data, pos, most)


def _long(data: bytes, pos: int, most: int = CLOCK_LIMIT - 1) -> tuple[int, int]:
    """The number at `pos`, which has more than one byte."""
    second = data[pos + 1]
    if second < 0x80:
        return (second << 7) + data[pos] - 0x80, pos + 2
    third = data[pos + 2]
    if third < 0x80:
        return (third << 14) + (second << 7) + data[pos] - 0x4080, pos + 3
    value = shift = 0
    for after, byte in enumerate(data[pos : pos + _VARINT_BYTES], pos + 1):
        if byte < 0x80:
            value |= byte << shift
            if value > most:
                raise _malformed(f"a number of {value}, more than {most}", pos)
            return value, after
        value |= (byte & 0x7F) << shift
        shift += 7
    if len(data) - pos >= _VARINT_BYTES:
        raise _malformed(f"a number of more than {_VARINT_BYTES} bytes", pos)
    raise IndexError


def _units(raw: bytes, clock: int, pos: int, pairs: list[int]) -> int:
    """How many clocks a text takes: UTF-16 code units, as JavaScript counts. Adds to `pairs` those inside a character."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed("a text that is not UTF-8", pos + error.start) from error
    units = len(text.encode("utf-16-le")) // 2
    if units != len(text):
        pairs += (clock + found.start() + before for before, found in enumerate(_ASTRAL.finditer(text), 1))
    return units


def _split(cuts: Mapping[ClientId, Sequence[int]], halves: Mapping[ClientId, Set[int]]) -> tuple[ClientId, int] | None:
    """The first cut that goes through a character."""
    for client, places in cuts.items():
        inside = halves.get(client)
        if inside:
            for place in places:
                if place in inside:
                    return client, place
    return None


def _describe(info: int) -> str:
    if info & _PARENT_SUB:
        return "an item with a map key"
    content = _CONTENT_NAMES.get(info & _CONTENT)
    if content is None:
        return f"an unknown kind of struct ({info:#04x})"
    return f"an item of {content} content; a document holds text alone"


def _malformed(what: str, pos: int) -> ProtocolError:
    return ProtocolError(f"{what}, at byte {pos} of the update", details={"byte": pos})


def is_reserved(client: ClientId) -> bool:
    """Whether an id is the server's own: for seeds and for edits made on the server."""
    return client >= RESERVED_FLOOR


def reserved_id(document: DocumentId, node: int, epoch: int) -> ClientId:
    """The id under which a node writes into a document in an epoch; never the same for another of any of the three, so
    that no clock is used twice with different content."""
    digest = hashlib.sha256(f"{document}/{node}/{epoch}".encode()).digest()
    return ClientId(RESERVED_FLOOR + int.from_bytes(digest[:4]))


def judge(
    walk: Walk,
    clocks: Mapping[ClientId, int],
    bindings: Mapping[ClientId, ActorId],
    actor: ActorId,
    *,
    reserved: Callable[[ClientId], bool],
    halves: Mapping[ClientId, Set[int]] = _NOWHERE,
) -> tuple[ClientId, ...]:
    """The clients of whom `walk` brings news to a document that stands at `clocks`; none, when it repeats what is known
    (it may still delete something).

    Raises AnotherDocument for news that is not the actor's to bring, whatever else it lacks: under a client id bound to
    somebody else, under a reserved id that `reserved` (the server's own decision, which is final) does not admit, or as
    a GC block. Raises Lacking while the document lacks something that the update needs, and ProtocolError where it cuts a
    character of the document apart. What is known already may be repeated, and deleted, by anybody.
    """
    brings = []
    for client, ranges in walk.news.items():
        if ranges[-1][1] > clocks.get(client, 0):
            if client >= RESERVED_FLOOR:
                if not reserved(client):
                    raise AnotherDocument(f"client {client} is a reserved id of a document that is not this one")
            elif bindings.get(client, actor) != actor:
                raise AnotherDocument(f"client {client} belongs to another actor", details={"client": client})
            brings.append(client)
    for client, ranges in walk.gc.items():
        if ranges[-1][1] > clocks.get(client, 0):
            raise AnotherDocument(f"client {client} brings a GC block, which a document of text never makes")
    for client, need in walk.needs.items():
        if clocks.get(client, 0) < need:
            _lacking(client, need, clocks.get(client, 0))
    for client in walk.halves:
        if clocks.get(client, 0) in walk.halves[client]:
            raise ProtocolError(f"client {client} has written two different things at clock {clocks[client]}")
    if halves and (split := _split(walk.cuts, halves)):
        raise ProtocolError(f"the update cuts a character of client {split[0]} apart, at clock {split[1]}")
    return tuple(brings)


def _lacking(client: ClientId, need: int, known: int) -> NoReturn:
    raise Lacking(
        f"needs client {client} up to clock {need}; {known} is known",
        details={"client": client, "needs": need, "known": known},
    )


def add_halves(halves: dict[ClientId, set[int]], walk: Walk, clocks: Mapping[ClientId, int]) -> None:
    """Adds what a document that stood at `clocks` may no longer have cut, since it took what was walked. News alone: what
    a peer says about clocks that were known already is not what the document holds."""
    for client, inside in walk.halves.items():
        known = clocks.get(client, 0)
        halves.setdefault(client, set()).update(clock for clock in inside if clock > known)
