"""Anchors stay with their text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text

from collab import anchors
from collab.anchors import Span, anchor, span
from collab.errors import Invalid
from collab.order import Order, order


class Page:
    def __init__(self, text: str) -> None:
        self.doc: Doc[Text] = Doc()
        self.content = self.doc.get("content", type=Text)
        self.insert(0, text)

    @property
    def text(self) -> str:
        return str(self.content)

    @property
    def order(self) -> Order:
        return Order(order(self.doc.get_update()))

    def insert(self, at: int, text: str) -> None:
        self.content.insert(len(self.text[:at].encode()), text)

    def delete(self, start: int, end: int) -> None:
        first = len(self.text[:start].encode())
        del self.content[first : first + len(self.text[start:end].encode())]


def test_a_range_moves_with_its_text_and_grows_inside_only() -> None:
    page = Page("one two three")
    two = anchor(page.order, 4, 7)
    page.insert(0, "0 ")
    assert span(page.order, two) == Span(6, 9, gone=False)
    page.insert(7, "--")
    found = span(page.order, two)
    assert found is not None
    assert page.text[found.start : found.end] == "t--wo"
    page.insert(found.end, "behind")
    page.insert(found.start, "before")
    found = span(page.order, two)
    assert found is not None
    assert page.text[found.start : found.end] == "t--wo"


def test_what_is_left_of_a_range_is_the_rest_and_of_one_that_is_gone_the_place() -> None:
    page = Page("one two three")
    two = anchor(page.order, 4, 7)
    page.delete(3, 5)
    found = span(page.order, two)
    assert found == Span(3, 5, gone=False)
    page.delete(3, 5)
    assert span(page.order, two) == Span(3, 3, gone=True)


def test_a_point_stays_before_its_character_and_the_end_stays_the_end() -> None:
    page = Page("one")
    point, end = anchor(page.order, 1, 1), anchor(page.order, 3, 3)
    page.insert(0, "é😀")
    page.insert(5, "!")
    assert (span(page.order, point), span(page.order, end)) == (Span(3, 3, False), Span(6, 6, False))


def test_characters_that_nobody_has_typed_are_nowhere() -> None:
    page, other = Page("one"), Page("other")
    assert span(page.order, anchor(other.order, 0, 5)) is None


def test_a_range_that_is_none_is_refused() -> None:
    page = Page("one")
    for start, end in ((2, 1), (-1, 2), (0, 4)):
        with pytest.raises(Invalid, match="is no range of a text of 3 characters"):
            anchor(page.order, start, end)


@pytest.mark.parametrize(
    "given",
    [None, 5, {}, {"item": {"client": "x", "clock": 1}}, {"item": {"client": 1, "clock": -1}}, {"tname": "other"}],
)
def test_what_is_no_relative_position_is_refused(given: object) -> None:
    with pytest.raises(Invalid, match="no relative position"):
        anchors.from_json(given, "start")


TEXTS = st.text("ab é😀中\n", min_size=1, max_size=20)
EDITS = st.lists(st.tuples(st.booleans(), st.floats(0, 1), TEXTS), max_size=12)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.floats(0, 1), st.floats(0, 1), EDITS)
def test_a_range_holds_what_is_left_of_it_and_what_was_typed_inside(
    text: str, first: float, last: float, edits: list[tuple[bool, float, str]]
) -> None:
    """A model: every character of the range is marked; so is what is typed strictly inside."""
    page = Page(text)
    start, end = sorted((int(first * len(text)), int(last * len(text))))
    if start == end:
        return
    kept = anchor(page.order, start, end)
    assert anchors.from_json(anchors.to_json(kept.start), "start") == kept.start
    marks = [start <= at < end for at in range(len(text))]
    for deletes, place, new in edits:
        at = int(place * len(page.text))
        if deletes:
            upto = min(at + len(new), len(page.text))
            if upto > at:
                page.delete(at, upto)
                del marks[at:upto]
        else:
            inside = any(marks[:at]) and any(marks[at:])
            page.insert(at, new)
            marks[at:at] = [inside] * len(new)
    found = span(page.order, kept)
    assert found is not None
    if any(marks):
        held = page.text[found.start : found.end]
        wanted = "".join(char for char, mark in zip(page.text, marks, strict=True) if mark)
        assert wanted in held
    else:
        assert found.start <= found.end
