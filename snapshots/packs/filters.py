"""What a partial clone leaves out, as `git clone --filter=...` says it. PURE.

`blob:none`, `blob:limit=N[kmg]`, `tree:DEPTH`, `object:type=KIND`, and `combine:A+B` of those; of several the strictest
counts. What was asked for by its name is sent whatever the filter says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from collab.errors import Invalid
from snapshots.packs.entries import KINDS, Kind

_UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
PARTS_MOST: Final = 16


@dataclass(frozen=True, slots=True)
class Filter:
    """`smaller`: only blobs of fewer bytes. `depth`: only trees and blobs above it, a commit's tree being at 0. `kinds`: only
    these."""

    smaller: int | None = None
    depth: int | None = None
    kinds: frozenset[Kind] | None = None

    def takes(self, kind: Kind) -> bool:
        return self.kinds is None or kind in self.kinds

    def takes_at(self, depth: int) -> bool:
        return self.depth is None or depth < self.depth

    def takes_blob(self, size: Callable[[], int]) -> bool:
        return self.takes(Kind.BLOB) and (self.smaller is None or (self.smaller > 0 and size() < self.smaller))

    def walks(self, depth: int) -> bool:
        """Whether anything below a tree at this depth could be taken."""
        below = self.kinds is None or bool(self.kinds & {Kind.TREE, Kind.BLOB})
        return below and self.takes_at(depth)

    def both(self, other: Filter) -> Filter:
        kinds = [each for each in (self.kinds, other.kinds) if each is not None]
        return Filter(
            _least(self.smaller, other.smaller),
            _least(self.depth, other.depth),
            frozenset.intersection(*kinds) if kinds else None,
        )


EVERYTHING: Final = Filter()


def parse(spec: str) -> Filter:
    """`Invalid` for what is not known here (`sparse:oid` among them)."""
    if spec.startswith("combine:"):
        parts = spec.removeprefix("combine:").split("+")
        found = EVERYTHING
        for part in parts[:PARTS_MOST]:
            found = found.both(_one(unquote(part), spec))
        if len(parts) <= PARTS_MOST:
            return found
    return _one(spec, spec)


def _one(part: str, spec: str) -> Filter:
    name, _, value = part.partition(":")
    if part == "blob:none":
        return Filter(smaller=0)
    if name == "blob" and value.startswith("limit="):
        number = value.removeprefix("limit=").lower()
        unit = _UNITS.get(number[-1:], 1)
        if unit > 1:
            number = number[:-1]
        if _counts(number):
            return Filter(smaller=int(number) * unit)
    if name == "tree" and _counts(value):
        return Filter(depth=int(value))
    if name == "object" and (kind := KINDS.get(value.removeprefix("type=").encode())) and value.startswith("type="):
        return Filter(kinds=frozenset({kind}))
    raise Invalid(
        f"the filter {spec[:80]!r} is not known here: blob:none, blob:limit=N, tree:N and object:type=KIND are",
        field="filter",
    )


def _counts(number: str) -> bool:
    return number.isascii() and number.isdecimal() and len(number) < 18


def _least(one: int | None, other: int | None) -> int | None:
    given = [each for each in (one, other) if each is not None]
    return min(given, default=None)
