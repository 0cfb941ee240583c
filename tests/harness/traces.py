"""Recorded typing of several people at once, as each of them typed it. PURE but for reading the file.

Every transaction was made on the merge of its parents, so each author has a document of his own that holds exactly what he
saw. `Author.type` makes a transaction there; `Author.sees` gives him what others wrote.
"""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pycrdt import Doc, Text, TransactionEvent

from tests.harness import wire

FIRST_CLIENT = 1_000
"""Where several people typed at one place, the smaller id goes first; they are numbered as in the recording."""

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "traces"


@dataclass(frozen=True, slots=True)
class Trace:
    """`updates` grows as the authors type; `ends` has the client and its clock after each."""

    transactions: list[dict[str, Any]]
    end: str
    authors: list[Author]
    updates: list[bytes] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)


def trace(name: str) -> Trace:
    data = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    assert data["endContent"].isascii(), "code points must be bytes"
    authors = [Author(FIRST_CLIENT + number) for number in range(data["numAgents"])]
    return Trace(data["txns"], data["endContent"], authors)


class Author:
    def __init__(self, client: int) -> None:
        self.doc: Doc[Text] = Doc(client_id=client)
        self.text = self.doc.get("content", type=Text)
        self.knows: set[int] = set()
        self._made = b""
        self.doc.observe(self._noticed)

    def _noticed(self, event: TransactionEvent) -> None:
        self._made = event.update

    def news(self, recorded: Trace, number: int) -> list[int]:
        """The transactions that he has seen before he makes this one, and not yet here; in an order that can be applied."""
        return sorted(self._unknown(recorded, number))

    def _unknown(self, recorded: Trace, number: int) -> Iterator[int]:
        waiting = list(recorded.transactions[number]["parents"])
        while waiting:
            parent = waiting.pop()
            if parent not in self.knows:
                self.knows.add(parent)
                yield parent
                waiting.extend(recorded.transactions[parent]["parents"])

    def sees(self, updates: list[bytes]) -> None:
        with self.doc.transaction():
            for update in updates:
                self.doc.apply_update(update)

    def type(self, recorded: Trace, number: int) -> bytes:
        """The update that the transaction makes."""
        with self.doc.transaction():
            for at, deleted, inserted in recorded.transactions[number]["patches"]:
                if deleted:
                    del self.text[at : at + deleted]
                if inserted:
                    self.text.insert(at, inserted)
        self.knows.add(number)
        recorded.updates.append(self._made)
        client = self.doc.client_id
        recorded.ends.append((client, wire.state_vector(self.doc.get_state()).get(client, 0)))
        return self._made
