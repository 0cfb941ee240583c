"""The journal of snapshots, and the commit that the branch had when Quire moved it last: records of the store.

A snapshot is journalled before git is touched, by compare-and-swap on its number; what came of it is recorded together
with the bases that it moved and the event that tells of it, in one transaction.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collab.ids import ProjectId
from collab.store.base import ANY, Anything, PutRecord, Store
from snapshots.remotes.base import CommitSha
from snapshots.snapshot import Snapshot, key

COLLECTION: Final = "snapshots"
BRANCHES: Final = "branches"
GIT: Final = "git"


class Branch(msgspec.Struct, frozen=True):
    """`commit` is the one that the bases describe, None before the first; `number` that of the newest snapshot, the only
    one that may be running."""

    name: str
    commit: str | None = None
    number: int = 0


async def snapshot(store: Store, project: ProjectId, number: int) -> Snapshot | None:
    found = await store.record(COLLECTION, project, key(number))
    return None if found is None else msgspec.json.decode(found, type=Snapshot)


async def snapshots(store: Store, project: ProjectId) -> list[Snapshot]:
    """All, the oldest first."""
    found = await store.records(COLLECTION, project)
    return [msgspec.json.decode(value, type=Snapshot) for value in found.values()]


def put(project: ProjectId, snapshot: Snapshot, *, expect: Snapshot | Anything | None = ANY) -> PutRecord:
    """`expect` None: its number must be free."""
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=key(snapshot.number),
        value=msgspec.json.encode(snapshot),
        expect=msgspec.json.encode(expect) if isinstance(expect, Snapshot) else expect,
    )


async def branch(store: Store, project: ProjectId) -> Branch | None:
    found = await store.record(BRANCHES, project, GIT)
    return None if found is None else msgspec.json.decode(found, type=Branch)


def put_branch(project: ProjectId, branch: Branch, *, expect: Branch | Anything | None = ANY) -> PutRecord:
    return PutRecord(
        collection=BRANCHES,
        project=project,
        key=GIT,
        value=msgspec.json.encode(branch),
        expect=msgspec.json.encode(expect) if isinstance(expect, Branch) else expect,
    )


def known(branch: Branch | None) -> CommitSha | None:
    return CommitSha(branch.commit) if branch is not None and branch.commit is not None else None
