"""Which tokens of two sequences are the same ones: the heart of diff and merge. PURE.

`align` is near linear whatever it is given. It trims what the ends have in common, drops tokens that the other side does
not have (and, if told to, those that would be matched by chance), halves regions at Myers' middle snake while the two are close, splits them at tokens that are unique on both
sides (patience) when they are not, and at last goes Myers' furthest way piece by piece. All of it draws on one budget of steps; when
that is spent, the regions that are left count as changed. So a result is always right, and on hostile input merely coarse.

Where an alignment has a choice, changes slide down as far as they can, or to where the other side changed too: as people
expect it from git.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import accumulate, compress
from typing import Final, NamedTuple, Self

NEAR: Final = 256
"""Differences that are looked for before a region is split at its unique tokens."""

WINDOW: Final = 100
"""How far around a token that is frequent on the other side one looks for such as are not there at all."""

OFTEN_AT_MOST: Final = 1024
"""A token that the other side has so many times is frequent, however long the texts are."""

_ABSENT, _SOME, _FREQUENT = 0, 1, 2
_DOUBTFUL: Final = re.compile(rb"[\x00\x02]+")
"""A run of tokens that are absent on the other side or frequent there."""

_NOWHERE: Final = -(1 << 60)

_Region = tuple[int, int, int, int]
"""`a[a0:a1]` and `b[b0:b1]`, as a0, a1, b0, b1."""


class Change(NamedTuple):
    """`before[a0:a1]` became `after[b0:b1]`; never both empty."""

    a0: int
    a1: int
    b0: int
    b1: int


class Budget:
    """The steps that an alignment may still take; a step costs about a microsecond."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @classmethod
    def for_lines(cls, before: str, after: str) -> Self:
        """What two texts are worth: enough for all but the most different ones."""
        return cls(20_000 + len(before) + len(after))

    @classmethod
    def for_gap(cls, before: str, after: str) -> Self:
        """What a gap between lines that stayed is worth, of which there may be thousands."""
        return cls(500 + (len(before) + len(after)) // 2)

    def take(self, steps: int) -> bool:
        """Pays; whether there was enough."""
        self.left -= steps
        return self.left >= 0


def align(
    before: Sequence[Hashable], after: Sequence[Hashable], budget: Budget, *, by_chance: bool = True
) -> list[Change]:
    """The changes that make `after` of `before`, in order; between two of them lies at least one token that stayed.

    Not `by_chance`: frequent tokens, like blank lines, amid many that the other side does not have do not count as the same
    ones. That is git's rule: a region that was written anew is one change, not one between every two blank lines.
    """
    a, b = _numbered(before, after)
    same_a, same_b = _same(a, b, budget, by_chance)
    _slide(a, same_a, _gaps(same_b), budget)
    _slide(b, same_b, _gaps(same_a), budget)
    return _changes(same_a, same_b)


def _numbered(before: Sequence[Hashable], after: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Both sides with a small number for every token: numbers are compared faster than strings."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(t, len(numbers)) for t in before], [numbers.setdefault(t, len(numbers)) for t in after]


def _same(a: list[int], b: list[int], budget: Budget, by_chance: bool) -> tuple[bytearray, bytearray]:
    """For every token of either side, whether it stayed; the first that stayed here is the first that stayed there."""
    same_a, same_b = bytearray(len(a)), bytearray(len(b))
    a0, a1, b0, b1 = _trim(a, b, same_a, same_b, (0, len(a), 0, len(b)))
    # Common to the whole texts: a copy of what was trimmed is to stay next to its neighbours.
    counts_a, counts_b = Counter(a), Counter(b)
    at_a = _promising(a, a0, a1, counts_b, by_chance)
    at_b = _promising(b, b0, b1, counts_a, by_chance)
    x, y = [a[i] for i in at_a], [b[j] for j in at_b]
    for at, same, kept in zip((at_a, at_b), (same_a, same_b), _halve(x, y, budget), strict=True):
        for i in compress(at, kept):
            same[i] = 1
    return same_a, same_b


def _promising(tokens: list[int], start: int, end: int, there: Counter[int], by_chance: bool) -> list[int]:
    """The places of the tokens that may be the same ones on the other side."""
    often = len(tokens) + 1 if by_chance else _often(len(tokens))
    rank = {token: _FREQUENT if count >= often else _SOME for token, count in there.items()}
    ranks = bytearray(rank.get(token, _ABSENT) for token in tokens[start:end])
    for run in [] if by_chance else _DOUBTFUL.finditer(bytes(ranks)):
        if _ABSENT in run[0] and _FREQUENT in run[0]:
            _sift(ranks, run.start(), run.end())
    return list(compress(range(start, end), ranks))


def _often(size: int) -> int:
    """How many times the other side has a token that counts as frequent: git's rough square root."""
    return min(OFTEN_AT_MOST, 1 << ((size.bit_length() + 1) // 2))


def _sift(ranks: bytearray, start: int, end: int) -> None:
    """Of a doubtful run, the frequent tokens go that have absent ones on both sides, and three times as many of these
    around them as of their own."""
    absent = [0, *accumulate(rank == _ABSENT for rank in ranks[start:end])]
    dropped = []
    for i in range(end - start):
        if ranks[start + i] == _FREQUENT:
            low, high = max(0, i - WINDOW), min(end - start, i + WINDOW + 1)
            before, behind = absent[i] - absent[low], absent[high] - absent[i + 1]
            # git counts the token itself on either side.
            frequent = high - low + 1 - before - behind
            if before and behind and 3 * frequent < before + behind:
                dropped.append(start + i)
    for i in dropped:
        ranks[i] = _ABSENT


def _halve(a: list[int], b: list[int], budget: Budget) -> tuple[bytearray, bytearray]:
    """The same, region by region."""
    same_a, same_b = bytearray(len(a)), bytearray(len(b))
    regions = [(0, len(a), 0, len(b))]
    while regions:
        a0, a1, b0, b1 = region = _trim(a, b, same_a, same_b, regions.pop())
        if a0 == a1 or b0 == b1 or budget.left < 0:
            continue
        i, j, near = _middle(a, b, region, budget)
        if not near and (anchors := _anchors(a, b, region, budget)):
            for i, j in anchors:
                same_a[i] = same_b[j] = 1
                if a0 < i and b0 < j:
                    regions.append((a0, i, b0, j))
                a0, b0 = i + 1, j + 1
            regions.append((a0, a1, b0, b1))
        else:
            regions += (i, a1, j, b1), (a0, i, b0, j)
    return same_a, same_b


def _trim(a: list[int], b: list[int], same_a: bytearray, same_b: bytearray, region: _Region) -> _Region:
    """Marks what the ends of a region have in common: what is left of it."""
    a0, a1, b0, b1 = region
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        same_a[a0] = same_b[b0] = 1
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
        same_a[a1] = same_b[b1] = 1
    return a0, a1, b0, b1


def _anchors(a: list[int], b: list[int], region: _Region, budget: Budget) -> list[tuple[int, int]]:
    """Tokens that are unique on both sides of a region, as many as have the same order there."""
    a0, a1, b0, b1 = region
    if not budget.take(a1 - a0 + b1 - b0):
        return []
    unique_b = _unique(b, b0, b1)
    found = [(i, unique_b[token]) for token, i in _unique(a, a0, a1).items() if token in unique_b]
    return _rising(sorted(found))


def _unique(tokens: list[int], start: int, end: int) -> dict[int, int]:
    """The tokens that a region has once, and where."""
    places: dict[int, int] = {}
    again: set[int] = set()
    for place in range(start, end):
        token = tokens[place]
        if token in places:
            again.add(token)
        else:
            places[token] = place
    for token in again:
        del places[token]
    return places


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest rising subsequence (of the second numbers; the first ones rise)."""
    ends: list[int] = []
    tops: list[int] = []
    below: list[int] = []
    for at, (_, j) in enumerate(pairs):
        pile = bisect_left(ends, j)
        below.append(tops[pile - 1] if pile else -1)
        if pile == len(ends):
            ends.append(j)
            tops.append(at)
        else:
            ends[pile], tops[pile] = j, at
    chain: list[tuple[int, int]] = []
    at = tops[-1] if tops else -1
    while at >= 0:
        chain.append(pairs[at])
        at = below[at]
    chain.reverse()
    return chain


def _middle(a: list[int], b: list[int], region: _Region, budget: Budget) -> tuple[int, int, bool]:
    """Myers' middle snake: a point of a shortest path through a region whose ends differ, where its halves meet.

    With more than `NEAR` differences, or without budget, it is the furthest point that was reached, and False.
    """
    a0, a1, b0, b1 = region
    n, m = a1 - a0, b1 - b0
    odd = (n - m) % 2
    ahead, back = {0: 0}, {n - m: n}
    for d in range(1, NEAR // 2 + 1):
        walked = 0
        for k in _diagonals(d, n, m):
            left, up = ahead.get(k - 1, _NOWHERE), ahead.get(k + 1, _NOWHERE)
            x = left + 1 if left >= up else up
            y = x - k
            if not (0 <= x <= n and 0 <= y <= m):
                continue
            walked -= x
            while x < n and y < m and a[a0 + x] == b[b0 + y]:
                x, y = x + 1, y + 1
            walked += x
            ahead[k] = x
            if odd and back.get(k, n + 1) <= x:
                return a0 + x, b0 + y, True
        for mirrored in _diagonals(d, m, n):
            k = n - m + mirrored
            left, up = back.get(k - 1, -_NOWHERE), back.get(k + 1, -_NOWHERE)
            x = left if left < up else up - 1
            y = x - k
            if not (0 <= x <= n and 0 <= y <= m):
                continue
            walked += x
            while x > 0 and y > 0 and a[a0 + x - 1] == b[b0 + y - 1]:
                x, y = x - 1, y - 1
            walked -= x
            back[k] = x
            if not odd and ahead.get(k, -1) >= x:
                return a0 + x, b0 + y, True
        if not budget.take(walked + 2 * d):
            break
    x, k = max((2 * x - k, x, k) for k, x in ahead.items())[1:]
    return a0 + x, b0 + x - k, False


def _diagonals(d: int, n: int, m: int) -> range:
    """The diagonals that d differences can lead to inside n by m, the highest first."""
    return range(min(d, n - (n - d) % 2), max(-d, -m + (m - d) % 2) - 1, -2)


def _gaps(same: bytearray) -> list[bool]:
    """For every rank among the tokens that stayed, whether changed ones lie right before it; one more for the end."""
    gaps: list[bool] = []
    changed = False
    for kept in same:
        if kept:
            gaps.append(changed)
            changed = False
        else:
            changed = True
    gaps.append(changed)
    return gaps


def _slide(tokens: list[int], same: bytearray, other: list[bool], budget: Budget) -> None:
    """Moves every run of changed tokens up and down while it stays the same change, joining those it meets; and leaves it
    at the lowest place, or at the lowest place where the other side changed too, if there is one."""
    end = rank = 0
    while (start := same.find(0, end)) >= 0:
        run = _Run(tokens, same, start, _run_end(same, start), rank + start - end)
        size = 0
        aligned = -1
        while size != run.end - run.start and budget.left > 0:
            size = run.end - run.start
            while budget.take(1) and run.up():
                pass
            aligned = run.rank if other[run.rank] else -1
            while budget.take(1) and run.down():
                if other[run.rank]:
                    aligned = run.rank
        while aligned >= 0 and run.rank > aligned and run.up():
            pass
        end, rank = run.end, run.rank


class _Run:
    """A run of changed tokens, none before or behind it, and the number of tokens before it that stayed."""

    __slots__ = ("end", "rank", "same", "start", "tokens")

    def __init__(self, tokens: list[int], same: bytearray, start: int, end: int, rank: int) -> None:
        self.tokens, self.same, self.start, self.end, self.rank = tokens, same, start, end, rank

    def up(self) -> bool:
        start, end = self.start - 1, self.end - 1
        if start < 0 or self.tokens[start] != self.tokens[end]:
            return False
        self.same[start], self.same[end] = 0, 1
        self.start, self.end, self.rank = self.same.rfind(1, 0, start) + 1, end, self.rank - 1
        return True

    def down(self) -> bool:
        start, end = self.start, self.end
        if end == len(self.tokens) or self.tokens[start] != self.tokens[end]:
            return False
        self.same[start], self.same[end] = 1, 0
        self.start, self.end, self.rank = start + 1, _run_end(self.same, end), self.rank + 1
        return True


def _run_end(same: bytearray, start: int) -> int:
    end = same.find(1, start)
    return len(same) if end < 0 else end


def _changes(same_a: bytearray, same_b: bytearray) -> list[Change]:
    changes: list[Change] = []
    i = j = 0
    while True:
        a0, b0 = same_a.find(0, i), same_b.find(0, j)
        if a0 < 0 and b0 < 0:
            return changes
        kept = min(place - base for place, base in ((a0, i), (b0, j)) if place >= 0)
        i, j = i + kept, j + kept
        change = Change(i, _run_end(same_a, i), j, _run_end(same_b, j))
        changes.append(change)
        i, j = change.a1, change.b1
