"""What others pushed -> edits in live documents, and conflicts.

What it promises
1. Every path goes one way (snapshots.resolver says which), and its base moves by compare-and-swap in the transaction that
   changes it: a pull that is done twice, or by two processes at once, or again after a crash, changes nothing more.
2. What is typed meanwhile is merged with, or found again by the next look: nothing is decided on what is no longer so.
3. What both sides have changed is a conflict, an object of its own; its file goes on being edited, other files go on. It
   ends when somebody decides it, when the branch moves on, or when what is typed here agrees with what was pushed.
4. The branch counts as pulled when every path is: only then does the journal say so, and the next commit has its head as
   parent.
5. What cannot be read here is left as it is, with its base, and found again by the next pull; it holds up nothing else.
6. History that was rewritten is no other case: what counts is the content that Quire holds, path by path. A branch that is
   gone stops everything and is said; nothing is made again by itself.
7. A push that asks first (`accept`) is refused as a whole when it would end in conflicts, and nothing has changed then.
   Else the branch is moved before anything is changed here: from then on a crash leaves a push like any other.

What breaks it: a remote that gives other bytes for a blob than those of its SHA; two pushes of one project at once.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import structlog

from collab import actors, conflicts
from collab.bus.base import Bus
from collab.conflicts import Policy
from collab.errors import Stale, Unavailable
from collab.ids import ActorId, Millis, Path
from collab.store.base import Emit, Event, Project, Store
from collab.workspace import Workspace
from snapshots import authors, fetching, journal, plan, policies, pushes
from snapshots.asides import Asides
from snapshots.carrier import Carrier, Step
from snapshots.committer import what_to_do
from snapshots.journal import Branch
from snapshots.judge import Judge
from snapshots.look import Commits, Look, Rules, look_at
from snapshots.observer import Observer, Unobserved
from snapshots.plan import Plan, PushRefused
from snapshots.pushes import Push
from snapshots.remotes.base import BranchMoved, CommitSha, GitRemote, Remotes
from snapshots.restoring import Restoring
from snapshots.reviewing import Reviewing
from snapshots.settling import Settling

log = structlog.get_logger(__name__)

State = Literal["done", "nothing", "conflicts", "failed"]

LOOKS: Final = 20
"""How often the project is looked at again because something moved under the pull, before it is given up for now."""


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """`merged`: the paths that changed here. `conflicts`: those of the project that are open."""

    head: str | None
    merged: tuple[Path, ...] = ()
    conflicts: tuple[str, ...] = ()
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A push under way: a fast-forward of the branch to `head`. `commits` are those of the repository and those that the
    push brings; `land` moves the branch, or raises `BranchMoved`. `despite`: conflicts are to be made, and decided here."""

    head: CommitSha
    commits: Commits
    land: Callable[[], Awaitable[None]]
    despite: bool = False


