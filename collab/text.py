"""Text as files have it: bytes to text and back to the very same bytes, and the edits from one text to another. PURE.

A document's text is what editors count in: uniform CRLF becomes LF, a leading BOM is taken off, and both are remembered
in the `Shape`. Everything else stays as it is, mixed line endings included. Whatever is valid UTF-8 and not too large
comes back byte for byte.

What breaks it: strings with lone surrogates (UTF-8 cannot carry them).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from collab.align import Budget, Change, align
from collab.ids import BlobSha
from collab.store.base import DocumentKind, LineEnding

TEXT_LIMIT: Final = 2_000_000
"""Bytes of the largest file that is co-edited."""
LFS_LIMIT: Final = 1024
"""A pointer is shorter than this (the specification of Git LFS)."""

_BOM: Final = "\ufeff"
_LFS: Final = b"version https://git-lfs.github.com/spec/v1\n"
_TYPE: Final = 0o170000
_SYMLINK: Final = 0o120000
_SUBMODULE: Final = 0o160000

_WORDS: Final = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")
_FINE: Final = 2_000
"""Characters of the largest gap, both sides together, that is compared character by character."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a document's text does not say about its file."""

    eol: LineEnding = "lf"
    bom: bool = False


class Edit(NamedTuple):
    """At `start`, `delete` characters give way to `insert`; in code points of the text before."""

    start: int
    delete: int
    insert: str


def open_bytes(data: bytes) -> tuple[str, Shape] | None:
    """A file as text and shape; None when it is not text: not UTF-8, too large, or a Git LFS pointer."""
    if len(data) > TEXT_LIMIT or _is_lfs(data):
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    bom = text.startswith(_BOM)
    if bom:
        text = text[1:]
    breaks = text.count("\r\n")
    if breaks and breaks == text.count("\n") == text.count("\r"):
        return text.replace("\r\n", "\n"), Shape("crlf", bom)
    return text, Shape("lf", bom)


def to_bytes(text: str, shape: Shape) -> bytes:
    """The inverse of `open_bytes`. In a CRLF file every line ends in CRLF, whatever peers have typed."""
    if shape.eol == "crlf":
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return ((_BOM + text) if shape.bom else text).encode("utf-8")


def normalise(text: str, shape: Shape) -> str:
    """A caller's text in the document's own form: without the CRLF and the BOM that the shape remembers."""
    if shape.bom:
        text = text.removeprefix(_BOM)
    return text.replace("\r\n", "\n") if shape.eol == "crlf" else text


def blob_sha(data: bytes) -> BlobSha:
    """What git calls these bytes."""
    # Not for security: git's name for a blob is its SHA-1.
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return BlobSha(digest.hexdigest())


def classify(data: bytes, mode: int) -> DocumentKind:
    """What a file is, by its git mode and its bytes (of a symlink: its target)."""
    if mode & _TYPE == _SYMLINK:
        return "symlink"
    if mode & _TYPE == _SUBMODULE:
        return "submodule"
    if _is_lfs(data):
        return "lfs"
    return "binary" if open_bytes(data) is None else "text"


def diff(before: str, after: str) -> list[Edit]:
    """The edits that make `after` of `before`: in order, apart, none empty. Whole lines that stayed are never touched;
    inside the others words are compared, and then characters. Near linear, whatever the texts are."""
    head = common_prefix(before, after)
    tail = common_suffix(before, after, head)
    if head + tail in (len(before), len(after)):
        return _edits(before, after, iter([Change(head, len(before) - tail, head, len(after) - tail)]))
    # Back to whole lines, so that lines compare as lines.
    head = before.rfind("\n", 0, head) + 1
    tail = _line_start(before, after, tail)
    gap = Change(head, len(before) - tail, head, len(after) - tail)
    return _edits(before, after, _refine(before, after, gap, 0))


def coalesce(before: str, edits: list[Edit], most: int) -> list[Edit]:
    """At most `most` edits to the same effect: those that lie closest are joined, with what lay between them."""
    excess = len(edits) - max(1, most)
    if excess <= 0:
        return edits
    gaps = sorted(range(1, len(edits)), key=lambda at: edits[at].start - _behind(edits[at - 1]))
    closed = set(gaps[:excess])
    joined: list[list[Edit]] = []
    for at, edit in enumerate(edits):
        if at in closed:
            joined[-1].append(edit)
        else:
            joined.append([edit])
    return [_join(before, group) for group in joined]


def apply_edits(before: str, edits: list[Edit]) -> str:
    """The text that `diff` was asked for."""
    parts: list[str] = []
    at = 0
    for start, delete, insert in edits:
        parts += before[at:start], insert
        at = start + delete
    return "".join([*parts, before[at:]])


