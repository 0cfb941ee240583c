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
import pathlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from collab import actors, conflicts
from collab.bus.base import Bus
from collab.conflicts import FileConflict, Policy
from collab.errors import QuireError, Unavailable
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId
from collab.merge import Take
from collab.store.base import Project
from collab.workspace import Workspace
from snapshots import journal
from snapshots.committer import INTERRUPTED, QUIRE, Committer, Step, no_step, what_to_do
from snapshots.holds import Holds
from snapshots.plan import PushRefused
from snapshots.polling import Polling, Watch
from snapshots.puller import Pulled, Puller, Pushed
from snapshots.remotes.base import Author, BranchMoved, CommitSha, GitRemote, Remotes
from snapshots.restoring import Restoring
from snapshots.rounds import Rounds, Watched
from snapshots.schedule import Pace
from snapshots.scope import left_out, within
from snapshots.settling import Settling
from snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)

LOOKS_AT_ONCE: Final = 8
"""Branches that are looked at side by side."""

OURS: Final = frozenset({"snapshot", "pulled", "pushed", "conflict", "policies"})
"""Kinds of events that are no edits."""

NAMED: Final = 10
"""Conflicts that the status names."""

MOVED_AT_MOST: Final = 5
"""Rounds that begin again because somebody pushed between the pull and the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`remote` says where the branch is and how to clone it; `outside`: files that do not belong to what the project is connected
    to, and are not committed; `detail` why the last round failed."""

    remote: dict[str, str]
    head: str | None
    uncommitted: int
    conflicts: int
    outside: int
    state: str
    detail: str
    next_commit_at: Millis | None
    watch: Watch
    budget: None = None


