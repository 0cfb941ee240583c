"""The loop behind everything that follows what people write: a project that is due gets a round.

What it promises
1. Never two rounds of one project at once: whoever wants a project for himself holds its lock (`round`, `alone`).
2. What a round took up and could not finish is due again, together with what came in meanwhile.
3. A failure is kept in words and tried again, later each time. Where a remote has said when it will listen again, it is
   asked then, and that is no failure.
4. A project that somebody has for himself for long (a push, an import) holds up no other.
5. Hints say no more than that there may be events. What cannot be read counts as an edit: a round looks.
6. A clock that goes backwards makes nobody wait longer than he would have.
7. An idle system costs nothing: the loop waits for the bus, or for the next due time.
8. `aclose` begins nothing new by schedule, gives every project that may have news a last round, and returns at its
   deadline. What is not finished then is found at the next start, by `take_up`.
"""

from __future__ import annotations

import contextlib
import errno
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskGroup

from collab.bus.base import Bus
from collab.errors import LogFailed, QuireError
from collab.ids import Millis, ProjectId
from collab.store.base import Project, Store
from snapshots import schedule
from snapshots.remotes.refusals import RemotePaused
from snapshots.schedule import Pace, Pending

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
"""Projects that have a round side by side, by schedule."""

EVENTS_AT_ONCE: Final = 500

AT_LEAST: Final = 1_000
"""Milliseconds of a pause: another clock may have said when it ends."""

KEPT: Final = "Everything that was shown as saved is kept."

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True)
class Watched:
    """What is known of one project. `seen` is the newest event that was read; `pending` what no round has taken up yet,
    `taken` what the round that runs has; `again_at`: a round is wanted then, whatever is typed; `started`: the schedule
    runs one; `failure`: why the last one failed; `pause`: why it could not even begin."""

    seen: int = 0
    pending: Pending | None = None
    taken: Pending | None = None
    again_at: Millis | None = None
    started: bool = False
    failure: str = ""
    pause: str = ""
    lock: anyio.Lock = field(default_factory=anyio.Lock)


Work = Callable[[Project], Awaitable[object]]


def at_any_time(project: ProjectId) -> Millis:
    """Nothing holds a project back but its own schedule."""
    return Millis(0)


def unheard(project: ProjectId) -> None:
    """Nobody counts the rounds that begin."""


def told(error: BaseException) -> str:
    """For people."""
    if isinstance(error, LogFailed):
        said = error.message[:1].upper() + error.message[1:].rstrip(".")
        return f"{said}. {KEPT} Is the disk full, or broken? It is tried again by itself."
    if isinstance(error, QuireError):
        return error.message
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"The disk is full: make room on it. {KEPT} It is tried again by itself."
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"The disk says: {error.strerror or error}{place}. It is tried again by itself."
    return (
        f"Something went wrong here that should not ({type(error).__name__}): the server's log says more. Every edit is kept, and "
        "it is tried again by itself."
    )


