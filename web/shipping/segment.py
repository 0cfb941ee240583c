"""A segment: the pages that changed between two moments of a database, small enough to be sent every second. PURE.

A page goes as it is, or, when the one before it is known, as the difference to that (exclusive or): typing changes some dozens
of bytes of a page, and what is mostly zeros shrinks to them. Each page has the CRC-32 of what it is to be, so that a segment
that is put on anything but the state before it is refused, and the whole has a SHA-256.

    "quire segment 1\\n", length of the head (4 bytes), head (JSON), pages (zlib), SHA-256 of all of that
    pages: for each its number, its CRC-32 and whether it is a difference (4, 4, 1 bytes); then their contents
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final

import msgspec

from collab.errors import Invalid
from collab.ids import Millis
from collab.store.pages import Mark
from web.shipping.layout import Repository

MAGIC: Final = b"quire segment 1\n"
KNOWN: Final = 4096
"""Pages that are remembered so that their next version may go as a difference (16 MB)."""
LEVEL: Final = 1

_END: Final = 32
_LENGTH: Final = struct.Struct(">I")
_PAGE: Final = struct.Struct(">IIB")
_PAGE_ONE: Final = 1
"""Never a difference: in a copy it is not to the byte what it was."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """`mark`: where it ends, in the database; `at`: the time of that, or of the look at repositories if nothing else has changed;
    `since`: when the first commit in it was made; `parts`: how many came before; `repositories`: those that have changed."""

    generation: int
    number: int
    part: int = 0
    parts: int = 0
    page_size: int
    mark: Mark
    at: Millis
    since: Millis
    repositories: tuple[Repository, ...] = ()


class Encoder:
    """For the segments of one generation, in order. `known`: pages whose last version is remembered."""

    def __init__(self, known: int = KNOWN) -> None:
        self._most = known
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def encode(self, head: Head, pages: Mapping[int, bytes]) -> bytes:
        index, contents = [], []
        for number, page in sorted(pages.items()):
            before = self._known.pop(number, None) if number != _PAGE_ONE else None
            index.append(_PAGE.pack(number, zlib.crc32(page), before is not None))
            contents.append(page if before is None else _difference(page, before))
            self._known[number] = page
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return _sealed(head, _LENGTH.pack(len(index)) + b"".join([*index, *contents]))


def read_head(content: bytes) -> Head:
    """Without looking at the rest."""
    return _opened(content)[0]


def read_head_of(file: BinaryIO) -> Head:
    """Without reading the rest."""
    begin = file.read(len(MAGIC) + _LENGTH.size)
    more = _LENGTH.unpack_from(begin, len(MAGIC))[0] if len(begin) == len(MAGIC) + _LENGTH.size else 0
    return read_head(begin + file.read(more + _END))


def check(content: bytes) -> Head:
    """`Invalid` when it is damaged."""
    head, _ = _opened(content)
    if hashlib.sha256(content[:-_END]).digest() != content[-_END:]:
        raise Invalid(f"segment {head.generation}/{head.number} is damaged: its SHA-256 is another")
    return head


def decode(content: bytes, before: Callable[[int], bytes]) -> tuple[Head, Iterator[tuple[int, bytes]]]:
    """The head, and every page with its number; `before` gives a page as it is before. `Invalid` when something does not fit."""
    check(content)
    head, start = _opened(content)
    return head, _pages(head, zlib.decompress(content[start:-_END]), before)


def _pages(head: Head, body: bytes, before: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    (count,) = _LENGTH.unpack_from(body)
    offset = _LENGTH.size + count * _PAGE.size
    for number, crc, differs in _PAGE.iter_unpack(body[_LENGTH.size : offset]):
        page = body[offset : offset + head.page_size]
        offset += head.page_size
        if differs:
            page = _difference(page, before(number))
        if zlib.crc32(page) != crc:
            raise Invalid(f"segment {head.generation}/{head.number} does not fit what is before it, at page {number}")
        yield number, page


def _sealed(head: Head, body: bytes) -> bytes:
    said = msgspec.json.encode(head)
    content = b"".join([MAGIC, _LENGTH.pack(len(said)), said, zlib.compress(body, LEVEL)])
    return content + hashlib.sha256(content).digest()


def _opened(content: bytes) -> tuple[Head, int]:
    """The head, and where the pages begin."""
    start = len(MAGIC) + _LENGTH.size
    if not content.startswith(MAGIC) or len(content) < start + _END:
        raise Invalid("this is no segment of a backup, or of a form that this version of Quire does not know")
    (length,) = _LENGTH.unpack_from(content, len(MAGIC))
    try:
        return msgspec.json.decode(content[start : start + length], type=Head), start + length
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"a segment's head cannot be read: {error}") from error


def _difference(page: bytes, before: bytes) -> bytes:
    return (int.from_bytes(page, "little") ^ int.from_bytes(before, "little")).to_bytes(len(page), "little")
