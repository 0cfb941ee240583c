"""Named versions of a project: a name for a moment of its history.

What it promises
1. The moment is one of the log's own times, taken when the version was named, so that every file's position follows from it.
2. A name is there once; it can be given again after it was taken away.
"""

from __future__ import annotations

import msgspec

from collab.errors import Conflict, Invalid, NotFound
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import Emit, Event, PutRecord, Store

COLLECTION = "versions"
LONGEST = 100


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    at: Millis
    by: ActorId
    made: Millis
    note: str = ""


async def versions(store: Store, project: ProjectId) -> list[Version]:
    """The newest moment first."""
    found = [msgspec.json.decode(raw, type=Version) for raw in (await store.records(COLLECTION, project)).values()]
    return sorted(found, key=lambda each: (each.at, each.name), reverse=True)


async def version(store: Store, project: ProjectId, name: str) -> Version:
    raw = await store.record(COLLECTION, project, name)
    if raw is None:
        raise NotFound(f"there is no version {name!r} in this project", field="version")
    return msgspec.json.decode(raw, type=Version)


async def name(
    store: Store,
    project: ProjectId,
    wanted: str,
    actor: ActorId,
    now: Millis,
    *,
    at: Millis | None = None,
    note: str = "",
) -> Version:
    """Of this moment, or of one before."""
    wanted = checked(wanted)
    if at is not None and at > now:
        raise Invalid("a version is of a moment that has been", field="at")
    made = Version(name=wanted, at=now if at is None else at, by=actor, made=now, note=note)
    if await store.record(COLLECTION, project, wanted) is not None:
        raise Conflict(f"there is a version {wanted!r} already: choose another name", code="exists", field="name")
    told = Event(project=project, kind="version", actors=(actor,), data={"name": wanted})
    await store.commit(changes=[_put(project, made), Emit(told)])
    return made


async def forget(store: Store, project: ProjectId, wanted: str) -> Version:
    """Only the name goes."""
    found = await version(store, project, wanted)
    record = PutRecord(collection=COLLECTION, project=project, key=wanted, value=None)
    await store.commit(changes=[record])
    return found


def checked(wanted: str) -> str:
    wanted = " ".join(wanted.split())
    if not wanted or len(wanted) > LONGEST or not wanted.isprintable():
        raise Invalid(f"give a name of 1 to {LONGEST} printable characters", field="name")
    return wanted


def _put(project: ProjectId, made: Version) -> PutRecord:
    return PutRecord(
        collection=COLLECTION, project=project, key=made.name, value=msgspec.json.encode(made), expect=None
    )
