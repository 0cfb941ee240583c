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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeVar

import anyio.to_thread
import msgspec

from collab import bases, conflicts, paths
from collab.bases import Base
from collab.bus.base import Bus
from collab.conflicts import Aside, FileConflict, Side
from collab.contents import File
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path
from collab.ingest import Also, Collided, Ingested
from collab.merge import Hunk, Take, pieces
from collab.staging import Incoming
from collab.store.base import Change, Project, Row
from collab.text import Shape, blob_sha, open_bytes, to_bytes
from collab.workspace import Workspace
from snapshots.observer import Observer
from snapshots.settled import Settled, incoming
from snapshots.trees import SUBMODULE

LINES: Final = ("modify/modify", "add/add")
"""Kinds in which lines are in conflict."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Viewed:
    """A conflict as it is now: while it is open, `ours` is the live file, and the hunks are those of now. `was`: ours when
    it was found. `pieces`, of texts that can be merged: what is clean, and the hunks, in order."""

    conflict: FileConflict
    base: bytes | None
    ours: File | None
    theirs: bytes | None
    was: bytes | None
    hunks: tuple[Hunk, ...]
    pieces: tuple[str | Hunk, ...] = ()


class Settling:
    def __init__(self, workspace: Workspace, bus: Bus, *, clock: Callable[[], Millis], observer: Observer) -> None:
        self._observer = observer
        self._workspace = workspace
        self.store = workspace.store
        self.ingest = workspace.ingest
        self._bus = bus
        self._clock = clock

    async def conflicts(self, project: Project) -> list[FileConflict]:
        """Those that are open, the oldest first."""
        return await conflicts.still_open(self.store, project.id)

    async def view(self, project: Project, id_: str) -> Viewed:
        found = await self.conflict(project, id_)
        base, theirs, was = [await self.kept(side) for side in (found.base, found.theirs, found.ours)]
        row = await self.row(project, found) if found.state == "open" else None
        if row is None:
            return Viewed(found, base, None, theirs, was, found.hunks)
        ours = await self._workspace.contents.read(row)
        merged = await anyio.to_thread.run_sync(_pieces, found, base, ours.content, theirs)
        if merged is None:
            return Viewed(found, base, ours, theirs, was, found.hunks)
        return Viewed(found, base, ours, theirs, was, tuple(each for each in merged if isinstance(each, Hunk)), merged)

    async def side(self, project: Project, id_: str, which: Literal["base", "ours", "theirs"]) -> Incoming:
        """One of its three files; ours as it is now, while it is open."""
        found = await self.conflict(project, id_)
        if which == "ours" and found.state == "open":
            row = await self.row(project, found)
            if row is not None:
                file = await self._workspace.contents.read(row)
                return Incoming(file.row.path, file.row.mode, file.content, file.row.sha)
            side = None
        else:
            side = {"base": found.base, "ours": found.ours, "theirs": found.theirs}[which]
        if side is None:
            raise NotFound(f"there is no such file on the side {which!r}", field="side")
        return incoming(side, await self.kept(side) or b"")

    async def ours(self, project: Project, found: FileConflict) -> list[File]:
        """Our files that it is about, as they are now: the file itself, and what stands in the way of theirs."""
        row = await self.row(project, found)
        rows = [] if row is None else [row]
        for shown in found.blockers:
            there = await self.store.at_path(project.id, paths.parse(shown))
            if there is not None and all(there.id != each.id for each in rows):
                rows.append(there)
        return [await self._workspace.contents.read(each) for each in rows]

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
        aside: Aside | None = None,
        expect: Mapping[DocumentId, tuple[BlobSha, int]] | None = None,
    ) -> FileConflict:
        """`made_of`: the version of ours that `text` was made of; what was typed since is merged into it, or `Overlap`.
        `aside`: where ours went; `expect`: SHA and mode that each of our files must still have, else `Stale`."""
        found = await self.conflict(project, id_)
        if found.state != "open":
            raise Conflict(f"this conflict is {found.state} already", code="conflict_resolved", field="id")
        over = msgspec.structs.replace(
            found,
            state="resolved",
            taken="branch" if aside is not None else take or "text",
            ended_at=self._clock(),
            ended_by=actor,
            aside=aside,
            detail="",
        )
        settled = Settled(self, project, found, over, actor, expect)
        if text is not None:
            await self._text(settled, text, made_of)
        elif found.theirs is None:
            await self._they_deleted(settled, take or "ours")
        elif found.kind == "delete/modify":
            await self._we_had_deleted(settled, take or "theirs")
        else:
            await self._both_have(settled, found.theirs, take or "ours")
        self._observer.settled(found.kind, over.taken)
        return over

    # -- the cases ---------------------------------------------------------------------------------------------------

    async def _text(self, settled: Settled, content: bytes, made_of: BlobSha | None) -> None:
        """The file is to be this."""
        project, found, actor = settled.project, settled.found, settled.actor
        row = await self.row(project, found)
        also = await settled.also(found.theirs)
        side = found.ours or found.theirs or found.base
        assert side is not None  # a conflict has two sides at least
        mode = row.mode if row is not None else side.mode
        if row is not None and found.kind in LINES:
            content, mode = await self._shaped(found, row, content)
        if row is not None and made_of is not None:
            await self._made_of(Incoming(row.path, mode, content, blob_sha(content)), row, made_of, actor, also)
        elif row is not None:
            await self.ingest.write(row, content, mode, actor, also)
        else:
            wanted = Incoming(paths.parse(found.path), mode, content, blob_sha(content))
            await self.ingest.create(project.id, wanted, actor, also, gone=await self.tombstone(found))

    async def _shaped(self, found: FileConflict, row: Row, content: bytes) -> tuple[bytes, int]:
        """With the line endings, BOM and mode that the two sides merge to; a text that says of itself how its lines end
        stays as it is."""
        opened = open_bytes(content)
        shapes = [open_bytes(await self.kept(side) or b"") for side in (found.base, found.theirs)]
        assert found.theirs is not None
        mode = row.mode if found.base is None else _of_three(found.base.mode, row.mode, found.theirs.mode)
        if opened is None or opened[1] != Shape() or shapes[1] is None:
            return content, mode
        ours, theirs = Shape(row.eol, row.bom), shapes[1][1]
        before = shapes[0][1] if found.base is not None and shapes[0] is not None else ours
        shape = Shape(_of_three(before.eol, ours.eol, theirs.eol), _of_three(before.bom, ours.bom, theirs.bom))
        return to_bytes(opened[0], shape), mode

    async def _made_of(self, wanted: Incoming, row: Row, sha: BlobSha, actor: ActorId, also: Also) -> None:
        contents = self._workspace.contents
        position = await contents.base_position(row, sha)
        if position is None:
            raise Conflict(
                f"the version {sha} of this file is not known any more; read the conflict again", code="base_unknown"
            )
        base = Incoming(row.path, row.mode, (await contents.at(row, position)).content, sha)

        def unless_collided(outcome: Ingested | Collided) -> Sequence[Change]:
            return also(outcome) if isinstance(outcome, Ingested) else ()

        outcome = await self.ingest.merge(row, base, wanted, actor, unless_collided)
        if isinstance(outcome, Collided):
            raise Overlap(
                "somebody changed the same lines since you read the conflict; nothing was changed",
                field="sha",
                details={"hunks": [asdict(hunk) for hunk in outcome.hunks], "sha": outcome.ours.row.sha},
            )

    async def _they_deleted(self, settled: Settled, take: Take) -> None:
        row = await self.row(settled.project, settled.found)
        also = await settled.also(None)
        if row is not None and take == "theirs":
            await self.ingest.delete(row, settled.actor, self._clock(), also, expect=settled.expected(row))
        else:
            await settled.commit(also)

    async def _we_had_deleted(self, settled: Settled, take: Take) -> None:
        """Theirs is back already, and the base says so."""
        row = await self.row(settled.project, settled.found)

        def also(_: Ingested | Collided | None) -> Sequence[Change]:
            return settled.closing(row)

        if row is not None and take == "ours":
            await self.ingest.delete(row, settled.actor, self._clock(), also)
        else:
            await settled.commit(also)

    async def _both_have(self, settled: Settled, theirs: Side, take: Take) -> None:
        project, found, actor = settled.project, settled.found, settled.actor
        row = await self.row(project, found)
        wanted = incoming(theirs, await self.kept(theirs) or b"")
        also = await settled.also(theirs)
        if row is None and found.ours is None:
            await self._in_the_way(settled, wanted, take, also)
        elif row is None and take == "ours":
            await settled.commit(also)
        elif row is None:
            await self.ingest.create(project.id, wanted, actor, also, gone=await self.tombstone(found))
        elif take == "both" and found.kind not in LINES and not (found.kind == "rename" and found.ours is None):
            await self._side_by_side(settled, wanted)
        else:
            move = None
            if take == "theirs" and row.path != wanted.path and found.kind == "rename":
                move = wanted.path
                await self._clear(settled, wanted.path, row)
            base = None if found.base is None else incoming(found.base, await self.kept(found.base) or b"")
            await self.ingest.merge(
                row, base, wanted, actor, also, move=move, prefer=take, expect=settled.expected(row)
            )

    async def _in_the_way(
        self, settled: Settled, wanted: Incoming, take: Take, also: Callable[[Ingested | Collided], Sequence[Change]]
    ) -> None:
        """What was pushed has no place, because of other files of ours."""
        project, actor = settled.project, settled.actor
        if take == "ours":
            await self.ingest.bury(project.id, wanted, actor, self._clock(), also)
            return
        if take == "theirs":
            await self._clear(settled, wanted.path, None)
        await self.ingest.create(project.id, wanted, actor, also, gone=await self.tombstone(settled.found))

    async def _clear(self, settled: Settled, wanted: Path, moving: Row | None) -> None:
        """Our files in the way of theirs become tombstones."""
        for shown in settled.found.blockers:
            row = await self.store.at_path(settled.project.id, paths.parse(shown))
            if row is not None and (moving is None or row.id != moving.id):
                await self.ingest.delete(row, settled.actor, self._clock(), lambda _: (), expect=settled.expected(row))

    async def _side_by_side(self, settled: Settled, wanted: Incoming) -> None:
        """Ours stays under its name, and theirs is a file of its own under theirs."""
        project, found = settled.project, settled.found
        if found.kind != "rename":
            raise Invalid(f"a conflict of kind {found.kind} cannot keep both: take ours or theirs", field="take")
        before = await settled.base()

        def also(done: Ingested | Collided) -> Sequence[Change]:
            assert isinstance(done, Ingested)
            after = Base(wanted.path, done.row.id, wanted.sha, wanted.mode, done.row.head, found.commit)
            dropped = [bases.drop(project.id, before)] if before is not None else []
            return [*dropped, bases.put(project.id, after, expect=None), *settled.closing(None)]

        await self.ingest.create(project.id, wanted, settled.actor, also)

    # -- parts -------------------------------------------------------------------------------------------------------

    async def conflict(self, project: Project, id_: str) -> FileConflict:
        found = await conflicts.conflict(self.store, project.id, id_)
        if found is None:
            raise NotFound(f"there is no conflict {id_!r}", field="id")
        return found

    async def row(self, project: Project, found: FileConflict) -> Row | None:
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

    async def tombstone(self, found: FileConflict) -> Row | None:
        side = found.ours or found.base
        if side is None or side.document is None:
            return None
        row = await self.store.document(side.document)
        return row if row is not None and row.deleted_at is not None else None

    async def commit(self, changes: Sequence[Change]) -> None:
        committed = await self.store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)


def _pieces(
    found: FileConflict, base: bytes | None, ours: bytes, theirs: bytes | None
) -> tuple[str | Hunk, ...] | None:
    """None: it has no lines."""
    if found.kind not in LINES or theirs is None:
        return None
    opened = [open_bytes(each) for each in (base or b"", ours, theirs)]
    texts = [each[0] for each in opened if each is not None]
    return tuple(pieces(texts[0], texts[1], texts[2])) if len(texts) == 3 else None


def _of_three(base: T, ours: T, theirs: T) -> T:
    """Of something with no lines: ours, unless theirs alone has changed it."""
    return theirs if ours == base else ours
