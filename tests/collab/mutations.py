"""Hostile updates against a real pycrdt document, in a process of its own: `python -m tests.collab.mutations SEED COUNT`.

Whatever the gate lets through is applied to a document, and to one that hears of it as the room's peers and its log do.
Prints JSON: how many updates there were of each outcome, and what went wrong. A process that dies prints nothing.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pycrdt

from collab.errors import AnotherDocument, Lacking, ProtocolError
from collab.gate import Walk, judge, walk
from collab.ids import ActorId, ClientId
from collab.protocol import decode_state_vector
from tests.collab.updates import Id, Spans, Struct, block, gc, gone, item, read, skip, update

ALICE: Final = ActorId("alice")
WORDS: Final = ("a", "bc ", "\n", "é", "漢字", "😀", "👩‍👩‍👧", "𠮷野", "long enough to be cut somewhere")
CLIENTS: Final = (7, 300, 2**31 + 5, 2**32 - 1, 2**53 - 2**33)


class Peer:
    """A pycrdt document that edits by code points, and keeps what it sent."""

    def __init__(self, client: int) -> None:
        self.doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client)
        self.text = self.doc.get("content", type=pycrdt.Text)
        self.sent: list[bytes] = []
        self.subscription = self.doc.observe(lambda event: self.sent.append(event.update))

    def edit(self, at: int, delete: int, insert: str) -> bytes | None:
        """One transaction; the update that it made."""
        now = str(self.text)
        at = min(at, len(now))
        start = len(now[:at].encode())
        end = start + len(now[at : at + delete].encode())
        self.sent.clear()
        with self.doc.transaction():
            if end > start:
                del self.text[start:end]
            if insert:
                self.text.insert(start, insert)
        return self.sent[-1] if self.sent else None

    def close(self) -> None:
        self.doc.unobserve(self.subscription)


@dataclass
class Session:
    """What some peers wrote: all updates in an order in which they apply, and the document after the first half."""

    updates: list[bytes] = field(default_factory=list)
    half: bytes = b"\0\0"


def session(dice: random.Random, peers: int = 3, edits: int = 30) -> Session:
    made = Session()
    crowd = [Peer(client) for client in dice.sample(CLIENTS, peers)]
    server = Peer(1)
    for step in range(edits):
        peer = dice.choice(crowd)
        if dice.random() < 0.5:
            peer.doc.apply_update(server.doc.get_update(peer.doc.get_state()))
        insert = dice.choice(WORDS) if dice.random() < 0.7 else ""
        sent = peer.edit(dice.randrange(len(str(peer.text)) + 1), dice.randrange(4), insert)
        if sent is not None:
            made.updates.append(sent)
            server.doc.apply_update(sent)
        if step == edits // 2:
            made.half = server.doc.get_update()
    made.updates.append(server.doc.get_update())
    for peer in (*crowd, server):
        peer.close()
    return made


def mutate(dice: random.Random, one: bytes, other: bytes) -> bytes:
    """A few bytes changed, moved, doubled, dropped, or taken from another update."""
    data = bytearray(one)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(len(data)) if data else 0
        match dice.randrange(7):
            case 0 | 1 | 2:
                data[at : at + 1] = bytes((dice.randrange(256),))
            case 3:
                data[at : at + 1] = bytes(((data[at] + dice.choice((-1, 1))) % 256,)) if data else b""
            case 4:
                del data[at : at + dice.randrange(1, 4)]
            case 5:
                data[at:at] = data[at : at + dice.randrange(1, 12)]
            case _:
                start = dice.randrange(len(other))
                data[at : at + dice.randrange(8)] = other[start : start + dice.randrange(12)]
    return bytes(data)


def invent(dice: random.Random, clocks: dict[ClientId, int]) -> bytes:
    """A well-formed update that nobody made: structs of all kinds that hang on anything at all."""
    known = [*clocks, ClientId(999)]
    writers = dice.sample([*known, ClientId(5), ClientId(6)], dice.randrange(3))

    def somewhere() -> tuple[ClientId, int]:
        client = dice.choice([*known, *writers])
        return client, dice.randrange(clocks.get(client, 0) + 6)

    blocks = []
    for client in writers:
        begin = max(0, clocks.get(client, 0) - dice.randrange(4))
        blocks.append(block(client, begin, *(_struct(dice, somewhere) for _ in range(dice.randrange(1, 5)))))
    deletes: dict[int, list[tuple[int, int]]] = {}
    for _ in range(dice.randrange(4)):
        client, clock = somewhere()
        deletes.setdefault(client, []).append((clock, dice.randrange(1, 4)))
    return update(*blocks, deletes=deletes)


def _struct(dice: random.Random, somewhere: Callable[[], Id]) -> Struct:
    kind = dice.randrange(20)
    if kind < 2:
        return (gc, skip)[kind](dice.randrange(1, 4))
    origin = somewhere() if dice.random() < 0.7 else None
    right = somewhere() if dice.random() < 0.6 else None
    if kind < 5:
        return gone(dice.randrange(1, 4), origin, right)
    return item(dice.choice(WORDS), origin, right)


@dataclass
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def check(base: bytes, hostile: bytes, report: Report) -> None:
    """One update against the document that `base` makes."""
    clocks = known(base)
    try:
        walked = walk(hostile)
        judge(walked, clocks, {}, ALICE, reserved=lambda _: False, halves=walk(base).halves)
    except (ProtocolError, AnotherDocument, Lacking) as error:
        report.outcomes[type(error).__name__] += 1
        return
    report.outcomes["accepted"] += 1
    fault = apply(base, hostile, clocks, walked)
    if fault:
        report.faults.append(f"{fault}: {base.hex()} {hostile.hex()}")


def apply(base: bytes, hostile: bytes, clocks: dict[ClientId, int], walked: Walk) -> str:
    """What is wrong with the document afterwards, if anything is."""
    server = Peer(1)
    server.doc.apply_update(base)
    server.sent.clear()
    server.doc.apply_update(hostile)
    text, state = str(server.text), server.doc.get_update()
    server.close()
    expected = dict(clocks)
    for client, ranges in walked.news.items():
        expected[client] = max(expected.get(client, 0), ranges[-1][1])
    if decode_state_vector(server.doc.get_state()) != expected:
        return "structs are pending"
    if known(state) != expected:
        return "its encoding lacks clocks"
    if not covers(read(state).deletes, read(hostile).deletes):
        return "deletions are pending"
    # Not in the same order: an item that claims a right neighbour which stands left of its left one is placed by the order
    # in which things arrive. No gate can see that; but nothing may be lost or doubled by it.
    for way, updates in (
        ("a reload", [state]),
        ("the log", [base, *server.sent]),
        ("a resync", [base, hostile, state]),
    ):
        if sorted(reload(*updates)) != sorted(text):
            return f"{way} makes another text"
    return ""


def known(state: bytes) -> dict[ClientId, int]:
    return {client: ranges[-1][1] for client, ranges in walk(state).news.items()}


def reload(*updates: bytes) -> str:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    text = doc.get("content", type=pycrdt.Text)
    for one in updates:
        doc.apply_update(one)
    return str(text)


def covers(whole: Mapping[ClientId, Spans], part: Mapping[ClientId, Spans]) -> bool:
    return all(
        any(begin <= start and end <= stop for begin, stop in whole.get(client, ()))
        for client, spans in part.items()
        for start, end in spans
    )


def run(seed: int, count: int) -> Report:
    dice = random.Random(seed)
    report = Report()
    while sum(report.outcomes.values()) < count:
        made = session(dice)
        clocks = known(made.half)
        for _ in range(200):
            one = dice.choice(made.updates)
            hostile = mutate(dice, one, dice.choice(made.updates)) if dice.random() < 0.5 else invent(dice, clocks)
            check(dice.choice((made.half, made.updates[-1])), hostile, report)
    return report


if __name__ == "__main__":
    done = run(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({"outcomes": done.outcomes, "faults": done.faults[:20]}))
