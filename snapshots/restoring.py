"""What lost a conflict is brought back, as an edit like any other.

What it promises
1. Of lines, those that were in conflict become what the side had there; what was written since the decision stays. Where
   that overlaps, nothing is changed (`Overlap`), unless the whole file is asked for.
2. What has no lines is taken whole; a file that is not there any more comes back as the same file, with its history.
3. Nothing of git moves: what comes back is uncommitted, and goes out with the next commit.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Literal

import msgspec

from collab import conflicts, paths
from collab.conflicts import FileConflict, Side
from collab.errors import Conflict, Invalid, Overlap
from collab.ids import ActorId
from collab.ingest import Also, Collided, Ingested
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
        after = msgspec.structs.replace(found, restored=which)

        def also(outcome: Ingested | Collided) -> list[Change]:
            return [conflicts.bring_back(project.id, after, expect=found)] if isinstance(outcome, Ingested) else []

        row = await self._row(found)
        if row is None:
            return await self._create(project, found, wanted, actor, also)
        if whole or found.kind not in LINES:
            return (await self._workspace.ingest.write(row, wanted.content, wanted.mode, actor, also)).row
        return await self._lines(found, row, which, wanted, actor, also)

    async def _row(self, found: FileConflict) -> Row | None:
        """The file that holds the outcome, wherever it stands by now."""
        document = found.outcome[0] if found.outcome is not None else None
        if document is None and found.ours is not None:
            document = found.ours.document
        row = None if document is None else await self._workspace.store.document(document)
        return row if row is not None and row.deleted_at is None else None

    async def _create(self, project: Project, found: FileConflict, wanted: Incoming, actor: ActorId, also: Also) -> Row:
        there = await self._workspace.store.at_path(project.id, wanted.path)
        if there is not None:
            shown = paths.show(wanted.path)
            raise Conflict(f"another file stands at {shown!r}: move that first", code="path_taken", field="id")
        gone = await self._settling.tombstone(found)
        return (await self._workspace.ingest.create(project.id, wanted, actor, also, gone=gone)).row

    async def _lines(
        self, found: FileConflict, row: Row, which: Which, wanted: Incoming, actor: ActorId, also: Also
    ) -> Row:
        if found.outcome is None:
            raise Overlap(
                "it is not known any more what of the file was written since: bring the whole file back", field="whole"
            )
        stood = await self._workspace.contents.at(row, found.outcome[1])
        shape = Shape(stood.row.eol, stood.row.bom)
        base = Incoming(row.path, stood.row.mode, stood.content, stood.row.sha)
        if found.restored is not None:
            base = await self._chosen(found, found.restored, base, shape)
        other = await self._chosen(found, which, replace(base, mode=wanted.mode), shape)
        done = await self._workspace.ingest.merge(row, base, other, actor, also)
        if isinstance(done, Collided):
            raise Overlap(
                "the same lines were changed since the conflict was decided; nothing was changed",
                field="side",
                details={"hunks": [asdict(hunk) for hunk in done.hunks], "sha": done.ours.row.sha},
            )
        return done.row

    async def _chosen(self, found: FileConflict, which: Which, like: Incoming, shape: Shape) -> Incoming:
        """The outcome that there would have been for this side."""
        sides = [await self._settling.kept(side) or b"" for side in (found.base, found.ours, found.theirs)]
        opened = [open_bytes(each) for each in sides]
        texts = [each[0] for each in opened if each is not None]
        if len(texts) != 3:
            raise Overlap("it has no lines any more: bring the whole file back", field="whole")
        text = texts[0] if which == "base" else choose(texts[0], texts[1], texts[2], which)
        content = to_bytes(text, shape)
        return replace(like, content=content, sha=blob_sha(content))
