"""The loop that lets the object store follow what people write: within seconds, by a schedule of its own, beside git's.

What it promises
1. Never two rounds of one project at once in this process; in many processes one wins (snapshots.materialiser).
2. What is not yet there is known after a crash: how far the objects have followed is recorded when they have.
3. A failure (no S3, no permission, no room) is kept for `status`, in plain words, and tried again, later each time and at
   least once a minute. Nobody's edits wait for it, and nothing is lost by it: the log has them.
4. An idle system costs nothing.
5. `aclose` lets what is not there follow within its deadline, and returns.
6. A deleted project's objects go too, sooner or later.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup

from collab.bus.base import Bus
from collab.crowd import each
from collab.errors import QuireError
from collab.ids import Millis, ProjectId
from collab.store.base import Project, PutRecord, Store
from snapshots import schedule
from snapshots.manifest import HOUR, Place
from snapshots.materialiser import Made, Materialiser
from snapshots.retention import Sweeper
from snapshots.schedule import Pace, Pending

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
"""Projects that follow side by side."""
DELETES_AT_ONCE: Final = 8
EVENTS_AT_ONCE: Final = 500

NO_EDITS: Final = frozenset({"snapshot"})
"""Kinds of events that change no file."""

PACE: Final = Pace(quiet=5_000, max_age=30_000, first_wait=2_000, longest_wait=60_000)
SWEEP_EVERY: Final = 6 * HOUR

COLLECTION: Final = "objects"
FOLLOWED: Final = "followed"
GONE: Final = "gone/"
NOBODY: Final = ProjectId("")


class Followed(msgspec.Struct, frozen=True):
    """How far the objects at `where` have followed: to this event of this epoch, which made this snapshot."""

    where: str
    epoch: int
    events: int
    number: int
    swept_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`state`: idle, running or failed; `snapshot`: the number of the newest, 0 before the first, None when this process
    has not yet looked; `next_at`: when it is tried again, or made, at the latest."""

    where: str
    snapshot: int | None
    state: str
    detail: str
    next_at: Millis | None


