"""A conflict is decided: by a person, a program, or a policy.

What it promises
1. The outcome enters the document as every edit does; in the same transaction the path's base moves to what was pushed,
   and the conflict is closed, by compare-and-swap: decided twice, or by two at once, it is decided once.
2. From then on the file is committed again, on top of what was pushed.
3. Whatever loses is kept: the bytes of every side among the objects, ours in the document's history as well.

`ours`, `theirs` and `both` decide the lines in conflict; what the other side changed elsewhere in the file stays merged.
What has no lines is taken whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import msgspec

from collab import bases, conflicts, paths
from collab.bases import Base
from collab.bus.base import Bus
from collab.conflicts import FileConflict, Side
from collab.contents import File
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position
from collab.ingest import Also, Collided, Ingested
from collab.merge import Conflicted, Hunk, Take, merge
from collab.staging import Incoming
from collab.store.base import Change, Project, Row
from collab.text import blob_sha, open_bytes
from collab.workspace import Workspace
from snapshots import finding, resolver
from snapshots.trees import SUBMODULE

LINES: Final = ("modify/modify", "add/add")


@dataclass(frozen=True, slots=True)
class Viewed:
    """A conflict as it is now: while it is open, `ours` is the live file, and the hunks are those of now. `was`: ours when
    it was found."""

    conflict: FileConflict
    base: bytes | None
    ours: File | None
    theirs: bytes | None
    was: bytes | None
    hunks: tuple[Hunk, ...]


class Settling:
    def __init__(self, workspace: Workspace, bus: Bus, *, clock: Callable[[], Millis]) -> None:
        self._workspace = workspace
        self.store = workspace.store
        self.ingest = workspace.ingest
        self._bus = bus
        self._clock = clock

    async def conflicts(self, project: Project) -> list[FileConflict]:
        """Those that are open, the oldest first."""
        return await conflicts.still_open(self.store, project.id)

    async def view(self, project: Project, id_: str) -> Viewed:
        found = await self._conflict(project, id_)
        base, theirs, was = [await self.kept(side) for side in (found.base, found.theirs, found.ours)]
        row = await self._row(project, found) if found.state == "open" else None
        if row is None:
            return Viewed(found, base, None, theirs, was, found.hunks)
        ours = await self._workspace.contents.read(row)
        return Viewed(found, base, ours, theirs, was, _hunks(found, base, ours.content, theirs))

    async def kept(self, side: Side | None) -> bytes | None:
        """The bytes of a side, as they were when the conflict was found."""
        if side is None:
            return None
        return b"" if side.mode == SUBMODULE else await self.ingest.kept(side.sha)

    async def settle(
        self,
        project: Project,
        id_: str,
        *,
        actor: ActorId,
        take: Take | None = None,
        text: bytes | None = None,
        made_of: BlobSha | None = None,
    ) -> FileConflict:
        """`made_of`: the version of ours that `text` was made of; what was typed since is merged into it, or `Overlap`."""
        found = await self._conflict(project, id_)
        if found.state != "open":
            raise Conflict(f"this conflict is {found.state} already", code="conflict_resolved", field="id")
        over = msgspec.structs.replace(
            found, state="resolved", taken=take or "text", ended_at=self._clock(), ended_by=actor
        )
        settled = _Settled(self, project, found, over, actor)
        if text is not None:
            await self._text(settled, text, made_of)
        elif found.theirs is None:
            await self._they_deleted(settled, take or "ours")
        elif found.kind == "delete/modify":
            await self._we_had_deleted(settled, take or "theirs")
        else:
            await self._both_have(settled, found.theirs, take or "ours")
        return over

    # -- the cases ---------------------------------------------------------------------------------------------------

    async def _text(self, settled: _Settled, content: bytes, made_of: BlobSha | None) -> None:
        """The file is to be this."""
        project, found, actor = settled.project, settled.found, settled.actor
        row = await self._row(project, found)
        also = await settled.also(found.theirs)
        side = found.ours or found.theirs or found.base
        assert side is not None  # a conflict has two sides at least
        if row is not None and made_of is not None:
            await self._made_of(row, content, made_of, actor, also)
        elif row is not None:
            await self.ingest.write(row, content, row.mode, actor, also)
        else:
            wanted = Incoming(paths.parse(found.path), side.mode, content, blob_sha(content))
            await self.ingest.create(project.id, wanted, actor, also, gone=await self._tombstone(found))

    async def _made_of(self, row: Row, content: bytes, sha: BlobSha, actor: ActorId, also: Also) -> None:
        contents = self._workspace.contents
        position = await contents.base_position(row, sha)
        if position is None:
            raise Conflict(
                f"the version {sha} of this file is not known any more; read the conflict again", code="base_unknown"
            )
        base = Incoming(row.path, row.mode, (await contents.at(row, position)).content, sha)
        wanted = Incoming(row.path, row.mode, content, blob_sha(content))

        def unless_collided(outcome: Ingested | Collided) -> Sequence[Change]:
            return also(outcome) if isinstance(outcome, Ingested) else ()

        outcome = await self.ingest.merge(row, base, wanted, actor, unless_collided)
        if isinstance(outcome, Collided):
            raise Overlap(
                "somebody changed the same lines since you read the conflict; nothing was changed",
                field="sha",
                details={"hunks": [asdict(hunk) for hunk in outcome.hunks], "sha": outcome.ours.row.sha},
            )

    async def _they_deleted(self, settled: _Settled, take: Take) -> None:
        row = await self._row(settled.project, settled.found)
        also = await settled.also(None)
        if row is not None and take == "theirs":
            await self.ingest.delete(row, settled.actor, self._clock(), also)
        else:
            await settled.commit(also)

    async def _we_had_deleted(self, settled: _Settled, take: Take) -> None:
        """Theirs is back already, and the base says so."""
        row = await self._row(settled.project, settled.found)

        def also(_: Ingested | Collided | None) -> Sequence[Change]:
            return settled.closing(row)

        if row is not None and take == "ours":
            await self.ingest.delete(row, settled.actor, self._clock(), also)
        else:
            await settled.commit(also)

    async def _both_have(self, settled: _Settled, theirs: Side, take: Take) -> None:
        project, found, actor = settled.project, settled.found, settled.actor
        row = await self._row(project, found)
        wanted = incoming(theirs, await self.kept(theirs) or b"")
        also = await settled.also(theirs)
        if row is None and found.ours is None:
            await self._in_the_way(settled, wanted, take, also)
        elif row is None and take == "ours":
            await settled.commit(also)
        elif row is None:
            await self.ingest.create(project.id, wanted, actor, also, gone=await self._tombstone(found))
        elif take == "both" and found.kind not in LINES and not (found.kind == "rename" and found.ours is None):
            await self._side_by_side(settled, wanted)
        else:
            move = None
            if take == "theirs" and row.path != wanted.path and found.kind == "rename":
                move = wanted.path
                await self._clear(settled, wanted.path, row)
            base = None if found.base is None else incoming(found.base, await self.kept(found.base) or b"")
            await self.ingest.merge(row, base, wanted, actor, also, move=move, prefer=take)

    async def _in_the_way(
        self, settled: _Settled, wanted: Incoming, take: Take, also: Callable[[Ingested | Collided], Sequence[Change]]
    ) -> None:
        """What was pushed has no place, because of other files of ours."""
        project, actor = settled.project, settled.actor
        if take == "ours":
            await self.ingest.bury(project.id, wanted, actor, self._clock(), also)
            return
        if take == "theirs":
            await self._clear(settled, wanted.path, None)
        await self.ingest.create(project.id, wanted, actor, also, gone=await self._tombstone(settled.found))

    async def _clear(self, settled: _Settled, wanted: Path, moving: Row | None) -> None:
        """Our files in the way of theirs become tombstones."""
        for shown in settled.found.blockers:
            row = await self.store.at_path(settled.project.id, paths.parse(shown))
            if row is not None and (moving is None or row.id != moving.id):
                await self.ingest.delete(row, settled.actor, self._clock(), lambda _: ())

    async def _side_by_side(self, settled: _Settled, wanted: Incoming) -> None:
        """Ours stays under its name, and theirs is a file of its own under theirs."""
        project, found = settled.project, settled.found
        if found.kind != "rename":
            raise Invalid(f"a conflict of kind {found.kind} cannot keep both: take ours or theirs", field="take")
        before = await settled.base()

        def also(done: Ingested | Collided) -> Sequence[Change]:
            assert isinstance(done, Ingested)
            after = Base(wanted.path, done.row.id, wanted.sha, wanted.mode, done.row.head, found.commit)
            dropped = [bases.drop(project.id, before)] if before is not None else []
            return [*dropped, bases.put(project.id, after, expect=None), *settled.closing(done.row)]

        await self.ingest.create(project.id, wanted, settled.actor, also)

    # -- parts -------------------------------------------------------------------------------------------------------

    async def _conflict(self, project: Project, id_: str) -> FileConflict:
        found = await conflicts.conflict(self.store, project.id, id_)
        if found is None:
            raise NotFound(f"there is no conflict {id_!r}", field="id")
        return found

    async def _row(self, project: Project, found: FileConflict) -> Row | None:
        """Our file, wherever it stands by now; for two of one name, the one that has it."""
        side = found.ours or (found.base if found.kind == "delete/modify" else None)
        if side is not None and side.document is not None:
            row = await self.store.document(side.document)
            if row is not None and row.deleted_at is None:
                return row
        where = found.theirs
        if where is not None and (found.ours is None or found.kind == "delete/modify"):
            return await self.store.at_path(project.id, paths.parse(where.path))
        return None

    async def _tombstone(self, found: FileConflict) -> Row | None:
        side = found.ours or found.base
        if side is None or side.document is None:
            return None
        row = await self.store.document(side.document)
        return row if row is not None and row.deleted_at is not None else None

    async def commit(self, changes: Sequence[Change]) -> None:
        committed = await self.store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)


@dataclass(frozen=True, slots=True)
class _Settled:
    """One decision on its way."""

    settling: Settling
    project: Project
    found: FileConflict
    over: FileConflict
    actor: ActorId

    async def base(self) -> Base | None:
        """The one of the path now."""
        side = self.found.base or self.found.theirs
        if side is None:
            return None
        return await bases.base(self.settling.store, self.project.id, paths.parse(side.path))

    async def also(self, theirs: Side | None) -> Callable[[Ingested | Collided | None], Sequence[Change]]:
        """The base moves to what was pushed, the conflict is closed."""
        before = await self.base()
        if self.found.kind == "delete/modify":
            # What was pushed is the base since it was brought back.
            return lambda done: self.closing(done.row if isinstance(done, Ingested) else None)
        if theirs is not None and theirs.mode != SUBMODULE:
            await self.settling.ingest.keep(await self.settling.kept(theirs) or b"")

        def changes(done: Ingested | Collided | None) -> Sequence[Change]:
            row = done.row if isinstance(done, Ingested) else None
            if theirs is None:
                dropped = [bases.drop(self.project.id, before)] if before is not None else []
                return [*dropped, *self.closing(row)]
            side = resolver.Side(paths.parse(theirs.path), theirs.sha, theirs.mode)
            if isinstance(done, Ingested):
                exact = Ingested(done.row, done.row.sha == theirs.sha)
                moves = moved_base(self.project, before, side, exact, self.found.commit)
            else:
                document = (self.found.ours or self.found.base or theirs).document or DocumentId("")
                after = Base(side.path, document, side.sha, side.mode, Position(0), self.found.commit, apart=True)
                moves = put_base(self.project, before, after)
            return [*moves, *self.closing(row)]

        return changes

    def closing(self, row: Row | None) -> list[Change]:
        path, document = (row.path, row.id) if row is not None else (None, None)
        return finding.ends(self.project, self.found, self.over, path=path, document=document)

    async def commit(self, also: Callable[[Ingested | Collided | None], Sequence[Change]]) -> None:
        await self.settling.commit(also(None))


def moved_base(
    project: Project, before: Base | None, theirs: resolver.Side, done: Ingested, commit: str
) -> list[Change]:
    """The base says what was pushed. When the document is something else, the entries that made it so still count as not
    committed."""
    row = done.row
    if done.exact:
        after = Base(theirs.path, row.id, theirs.sha, theirs.mode, row.head, commit)
    else:
        position = before.position if before is not None and before.document == row.id else Position(0)
        after = Base(theirs.path, row.id, theirs.sha, theirs.mode, position, commit, apart=True)
    return put_base(project, before, after)


def put_base(project: Project, before: Base | None, after: Base) -> list[Change]:
    if before is None or before.path == after.path:
        return [bases.put(project.id, after, expect=before)]
    return [bases.drop(project.id, before), bases.put(project.id, after, expect=None)]


def incoming(side: Side, content: bytes) -> Incoming:
    return Incoming(paths.parse(side.path), side.mode, content, side.sha)


async def keep(workspace: Workspace, *files: Incoming | File | None) -> None:
    """Their bytes among the objects."""
    for each in files:
        if (isinstance(each, Incoming) and each.mode != SUBMODULE) or (
            isinstance(each, File) and each.row.kind == "text"
        ):
            await workspace.ingest.keep(each.content)


def _hunks(found: FileConflict, base: bytes | None, ours: bytes, theirs: bytes | None) -> tuple[Hunk, ...]:
    if found.kind not in LINES or theirs is None:
        return found.hunks
    opened = [open_bytes(each) for each in (base or b"", ours, theirs)]
    texts = [each[0] for each in opened if each is not None]
    if len(texts) != 3:
        return found.hunks
    outcome = merge(*texts)
    return outcome.hunks if isinstance(outcome, Conflicted) else ()
