"""What others pushed -> edits in live documents, and conflicts.

What it promises
1. Every path goes one way (snapshots.resolver says which), and its base moves by compare-and-swap in the transaction that
   changes it: a pull that is done twice, or by two processes at once, or again after a crash, changes nothing more.
2. What is typed meanwhile is merged with, or found again by the next look: nothing is decided on what is no longer so.
3. What both sides have changed is a conflict, an object of its own; its file goes on being edited, other files go on.
4. The branch counts as pulled when every path is: only then does the journal say so, and the next commit has its head as
   parent.
5. What cannot be read here is left as it is, with its base, and found again by the next pull; it holds up nothing else.
6. History that was rewritten is no other case: what counts is the content that Quire holds, path by path. A branch that is
   gone stops everything and is said; nothing is made again by itself.

What breaks it: a remote that gives other bytes for a blob than those of its SHA.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import anyio.to_thread
import msgspec
import structlog

from collab import actors, bases, conflicts, paths
from collab.bases import Base
from collab.bus.base import Bus
from collab.conflicts import ConflictKind, FileConflict
from collab.errors import Conflict, NotFound, PathInvalid, PathTaken, Quarantined, Stale, Unavailable
from collab.ids import BlobSha, DocumentId, Millis, Path
from collab.ingest import Collided, Ingested
from collab.merge import Hunk
from collab.staging import Incoming
from collab.store.base import Change, Emit, Event, Project, Row, Store
from collab.workspace import Workspace
from snapshots import journal, resolver
from snapshots.committer import what_to_do
from snapshots.journal import Branch
from snapshots.remotes.base import BranchMoved, CommitSha, GitRemote, Remotes, TreeEntry
from snapshots.resolver import Decision, Side
from snapshots.settling import Policy, Settling, keep, moved_base
from snapshots.trees import SUBMODULE

log = structlog.get_logger(__name__)

Step = Callable[[str], None]
State = Literal["done", "nothing", "conflicts", "failed"]

LOOKS: Final = 20
"""How often the project is looked at again because something moved under the pull, before it is given up for now."""

ALIKE_AT_MOST: Final = 1_000
"""Files that are gone, or new, of which the content is compared to find renames."""

ALIKE_BYTES: Final = 1_000_000
"""Bytes of the largest file that is compared."""


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


@dataclass(slots=True)
class _Look:
    """One look at the project: what is held against what."""

    project: Project
    remote: GitRemote
    head: CommitSha
    policy: Policy
    held: dict[Path, Base]
    rows: Mapping[Path, Row]
    theirs: Mapping[Path, TreeEntry]
    open: dict[Path, FileConflict]
    merged: dict[Path, None]
    again: bool = False
    """Something moved under it: look again."""
    done: int = 0
    closing: list[Change] = field(default_factory=list)


class Puller:
    """`step` is called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self, workspace: Workspace, remotes: Remotes, bus: Bus, *, clock: Callable[[], Millis], step: Step = no_step
    ) -> None:
        self._workspace = workspace
        self._store: Store = workspace.store
        self._ingest = workspace.ingest
        self._remotes = remotes
        self._bus = bus
        self._clock = clock
        self._step = step
        self.settling = Settling(workspace, bus, clock=clock)

    async def pull(self, project: Project, *, policy: Policy = "manual") -> Pulled:
        """Until nothing of the branch's head is left to be done. One at a time for a project (the snapshotter's lock);
        two at once change nothing more than one."""
        remote = await self._remotes.of(project)
        head = await remote.head()
        branch = await journal.branch(self._store, project.id)
        known = journal.known(branch)
        if head == known:
            return await self._ended(project, head, (), "nothing")
        if head is None:
            return Pulled(head=None, state="failed", detail=what_to_do(BranchMoved(remote.branch, known, None), remote))
        merged: dict[Path, None] = {}
        for _ in range(LOOKS):
            look = await self._look(project, remote, head, policy, merged)
            await self._carry_out(look)
            if not look.again:
                break
        else:
            raise Unavailable("files keep changing under the pull; it goes on later")
        self._step("every path pulled")
        await self._record(project, branch or Branch(remote.branch), head, expect=branch, merged=merged)
        self._step("pull recorded")
        return await self._ended(project, head, tuple(merged), "done")

    async def _ended(self, project: Project, head: str | None, merged: tuple[Path, ...], state: State) -> Pulled:
        waiting = await conflicts.still_open(self._store, project.id)
        return Pulled(
            head=head,
            merged=merged,
            conflicts=tuple(each.id for each in waiting),
            state="conflicts" if waiting else state,
        )

    async def _record(
        self, project: Project, branch: Branch, head: CommitSha, *, expect: Branch | None, merged: Iterable[Path]
    ) -> None:
        told = {"commit": head, "merged": len(list(merged))}
        try:
            await self._commit(
                [
                    journal.put_branch(project.id, msgspec.structs.replace(branch, commit=head), expect=expect),
                    Emit(Event(project=project.id, kind="pulled", actors=(actors.QUIRE.id,), data=told)),
                ]
            )
        except Stale:
            # Somebody else has pulled the same, or gone on from there: the bases say how far.
            log.info("the branch was recorded by somebody else", project=project.name, head=head)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def _look(
        self, project: Project, remote: GitRemote, head: CommitSha, policy: Policy, merged: dict[Path, None]
    ) -> _Look:
        held = await bases.bases(self._store, project.id)
        rows = [await self._as_it_is(row, held.get(row.path)) for row in await self._store.tree(project.id)]
        theirs = {path: entry for path, entry in (await remote.tree(head)).items() if _can_be(path)}
        waiting = await conflicts.still_open(self._store, project.id)
        return _Look(
            project=project,
            remote=remote,
            head=head,
            policy=policy,
            held=held,
            rows={row.path: row for row in rows},
            theirs=theirs,
            open={_key_of(each): each for each in waiting},
            merged=merged,
        )

    async def _as_it_is(self, row: Row, base: Base | None) -> Row:
        """What cannot be read counts as what was committed (collab.uncommitted)."""
        if row.quarantined is None:
            with suppress(Quarantined):
                return await self._workspace.contents.cut(row)
        return row if base is None else replace(row, sha=base.sha, mode=base.mode)

    async def _decisions(self, look: _Look) -> list[Decision]:
        held = {path: Side(path, each.sha, each.mode, each.document) for path, each in look.held.items()}
        ours = {path: Side(path, row.sha, row.mode, row.id) for path, row in look.rows.items()}
        theirs = {path: Side(path, entry.sha, entry.mode) for path, entry in look.theirs.items()}
        known: dict[BlobSha, bytes] = {}
        wanted = resolver.lookalikes(held, theirs)
        if len(wanted) <= ALIKE_AT_MOST:
            for sha in wanted:
                content = await self._blob(look, sha)
                if content is not None and len(content) <= ALIKE_BYTES:
                    known[sha] = content
        return await anyio.to_thread.run_sync(resolver.resolve, held, ours, theirs, known.get)

    async def _blob(self, look: _Look, sha: BlobSha) -> bytes | None:
        try:
            async for _, content in look.remote.blobs([sha]):
                return content
        except NotFound:
            pass  # rewritten history may have taken it along; then there is nothing to compare
        return None

    # -- doing -------------------------------------------------------------------------------------------------------

    async def _carry_out(self, look: _Look) -> None:
        for each in await self._decisions(look):
            try:
                if await self._settled(look, each):
                    continue
                await self._one(look, each)
            except (Stale, PathTaken) as error:
                log.info("moved under a pull", project=look.project.name, path=each.path, why=error.message)
                look.again = True
            except Quarantined as error:
                log.warning("held back from a pull", project=look.project.name, path=each.path, why=error.message)
            else:
                self._step("path pulled")

    async def _settled(self, look: _Look, each: Decision) -> bool:
        """Whether nothing is to be done: or no more than to say that an old conflict is over."""
        key = _key(each)
        known = look.open.get(key)
        look.closing = []
        if known is None:
            return each.do == "nothing" and not _rekeyed(each)
        if _unmoved(known, each):
            await self._by_policy(look, known)
            return each.do != "merge" or known.ours is None or _as_it_was(known, each)
        if known.kind != "delete/modify" or each.theirs is None:
            over = msgspec.structs.replace(known, state="gone")
            look.closing = [conflicts.put(look.project.id, over, expect=known)]
            if each.do == "nothing" and not _rekeyed(each):
                await self._commit(look.closing)
                return True
        return each.do == "nothing" and not _rekeyed(each)

    async def _one(self, look: _Look, each: Decision) -> None:
        if each.do == "conflict":
            return await self._conflict(look, each)
        if each.do not in ("delete", "restore") and (each.move or _rekeyed(each)):
            each = await self._move(look, each)
        match each.do:
            case "forget":
                assert each.base is not None
                await self._commit([bases.drop(look.project.id, look.held[each.base.path]), *look.closing])
            case "adopt":
                await self._adopt(look, each)
            case "ingest" | "merge":
                await self._merge(look, each)
            case "create" | "restore":
                await self._create(look, each)
            case "delete":
                await self._delete(look, each)
        return None

    async def _move(self, look: _Look, each: Decision) -> Decision:
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
            content = await self._base(look, before)
            same = Incoming(each.move, before.mode, content, before.sha)
            await self._ingest.merge(row, same, same, actors.QUIRE.id, lambda _: moves, move=each.move)
            look.merged[each.move] = None
            look.rows = {**look.rows, each.move: replace(await self._row(row.id), sha=row.sha)}
        del look.held[before.path]
        look.held[after.path] = after
        self._step("path moved")
        path = each.move or each.path
        ours = None if each.ours is None else replace(each.ours, path=path)
        return replace(each, path=path, base=replace(each.base, path=after.path), ours=ours, move=None)

    async def _adopt(self, look: _Look, each: Decision) -> None:
        """Both sides made the same: it was so at this position, whatever is typed now."""
        assert each.ours is not None
        row = look.rows[each.ours.path]
        await self._commit([*self._base_moves(look, each, Ingested(row, exact=True)), *look.closing])

    async def _merge(self, look: _Look, each: Decision) -> None:
        assert each.ours is not None
        assert each.theirs is not None
        row = look.rows[each.ours.path]
        theirs = await self._theirs(look, each.theirs)
        before = look.held[each.base.path] if each.base is not None else None
        base = None
        if before is not None:
            # What is to be as theirs needs no text of the base: if ours has moved meanwhile, it is looked at again.
            content = await self._base(look, before) if each.do == "merge" else b""
            base = Incoming(before.path, before.mode, content, before.sha)
        if each.do == "merge":
            await keep(self._workspace, theirs, base)
        made: list[FileConflict] = []
        id_ = await self._id(look, each)

        def also(outcome: Ingested | Collided) -> Sequence[Change]:
            if each.do == "ingest" and (isinstance(outcome, Collided) or not outcome.exact):
                raise Stale("the file was edited meanwhile")
            if isinstance(outcome, Ingested):
                return [*self._base_moves(look, each, outcome), *look.closing]
            known = look.open.get(_key(each))
            if known is not None and _unmoved(known, each):
                return []
            ours = replace(each.ours, sha=outcome.ours.row.sha, mode=outcome.ours.row.mode) if each.ours else None
            kind: ConflictKind = (each.kind or "modify/modify") if outcome.kind == "lines" else outcome.kind
            made.append(self._found(look, replace(each, ours=ours, kind=kind), id_, outcome.hunks))
            return [*self._tell(look, made[0]), *look.closing]

        outcome = await self._ingest.merge(row, base, theirs, actors.QUIRE.id, also)
        if isinstance(outcome, Collided):
            await keep(self._workspace, outcome.ours)
            for each_made in made:
                await self._by_policy(look, each_made)
        elif (outcome.row.sha, outcome.row.mode) != (row.sha, row.mode):
            look.merged[outcome.row.path] = None

    async def _create(self, look: _Look, each: Decision) -> None:
        """A new file; one that was deleted by a pull, or of which ours had deleted what theirs changed, comes back."""
        assert each.theirs is not None
        theirs = await self._theirs(look, each.theirs)
        await keep(self._workspace, theirs)
        gone_row = await self._tombstone(look, each)
        found = self._found(look, each, await self._id(look, each)) if each.do == "restore" else None

        def also(outcome: Ingested | Collided) -> Sequence[Change]:
            assert isinstance(outcome, Ingested)
            told = self._tell(look, found) if found is not None else []
            return [*self._base_moves(look, each, outcome), *told, *look.closing]

        done = await self._ingest.create(look.project.id, theirs, actors.QUIRE.id, also, gone=gone_row)
        look.merged[done.row.path] = None
        if found is not None:
            await self._by_policy(look, found)

    async def _tombstone(self, look: _Look, each: Decision) -> Row | None:
        if each.do == "restore" and each.base is not None and each.base.document is not None:
            row = await self._store.document(each.base.document)
            return row if row is not None and row.deleted_at is not None else None
        assert each.theirs is not None
        row = await self._store.deleted_at_path(look.project.id, each.theirs.path)
        return row if row is not None and row.deleted_by == actors.QUIRE.id else None

    async def _delete(self, look: _Look, each: Decision) -> None:
        assert each.ours is not None
        assert each.base is not None
        drop = bases.drop(look.project.id, look.held[each.base.path])
        row = look.rows[each.ours.path]
        closing = look.closing
        await self._ingest.delete(
            row,
            actors.QUIRE.id,
            self._clock(),
            lambda _: [drop, *closing],
            expect=(each.base.sha, each.base.mode),
        )
        look.merged[row.path] = None

    # -- conflicts ---------------------------------------------------------------------------------------------------

    async def _conflict(self, look: _Look, each: Decision) -> None:
        found = self._found(look, each, await self._id(look, each))
        if each.theirs is not None:
            await keep(self._workspace, await self._theirs(look, each.theirs))
        if each.base is not None:
            before = look.held[each.base.path]
            await keep(self._workspace, Incoming(before.path, before.mode, await self._base(look, before), before.sha))
        if each.ours is not None:
            await keep(self._workspace, await self._workspace.contents.read(look.rows[each.ours.path]))
        await self._commit([*self._tell(look, found), *look.closing])
        await self._by_policy(look, found)

    async def _id(self, look: _Look, each: Decision) -> str:
        """The same for whoever finds it at the same time; another one when the branch comes back to where it was."""
        for again in itertools.count():
            id_ = conflicts.new_id(look.project.id, _key(each), look.head, again)
            known = await conflicts.conflict(self._store, look.project.id, id_)
            if known is None or known.state == "open":
                return id_
        raise AssertionError("counting has no end")

    def _found(self, look: _Look, each: Decision, id_: str, hunks: Sequence[Hunk] = ()) -> FileConflict:
        assert each.kind is not None
        return FileConflict(
            id=id_,
            path=paths.show(each.path),
            kind=each.kind,
            at=self._clock(),
            commit=look.head,
            base=_side(each.base),
            ours=_side(each.ours),
            theirs=_side(each.theirs),
            hunks=tuple(hunks),
            blockers=tuple(map(paths.show, each.blockers)),
        )

    def _tell(self, look: _Look, found: FileConflict) -> list[Change]:
        document = next((side.document for side in (found.ours, found.base) if side is not None), None)
        happened = Event(
            project=look.project.id,
            kind="conflict",
            path=paths.parse(found.path),
            document=document,
            actors=(actors.QUIRE.id,),
            data={"id": found.id, "kind": found.kind, "commit": found.commit},
        )
        return [conflicts.put(look.project.id, found, expect=None), Emit(happened)]

    async def _by_policy(self, look: _Look, found: FileConflict) -> None:
        """What a policy cannot decide either (another file stands in the way) stays open."""
        if look.policy == "manual":
            return
        try:
            await self.settling.settle(look.project, found.id, take=look.policy, actor=actors.QUIRE.id)
        except Conflict as error:
            log.info("left to people", project=look.project.name, path=found.path, why=error.message)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _base_moves(self, look: _Look, each: Decision, done: Ingested | Collided) -> list[Change]:
        assert isinstance(done, Ingested)
        assert each.theirs is not None
        before = look.held.get(each.base.path) if each.base is not None else None
        return moved_base(look.project, before, each.theirs, done, look.head)

    async def _theirs(self, look: _Look, side: Side) -> Incoming:
        if side.mode == SUBMODULE:
            return Incoming(side.path, side.mode, b"", side.sha)
        async for _, content in look.remote.blobs([side.sha]):
            return Incoming(side.path, side.mode, content, side.sha)
        raise NotFound(f"the repository has no object {side.sha}")

    async def _base(self, look: _Look, before: Base) -> bytes:
        """What we hold; else what the repository still has; else nothing, and then every line is in conflict."""
        if before.mode == SUBMODULE:
            return b""
        try:
            return await self._workspace.contents.committed(before)
        except NotFound:
            return await self._blob(look, before.sha) or b""

    async def _row(self, document: DocumentId) -> Row:
        row = await self._store.document(document)
        if row is None:
            raise Stale("the file is gone")
        return row

    async def _commit(self, changes: Sequence[Change]) -> None:
        committed = await self._store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)


