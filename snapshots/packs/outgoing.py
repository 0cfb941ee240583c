"""Objects of a repository, written as a pack that a client can read.

What it promises
1. Entries go out as they lie in the repository's packs, not unpacked and packed again: a delta whenever what it is made of
   is sent too, or the client has it and takes such packs.
2. What a delta is made of comes before it.
3. Memory follows the largest object, not the pack.

The bytes of entries are not looked at: whoever receives them checks every one by its name.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Set
from typing import Final

from snapshots.packs.entries import Kind, Oid, head, pack_header
from snapshots.packs.history import Selection
from snapshots.packs.objects import Objects, Place

CHUNK: Final = 1 << 18
LEVEL: Final = 3
"""Of zlib, for what does not lie packed: most of what a better one would save costs three times as long."""


def pack(objects: Objects, selection: Selection, *, ofs_delta: bool, thin: bool) -> Iterator[bytes]:
    """In pieces of no particular size. `thin`: deltas may be made of what the client has."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in _pieces(objects, selection, ofs_delta=ofs_delta, thin=thin):
        digest.update(piece)
        yield piece
    yield digest.digest()


def _pieces(objects: Objects, selection: Selection, *, ofs_delta: bool, thin: bool) -> Iterator[bytes]:
    at = 0
    written: dict[Oid, int] = {}
    sending = dict.fromkeys(selection.oids)
    there = selection.there if thin else set()
    header = pack_header(len(sending))
    yield header
    at += len(header)
    for wanted in sending:
        for oid, place, base in _in_order(objects, wanted, sending.keys(), there, written.keys()):
            begins = at
            for piece in _entry(objects, oid, place, base, begins, written if ofs_delta else {}):
                at += len(piece)
                yield piece
            written[oid] = begins


def _in_order(
    objects: Objects, wanted: Oid, sending: Set[Oid], there: Set[Oid], written: Set[Oid]
) -> Iterator[tuple[Oid, Place | None, Oid | None]]:
    """What is still to be written before `wanted` can be, and then `wanted`: each with where it lies (None: not to be taken
    from a pack as it is) and what it is made of."""
    chain: list[tuple[Oid, Place | None, Oid | None]] = []
    above: set[Oid] = set()
    oid: Oid | None = wanted
    while oid is not None and oid not in written:
        above.add(oid)
        place = objects.place(oid)
        base = _base(place)
        if base is not None and (base not in sending or base in above):
            if base not in there:
                place = None
            chain.append((oid, place, base if place is not None else None))
            break
        chain.append((oid, place, base))
        oid = base
    yield from reversed(chain)


def _base(place: Place | None) -> Oid | None:
    if place is None:
        return None
    base = place.pack.head(place.offset).base
    return place.pack.oid_at(base) if isinstance(base, int) else base


def _entry(
    objects: Objects, oid: Oid, place: Place | None, base: Oid | None, at: int, written: dict[Oid, int]
) -> Iterator[bytes]:
    if place is None:
        yield from _whole(*objects.get(oid))
        return
    found, end = place.pack.head(place.offset), place.pack.end(place.offset)
    if base is None:
        start = place.offset
    else:
        start = found.content
        if base in written:
            yield head(Kind.OFS_DELTA, found.size, distance=at - written[base])
        else:
            yield head(Kind.REF_DELTA, found.size, base=base)
    for begins in range(start, end, CHUNK):
        yield place.pack.data[begins : min(begins + CHUNK, end)]


def _whole(kind: Kind, content: bytes) -> Iterator[bytes]:
    yield head(kind, len(content))
    squeeze = zlib.compressobj(LEVEL)
    for begins in range(0, len(content), CHUNK):
        if piece := squeeze.compress(content[begins : begins + CHUNK]):
            yield piece
    yield squeeze.flush()
