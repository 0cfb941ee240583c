"""Who typed which characters of a document, read from its log: strokes. PURE.

A stroke is what one actor typed in one go: consecutive entries, under one client id, in one turn or in none, without a pause of
more than `PAUSE`. Characters have a client and a clock (collab.order); a stroke has all clocks of its client from its own first
one to the first of the next stroke. So a quarter of a million keystrokes are some thousand strokes.

What breaks it: payloads that are no updates (`ProtocolError`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collab.gate import walk
from collab.ids import ActorId, ClientId, Millis, Position, TurnId
from collab.store.base import EntryKind, Line

PAUSE: Final = 5 * 60_000
"""Milliseconds of silence after which it is another stroke."""


class Stroke(NamedTuple):
    client: ClientId
    clock: int
    """Its first one."""
    actor: ActorId
    on_behalf_of: ActorId | None
    turn: TurnId | None
    first: Position
    last: Position
    begun: Millis
    ended: Millis


def gather(lines: Iterable[Line]) -> list[Stroke]:
    """The strokes of consecutive entries, in the order in which they began."""
    found: list[Stroke] = []
    client, clock = ClientId(-1), 0
    who: tuple[ActorId, ActorId | None, TurnId | None] = (ActorId(""), None, None)
    first = last = Position(0)
    begun = ended = Millis(0)
    for position, at, kind, actor, behalf, turn, payload in lines:
        if kind != EntryKind.UPDATE:
            continue
        for typist, start in begins(payload):
            if typist == client and (actor, behalf, turn) == who and at - ended <= PAUSE:
                last, ended = position, at
                continue
            if client >= 0:
                found.append(Stroke(client, clock, *who, first, last, begun, ended))
            client, clock, who = typist, start, (actor, behalf, turn)
            first = last = position
            begun = ended = at
    if client >= 0:
        found.append(Stroke(client, clock, *who, first, last, begun, ended))
    return found


def begins(update: bytes) -> list[tuple[ClientId, int]]:
    """The first clock of every client of whom an update brings something."""
    # Nearly every entry is one client's: its id and clock are the first numbers, and nothing else has to be read.
    if update[0] == 1:
        numbers = []
        value = shift = 0
        for byte in update[1:24]:
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                numbers.append(value)
                if len(numbers) == 3:
                    return [(ClientId(numbers[1]), numbers[2])]
                value = shift = 0
            else:
                shift += 7
    if update[0] == 0:
        return []
    return [(client, ranges[0][0]) for client, ranges in walk(update).news.items()]


class Strokes:
    """Finds the stroke of a character."""

    def __init__(self, strokes: Sequence[Stroke]) -> None:
        self._by_client: defaultdict[ClientId, list[Stroke]] = defaultdict(list)
        for stroke in strokes:
            self._by_client[stroke.client].append(stroke)
        for of_one in self._by_client.values():
            of_one.sort(key=lambda stroke: stroke.clock)
        self._clocks = {client: [stroke.clock for stroke in each] for client, each in self._by_client.items()}

    def between(self, client: ClientId, start: int, end: int) -> list[tuple[int, Stroke | None]]:
        """The strokes of the clocks from `start` to `end` (exclusive), each with its first clock of these. None: the log
        does not say."""
        clocks, strokes = self._clocks.get(client, []), self._by_client.get(client, [])
        n = bisect_right(clocks, start) - 1
        found: list[tuple[int, Stroke | None]] = [(start, strokes[n] if n >= 0 else None)]
        later = slice(n + 1, bisect_right(clocks, end - 1))
        return [*found, *zip(clocks[later], strokes[later], strict=True)]
