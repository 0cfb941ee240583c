"""Who pushed what: records of the store (collection "pushes"), by the commit that the branch was moved to.

A record is made before the branch is moved and goes in the transaction that records the pull of it, together with the event
`pushed`: so that whoever pushed is known even when the process dies in between, and another one goes on with the pull.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collab.ids import ActorId, ProjectId
from collab.store.base import Change, Emit, Event, PutRecord, Store
from snapshots.packs.verdict import Judged, NewCommit
from snapshots.remotes.base import CommitSha

COLLECTION: Final = "pushes"


class Push(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one ref (its name as text); `old` and `new` None: it was made, or deleted. `count` commits were new in the repository,
    `newest` the newest of them."""

    actor: ActorId
    ref: str
    old: str | None
    new: str | None
    forced: bool = False
    count: int = 0
    newest: tuple[NewCommit, ...] = ()


async def push(store: Store, project: ProjectId, commit: CommitSha) -> Push | None:
    """The one that moved the branch there, if it is not recorded as pulled yet."""
    found = await store.record(COLLECTION, project, commit)
    return None if found is None else msgspec.json.decode(found, type=Push)


def put(project: ProjectId, commit: CommitSha, each: Push) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=commit, value=msgspec.json.encode(each))


def drop(project: ProjectId, commit: CommitSha) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=commit, value=None)


def told(project: ProjectId, each: Push) -> Change:
    data = {
        "ref": each.ref,
        "old": each.old,
        "commit": each.new,
        "forced": each.forced,
        "count": each.count,
        "commits": [msgspec.to_builtins(commit) for commit in each.newest],
    }
    return Emit(Event(project=project, kind="pushed", actors=(each.actor,), data=data))


def of(actor: ActorId, ref: bytes, old: bytes | None, new: bytes | None, judged: Judged | None) -> Push:
    return Push(
        actor=actor,
        ref=ref.decode("utf-8", "backslashreplace"),
        old=None if old is None else old.hex(),
        new=None if new is None else new.hex(),
        forced=judged is not None and not judged.forward,
        count=0 if judged is None else judged.count,
        newest=() if judged is None else judged.newest,
    )
