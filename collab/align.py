"""Which tokens of two sequences are the same ones: the heart of diff and merge. PURE.

`align` is near linear whatever it is given. It trims what the ends have in common, drops tokens that the other side does
not have, tries Myers' greedy algorithm while the two are close, splits at tokens that are unique on both sides (patience)
when they are not, and at last takes Myers' furthest path piece by piece. All of it draws on one budget of steps; when
that is spent, the regions that are left count as changed. So a result is always right, and on hostile input merely coarse.

Where an alignment has a choice, changes slide down as far as they can, or to where the other side changed too: as people
expect it from git.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, Self

NEAR: Final = 64
"""Differences that are looked for before a region is split at its unique tokens."""

_NOWHERE: Final = -(1 << 60)


class Change(NamedTuple):
    """`before[a0:a1]` became `after[b0:b1]`; never both empty."""

    a0: int
    a1: int
    b0: int
    b1: int


class Budget:
    """The steps that an alignment may still take; a step is a comparison, and costs well under a microsecond."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @classmethod
    def of(cls, before: str, after: str, *, base: int = 20_000) -> Self:
        """What two texts are worth: enough for all but the most different ones."""
        return cls(base + len(before) + len(after))

    def take(self, steps: int) -> bool:
        """Pays; whether there was enough."""
        self.left -= steps
        return self.left >= 0


def align(before: Sequence[Hashable], after: Sequence[Hashable], budget: Budget) -> list[Change]:
    """The changes that make `after` of `before`, in order; between two of them lies at least one token that stayed."""
    a, b = _numbered(before, after)
    same_a, same_b = bytearray(len(a)), bytearray(len(b))
    for i, j in _matches(a, b, budget):
        same_a[i] = same_b[j] = 1
    _slide(a, same_a, _gaps(same_b))
    _slide(b, same_b, _gaps(same_a))
    return _changes(same_a, same_b)


