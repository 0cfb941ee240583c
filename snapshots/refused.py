"""Files that the remote does not take: records of the store (collection "refused").

A refusal holds for the content, the mode and the place that were refused. Changed, moved, connected to elsewhere, asked for
by hand, or `AGAIN` later, the file is tried again; until then it is held back, and everything else goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from collab import paths
from collab.ids import BlobSha, Millis, Path, ProjectId
from collab.store.base import PutRecord, Store
from snapshots.remotes.refusals import WORDS, Reason
from snapshots.snapshot import Change

COLLECTION: Final = "refused"

AGAIN: Final = 6 * 3_600_000
"""Milliseconds after which it is tried once more by itself: somebody may have allowed it."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """`place` is the branch that would not have it (snapshots.offers.place); without a sha it is a deletion."""

    path: str
    sha: BlobSha | None
    mode: int
    reason: Reason
    place: str
    at: Millis

    @property
    def detail(self) -> str:
        return WORDS[self.reason]


async def refused(store: Store, project: ProjectId, place: str) -> dict[Path, Refused]:
    found = await store.records(COLLECTION, project)
    every = (msgspec.json.decode(value, type=Refused) for value in found.values())
    return {paths.parse(each.path): each for each in every if each.place == place}


def put(project: ProjectId, each: Refused) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=each.path, value=msgspec.json.encode(each))


def drop(project: ProjectId, each: Refused) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=each.path, value=None)


def holds(known: Mapping[Path, Refused], change: Change, now: Millis) -> bool:
    """Whether it would be refused again."""
    each = known.get(paths.parse(change.path))
    # A clock that went backwards holds nothing back for longer.
    return each is not None and (each.sha, each.mode) == (change.sha, change.mode) and 0 <= now - each.at < AGAIN


def over(known: Mapping[Path, Refused], changes: Iterable[Change]) -> list[Refused]:
    """Refusals of what is not to be committed any more, or is something else now."""
    there = {paths.parse(each.path): (each.sha, each.mode) for each in changes}
    return [each for path, each in known.items() if there.get(path) != (each.sha, each.mode)]
