"""One Yjs document: one root Text named `content`. PURE.

Everything in here is synchronous and holds the GIL; the room takes turns. pycrdt counts in UTF-8 bytes, we count in code
points: the conversion is in `edit`, and nowhere else. Whatever comes from a peer has passed `collab.gate` before, or this
can be made to crash the process, or to keep pending structs that nobody sees.

What breaks it: bytes that did not pass the gate; use or release in another thread than the one that made it; forgetting
`close` (pycrdt never frees a document that has an observer).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, Self

import pycrdt

from collab.errors import Invalid, ProtocolError, Quarantined
from collab.ids import ClientId
from collab.protocol import varint
from collab.text import Edit, apply_edits, coalesce, diff

ROOT: Final = "content"
EMPTY: Final = b"\0\0"
"""The update that brings nothing."""
FEW: Final = 64
"""Edits that are made one by one, whatever that costs."""
WALK: Final = 20_000_000
"""Blocks that one `edit` may pass by, about 4 ns each: Yrs looks every position up from the start of the text."""


class Document:
    """An empty document whose own edits are made under `client_id`."""

    def __init__(self, client_id: ClientId) -> None:
        self.client_id = client_id
        self._doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client_id)
        self._content = self._doc.get(ROOT, type=pycrdt.Text)
        self._novel: bytes | None = None
        self._text: str | None = ""
        self._size = 0
        self._open = True
        self._subscription = self._doc.observe(self._observed)

    @classmethod
    def load(cls, client_id: ClientId, states: Iterable[bytes]) -> Self:
        """The document that these logged updates make. Raises `Quarantined` when one of them cannot be decoded."""
        document = cls(client_id)
        try:
            document.apply(states)
        except ProtocolError as error:
            document.close()
            raise Quarantined(f"The log cannot be decoded: {error.message}") from error
        return document

    @property
    def text(self) -> str:
        """The text as it is now."""
        if self._text is None:
            self._text = str(self._content)
        return self._text

    @property
    def size(self) -> int:
        """Roughly the bytes that its encoding takes: never less than what is left of all that was applied."""
        return self._size

    def measure(self) -> int:
        """`size`, as it is: what was deleted since it was measured last does not count any more."""
        self._size = len(self.encode())
        return self._size

    def apply(self, updates: Iterable[bytes], origin: int = 0) -> bytes | None:
        """Applies all updates in one transaction: the one update that brings what was new, or None when nothing was.

        Raises `ProtocolError` when one of them cannot be decoded. Some of the others may have been applied by then, and
        a decoder that panicked may have left anything: the document must be thrown away.
        """
        self._check_open()
        apply_update = self._doc.apply_update
        try:
            with self._doc.transaction(origin):
                for update in updates:
                    apply_update(update)
        except (ValueError, RuntimeError) as error:
            # pycrdt: ValueError for what it cannot read, RuntimeError for what it cannot integrate.
            raise ProtocolError(f"The update cannot be applied: {error}") from error
        except BaseException as error:
            if not _is_panic(error):
                raise
            raise ProtocolError(f"The update makes the decoder panic: {error}") from error
        return self._taken()

    def edit(self, target: str, origin: int = 0, *, edits: list[Edit] | None = None) -> bytes | None:
        """Makes the text `target` by the few edits that lead there: the update, or None when it is that text already.

        Whoever had them computed elsewhere gives the `edits`; they are computed again if they do not lead there (now).
        """
        self._check_open()
        try:
            target.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"The text cannot be stored as UTF-8: {error}") from error
        before = self.text
        if target == before:
            return None
        if edits is None or apply_edits(before, edits) != target:
            edits = diff(before, target)
        if len(edits) > FEW:
            edits = coalesce(before, edits, self._affordable())
        content = self._content
        at = byte = 0
        with self._doc.transaction(origin):
            for start, delete, insert in edits:
                byte += len(before[at:start].encode())
                at = start + delete
                if delete:
                    del content[byte : byte + len(before[start:at].encode())]
                if insert:
                    content.insert(byte, insert)
                    byte += len(insert.encode())
        update = self._taken()
        self._text = target
        return update

    def state_vector(self) -> bytes:
        """What this document knows, for `diff` on the other side."""
        return self._doc.get_state()

    def clocks(self) -> dict[ClientId, int]:
        """The state vector: the next clock of every client."""
        return _clocks(self.state_vector())

    def diff(self, state_vector: bytes) -> bytes:
        """An update with everything that the holder of this state vector lacks, and every deletion."""
        try:
            return self._doc.get_update(state_vector)
        except ValueError as error:
            raise ProtocolError(f"The state vector cannot be decoded: {error}") from error
        except BaseException as error:
            if not _is_panic(error):
                raise
            raise Quarantined(f"The document makes the encoder panic: {error}") from error

    def encode(self) -> bytes:
        """The whole document as one update. Raises `Quarantined` when it holds what no gate would have let in."""
        return self.diff(b"\0")

    def close(self) -> None:
        """Lets go of the observer, so that the document can be freed. It can still be read, and no longer be changed."""
        if self._open:
            self._open = False
            self._doc.unobserve(self._subscription)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("This document is closed: nobody would learn of the change")

    def _affordable(self) -> int:
        """How many edits may be made one by one. A block takes five bytes of an encoding, at least; an edit makes two."""
        blocks = max(0, len(self.encode()) - len(self.text.encode())) // 5
        return max(FEW, min(WALK // (blocks + 1), math.isqrt(WALK // 2)))

    def _observed(self, event: pycrdt.TransactionEvent) -> None:
        self._novel = event.update

    def _taken(self) -> bytes | None:
        novel, self._novel = self._novel, None
        if novel is not None:
            self._text = None
            self._size += len(novel)
        return novel


def seed(text: str, client: ClientId) -> bytes:
    """The update that makes an empty document hold `text`, as one insert by `client`."""
    if not text:
        return EMPTY
    raw = text.encode()
    name = ROOT.encode()
    # Yjs update v1: 1 client block of 1 struct, its client and first clock; an item of a string (4) without origins, whose
    # parent is the root of that name (1); then a delete set of no clients.
    return b"".join([
        b"\x01\x01", varint(client), b"\x00",
        b"\x04\x01", varint(len(name)), name, varint(len(raw)), raw,
        b"\x00",
    ])  # fmt: skip


def merge_updates(updates: Sequence[bytes]) -> bytes:
    """One update that brings what all of them bring. For a few at a time: it is quadratic, and joins no structs."""
    if len(updates) == 1:
        return updates[0]
    return pycrdt.merge_updates(*updates) if updates else EMPTY


def _is_panic(error: BaseException) -> bool:
    # pyo3 raises a class that no module exports, and that derives from BaseException.
    return type(error).__name__ == "PanicException"


def _clocks(state_vector: bytes) -> dict[ClientId, int]:
    """Decodes what pycrdt has just encoded: a count, then client and clock for each."""
    numbers: list[int] = []
    number = shift = 0
    for byte in state_vector:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    return {ClientId(client): clock for client, clock in zip(numbers[1::2], numbers[2::2], strict=True)}
