"""Carries out what a look at a project decided: each path one way, into its document or into a conflict.

What it promises
1. What a decision does and the move of the path's base are one transaction: whoever did it before, or at the same time,
   makes this one lose its swap (`Stale`), and the project is looked at again.
2. Nothing is decided on what is no longer so: the merge is made in a turn, and an edit on its way in counts.
3. One path that cannot be carried out holds up no other. What makes room, or is in another's way, goes one by one and
   first; what stands alone goes side by side.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from collab import actors, bases, conflicts, crowd, paths
from collab.bus.base import Bus
from collab.conflicts import ConflictKind, FileConflict
from collab.errors import NotFound, PathTaken, Quarantined, Stale
from collab.ids import BlobSha, Millis, Path
from collab.ingest import Collided, Ingested
from collab.merge import Hunk
from collab.staging import Incoming
from collab.store.base import Change, Row
from collab.workspace import Workspace
from snapshots import finding, resolver
from snapshots.judge import Judge
from snapshots.look import Look
from snapshots.observer import Observer
from snapshots.resolver import Decision
from snapshots.settled import keep, moved_base

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8
"""Files that are merged side by side: their transactions share the disk's work."""

Step = Callable[[str], None]


@dataclass(slots=True)
class _Old:
    """The conflict that the path had before: what ends it, along with what is carried out now; and how it ends then."""

    closing: list[Change] = field(default_factory=list)
    ending: tuple[FileConflict, str] | None = None


