"""One Yjs document: what goes in comes out, edits are small, and a bad update is an error and nothing worse."""

from __future__ import annotations

import gc
import random
import weakref

import pycrdt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collab.document import EMPTY, ROOT, WALK, Document, merge_updates, seed
from collab.errors import Invalid, ProtocolError, Quarantined
from collab.gate import walk
from collab.ids import ClientId
from collab.text import Edit, open_bytes, to_bytes

SERVER, ALICE, BOB = ClientId(2**53 - 5), ClientId(7), ClientId(2**32 - 1)

# Each was found by mutating real updates; the gate refuses them all.
UNREADABLE = {
    "nothing": b"",
    "cut off": b"\1\1\5\0\4\1\7content\3ab",
    "endless integers": b"\xff" * 50,
    "a parent that is no type": bytes.fromhex("01020202240107636f6e74656e74016b026162010002020101030205030505"),
    "a clock that wraps, which makes the decoder panic": bytes.fromhex(
        "010205ffffffff0f0001080107636f6e74656e74017f00"
    ),
}

texts = st.text(alphabet=st.sampled_from("ab \n\r\0\ufeffé漢😀\u0301"), max_size=30)


def peer(client: ClientId) -> tuple[pycrdt.Doc[pycrdt.Text], pycrdt.Text]:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client)
    return doc, doc.get(ROOT, type=pycrdt.Text)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_an_empty_document() -> None:
    document = Document(SERVER)
    assert document.text == ""
    assert document.clocks() == {}
    assert document.encode() == EMPTY
    assert document.state_vector() == b"\0"


@given(texts, st.sampled_from([ALICE, BOB, SERVER, ClientId(2**53 - 1), ClientId(127), ClientId(128)]))
@example("", ALICE)
@example("x" * 127, ALICE)
@example("x" * 128, ALICE)
@example("x" * 300_000, BOB)
def test_a_seed_is_what_one_insert_makes(text: str, client: ClientId) -> None:
    doc, content = peer(client)
    if text:
        content.insert(0, text)
    assert seed(text, client) == doc.get_update()
    document = Document.load(SERVER, [seed(text, client)])
    assert document.text == text
    assert document.clocks() == ({client: utf16(text)} if text else {})


@given(texts, texts, texts)
def test_edits_lead_to_the_target_here_and_at_every_peer(first: str, second: str, third: str) -> None:
    document = Document.load(SERVER, [seed(first, ALICE)])
    doc, content = peer(BOB)
    doc.apply_update(document.encode())
    for target in (second, third):
        changed = document.text != target
        update = document.edit(target)
        assert (update is not None) == changed
        if update is not None:
            doc.apply_update(update)
        assert document.text == str(content) == target
    assert Document.load(ALICE, [document.encode()]).text == third


@given(texts)
def test_a_file_goes_through_a_document_byte_for_byte(text: str) -> None:
    opened = open_bytes(text.encode())
    assert opened is not None
    document = Document(SERVER)
    document.edit(opened[0])
    assert to_bytes(document.text, opened[1]) == text.encode()


def test_an_edit_leaves_alone_what_did_not_change() -> None:
    document = Document.load(SERVER, [seed("é one\n😀 two\nthree\n", ALICE)])
    update = document.edit("é one\n😀 2\nthree\n")
    assert update is not None
    assert len(update) < 30
    doc, content = peer(BOB)
    doc.apply_update(seed("é one\n😀 two\nthree\n", ALICE))
    content.insert(0, "BOB ")
    doc.apply_update(update)
    assert str(content) == "BOB é one\n😀 2\nthree\n"


def test_the_first_of_two_edits_shows_in_the_text() -> None:
    document = Document(SERVER)
    document.edit("one")
    first = document.text
    document.apply([seed("two ", ALICE)])
    assert first == "one"
    assert sorted(document.text) == sorted("onetwo ")


def test_edits_computed_elsewhere_are_taken_while_they_lead_there() -> None:
    document = Document.load(SERVER, [seed("one two\n", ALICE)])
    edits = [Edit(0, 3, "1")]
    document.edit("1 two\n", edits=edits)
    assert document.text == "1 two\n"
    document.edit("1 three\n", edits=edits)
    assert document.text == "1 three\n"


def test_an_edit_that_utf8_cannot_carry_changes_nothing() -> None:
    document = Document.load(SERVER, [seed("a", ALICE)])
    with pytest.raises(Invalid):
        document.edit("a\ud800")
    assert document.text == "a"
    assert document.edit("a") is None


def test_updates_are_applied_in_one_transaction() -> None:
    document = Document(SERVER)
    novel = document.apply([seed("from alice\n", ALICE), seed("from bob\n", BOB)], origin=7)
    assert novel is not None
    doc, content = peer(SERVER)
    doc.apply_update(novel)
    assert str(content) == document.text
    assert len(document.text) == len("from alice\nfrom bob\n")


