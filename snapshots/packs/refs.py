"""The refs of a repository that others may see: its branches, tags and notes. PURE.

Whatever else stands under `refs/` (what a host or a tool keeps for itself) is neither shown nor taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from snapshots.packs.entries import Oid

BRANCHES: Final = b"refs/heads/"
TAGS: Final = b"refs/tags/"
SHOWN: Final = (BRANCHES, TAGS, b"refs/notes/")


@dataclass(frozen=True, slots=True)
class Refs:
    """`all`: in the order of names. `peeled`: what annotated tags lead to, by the ref's name. `head`: the ref that HEAD names,
    which may not exist yet. `shallow`: commits whose parents the repository lacks."""

    all: Mapping[bytes, Oid]
    peeled: Mapping[bytes, Oid]
    head: bytes
    shallow: frozenset[Oid] = frozenset()

    @property
    def at_head(self) -> Oid | None:
        return self.all.get(self.head)

    @property
    def tags(self) -> dict[Oid, Oid]:
        """Tag objects, with what they lead to."""
        return {self.all[name]: target for name, target in self.peeled.items()}

    def at(self, head: bytes) -> Refs:
        """With another HEAD."""
        return replace(self, head=head)

    def only(self, name: bytes) -> Refs:
        """Nothing but this ref."""
        return replace(self, all={name: self.all[name]} if name in self.all else {}, peeled={})


@dataclass(frozen=True, slots=True)
class Update:
    """What a ref was when the client looked, and is to become; None: it did not exist, or is to be deleted."""

    ref: bytes
    old: Oid | None
    new: Oid | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`problem`: why the ref did not become that."""

    ref: bytes
    problem: str = ""


def shown(name: bytes) -> bool:
    return name.startswith(SHOWN)