def common_prefix(a: str, b: str) -> int:
    """The length of what both begin with."""
    most = min(len(a), len(b))
    low, step = 0, 64
    while low < most and a[low : low + step] == b[low : low + step]:
        low, step = low + step, step * 2
    if low >= most:
        return most
    high = min(low + step, most)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_suffix(a: str, b: str, head: int = 0) -> int:
    """The length of what both end with, behind `head` characters."""
    most = min(len(a), len(b)) - head
    low, step = 0, 64
    while low < most and _end(a, low, step) == _end(b, low, step):
        low, step = low + step, step * 2
    if low >= most:
        return most
    high = min(low + step, most)
    while low < high:
        middle = (low + high + 1) // 2
        if _end(a, low, middle - low) == _end(b, low, middle - low):
            low = middle
        else:
            high = middle - 1
    return low


def lines(text: str) -> list[str]:
    """The lines with their ends; only LF ends one, as in git."""
    found = text.split("\n")
    last = found.pop()
    ended = [line + "\n" for line in found]
    return [*ended, last] if last else ended


def _is_lfs(data: bytes) -> bool:
    return len(data) < LFS_LIMIT and data.startswith(_LFS)


def _end(text: str, skip: int, length: int) -> str:
    end = len(text) - skip
    return text[max(0, end - length) : end]


def _line_start(before: str, after: str, tail: int) -> int:
    """The longest common end, at most `tail` characters, that begins a line in both texts."""
    if _begins_line(before, tail) and _begins_line(after, tail):
        return tail
    found = before.find("\n", len(before) - tail)
    return 0 if found < 0 else len(before) - found - 1


def _begins_line(text: str, tail: int) -> bool:
    return tail == len(text) or text[len(text) - tail - 1] == "\n"


_LEVELS: Final[tuple[Callable[[str], list[str]], ...]] = (lines, _WORDS.findall, list)


def _refine(before: str, after: str, gap: Change, level: int) -> Iterator[Change]:
    """The changes inside a gap, in characters: by lines, in their gaps by words, in their gaps by characters."""
    a, b = before[gap.a0 : gap.a1], after[gap.b0 : gap.b1]
    if level == 2:
        head = common_prefix(a, b)
        tail = common_suffix(a, b, head)
        a, b = a[head : len(a) - tail], b[head : len(b) - tail]
        gap = Change(gap.a0 + head, gap.a1 - tail, gap.b0 + head, gap.b1 - tail)
    if not a or not b or level == len(_LEVELS) or (level == 2 and len(a) + len(b) > _FINE):
        yield gap
        return
    split = _LEVELS[level]
    tokens_a, tokens_b = split(a), split(b)
    budget = Budget.for_gap(a, b) if level else Budget.for_lines(a, b)
    found = _in_characters(align(tokens_a, tokens_b, budget), tokens_a, tokens_b, gap)
    for change in found if level == 0 else _worthwhile(found):
        yield from _refine(before, after, change, level + 1)


def _in_characters(changes: list[Change], a: list[str], b: list[str], gap: Change) -> list[Change]:
    """Changes of tokens as changes of characters of the whole texts."""
    found: list[Change] = []
    i = 0
    at_a, at_b = gap.a0, gap.b0
    for a0, a1, b0, b1 in changes:
        # Between two changes both sides have the same tokens.
        kept = sum(map(len, a[i:a0]))
        deleted, inserted = sum(map(len, a[a0:a1])), sum(map(len, b[b0:b1]))
        at_a, at_b = at_a + kept, at_b + kept
        found.append(Change(at_a, at_a + deleted, at_b, at_b + inserted))
        at_a, at_b = at_a + deleted, at_b + inserted
        i = a1
    return found


def _worthwhile(changes: list[Change]) -> list[Change]:
    """Joins changes across what stayed by chance: anything no longer than the changes on both its sides."""
    joined: list[Change] = []
    for change in changes:
        while joined and change.a0 - joined[-1].a1 <= min(_weight(joined[-1]), _weight(change)):
            last = joined.pop()
            change = Change(last.a0, change.a1, last.b0, change.b1)
        joined.append(change)
    return joined


def _weight(change: Change) -> int:
    return max(change.a1 - change.a0, change.b1 - change.b0)


def _behind(edit: Edit) -> int:
    return edit.start + edit.delete


def _join(before: str, group: list[Edit]) -> Edit:
    start, end = group[0].start, _behind(group[-1])
    shifted = [edit._replace(start=edit.start - start) for edit in group]
    return Edit(start, end - start, apply_edits(before[start:end], shifted))


def _edits(before: str, after: str, changes: Iterator[Change]) -> list[Edit]:
    return [Edit(a0, a1 - a0, after[b0:b1]) for a0, a1, b0, b1 in changes if a0 != a1 or b0 != b1]
