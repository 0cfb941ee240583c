"""What a project has and what a branch has, path by path, where nothing says how the one came from the other. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collab import paths
from collab.ids import Path
from snapshots.remotes.base import TreeEntry


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every path in exactly one list, each in the order of the paths' bytes. Equal: in content and mode."""

    new_here: tuple[Path, ...] = ()
    new_there: tuple[Path, ...] = ()
    equal: tuple[Path, ...] = ()
    different: tuple[Path, ...] = ()

    @property
    def choice(self) -> bool:
        """Whether somebody has to say which side counts: both have files, and not the same."""
        here = self.new_here or self.equal or self.different
        there = self.new_there or self.equal or self.different
        return bool(here and there and (self.new_here or self.new_there or self.different))


def compare(ours: Mapping[Path, TreeEntry], theirs: Mapping[Path, TreeEntry]) -> Comparison:
    def listed(wanted: set[Path]) -> tuple[Path, ...]:
        return tuple(sorted(wanted, key=paths.to_bytes))

    both = ours.keys() & theirs.keys()
    equal = {path for path in both if ours[path] == theirs[path]}
    return Comparison(listed(ours.keys() - both), listed(theirs.keys() - both), listed(equal), listed(both - equal))