@dataclass(slots=True)
class _Watched:
    seen: int = 0
    pending: Pending | None = None
    started: bool = False
    failure: str = ""
    followed: Followed | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Follower:
    """`where` names the object store, for people, and tells it from another one; `chance` spreads what is tried again."""

    def __init__(
        self,
        materialiser: Materialiser,
        sweeper: Sweeper,
        store: Store,
        bus: Bus,
        *,
        where: str,
        clock: Callable[[], Millis],
        pace: Pace = PACE,
        sweep_every: int = SWEEP_EVERY,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._materialiser = materialiser
        self._sweeper = sweeper
        self._store = store
        self._bus = bus
        self._where = where
        self._clock = clock
        self._pace = pace
        self._sweep_every = sweep_every
        self._chance = chance
        self._watched: defaultdict[ProjectId, _Watched] = defaultdict(_Watched)
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._news = anyio.Event()
        self._deleted = anyio.Event()
        self._running: anyio.CancelScope | None = None
        self._closing = False

    async def follow(self, project: Project) -> Made:
        """A round now, after the one that runs."""
        watched = self._watched[project.id]
        async with watched.lock:
            # What comes in from here on is the next round's, whatever becomes of this one.
            taken, watched.pending = watched.pending, None
            try:
                made = await self._round(project, watched)
            except BaseException as error:
                watched.pending = schedule.merged(taken, watched.pending)
                if isinstance(error, Exception):
                    self._fail(watched, error.message if isinstance(error, QuireError) else repr(error))
                raise
            watched.failure = ""
            if made.held:
                watched.pending = schedule.merged(taken, watched.pending)
                self._fail(watched, _held(made.held))
        self._wake()
        return made

    def status(self, project: ProjectId) -> Status:
        watched = self._watched[project]
        pending = watched.pending
        return Status(
            where=self._where,
            snapshot=watched.followed.number if watched.followed is not None else None,
            state="running" if watched.lock.locked() else "failed" if watched.failure else "idle",
            detail=f"{watched.failure}. Nothing is lost: it is tried again by itself" if watched.failure else "",
            next_at=None if pending is None else schedule.due_at(pending, self._pace),
        )

    async def forget(self, project: ProjectId) -> None:
        """The project was deleted: its objects go in the background, after a restart too."""
        await self._store.commit(changes=[_record(NOBODY, GONE + project, b"{}")])
        self._deleted.set()

    async def run(self) -> None:
        """Runs until it is cancelled, or until `aclose`."""
        async with self._bus.subscribe_all() as hints, anyio.create_task_group() as tasks:
            self._running = tasks.cancel_scope
            tasks.start_soon(self._delete_gone)
            for project in await self._store.projects():
                await self._take_up(project)
            tasks.start_soon(self._follow_when_due, tasks)
            async for changed in hints:
                await self._hear(changed)
            tasks.cancel_scope.cancel()

    async def aclose(self, deadline: float) -> None:
        """Seconds for whatever is not there yet. What takes longer follows at the next start."""
        self._closing = True
        with anyio.move_on_after(deadline) as scope:
            async with anyio.create_task_group() as tasks:
                for project in await self._behind():
                    tasks.start_soon(self._unattended, project)
                for watched in list(self._watched.values()):
                    tasks.start_soon(_free, watched.lock)
        if scope.cancelled_caught:
            log.warning("stopped before the objects had followed; the next start goes on", deadline=deadline)
        if self._running is not None:
            self._running.cancel()

    # -- one round

    async def _round(self, project: Project, watched: _Watched) -> Made:
        # The events are numbered before the files are looked at: the objects are never behind what is recorded.
        found = await self._store.project_by_id(project.id)
        if found is None:
            return Made("nothing", 0)
        made = await self._materialiser.round(found)
        before = watched.followed or await self._followed(project.id)
        swept_at = before.swept_at if before is not None else self._clock()
        due = self._clock() - swept_at >= self._sweep_every
        if due:
            swept_at = self._clock()
        now = Followed(self._where, self._store.epoch, found.events if not made.held else 0, made.number, swept_at)
        if now != before:
            await self._store.commit(changes=[_record(project.id, FOLLOWED, msgspec.json.encode(now))])
        watched.followed = now
        if due:
            swept = await self._sweeper.sweep(found)
            log.info("old snapshots swept", project=found.name, manifests=swept.manifests, blobs=swept.blobs)
        return made

    async def _followed(self, project: ProjectId) -> Followed | None:
        found = await self._store.record(COLLECTION, project, FOLLOWED)
        return None if found is None else msgspec.json.decode(found, type=Followed)

    # -- by schedule

    async def _take_up(self, project: Project) -> None:
        """What an earlier process had not brought there."""
        watched = self._watched[project.id]
        watched.followed = await self._followed(project.id)
        followed = watched.followed
        if followed is None or (followed.where, followed.epoch) != (self._where, self._store.epoch):
            watched.seen = project.events
            now = self._clock()
            watched.pending = schedule.merged(Pending(now, now), watched.pending)
            return
        watched.seen = min(followed.events, project.events)
        await self._hear(project.id)

    async def _hear(self, project: ProjectId) -> None:
        """Reads the events that are new: a hint says no more than that there may be some."""
        watched = self._watched[project]
        while found := await self._store.events(project, after=watched.seen, limit=EVENTS_AT_ONCE):
            for event in found:
                if event.kind not in NO_EDITS:
                    watched.pending = schedule.edited(watched.pending, event.at)
            watched.seen = found[-1].n
        self._wake()

    async def _follow_when_due(self, tasks: TaskGroup) -> None:
        while not self._closing:
            now = self._clock()
            waiting: list[Millis] = []
            for project, watched in self._watched.items():
                if watched.pending is None or watched.started:
                    continue
                due = schedule.due_at(watched.pending, self._pace)
                if due > now:
                    waiting.append(due)
                    continue
                watched.started = True
                tasks.start_soon(self._scheduled, project, watched)
            await self._wait((min(waiting) - now) / 1000 if waiting else None)

    async def _scheduled(self, project_id: ProjectId, watched: _Watched) -> None:
        try:
            async with self._limiter:
                project = await self._store.project_by_id(project_id)
                if project is None:
                    self._watched.pop(project_id, None)
                elif not self._closing:
                    await self._follow_unattended(project)
        finally:
            watched.started = False
            self._wake()

    async def _unattended(self, project: Project) -> None:
        async with self._limiter:
            await self._follow_unattended(project)

    async def _follow_unattended(self, project: Project) -> None:
        """A round that nobody waits for: its failure is kept for the status."""
        try:
            await self.follow(project)
        except QuireError as error:
            log.warning("the objects could not follow", project=project.name, error=error.message)
        except Exception:
            log.exception("the objects could not follow", project=project.name)

    async def _behind(self) -> list[Project]:
        """Every project that may have edits that are not there, those included whose events nobody has told yet."""
        owed = {row.project for row in await self._store.owed()}
        return [
            project
            for project in await self._store.projects()
            if project.id in owed
            or self._watched[project.id].pending is not None
            or self._watched[project.id].seen < project.events
        ]

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
        async with self._watched[project].lock:
            self._materialiser.forget(project)
            place, objects = Place(project), self._materialiser.objects
            await objects.delete(place.head)
            keys = [key async for key in objects.list(place.root)]
            await each(keys, objects.delete, at_once=DELETES_AT_ONCE)
        self._watched.pop(project, None)
        await self._store.commit(changes=[_record(NOBODY, GONE + project, None)])

    # -- waiting

    def _fail(self, watched: _Watched, why: str) -> None:
        now = self._clock()
        watched.failure = why
        watched.pending = schedule.failed(watched.pending or Pending(now, now), self._pace, now, self._chance())
        self._wake()

    def _wake(self) -> None:
        self._news.set()

    async def _wait(self, seconds: float | None) -> None:
        """For news, or for so long."""
        with anyio.move_on_after(seconds):
            await self._news.wait()
        self._news = anyio.Event()


def _held(held: tuple[str, ...]) -> str:
    more = f" and {len(held) - 3:,} more" if len(held) > 3 else ""
    return f"these files cannot be read and are held back: {', '.join(held[:3])}{more}"


def _record(project: ProjectId, key: str, value: bytes | None) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=key, value=value)


async def _free(lock: anyio.Lock) -> None:
    async with lock:
        return
