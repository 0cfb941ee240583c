"""From which copy a moment is restored."""

from __future__ import annotations

import pytest

from collab.ids import Millis
from web.shipping.copying import to_begin_with
from web.shipping.layout import FORMAT, Copy


def copy(generation: int, number: int, at: int, made_at: int) -> Copy:
    return Copy(
        format=FORMAT,
        version="1",
        generation=generation,
        number=number,
        at=Millis(at),
        made_at=Millis(made_at),
        epoch=1,
        size=0,
        pieces=(),
    )


COPIES = [
    copy(1, 0, at=100, made_at=150),
    copy(1, 9, at=200, made_at=201),
    copy(2, 0, at=120, made_at=300),  # a restored server begins with what was at 120
    copy(2, 5, at=400, made_at=401),
]


@pytest.mark.parametrize(
    ("at", "place"),
    [
        (99, None),
        (100, (1, 0)),
        (130, (1, 0)),
        (199, (1, 0)),
        (200, (1, 9)),
        (299, (1, 9)),
        (300, (2, 0)),
        (399, (2, 0)),
        (400, (2, 5)),
        (9999, (2, 5)),
    ],
)
def test_a_moment_is_restored_from_the_newest_copy_of_the_generation_that_was_then(
    at: int, place: tuple[int, int] | None
) -> None:
    found = to_begin_with(COPIES, Millis(at))
    assert (found and (found.generation, found.number)) == place
