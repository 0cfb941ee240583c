"""A new content for a file, made on an older text: the one merge.

What it promises
1. With `if_match`, the content is merged three ways into the live document: base is what the writer had read, ours is
   what is there now. Where both changed the same lines, nothing is applied and the hunks are the answer (`Overlap`).
2. Without it, it is a blind write: only where nobody else is in the room or has edited since the last commit, or by
   `force`. It never deletes what its writer could not know of.
3. The difference enters the document as minimal edits; cursors and selections stay.
4. A file that becomes text, or stops being it, keeps its id and its history.
5. A large merge is computed beside the room; the turn merges again only what has moved meanwhile.
6. Nothing is written through a submodule, which has no content here, nor through a symlink unless `mode` says what the
   file is to be: 120000 (the content is its new target), or a file in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import anyio

from collab import bases, history, text
from collab.contents import Contents, file, object_key
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import ActorId, BlobSha, Position
from collab.merge import Conflicted, merge
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.store.base import Row, RowFields, SetDocument, Store
from collab.tree import again
from collab.turn import Turn

SYMLINK: Final = 0o120000
SUBMODULE: Final = 0o160000

BESIDE: Final = 64_000
"""Characters from which a merge is computed in a thread, before the turn."""


@dataclass(frozen=True, slots=True)
class Written:
    """`rebased`: the document had moved since the writer read it, and the content was merged into it."""

    row: Row
    created: bool
    rebased: bool


@dataclass(frozen=True, slots=True)
class Premerged:
    """A merge that was computed beside the room: it stands if the live text still is `ours`."""

    ours: str
    result: str


class Writing:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms, contents: Contents) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._contents = contents

    async def write(
        self,
        row: Row,
        content: bytes,
        actor: ActorId,
        *,
        if_match: BlobSha | None = None,
        mode: int | None = None,
        force: bool = False,
    ) -> Written:
        check_mode(content, mode)
        if text.classify(content, row.mode if mode is None else mode) != "text":
            await self._objects.put(object_key(text.blob_sha(content)), content)
        premerged = await self._beside(row, content, if_match)

        async def attempt() -> Written:
            async with self._rooms.turn(row.id) as turn:
                check_writable(turn.row, mode)
                if if_match is None and not force:
                    await self._check_blind(turn, actor)
                of = turn.row.mode if mode is None else mode
                kind = text.classify(content, of)
                if kind == "text":
                    return await self._write_text(turn, content, actor, if_match, of, premerged)
                return await self._write_bytes(
                    turn, content, actor, if_match, of, replace(turn.row, kind=kind, object=text.blob_sha(content))
                )

        return await again(attempt)

    async def put_back(self, row: Row, content: bytes, sha: BlobSha, mode: int, actor: ActorId) -> Written:
        """The file as it was committed, whatever it was then (`sha` of a submodule is its commit) and is now."""
        kind = text.classify(content, mode)

        async def attempt() -> Written:
            async with self._rooms.turn(row.id) as turn:
                if kind == "text":
                    return await self._write_text(turn, content, actor, None, mode, None)
                return await self._write_bytes(
                    turn, content, actor, None, mode, replace(turn.row, kind=kind, object=sha)
                )

        return await again(attempt)

    async def _check_blind(self, turn: Turn, actor: ActorId) -> None:
        others = {member.session.actor for member in turn.room.members.values() if member.session.writes} - {actor}
        base = await bases.base(self._store, turn.row.project, turn.row.path)
        since = base.position if base is not None and base.document == turn.row.id else Position(0)
        others |= set(await self._store.actors(turn.row.id, since, turn.position)) - {actor}
        if others:
            raise Conflict(
                "others are editing this file: send If-Match with the SHA that you read, so that your change is merged "
                "with theirs, or force it",
                code="blind_write",
                field="If-Match",
                details={"sha": file(turn.row, turn.document.text, turn.position).row.sha, "actors": sorted(others)},
            )

    async def _beside(self, row: Row, content: bytes, if_match: BlobSha | None) -> Premerged | None:
        opened = text.open_bytes(content)
        if if_match is None or opened is None or row.kind != "text" or len(content) < BESIDE:
            return None
        ours = (await self._contents.read(row)).content
        base = await self._base(row, if_match)
        live = text.open_bytes(ours)
        if live is None or text.blob_sha(ours) == if_match:
            return None
        result = await anyio.to_thread.run_sync(merge, base, live[0], opened[0])
        return None if isinstance(result, Conflicted) else Premerged(live[0], result.text)

    async def _base(self, row: Row, sha: BlobSha) -> str:
        position = await self._contents.base_position(row, sha)
        if position is None:
            raise Conflict(
                f"the version {sha} of this file is not known any more; read it again and repeat the change",
                code="base_unknown",
                field="If-Match",
            )
        return await history.text_at(self._store, row.id, position)

    async def _write_text(
        self,
        turn: Turn,
        content: bytes,
        actor: ActorId,
        if_match: BlobSha | None,
        mode: int,
        premerged: Premerged | None,
    ) -> Written:
        opened = text.open_bytes(content)
        assert opened is not None  # classified as text
        theirs, shape = opened
        target, rebased = await self._target(turn, theirs, if_match, premerged)
        meta = changed_meta(
            turn.row, {"kind": "text", "mode": mode, "eol": shape.eol, "bom": shape.bom, "object": None}
        )
        position = turn.stage(actor=actor, target=target, meta=meta)
        row = replace(turn.row, kind="text", mode=mode, eol=shape.eol, bom=shape.bom, object=None)
        written = file(row, turn.document.text, position).row
        await self._commit(turn, written)
        return Written(written, created=False, rebased=rebased)

    async def _target(
        self, turn: Turn, theirs: str, if_match: BlobSha | None, premerged: Premerged | None
    ) -> tuple[str, bool]:
        if turn.row.kind != "text":
            self._check_unchanged(turn.row, if_match)
            return theirs, False
        live = turn.document.text
        if if_match is None or file(turn.row, live, turn.position).row.sha == if_match:
            return theirs, False
        if premerged is not None and premerged.ours == live:
            return premerged.result, True
        result = merge(await self._base(turn.row, if_match), live, theirs)
        if isinstance(result, Conflicted):
            raise Overlap(
                "somebody changed the same lines since you read the file; nothing was changed",
                field="If-Match",
                details={
                    "hunks": [asdict(hunk) for hunk in result.hunks],
                    "sha": file(turn.row, live, turn.position).row.sha,
                },
            )
        return result.text, True

    async def _write_bytes(
        self, turn: Turn, content: bytes, actor: ActorId, if_match: BlobSha | None, mode: int, row: Row
    ) -> Written:
        current = turn.row
        if current.kind == "text":
            current = file(current, turn.document.text, turn.position).row
        self._check_unchanged(current, if_match)
        assert row.object is not None  # the caller says which
        meta = changed_meta(turn.row, {"kind": row.kind, "mode": mode, "object": row.object})
        position = turn.stage(actor=actor, meta=meta)
        written = replace(row, mode=mode, sha=row.object, size=len(content), head=position, sha_position=position)
        await self._commit(turn, written)
        return Written(written, created=False, rebased=False)

    def _check_unchanged(self, row: Row, if_match: BlobSha | None) -> None:
        if if_match is not None and row.sha != if_match:
            raise Overlap(
                "the file changed since you read it, and it is not text that could be merged; nothing was changed",
                field="If-Match",
                details={"hunks": [], "sha": row.sha},
            )

    async def _commit(self, turn: Turn, written: Row) -> None:
        fields: RowFields = {
            "kind": written.kind,
            "mode": written.mode,
            "eol": written.eol,
            "bom": written.bom,
            "object": written.object,
            "sha": written.sha,
            "size": written.size,
            "sha_position": written.sha_position,
        }
        if turn.entries:
            await self._rooms.commit([turn], [SetDocument(id=written.id, fields=fields)])
        self._contents.remember(written.id, written.sha, written.head)


def check_mode(content: bytes, mode: int | None) -> None:
    """What nobody may make here."""
    if mode == SUBMODULE:
        raise Conflict(_SUBMODULE, code="submodule", field="path")
    if mode == SYMLINK and (not content or b"\0" in content):
        raise Invalid(
            "the content of a symlink is its target: a path, not empty and without NUL bytes", field="content"
        )


def check_writable(row: Row, mode: int | None) -> None:
    if row.deleted_at is not None:
        raise NotFound("the file was deleted meanwhile", field="path")
    if row.kind == "submodule":
        raise Conflict(_SUBMODULE, code="submodule", field="path")
    if row.kind == "symlink" and mode is None:
        raise Conflict(
            "this is a symlink: say with the mode what is to be there, 100644 for a file in its place, 120000 for another "
            "target",
            code="symlink",
            field="mode",
        )


_SUBMODULE: Final = "a submodule names a commit of another repository and has no content here: change it with git"


def changed_meta(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of `wanted`, what the row does not say already."""
    return {key: value for key, value in wanted.items() if getattr(row, key) != value} or None
