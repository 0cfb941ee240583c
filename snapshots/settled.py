"""One decision about a conflict, on its way: what goes into the transaction of its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from collab import bases, paths
from collab.bases import Base
from collab.conflicts import FileConflict, Side
from collab.contents import File
from collab.errors import Stale
from collab.ids import ActorId, BlobSha, DocumentId, Position
from collab.ingest import Collided, Ingested
from collab.staging import Incoming
from collab.store.base import Change, Project, Row
from collab.workspace import Workspace
from snapshots import finding, resolver
from snapshots.trees import SUBMODULE

if TYPE_CHECKING:
    from snapshots.settling import Settling


@dataclass(frozen=True, slots=True)
class Settled:
    """One decision on its way."""

    settling: Settling
    project: Project
    found: FileConflict
    over: FileConflict
    actor: ActorId
    expect: Mapping[DocumentId, tuple[BlobSha, int]] | None

    def expected(self, row: Row) -> tuple[BlobSha, int] | None:
        """SHA and mode that this file of ours must still have."""
        if self.expect is None:
            return None
        if row.id not in self.expect:
            raise Stale("another file stands there by now")
        return self.expect[row.id]

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
        if row is None:
            return finding.ends(self.project, self.found, self.over)
        over = msgspec.structs.replace(self.over, outcome=(row.id, row.head))
        return finding.ends(self.project, self.found, over, path=row.path, document=row.id)

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
