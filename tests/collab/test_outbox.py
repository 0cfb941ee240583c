"""The outbox: bounded in bytes, and nothing of the text is lost when it overflows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collab.outbox import EMPTY_VECTOR, Outbox


def test_frames_come_out_in_the_order_in_which_they_went_in() -> None:
    outbox = Outbox()
    for number in range(3):
        assert outbox.put(bytes([number]), b"v")
    assert [outbox.take() for _ in range(3)] == [b"\x00", b"\x01", b"\x02"]
    assert not outbox


def test_an_overflow_drops_the_queue_and_remembers_the_state_before_its_first_frame() -> None:
    outbox = Outbox(limit=10)
    outbox.put(b"presence")
    outbox.put(b"1", b"v1")
    assert not outbox.put(b"toolong", b"v2")
    assert outbox.behind == b"v1"
    assert (not outbox, outbox.waiting) == (True, 0)


def test_without_news_of_the_text_an_overflow_asks_for_everything() -> None:
    outbox = Outbox(limit=3)
    outbox.put(b"abc")
    assert not outbox.put(b"d")
    assert outbox.behind == EMPTY_VECTOR


def test_a_frame_that_is_larger_than_the_limit_passes_alone() -> None:
    outbox = Outbox(limit=3)
    assert outbox.put(b"a large update", b"v")
    assert outbox.take() == b"a large update"


def test_who_is_behind_is_queued_nothing_until_it_has_the_difference() -> None:
    outbox = Outbox(limit=3)
    outbox.put(b"abc", b"v1")
    outbox.put(b"d", b"v2")
    assert outbox.put(b"e", b"v3")
    assert not outbox
    outbox.answer([b"difference"], b"v1")
    assert outbox.behind is None
    assert outbox.take() == b"difference"


def test_an_answer_is_not_counted_and_survives_an_overflow() -> None:
    outbox = Outbox(limit=3)
    outbox.answer([b"a whole document"], EMPTY_VECTOR)
    assert outbox.put(b"abc", b"v1")
    assert not outbox.put(b"d", b"v2")
    assert (outbox.take(), outbox.behind, bool(outbox)) == (b"a whole document", b"v1", False)


def test_who_asks_again_before_the_answer_has_left_is_owed_the_second_one() -> None:
    outbox = Outbox()
    outbox.answer([b"first"], b"v1")
    outbox.answer([b"second"], b"v2")
    assert (outbox.take(), bool(outbox), outbox.behind) == (b"first", False, b"v2")


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=8), st.none())))
def test_it_never_holds_more_than_its_limit_of_what_counts(steps: list[bytes | None]) -> None:
    outbox = Outbox(limit=16)
    for number, step in enumerate(steps):
        if step is not None:
            outbox.put(step, bytes([number % 256]))
        elif outbox:
            outbox.take()
        elif outbox.behind is not None:
            outbox.answer([b"d"], outbox.behind)
        assert outbox.waiting <= 16
        assert outbox or outbox.waiting == 0
