"""What happened to a document, in sessions of work. PURE.

A session is what was written without a pause of more than `PAUSE`, by however many at once; a turn stands by itself, because it
was made, and can be undone, as one. So an afternoon of typing is a few lines to read, and each of them names two positions
whose difference is what it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from collab.ids import ActorId, Millis, Position, TurnId
from collab.store.base import EntryKind, Line

PAUSE: Final = 10 * 60_000
"""Milliseconds of silence after which it is another session."""

Happening = Literal["created", "edited", "moved", "deleted", "undeleted", "changed"]
"""`changed`: its mode, its line ending, what kind of file it is, or the bytes of what is no text."""


@dataclass(slots=True)
class Session:
    """Between the positions `first` and `last`; `first - 1` is the position before it."""

    first: Position
    last: Position
    begun: Millis
    ended: Millis
    turn: TurnId | None
    authors: dict[tuple[ActorId, ActorId | None], int] = field(default_factory=dict)
    """Who wrote, on behalf of whom, and how many entries."""
    happened: dict[Happening, None] = field(default_factory=dict)


def sessions(lines: Iterator[Line]) -> list[Session]:
    """In the order in which they began."""
    found: list[Session] = []
    for position, at, kind, actor, behalf, turn, payload in lines:
        if not found or found[-1].turn != turn or at - found[-1].ended > PAUSE:
            found.append(Session(position, position, at, at, turn))
        now = found[-1]
        now.last, now.ended = position, at
        who = actor, behalf
        now.authors[who] = now.authors.get(who, 0) + 1
        if kind == EntryKind.UPDATE:
            now.happened["edited"] = None
        elif kind == EntryKind.META:
            now.happened[_of_meta(position, payload)] = None
    return found


def _of_meta(position: Position, payload: bytes) -> Happening:
    if position == 1:
        return "created"
    fields = msgspec.json.decode(payload, type=dict[str, object])
    if "deleted" in fields:
        return "deleted" if fields["deleted"] else "undeleted"
    return "moved" if "path" in fields else "changed"
