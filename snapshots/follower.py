"""Lets the object store follow what people write: within seconds, by a schedule of its own (snapshots.rounds), beside git's.

What it promises
1. Never two rounds of one project at once in this process; in many processes one wins (snapshots.materialiser).
2. What is not yet there is known after a crash: how far the objects have followed is recorded when they have.
3. A failure (no S3, no permission, no room) is kept for `status`, in plain words, and tried again, later each time and at
   least once a minute. Nobody's edits wait for it, and nothing is lost by it: the log has them.
4. An idle system costs nothing.
5. `aclose` lets what is not there follow within its deadline, and returns.
6. A deleted project's objects go too, sooner or later, and old snapshots of projects that nobody edits.
7. Of each commit it is known which snapshot was the first to hold it, while that snapshot is there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import msgspec
import structlog

from collab.bus.base import Bus
from collab.errors import QuireError
from collab.ids import Millis, ProjectId
from collab.store.base import Project, PutRecord, Store
from snapshots import journal
from snapshots.keeper import Keeping
from snapshots.manifest import HOUR, Place
from snapshots.materialiser import Made
from snapshots.rounds import Rounds
from snapshots.schedule import Pace

log = structlog.get_logger(__name__)

NO_EDITS: Final[frozenset[str]] = frozenset()
"""A commit changes no file; but whoever looks then knows which snapshot holds it (7)."""

PACE: Final = Pace(quiet=5_000, max_age=30_000, first_wait=2_000, longest_wait=60_000)
SWEEP_EVERY: Final = 6 * HOUR

COLLECTION: Final = "objects"
FOLLOWED: Final = "followed"
COMMITS: Final = "commits"
NAMED_MOST: Final = 10_000
"""Commits of a project whose snapshots are told."""
GONE: Final = "gone/"
NOBODY: Final = ProjectId("")


class Followed(msgspec.Struct, frozen=True):
    """How far the objects at `where` have followed: to this event of this epoch, which made this snapshot."""

    where: str
    epoch: int
    events: int
    number: int
    swept_at: int
    swept: bool = False
    """Only the newest snapshot is there: no sweep would find anything."""


class Held(msgspec.Struct, frozen=True):
    """Which snapshot was the first to hold a commit, by their numbers; all commits up to `upto` have been looked at."""

    upto: int
    snapshots: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`state`: idle, running or failed; `snapshot`: the number of the newest, 0 before the first, None when this process
    has not yet looked; `next_at`: when it is tried again, or made, at the latest."""

    where: str
    snapshot: int | None
    state: str
    detail: str
    next_at: Millis | None


