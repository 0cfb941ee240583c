"""The order of characters, held against pycrdt and its peers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text

from collab.errors import ProtocolError
from collab.ids import ClientId
from collab.order import Order, Run, order


class Typist:
    def __init__(self, client: int) -> None:
        self.doc: Doc[Any] = Doc(client_id=client)
        self.text = self.doc.get("content", type=Text)

    def type(self, place: float, text: str) -> None:
        now = str(self.text)
        self.text.insert(len(now[: int(place * len(now))].encode()), text)

    def delete(self, place: float, length: int) -> None:
        now = str(self.text)
        start = int(place * len(now))
        gone = now[start : start + length]
        at = len(now[:start].encode())
        if gone:
            del self.text[at : at + len(gone.encode())]

    def tell(self, other: Typist) -> None:
        other.doc.apply_update(self.doc.get_update(other.doc.get_state()))


def text_of(runs: list[Run]) -> str:
    return "".join(run.text for run in runs if run.text is not None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["type", "type", "type", "delete", "tell"]),
        st.integers(0, 2),
        st.floats(0, 1),
        st.sampled_from(["a", "bc", "é", "😀", "中文x", "line\n", "x" * 9]),
    ),
    max_size=60,
)


def carry_out(steps: list[tuple[str, int, float, str]]) -> list[Typist]:
    typists = [Typist(client) for client in (7, 3, 2**32 - 5)]
    for kind, who, place, text in steps:
        if kind == "type":
            typists[who].type(place, text)
        elif kind == "delete":
            typists[who].delete(place, len(text) * 2)
        else:
            typists[who].tell(typists[(who + 1) % 3])
    for _ in range(2):
        for n, typist in enumerate(typists):
            typist.tell(typists[(n + 1) % 3])
    return typists


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_without_the_deleted_runs_it_is_the_text(steps: list[tuple[str, int, float, str]]) -> None:
    for typist in carry_out(steps):
        runs = order(typist.doc.get_update())
        assert text_of(runs) == str(typist.text)
        for run in runs:
            assert run.text is None or len(run.text.encode("utf-16-le")) == 2 * run.length


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_place_has_a_name_and_the_name_leads_back(steps: list[tuple[str, int, float, str]]) -> None:
    typist = carry_out(steps)[0]
    found = Order(order(typist.doc.get_update()))
    assert found.length == len(str(typist.text))
    for place in range(found.length):
        assert found.place_of(*found.id_at(place)) == (place, True)
    with pytest.raises(IndexError):
        found.id_at(found.length)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.floats(0, 1), st.floats(0, 1))
def test_a_name_stays_with_its_character_whatever_is_typed_around_it(
    steps: list[tuple[str, int, float, str]], place: float, elsewhere: float
) -> None:
    typist = carry_out(steps)[0]
    before = str(typist.text)
    if not before:
        return
    at = min(int(place * len(before)), len(before) - 1)
    name = Order(order(typist.doc.get_update())).id_at(at)
    start = int(elsewhere * len(before))
    typist.type(elsewhere, "INSERTED")
    now = Order(order(typist.doc.get_update())).place_of(*name)
    assert now == (at + 8 if start <= at else at, True)


def test_a_character_that_was_deleted_is_where_it_stood() -> None:
    typist = Typist(1)
    typist.type(0, "abcdef")
    name = Order(order(typist.doc.get_update())).id_at(3)
    typist.delete(0.34, 3)
    found = Order(order(typist.doc.get_update()))
    assert (str(typist.text), found.place_of(*name)) == ("abf", (2, False))
    assert found.place_of(ClientId(1), 6) is None
    assert found.place_of(ClientId(2), 0) is None


def test_much_that_was_typed_at_one_place_at_once_keeps_its_order() -> None:
    chance = random.Random(1)
    typists = [Typist(client) for client in range(1, 9)]
    typists[0].type(0, "middle")
    for typist in typists[1:]:
        typists[0].tell(typist)
    for _ in range(40):
        for typist in typists:
            typist.type(0.5, f"<{typist.doc.client_id}{chance.choice('abc')}>")
    for typist in typists[1:]:
        typist.tell(typists[0])
    assert text_of(order(typists[0].doc.get_update())) == str(typists[0].text)


def test_bytes_that_are_no_document_are_refused() -> None:
    for data in (b"\1", b"\1\1\1\0\x84\5\0\1a\0", b"\xff" * 20):
        with pytest.raises(ProtocolError):
            order(data)


def test_an_empty_document_has_no_runs() -> None:
    assert order(b"\0\0") == []
