"""The loop that turns edits into commits, and brings what others pushed: by schedule, on demand, and once more at shutdown.

What it promises
1. Never two rounds of one project at once: a request waits for the one that runs.
2. An edit is committed when its project is quiet, or at the latest when it is old (snapshots.schedule); what a crash left
   uncommitted is found at the start.
3. A failure is kept for `status`, in plain words, and tried again, later each time.
4. Every round pulls what others pushed before it commits, so that the commit is a fast-forward. Branches are
   looked at now and then (snapshots.polling); apart from that an idle system costs nothing: the loop waits for the bus, or
   for the next due time.
5. `aclose` takes nothing new, commits what is uncommitted within its deadline, and returns. What it does not finish in
   time is found at the next start.
"""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from collab import actors, conflicts
from collab.bus.base import Bus
from collab.conflicts import FileConflict
from collab.errors import QuireError, Unavailable
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId
from collab.merge import Take
from collab.store.base import Project
from collab.workspace import Workspace
from snapshots import journal, schedule
from snapshots.committer import INTERRUPTED, QUIRE, Committer, Step, no_step, what_to_do
from snapshots.plan import PushRefused
from snapshots.policies import Policy
from snapshots.polling import Polling, Watch
from snapshots.puller import Pulled, Puller, Pushed
from snapshots.remotes.base import Author, BranchMoved, CommitSha, GitRemote, Remotes
from snapshots.schedule import Pace, Pending
from snapshots.settling import Settling
from snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
"""Projects that are committed side by side by the schedule."""

LOOKS_AT_ONCE: Final = 8
"""Branches that are looked at side by side."""

EVENTS_AT_ONCE: Final = 500

OURS: Final = frozenset({"snapshot", "pulled", "conflict"})
"""Kinds of events that are no edits."""

NAMED: Final = 10
"""Conflicts that the status names."""

MOVED_AT_MOST: Final = 5
"""Rounds that begin again because somebody pushed between the pull and the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`remote` says where the branch is and how to clone it; `detail` why the last round failed."""

    remote: dict[str, str]
    head: str | None
    uncommitted: int
    conflicts: int
    state: str
    detail: str
    next_commit_at: Millis | None
    watch: Watch
    budget: None = None


