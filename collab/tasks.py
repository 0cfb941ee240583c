"""Tasks: the record of what agents do, for people to see.

What it promises
1. Who asked, of whom, for what; where it stands; what was read for it (files, versions, lines); what came of it. The turns that
   name the task are found with it.
2. Every change is told as an event (`task`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from collab.errors import Conflict, Invalid, NotFound
from collab.ids import ActorId, Millis, ProjectId, fresh
from collab.store.base import Emit, Event, PutRecord, Store

COLLECTION: Final = "tasks"
INPUT_MOST: Final = 50_000
READ_MOST: Final = 1_000
"""Citations that are kept; the latest."""

Status = Literal["open", "working", "done", "failed", "cancelled"]
ENDED: Final[frozenset[Status]] = frozenset({"done", "failed", "cancelled"})


class Read(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was read: a version of a file, and which of its lines (from 1, inclusive); None: all."""

    path: str
    sha: str
    first: int | None = None
    last: int | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    asked_by: ActorId
    at: Millis
    input: str
    updated: Millis
    agent: ActorId | None = None
    status: Status = "open"
    read: tuple[Read, ...] = ()
    outcome: str = ""


class Tasks:
    def __init__(self, store: Store, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._clock = clock

    async def all(self, project: ProjectId) -> list[Task]:
        """The newest first."""
        found = [
            msgspec.json.decode(raw, type=Task) for raw in (await self._store.records(COLLECTION, project)).values()
        ]
        return sorted(found, key=lambda each: (each.at, each.id), reverse=True)

    async def one(self, project: ProjectId, id_: str) -> Task:
        raw = await self._store.record(COLLECTION, project, id_)
        if raw is None:
            raise NotFound(f"there is no task {id_!r} in this project", field="id")
        return msgspec.json.decode(raw, type=Task)

    async def ask(self, project: ProjectId, wanted: str, actor: ActorId, *, agent: ActorId | None = None) -> Task:
        if not wanted.strip() or len(wanted) > INPUT_MOST:
            raise Invalid(f"say what is to be done, in 1 to {INPUT_MOST:,} characters", field="input")
        now = self._clock()
        made = Task(id=fresh(), asked_by=actor, at=now, updated=now, input=wanted, agent=agent)
        await self._put(project, None, made, actor)
        return made

    async def report(
        self,
        project: ProjectId,
        id_: str,
        actor: ActorId,
        *,
        status: Status | None = None,
        outcome: str | None = None,
        read: Sequence[Read] = (),
        takes: bool = False,
    ) -> Task:
        """`takes`: whoever reports is the agent that does it. A task that has ended stays as it ended."""
        known = await self.one(project, id_)
        if known.status in ENDED:
            raise Conflict(f"this task is {known.status} already", code="already_ended", field="status")
        changed = msgspec.structs.replace(
            known,
            status=status or known.status,
            outcome=known.outcome if outcome is None else outcome,
            read=tuple(dict.fromkeys([*known.read, *read]))[-READ_MOST:],
            agent=actor if takes else known.agent,
            updated=self._clock(),
        )
        if changed != known:
            await self._put(project, known, changed, actor)
        return changed

    async def _put(self, project: ProjectId, known: Task | None, made: Task, actor: ActorId) -> None:
        record = PutRecord(
            collection=COLLECTION,
            project=project,
            key=made.id,
            value=msgspec.json.encode(made),
            expect=None if known is None else msgspec.json.encode(known),
        )
        told = {"task": made.id, "status": made.status}
        await self._store.commit(
            changes=[record, Emit(Event(project=project, kind="task", actors=(actor,), data=told))]
        )
