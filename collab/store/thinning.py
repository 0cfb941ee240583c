"""Which checkpoints of a document stay. PURE.

A position is at most `ENTRIES` entries and `WEIGHT` bytes of updates away from a checkpoint before it (or from the
empty document), as far as there were checkpoints to choose from; the newest always stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from collab.ids import Position

ENTRIES: Final = 20_000
WEIGHT: Final = 2_000_000


class Mark(NamedTuple):
    """A checkpoint: where it is, and how many bytes of updates the log holds up to there."""

    position: Position
    weight: int


def superfluous(marks: Sequence[Mark]) -> list[Position]:
    """Those of `marks`, which are in order, that may go. Done again when more have come, it keeps what it kept."""
    gone = []
    kept = Mark(Position(0), 0)
    for mark, following in pairwise(marks):
        near = following.position - kept.position <= ENTRIES and following.weight - kept.weight <= WEIGHT
        if near:
            gone.append(mark.position)
        else:
            kept = mark
    return gone
