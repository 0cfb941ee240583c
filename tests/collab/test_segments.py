"""Packing the log: what goes in comes out, and takes little room."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Quarantined
from collab.ids import ActorId, ClientId, Millis, Position, TurnId
from collab.store import segments
from collab.store.base import Entry, Logged
from tests.collab.keystrokes import CLIENT, recording

words = st.text(max_size=12)
entries = st.builds(
    Entry,
    kind=st.integers(0, 2**31),
    actor=words.map(ActorId),
    payload=st.binary(max_size=40),
    on_behalf_of=st.none() | words.map(ActorId),
    turn=st.none() | words.map(TurnId),
    clients=st.lists(st.integers(0, 2**53 - 1).map(ClientId), max_size=3).map(tuple),
)


def log(made: list[Entry], first: int = 1, times: list[int] | None = None) -> list[Logged]:
    later = sorted(times or range(len(made)))
    return [
        Logged(Position(position), Millis(1_700_000_000_000 + at), entry)
        for position, (entry, at) in enumerate(zip(made, later, strict=False), start=first)
    ]


@given(st.lists(entries, min_size=1, max_size=40), st.integers(1, 2**40), st.data())
def test_what_is_packed_comes_out_as_it_was(made: list[Entry], first: int, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 10**9), min_size=len(made), max_size=len(made)))
    before = log(made, first, times)
    (packed,) = segments.pack(before)
    assert segments.unpack(packed.data) == before
    assert (packed.first, packed.last, packed.until) == (first, before[-1].position, before[-1].at)
    assert packed.weight == sum(len(entry.payload) for entry in made)
    assert all(packed.kinds & segments.mask(entry.kind) for entry in made)


def test_entries_of_every_length_come_out() -> None:
    made = [Entry(kind=1, actor=ActorId("alice"), payload=bytes([n % 251]) * (n % 600)) for n in range(3000)]
    before = log(made)
    after = [logged for packed in segments.pack(before) for logged in segments.unpack(packed.data)]
    assert after == before


def test_segments_are_bounded_by_count_and_by_weight() -> None:
    many = [Entry(kind=1, actor=ActorId("alice"), payload=b"") for _ in range(2 * segments.ENTRIES + 1)]
    assert [packed.last - packed.first + 1 for packed in segments.pack(log(many))] == [4096, 4096, 1]
    heavy = [Entry(kind=1, actor=ActorId("alice"), payload=b"x" * (segments.WEIGHT // 2 + 1)) for _ in range(3)]
    assert [packed.first for packed in segments.pack(log(heavy))] == [1, 2, 3]
    assert list(segments.pack([])) == []


def test_a_recorded_keystroke_takes_two_bytes() -> None:
    made = [
        Entry(kind=1, actor=ActorId("alice"), payload=update, clients=(ClientId(CLIENT),))
        for update in recording().updates
    ]
    times = [n * 150 + zlib.crc32(update) % 100 for n, update in enumerate(recording().updates)]
    packed = list(segments.pack(log(made, times=times)))
    assert sum(len(each.data) for each in packed) < 2.5 * len(made)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02whatever",
        b"\x01not zlib",
        b"\x01" + zlib.compress(b"not columns"),
        b"\x01" + zlib.compress(b"\x01\x01"),
    ],
)
def test_what_is_no_segment_is_quarantined(data: bytes) -> None:
    with pytest.raises(Quarantined):
        segments.unpack(data)


def test_a_segment_of_which_a_part_is_missing_is_quarantined() -> None:
    (packed,) = segments.pack(log([Entry(kind=1, actor=ActorId("alice"), payload=b"abc") for _ in range(100)]))
    for end in range(1, len(packed.data)):
        with pytest.raises(Quarantined):
            segments.unpack(packed.data[:end])
