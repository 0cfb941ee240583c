"""`old` becomes `new`, in the text that whoever asks had read. PURE.

What it promises
1. Every `old` is looked for in that text as it was read, not in what the edits before it made of it; the order of edits
   says nothing, and two that touch the same characters are refused.
2. `old` stands there exactly once, unless `all` is said; else the answer says how often, on which lines, and where the text
   comes nearest (`NoMatch`, `Ambiguous`).
3. Line endings are no difference: a CRLF and an LF match each other, and what is new takes the ending of the lines around.
4. Nothing but the matches changes.

What breaks it: nothing that a caller can give; a long text costs time in proportion.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

import msgspec

from collab.errors import Invalid

NEAREST: Final = 3
"""Places that are named where nothing matches."""

LOOKED_AT: Final = 20_000
"""Lines of a text that are compared to find them."""

LINES_NAMED: Final = 20
"""Lines that are named where too much matches."""

SHOWN: Final = 200
"""Characters of a line that an answer shows."""


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`all`: every occurrence, of which there may be none but one."""

    old: str
    new: str
    all: bool = False


class EditInvalid(Invalid):
    """The edits do not fit the text that they were made for."""

    code = "edit_invalid"


class NoMatch(EditInvalid):
    code = "no_match"


class Ambiguous(EditInvalid):
    code = "ambiguous_match"


class _Place(NamedTuple):
    start: int
    end: int
    new: str
    edit: int


def apply(text: str, edits: Sequence[Replacement], *, field: str = "edits") -> str:
    """The text with every replacement made. `EditInvalid` for an empty `old` in a text that is not, and for edits that
    overlap; `NoMatch` and `Ambiguous` as above. `field` is what the errors say they are about."""
    if not edits:
        raise EditInvalid("there is no edit: give at least one {old, new}", field=field)
    folded, origins = _folded(text)
    places = sorted(
        _Place(origins[start], origins[end], _ended(edit.new, text, origins[start], origins[end]), n)
        for n, edit in enumerate(edits)
        for start, end in _matches(folded, edit, f"{field}[{n}]")
    )
    for before, after in pairwise(places):
        if after.start < before.end or after.start == after.end == before.start:
            raise EditInvalid(
                f"edits {before.edit} and {after.edit} change the same characters of line "
                f"{_line(text, after.start)}: make one of them",
                code="edits_overlap",
                field=f"{field}[{after.edit}]",
            )
    return "".join(_pieces(text, places))


def _pieces(text: str, places: Sequence[_Place]) -> Iterator[str]:
    at = 0
    for place in places:
        yield text[at : place.start]
        yield place.new
        at = place.end
    yield text[at:]


def _matches(folded: str, edit: Replacement, field: str) -> list[tuple[int, int]]:
    old = edit.old.replace("\r\n", "\n")
    if not old:
        if folded:
            raise EditInvalid(
                "`old` is empty, and the text is not: quote what the new text replaces or stands beside",
                code="no_match",
                field=f"{field}.old",
            )
        return [(0, 0)]
    # Where it overlaps itself it is not unique either.
    found = list(_occurrences(folded, old, len(old) if edit.all else 1))
    if not found:
        raise NoMatch(
            f"`old` is nowhere in the text that was read{_hint(folded, old)}",
            field=f"{field}.old",
            details={"matches": 0, "nearest": nearest(folded, old)},
        )
    if len(found) > 1 and not edit.all:
        lines = [_line(folded, at) for at in found[:LINES_NAMED]]
        raise Ambiguous(
            f"`old` is there {len(found)} times, on lines {', '.join(map(str, lines))}"
            f"{' and more' if len(found) > len(lines) else ''}: quote more of what is around it, or say `all`",
            field=f"{field}.old",
            details={"matches": len(found), "lines": lines},
        )
    return [(at, at + len(old)) for at in found]


def _occurrences(text: str, old: str, step: int) -> Iterator[int]:
    at = text.find(old)
    while at >= 0:
        yield at
        at = text.find(old, at + step)


def _folded(text: str) -> tuple[str, Sequence[int]]:
    """CRLF as LF, and for every place of that (its end included) where it stands in the text."""
    if "\r\n" not in text:
        return text, range(len(text) + 1)
    origins: list[int] = []
    at = 0
    for piece in text.split("\r\n"):
        # The CR is where the LF that stands for both begins.
        origins.extend(range(at, at + len(piece) + 1))
        at += len(piece) + 2
    return text.replace("\r\n", "\n"), origins


def _ended(new: str, text: str, start: int, end: int) -> str:
    """With the line ending of what it replaces, or else of the line that it stands in, or of the line before."""
    new = new.replace("\r\n", "\n")
    if "\n" not in new or "\r\n" not in text:
        return new
    replaced = text[start:end]
    if "\n" in replaced:
        crlf = replaced.count("\r\n") * 2 > replaced.count("\n")
    elif (below := text.find("\n", end)) >= 0:
        crlf = text[below - 1 : below] == "\r"
    else:
        above = text.rfind("\n", 0, start)
        crlf = above > 0 and text[above - 1] == "\r"
    return new.replace("\n", "\r\n") if crlf else new


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _hint(text: str, old: str) -> str:
    """What is wrong when the words are there and what is between them is not."""
    squeezed = " ".join(old.split())
    if squeezed and squeezed in " ".join(text.split()):
        return ", though its words are: spaces or line breaks differ, quote them as they are"
    return ""


def nearest(text: str, old: str) -> list[dict[str, object]]:
    """`[{"line", "text"}]`: the places most like the first line of `old` that says something, the best first, as long as
    `old` is."""
    wanted = next(((n, line.strip()) for n, line in enumerate(old.split("\n")) if line.strip()), None)
    if wanted is None:
        return []
    offset, first = wanted
    lines = text.split("\n")
    by_line: dict[str, int] = {}
    for n, line in enumerate(islice(lines, LOOKED_AT)):
        by_line.setdefault(line.strip()[:SHOWN], n)
    by_line.pop("", None)
    height = old.count("\n") + 1
    found = difflib.get_close_matches(first[:SHOWN], by_line, n=NEAREST, cutoff=0.6)
    places = [max(by_line[line] - offset, 0) for line in found]
    return [
        {"line": at + 1, "text": "\n".join(line[:SHOWN] for line in lines[at : at + min(height, SHOWN)])}
        for at in places
    ]
