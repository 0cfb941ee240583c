"""Wire messages: both ways, and whatever bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab import protocol
from collab.errors import ProtocolError, TooLarge
from collab.ids import ClientId
from collab.protocol import (
    Auth,
    AwarenessUpdate,
    ClientState,
    Message,
    QueryAwareness,
    Reader,
    Saved,
    SyncStep1,
    SyncStep2,
    Token,
    Unknown,
    Update,
    decode,
)

integers = st.integers(0, protocol.MAX_INTEGER) | st.sampled_from([0, 127, 128, 2**14, 2**31, 2**53 - 1])
clients = integers.map(ClientId)
clocks = st.integers(0, protocol.MAX_CLOCK)
state_vectors = st.dictionaries(clients, clocks, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
blobs = st.binary(max_size=300)
states = st.builds(ClientState, clients, integers, texts)

messages: st.SearchStrategy[Message] = st.one_of(
    state_vectors.map(lambda clocks: SyncStep1(protocol.encode_state_vector(clocks))),
    blobs.map(SyncStep2),
    blobs.map(Update),
    st.lists(states, max_size=5).map(lambda listed: AwarenessUpdate(tuple(listed))),
    st.just(QueryAwareness()),
    texts.map(Auth),
    st.builds(Saved, integers, integers),
    texts.map(Token),
)


def encode(message: Message) -> bytes:
    match message:
        case SyncStep1(state_vector):
            return protocol.sync_step1(state_vector)
        case SyncStep2(update):
            return protocol.sync_step2(update)
        case Update(update):
            return protocol.update(update)
        case AwarenessUpdate(states):
            return protocol.awareness(states)
        case QueryAwareness():
            return protocol.query_awareness()
        case Auth(reason):
            return protocol.denied(reason)
        case Saved(position, count):
            return protocol.saved(position, count)
        case Token(token):
            return protocol.token(token)
        case Unknown(kind):
            return protocol.varint(kind)


def refusal(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode(data)
    assert 0 <= caught.value.details["byte"] <= len(data)
    return caught.value.message


def outcome(data: bytes) -> Message | None:
    """The message, or None for a refusal; anything else that is raised fails the test."""
    try:
        return decode(data)
    except ProtocolError:
        return None


@given(messages)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


@given(messages, st.data())
def test_a_message_that_is_cut_short_is_refused(message: Message, data: st.DataObject) -> None:
    frame = encode(message)
    refusal(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(messages, st.binary(min_size=1, max_size=5))
def test_bytes_behind_a_message_are_refused(message: Message, more: bytes) -> None:
    refusal(encode(message) + more)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\1" + tail))
def test_any_bytes_give_a_message_or_a_protocol_error(data: bytes) -> None:
    outcome(data)


@given(messages, st.data())
def test_a_message_with_bytes_changed_gives_a_message_or_a_protocol_error(
    message: Message, data: st.DataObject
) -> None:
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(frame))


@given(state_vectors)
def test_state_vectors_are_decoded_as_they_were_encoded(clocks: dict[ClientId, int]) -> None:
    assert protocol.decode_state_vector(protocol.encode_state_vector(clocks)) == clocks


@given(integers)
def test_integers_are_read_as_they_were_written(value: int) -> None:
    reader = Reader(protocol.varint(value))
    assert reader.integer("it") == value
    reader.close()


@pytest.mark.parametrize("value", [-1, 2**53])
def test_an_integer_that_javascript_cannot_hold_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="2\\^53"):
        protocol.varint(value)


@pytest.mark.parametrize("head", [b"", b"\0", b"\0\0", b"\0\1", b"\0\2", b"\1", b"\2\0", b"\3", b"\x08\1", b"\x08\2"])
def test_a_flood_of_0xff_is_refused_at_the_first_number(head: bytes) -> None:
    # The reader looks at ten bytes and gives up, however many follow: what it says is where they begin.
    for size in (20, 100_000):
        message = refusal(head + b"\xff" * size)
        assert f"at byte {len(head)}" in message


class Counted(bytes):
    """Bytes that count how often one of them is asked for."""

    asked = 0

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        Counted.asked += 1
        return super().__getitem__(key)


def test_a_number_takes_at_most_ten_steps() -> None:
    reader = Reader(Counted(b"\xff" * 100_000))
    Counted.asked = 0
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        reader.integer("it")
    assert Counted.asked <= 10


def test_lengths_and_counts_beyond_the_frame_allocate_nothing() -> None:
    huge = protocol.varint(2**52)
    assert "are left" in refusal(b"\0\2" + huge + b"abc")
    assert "clients in 3 bytes" in refusal(b"\0\0" + protocol.blob(huge + b"abc"))
    assert "awareness states, more than" in refusal(b"\1" + protocol.blob(huge + b"abc"))


def test_kinds_that_are_not_known_are_said_to_be_unknown() -> None:
    assert decode(b"\x07anything") == Unknown(7)
    assert decode(b"\xe8\x07") == Unknown(1000)
    assert decode(b"\x08\x63anything") == Unknown(protocol.QUIRE)
    assert decode(b"\2\1") == Unknown(protocol.AUTH)


def test_a_sync_message_of_an_unknown_kind_is_refused() -> None:
    assert refusal(b"\0\3\1a") == "3 is no sync message (0, 1 or 2), at byte 1"


def test_messages_say_what_was_wrong_and_where() -> None:
    assert refusal(b"") == "the message ends inside the kind of message, at byte 0"
    assert refusal(b"\0\2\5abc") == "the update has 5 bytes, but 3 are left, at byte 2"
    assert refusal(b"\2\0\3a\xffb") == "the reason is not UTF-8, at byte 4"
    assert refusal(b"\3\0") == "1 bytes follow the message, at byte 1"
    assert refusal(b"\0\0\5\2\7\1\7\2") == "client 7 occurs twice in a state vector, at byte 6"
    assert refusal(b"\0\0\7\1\7\xff\xff\xff\xff\x0f") == "a clock is 4294967295, more than 2147483647, at byte 5"


def test_limits_can_be_set() -> None:
    state = ClientState(ClientId(1), 2, '"0123456789"')
    frame = protocol.awareness([state, state])
    assert decode(frame, limit=len(frame), state_limit=12, states_limit=2) == AwarenessUpdate((state, state))
    with pytest.raises(ProtocolError, match="12 bytes, more than 11"):
        decode(frame, state_limit=11)
    with pytest.raises(ProtocolError, match="2 awareness states, more than 1"):
        decode(frame, states_limit=1)
    with pytest.raises(TooLarge, match="the limit is"):
        decode(frame, limit=len(frame) - 1)


def test_half_a_surrogate_pair_does_not_keep_a_message_from_being_sent() -> None:
    assert decode(protocol.denied("\ud83d")) == Auth("?")