class Carrier:
    def __init__(
        self,
        workspace: Workspace,
        bus: Bus,
        judge: Judge,
        *,
        clock: Callable[[], Millis],
        step: Step,
        observer: Observer,
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._ingest = workspace.ingest
        self._bus = bus
        self._judge = judge
        self._clock = clock
        self._step = step
        self._observer = observer

    async def carry_out(self, look: Look) -> None:
        decided = await look.decisions()
        await look.ask_who(decided)
        await self._forget(look, {finding.key(each) for each in decided})
        for one_by_one in [each for each in decided if not resolver.stands_alone(each)]:
            await self._carry(look, one_by_one)
        await self._side_by_side(look, [each for each in decided if resolver.stands_alone(each)])
        await self._judge.put_aside(look)

    async def _side_by_side(self, look: Look, decided: Sequence[Decision]) -> None:
        """What theirs have is carried as it comes: all of it is asked for at once, and never held at once."""
        waiting: defaultdict[BlobSha, list[Decision]] = defaultdict(list)
        for each in decided:
            known = look.open.get(finding.key(each))
            stands = known is not None and finding.stands(known, each)
            if each.theirs is not None and resolver.asks_for_theirs(each) and not stands:
                waiting[each.theirs.sha].append(each)
        left = {id(each): each for each in decided}

        async def arrived(sha: BlobSha) -> None:
            for each in waiting[sha]:
                del left[id(each)]
                await self._carry(look, each)
            del look.arrived[sha]

        with suppress(NotFound):  # said below, of the path whose content it is
            await crowd.each_as_it_comes(look.arriving(list(waiting)), arrived, at_once=AT_ONCE)
        await crowd.each(left.values(), partial(self._carry, look), at_once=AT_ONCE)

    async def _carry(self, look: Look, each: Decision) -> None:
        old = _Old()
        try:
            if await self._settled(look, each, old):
                return
            await self._one(look, each, old)
        except (Stale, PathTaken) as error:
            log.info("moved under a pull", project=look.project.name, path=each.path, why=error.message)
            look.again = True
        except Quarantined as error:
            log.warning("held back from a pull", project=look.project.name, path=each.path, why=error.message)
        else:
            self._ended(old)
            self._step("path pulled")

    async def _forget(self, look: Look, there: Set[Path]) -> None:
        """What no side has any more is nothing to decide about."""
        for about, known in look.open.items():
            if about not in there:
                try:
                    old = self._end(look, _Old(), known, moved=True)
                    await self._commit(old.closing)
                    self._ended(old)
                except Stale:
                    look.again = True

    async def _settled(self, look: Look, each: Decision, old: _Old) -> bool:
        """Whether nothing is to be done: or no more than to say that an old conflict is over."""
        known = look.open.get(finding.key(each))
        nothing = each.do == "nothing" and not _rekeyed(each)
        if known is None:
            return nothing
        if finding.stands(known, each):
            await self._judge.by_policy(look, known, look.rules.of_known(known))
            return True
        if known.kind == "delete/modify" and each.ours is not None and each.theirs is not None:
            return nothing  # what came back is there to be decided about, whatever is pushed to it
        self._end(look, old, known, moved=not finding.unmoved(known, each))
        if nothing:
            await self._commit(old.closing)
            self._ended(old)
        return nothing

    def _end(self, look: Look, old: _Old, known: FileConflict, *, moved: bool) -> _Old:
        """The old conflict ends with what is carried out now."""
        old.closing = finding.over(look.project, known, at=self._clock(), moved=moved)
        old.ending = known, "gone" if moved else "itself"
        return old

    def _ended(self, old: _Old) -> None:
        if old.ending is not None:
            known, taken = old.ending
            self._observer.settled(known.kind, taken)

    async def _one(self, look: Look, each: Decision, old: _Old) -> None:
        if each.do == "conflict":
            return await self._conflict(look, each, old)
        if each.do not in ("delete", "restore") and (each.move or _rekeyed(each)):
            each = await self._move(look, each)
        match each.do:
            case "forget":
                assert each.base is not None
                await self._commit([bases.drop(look.project.id, look.held[each.base.path]), *old.closing])
            case "adopt":
                await self._adopt(look, each, old)
            case "ingest" | "merge":
                await self._merge(look, each, old)
            case "create" | "restore":
                await self._create(look, each, old)
            case "delete":
                await self._delete(look, each, old)
            case "nothing" if old.closing:
                await self._commit(old.closing)
        return None

    async def _move(self, look: Look, each: Decision) -> Decision:
        """Theirs renamed it: the document goes along, and its base; what is in it comes after."""
        assert each.base is not None
        assert each.theirs is not None
        before = look.held[each.base.path]
        after = replace(before, path=each.theirs.path)
        moves = [bases.drop(look.project.id, before), bases.put(look.project.id, after, expect=None)]
        if each.move is None:
            await self._commit(moves)
        else:
            row = look.rows[each.path]
            same = replace(await look.committed(before), path=each.move)
            await self._ingest.merge(
                row, same, same, look.by(each), lambda _: moves, move=each.move, on_behalf_of=look.for_(each)
            )
            look.merged[each.move] = look.by(each)
            look.rows = {**look.rows, each.move: replace(await look.row(row.id), sha=row.sha)}
        del look.held[before.path]
        look.held[after.path] = after
        self._step("path moved")
        path = each.move or each.path
        ours = None if each.ours is None else replace(each.ours, path=path)
        return replace(each, path=path, base=replace(each.base, path=after.path), ours=ours, move=None)

    async def _adopt(self, look: Look, each: Decision, old: _Old) -> None:
        """Both sides made the same: it was so at this position, whatever is typed now."""
        assert each.ours is not None
        row = look.rows[each.ours.path]
        await self._commit([*self._base_moves(look, each, Ingested(row, exact=True)), *old.closing])

    async def _merge(self, look: Look, each: Decision, old: _Old) -> None:
        assert each.ours is not None
        assert each.theirs is not None
        row = look.rows[each.ours.path]
        theirs = await look.pushed(each.theirs)
        before = look.held[each.base.path] if each.base is not None else None
        base = None
        if before is not None:
            # What is to be as theirs needs no text of the base: if ours has moved meanwhile, it is looked at again.
            blank = Incoming(before.path, before.mode, b"", before.sha)
            base = await look.committed(before) if each.do == "merge" else blank
        if each.do == "merge":
            await keep(self._workspace, theirs, base)
        waiting: list[FileConflict] = []
        made: list[FileConflict] = []
        id_ = await self._id(look, each) if each.do == "merge" else ""

        def also(outcome: Ingested | Collided) -> Sequence[Change]:
            if each.do == "ingest" and (isinstance(outcome, Collided) or not outcome.exact):
                raise Stale("the file was edited meanwhile")
            if isinstance(outcome, Ingested):
                return [*self._base_moves(look, each, outcome), *old.closing]
            known = look.open.get(finding.key(each))
            if known is not None and finding.unmoved(known, each):
                waiting.append(known)
                old.ending = None
                return []
            ours = replace(each.ours, sha=outcome.ours.row.sha, mode=outcome.ours.row.mode) if each.ours else None
            kind: ConflictKind = (each.kind or "modify/modify") if outcome.kind == "lines" else outcome.kind
            made.append(self._found(look, replace(each, ours=ours, kind=kind), id_, outcome.hunks))
            if known is not None and not old.closing:
                self._end(look, old, known, moved=True)
            return [*finding.told(look.project, made[0]), *old.closing]

        outcome = await self._ingest.merge(row, base, theirs, look.by(each), also, on_behalf_of=look.for_(each))
        for conflict in made:
            self._observer.conflict(conflict.kind)
        for conflict in (*waiting, *made):
            await self._judge.by_policy(look, conflict, look.rules.of_known(conflict))
        if isinstance(outcome, Ingested) and (outcome.row.sha, outcome.row.mode) != (row.sha, row.mode):
            look.merged[outcome.row.path] = look.by(each)

    async def _create(self, look: Look, each: Decision, old: _Old) -> None:
        """A new file; one that was deleted from there comes back, with its history."""
        assert each.theirs is not None
        theirs = await look.pushed(each.theirs)
        await keep(self._workspace, theirs)
        gone_row = await self._tombstone(look, each)
        found = None
        if each.do == "restore":
            assert each.base is not None
            await keep(self._workspace, await look.committed(look.held[each.base.path]))
            found = self._found(look, each, await self._id(look, each))

        def also(outcome: Ingested | Collided) -> Sequence[Change]:
            assert isinstance(outcome, Ingested)
            told = finding.told(look.project, found) if found is not None else []
            return [*self._base_moves(look, each, outcome), *told, *old.closing]

        done = await self._ingest.create(
            look.project.id, theirs, look.by(each), also, gone=gone_row, on_behalf_of=look.for_(each)
        )
        look.merged[done.row.path] = look.by(each)
        if found is not None:
            self._observer.conflict(found.kind)
            await self._judge.by_policy(look, found, found.policy)

    async def _tombstone(self, look: Look, each: Decision) -> Row | None:
        if each.do == "restore" and each.base is not None and each.base.document is not None:
            row = await self._store.document(each.base.document)
            return row if row is not None and row.deleted_at is not None else None
        assert each.theirs is not None
        return await self._store.deleted_at_path(look.project.id, each.theirs.path)

    async def _delete(self, look: Look, each: Decision, old: _Old) -> None:
        assert each.ours is not None
        assert each.base is not None
        drop = bases.drop(look.project.id, look.held[each.base.path])
        row = look.rows[each.ours.path]
        closing = old.closing
        await self._ingest.delete(
            row,
            look.by(each),
            self._clock(),
            lambda _: [drop, *closing],
            expect=(each.base.sha, each.base.mode),
            on_behalf_of=look.for_(each),
        )
        look.merged[row.path] = look.by(each)

    # -- conflicts ---------------------------------------------------------------------------------------------------

    async def _conflict(self, look: Look, each: Decision, old: _Old) -> None:
        if each.theirs is not None:
            await keep(self._workspace, await look.pushed(each.theirs))
        if each.base is not None:
            await keep(self._workspace, await look.committed(look.held[each.base.path]))
        if each.ours is not None:
            # As it is by now: what the conflict names must be what is kept.
            ours = await self._workspace.contents.read(look.rows[each.ours.path])
            await keep(self._workspace, ours)
            each = replace(each, ours=replace(each.ours, sha=ours.row.sha, mode=ours.row.mode))
        found = self._found(look, each, await self._id(look, each))
        await self._commit([*finding.told(look.project, found), *old.closing])
        self._observer.conflict(found.kind)
        await self._judge.by_policy(look, found, found.policy)

    async def _id(self, look: Look, each: Decision) -> str:
        """The same for whoever finds it at the same time; another one when the branch comes back to where it was."""
        for again in itertools.count():
            id_ = conflicts.new_id(look.project.id, finding.key(each), look.head, again)
            known = await conflicts.conflict(self._store, look.project.id, id_)
            if known is None or known.state == "open":
                return id_
        raise AssertionError("counting has no end")

    def _found(self, look: Look, each: Decision, id_: str, hunks: Sequence[Hunk] = ()) -> FileConflict:
        assert each.kind is not None
        return FileConflict(
            id=id_,
            path=paths.show(each.path),
            kind=each.kind,
            at=self._clock(),
            commit=look.head,
            pushed_by=by if (by := look.for_(each) or look.by(each)) != actors.QUIRE.id else None,
            base=finding.side(each.base),
            ours=finding.side(each.ours),
            theirs=finding.side(each.theirs),
            hunks=tuple(hunks),
            blockers=tuple(map(paths.show, each.blockers)),
            policy=look.rules.of(each.path),
        )

    # -- parts -------------------------------------------------------------------------------------------------------

    def _base_moves(self, look: Look, each: Decision, done: Ingested | Collided) -> list[Change]:
        assert isinstance(done, Ingested)
        assert each.theirs is not None
        before = look.held.get(each.base.path) if each.base is not None else None
        return moved_base(look.project, before, each.theirs, done, look.head)

    async def _commit(self, changes: Sequence[Change]) -> None:
        committed = await self._store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)


def _rekeyed(each: Decision) -> bool:
    """The base stands under another name now."""
    return (
        each.do not in ("conflict", "restore")
        and each.base is not None
        and each.theirs is not None
        and each.base.path != each.theirs.path
    )