class Rounds:
    """`work` is one round of a project, by schedule: it goes through `round`, and raises what went wrong. `clear_at` says
    when the world would let it begin, `begun` hears that it does; `ignored` are the kinds of events that are no edits, `no_failure` errors that are somebody else's alone; `chance` spreads what is tried
    again."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        work: Work,
        *,
        clock: Callable[[], Millis],
        pace: Pace,
        ignored: frozenset[str],
        no_failure: tuple[type[Exception], ...] = (),
        clear_at: Callable[[ProjectId], Millis] = at_any_time,
        begun: Callable[[ProjectId], None] = unheard,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._bus = bus
        self._work = work
        self._clock = clock
        self._pace = pace
        self._ignored = ignored
        self._no_failure = no_failure
        self._clear_at = clear_at
        self._begun = begun
        self._chance = chance
        self._watched: defaultdict[ProjectId, Watched] = defaultdict(Watched)
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._news = anyio.Event()
        self._running: anyio.CancelScope | None = None
        self.closing = False

    def __getitem__(self, project: ProjectId) -> Watched:
        return self._watched[project]

    # -- one project -------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def alone(self, project: ProjectId) -> AsyncIterator[Watched]:
        """After the round that runs, and before any other."""
        watched = self._watched[project]
        try:
            async with watched.lock:
                yield watched
        finally:
            self._wake()

    @contextlib.asynccontextmanager
    async def round(self, project: ProjectId) -> AsyncIterator[Watched]:
        """Takes up what is pending. What comes in from here on is the next round's, whatever becomes of this one."""
        async with self.alone(project) as watched:
            watched.taken, watched.pending = watched.pending, None
            watched.again_at = None
            try:
                yield watched
            except BaseException as error:
                self.unfinished(watched)
                if isinstance(error, Exception):
                    self._trouble(watched, error)
                raise
            finally:
                watched.taken = None

    def unfinished(self, watched: Watched) -> None:
        """What the round that runs had taken up is pending again."""
        watched.pending, watched.taken = schedule.merged(watched.taken, watched.pending), None

    @contextlib.contextmanager
    def failing(self, watched: Watched) -> Iterator[None]:
        """Trouble is kept for the status, and a round will see whether it is over."""
        try:
            yield
        except Exception as error:
            self._trouble(watched, error)
            raise

    def fail(self, watched: Watched, why: str) -> None:
        now = self._clock()
        watched.failure, watched.pause = why, ""
        watched.pending = schedule.failed(watched.pending or Pending(now, now), self._pace, now, self._chance())
        self._wake()

    def pause(self, watched: Watched, pause: RemotePaused) -> None:
        """It goes on when the remote listens again: no failure, and no longer wait the next time."""
        now = self._clock()
        watched.pause = pause.message
        until = Millis(max(pause.until, now + AT_LEAST))
        watched.pending = schedule.paused(watched.pending or Pending(now, now), until)
        self._wake()

    def succeeded(self, watched: Watched) -> None:
        watched.failure = watched.pause = ""

    def again(self, watched: Watched, at: Millis) -> None:
        """A round is wanted then, whatever is typed."""
        watched.again_at = at if watched.again_at is None else min(at, watched.again_at)
        self._wake()

    def edited(self, project: ProjectId, first: Millis, last: Millis) -> None:
        """There is something to be taken up, since `first`."""
        watched = self._watched[project]
        watched.pending = schedule.merged(Pending(first, last), watched.pending)
        self._wake()

    def due_at(self, project: ProjectId) -> Millis | None:
        """When its next round begins; None: nothing waits for one."""
        due = self._due_at(self._watched[project], self._clock())
        return None if due is None else Millis(max(due, self._clear_at(project)))

    def forget(self, project: ProjectId) -> None:
        self._watched.pop(project, None)

    # -- all of them -------------------------------------------------------------------------------------------------

    async def run(
        self,
        take_up: Callable[[Project], Awaitable[None]],
        *beside: Callable[[], Coroutine[Any, Any, None]],
        by_schedule: bool = True,
    ) -> None:
        """Runs until it is cancelled, or until `aclose`, together with what is to run `beside`. `take_up` is asked for each
        project first: what did an earlier process leave? Not `by_schedule`: somebody else calls `tick`."""
        async with self._bus.subscribe_all() as hints, anyio.create_task_group() as tasks:
            self._running = tasks.cancel_scope
            for each in beside:
                tasks.start_soon(each)
            for project in await self._store.projects():
                await self._taken_up(project, take_up)
            if by_schedule:
                tasks.start_soon(self._when_due, tasks)
            async for project_id in hints:
                await self.hear(project_id)
            tasks.cancel_scope.cancel()

    async def tick(self) -> list[ProjectId]:
        """Everything that is due now has its round: for whoever keeps the time himself. Which projects had one."""
        async with anyio.create_task_group() as tasks:
            begun, _ = self._begin_due(tasks)
        return begun

    async def until_due(self, seconds: float) -> None:
        """Returns when something is due, or after so long."""
        with anyio.move_on_after(seconds):
            while not self.closing:
                due = self.next_at()
                wait = None if due is None else (due - self._clock()) / 1000
                if wait is not None and wait <= 0:
                    return
                with anyio.move_on_after(wait):
                    await self._news.wait()
                self._news = anyio.Event()

    def next_at(self) -> Millis | None:
        """When the next project is due; whose round runs, or whom somebody has for himself, does not count."""
        free = [each for each, watched in self._watched.items() if not watched.started and not watched.lock.locked()]
        return min((due for project in free if (due := self.due_at(project)) is not None), default=None)

    async def hear(self, project: ProjectId) -> None:
        """Reads the events that are new."""
        watched = self._watched[project]
        try:
            await self._read(project, watched)
        except QuireError as error:
            log.warning("events could not be read; a round will look", project=project, error=error.message)
            watched.pending = schedule.edited(watched.pending, self._clock())
        self._wake()

    async def aclose(self, deadline: float) -> None:
        """Seconds for a last round of every project that may have news. Other rounds that run are waited for."""
        self.closing = True
        with anyio.move_on_after(deadline) as scope:
            async with anyio.create_task_group() as tasks:
                for project in await self._behind():
                    tasks.start_soon(self._unattended, project)
                for watched in list(self._watched.values()):
                    tasks.start_soon(_free, watched.lock)
        if scope.cancelled_caught:
            log.warning("stopped before everything was followed; the next start goes on", deadline=deadline)
        if self._running is not None:
            self._running.cancel()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _trouble(self, watched: Watched, error: Exception) -> None:
        if isinstance(error, RemotePaused):
            self.pause(watched, error)
        elif not isinstance(error, self._no_failure):
            self.fail(watched, told(error))

    async def _taken_up(self, project: Project, take_up: Callable[[Project], Awaitable[None]]) -> None:
        watched = self._watched[project.id]
        watched.seen = project.events
        try:
            await take_up(project)
        except Exception as error:
            log.exception("a project could not be taken up", project=project.name)
            self.fail(watched, told(error))

    async def _read(self, project: ProjectId, watched: Watched) -> None:
        while found := await self._store.events(project, after=watched.seen, limit=EVENTS_AT_ONCE):
            now = self._clock()
            for event in found:
                if event.kind not in self._ignored:
                    # Times in the log never decrease: after a clock went backwards they are ahead of it.
                    watched.pending = schedule.edited(watched.pending, min(event.at, now))
            watched.seen = found[-1].n

    def _due_at(self, watched: Watched, now: Millis) -> Millis | None:
        if watched.pending is not None:
            watched.pending = schedule.as_of(watched.pending, now)
            due = schedule.due_at(watched.pending, self._pace)
            return due if watched.again_at is None else min(due, watched.again_at)
        return watched.again_at

    async def _when_due(self, tasks: TaskGroup) -> None:
        while not self.closing:
            _, wait = self._begin_due(tasks)
            with anyio.move_on_after(None if wait is None else wait / 1000):
                await self._news.wait()
            self._news = anyio.Event()

    def _begin_due(self, tasks: TaskGroup) -> tuple[list[ProjectId], int | None]:
        """Starts what is due; the milliseconds until something else is."""
        now = self._clock()
        begun: list[ProjectId] = []
        waits: list[int] = []
        for project, watched in list(self._watched.items()):
            due = self._due_at(watched, now)
            if due is None or watched.started or watched.lock.locked():
                continue  # who holds the lock wakes us
            if due <= now:
                due = max(due, self._clear_at(project))
            if due > now:
                waits.append(due - now)
                continue
            watched.started = True
            self._begun(project)
            begun.append(project)
            tasks.start_soon(self._scheduled, project, watched)
        return begun, min(waits, default=None)

    async def _scheduled(self, project_id: ProjectId, watched: Watched) -> None:
        try:
            if not self.closing:
                await self._unattended(project_id)
        finally:
            watched.started = False
            self._wake()

    async def _unattended(self, project_id: ProjectId) -> None:
        """A round that nobody waits for: its failure is kept for the status."""
        async with self._limiter:
            try:
                project = await self._store.project_by_id(project_id)
                if project is None:
                    self.forget(project_id)
                else:
                    await self._work(project)
            except RemotePaused as pause:
                log.info("a round waits", project=project_id, why=pause.message, until=pause.until)
            except QuireError as error:
                log.warning("a round failed", project=project_id, error=error.message, code=error.name)
            except Exception:
                log.exception("a round failed", project=project_id)

    async def _behind(self) -> list[ProjectId]:
        """Every project that may have news, those included whose events nobody has told yet."""
        owed = {row.project for row in await self._store.owed()}
        return [
            project.id
            for project in await self._store.projects()
            if project.id in owed
            or self._watched[project.id].pending is not None
            or self._watched[project.id].seen < project.events
        ]

    def _wake(self) -> None:
        self._news.set()


async def _free(lock: anyio.Lock) -> None:
    async with lock:
        return