def _can_be(path: Path) -> bool:
    """Whether git would check it out. What it would not stays in the repository, and nowhere else."""
    try:
        paths.check_carried(paths.to_bytes(path))
    except PathInvalid:
        return False
    return True


def _side(side: Side | None) -> conflicts.Side | None:
    if side is None:
        return None
    return conflicts.Side(path=paths.show(side.path), sha=side.sha, mode=side.mode, document=side.document)


def _key(each: Decision) -> Path:
    """What a conflict is about, whatever becomes of ours meanwhile: the base's path, else theirs."""
    return next(side.path for side in (each.base, each.theirs, each.ours) if side is not None)


def _key_of(each: FileConflict) -> Path:
    # What was brought back has the base of what theirs is.
    sides = (each.theirs, each.base) if each.kind == "delete/modify" else (each.base, each.theirs)
    return paths.parse(next(side.path for side in sides if side is not None))


def _unmoved(known: FileConflict, each: Decision) -> bool:
    """Theirs is what it was when the conflict was found."""
    before = known.theirs
    now = _side(each.theirs)
    return (
        before == now
        if before is None or now is None
        else ((before.path, before.sha, before.mode) == (now.path, now.sha, now.mode))
    )


def _as_it_was(known: FileConflict, each: Decision) -> bool:
    ours = known.ours
    return ours is not None and each.ours is not None and (ours.sha, ours.mode) == (each.ours.sha, each.ours.mode)


def _rekeyed(each: Decision) -> bool:
    """The base stands under another name now."""
    return (
        each.do not in ("conflict", "restore")
        and each.base is not None
        and each.theirs is not None
        and each.base.path != each.theirs.path
    )
