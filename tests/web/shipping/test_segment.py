"""A segment brings a database from one state to the next, and says so when it is put on another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Invalid
from collab.ids import Millis
from collab.store.pages import Mark
from web.shipping.layout import Repository, name_of, pack, unpack
from web.shipping.segment import Encoder, Head, decode, read_head

SIZE = 512


def head(number: int = 1) -> Head:
    mark = Mark(b"saltsalt", 7, 99, 10, Millis(5))
    repository = Repository(name="notes.git", small={"HEAD": b"ref: refs/heads/main\n"}, loose=("ab" * 32,))
    return Head(
        generation=3,
        number=number,
        page_size=SIZE,
        mark=mark,
        at=Millis(6),
        since=Millis(4),
        repositories=(repository,),
    )


def page(*filled: int) -> bytes:
    return bytes(filled) + bytes(SIZE - len(filled))


pages = st.dictionaries(st.integers(1, 9), st.builds(page, *[st.integers(0, 255)] * 3), max_size=9)


@given(st.lists(pages, max_size=8), st.integers(0, 9))
def test_what_is_applied_in_order_is_what_was_encoded(states: list[dict[int, bytes]], known: int) -> None:
    encoder = Encoder(known)
    here: dict[int, bytes] = {}
    there: dict[int, bytes] = {}
    for number, changed in enumerate(states):
        here |= changed
        found, changes = decode(encoder.encode(head(number), changed), there.__getitem__)
        there |= dict(changes)
        assert found == head(number)
        assert there == here


def test_the_head_can_be_read_alone() -> None:
    assert read_head(Encoder().encode(head(), {1: page(1)})) == head()


def test_a_page_that_changes_little_costs_little() -> None:
    encoder = Encoder()
    first = bytes(range(256)) * 16
    encoder.encode(head(), {2: first})
    again = encoder.encode(head(2), {2: first[:100] + b"x" + first[101:]})
    assert len(again) - len(encoder.encode(head(3), {})) < 60


def test_a_segment_on_another_state_is_refused() -> None:
    encoder = Encoder()
    encoder.encode(head(), {2: page(1)})
    second = encoder.encode(head(2), {2: page(2)})
    _, changes = decode(second, lambda number: page(9))
    with pytest.raises(Invalid, match="does not fit"):
        list(changes)


@pytest.mark.parametrize("at", [0, 40, -40, -1])
def test_a_damaged_segment_is_refused(at: int) -> None:
    content = bytearray(Encoder().encode(head(), {1: page(1)}))
    content[at] ^= 1
    with pytest.raises(Invalid):
        decode(bytes(content), lambda number: page())


@pytest.mark.parametrize("length", [0, 10, 30, 60])
def test_half_a_segment_is_refused(length: int) -> None:
    with pytest.raises(Invalid):
        decode(Encoder().encode(head(), {1: page(1)})[:length], lambda number: page())


@given(st.binary(max_size=200))
def test_a_piece_comes_back_as_it_was(content: bytes) -> None:
    assert unpack(pack(content), name_of(content)) == content


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_damaged_piece_is_refused(content: bytes, data: st.DataObject) -> None:
    packed = bytearray(pack(content))
    packed[data.draw(st.integers(1, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Invalid):
        unpack(bytes(packed), name_of(content))
