"""Base, ours, theirs: one clean text, or hunks in conflict. PURE.

The three-way merge by lines that `git merge-file` makes: what one side changed is taken, what both changed alike is taken
once, and changes that overlap or touch are a conflict. It does one thing more: where a region of touching changes comes
out the same on both sides, it is clean. Near linear, whatever the texts are (`collab.align`).

A line ends at LF; a CR is part of its line, and a last line without LF differs from the same line with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from collab.align import Budget, Change, align
from collab.text import lines

Take = Literal["ours", "theirs", "both"]


@dataclass(frozen=True, slots=True)
class Hunk:
    """Where both sides changed the same lines. The numbers are of the first line, from 1, in each of the texts; where a
    side has no lines, of the line that follows."""

    base: str
    ours: str
    theirs: str
    base_line: int
    ours_line: int
    theirs_line: int


@dataclass(frozen=True, slots=True)
class Merged:
    """Nothing overlaps: the one text."""

    text: str


@dataclass(frozen=True, slots=True)
class Conflicted:
    """At least one hunk, in order. Nothing is to be applied."""

    hunks: tuple[Hunk, ...]


class _Region(NamedTuple):
    """Lines of the base that changed, and what each side has there; half-open line ranges."""

    base: tuple[int, int]
    ours: tuple[int, int]
    theirs: tuple[int, int]


def merge(base: str, ours: str, theirs: str) -> Merged | Conflicted:
    """Both sides' changes to `base` in one text, or the hunks where they conflict."""
    found = list(pieces(base, ours, theirs))
    hunks = tuple(each for each in found if isinstance(each, Hunk))
    return Conflicted(hunks) if hunks else Merged("".join(each for each in found if isinstance(each, str)))


def choose(base: str, ours: str, theirs: str, take: Take) -> str:
    """The merge, with every hunk in conflict decided alike. `both`: ours, and theirs behind it."""
    return "".join(_chosen(each, take) for each in pieces(base, ours, theirs))


def _chosen(each: str | Hunk, take: Take) -> str:
    if isinstance(each, str):
        return each
    if take != "both":
        return each.ours if take == "ours" else each.theirs
    ended = not each.ours or each.ours.endswith("\n")
    return each.ours + ("" if ended else "\n") + each.theirs


def pieces(base: str, ours: str, theirs: str) -> Iterator[str | Hunk]:
    """In order: what is clean, and hunks in conflict. Put together with every hunk decided, they are the outcome."""
    if ours == theirs or base == theirs:
        yield ours
        return
    if base == ours:
        yield theirs
        return
    base_lines, our_lines, their_lines = lines(base), lines(ours), lines(theirs)
    our_changes = align(base_lines, our_lines, Budget.for_lines(base, ours), by_chance=False)
    their_changes = align(base_lines, their_lines, Budget.for_lines(base, theirs), by_chance=False)
    yield from weave(base_lines, our_lines, their_lines, our_changes, their_changes)


def weave(
    base: list[str], ours: list[str], theirs: list[str], our_changes: list[Change], their_changes: list[Change]
) -> Iterator[str | Hunk]:
    """The merge that follows when these are the changes of both sides, whoever found them."""
    at = 0
    for region in _regions(our_changes, their_changes):
        old, mine, others = base[slice(*region.base)], ours[slice(*region.ours)], theirs[slice(*region.theirs)]
        yield "".join(base[at : region.base[0]])
        at = region.base[1]
        if mine in (old, others):
            yield "".join(others)
        elif others == old:
            yield "".join(mine)
        else:
            starts = (region.base[0] + 1, region.ours[0] + 1, region.theirs[0] + 1)
            yield Hunk("".join(old), "".join(mine), "".join(others), *starts)
    yield "".join(base[at:])


def _regions(ours: list[Change], theirs: list[Change]) -> Iterator[_Region]:
    """The changes of both sides, joined where they overlap or touch."""
    our_shift = their_shift = 0
    i = j = 0
    while i < len(ours) or j < len(theirs):
        first_i, first_j = i, j
        start = min(change.a0 for change in (*ours[i : i + 1], *theirs[j : j + 1]))
        end = start
        while True:
            if i < len(ours) and ours[i].a0 <= end:
                end, i = max(end, ours[i].a1), i + 1
            elif j < len(theirs) and theirs[j].a0 <= end:
                end, j = max(end, theirs[j].a1), j + 1
            else:
                break
        our_start, their_start = start + our_shift, start + their_shift
        our_shift += _growth(ours[first_i:i])
        their_shift += _growth(theirs[first_j:j])
        yield _Region((start, end), (our_start, end + our_shift), (their_start, end + their_shift))


def _growth(changes: list[Change]) -> int:
    return sum((change.b1 - change.b0) - (change.a1 - change.a0) for change in changes)
