"""What is ugly about a tree of files: everything that a careless tool would change on the way through it."""

from __future__ import annotations

import pathlib
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Final

LARGE: Final = 1_000_000
"""Bytes from which a file that is not text counts as a large one."""

KINDS: Final = (
    "CRLF",
    "mixed line endings",
    "lone CR",
    "BOM",
    "not UTF-8",
    "NUL bytes",
    "no final newline",
    "empty",
    "symlink",
    "executable",
    "odd name",
    "not ASCII in a name",
    "control characters",
    "long line",
    "large binary",
    "Unicode line separator",
    "not NFC",
)


def ugliness(tree: pathlib.Path) -> Counter[str]:
    """How many files have each kind of it."""
    found: Counter[str] = Counter()
    for path in tree.rglob("*"):
        if ".git" not in path.parts and (path.is_symlink() or path.is_file()):
            found["files"] += 1
            found.update(set(_of(path)))
    return found


def _of(path: pathlib.Path) -> Iterator[str]:
    shown = path.name
    if not shown.isascii():
        yield "not ASCII in a name"
    if any(each in shown for each in " '\"\\#?%&*<>|:;$`!~") or shown.startswith("-"):
        yield "odd name"
    if path.is_symlink():
        yield "symlink"
        return
    if path.stat().st_mode & stat.S_IXUSR:
        yield "executable"
    yield from _of_content(path.read_bytes())


def _of_content(content: bytes) -> Iterator[str]:
    if not content:
        yield "empty"
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield "not UTF-8"
        if len(content) >= LARGE:
            yield "large binary"
        text = ""
    if b"\0" in content:
        yield "NUL bytes"
    elif text:
        yield from _of_text(text)


def _of_text(text: str) -> Iterator[str]:
    pairs, breaks, returns = text.count("\r\n"), text.count("\n"), text.count("\r")
    if pairs and pairs == breaks:
        yield "CRLF"
    elif pairs:
        yield "mixed line endings"
    if returns > pairs:
        yield "lone CR"
    if text.startswith("\ufeff"):
        yield "BOM"
    if not text.endswith("\n"):
        yield "no final newline"
    if any(each in text for each in "\u2028\u2029\x85\x0b\x0c\x1c"):
        yield "Unicode line separator"
    if any(each < " " and each not in "\t\n\r\f\v" for each in text):
        yield "control characters"
    if max(map(len, text.split("\n"))) > 10_000:
        yield "long line"
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        yield "not NFC"
