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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import anyio
import structlog
from anyio.abc import TaskGroup

from collab import actors, conflicts
from collab.bus.base import Bus
from collab.conflicts import FileConflict, Policy
from collab.errors import QuireError, Unavailable
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId
from collab.merge import Take
from collab.store.base import Project
from collab.workspace import Workspace
from snapshots import journal, refused, scope, telling
from snapshots.authorship import QUIRE
from snapshots.budget import Left
from snapshots.committer import (
    INTERRUPTED,
    BranchTaken,
    Committer,
    Step,
    Wish,
    WishInvalid,
    no_step,
    what_to_do,
)
from snapshots.holds import Holds
from snapshots.observer import Observer
from snapshots.offers import Offer
from snapshots.plan import PushRefused
from snapshots.polling import Polling, Watch
from snapshots.puller import Pulled, Puller, Pushed
from snapshots.refused import Refused
from snapshots.remotes.base import Author, BranchMoved, CommitSha, GitRemote, Hosted, Remotes
from snapshots.restoring import Restoring
from snapshots.rounds import Rounds, told
from snapshots.schedule import Pace
from snapshots.settling import Settling
from snapshots.snapshot import Snapshot
from snapshots.standing import standing
from snapshots.telling import Waiting

log = structlog.get_logger(__name__)

LOOKS_AT_ONCE: Final = 8
"""Branches that are looked at side by side."""

OURS: Final = frozenset({"snapshot", "pulled", "pushed", "conflict", "policies"})
"""Kinds of events that are no edits."""

REVIEWED_AFTER: Final = 2.0
"""Seconds from an edit to a look at whether it ended a conflict."""

UNHEARD: Final = 300_000
"""Milliseconds without a sign of whoever keeps the schedule, after which the status says so."""

MOVED_AT_MOST: Final = 5
"""Rounds that begin again because somebody pushed between the pull and the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`remote` says where the branch is and how to clone it, None when that cannot be said now; `uncommitted` is what no
    branch holds; `detail` says what is wrong, what waits for whom, and what to do."""

    remote: Mapping[str, object] | None
    head: str | None
    uncommitted: int
    conflicts: int
    state: str
    detail: str
    next_commit_at: Millis | None
    watch: Watch
    outside: int = 0
    """Files that do not belong to what the project is connected to, and are not committed."""
    pull_requests: Sequence[Waiting] = ()
    refused: Sequence[Refused] = ()
    left: Left | None = None
    spacing: int = 0
    """Milliseconds between two automatic commits, over all projects with this credential."""


Doing = Literal["", "pulling", "committing"]