def test_only_what_is_new_comes_out() -> None:
    document = Document.load(SERVER, [seed("known", ALICE)])
    assert document.apply([seed("known", ALICE)]) is None
    assert document.apply([EMPTY]) is None
    assert document.apply([]) is None
    assert document.apply([seed("known", ALICE), seed("new", BOB)]) == seed("new", BOB)
    assert document.apply([seed("new", BOB)]) is None


def test_a_deletion_is_news_although_the_state_vector_stays() -> None:
    document = Document.load(SERVER, [seed("text", ALICE)])
    before = document.state_vector()
    doc, content = peer(BOB)
    doc.apply_update(document.encode())
    del content[0:2]
    update = doc.get_update(before)
    assert document.apply([update]) is not None
    assert document.state_vector() == before
    assert document.text == "xt"
    assert document.apply([update]) is None


@pytest.mark.parametrize("update", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_the_decoder_refuses_is_a_protocol_error(update: bytes) -> None:
    document = Document(SERVER)
    with pytest.raises(ProtocolError, match=r"^The update "):
        document.apply([seed("ok", ALICE), update])
    document.close()


@pytest.mark.parametrize("update", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_log_that_cannot_be_decoded_is_quarantined(update: bytes) -> None:
    with pytest.raises(Quarantined, match="cannot be decoded"):
        Document.load(SERVER, [seed("ok", ALICE), update])


def test_what_makes_the_encoder_panic_is_quarantined() -> None:
    document = Document(SERVER)
    document.apply([bytes.fromhex("01010101000000")])  # a block of no length
    with pytest.raises(Quarantined, match="panic"):
        document.encode()


def test_a_state_vector_that_cannot_be_decoded() -> None:
    with pytest.raises(ProtocolError, match="state vector"):
        Document(SERVER).diff(b"\xff")


def test_a_diff_brings_what_the_other_lacks() -> None:
    ours = Document.load(SERVER, [seed("one\n", ALICE)])
    theirs = Document.load(BOB, [ours.encode()])
    ours.edit("one\ntwo\n")
    assert theirs.apply([ours.diff(theirs.state_vector())]) is not None
    assert theirs.text == "one\ntwo\n"
    assert theirs.clocks() == ours.clocks()


@given(st.dictionaries(st.integers(1, 2**53 - 1).map(ClientId), st.text("a😀", min_size=1, max_size=200), max_size=6))
def test_clocks_count_utf16_units(written: dict[ClientId, str]) -> None:
    document = Document.load(SERVER, [seed(text, client) for client, text in written.items()])
    assert document.clocks() == {client: utf16(text) for client, text in written.items()}


def test_merged_updates_bring_what_all_bring() -> None:
    updates = [seed("a", ALICE), seed("b", BOB)]
    assert Document.load(SERVER, [merge_updates(updates)]).clocks() == {ALICE: 1, BOB: 1}
    assert merge_updates(updates[:1]) == updates[0]
    assert merge_updates([]) == EMPTY


def test_a_closed_document_is_freed_and_can_be_read_until_then() -> None:
    document = Document.load(SERVER, [seed("text", ALICE)])
    document.close()
    document.close()
    assert document.text == "text"
    assert document.encode() == seed("text", ALICE)
    with pytest.raises(RuntimeError, match="closed"):
        document.apply([seed("more", BOB)])
    with pytest.raises(RuntimeError, match="closed"):
        document.edit("more")
    gone = weakref.ref(document)
    del document
    gc.collect()
    assert gone() is None


def test_the_size_follows_what_was_applied() -> None:
    document = Document(SERVER)
    assert document.size == 0
    document.apply([seed("x" * 1000, ALICE)])
    assert 1000 <= document.size <= 1100
    document.apply([seed("x" * 1000, ALICE)])
    assert document.size <= 1100


def test_thousands_of_edits_in_a_shredded_document_are_joined() -> None:
    lines = [f"line {number} of a long text\n" for number in range(6000)]
    document = Document.load(SERVER, [seed("".join(lines), ALICE)])
    dice = random.Random(5)
    for _ in range(4):
        for number in range(len(lines)):
            lines[number] = lines[number][:2] + dice.choice("abcdefgh") + lines[number][2:]
        document.edit("".join(lines))
        assert document.text == "".join(lines)
    assert Document.load(BOB, [document.encode()]).text == "".join(lines)
    blocks = (len(document.encode()) - len(document.text)) // 5
    assert WALK // (blocks + 1) < len(lines)
    update = document.edit("".join(line.upper() for line in lines))
    assert update is not None
    assert walk(update).structs <= WALK // (blocks + 1)