def _numbered(before: Sequence[Hashable], after: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Both sides with a small number for every token: numbers are compared faster than strings."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(t, len(numbers)) for t in before], [numbers.setdefault(t, len(numbers)) for t in after]


def _matches(a: list[int], b: list[int], budget: Budget) -> list[tuple[int, int]]:
    """Pairs of indices of equal tokens, rising in both, in any order of the list."""
    pairs: list[tuple[int, int]] = []
    start, a1, b1 = _trim(a, b, 0, len(a), 0, len(b), pairs)
    common = set(a[start:a1]).intersection(b[start:b1])
    at_a = [i for i in range(start, a1) if a[i] in common]
    at_b = [j for j in range(start, b1) if b[j] in common]
    x, y = [a[i] for i in at_a], [b[j] for j in at_b]
    inner: list[tuple[int, int]] = []
    regions = [(0, len(x), 0, len(y))]
    while regions:
        x0, x1, y0, y1 = regions.pop()
        trimmed = len(inner)
        skipped, x1, y1 = _trim(x, y, x0, x1, y0, y1, inner)
        x0, y0 = x0 + skipped, y0 + skipped
        if not budget.take(len(inner) - trimmed) or x0 == x1 or y0 == y1:
            continue
        run, at_x, at_y = _greedy(x, y, x0, x1, y0, y1, NEAR, budget)
        if (at_x, at_y) == (x1, y1):
            inner += run
        elif anchors := _anchors(x, y, x0, x1, y0, y1, budget):
            inner += anchors
            for i, j in anchors:
                regions.append((x0, i, y0, j))
                x0, y0 = i + 1, j + 1
            regions.append((x0, x1, y0, y1))
        else:
            inner += run
            if budget.left > 0:
                regions.append((at_x, x1, at_y, y1))
    pairs += [(at_a[i], at_b[j]) for i, j in inner]
    return pairs


def _trim(
    a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int, pairs: list[tuple[int, int]]
) -> tuple[int, int, int]:
    """Adds what the ends of a region have in common to the pairs: the length of that at its begin, and its new ends."""
    most = min(a1 - a0, b1 - b0)
    head = 0
    while head < most and a[a0 + head] == b[b0 + head]:
        head += 1
    pairs += zip(range(a0, a0 + head), range(b0, b0 + head), strict=True)
    tail = 0
    while tail < most - head and a[a1 - 1 - tail] == b[b1 - 1 - tail]:
        tail += 1
    pairs += zip(range(a1 - tail, a1), range(b1 - tail, b1), strict=True)
    return head, a1 - tail, b1 - tail


def _anchors(a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int, budget: Budget) -> list[tuple[int, int]]:
    """Tokens that are unique on both sides of a region, as many as have the same order there."""
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


def _greedy(
    a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int, most: int, budget: Budget
) -> tuple[list[tuple[int, int]], int, int]:
    """Myers' greedy algorithm, up to `most` differences: the pairs of the furthest path, and where it ends.

    The path may end before the region does: then it is the one that came furthest.
    """
    n, m = a1 - a0, b1 - b0
    reach = {1: 0}
    trace: list[dict[int, int]] = []
    best_d, best_k, best = 0, 0, -1
    for d in range(min(most, n + m) + 1):
        row: dict[int, int] = {}
        walked = 0
        for k in range(max(-d, -m + (m + d) % 2), min(d, n - (n + d) % 2) + 1, 2):
            left, up = reach.get(k - 1, _NOWHERE), reach.get(k + 1, _NOWHERE)
            x = up if k == -d or (k != d and left < up) else left + 1
            y = x - k
            if x > n or y > m or x < 0 or y < 0:
                continue
            before = x
            while x < n and y < m and a[a0 + x] == b[b0 + y]:
                x += 1
                y += 1
            walked += x - before
            row[k] = x
            if x + y > best:
                best_d, best_k, best = d, k, x + y
            if x == n and y == m:
                break
        trace.append(row)
        if best == n + m or not budget.take(walked + len(row)):
            break
        reach = row
    return _walk_back(trace, best_d, best_k, a0, b0), a0 + trace[best_d][best_k], b0 + trace[best_d][best_k] - best_k


def _walk_back(trace: list[dict[int, int]], d: int, k: int, a0: int, b0: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    x = trace[d][k]
    while d > 0:
        row = trace[d - 1]
        left, up = row.get(k - 1, _NOWHERE), row.get(k + 1, _NOWHERE)
        down = k == -d or (k != d and left < up)
        begin = up if down else left + 1
        pairs += zip(range(a0 + begin, a0 + x), range(b0 + begin - k, b0 + x - k), strict=True)
        x, k, d = (up, k + 1, d - 1) if down else (left, k - 1, d - 1)
    pairs += zip(range(a0, a0 + x), range(b0, b0 + x), strict=True)
    return pairs


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


def _slide(tokens: list[int], same: bytearray, other: list[bool]) -> None:
    """Moves every run of changed tokens down while it stays the same change, joining those it meets; then back up, to the
    lowest place where the other side changed too, if there is one."""
    end, size = 0, len(tokens)
    rank = 0
    while (start := same.find(0, end)) >= 0:
        rank += start - end
        floor = end
        end = _run_end(same, start)
        aligned = rank if other[rank] else -1
        while end < size and tokens[start] == tokens[end]:
            same[start], same[end] = 1, 0
            start, rank = start + 1, rank + 1
            joined = _run_end(same, end)
            if joined > end + 1:
                aligned, floor = -1, start
            end = joined
            if other[rank]:
                aligned = rank
        lowest = rank
        while rank > aligned and start > floor and tokens[start - 1] == tokens[end - 1]:
            start, end, rank = start - 1, end - 1, rank - 1
            same[start], same[end] = 0, 1
            if other[rank]:
                break
        if not other[rank]:
            while rank < lowest:
                same[start], same[end] = 1, 0
                start, end, rank = start + 1, end + 1, rank + 1


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
