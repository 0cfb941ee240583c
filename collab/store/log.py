"""The log in its tables: loose entries, packed segments, checkpoints.

The entries of a document up to its last packed position lie in `segments`, the others in `entries`; a position lies in
exactly one of the two. Packing is prepared by a reader (`prepare`), which does the work, and put in place by the writer
(`put_in_place`), which only checks that nobody else has packed meanwhile.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, TypeVar

from collab.errors import Quarantined
from collab.ids import ActorId, DocumentId, Millis, Position
from collab.store import rows, segments
from collab.store.base import Checkpoint, Entry, Line, Loaded, Logged, LogSize, Span
from collab.store.refusals import beyond_head, no_document
from collab.store.thinning import Mark, superfluous

_PLAIN: Final = 0
_ZLIB: Final = 1

_LOOSE: Final = (
    "SELECT position, at, kind, actor, on_behalf_of, turn, clients, payload FROM entries "
    "WHERE document = ? AND position > ? AND position <= ?"
)
T = TypeVar("T")

_ACTORS: Final = "SELECT actor FROM entries WHERE document = ? AND position > ? AND position <= ?"
_SHARES: Final = "SELECT actor, on_behalf_of, count(*) FROM entries WHERE document = ? AND position > ? AND position <= ? GROUP BY 1, 2"
_PACKED: Final = "SELECT data FROM segments WHERE document = ? AND last > ? AND first <= ?"
_CHECKPOINT: Final = "SELECT position, coding, state FROM checkpoints WHERE document = ? AND position <= ? ORDER BY position DESC LIMIT 1"


def load(connection: sqlite3.Connection, document: DocumentId, position: Position | None) -> Loaded | None:
    found = _find(connection, document)
    if found is None:
        return None
    n, head = found
    if position is None:
        position = head
    elif not 0 <= position <= head:
        raise beyond_head(document, position, head)
    checkpoint = _checkpoint(connection, n, position)
    after = checkpoint.position if checkpoint else Position(0)
    bindings = connection.execute("SELECT client, actor FROM clients WHERE document = ?", (n,))
    return Loaded(head, position, checkpoint, tuple(_entries(connection, n, after, position)), dict(bindings))


def entries(
    connection: sqlite3.Connection, document: DocumentId, after: int, upto: int, kind: int | None
) -> list[Logged]:
    found = _find(connection, document)
    if found is None:
        return []
    if kind is None:
        return _entries(connection, found[0], after, upto)
    return _entries_of(connection, found[0], after, upto, kind)


def actors(connection: sqlite3.Connection, document: DocumentId, after: int, upto: int) -> list[ActorId]:
    found = _find(connection, document)
    if found is None:
        return []
    packed = connection.execute(f"{_PACKED} ORDER BY first", (found[0], after, upto))
    early = [each for (data,) in packed for each in segments.unpack(data) if after < each.position <= upto]
    loose = connection.execute(f"{_ACTORS} GROUP BY actor ORDER BY min(position)", (found[0], after, upto))
    return list(dict.fromkeys([each.entry.actor for each in early] + [ActorId(actor) for (actor,) in loose]))


def gather(
    connection: sqlite3.Connection,
    document: DocumentId,
    after: Position,
    upto: Position,
    over: Callable[[Iterator[Line]], T],
) -> T:
    found = _find(connection, document)
    return over(iter(()) if found is None else _lines(connection, found[0], after, upto))


def _lines(connection: sqlite3.Connection, n: int, after: int, upto: int) -> Iterator[Line]:
    for (data,) in connection.execute(f"{_PACKED} ORDER BY first", (n, after, upto)):
        yield from (line for line in segments.lines(data) if after < line[0] <= upto)
    for position, at, kind, actor, behalf, turn, _, payload in connection.execute(
        f"{_LOOSE} ORDER BY position", (n, after, upto)
    ):
        yield position, at, kind, actor, behalf, turn, payload


def shares(connection: sqlite3.Connection, spans: Iterable[Span]) -> dict[ActorId, int]:
    counted: Counter[str] = Counter()
    for document, after, upto in spans:
        found = _find(connection, document)
        if found is None:
            continue
        for (data,) in connection.execute(_PACKED, (found[0], after, upto)):
            for position, _, _, actor, behalf, _, _ in segments.lines(data):
                if after < position <= upto:
                    counted.update((actor,) if behalf is None else (actor, behalf))
        for actor, behalf, count in connection.execute(_SHARES, (found[0], after, upto)):
            for each in (actor,) if behalf is None else (actor, behalf):
                counted[each] += count
    return {ActorId(actor): count for actor, count in counted.items()}


def position_at(connection: sqlite3.Connection, document: DocumentId, at: Millis) -> Position:
    found = _find(connection, document)
    if found is None:
        return Position(0)
    n = found[0]
    query = "SELECT max(position) FROM entries WHERE document = ? AND at <= ?"
    (loose,) = connection.execute(query, (n, at)).fetchone()
    if loose is not None:
        return Position(loose)
    return _position_in_segments(connection, n, at)


def _position_in_segments(connection: sqlite3.Connection, n: int, at: Millis) -> Position:
    query = "SELECT max(last) FROM segments WHERE document = ? AND until <= ?"
    whole = connection.execute(query, (n, at)).fetchone()[0] or 0
    query = "SELECT data FROM segments WHERE document = ? AND first > ? ORDER BY first LIMIT 1"
    split = connection.execute(query, (n, whole)).fetchone()
    within = [logged.position for logged in segments.unpack(split[0]) if logged.at <= at] if split else []
    return Position(within[-1] if within else whole)


def size(connection: sqlite3.Connection, document: DocumentId) -> LogSize | None:
    found = _find(connection, document)
    if found is None:
        return None
    n, head = found
    query = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM entries WHERE document = ?"
    loose, loose_bytes = connection.execute(query, (n,)).fetchone()
    query = "SELECT coalesce(sum(length(data)), 0) FROM segments WHERE document = ?"
    (packed_bytes,) = connection.execute(query, (n,)).fetchone()
    query = "SELECT position, length(state) FROM checkpoints WHERE document = ? ORDER BY position DESC"
    checkpoints = connection.execute(query, (n,)).fetchall()
    newest, newest_bytes = checkpoints[0] if checkpoints else (Position(0), 0)
    return LogSize(
        head=head,
        checkpoint=newest,
        loose=loose,
        loose_bytes=loose_bytes,
        packed_bytes=packed_bytes + sum(length for _, length in checkpoints[1:]),
        checkpoint_bytes=newest_bytes,
    )


@dataclass(frozen=True, slots=True)
class Packing:
    """What `put_in_place` writes: the checkpoint as it is stored, and the segments to put in the place of loose entries."""

    n: int
    position: Position
    coding: int
    state: bytes
    packed: int
    """The last packed position when this was prepared."""
    segments: tuple[segments.Segment, ...]


def prepare(connection: sqlite3.Connection, document: DocumentId, checkpoint: Checkpoint) -> Packing:
    found = _find(connection, document)
    if found is None:
        raise no_document(document)
    n, head = found
    if not 0 < checkpoint.position <= head:
        raise beyond_head(document, checkpoint.position, head)
    coding, state = _shrunk(checkpoint.state)
    first, packed = _open_segment(connection, n)
    chosen = _entries(connection, n, first - 1, checkpoint.position) if packed < checkpoint.position else []
    return Packing(n, checkpoint.position, coding, state, packed, tuple(segments.pack(chosen)))


def put_in_place(connection: sqlite3.Connection, packing: Packing) -> None:
    """Runs in the writer, in a transaction. A checkpoint of a document that is gone meanwhile is nothing to keep."""
    n = packing.n
    if not connection.execute("SELECT 1 FROM documents WHERE n = ?", (n,)).fetchone():
        return
    connection.execute(
        "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", (n, packing.position, packing.coding, packing.state)
    )
    if packing.segments and _open_segment(connection, n)[1] == packing.packed:
        first, last = packing.segments[0].first, packing.segments[-1].last
        connection.execute("DELETE FROM segments WHERE document = ? AND first >= ?", (n, first))
        connection.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(n, part.first, part.last, part.until, part.weight, part.kinds, part.data) for part in packing.segments],
        )
        connection.execute("DELETE FROM entries WHERE document = ? AND position <= ?", (n, last))
    gone = [(n, position) for position in superfluous(_marks(connection, n))]
    connection.executemany("DELETE FROM checkpoints WHERE document = ? AND position = ?", gone)


def _find(connection: sqlite3.Connection, document: DocumentId) -> tuple[int, Position] | None:
    found: tuple[int, Position] | None
    found = connection.execute("SELECT n, head FROM documents WHERE id = ?", (document,)).fetchone()
    return found


def _checkpoint(connection: sqlite3.Connection, n: int, position: Position) -> Checkpoint | None:
    found = connection.execute(_CHECKPOINT, (n, position)).fetchone()
    if found is None:
        return None
    at, coding, state = found
    return Checkpoint(at, _grown(coding, state))


def _entries(connection: sqlite3.Connection, n: int, after: int, upto: int) -> list[Logged]:
    found: list[Logged] = []
    for (data,) in connection.execute(f"{_PACKED} ORDER BY first", (n, after, upto)):
        found += (logged for logged in segments.unpack(data) if after < logged.position <= upto)
    found += map(_logged, connection.execute(f"{_LOOSE} ORDER BY position", (n, after, upto)))
    return found


def _entries_of(connection: sqlite3.Connection, n: int, after: int, upto: int, kind: int) -> list[Logged]:
    query = f"{_PACKED} AND kinds & ? ORDER BY first"
    found: list[Logged] = []
    for (data,) in connection.execute(query, (n, after, upto, segments.mask(kind))):
        found += (each for each in segments.unpack(data) if each.entry.kind == kind and after < each.position <= upto)
    found += map(_logged, connection.execute(f"{_LOOSE} AND kind = ? ORDER BY position", (n, after, upto, kind)))
    return found


def _logged(columns: tuple[Any, ...]) -> Logged:
    position, at, kind, actor, on_behalf_of, turn, clients, payload = columns
    return Logged(
        position,
        at,
        Entry(
            kind=kind,
            actor=ActorId(actor),
            payload=payload,
            on_behalf_of=on_behalf_of,
            turn=turn,
            clients=tuple(rows.decode(clients)) if clients else (),
        ),
    )


def _open_segment(connection: sqlite3.Connection, n: int) -> tuple[int, int]:
    """The first position to pack, and the last that is packed: a small last segment is packed again with what follows."""
    query = (
        "SELECT first, last, until, weight, kinds, data FROM segments WHERE document = ? ORDER BY first DESC LIMIT 1"
    )
    found = connection.execute(query, (n,)).fetchone()
    if found is None:
        return 1, 0
    last = segments.Segment(*found)
    return (last.last + 1 if last.full else last.first), last.last


def _marks(connection: sqlite3.Connection, n: int) -> Sequence[Mark]:
    query = "SELECT position FROM checkpoints WHERE document = ? ORDER BY position"
    positions = [position for (position,) in connection.execute(query, (n,))]
    query = "SELECT last, weight FROM segments WHERE document = ? ORDER BY first"
    parts = connection.execute(query, (n,)).fetchall()
    sums = [0, *accumulate(weight for _, weight in parts)]
    return [Mark(position, sums[_count(parts, position)]) for position in positions]


def _count(parts: Iterable[tuple[int, int]], position: int) -> int:
    return sum(1 for last, _ in parts if last <= position)


def _shrunk(state: bytes) -> tuple[int, bytes]:
    packed = zlib.compress(state, 6)
    return (_ZLIB, packed) if len(packed) < len(state) else (_PLAIN, state)


def _grown(coding: int, state: bytes) -> bytes:
    if coding == _PLAIN:
        return state
    if coding != _ZLIB:
        raise Quarantined(f"a checkpoint is stored in the unknown coding {coding}")
    try:
        return zlib.decompress(state)
    except zlib.error as error:
        raise Quarantined(f"a checkpoint cannot be decompressed: {error}") from error
