"""What a client that pushes says before its pack, in pieces of any size, and what is reported to it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Invalid, ProtocolError
from snapshots.packs.entries import oid
from snapshots.packs.refs import Outcome, Update
from web.git import pushing
from web.git.pktline import FLUSH, line, packet, packets
from web.git.pushing import Reader, report

ONE, TWO = "1" * 40, "2" * 40
ZERO = "0" * 40
OID_1, OID_2 = oid(ONE), oid(TWO)


def head(*rows: str, capabilities: str = "report-status side-band-64k push-options") -> bytes:
    first, *rest = rows
    return packet(f"{first}\0 {capabilities}".encode()) + b"".join(packet(row.encode()) for row in rest) + FLUSH


@given(st.lists(st.integers(1, 40), min_size=1), st.binary(max_size=100))
def test_it_may_come_in_pieces_of_any_size(sizes: list[int], pack: bytes) -> None:
    raw = head(f"{ONE} {TWO} refs/heads/main", f"{ZERO} {ONE} refs/heads/new", f"{ONE} {ZERO} refs/heads/old")
    raw += line("conflicts=keep") + FLUSH + pack
    reader, at, found = Reader(), 0, None
    while found is None:
        size = sizes[at % len(sizes)]
        found = reader.feed(raw[at : at + size])
        at += size
    asked, rest = found
    assert asked.updates == [
        Update(b"refs/heads/main", OID_1, OID_2), Update(b"refs/heads/new", None, OID_1),
        Update(b"refs/heads/old", OID_1, None),
    ]  # fmt: skip
    assert asked.options == ["conflicts=keep"]
    assert rest + raw[at:] == pack


def test_options_come_only_when_they_were_promised() -> None:
    found = Reader().feed(head(f"{ONE} {TWO} refs/heads/main", capabilities="report-status atomic") + b"PACK")
    assert found is not None
    assert (found[0].atomic, found[0].options, found[1]) == (True, [], b"PACK")


def test_a_client_that_asks_whether_it_may_asks_for_nothing() -> None:
    found = Reader().feed(FLUSH)
    assert found is not None
    assert found[0].updates == []


def test_what_a_shallow_clone_says_of_itself_is_passed_over() -> None:
    found = Reader().feed(packet(f"shallow {ONE}".encode()) + head(f"{ONE} {TWO} refs/heads/main"))
    assert found is None  # options are still to come
    found = Reader().feed(packet(f"shallow {ONE}".encode()) + head(f"{ONE} {TWO} refs/heads/main", capabilities="x"))
    assert found is not None
    assert len(found[0].updates) == 1


@pytest.mark.parametrize(
    "row", ["nonsense", f"{ONE} refs/heads/main", f"{ONE} xyz refs/heads/main", f"push-cert {ONE}"]
)
def test_what_says_not_which_ref_becomes_what_is_refused(row: str) -> None:
    with pytest.raises(ProtocolError):
        Reader().feed(head(row))


def test_it_has_an_end() -> None:
    reader = Reader()
    endless = (packet(f"{ZERO} {ONE} refs/heads/{number}".encode()) for number in range(1_000_000))
    with pytest.raises(ProtocolError, match="some thousand"):
        all(reader.feed(each) is None for each in endless)
    with pytest.raises(ProtocolError, match="options"):
        Reader().feed(head(f"{ONE} {TWO} refs/heads/main") + line("x") * 200)
    with pytest.raises(ProtocolError) as caught:
        Reader().feed(packet(b"x" * 60_000))
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=300))
def test_nothing_that_is_sent_does_more_than_be_refused(raw: bytes) -> None:
    with contextlib.suppress(Invalid):
        Reader().feed(raw)


def test_every_ref_is_reported_on_one_line() -> None:
    told = report([Outcome(b"refs/heads/main"), Outcome(b"refs/heads/x", "because\nof this")], "ok")
    said = [each if isinstance(each, bytes) else each.name for each in packets(told)]
    assert said == [b"unpack ok\n", b"ok refs/heads/main\n", b"ng refs/heads/x because of this\n", "FLUSH"]


def test_zero_stands_for_nothing() -> None:
    assert pushing.ZERO.hex() == ZERO
