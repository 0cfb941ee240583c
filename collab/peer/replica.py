"""The peer's own copy of a document. PURE, but for pycrdt inside.

It counts in code points; marks are places in the text that move with it, whoever edits. What is applied from the network and what
is edited here comes out as news: one update for each change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pycrdt

from collab.ids import ClientId
from collab.order import order
from collab.protocol import decode_state_vector
from collab.text import diff

ROOT: Final = "content"
THEIRS: Final = 1
"""The origin of what came from the network."""


class Mark:
    """A place, in bytes of UTF-8. What is inserted right at it goes behind it, unless it `follows`."""

    def __init__(self, at: int, *, follows: bool) -> None:
        self.at = at
        self.follows = follows


class Replica:
    def __init__(self) -> None:
        self.doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
        self._content = self.doc.get(ROOT, type=pycrdt.Text)
        self._marks: set[Mark] = set()
        self._edited: list[bytes] = []
        self._applying = False
        self._subscriptions = (self.doc.observe(self._changed), self._content.observe(self._moved))
        self.heard: Callable[[], None] = lambda: None
        """Called after every change that came from the network."""

    @property
    def client(self) -> int:
        return int(self.doc.client_id)

    @property
    def text(self) -> str:
        return str(self._content)

    def state_vector(self) -> bytes:
        return self.doc.get_state()

    def since(self, state_vector: bytes) -> bytes:
        """Everything that whoever stands there lacks."""
        return self.doc.get_update(state_vector)

    def apply(self, update: bytes) -> None:
        """`ValueError` for what is no update."""
        self._applying = True
        try:
            self.doc.apply_update(update)
        finally:
            self._applying = False
        self.heard()

    def edit(self, target: str) -> list[bytes]:
        """By the few edits that lead there; the updates to send."""
        before = self.text
        with self.doc.transaction():
            at = byte = 0
            for start, delete, insert in diff(before, target):
                byte += len(before[at:start].encode())
                at = start + delete
                self._replace(byte, len(before[start:at].encode()), insert)
                byte += len(insert.encode())
        return self.taken()

    def insert(self, mark: Mark, text: str) -> list[bytes]:
        """Where a mark stands."""
        if text:
            self._content.insert(mark.at, text)
        return self.taken()

    @property
    def clock(self) -> int:
        """Of the next character that is typed here."""
        return decode_state_vector(self.state_vector()).get(ClientId(self.client), 0)

    def take_back(self, written: Sequence[tuple[int, int]]) -> list[bytes]:
        """Deletes what was typed here under these clocks (from, to), as far as it is still there; nothing else."""
        at = 0
        gone: list[tuple[int, int]] = []
        for run in order(self.since(b"\0")):
            if run.text is None:
                continue
            units = run.text.encode("utf-16-le")
            for start, end in written if run.client == self.client else ():
                first, last = max(start, run.clock) - run.clock, min(end, run.clock + run.length) - run.clock
                if first < last:
                    before, inside = (
                        len(units[slice(*each)].decode("utf-16-le").encode())
                        for each in ((0, first * 2), (first * 2, last * 2))
                    )
                    gone.append((at + before, inside))
            at += len(run.text.encode())
        with self.doc.transaction():
            for byte, length in sorted(gone, reverse=True):
                del self._content[byte : byte + length]
        return self.taken()

    def mark(self, place: int, *, follows: bool) -> Mark:
        """`place` in code points; `follows`: it stays behind what is inserted right at it."""
        made = Mark(len(self.text[:place].encode()), follows=follows)
        self._marks.add(made)
        return made

    def place(self, mark: Mark) -> int:
        """In code points."""
        return len(self.text.encode()[: mark.at].decode())

    def forget(self, *marks: Mark) -> None:
        self._marks.difference_update(marks)

    def taken(self) -> list[bytes]:
        edited, self._edited = self._edited, []
        return edited

    def close(self) -> None:
        """pycrdt never frees a document that has an observer."""
        document, content = self._subscriptions
        self.doc.unobserve(document)
        self._content.unobserve(content)

    def _replace(self, byte: int, length: int, insert: str) -> None:
        if length:
            del self._content[byte : byte + length]
        if insert:
            self._content.insert(byte, insert)

    def _changed(self, event: pycrdt.TransactionEvent) -> None:
        if not self._applying:
            self._edited.append(event.update)

    def _moved(self, event: Any) -> None:
        """The delta counts bytes."""
        at = 0
        for step in event.delta:
            if "retain" in step:
                at += step["retain"]
            elif "delete" in step:
                for mark in self._marks:
                    mark.at = max(at, mark.at - step["delete"]) if mark.at > at else mark.at
            else:
                length = len(str(step["insert"]).encode())
                for mark in self._marks:
                    if mark.at > at or (mark.at == at and mark.follows):
                        mark.at += length
                at += length
