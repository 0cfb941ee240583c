"""Bytes made by the real lib0, y-protocols and yjs, and ours in their hands."""

from __future__ import annotations

import json
from typing import Any

import pycrdt
import pytest

from collab import protocol
from collab.errors import ProtocolError
from collab.gate import add_halves, judge, walk
from collab.ids import ActorId, ClientId
from tests.interop.node_env import node

ALICE = ActorId("alice")


@pytest.fixture(scope="module")
def made() -> Any:
    return json.loads(node("bytes.mjs", "make"))


def numbers(clocks: dict[str, int]) -> dict[ClientId, int]:
    return {ClientId(int(client)): clock for client, clock in clocks.items()}


def message(made: Any, name: str) -> protocol.Message:
    return protocol.decode(bytes.fromhex(made["messages"][name]))


def test_integers_are_written_and_read_as_lib0_does(made: Any) -> None:
    for value, text in made["integers"]:
        assert protocol.varint(value).hex() == text
        assert protocol.Reader(bytes.fromhex(text)).integer("it") == value


def test_sync_messages_of_y_protocols_are_understood(made: Any) -> None:
    step1 = message(made, "step1")
    assert isinstance(step1, protocol.SyncStep1)
    assert protocol.decode_state_vector(step1.state_vector) == numbers(made["clocks"])
    update = bytes.fromhex(made["update"])
    assert message(made, "step2") == protocol.SyncStep2(update)
    assert message(made, "update") == protocol.Update(update)


def test_sync_messages_are_written_as_y_protocols_does(made: Any) -> None:
    update = bytes.fromhex(made["update"])
    vector = protocol.encode_state_vector(numbers(made["clocks"]))
    assert protocol.sync_step1(vector).hex() == made["messages"]["step1"]
    assert protocol.sync_step2(update).hex() == made["messages"]["step2"]
    assert protocol.update(update).hex() == made["messages"]["update"]


def test_awareness_of_y_protocols_is_understood_and_repeated(made: Any) -> None:
    here = message(made, "here")
    assert isinstance(here, protocol.AwarenessUpdate)
    (state,) = here.states
    assert (state.client, state.clock) == (4294967295, 1)
    assert json.loads(state.state) == {"user": {"name": "Zoë 漢 😀", "color": "#ff0000"}, "cursor": None}
    assert protocol.awareness(here.states).hex() == made["messages"]["here"]
    assert message(made, "gone") == protocol.AwarenessUpdate((protocol.ClientState(ClientId(4294967295), 2, "null"),))


def test_the_other_messages_of_stock_peers_are_understood_and_repeated(made: Any) -> None:
    assert message(made, "query") == protocol.QueryAwareness()
    assert message(made, "denied") == protocol.Auth("not you, Zoë")
    assert protocol.query_awareness().hex() == made["messages"]["query"]
    assert protocol.denied("not you, Zoë").hex() == made["messages"]["denied"]


