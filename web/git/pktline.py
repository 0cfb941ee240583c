"""pkt-lines: how everything but packs travels in git's protocols. PURE.

A packet is four hex digits, its length with them, and its content; lengths below 4 are marks without content. Bytes that
are no packets raise `ProtocolError`, which says what stood there.

What breaks it: content longer than `LONGEST`, which no packet holds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from collab.errors import ProtocolError

LONGEST: Final = 65_516
"""Bytes of content in one packet (gitprotocol-common: 65520 with its length)."""


class Mark(enum.Enum):
    FLUSH = b"0000"
    DELIMITER = b"0001"
    END = b"0002"


FLUSH: Final = Mark.FLUSH.value
DELIMITER: Final = Mark.DELIMITER.value

Packet = bytes | Mark

_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_MARKS: Final = {int(mark.value, 16): mark for mark in Mark}


def packet(content: bytes) -> bytes:
    assert len(content) <= LONGEST
    return b"%04x" % (len(content) + 4) + content


def line(text: str | bytes) -> bytes:
    """A packet that is a line of text, with its LF."""
    return packet((text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) + b"\n")


def take(data: bytes, at: int = 0) -> tuple[Packet, int] | None:
    """The packet that begins at `at` and where it ends; None when more bytes are needed."""
    head = data[at : at + 4]
    if len(head) < 4:
        return None
    length = int(head, 16) if _DIGITS.issuperset(head) else 3
    if length == 3:
        raise ProtocolError(f"a packet cannot begin with {head!r}: four hex digits are its length")
    if length in _MARKS:
        return _MARKS[length], at + 4
    if len(data) < at + length:
        return None
    return data[at + 4 : at + length], at + length


def packets(data: bytes) -> Iterator[Packet]:
    """All of them; `ProtocolError` when the last one is cut short."""
    at = 0
    while at < len(data):
        found = take(data, at)
        if found is None:
            raise ProtocolError(f"the last packet is cut short, at byte {at} of {len(data)}")
        yield found[0]
        at = found[1]


def text(content: bytes) -> str:
    """A line of text without its LF, if it has one."""
    return content.removesuffix(b"\n").decode("utf-8", "surrogateescape")


class Sideband:
    """Packets of a multiplexed answer: 1 the data, 2 what people see, 3 why it ends here. `largest` is what the client
    takes: 1000 or 65520 bytes with the length."""

    DATA: Final = b"\1"
    SAY: Final = b"\2"
    FATAL: Final = b"\3"
    ALIVE: Final = b"0005\1"
    """No data: only a sign of life."""

    def __init__(self, largest: int = LONGEST + 4) -> None:
        self._most = largest - 5

    def data(self, content: bytes) -> Iterator[bytes]:
        return self._on(self.DATA, content)

    def say(self, text: str) -> bytes:
        """Lines that git prints after `remote: `; one that ends in CR is overwritten by the next."""
        return b"".join(self._on(self.SAY, printable(text)))

    def fatal(self, text: str) -> bytes:
        return b"".join(self._on(self.FATAL, printable(text)))

    def _on(self, channel: bytes, content: bytes) -> Iterator[bytes]:
        for start in range(0, len(content), self._most):
            yield packet(channel + content[start : start + self._most])


def printable(text: str) -> bytes:
    """For a terminal: no control characters but line ends, whatever a path or a message holds."""
    shown = "".join(each if each.isprintable() or each in "\n\r" else "?" for each in text)
    return shown.encode("utf-8", "replace")
