"""Packs made by hand, honest ones and others."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable

from snapshots.packs.entries import Kind, Oid, head, pack_header


def pack(entries: Iterable[bytes], *, count: int | None = None) -> bytes:
    """`count`: how many it says that it has."""
    held = list(entries)
    body = pack_header(len(held) if count is None else count) + b"".join(held)
    return body + hashlib.sha1(body).digest()


def entry(kind: Kind, content: bytes, *, size: int | None = None, base: Oid | None = None, distance: int = 0) -> bytes:
    """`size`: what it says that it has."""
    says = len(content) if size is None else size
    return head(kind, says, base=base, distance=distance) + zlib.compress(content)


def number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    return bytes([*out, value])


def delta(source: int, target: int, *instructions: bytes) -> bytes:
    return number(source) + number(target) + b"".join(instructions)


def copy(offset: int, size: int) -> bytes:
    """So many bytes of what it is made of; both below 2^24."""
    out = bytearray([0x80])
    for bit, value in enumerate((*offset.to_bytes(4, "little"), *size.to_bytes(3, "little"))):
        if value:
            out[0] |= 1 << bit
            out.append(value)
    return bytes(out)


def insert(content: bytes) -> bytes:
    return bytes([len(content)]) + content
