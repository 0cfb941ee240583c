"""What lost a conflict is brought back, as an edit like any other.

What it promises
1. Of lines, those that were in conflict become what the side had there; what was written since the decision stays. Where
   that overlaps, nothing is changed (`Overlap`), unless the whole file is asked for.
2. What has no lines is taken whole; a file that is not there any more comes back as the same file, with its history.
3. Nothing of git moves: what comes back is uncommitted, and goes out with the next commit.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from collab import paths
from collab.conflicts import FileConflict, Side
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import ActorId
from collab.ingest import Collided, Ingested
from collab.merge import choose
from collab.staging import Incoming
from collab.store.base import Change, Project, Row
from collab.text import Shape, blob_sha, open_bytes, to_bytes
from collab.workspace import Workspace
from snapshots.settled import incoming
from snapshots.settling import LINES, Settling

Which = Literal["base", "ours", "theirs"]

WORDS = {"base": "the version before", "ours": "our side", "theirs": "their side"}


class Restoring:
    def __init__(self, workspace: Workspace, settling: Settling) -> None:
        self._workspace = workspace
        self._settling = settling

    async def restore(self, project: Project, id_: str, which: Which, *, actor: ActorId, whole: bool = False) -> Row:
        """The file as it is then. `whole`: all of it as that side had it, whatever was written since."""
        found = await self._settling.conflict(project, id_)
        if found.state == "open":
            raise Conflict("this conflict is open: decide it, nothing is lost yet", code="conflict_open", field="id")
        side: Side | None = getattr(found, which)
        if side is None:
            raise Invalid(f"there is nothing to bring back: {WORDS[which]} has no such file", field="side")
        wanted = incoming(side, await self._settling.kept(side) or b"")
        row = await self._settling.row(project, found)
        if row is None:
            return await self._create(project, found, wanted, actor)
        if whole or found.kind not in LINES:
            return (await self._workspace.ingest.write(row, wanted.content, wanted.mode, actor, nothing_else)).row
        return await self._lines(found, row, which, wanted, actor)

    async def _create(self, project: Project, found: FileConflict, wanted: Incoming, actor: ActorId) -> Row:
        there = await self._workspace.store.at_path(project.id, wanted.path)
        if there is not None:
            shown = paths.show(wanted.path)
            raise Conflict(f"another file stands at {shown!r}: move that first", code="path_taken", field="id")
        gone = await self._settling.tombstone(found)
        return (await self._workspace.ingest.create(project.id, wanted, actor, nothing_else, gone=gone)).row

    async def _lines(self, found: FileConflict, row: Row, which: Which, wanted: Incoming, actor: ActorId) -> Row:
        if found.decided is None:
            raise Overlap(
                "it is not known any more what of the file was written since: bring the whole file back", field="whole"
            )
        outcome = await self._workspace.contents.at(row, found.decided)
        other = await self._chosen(found, which, wanted, Shape(outcome.row.eol, outcome.row.bom))
        base = Incoming(row.path, outcome.row.mode, outcome.content, outcome.row.sha)
        done = await self._workspace.ingest.merge(row, base, other, actor, nothing_else)
        if isinstance(done, Collided):
            raise Overlap(
                "the same lines were changed since the conflict was decided; nothing was changed",
                field="side",
                details={"hunks": [asdict(hunk) for hunk in done.hunks], "sha": done.ours.row.sha},
            )
        return done.row

    async def _chosen(self, found: FileConflict, which: Which, wanted: Incoming, shape: Shape) -> Incoming:
        """The outcome that there would have been for this side."""
        if which == "base":
            return wanted
        sides = [await self._settling.kept(side) or b"" for side in (found.base, found.ours, found.theirs)]
        opened = [open_bytes(each) for each in sides]
        texts = [each[0] for each in opened if each is not None]
        if len(texts) != 3:
            return wanted
        content = to_bytes(choose(texts[0], texts[1], texts[2], which), shape)
        return Incoming(wanted.path, wanted.mode, content, blob_sha(content))


def nothing_else(_: Ingested | Collided) -> list[Change]:
    return []