class Follower:
    """`where` names the object store, for people, and tells it from another one; `chance` spreads what is tried again."""

    def __init__(
        self,
        keeper: Keeping,
        store: Store,
        bus: Bus,
        *,
        where: str,
        clock: Callable[[], Millis],
        pace: Pace = PACE,
        sweep_every: int = SWEEP_EVERY,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._keeper = keeper
        self._store = store
        self._where = where
        self._clock = clock
        self._pace = pace
        self._sweep_every = sweep_every
        self._rounds = Rounds(store, bus, self.follow, clock=clock, pace=pace, ignored=NO_EDITS, chance=chance)
        self._followed: defaultdict[ProjectId, Followed | None] = defaultdict(lambda: None)
        self._deleted = anyio.Event()

    async def follow(self, project: Project) -> Made:
        """A round now, after the one that runs."""
        async with self._rounds.round(project.id) as watched:
            made = await self._round(project)
            self._rounds.succeeded(watched)
            if made.held:
                self._rounds.unfinished(watched)
                self._rounds.fail(watched, _held(made.held))
        return made

    def status(self, project: ProjectId) -> Status:
        watched, followed = self._rounds[project], self._followed[project]
        return Status(
            where=self._where,
            snapshot=followed.number if followed is not None else None,
            state="running" if watched.lock.locked() else "failed" if watched.failure else "idle",
            detail=f"{watched.failure}. Nothing is lost: it is tried again by itself" if watched.failure else "",
            # That old snapshots will be looked at some day is nobody's business.
            next_at=None if watched.pending is None else self._rounds.due_at(project),
        )

    async def forget(self, project: ProjectId) -> None:
        """The project was deleted: its objects go in the background, after a restart too."""
        await self._store.commit(changes=[_record(NOBODY, GONE + project, b"{}")])
        self._deleted.set()

    async def run(self) -> None:
        """Runs until it is cancelled, or until `aclose`."""
        await self._rounds.run(self._take_up, self._delete_gone)

    async def aclose(self, deadline: float) -> None:
        """Seconds for whatever is not there yet. What takes longer follows at the next start."""
        await self._rounds.aclose(deadline)

    # -- one round

    async def _round(self, project: Project) -> Made:
        # The events are numbered before the files are looked at: the objects are never behind what is recorded.
        found = await self._store.project_by_id(project.id)
        if found is None:
            return Made("nothing", 0)
        branch = await journal.branch(self._store, project.id)
        made = await self._keeper.round(found)
        before = self._followed[project.id] or await self._recorded(project.id)
        followed = Followed(
            self._where,
            self._store.epoch,
            found.events if not made.held else 0,
            made.number,
            before.swept_at if before is not None else self._clock(),
            made.state == "nothing" and before is not None and before.swept,
        )
        if before is None or (before.where, before.epoch) != (followed.where, followed.epoch):
            # The names of another place, or of before a restore.
            await self._store.commit(changes=[_record(project.id, COMMITS, None)])
        await self._record(project.id, before, followed)
        if branch is not None and made.number:
            await self._name(project.id, branch.number, made.number)
        await self._sweep_when_due(found, followed)
        return made

    async def _record(self, project: ProjectId, before: Followed | None, now: Followed) -> None:
        if now != before:
            await self._store.commit(changes=[_record(project, FOLLOWED, msgspec.json.encode(now))])
        self._followed[project] = now

    async def _sweep_when_due(self, project: Project, followed: Followed) -> None:
        if followed.swept:
            return
        now = self._clock()
        if now - followed.swept_at >= self._sweep_every:
            # Recorded first: when it fails, it is not tried again at once.
            swept = msgspec.structs.replace(followed, swept_at=now)
            await self._record(project.id, followed, swept)
            plan = await self._keeper.plan(project)
            await self._unname(project.id, plan.gone)
            found = await self._keeper.sweep(project, plan)
            if found.manifests or found.blobs:
                log.info("old snapshots swept", project=project.name, manifests=found.manifests, blobs=found.blobs)
            followed = msgspec.structs.replace(swept, swept=plan.ended)
            await self._record(project.id, swept, followed)
        if not followed.swept:
            self._rounds.again(self._rounds[project.id], Millis(followed.swept_at + self._sweep_every))

    # -- commits

    async def holding(self, project: ProjectId) -> dict[int, str]:
        """Of commits, by their numbers in the journal, where the snapshot lies that was the first to hold them."""
        held = await self._held(project)
        place = Place(project)
        return (
            {number: f"{self._where}/{place.manifest(made)}" for number, made in held.snapshots.items()} if held else {}
        )

    async def _held(self, project: ProjectId) -> Held | None:
        found = await self._store.record(COLLECTION, project, COMMITS)
        return None if found is None else msgspec.json.decode(found, type=Held)

    async def _name(self, project: ProjectId, newest: int, made: int) -> None:
        """A snapshot that was made, or found to be as the project is, holds every commit that was made before it. `newest`
        is the number of the last one that had begun then."""
        held = await self._held(project)
        if held is not None and newest <= held.upto:
            return
        known = {} if held is None else held.snapshots
        # Of commits from before all this, the newest.
        upto = newest - 1 if held is None else held.upto
        for number in range(upto + 1, newest + 1):
            commit = await journal.snapshot(self._store, project, number)
            if commit is not None and commit.state == "running":
                break  # its outcome is told by an event, and then it is looked at again
            if commit is not None and commit.state == "done":
                known = {**known, number: made}
            upto = number
        await self._hold(project, Held(upto, dict(sorted(known.items())[-NAMED_MOST:])))

    async def _unname(self, project: ProjectId, gone: frozenset[int]) -> None:
        held = await self._held(project)
        if held is not None and not gone.isdisjoint(held.snapshots.values()):
            left = {number: made for number, made in held.snapshots.items() if made not in gone}
            await self._hold(project, Held(held.upto, left))

    async def _hold(self, project: ProjectId, held: Held) -> None:
        await self._store.commit(changes=[_record(project, COMMITS, msgspec.json.encode(held))])

    # -- what was recorded

    async def _recorded(self, project: ProjectId) -> Followed | None:
        found = await self._store.record(COLLECTION, project, FOLLOWED)
        return None if found is None else msgspec.json.decode(found, type=Followed)

    async def _take_up(self, project: Project) -> None:
        """What an earlier process had not brought there."""
        followed = self._followed[project.id] = await self._recorded(project.id)
        if followed is None or (followed.where, followed.epoch) != (self._where, self._store.epoch):
            now = self._clock()
            self._rounds.edited(project.id, now, now)
            return
        self._rounds[project.id].seen = min(followed.events, project.events)
        await self._rounds.hear(project.id)
        if not followed.swept:
            self._rounds.again(self._rounds[project.id], Millis(followed.swept_at + self._sweep_every))

    # -- deleted projects

    async def _delete_gone(self) -> None:
        failures = 0
        while True:
            self._deleted = anyio.Event()
            try:
                for key in await self._store.records(COLLECTION, NOBODY, prefix=GONE):
                    await self._delete(ProjectId(key.removeprefix(GONE)))
                failures = 0
            except QuireError as error:
                failures += 1
                log.warning("a deleted project's objects could not be deleted yet", error=error.message)
            wait = min(self._pace.first_wait * 2**failures, self._pace.longest_wait) / 1000
            with anyio.move_on_after(wait if failures else None):
                await self._deleted.wait()

    async def _delete(self, project: ProjectId) -> None:
        async with self._rounds.alone(project):
            await self._keeper.erase(project)
        self._rounds.forget(project)
        self._followed.pop(project, None)
        await self._store.commit(changes=[_record(NOBODY, GONE + project, None)])


def _held(held: tuple[str, ...]) -> str:
    more = f" and {len(held) - 3:,} more" if len(held) > 3 else ""
    return f"these files cannot be read and are held back: {', '.join(held[:3])}{more}"


def _record(project: ProjectId, key: str, value: bytes | None) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=key, value=value)
