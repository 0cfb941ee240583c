"""Packets, both ways, and whatever somebody sends."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import ProtocolError
from web.git.pktline import DELIMITER, FLUSH, LONGEST, Mark, Sideband, line, packet, packets, printable, take


@given(st.lists(st.one_of(st.binary(max_size=50), st.sampled_from(list(Mark)))))
def test_packets_are_read_as_they_were_written(given_: list[bytes | Mark]) -> None:
    raw = b"".join(each.value if isinstance(each, Mark) else packet(each) for each in given_)
    assert list(packets(raw)) == given_


def test_packets_look_as_the_protocol_says() -> None:
    assert line("hello") == b"000ahello\n"
    assert packet(b"") == b"0004"
    assert (FLUSH, DELIMITER) == (b"0000", b"0001")
    assert packet(b"x" * LONGEST)[:4] == b"fff0"


def test_half_a_packet_waits_for_the_rest() -> None:
    assert take(b"00") is None
    assert take(b"0009hell") is None
    assert take(b"0009hello") == (b"hello", 9)
    with pytest.raises(ProtocolError, match="cut short"):
        list(packets(b"0009hell"))


@pytest.mark.parametrize("raw", [b"0003", b"zzzz", b"-001", b" 1ab", b"+0ff", b"0x10", b"1_00"])
def test_what_begins_no_packet_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="four hex digits"):
        take(raw)


@given(st.binary(max_size=100))
def test_nothing_that_is_sent_does_more_than_be_refused(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        list(packets(raw))


@given(st.binary(max_size=3000), st.sampled_from([1000, 65520]))
def test_a_band_carries_everything_in_packets_that_the_client_takes(content: bytes, largest: int) -> None:
    sent = list(packets(b"".join(Sideband(largest).data(content))))
    assert b"".join(each[1:] for each in sent if isinstance(each, bytes)) == content
    assert all(isinstance(each, bytes) and each[:1] == Sideband.DATA and len(each) + 4 <= largest for each in sent)


def test_what_people_see_controls_no_terminal() -> None:
    assert printable("a\x1b[31m\x07b\u202ec\r\nd\ud800") == b"a?[31m?b?c\r\nd?"