@dataclass(slots=True)
class _Watched:
    """What is known of one project. `seen` is the newest event that was read; `started`: the schedule runs a round."""

    seen: int = 0
    pending: Pending | None = None
    started: bool = False
    pulling: bool = False
    looking: bool = False
    head: CommitSha | None = None
    """Of the branch, when it was looked at last."""
    failure: str = ""
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Snapshotter:
    """`step` is handed to the committer; `chance` spreads what is tried again."""

    def __init__(
        self,
        workspace: Workspace,
        remotes: Remotes,
        bus: Bus,
        *,
        clock: Callable[[], Millis],
        pace: Pace | None = None,
        author: Author = QUIRE,
        step: Step = no_step,
        chance: Callable[[], float] = random.random,
        polling: Polling | None = None,
    ) -> None:
        self.remotes = remotes
        self._workspace = workspace
        self._store = workspace.store
        self._bus = bus
        self._clock = clock
        self._pace = pace or Pace()
        self._chance = chance
        self.polling = polling or Polling(here=None, elsewhere=None, clock=clock)
        self._committer = Committer(workspace, remotes, bus, clock=clock, author=author, step=step)
        self._puller = Puller(workspace, remotes, bus, clock=clock, step=step)
        self._watched: defaultdict[ProjectId, _Watched] = defaultdict(_Watched)
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._looks = anyio.CapacityLimiter(LOOKS_AT_ONCE)
        self._news = anyio.Event()
        self._running: anyio.CancelScope | None = None
        self._closing = False

    # -- on demand ---------------------------------------------------------------------------------------------------

    async def snapshot(
        self,
        project: Project,
        *,
        message: str | None = None,
        paths: Sequence[Path] | None = None,
        actor: ActorId = actors.QUIRE.id,
    ) -> Snapshot:
        """A round now, after the one that runs. What cannot be committed is a snapshot in state `failed`; trouble on the
        way is raised, and the schedule tries again."""
        if self._closing:
            raise Unavailable("the server is stopping; it commits what is there before it ends")
        return await self._round(project, message, paths, actor)

    async def pull(self, project: Project, *, policy: Policy | None = None) -> Pulled:
        """What others pushed, now, after the round that runs. `policy` is for every conflict; without it the project's
        rules say. A branch that is gone is `failed`; trouble on the way is raised."""
        return await self._pulling(project, lambda: self._puller.pull(project, policy=policy))

    async def accept(self, project: Project, pushed: Pushed) -> Pulled:
        """A push that is under way, after the round that runs: merged, or `PushRefused` (snapshots.puller)."""
        return await self._pulling(project, lambda: self._puller.accept(project, pushed))

    async def _pulling(self, project: Project, work: Callable[[], Awaitable[Pulled]]) -> Pulled:
        if self._closing:
            raise Unavailable("the server is stopping")
        watched = self._watched[project.id]
        async with watched.lock:
            with self._failing(watched):
                await self._committer.recover(project)
                pulled = await self._pull(watched, work)
            watched.failure = pulled.detail
        self._wake()
        return pulled

    @property
    def settling(self) -> Settling:
        """Where conflicts are looked at."""
        return self._puller.settling

    async def settle(
        self,
        project: Project,
        conflict: str,
        *,
        actor: ActorId,
        take: Take | None = None,
        text: bytes | None = None,
        made_of: BlobSha | None = None,
    ) -> FileConflict:
        """Decides a conflict, after the round that runs: none is committed half decided."""
        async with self._watched[project.id].lock:
            return await self.settling.settle(project, conflict, actor=actor, take=take, text=text, made_of=made_of)

    async def snapshots(self, project: Project) -> list[Snapshot]:
        """The newest first."""
        return (await journal.snapshots(self._store, project.id))[::-1]

    async def status(self, project: Project) -> Status:
        remote = await self.remotes.of(project)
        uncommitted = len(await self._workspace.changed(project))
        waiting = await conflicts.still_open(self._store, project.id)
        watched = self._watched[project.id]
        pending = watched.pending if uncommitted else None
        head = await remote.head()
        failure = watched.failure
        if uncommitted and not failure and not watched.lock.locked():
            failure = await self._failed_before(project, remote, head)
        return Status(
            remote={
                "kind": "git",
                "path": remote.clone_command().removeprefix("git clone "),
                "branch": remote.branch,
                "clone": remote.clone_command(),
            },
            head=head,
            uncommitted=uncommitted,
            conflicts=len(waiting),
            state=_state(watched, failure, len(waiting)),
            detail=failure or _in_conflict(waiting),
            next_commit_at=None if pending is None else schedule.due_at(pending, self._pace),
            watch=self.polling.watch(project.id),
        )

    async def _failed_before(self, project: Project, remote: GitRemote, head: CommitSha | None) -> str:
        """Why the newest round failed, if an earlier process ran it. What was only interrupted goes out later."""
        branch = await journal.branch(self._store, project.id)
        if branch is None:
            return ""
        newest = await journal.snapshot(self._store, project.id, branch.number)
        if newest is not None and newest.state == "failed" and newest.detail != INTERRUPTED:
            return newest.detail
        gone = head is None and branch.commit is not None and (newest is None or newest.state != "running")
        return what_to_do(BranchMoved(remote.branch, journal.known(branch), head), remote) if gone else ""

    async def forget(self, project: ProjectId) -> None:
        """The project was deleted: its repository goes too, after the round that runs."""
        async with self._watched[project].lock:
            await self.remotes.remove(project)
        del self._watched[project]
        self.polling.forget(project)

    @contextlib.asynccontextmanager
    async def paused(self, project: ProjectId) -> AsyncIterator[None]:
        """No round of this project while inside: an import publishes its files and their bases."""
        async with self._watched[project].lock:
            yield

    # -- by schedule -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until it is cancelled, or until `aclose`."""
        async with self._bus.subscribe_all() as hints, anyio.create_task_group() as tasks:
            self._running = tasks.cancel_scope
            for project in await self._store.projects():
                await self._take_up(project)
            tasks.start_soon(self._commit_when_due, tasks)
            if self.polling.shortest is not None:
                tasks.start_soon(self._look_at_branches, tasks, self.polling.shortest / 1000)
            async for changed in hints:
                await self._hear(changed)
            tasks.cancel_scope.cancel()

    async def aclose(self, deadline: float) -> None:
        """Seconds for a last snapshot of whatever is uncommitted. Other rounds that run are waited for."""
        self._closing = True
        with anyio.move_on_after(deadline) as scope:
            async with anyio.create_task_group() as tasks:
                for project in await self._uncommitted():
                    tasks.start_soon(self._last_round, project)
                for watched in list(self._watched.values()):
                    tasks.start_soon(_free, watched.lock)
        if scope.cancelled_caught:
            log.warning("stopped before everything was committed; the next start goes on", deadline=deadline)
        if self._running is not None:
            self._running.cancel()

    async def _take_up(self, project: Project) -> None:
        """What an earlier process left: a round that it did not finish, and edits that it did not commit."""
        watched = self._watched[project.id]
        watched.seen = project.events
        try:
            async with watched.lock:
                await self._committer.recover(project)
            changed = await self._workspace.changed(project)
        except Exception as error:
            log.exception("a project could not be taken up", project=project.name)
            self._fail(watched, repr(error))
            return
        times = [each.row.updated_at if each.row is not None else self._clock() for each in changed]
        if times:
            watched.pending = schedule.merged(Pending(min(times), max(times)), watched.pending)

    async def _hear(self, project: ProjectId) -> None:
        """Reads the events that are new: a hint says no more than that there may be some."""
        watched = self._watched[project]
        while found := await self._store.events(project, after=watched.seen, limit=EVENTS_AT_ONCE):
            for event in found:
                if event.kind not in OURS:
                    watched.pending = schedule.edited(watched.pending, event.at)
            watched.seen = found[-1].n
        self._wake()

    async def _look_at_branches(self, tasks: TaskGroup, every: float) -> None:
        """Pulls what somebody pushed. A branch that does not answer holds up no other."""
        while not self._closing:
            await anyio.sleep(every)
            for project in await self._store.projects():
                watched = self._watched[project.id]
                if not watched.looking and not watched.lock.locked() and self.polling.due(project.id):
                    watched.looking = True
                    tasks.start_soon(self._look_at_branch, project, watched)

    async def _look_at_branch(self, project: Project, watched: _Watched) -> None:
        elsewhere = news = False
        try:
            async with self._looks:
                with self._failing(watched):
                    remote = await self.remotes.of(project)
                    elsewhere = remote.hosted is not None
                    head = await remote.head()
                known = journal.known(await journal.branch(self._store, project.id))
                moved = head not in (watched.head, known)
                news = moved and not watched.lock.locked()
                watched.head = head
                if moved and not self._closing:
                    await self.pull(project)
        except QuireError as error:
            # It is in the status, and the schedule tries again.
            log.info("a branch could not be looked at", project=project.name, why=error.message)
        except Exception:
            log.exception("a branch could not be pulled", project=project.name)
        finally:
            watched.looking = False
            self.polling.looked(project.id, elsewhere=elsewhere, news=news)

    async def _commit_when_due(self, tasks: TaskGroup) -> None:
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
                    await self._unattended(project)
        finally:
            watched.started = False
            self._wake()

    async def _last_round(self, project: Project) -> None:
        async with self._limiter:
            await self._unattended(project)

    async def _unattended(self, project: Project) -> None:
        """A round that nobody waits for: its failure is kept for the status."""
        try:
            await self._round(project, None, None, actors.QUIRE.id)
        except Exception:
            log.exception("a snapshot failed", project=project.name)

    async def _uncommitted(self) -> list[Project]:
        """Every project that may have edits, those included whose events nobody has told yet."""
        owed = {row.project for row in await self._store.owed()}
        return [
            project
            for project in await self._store.projects()
            if project.id in owed
            or self._watched[project.id].pending is not None
            or self._watched[project.id].seen < project.events
        ]

    async def _round(
        self, project: Project, message: str | None, paths: Sequence[Path] | None, actor: ActorId
    ) -> Snapshot:
        watched = self._watched[project.id]
        async with watched.lock:
            # What comes in from here on is the next round's, whatever becomes of this one.
            taken, watched.pending = watched.pending, None
            try:
                with self._failing(watched):
                    made = await self._pull_and_commit(project, watched, message, paths, actor)
            except BaseException:
                watched.pending = schedule.merged(taken, watched.pending)
                raise
            if made.state == "failed" or paths is not None:
                watched.pending = schedule.merged(taken, watched.pending)
            watched.failure = ""
            if made.state == "failed":
                self._fail(watched, made.detail)
        self._wake()
        return made

    async def _pull_and_commit(
        self, project: Project, watched: _Watched, message: str | None, paths: Sequence[Path] | None, actor: ActorId
    ) -> Snapshot:
        """Again when somebody pushed in between."""
        remote = await self.remotes.of(project)
        for _ in range(MOVED_AT_MOST):
            await self._committer.recover(project)
            await self._pull(watched, lambda: self._puller.pull(project))
            made = await self._committer.round(project, given=message, chosen=paths, actor=actor)
            head = await remote.head()
            if made.state != "failed" or head is None:
                break
            if head == journal.known(await journal.branch(self._store, project.id)):
                break
        return made

    async def _pull(self, watched: _Watched, work: Callable[[], Awaitable[Pulled]]) -> Pulled:
        watched.pulling = True
        try:
            return await work()
        finally:
            watched.pulling = False

    @contextlib.contextmanager
    def _failing(self, watched: _Watched) -> Iterator[None]:
        """Trouble is kept for the status."""
        try:
            yield
        except PushRefused:
            raise  # whoever pushes is told, and nothing failed
        except Exception as error:
            self._fail(watched, error.message if isinstance(error, QuireError) else repr(error))
            raise

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


def _state(watched: _Watched, failure: str, waiting: int) -> str:
    if watched.lock.locked():
        return "pulling" if watched.pulling else "committing"
    return "failed" if failure else "conflicts" if waiting else "idle"


def _in_conflict(waiting: Sequence[FileConflict]) -> str:
    if not waiting:
        return ""
    names = ", ".join(each.path for each in waiting[:NAMED])
    more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
    return f"In conflict with what was pushed, and held back from commits until it is resolved: {names}{more}"


async def _free(lock: anyio.Lock) -> None:
    async with lock:
        return