class Puller:
    """`step` is called with the name of each step that has just been passed (the tests die there). `scratch`: a folder for what
    lives no longer than a pull."""

    def __init__(
        self,
        workspace: Workspace,
        remotes: Remotes,
        bus: Bus,
        *,
        clock: Callable[[], Millis],
        step: Step = no_step,
        scratch: pathlib.Path | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer or Unobserved()
        self._workspace = workspace
        self._scratch = scratch
        self._store: Store = workspace.store
        self._remotes = remotes
        self._bus = bus
        self._step = step
        self.settling = Settling(workspace, bus, clock=clock, observer=self._observer)
        self.restoring = Restoring(workspace, self.settling)
        asides = Asides(workspace, remotes, self.settling, clock=clock)
        judge = Judge(self._store, self.settling, asides, step=step)
        self._reviewing = Reviewing(workspace, self._until_done)
        self._carrier = Carrier(workspace, bus, judge, clock=clock, step=step, observer=self._observer)

    async def pull(self, project: Project, *, policy: Policy | None = None) -> Pulled:
        """Until nothing of the branch's head is left to be done. One at a time for a project (the snapshotter's lock);
        two at once change nothing more than one. `policy` is for every conflict; without it the project's rules say."""
        return await self._counted(self._pull(project, policy))

    async def _pull(self, project: Project, policy: Policy | None) -> Pulled:
        remote = await self._remotes.of(project)
        head = await remote.head()
        branch = await journal.branch(self._store, project.id)
        known = journal.known(branch)
        rules = Rules(await policies.policies(self._store, project.id), policy)
        if head is None and known is not None:
            return Pulled(head=None, state="failed", detail=what_to_do(BranchMoved(remote.branch, known, None), remote))
        if head is None or head == known:
            merged = () if head is None else await self._reviewing.review(project, head, rules)
            return await self._ended(project, head, merged, "nothing")
        return await self._bring(project, remote, head, branch, rules)

    async def review(self, project: Project) -> None:
        """Conflicts that what was typed has ended, end. Nobody elsewhere is asked."""
        head = journal.known(await journal.branch(self._store, project.id))
        if head is not None:
            await self._reviewing.review(project, head, Rules(await policies.policies(self._store, project.id)))

    async def plan(self, project: Project, pushed: Pushed | None = None) -> Plan:
        """What a pull would do now: of the branch's head, or of what is being pushed. Nothing is changed."""
        commits: Commits = pushed.commits if pushed is not None else await self._remotes.of(project)
        head = pushed.head if pushed is not None else await (await self._remotes.of(project)).head()
        if head is None:
            raise Unavailable("the branch is gone; there is nothing to be pulled")
        rules = Rules(await policies.policies(self._store, project.id))
        for _ in range(LOOKS):
            try:
                return await plan.plan(await look_at(self._workspace, project, commits, head, rules, {}))
            except Stale as error:
                log.info("moved under a plan", project=project.name, why=error.message)
        raise Unavailable("files keep changing; try again later")

    async def _counted(self, work: Awaitable[Pulled]) -> Pulled:
        """Tells how it ended, whichever way."""
        begun = time.monotonic()
        try:
            pulled = await work
        except Exception as error:
            state = "refused" if isinstance(error, PushRefused) else "failed"
            self._observer.pulled(state, time.monotonic() - begun, 0)
            raise
        self._observer.pulled(pulled.state, time.monotonic() - begun, len(pulled.merged))
        return pulled

    async def accept(self, project: Project, pushed: Pushed) -> Pulled:
        """A push that is under way, merged: or `PushRefused`. What is typed between the plan and the merge can still make
        a conflict; then it is one as after any push, and the answer names it."""
        return await self._counted(self._accept(project, pushed))

    async def _accept(self, project: Project, pushed: Pushed) -> Pulled:
        foreseen = await self.plan(project, pushed)
        if foreseen.conflicts and not pushed.despite:
            raise PushRefused(foreseen)
        self._step("push planned")
        await pushed.land()
        self._step("push landed")
        branch = await journal.branch(self._store, project.id)
        rules = Rules(await policies.policies(self._store, project.id))
        return await self._bring(project, await self._remotes.of(project), pushed.head, branch, rules)

    async def _bring(
        self,
        project: Project,
        remote: GitRemote,
        head: CommitSha,
        branch: Branch | None,
        rules: Rules,
    ) -> Pulled:
        merged: dict[Path, ActorId] = {}
        wrote = authors.of_commits(self._store, remote, since=journal.known(branch), until=head)
        push = await pushes.push(self._store, project.id, head)
        if push is not None:
            wrote = authors.but(self._store, push.actor, wrote)
        pusher = None if push is None else push.actor
        await self._until_done(
            lambda: look_at(self._workspace, project, remote, head, rules, merged, wrote, pusher),
            elsewhere=remote.hosted is not None,
        )
        self._step("every path pulled")
        await self._record(project, branch or Branch(remote.branch), head, push, expect=branch, merged=merged)
        self._step("pull recorded")
        return await self._ended(project, head, tuple(merged), "done")

    async def _until_done(self, look: Callable[[], Awaitable[Look]], *, elsewhere: bool = False) -> None:
        """`elsewhere`: a host is asked for what was pushed."""
        for _ in range(LOOKS):
            found = await look()
            async with fetching.together(found, self._scratch) if elsewhere else nullcontext():
                await self._carrier.carry_out(found)
            if not found.again:
                return
        raise Unavailable("files keep changing under the pull; it goes on later")

    async def _ended(self, project: Project, head: str | None, merged: tuple[Path, ...], state: State) -> Pulled:
        waiting = await conflicts.still_open(self._store, project.id)
        return Pulled(
            head=head,
            merged=merged,
            conflicts=tuple(each.id for each in waiting),
            state="conflicts" if waiting else state,
        )

    async def _record(
        self,
        project: Project,
        branch: Branch,
        head: CommitSha,
        push: Push | None,
        *,
        expect: Branch | None,
        merged: Mapping[Path, ActorId],
    ) -> None:
        told = {"commit": head, "merged": len(merged)}
        by = tuple(dict.fromkeys(merged.values())) or (actors.QUIRE.id,)
        moved = msgspec.structs.replace(branch, commit=head)
        by_whom = [] if push is None else [pushes.told(project.id, push), pushes.drop(project.id, head)]
        try:
            committed = await self._store.commit(
                changes=[
                    journal.put_branch(project.id, moved, expect=expect),
                    *by_whom,
                    Emit(Event(project=project.id, kind="pulled", actors=by, data=told)),
                ]
            )
        except Stale:
            # Somebody else has pulled the same, or gone on from there: the bases say how far.
            log.info("the branch was recorded by somebody else", project=project.name, head=head)
            return
        for event in committed.events:
            self._bus.publish(event.project, event.n)
