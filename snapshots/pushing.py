"""What becomes of a push.

What it promises
1. A push to the project's branch is a pull: it is merged into the live files as a whole, and answered then, or refused as a
   whole with what is in conflict, and nothing has changed. It must be a fast-forward of the branch; what is not committed
   yet stays so, and never makes it another.
2. Nothing of a push is in the repository before it is accepted, and nothing of a refused one ever.
3. Who pushed is recorded before the branch moves, and told (`pushed`) with the pull of it: a crash in between loses neither.
   When the branch has moved the push has happened, whatever comes then; what is left of the pull goes on by itself.
4. Other branches, tags and notes are kept as they are pushed; nothing of them enters the files.
5. Automatic commits wait from when somebody looks where to push until the push is through (snapshots.holds).
6. `atomic`: all refs, or none.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from collab import conflicts, paths
from collab.bus.base import Bus
from collab.errors import Forbidden, QuireError
from collab.ids import ActorId, Path, ProjectId
from collab.store.base import Change, Project, Store
from snapshots import pushes
from snapshots.carrier import Step
from snapshots.packs import rules
from snapshots.packs.refs import BRANCHES, Outcome, Update
from snapshots.packs.verdict import Judged, Progress, PushLimits, Verdict
from snapshots.plan import Foreseen, PushRefused
from snapshots.puller import Pulled, Pushed, no_step
from snapshots.remotes.base import BranchMoved, CommitSha
from snapshots.serving import Incoming, Scoped, Served, Serving
from snapshots.snapshotter import Snapshotter

log = structlog.get_logger(__name__)

LOOKING: Final = 15_000
"""Milliseconds from when somebody looks where to push until the push must have begun; and for which it holds on."""

RENEWED: Final = 5.0
"""Seconds after which a push that is under way says so again."""

NAMED: Final = 10
"""Files that are named to whoever pushed."""

WHAT: Final = {
    "modify/delete": "you delete it, and it is being edited here",
    "delete/modify": "you edit it, and it was deleted here",
    "add/add": "there is another new file of that name here",
    "rename": "it would stand where another file stands, or has got another name here",
    "type": "it is another kind of file here",
    "binary": "it has no lines, and was changed here",
}
"""Conflicts in which no lines can be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A push: whose, what refs are to become, all or none (`atomic`), and whether conflicts with what is being written are to
    be made, and decided later (`despite`). `say` is told lines for people; `page` is the address of the project's page."""

    actor: ActorId
    updates: Sequence[Update]
    say: Callable[[str], object]
    page: str
    atomic: bool = False
    despite: bool = False