@dataclass(slots=True)
class _Seen:
    """`doing`: what the round that runs is at; `looking`: somebody looks at the branch; `head`: where it stood then;
    `described` and `hosted` as the remote last said."""

    doing: Doing = ""
    looking: bool = False
    head: CommitSha | None = None
    described: Mapping[str, object] | None = None
    hosted: Hosted | None = None


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
        by_schedule: bool = True,
        scratch: pathlib.Path | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.remotes = remotes
        self._workspace = workspace
        self._store = workspace.store
        self._bus = bus
        self._clock = clock
        self.by_schedule = by_schedule
        self.polling = polling or Polling(here=None, elsewhere=None, clock=clock)
        self.holds = Holds(clock)
        self._committer = Committer(workspace, remotes, bus, clock=clock, author=author, step=step)
        self._puller = Puller(workspace, remotes, bus, clock=clock, step=step, scratch=scratch, observer=observer)
        self._rounds = Rounds(
            self._store,
            bus,
            self._automatic,
            clock=clock,
            pace=pace or Pace(),
            ignored=OURS,
            no_failure=(PushRefused, BranchMoved, BranchTaken, WishInvalid),
            clear_at=self._clear_at,
            begun=self._begun,
            chance=chance,
        )
        self._seen: defaultdict[ProjectId, _Seen] = defaultdict(_Seen)
        self._looks = anyio.CapacityLimiter(LOOKS_AT_ONCE)
        self._ticked: Millis | None = None
        """When somebody who keeps the time was heard of last."""
        self._last: dict[int, Millis] = {}
        """When the newest automatic commit began, by account."""

    # -- on demand ---------------------------------------------------------------------------------------------------

    async def snapshot(
        self,
        project: Project,
        *,
        message: str | None = None,
        paths: Sequence[Path] | None = None,
        branch: str | None = None,
        pull_request: bool = False,
        actor: ActorId = actors.QUIRE.id,
    ) -> Snapshot:
        """A round now, after the one that runs. What cannot be committed is a snapshot in state `failed`; trouble on the
        way is raised, and the schedule tries again. `branch`: another one than the project's own, which is begun where it
        is not there; its own by name: past any pull request, and begun again where it is gone. A `pull_request` holds its
        files back from other commits until it is merged."""
        if self._rounds.closing:
            raise Unavailable("the server is stopping; it commits what is there before it ends")
        wish = Wish(given=message, chosen=paths, branch=branch, pull_request=pull_request, actor=actor, by_hand=True)
        return await self._round(project, wish)

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
                await self._remote(project)
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
        """Asks nobody elsewhere: what a host said last counts."""
        watched, seen = self._rounds[project.id], self._seen[project.id]
        try:
            remote = await self._remote(project)
        except (QuireError, OSError) as error:
            return await self._without_remote(project, told(error))
        stand = await standing(self._workspace, remote, project)
        uncommitted = stand.uncommitted()
        head, failure = journal.known(stand.branch), watched.failure
        if remote.hosted is None:
            try:
                head = await remote.head()
            except (QuireError, OSError) as error:
                failure = failure or told(error)
        if stand.changed and not failure and not watched.lock.locked():
            failure = await self._failed_before(project, remote, head)
        held_back, waiting = stand.held_back(), stand.waiting()
        due = self._rounds.due_at(project.id) if stand.changed else None
        left = remote.hosted.left() if remote.hosted is not None else None
        if not failure and remote.hosted is not None:
            failure = remote.hosted.obstacle()
        if not failure and uncommitted:
            failure = self._unkept()
        return Status(
            remote=remote.described(),
            head=head,
            uncommitted=len(uncommitted),
            conflicts=len(stand.conflicts),
            state=telling.state(
                running=(seen.doing or "running") if watched.lock.locked() else None,
                failed=bool(failure),
                conflicts=len(stand.conflicts),
                refused=len(held_back),
            ),
            detail=telling.detail(
                failure=failure,
                conflicts=[each.path for each in stand.conflicts],
                refused=[(each.path, each.detail) for each in held_back],
                pause=telling.pause(watched.pause, left),
                waiting=waiting,
                outside=scope.left_out(stand.outside),
            ),
            outside=len(stand.outside),
            next_commit_at=due,
            watch=self.polling.watch(project.id),
            pull_requests=waiting,
            refused=held_back,
            left=left,
            spacing=remote.hosted.spacing() if remote.hosted is not None else 0,
        )

    async def held(self, project: Project) -> Mapping[Path, Refused | Offer | None]:
        """Of what the own branch does not hold: what is refused as it stands, what is on another branch, and what does not
        belong there (None). Nothing, when the remote cannot even be named."""
        try:
            remote = await self._remote(project)
        except (QuireError, OSError):
            return {}
        stand = await standing(self._workspace, remote, project)
        found: dict[Path, Refused | Offer | None] = dict.fromkeys(stand.outside)
        for each in stand.changed:
            offer = stand.offered(each)
            if stand.is_refused(each):
                found[each.path] = stand.refused[each.path]
            elif offer is not None:
                found[each.path] = offer
        return found

    async def _without_remote(self, project: Project, why: str) -> Status:
        """The remote cannot even be named: its credential is gone, or what it was connected to."""
        watched, seen = self._rounds[project.id], self._seen[project.id]
        changed = await self._workspace.changed(project)
        waiting = await conflicts.still_open(self._store, project.id)
        return Status(
            remote=seen.described,
            head=journal.known(await journal.branch(self._store, project.id)),
            uncommitted=len(changed),
            conflicts=len(waiting),
            state=telling.state(running=None, failed=True, conflicts=len(waiting), refused=0),
            detail=telling.detail(failure=watched.failure or why, conflicts=[each.path for each in waiting]),
            next_commit_at=self._rounds.due_at(project.id) if changed else None,
            watch=self.polling.watch(project.id),
        )

    async def _failed_before(self, project: Project, remote: GitRemote, head: CommitSha | None) -> str:
        """Why the newest round failed, if an earlier process ran it. What was only interrupted goes out later."""
        branch = await journal.branch(self._store, project.id)
        if branch is None:
            return ""
        newest = await journal.snapshot(self._store, project.id, branch.number)
        if newest is not None and newest.state == "failed" and newest.detail != INTERRUPTED and not newest.refused:
            return newest.detail
        gone = head is None and branch.commit is not None and (newest is None or newest.state != "running")
        return what_to_do(BranchMoved(remote.branch, journal.known(branch), head), remote) if gone else ""

    def _unkept(self) -> str:
        """Nobody keeps the schedule."""
        if self.by_schedule or (self._ticked is not None and self._clock() - self._ticked < UNHEARD):
            return ""
        heard = "" if self._ticked is None else f" since {telling.clock(self._ticked)}"
        return (
            f"Nothing is committed by itself: QUIRE_SCHEDULER is off, and no `quire snapshotter` was heard of{heard}. "
            "Start one, or commit by hand"
        )

    async def refresh(self, project: Project) -> None:
        """Something happened to the repository elsewhere: the status follows."""
        hosted = (await self._remote(project)).hosted
        if hosted is not None:
            await hosted.refresh()

    async def _remote(self, project: Project) -> GitRemote:
        remote = await self.remotes.of(project)
        seen = self._seen[project.id]
        seen.described, seen.hosted = remote.described(), remote.hosted
        return remote

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
        """Runs until it is cancelled, or until `aclose`. Not `by_schedule`: it only listens, and somebody calls `tick`."""
        looks = [self._look_at_branches] if self.by_schedule and self.polling.shortest is not None else []
        await self._rounds.run(self._take_up, self._review_as_typed, *looks, by_schedule=self.by_schedule)

    async def tick(self, patience: float = 0.0) -> list[ProjectId]:
        """For whoever keeps the time: waits until something is due, so many seconds at most, looks at the branches, and has
        every round that is due. Which projects had one."""
        self._ticked = self._clock()
        shortest = self.polling.shortest
        await self._rounds.until_due(patience if shortest is None else min(patience, self.polling.pause()))
        if self._rounds.closing:
            raise Unavailable("the server is stopping")
        async with anyio.create_task_group() as tasks:
            await self._look_where_due(tasks)
        begun = await self._rounds.tick()
        self._ticked = self._clock()
        return begun

    @property
    def next_at(self) -> Millis | None:
        """When something is due."""
        return self._rounds.next_at()

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

    async def _review_as_typed(self) -> None:
        """What is typed may end a conflict: that is seen soon, not with the next commit."""
        soon: set[ProjectId] = set()
        async with self._bus.subscribe_all() as hints, anyio.create_task_group() as tasks:
            async for project in hints:
                if project not in soon and not self._rounds.closing:
                    soon.add(project)
                    tasks.start_soon(self._review_soon, project, soon)

    async def _review_soon(self, project_id: ProjectId, soon: set[ProjectId]) -> None:
        await anyio.sleep(REVIEWED_AFTER)
        soon.discard(project_id)
        try:
            project = await self._store.project_by_id(project_id)
            if project is not None and await conflicts.still_open(self._store, project_id):
                async with self._rounds.alone(project_id):
                    await self._puller.review(project)
        except Exception:
            # Every round looks again.
            log.exception("conflicts could not be looked at", project=project_id)

    async def _look_at_branches(self) -> None:
        """Pulls what somebody pushed. A branch that does not answer holds up no other."""
        assert self.polling.shortest is not None  # else nobody looks
        async with anyio.create_task_group() as tasks:
            while not self._rounds.closing:
                await anyio.sleep(self.polling.pause())
                await self._look_where_due(tasks)

    async def _look_where_due(self, tasks: TaskGroup) -> None:
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
                    remote = await self._remote(project)
                    elsewhere = remote.hosted is not None
                    if remote.hosted is not None and remote.hosted.obstacle():
                        await remote.hosted.refresh()
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
        return await self._round(project, Wish())

    def _begun(self, project: ProjectId) -> None:
        """An automatic round of this project begins: the next one of its account keeps its distance."""
        if (hosted := self._seen[project].hosted) is not None:
            self._last[hosted.account] = self._clock()

    def _clear_at(self, project: ProjectId) -> Millis:
        """When nobody is about to push, and the budget of its host lets an automatic round begin."""
        held, hosted = self.holds.clear_at(project), self._seen[project].hosted
        if hosted is None:
            return held
        clear = max(held, hosted.left().paused_until or Millis(0))
        last = self._last.get(hosted.account)
        if last is None or last > self._clock():
            return clear
        return max(clear, Millis(last + hosted.spacing()))

    async def _round(self, project: Project, wish: Wish) -> Snapshot:
        async with self._rounds.round(project.id) as watched:
            made = await self._pull_and_commit(project, wish)
            self._rounds.succeeded(watched)
            # What was refused is held back until it changes: nothing else has failed.
            failed = made.state == "failed" and not made.refused
            if failed or wish.chosen is not None or wish.branch is not None or wish.pull_request:
                self._rounds.unfinished(watched)
            if failed:
                self._rounds.fail(watched, made.detail)
            if made.refused:
                self._rounds.again(watched, Millis(self._clock() + refused.AGAIN))
        return made

    async def _pull_and_commit(self, project: Project, wish: Wish) -> Snapshot:
        """Again when somebody pushed in between."""
        remote = await self._remote(project)
        for _ in range(MOVED_AT_MOST):
            await self._committer.recover(project)
            pulled = await self._pull(project, lambda: self._puller.pull(project))
            head = CommitSha(pulled.head) if pulled.head is not None else None
            made = await self._commit(project, wish, head)
            if made.state != "failed":
                break
            head = await remote.head()
            if head is None or head == journal.known(await journal.branch(self._store, project.id)):
                break
        return made

    async def _commit(self, project: Project, wish: Wish, head: CommitSha | None) -> Snapshot:
        seen = self._seen[project.id]
        seen.doing = "committing"
        try:
            return await self._committer.round(project, wish, head=head)
        finally:
            seen.doing = ""

    async def _pull(self, project: Project, work: Callable[[], Awaitable[Pulled]]) -> Pulled:
        seen = self._seen[project.id]
        seen.doing = "pulling"
        try:
            await self._committer.adopt(project)
            return await work()
        finally:
            seen.doing = ""
