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

from collab import bases, history, paths, text
from collab.contents import Contents, file
from collab.errors import Conflict, Invalid, NotFound, Overlap
from collab.ids import ActorId, BlobSha, Position, TurnId
from collab.large import Data, Large, keep, kind_of, sha_of, size_of
from collab.merge import Conflicted, merge
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.store.base import Row, RowFields, SetDocument, Store
from collab.tree import again
from collab.turn import Turn
from collab.unified import unified

SYMLINK: Final = 0o120000
SUBMODULE: Final = 0o160000

BESIDE: Final = 64_000
"""Characters from which a merge is computed in a thread, before the turn."""


@dataclass(frozen=True, slots=True)
class By:
    """Whose edits these are, and of which turn they are a part."""

    actor: ActorId
    on_behalf_of: ActorId | None = None
    turn: TurnId | None = None


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


@dataclass(frozen=True, slots=True)
class Content:
    """What a file is to be, made ready outside of its room. `if_match` is what the writer had read, and `base` its text where
    that is known already; `mode` None: as it is."""

    data: Data
    if_match: BlobSha | None
    mode: int | None
    base: str | None = None
    premerged: Premerged | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What a turn would make of a file. `target` None: it is no text then. `before`: the live text, if it is one now."""

    row: Row
    data: Data
    before: str | None
    target: str | None
    rebased: bool


@dataclass(frozen=True, slots=True)
class Staged:
    """What a turn has made of a file, once its row has these fields."""

    written: Written
    fields: RowFields


class Writing:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms, contents: Contents) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._contents = contents

    async def write(
        self,
        row: Row,
        content: Data,
        by: By,
        *,
        if_match: BlobSha | None = None,
        mode: int | None = None,
        force: bool = False,
    ) -> Written:
        ready = await self.prepare(row, content, if_match=if_match, mode=mode)

        async def attempt() -> Written:
            async with self._rooms.turn(row.id) as turn:
                if if_match is None and not force:
                    await self.check_blind(turn, by.actor)
                return await self._carry_out(turn, await self.plan(turn, ready), by)

        return await again(attempt)

    async def put_back(self, row: Row, content: bytes, sha: BlobSha, mode: int, by: By) -> Written:
        """The file as it was committed, whatever it was then (`sha` of a submodule is its commit) and is now."""

        async def attempt() -> Written:
            async with self._rooms.turn(row.id) as turn:
                return await self._carry_out(turn, whole(turn, content, sha, mode), by)

        return await again(attempt)

    async def prepare(
        self,
        row: Row,
        content: Data,
        *,
        if_match: BlobSha | None = None,
        mode: int | None = None,
        base: str | None = None,
    ) -> Content:
        """Outside of the room: bytes go to the store, and a large merge is computed."""
        check_mode(content, mode)
        if kind_of(content, row.mode if mode is None else mode) != "text":
            await keep(self._objects, content)
        premerged = None if isinstance(content, Large) else await self._beside(row, content, if_match, base)
        return Content(content, if_match, mode, base, premerged)

    async def plan(self, turn: Turn, content: Content) -> Planned:
        """Inside the room, where nothing changes: `Overlap` where others have changed the same."""
        check_writable(turn.row, content.mode)
        mode = turn.row.mode if content.mode is None else content.mode
        planned = whole(turn, content.data, sha_of(content.data), mode)
        if planned.target is None or turn.row.kind != "text":
            self._check_unchanged(turn, content.if_match)
            return planned
        target, rebased = await self._merged(turn, planned.target, content)
        return replace(planned, target=target, rebased=rebased)

    def stage(self, turn: Turn, planned: Planned, by: By) -> Staged:
        """In memory, until it is committed."""
        row = planned.row
        wanted = {"kind": row.kind, "mode": row.mode, "eol": row.eol, "bom": row.bom, "object": row.object}
        meta = changed_meta(turn.row, wanted)
        position = turn.stage(
            actor=by.actor, target=planned.target, meta=meta, on_behalf_of=by.on_behalf_of, turn=by.turn
        )
        if planned.target is not None:
            row = file(row, planned.target, position).row
        else:
            assert row.object is not None  # what is no text has bytes
            row = replace(row, sha=row.object, size=size_of(planned.data), head=position, sha_position=position)
        fields: RowFields = {
            "kind": row.kind, "mode": row.mode, "eol": row.eol, "bom": row.bom, "object": row.object,
            "sha": row.sha, "size": row.size, "sha_position": row.sha_position,
        }  # fmt: skip
        return Staged(Written(row, created=False, rebased=planned.rebased), fields)

    def told(self, turn: Turn) -> BlobSha:
        """The SHA of the file as it is now: whoever is told may come back with it as his base."""
        now = sha(turn)
        self._contents.remember(turn.row.id, now, turn.position)
        return now

    async def check_blind(self, turn: Turn, actor: ActorId) -> None:
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
                details={"sha": self.told(turn), "actors": sorted(others)},
            )

    async def _base(self, row: Row, sha: BlobSha) -> str:
        """The text that this SHA names, as the document holds it; `Conflict` when that is not known any more."""
        position = await self._contents.base_position(row, sha)
        if position is None:
            raise Conflict(
                f"the version {sha} of this file is not known any more; read it again and repeat the change",
                code="base_unknown",
                field="If-Match",
            )
        return await history.text_at(self._store, row.id, position)

    async def _carry_out(self, turn: Turn, planned: Planned, by: By) -> Written:
        staged = self.stage(turn, planned, by)
        row = staged.written.row
        if turn.entries:
            await self._rooms.commit([turn], [SetDocument(id=row.id, fields=staged.fields)])
        self._contents.remember(row.id, row.sha, row.head)
        return staged.written

    async def _beside(self, row: Row, content: bytes, if_match: BlobSha | None, base: str | None) -> Premerged | None:
        opened = text.open_bytes(content)
        if if_match is None or opened is None or row.kind != "text" or len(content) < BESIDE:
            return None
        ours = (await self._contents.read(row)).content
        live = text.open_bytes(ours)
        if live is None or text.blob_sha(ours) == if_match:
            return None
        base = await self._base(row, if_match) if base is None else base
        result = await anyio.to_thread.run_sync(merge, base, live[0], opened[0])
        return None if isinstance(result, Conflicted) else Premerged(live[0], result.text)

    async def _merged(self, turn: Turn, theirs: str, content: Content) -> tuple[str, bool]:
        live, if_match = turn.document.text, content.if_match
        if if_match is None or sha(turn) == if_match:
            return theirs, False
        if content.premerged is not None and content.premerged.ours == live:
            return content.premerged.result, True
        base = await self._base(turn.row, if_match) if content.base is None else content.base
        result = merge(base, live, theirs)
        if isinstance(result, Conflicted):
            raise Overlap(
                "somebody changed the same lines since you read the file; nothing was changed",
                field="If-Match",
                details={
                    "hunks": [asdict(hunk) for hunk in result.hunks],
                    "diff": unified(base, live, paths.show(turn.row.path)),
                    "sha": self.told(turn),
                },
            )
        return result.text, True

    def _check_unchanged(self, turn: Turn, if_match: BlobSha | None) -> None:
        if if_match is not None and sha(turn) != if_match:
            raise Overlap(
                "the file changed since you read it, and it is not text that could be merged; nothing was changed",
                field="If-Match",
                details={"hunks": [], "sha": self.told(turn)},
            )


def whole(turn: Turn, content: Data, sha: BlobSha, mode: int) -> Planned:
    """The file is to be this and nothing else. `sha` names what is no text (of a submodule, its commit)."""
    kind = kind_of(content, mode)
    opened = text.open_bytes(content) if kind == "text" and isinstance(content, bytes) else None
    before = turn.document.text if turn.row.kind == "text" else None
    if opened is None:
        return Planned(replace(turn.row, kind=kind, mode=mode, object=sha), content, before, None, rebased=False)
    target, shape = opened
    row = replace(turn.row, kind=kind, mode=mode, eol=shape.eol, bom=shape.bom, object=None)
    return Planned(row, content, before, target, rebased=False)


def sha(turn: Turn) -> BlobSha:
    """Of the file as it is now."""
    return file(turn.row, turn.document.text, turn.position).row.sha if turn.row.kind == "text" else turn.row.sha


def check_mode(content: Data, mode: int | None) -> None:
    """What nobody may make here."""
    if mode == SUBMODULE:
        raise Conflict(_SUBMODULE, code="submodule", field="path")
    if mode == SYMLINK and (isinstance(content, Large) or not content or b"\0" in content):
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