class Pushing:
    """`step` is called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self,
        serving: Serving,
        snapshotter: Snapshotter,
        store: Store,
        bus: Bus,
        *,
        limits: PushLimits | None = None,
        step: Step = no_step,
    ) -> None:
        self._serving = serving
        self._snapshotter = snapshotter
        self._store = store
        self._bus = bus
        self._limits = limits or PushLimits()
        self.step = step

    def looked(self, project: ProjectId) -> None:
        """Somebody has looked where to push."""
        self._snapshotter.holds.hold(project, LOOKING)

    @contextlib.asynccontextmanager
    async def holding(self, project: ProjectId) -> AsyncIterator[None]:
        """A push is coming in, and no automatic commit gets in its way, nor for some seconds after."""

        async def holding() -> None:
            while True:
                self._snapshotter.holds.hold(project, LOOKING)
                await anyio.sleep(RENEWED)

        self._snapshotter.holds.hold(project, LOOKING)
        raised: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(holding)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below, as itself and in no group
                raised = error
            tasks.cancel_scope.cancel()
        if raised is not None:
            raise raised

    @contextlib.asynccontextmanager
    async def under_way(self, project: ProjectId) -> AsyncIterator[None]:
        """A push is being carried out."""
        async with self.holding(project):
            yield
        self._snapshotter.holds.release(project)

    async def push(self, project: Project, incoming: Incoming, wish: Wish) -> tuple[str, list[Outcome]]:
        """Whether its pack could be read (else why not), and what became of each ref."""
        served = await self._serving.own(project)
        if served is None:
            raise Forbidden(f"the commits of {project.name} go elsewhere by now: push there")
        verdict = Verdict()
        if any(each.new is not None for each in wish.updates):
            verdict = await incoming.judge(wish.updates, self._limits, lambda told: wish.say(_percent(told)))
        if verdict.refused:
            wish.say(f"Nothing is taken of this push: {verdict.refused}.\n")
            return verdict.refused, [Outcome(each.ref, "nothing of the push is taken") for each in wish.updates]
        push = _Push(self, project, served, incoming, wish, {each.ref: each for each in verdict.refs})
        return "ok", await push.carry_out()

    async def commit(self, changes: Sequence[Change]) -> None:
        committed = await self._store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)

    async def open(self, project: Project) -> dict[str, Path]:
        """The conflicts that nobody has decided: their paths."""
        waiting = await conflicts.still_open(self._store, project.id)
        return {each.id: paths.parse(each.path) for each in waiting}

    async def accept(self, project: Project, pushed: Pushed) -> Pulled:
        return await self._snapshotter.accept(project, pushed)


@dataclass(slots=True)
class _Push:
    pushing: Pushing
    project: Project
    served: Served
    incoming: Incoming
    wish: Wish
    judged: dict[bytes, Judged]
    landed: bool = False

    async def carry_out(self) -> list[Outcome]:
        branch = self.served.repository.branch
        problems = rules.problems(self.wish.updates, self.judged, await self.served.repository.refs(), branch)
        if problems and self.wish.atomic:
            problems = {each.ref: problems.get(each.ref, rules.ALL_OR_NONE) for each in self.wish.updates}
        sound = [each for each in self.wish.updates if each.ref not in problems]
        main = next((each for each in sound if each.ref == BRANCHES + branch.encode()), None)
        others = [each for each in sound if each is not main]
        if main is not None:
            problem = await self._main(main, others if self.wish.atomic else [])
            if problem:
                problems[main.ref] = problem
                if self.wish.atomic:
                    problems.update({each.ref: rules.ALL_OR_NONE for each in others})
            if self.wish.atomic:
                others = []
        problems.update(await self._others(others))
        return [Outcome(each.ref, problems.get(each.ref, "")) for each in self.wish.updates]

    # -- the project's branch ----------------------------------------------------------------------------------------

    async def _main(self, main: Update, along: Sequence[Update]) -> str:
        """Why the branch was not moved; "" when it was. `along` are moved with it."""
        assert main.new is not None  # it is never deleted
        head = CommitSha(main.new.hex())
        before = await self.pushing.open(self.project)
        pushed = Pushed(
            head=head,
            commits=Scoped(self.incoming, self.served.scope),
            land=lambda: self._land(main, along),
            despite=self.wish.despite,
        )
        try:
            pulled = await self.pushing.accept(self.project, pushed)
        except PushRefused as refused:
            self._say_why(refused)
            return "in conflict with what is being written here"
        except BranchMoved as moved:
            return rules.PULL_FIRST if moved.branch == _name(main.ref) else rules.ALL_OR_NONE
        except QuireError as error:
            return self._failed(error.message)
        except Exception:
            log.exception("a push failed", project=self.project.name)
            return self._failed("something went wrong here; the server's log says what")
        for each in along:
            await self._tell(each)
        self._say_merged(pulled, {id_: path for id_, path in (await self._open()).items() if id_ not in before})
        return ""

    async def _open(self) -> dict[str, Path]:
        return await self.pushing.open(self.project)

    async def _land(self, main: Update, along: Sequence[Update]) -> None:
        assert main.new is not None
        await self.incoming.keep()
        self.pushing.step("push kept")
        head = CommitSha(main.new.hex())
        await self.pushing.commit([pushes.put(self.project.id, head, self._record(main))])
        self.pushing.step("push recorded")
        moved: list[Update] = []
        try:
            for each in (*along, main):
                if not await self.served.repository.update(each):
                    raise BranchMoved(_name(each.ref), None if each.old is None else CommitSha(each.old.hex()), None)
                moved.append(each)
                self.pushing.step("ref moved")
        except BaseException:
            with anyio.CancelScope(shield=True):
                for each in reversed(moved):
                    await self.served.repository.update(Update(each.ref, each.new, each.old))
                await self.pushing.commit([pushes.drop(self.project.id, head)])
            raise
        self.landed = True
        self.wish.say(f"Merging into the files of {self.project.name}\n")

    def _failed(self, why: str) -> str:
        if not self.landed:
            return why
        self.wish.say(f"It is pushed, and will be merged into the files by itself ({why}).\n")
        return ""

    def _say_merged(self, pulled: Pulled, found: dict[str, Path]) -> None:
        count = len(pulled.merged)
        files = "No file" if not count else "1 file" if count == 1 else f"{count:,} files"
        self.wish.say(f"{files} of {self.project.name} changed: {self.wish.page}\n")
        if found:
            self.wish.say(
                f"In conflict with what was being written, to be decided at {self.wish.page}/-/conflicts\n"
                + "".join(f"  {paths.show(path)}\n" for path in list(found.values())[:NAMED])
            )

    def _say_why(self, refused: PushRefused) -> None:
        found = refused.plan.conflicts
        rows = [f"  {_where(each)}\n" for each in found[:NAMED]]
        if len(found) > NAMED:
            rows.append(f"  and {len(found) - NAMED:,} more\n")
        self.wish.say(
            f"Not pushed: somebody is writing here in {self.project.name}, and it is not committed yet:\n"
            + "".join(rows)
            + f"Commit that first (quire snapshot {self.project.name}, or at {self.wish.page}),\n"
            "then git pull, decide, and push again.\n"
            f"Or push with -o conflicts=keep, and decide at {self.wish.page}/-/conflicts\n"
        )

    # -- other refs --------------------------------------------------------------------------------------------------

    async def _others(self, updates: Sequence[Update]) -> dict[bytes, str]:
        """Each by itself, or all (`atomic`); why it was not moved."""
        if not updates:
            return {}
        await self.incoming.keep()
        moved: list[Update] = []
        problems: dict[bytes, str] = {}
        for each in updates:
            if await self.served.repository.update(each):
                moved.append(each)
            else:
                problems[each.ref] = rules.PULL_FIRST
        if problems and self.wish.atomic:
            for each in reversed(moved):
                await self.served.repository.update(Update(each.ref, each.new, each.old))
            return {each.ref: problems.get(each.ref, rules.ALL_OR_NONE) for each in updates}
        for each in moved:
            await self._tell(each)
        return problems

    async def _tell(self, each: Update) -> None:
        await self.pushing.commit([pushes.told(self.project.id, self._record(each))])
        if each.old is None and each.ref.startswith(BRANCHES):
            name = _name(each.ref.removeprefix(BRANCHES))
            self.wish.say(
                f"{name} is kept as a branch; the files of {self.project.name} follow {self.served.repository.branch}.\n"
            )

    def _record(self, each: Update) -> pushes.Push:
        return pushes.of(self.wish.actor, each.ref, each.old, each.new, self.judged.get(each.ref))


def _name(ref: bytes) -> str:
    return ref.decode("utf-8", "replace")


def _where(each: Foreseen) -> str:
    if each.hunks or each.kind is None:
        return str(each)
    return f"{paths.show(each.path)}: {WHAT.get(each.kind, each.kind)}"


def _percent(told: Progress) -> str:
    share = 100 * told.done // max(told.total, 1)
    return f"{told.what}: {share}% ({told.done:,}/{told.total:,})\r"
