"""Places and ranges in a text that stay with it: through edits, pulls and renames. PURE.

An anchor names characters, not offsets: the id of the character that a place stands before or behind, as a Yjs relative
position does, and in its JSON form, so that every Yjs client can resolve it (`Y.createRelativePositionFromJSON`). It is kept in
the catalog, never in the document.

What it promises
1. A range grows with what is typed inside of it, and not with what is typed at its edges.
2. What is left of a range whose characters were partly deleted is the rest; of one that is gone, the place where it was
   (`Span.gone`).
3. What nobody has typed (yet) resolves to nothing, never to a wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from collab.errors import Invalid
from collab.gate import ROOT
from collab.ids import ClientId
from collab.order import Order

Side = Literal["before", "behind"]
"""Where a place stands beside its character; of the end of a text, which side new text goes to."""

ASSOC: Final[dict[Side, int]] = {"before": 0, "behind": -1}


class Place(msgspec.Struct, frozen=True):
    """`client` None: the end of the text when it stands `before`, its beginning when it stands `behind`."""

    client: ClientId | None
    clock: int
    side: Side


class Anchor(msgspec.Struct, frozen=True):
    start: Place
    end: Place


@dataclass(frozen=True, slots=True)
class Span:
    """In code points, `end` exclusive. `gone`: whatever stood in it was deleted."""

    start: int
    end: int
    gone: bool


def anchor(order: Order, start: int, end: int) -> Anchor:
    """Of the range that stands between two places of the text now. `Invalid` when they are none."""
    if not 0 <= start <= end <= order.length:
        raise Invalid(f"{start} to {end} is no range of a text of {order.length} characters", field="range")
    if start == end:
        point = _before(order, start)
        return Anchor(point, point)
    return Anchor(_before(order, start), _behind(order, end))


def span(order: Order, of: Anchor) -> Span | None:
    """Where it stands now; None when the text does not have its characters."""
    start, end = _resolved(order, of.start), _resolved(order, of.end)
    if start is None or end is None:
        return None
    if of.start == of.end:
        return Span(start, start, gone=False)
    return Span(start, max(start, end), gone=end <= start)


def to_json(place: Place) -> dict[str, Any]:
    """A Yjs relative position."""
    if place.client is None:
        return {"tname": ROOT, "assoc": ASSOC[place.side]}
    return {"item": {"client": place.client, "clock": place.clock}, "assoc": ASSOC[place.side]}


def from_json(given: object, field: str) -> Place:
    """What a Yjs client made of a place in the text. `Invalid` for anything else."""
    if isinstance(given, dict):
        assoc = given.get("assoc", 0)
        item = given.get("item")
        side: Side = "behind" if isinstance(assoc, int) and assoc < 0 else "before"
        if item is None and given.get("tname") == ROOT:
            return Place(None, 0, side)
        if isinstance(item, dict) and _is_number(item.get("client")) and _is_number(item.get("clock")):
            return Place(ClientId(item["client"]), item["clock"], side)
    raise Invalid(f"{field} is no relative position in the text {ROOT!r}", field=field)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _before(order: Order, place: int) -> Place:
    if place == order.length:
        return Place(None, 0, "before")
    return Place(*order.id_at(place), "before")


def _behind(order: Order, place: int) -> Place:
    if place == 0:
        return Place(None, 0, "behind")
    return Place(*order.id_at(place - 1), "behind")


def _resolved(order: Order, place: Place) -> int | None:
    if place.client is None:
        return order.length if place.side == "before" else 0
    found = order.place_of(place.client, place.clock)
    if found is None:
        return None
    at, there = found
    return at + 1 if there and place.side == "behind" else at
