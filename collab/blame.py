"""Who wrote every range of a text: as it is, or as it was at a position.

What it promises
1. Every character belongs to whoever brought it into the log: a person, or an agent on behalf of somebody, perhaps as part of
   a turn. Neighbours with the same answer are one range.
2. What was typed, deleted, and brought back by an undo is its undoer's: the log has it as new characters.
3. What was read of a log is remembered, within bounds: asked again, only what is new is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from anyio import to_thread

from collab import history
from collab.ids import ActorId, DocumentId, Millis, Position, TurnId
from collab.order import Run, order
from collab.store.base import Store
from collab.strokes import Stroke, Strokes, gather

REMEMBERED: Final = 200_000
"""Strokes of all documents together: some 50 MB."""


@dataclass(frozen=True, slots=True)
class Blamed:
    """A range of a text, in code points, `end` exclusive; brought between the positions `first` and `last`. `actor` None: the
    log does not say."""

    start: int
    end: int
    actor: ActorId | None
    on_behalf_of: ActorId | None
    turn: TurnId | None
    first: Position
    last: Position
    begun: Millis
    ended: Millis


class Blame:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[DocumentId, tuple[Position, list[Stroke]]] = OrderedDict()
        self._count = 0

    async def of(self, document: DocumentId, position: Position) -> list[Blamed]:
        """`NotFound` when there is no such document, `Invalid` when the position lies beyond its head."""
        found = await history.document_at(self._store, document, position)
        try:
            encoded = found.encode()
        finally:
            found.close()
        strokes = await self._strokes(document, position)
        return await to_thread.run_sync(blamed, encoded, strokes)

    async def _strokes(self, document: DocumentId, upto: Position) -> list[Stroke]:
        known, strokes = self._known.get(document, (Position(0), []))
        if known < upto:
            strokes = [*strokes, *await self._store.gather(document, known, upto, gather)]
            self._remember(document, upto, strokes)
        # Later ones do no harm: their clocks are beyond those of the text.
        return strokes

    def _remember(self, document: DocumentId, upto: Position, strokes: list[Stroke]) -> None:
        _, before = self._known.pop(document, (Position(0), []))
        self._known[document] = (upto, strokes)
        self._count += len(strokes) - len(before)
        while self._count > REMEMBERED:
            _, (_, gone) = self._known.popitem(last=False)
            self._count -= len(gone)


def blamed(encoded: bytes, strokes: Sequence[Stroke]) -> list[Blamed]:
    """Of a document's whole encoding. PURE."""
    return list(_joined(_ranges(order(encoded), Strokes(strokes))))


def _ranges(runs: Sequence[Run], strokes: Strokes) -> Iterator[Blamed]:
    at = 0
    for run in runs:
        if run.text is None:
            continue
        parts = strokes.between(run.client, run.clock, run.clock + run.length)
        units = run.text.encode("utf-16-le")
        for n, (clock, stroke) in enumerate(parts):
            until = parts[n + 1][0] if n + 1 < len(parts) else run.clock + run.length
            length = len(units[(clock - run.clock) * 2 : (until - run.clock) * 2].decode("utf-16-le"))
            yield _range(at, at + length, stroke)
            at += length


def _range(start: int, end: int, stroke: Stroke | None) -> Blamed:
    if stroke is None:
        return Blamed(start, end, None, None, None, Position(0), Position(0), Millis(0), Millis(0))
    return Blamed(
        start,
        end,
        stroke.actor,
        stroke.on_behalf_of,
        stroke.turn,
        stroke.first,
        stroke.last,
        stroke.begun,
        stroke.ended,
    )


def _joined(ranges: Iterator[Blamed]) -> Iterator[Blamed]:
    held: Blamed | None = None
    for each in ranges:
        if held is not None and (held.actor, held.on_behalf_of, held.turn) == (
            each.actor,
            each.on_behalf_of,
            each.turn,
        ):
            held = Blamed(
                held.start,
                each.end,
                held.actor,
                held.on_behalf_of,
                held.turn,
                Position(min(held.first, each.first)),
                Position(max(held.last, each.last)),
                Millis(min(held.begun, each.begun)),
                Millis(max(held.ended, each.ended)),
            )
            continue
        if held is not None:
            yield held
        held = each
    if held is not None:
        yield held
