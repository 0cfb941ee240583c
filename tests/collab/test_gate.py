"""The gate: what it reads in updates, what it refuses, and what a real document makes of what it lets through."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab import gate
from collab.document import Document, seed
from collab.errors import AnotherDocument, Lacking, ProtocolError
from collab.gate import CLOCK_LIMIT, MAX_CLIENT, RESERVED_FLOOR, Walk, is_reserved, judge, reserved_id, walk
from collab.ids import ActorId, ClientId, DocumentId
from collab.protocol import decode_state_vector, varint
from tests.collab.mutations import Peer, session
from tests.collab.updates import DELETED, GC, STRING, block, gc, gone, item, nested, read, skip, update

ALICE, BOB = ActorId("alice"), ActorId("bob")
A, B, C = ClientId(7), ClientId(300), ClientId(2**32 - 1)

dice = st.integers(0, 2**32).map(random.Random)


def refusal(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        walk(data)
    return caught.value.message


def weigh(
    walked: Walk,
    clocks: dict[ClientId, int] | None = None,
    bindings: dict[ClientId, ActorId] | None = None,
    reserved: Callable[[ClientId], bool] = lambda _: False,
) -> tuple[ClientId, ...]:
    return judge(walked, clocks or {}, bindings or {}, ALICE, reserved=reserved)


# What real peers write


@given(dice)
@settings(max_examples=60, deadline=None)
def test_every_update_of_real_peers_passes_and_is_integrated(dice: random.Random) -> None:
    server = Peer(1)
    for sent in session(dice).updates:
        clocks = decode_state_vector(server.doc.get_state())
        halves = walk(server.doc.get_update()).halves
        walked = walk(sent)
        brings = judge(walked, clocks, {}, ALICE, reserved=lambda _: False, halves=halves)
        server.doc.apply_update(sent)
        after = decode_state_vector(server.doc.get_state())
        assert set(brings) == {client for client in after if after[client] > clocks.get(client, 0)}
        assert after == {**clocks, **{client: walked.news[client][-1][1] for client in brings}}
    server.close()


@given(dice)
@settings(max_examples=60, deadline=None)
def test_the_walk_of_a_state_agrees_with_its_state_vector(dice: random.Random) -> None:
    state = session(dice).updates[-1]
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    doc.apply_update(state)
    walked = walk(state)
    assert {client: ranges[-1][1] for client, ranges in walked.news.items()} == decode_state_vector(doc.get_state())
    assert all(ranges[0][0] == 0 and len(ranges) == 1 for ranges in walked.news.values())
    assert (walked.needs, walked.gc) == ({}, {})
    assert judge(walked, decode_state_vector(doc.get_state()), {}, BOB, reserved=lambda _: False) == ()


@given(dice)
@settings(max_examples=60, deadline=None)
def test_the_walk_agrees_with_a_plain_decoder(dice: random.Random) -> None:
    for sent in session(dice).updates:
        walked, plain = walk(sent), read(sent)
        assert walked.news == plain.spans(STRING, DELETED, GC)
        assert walked.structs == sum(map(len, plain.structs.values()))
        assert walked.deletes == bool(plain.deletes)


@given(dice, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_what_judge_calls_lacking_is_what_a_document_would_leave_pending(dice: random.Random, lost: int) -> None:
    sent = session(dice).updates[:-1]
    for _ in range(min(lost, len(sent))):
        del sent[dice.randrange(len(sent))]
    server = Peer(1)
    for one in sent:
        walked, clocks = walk(one), decode_state_vector(server.doc.get_state())
        try:
            brings = judge(walked, clocks, {}, ALICE, reserved=lambda _: False)
        except Lacking:
            # In a copy: the clocks do not get where the update says, or a deletion reaches beyond them.
            copy = Peer(2)
            copy.doc.apply_update(server.doc.get_update())
            copy.doc.apply_update(one)
            known = decode_state_vector(copy.doc.get_state())
            ends = {client: ranges[-1][1] for client, ranges in walked.news.items()}
            deletes = {client: spans[-1][1] for client, spans in read(one).deletes.items() if spans}
            assert any(known.get(client, 0) < end for client, end in [*ends.items(), *deletes.items()])
            copy.close()
        else:
            server.doc.apply_update(one)
            after = decode_state_vector(server.doc.get_state())
            assert after == {**clocks, **{client: walked.news[client][-1][1] for client in brings}}
    server.close()


def test_a_seed_passes() -> None:
    walked = walk(seed("Grüße 😀", A))
    assert walked == Walk({A: ((0, 8),)}, {}, {}, False, 1, {}, {A: frozenset({7})})
    assert walk(seed("", A)) == Walk({}, {}, {}, False, 0, {}, {})


def test_edits_of_our_own_documents_pass() -> None:
    document = Document(reserved_id(DocumentId("d"), 1, 1))
    for text in ("alpha\nbeta\n", "alpha\n😀beta\n", "beta", "", "漢字"):
        made = document.edit(text)
        assert made is not None
        walk(made)
    document.close()


# What a walk says


def test_a_keystroke() -> None:
    walked = walk(update(block(A, 5, item("x", (A, 4), (B, 2)))))
    assert walked.news == {A: ((5, 6),)}
    assert walked.needs == {A: 5, B: 3}
    assert (walked.gc, walked.deletes, walked.structs) == ({}, False, 1)


def test_needs_are_what_the_update_does_not_bring_itself() -> None:
    one = block(A, 0, item("abc"), item("d", (B, 1)))
    other = block(B, 0, item("xyz", (A, 2)), item("w", (C, 4)))
    assert walk(update(one, other)).needs == {C: 5}
    assert walk(update(one)).needs == {B: 2}
    assert walk(update(block(A, 0, item("abc"), item("d", (A, 1), (A, 2))))).needs == {}


def test_a_range_behind_a_gap_needs_all_that_is_before_it() -> None:
    walked = walk(update(block(A, 2, item("ab", (A, 1)), skip(3), item("c", (A, 6)), item("d", (A, 7)))))
    assert walked.news == {A: ((2, 4), (7, 9))}
    assert walked.needs == {A: 7}
    assert weigh(walked, {A: 7}) == (A,)
    assert weigh(walked, {A: 9}) == ()
    with pytest.raises(Lacking, match="up to clock 7; 4 is known"):
        weigh(walked, {A: 4})


def test_skips_at_either_end_are_no_news() -> None:
    walked = walk(update(block(A, 0, skip(3), item("c", (A, 2)), skip(2)), block(B, 4, skip(9))))
    assert walked.news == {A: ((3, 4),)}
    assert walked.needs == {A: 3}


def test_deletions_need_what_they_delete() -> None:
    walked = walk(update(deletes={A: [(0, 2), (7, 3)], B: [(1, 1)]}))
    assert walked.deletes
    assert walked.news == {}
    assert walked.needs == {A: 10, B: 2}
    with pytest.raises(Lacking) as caught:
        weigh(walked, {A: 9, B: 2})
    assert caught.value.details == {"client": A, "needs": 10, "known": 9}
    assert weigh(walked, {A: 10, B: 2}) == ()


def test_deletions_of_what_the_update_brings_need_nothing() -> None:
    assert walk(update(block(A, 0, item("abc")), deletes={A: [(0, 3)]})).needs == {}
    assert walk(update(block(A, 0, item("abc")), deletes={A: [(0, 4)]})).needs == {A: 4}


def test_gc_blocks_are_news_and_are_named() -> None:
    walked = walk(update(block(A, 0, item("ab"), gc(2), gc(1), item("c", (A, 4)), gc(4))))
    assert walked.news == {A: ((0, 10),)}
    assert walked.gc == {A: ((2, 5), (6, 10))}


def test_lengths_are_counted_in_utf_16() -> None:
    assert walk(update(block(A, 0, item("a漢😀é"), item("z", (A, 4))))).news == {A: ((0, 6),)}


# What a walk refuses


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (2, "JSON"),
        (3, "binary"),
        (5, "embed"),
        (6, "format"),
        (7, "type"),
        (8, "any"),
        (9, "subdocument"),
        (11, "move"),
    ],
)
def test_content_that_is_not_text_is_refused(content: int, name: str) -> None:
    assert f"an item of {name} content" in refusal(update(block(A, 0, bytes((content,)) + b"\1\7content\1\0")))
    assert f"an item of {name} content" in refusal(update(block(A, 0, bytes((content | 0x80, 7, 0)) + b"\1\0")))


@pytest.mark.parametrize("info", [12, 15, 20, 31, 0x40, 0x80, 0x8A, 0xCA])
def test_structs_that_nobody_knows_are_refused(info: int) -> None:
    assert "an unknown kind of struct" in refusal(update(block(A, 0, bytes((info, 7, 0, 1, 1)))))


@pytest.mark.parametrize("info", [0x24, 0x21, 0x64, 0xA4, 0xE4, 0x20, 0x2A])
def test_map_keys_are_refused(info: int) -> None:
    assert "an item with a map key" in refusal(update(block(A, 0, bytes((info,)) + b"\1\7content\1k\1a")))


def test_other_roots_and_parents_are_refused() -> None:
    assert "whose parent is not the root 'content'" in refusal(update(block(A, 0, item("a").encode(root="contents"))))
    assert "whose parent is not the root 'content'" in refusal(update(block(A, 0, b"\4\0" + varint(B) + b"\0\1a")))


def test_lengths_of_zero_are_refused() -> None:
    for empty in (item(""), gone(0), gc(0), skip(0)):
        assert "a struct of length 0" in refusal(update(block(A, 0, empty)))
    assert "a deletion of length 0" in refusal(update(deletes={A: [(3, 0)]}))


def test_clocks_of_two_to_the_31_are_refused() -> None:
    last = CLOCK_LIMIT - 1
    assert walk(update(block(A, last - 1, gone(1, (A, 0))))).news == {A: ((last - 1, last),)}
    assert "a clock of 2^31 or more" in refusal(update(block(A, last - 1, gone(2, (A, 0)))))
    assert "a clock of 2^31 or more" in refusal(update(block(A, 0, gone(last), gone(1, (A, 0)))))
    assert "a number of 2147483648, more than" in refusal(update(block(A, CLOCK_LIMIT, item("a"))))
    assert "a number of 2147483648, more than" in refusal(update(block(A, 0, item("a", (B, CLOCK_LIMIT)))))
    assert "a deletion up to clock 2^31" in refusal(update(deletes={A: [(last, 1)]}))


def test_client_ids_that_javascript_cannot_hold_are_refused() -> None:
    assert walk(update(block(MAX_CLIENT, 0, item("a")))).news == {MAX_CLIENT: ((0, 1),)}
    too_large = varint(MAX_CLIENT)[:-1] + b"\x1f"
    assert "more than 9007199254740991" in refusal(b"\1\1" + too_large + b"\0" + item("a").encode() + b"\0")
    assert "more than 9007199254740991" in refusal(b"\0\1" + too_large + b"\1\0\1")


def test_a_client_has_one_block_and_one_list_of_deletions() -> None:
    assert "a second block of client 7" in refusal(update(block(A, 0, item("a")), block(A, 1, item("b", (A, 0)))))
    assert "a second block of client 7" in refusal(update(block(A, 0, skip(1)), block(A, 1, item("b", (A, 0)))))
    lists = b"\0\2" + 2 * (varint(A) + b"\1\0\1")
    assert "a second list of deletions of client 7" in refusal(lists)


def test_blocks_of_no_structs_are_refused() -> None:
    # The decoder would stop at an empty block that comes first, and forget the others.
    assert "a block of no structs" in refusal(update(block(C, 0), block(A, 0, item("a"))))


def test_text_that_is_not_utf_8_is_refused() -> None:
    for raw in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\xe6\xbc"):
        struct = b"\4\1\7content" + varint(len(raw)) + raw
        assert "a text that is not UTF-8" in refusal(update(block(A, 0, struct)))


def test_bytes_behind_an_update_are_refused() -> None:
    assert "1 bytes follow the update" in refusal(b"\0\0\0")
    assert "2 bytes follow the update" in refusal(update(deletes={A: [(0, 1)]}) + b"ab")


@given(dice, st.data())
@settings(max_examples=30, deadline=None)
def test_an_update_that_is_cut_short_is_refused(dice: random.Random, data: st.DataObject) -> None:
    sent = data.draw(st.sampled_from(session(dice, edits=8).updates))
    refusal(sent[: data.draw(st.integers(0, len(sent) - 1))])


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: b"\1\1\7\0\4\1\7content" + tail))
def test_any_bytes_give_a_walk_or_a_protocol_error(data: bytes) -> None:
    try:
        walk(data)
    except ProtocolError:
        return


def test_items_that_hang_on_themselves_or_on_later_ones_are_refused() -> None:
    for clock in (3, 4, 9):
        assert "hangs on itself or on a later one" in refusal(update(block(A, 3, item("abc", (A, clock)))))
        assert "hangs on itself or on a later one" in refusal(update(block(A, 3, item("abc", None, (A, clock)))))


def test_items_that_wait_for_each_other_are_refused() -> None:
    one, two = block(A, 0, item("a", (B, 0))), block(B, 0, item("b", (A, 0)))
    assert "wait for each other" in refusal(update(one, two))
    three = block(B, 0, item("b", (C, 1))), block(C, 0, item("c"), item("d", (A, 0)))
    assert "wait for each other" in refusal(update(one, *three))
    # through what comes before in a block
    assert "wait for each other" in refusal(
        update(block(A, 0, item("a", (B, 5)), item("x")), block(B, 0, item("b", (A, 1)), item("12345", (B, 0))))
    )


def test_items_that_take_turns_are_not_waiting_for_each_other() -> None:
    ping = [item("a", (B, n - 1)) if n else item("a") for n in range(500)]
    pong = [item("b", (A, n)) for n in range(500)]
    walked = walk(update(block(A, 0, *ping), block(B, 0, *pong)))
    assert walked.needs == {}
    assert weigh(walked) == (A, B)


def test_the_killer_of_26_000_nested_arrays_is_refused() -> None:
    killer = nested(26_000)
    assert len(killer) < 53_000
    assert "an item of any content" in refusal(killer)


def test_without_the_gate_the_killer_would_end_the_process() -> None:
    # The negative control of the tests here that apply updates in other processes. How deep it must go depends on how
    # much stack there is.
    program = "import pycrdt; from tests.collab.updates import nested; pycrdt.Doc().apply_update(nested(200_000))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=120)
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)


@pytest.mark.parametrize(
    "head", [b"", b"\1", b"\1\1", b"\1\1\7", b"\1\1\7\0\4\1\7content", b"\1\1\7\0\xc4", b"\0", b"\0\1"]
)
def test_a_flood_of_0xff_is_refused_at_the_first_number(head: bytes) -> None:
    flood = head + b"\xff" * 100_000
    with pytest.raises(ProtocolError) as caught:
        walk(flood)
    # Wherever it stops, it has not looked further than a struct's few numbers, of ten bytes each.
    assert caught.value.details["byte"] <= len(head) + 10


def test_counts_beyond_the_update_run_out_of_bytes_at_once() -> None:
    huge = varint(2**52)
    for data in (huge, b"\1" + huge + b"\7\0", b"\0" + huge, b"\0\1\7" + huge):
        assert "ends in the middle" in refusal(data)
    assert "a text of 2147483647 bytes where 1 are left" in refusal(
        update(block(A, 0, b"\4\1\7content" + varint(2**31 - 1)))
    )


def test_a_flood_of_gaps_is_refused() -> None:
    pairs = b"".join(gc(1).encode() + skip(1).encode() for _ in range(gate.GAP_LIMIT + 1))
    flood = varint(1) + varint(2 * gate.GAP_LIMIT + 2) + varint(A) + b"\0" + pairs + b"\0"
    assert "gaps" in refusal(flood)


# Characters of two code units


def test_an_update_does_not_cut_its_own_characters() -> None:
    text = block(A, 0, item("a😀b"))
    for cut in (
        update(text, block(B, 0, item("x", (A, 1)))),
        update(text, block(B, 0, item("x", None, (A, 2)))),
        update(text, deletes={A: [(1, 1)]}),
        update(text, deletes={A: [(2, 2)]}),
        update(block(A, 0, item("a😀b"), item("x", (A, 1)))),
    ):
        assert refusal(cut) == "the update cuts a character of client 7 apart, at clock 2"
    assert walk(update(text, block(B, 0, item("x", (A, 2), (A, 3))), deletes={A: [(1, 2)]})).halves == {A: {2}}


def test_an_update_does_not_cut_the_characters_of_the_document() -> None:
    halves = walk(update(block(A, 0, item("a😀b")))).halves
    for cut in (update(block(B, 0, item("x", (A, 1)))), update(deletes={A: [(0, 2)]})):
        with pytest.raises(ProtocolError, match="cuts a character of client 7 apart, at clock 2"):
            judge(walk(cut), {A: 4}, {}, ALICE, reserved=lambda _: False, halves=halves)
    whole = walk(update(block(B, 0, item("x", (A, 2), (A, 3))), deletes={A: [(0, 3)]}))
    assert judge(whole, {A: 4}, {}, ALICE, reserved=lambda _: False, halves=halves) == (B,)


def test_a_document_keeps_where_its_characters_are_and_believes_nobody_about_what_it_knows() -> None:
    halves: dict[ClientId, set[int]] = {}
    gate.add_halves(halves, walk(update(block(A, 0, item("a😀b")))), {})
    gate.add_halves(halves, walk(update(block(A, 0, item("😀😀😀")))), {A: 4})
    gate.add_halves(halves, walk(update(block(B, 0, item("plain")))), {A: 6})
    assert halves == {A: {2, 5}}


def test_what_is_known_does_not_end_inside_a_character() -> None:
    # Somebody says that clocks 0 and 1 were another text; the decoder would take the rest from inside the character.
    with pytest.raises(ProtocolError, match="two different things at clock 2"):
        weigh(walk(update(block(A, 0, item("a😀b")))), {A: 2})


# Whose news it is


def test_news_is_what_is_beyond_the_known_clocks() -> None:
    walked = walk(update(block(A, 0, item("abc")), block(B, 0, item("x", (A, 2)))))
    assert weigh(walked) == (A, B)
    assert weigh(walked, {A: 3}) == (B,)
    assert weigh(walked, {A: 2, B: 1}) == (A,)
    assert weigh(walked, {A: 5, B: 1}) == ()


def test_news_under_the_id_of_another_actor_is_refused() -> None:
    walked = walk(update(block(A, 3, item("d", (A, 2)))))
    assert weigh(walked, {A: 3}, {A: ALICE}) == (A,)
    with pytest.raises(AnotherDocument, match="client 7 belongs to another actor"):
        weigh(walked, {A: 3}, {A: BOB})


def test_anybody_may_repeat_and_delete_what_is_known() -> None:
    walked = walk(update(block(A, 0, item("abc")), deletes={A: [(0, 3)], B: [(1, 2)]}))
    assert weigh(walked, {A: 3, B: 3}, {A: BOB, B: BOB}) == ()


def test_news_under_a_reserved_id_is_the_servers_decision() -> None:
    ours = reserved_id(DocumentId("d"), 1, 1)
    walked = walk(update(block(ours, 0, item("abc"))))
    with pytest.raises(AnotherDocument, match="a reserved id"):
        weigh(walked)
    assert weigh(walked, {ours: 3}) == ()
    assert weigh(walked, bindings={ours: BOB}, reserved=lambda client: client == ours) == (ours,)


def test_gc_blocks_are_never_news() -> None:
    walked = walk(update(block(A, 0, item("ab"), gc(2))))
    for clocks in ({}, {A: 2}, {A: 3}):
        with pytest.raises(AnotherDocument, match="GC block"):
            weigh(walked, clocks)
    assert weigh(walked, {A: 4}) == ()


def test_news_that_is_somebody_elses_is_refused_for_good_whatever_it_lacks() -> None:
    with pytest.raises(AnotherDocument):
        weigh(walk(update(block(A, 9, item("x", (B, 4))))), bindings={A: BOB})


def test_what_it_hangs_on_must_be_known() -> None:
    walked = walk(update(block(A, 0, item("x", (B, 4)))))
    with pytest.raises(Lacking, match="needs client 300 up to clock 5; 0 is known"):
        weigh(walked)
    with pytest.raises(Lacking, match="4 is known"):
        weigh(walked, {B: 4})
    assert weigh(walked, {B: 5}) == (A,)


@given(st.text(max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_reserved_ids_are_reserved_and_differ(document: str, node: int, epoch: int) -> None:
    mine = reserved_id(DocumentId(document), node, epoch)
    assert is_reserved(mine)
    assert RESERVED_FLOOR <= mine <= MAX_CLIENT
    assert mine == reserved_id(DocumentId(document), node, epoch)
    others = (DocumentId(f"{document}."), node, epoch), (DocumentId(document), node + 1, epoch)
    assert mine not in {reserved_id(*other) for other in (*others, (DocumentId(document), node, epoch + 1))}


def test_the_ids_that_stock_peers_draw_are_not_reserved() -> None:
    assert not is_reserved(ClientId(2**32 - 1))
    assert not is_reserved(ClientId(RESERVED_FLOOR - 1))


# Hostile updates in a real document


@pytest.mark.parametrize("number", range(4))
def test_thousands_of_mutations_leave_a_document_whole(number: int) -> None:
    # In a process of its own, since what it looks for is a process that dies.
    command = [sys.executable, "-m", "tests.collab.mutations", str(number), "5000"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=240, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert sum(report["outcomes"].values()) >= 5000
    assert report["outcomes"]["accepted"] >= 200