@dataclass(slots=True)
class _Seen:
    """`pulling`: the round that runs is at that; `looking`: somebody looks at the branch; `head`: where it stood then."""

    pulling: bool = False
    looking: bool = False
    head: CommitSha | None = None


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
        scratch: pathlib.Path | None = None,
    ) -> None:
        self.remotes = remotes
        self._workspace = workspace
        self._store = workspace.store
        self._clock = clock
        self.polling = polling or Polling(here=None, elsewhere=None, clock=clock)
        self.holds = Holds(clock)
        self._committer = Committer(workspace, remotes, bus, clock=clock, author=author, step=step)
        self._puller = Puller(workspace, remotes, bus, clock=clock, step=step, scratch=scratch)
        self._rounds = Rounds(
            self._store,
            bus,
            self._automatic,
            clock=clock,
            pace=pace or Pace(),
            ignored=OURS,
            no_failure=(PushRefused, BranchMoved),
            clear_at=self.holds.clear_at,
            chance=chance,
        )
        self._seen: defaultdict[ProjectId, _Seen] = defaultdict(_Seen)
        self._looks = anyio.CapacityLimiter(LOOKS_AT_ONCE)

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
        if self._rounds.closing:
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
        if self._rounds.closing:
            raise Unavailable("the server is stopping")
        async with self._rounds.alone(project.id) as watched:
            with self._rounds.failing(watched):
                await self._committer.recover(project)
                pulled = await self._pull(project, work)
            self._rounds.succeeded(watched)
            watched.failure = pulled.detail
        return pulled

    @property
    def settling(self) -> Settling:
        """Where conflicts are looked at."""
        return self._puller.settling

    @property
    def restoring(self) -> Restoring:
        """What lost a conflict is brought back."""
        return self._puller.restoring

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
        async with self._rounds.alone(project.id):
            return await self.settling.settle(project, conflict, actor=actor, take=take, text=text, made_of=made_of)

    async def snapshots(self, project: Project) -> list[Snapshot]:
        """The newest first."""
        return (await journal.snapshots(self._store, project.id))[::-1]

    async def status(self, project: Project) -> Status:
        remote = await self.remotes.of(project)
        belongs, outside = within(await self._workspace.changed(project), remote.covers)
        uncommitted = len(belongs)
        waiting = await conflicts.still_open(self._store, project.id)
        watched = self._rounds[project.id]
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
            state=_state(watched, self._seen[project.id], failure, len(waiting)),
            detail=failure or _in_conflict(waiting) or left_out(outside),
            outside=len(outside),
            next_commit_at=self._rounds.due_at(project.id) if uncommitted else None,
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
        async with self._rounds.alone(project):
            await self.remotes.remove(project)
        self._rounds.forget(project)
        self._seen.pop(project, None)
        self.polling.forget(project)

    @contextlib.asynccontextmanager
    async def paused(self, project: ProjectId) -> AsyncIterator[None]:
        """No round of this project while inside: an import publishes its files and their bases."""
        async with self._rounds.alone(project):
            yield

    # -- by schedule -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until it is cancelled, or until `aclose`."""
        await self._rounds.run(self._take_up, *([] if self.polling.shortest is None else [self._look_at_branches]))

    async def aclose(self, deadline: float) -> None:
        """Seconds for a last snapshot of whatever is uncommitted. Other rounds that run are waited for."""
        await self._rounds.aclose(deadline)

    async def _take_up(self, project: Project) -> None:
        """What an earlier process left: a round that it did not finish, and edits that it did not commit."""
        async with self._rounds.alone(project.id):
            await self._committer.recover(project)
        changed = await self._workspace.changed(project)
        times = [each.row.updated_at if each.row is not None else self._clock() for each in changed]
        if times:
            self._rounds.edited(project.id, min(times), max(times))

    async def _look_at_branches(self) -> None:
        """Pulls what somebody pushed. A branch that does not answer holds up no other."""
        assert self.polling.shortest is not None  # else nobody looks
        async with anyio.create_task_group() as tasks:
            while not self._rounds.closing:
                await anyio.sleep(self.polling.shortest / 1000)
                for project in await self._store.projects():
                    seen = self._seen[project.id]
                    free = not seen.looking and not self._rounds[project.id].lock.locked()
                    if free and self.polling.due(project.id):
                        seen.looking = True
                        tasks.start_soon(self._look_at_branch, project, seen)

    async def _look_at_branch(self, project: Project, seen: _Seen) -> None:
        watched = self._rounds[project.id]
        elsewhere = news = False
        try:
            async with self._looks:
                with self._rounds.failing(watched):
                    remote = await self.remotes.of(project)
                    elsewhere = remote.hosted is not None
                    head = await remote.head()
                known = journal.known(await journal.branch(self._store, project.id))
                moved = head not in (seen.head, known)
                news = moved and not watched.lock.locked()
                seen.head = head
                if moved and not self._rounds.closing:
                    await self.pull(project)
        except QuireError as error:
            # It is in the status, and the schedule tries again.
            log.info("a branch could not be looked at", project=project.name, why=error.message)
        except Exception:
            log.exception("a branch could not be pulled", project=project.name)
        finally:
            seen.looking = False
            self.polling.looked(project.id, elsewhere=elsewhere, news=news)

    async def _automatic(self, project: Project) -> Snapshot:
        return await self._round(project, None, None, actors.QUIRE.id)

    async def _round(
        self, project: Project, message: str | None, paths: Sequence[Path] | None, actor: ActorId
    ) -> Snapshot:
        async with self._rounds.round(project.id) as watched:
            made = await self._pull_and_commit(project, message, paths, actor)
            self._rounds.succeeded(watched)
            if made.state == "failed" or paths is not None:
                self._rounds.unfinished(watched)
            if made.state == "failed":
                self._rounds.fail(watched, made.detail)
        return made

    async def _pull_and_commit(
        self, project: Project, message: str | None, paths: Sequence[Path] | None, actor: ActorId
    ) -> Snapshot:
        """Again when somebody pushed in between."""
        remote = await self.remotes.of(project)
        for _ in range(MOVED_AT_MOST):
            await self._committer.recover(project)
            await self._pull(project, lambda: self._puller.pull(project))
            made = await self._committer.round(project, given=message, chosen=paths, actor=actor)
            head = await remote.head()
            if made.state != "failed" or head is None:
                break
            if head == journal.known(await journal.branch(self._store, project.id)):
                break
        return made

    async def _pull(self, project: Project, work: Callable[[], Awaitable[Pulled]]) -> Pulled:
        seen = self._seen[project.id]
        seen.pulling = True
        try:
            return await work()
        finally:
            seen.pulling = False


def _state(watched: Watched, seen: _Seen, failure: str, waiting: int) -> str:
    if watched.lock.locked():
        return "pulling" if seen.pulling else "committing"
    return "failed" if failure else "conflicts" if waiting else "idle"


def _in_conflict(waiting: Sequence[FileConflict]) -> str:
    if not waiting:
        return ""
    names = ", ".join(each.path for each in waiting[:NAMED])
    more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
    return f"In conflict with what was pushed, and held back from commits until it is resolved: {names}{more}"