def test_stock_peers_understand_ours() -> None:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=2**53 - 1)
    text = doc.get("content", type=pycrdt.Text)
    text += "Grüße "
    first = doc.get_update()
    text += "漢 😀"
    integers = (0, 127, 128, 2**31, 2**53 - 1)
    state = protocol.ClientState(ClientId(7), 3, json.dumps({"user": {"name": "Zoë 😀"}}, ensure_ascii=False))
    ours = {
        "step1": protocol.sync_step1(b"\0"),
        "step2": protocol.sync_step2(first),
        "update": protocol.update(doc.get_update()),
        "state_vector": protocol.encode_state_vector({ClientId(5): 6, ClientId(2**53 - 1): 7}),
        "awareness": protocol.awareness([state]),
        "query": protocol.query_awareness(),
        "denied": protocol.denied("a viewer cannot write, Zoë"),
        "saved": protocol.saved(2**40, 12),
        "token": protocol.token("a.b.ç"),
    }
    question: dict[str, Any] = {name: frame.hex() for name, frame in ours.items()}
    question["integers"] = [protocol.varint(value).hex() for value in integers]
    answer = json.loads(node("bytes.mjs", "read", input=json.dumps(question)))
    assert answer["text"] == "Grüße 漢 😀"
    assert answer["kinds"] == [protocol.STEP_1, protocol.STEP_2, protocol.UPDATE]
    assert numbers(answer["clocks"]) == {5: 6, 2**53 - 1: 7}
    assert answer["awareness"] == {"kind": 1, "seen": {"7": {"user": {"name": "Zoë 😀"}}}}
    assert answer["denied"] == {"kind": 2, "reason": "a viewer cannot write, Zoë"}
    assert answer["query"] == 3
    assert answer["saved"] == [8, 1, 2**40, 12]
    assert answer["token"] == [8, 2, "a.b.ç"]
    assert answer["integers"] == list(integers)
    # what Yjs answers to our step 1, with all it has been given
    reply = protocol.decode(b"\0" + bytes.fromhex(answer["answer"]))
    assert isinstance(reply, protocol.SyncStep2)
    assert walk(reply.update).news == {2**53 - 1: ((0, 10),)}


class Server:
    """A document behind the gate, as a room has it."""

    def __init__(self) -> None:
        self.doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
        self.text = self.doc.get("content", type=pycrdt.Text)
        self.halves: dict[ClientId, set[int]] = {}

    def take(self, update: bytes) -> tuple[ClientId, ...]:
        walked = walk(update)
        clocks = protocol.decode_state_vector(self.doc.get_state())
        brings = judge(walked, clocks, {}, ALICE, reserved=lambda _: False, halves=self.halves)
        self.doc.apply_update(update)
        add_halves(self.halves, walked, clocks)
        return brings


def test_what_yjs_peers_type_delete_and_undo_passes_the_gate_update_by_update(made: Any) -> None:
    for session in made["sessions"]:
        server = Server()
        for update in session["updates"]:
            server.take(bytes.fromhex(update))
        assert str(server.text) == session["text"]
        assert protocol.decode_state_vector(server.doc.get_state()) == numbers(session["clocks"])


@pytest.mark.parametrize("order", [["state"], ["merged"], ["first", "rest"], ["first", "gaps", "merged", "state"]])
def test_what_yjs_merges_passes_the_gate(made: Any, order: list[str]) -> None:
    for session in made["sessions"]:
        server = Server()
        for name in order:
            if name == "gaps":
                # a third of the updates is missing: it has Skips, is walked, and what is known of it may be repeated
                assert walk(bytes.fromhex(session[name])).structs > 0
                continue
            server.take(bytes.fromhex(session[name]))
        assert str(server.text) == session["text"]
        assert server.take(bytes.fromhex(session["state"])) == ()
        assert server.take(bytes.fromhex(session["gaps"])) == ()


def test_the_walk_of_a_state_agrees_with_yjs_about_its_clocks(made: Any) -> None:
    for session in made["sessions"]:
        walked = walk(bytes.fromhex(session["state"]))
        assert {client: ranges[-1][1] for client, ranges in walked.news.items()} == numbers(session["clocks"])
        assert walked.needs == {}
        assert walked.gc == {}


def test_what_a_careless_editor_cuts_apart_is_refused(made: Any) -> None:
    server = Server()
    server.take(bytes.fromhex(made["careless"]["before"]))
    for update in made["careless"]["updates"]:
        with pytest.raises(ProtocolError, match="cuts a character"):
            server.take(bytes.fromhex(update))
    assert str(server.text) == "a😀b"


def test_everything_that_is_not_text_is_refused(made: Any) -> None:
    assert set(made["foreign"]) >= {"map", "array", "binary", "nested", "format", "embed", "subdocument", "root"}
    for update in made["foreign"].values():
        with pytest.raises(ProtocolError):
            walk(bytes.fromhex(update))
