"""What git brings enters the live documents: the one merge, with what may move only once in the same transaction.

What it promises
1. A merge is made in a turn of the room, against the live text. Clean: the difference enters as minimal edits, so that
   cursors, selections and undo stay. Overlap: nothing is applied, and the hunks are the answer; the bytes of ours lie
   among the objects by then.
2. Whatever else says that this has been done (a base, a conflict) is changed in the same transaction: `changes` is asked
   for it when the outcome is known. When its swap loses (`Stale`), nothing happened.
3. A file is deleted, or replaced by bytes, only if it still is what the caller has seen; an edit that is on its way in
   counts. Else `Stale`: look again.
4. Line endings, BOM, mode and text are merged one by one: a new line ending is no conflict with a new word.
5. A large merge is computed beside the room; the turn adds what was typed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import anyio

from collab import paths, text
from collab.contents import Contents, File, file, object_key
from collab.errors import Stale
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId
from collab.merge import Conflicted, Hunk, Merged, Take, choose, merge
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.staging import Incoming
from collab.store.base import Change, CreateDocument, DocumentKind, Emit, Row, RowFields, SetDocument, Store
from collab.text import Shape
from collab.tree import Tree, event, meta_entry, new_document
from collab.turn import Turn
from collab.writing import BESIDE, changed_meta

_TYPE: Final = 0o170000
_REGULAR: Final = 0o100000


@dataclass(frozen=True, slots=True)
class Ingested:
    """The file as it is then. `exact`: byte for byte what was pushed."""

    row: Row
    exact: bool


@dataclass(frozen=True, slots=True)
class Collided:
    """Both sides have changed the same lines, or what has no lines. Nothing was changed."""

    kind: Literal["lines", "binary", "type"]
    ours: File
    hunks: tuple[Hunk, ...] = ()


Also = Callable[[Ingested | Collided], Sequence[Change]]
"""What is committed along with an outcome; of a collision that alone."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the file is to be. `target` None: its bytes are those of `object`, or stay."""

    kind: DocumentKind
    mode: int
    shape: Shape
    target: str | None = None
    object: BlobSha | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Beside:
    ours: str
    outcome: Merged | Conflicted


class Ingest:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms, contents: Contents, tree: Tree) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._contents = contents
        self._tree = tree

    async def keep(self, *contents: bytes) -> None:
        """Among the objects, for good."""
        for each in contents:
            await self._objects.put(object_key(text.blob_sha(each)), each)

    async def kept(self, sha: BlobSha) -> bytes:
        return (await self._objects.get(object_key(sha))).content

    async def has(self, sha: BlobSha) -> bool:
        """Whether the bytes are among the objects."""
        return await self._objects.exists(object_key(sha))

    async def merge(
        self,
        row: Row,
        base: Incoming | None,
        theirs: Incoming,
        actor: ActorId,
        also: Also,
        *,
        move: Path | None = None,
        prefer: Take | None = None,
        expect: tuple[BlobSha, int] | None = None,
        on_behalf_of: ActorId | None = None,
    ) -> Ingested | Collided:
        """Theirs, made of `base`, into the live file, which also goes to `move`. `prefer` decides hunks in conflict.
        `expect`: SHA and mode that the file must still have."""
        await self._keep_bytes(theirs)
        beside = await self._beside(row, base, theirs, prefer)
        async with AsyncExitStack() as stack:
            turn = await self._turn(stack, row, move)
            current = self._now(turn)
            if expect not in (None, (current.row.sha, current.row.mode)):
                raise Stale("the file was edited meanwhile")
            outcome = _plan(current, turn.document.text, base, theirs, prefer, beside)
            if isinstance(outcome, Collided):
                if outcome.ours.row.kind == "text":
                    await self.keep(outcome.ours.content)  # before anything says that there is a conflict
                await self._rooms.commit([turn], also(outcome))
                return outcome
            return await self._carry_out(turn, outcome, theirs, actor, also, move, on_behalf_of=on_behalf_of)

    async def collision(self, row: Row, base: Incoming | None, theirs: Incoming) -> Collided | None:
        """What `merge` would collide with now. Nothing is changed."""
        beside = await self._beside(row, base, theirs, None)
        async with AsyncExitStack() as stack:
            turn = await self._turn(stack, row, None)
            outcome = _plan(self._now(turn), turn.document.text, base, theirs, None, beside)
        return outcome if isinstance(outcome, Collided) else None

    async def write(
        self, row: Row, content: bytes, mode: int, actor: ActorId, also: Also, *, move: Path | None = None
    ) -> Ingested:
        """What somebody has decided that the file is to be, whatever it is now."""
        wanted = Incoming(move or row.path, mode, content, text.blob_sha(content))
        await self._keep_bytes(wanted)
        async with AsyncExitStack() as stack:
            turn = await self._turn(stack, row, move)
            return await self._carry_out(turn, _whole(wanted), wanted, actor, also, move)

    async def create(
        self,
        project: ProjectId,
        theirs: Incoming,
        actor: ActorId,
        also: Also,
        *,
        gone: Row | None = None,
        on_behalf_of: ActorId | None = None,
    ) -> Ingested:
        """A new file; or `gone`, a tombstone, comes back with its history."""
        await self._keep_bytes(theirs)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._tree.shaping(project))
            await self._tree.check_carried(project, theirs.path)
            if gone is not None:
                turn = await stack.enter_async_context(self._rooms.turn(gone.id))
                if turn.row.deleted_at is None:
                    raise Stale("the file is back already")
                return await self._carry_out(
                    turn, _whole(theirs), theirs, actor, also, theirs.path, back=True, on_behalf_of=on_behalf_of
                )
            row, append = new_document(
                self._store, project, theirs.path, theirs.content, theirs.mode, actor, sha=theirs.sha
            )
            append = replace(append, entries=tuple(replace(each, on_behalf_of=on_behalf_of) for each in append.entries))
            made = Ingested(row, exact=True)
            changes = [CreateDocument(row), Emit(event(row, "created", actor)), *also(made)]
            self._rooms.tell(await self._store.commit([append], changes))
            self._contents.remember(row.id, row.sha, row.head)
            return made

    async def bury(self, project: ProjectId, theirs: Incoming, actor: ActorId, now: Millis, also: Also) -> Ingested:
        """A tombstone of what was pushed and is not wanted: it can be brought back."""
        await self._keep_bytes(theirs)
        row, append = new_document(
            self._store, project, theirs.path, theirs.content, theirs.mode, actor, sha=theirs.sha
        )
        made = Ingested(row, exact=True)
        deleted: RowFields = {"deleted_at": now, "deleted_by": actor}
        changes = [CreateDocument(replace(row, **deleted)), *also(made)]
        entry = meta_entry(actor, {"deleted": True})
        await self._store.commit([replace(append, entries=(*append.entries, entry))], changes)
        return made

    async def delete(
        self,
        row: Row,
        actor: ActorId,
        now: Millis,
        also: Also,
        *,
        expect: tuple[BlobSha, int] | None = None,
        on_behalf_of: ActorId | None = None,
    ) -> Ingested:
        """A tombstone. `expect`: SHA and mode that the file must still have."""
        async with AsyncExitStack() as stack:
            turn = await self._turn(stack, row, None)
            current = self._now(turn).row
            if turn.room.waited_for or expect not in (None, (current.sha, current.mode)):
                raise Stale("the file was edited meanwhile")
            position = turn.stage(actor=actor, meta={"deleted": True}, on_behalf_of=on_behalf_of)
            fields: RowFields = {
                "deleted_at": now, "deleted_by": actor, "announced": position, "sha": current.sha,
                "size": current.size, "sha_position": position,
            }  # fmt: skip
            after = replace(current, head=position, deleted_at=now, deleted_by=actor)
            happened = replace(event(after, "deleted", actor), position=position)
            done = Ingested(after, exact=True)
            await self._rooms.commit([turn], [SetDocument(id=row.id, fields=fields), Emit(happened), *also(done)])
        return done

    async def settle(self, row: Row, also: Callable[[File], Sequence[Change]]) -> None:
        """Nothing of the file changes: only what is said about it, as it is now."""
        async with AsyncExitStack() as stack:
            turn = await self._turn(stack, row, None)
            await self._rooms.commit([turn], also(self._now(turn)))

    # -- inside a turn -----------------------------------------------------------------------------------------------

    async def _turn(self, stack: AsyncExitStack, row: Row, move: Path | None) -> Turn:
        if move is not None:
            await stack.enter_async_context(self._tree.shaping(row.project))
            await self._tree.check_carried(row.project, move, leaving=frozenset({row.path}))
        turn = await stack.enter_async_context(self._rooms.turn(row.id))
        if turn.row.deleted_at is not None or turn.row.path != row.path:
            raise Stale("the file was moved or deleted meanwhile")
        return turn

    def _now(self, turn: Turn) -> File:
        """As it is; of what is not text, the row alone."""
        if turn.row.kind == "text":
            return file(turn.row, turn.document.text, turn.position)
        return File(turn.row, b"")

    async def _carry_out(
        self,
        turn: Turn,
        plan: _Plan,
        theirs: Incoming,
        actor: ActorId,
        also: Also,
        move: Path | None,
        *,
        back: bool = False,
        on_behalf_of: ActorId | None = None,
    ) -> Ingested:
        before = turn.row
        path = move or before.path
        wanted = {
            "path": paths.show(path), "kind": plan.kind, "mode": plan.mode, "eol": plan.shape.eol,
            "bom": plan.shape.bom, "object": plan.object,
        }  # fmt: skip
        stands = replace(before, path=Path(paths.show(before.path)))
        meta: dict[str, Any] = {**(changed_meta(stands, wanted) or {}), **({"deleted": False} if back else {})}
        position = turn.stage(actor=actor, target=plan.target, meta=meta or None, on_behalf_of=on_behalf_of)
        row = replace(
            before, path=path, kind=plan.kind, mode=plan.mode, eol=plan.shape.eol, bom=plan.shape.bom,
            object=plan.object, head=position, deleted_at=None, deleted_by=None,
        )  # fmt: skip
        if plan.kind == "text":
            row = file(row, turn.document.text, position).row
        else:
            assert plan.object is not None  # what is not text has bytes
            row = replace(row, sha=plan.object, size=plan.size, sha_position=position)
        done = Ingested(row, exact=row.sha == theirs.sha)
        changes: list[Change] = []
        if turn.entries:
            fields: RowFields = {
                "kind": row.kind, "mode": row.mode, "eol": row.eol, "bom": row.bom, "object": row.object,
                "sha": row.sha, "size": row.size, "sha_position": row.sha_position,
            }  # fmt: skip
            if path != before.path:
                fields["path"] = path
            if back:
                fields["deleted_at"] = fields["deleted_by"] = None
            changes.append(SetDocument(id=row.id, fields=fields))
        if back:
            changes.append(Emit(event(row, "undeleted", actor)))
        elif path != before.path:
            changes.append(Emit(replace(event(before, "moved", actor, path=path), position=position)))
        await self._rooms.commit([turn], [*changes, *also(done)])
        self._contents.remember(row.id, row.sha, row.head)
        return done

    # -- before a turn -----------------------------------------------------------------------------------------------

    async def _keep_bytes(self, each: Incoming) -> None:
        if text.classify(each.content, each.mode) not in ("text", "submodule"):
            await self._objects.put(object_key(each.sha), each.content)

    async def _beside(self, row: Row, base: Incoming | None, theirs: Incoming, prefer: Take | None) -> _Beside | None:
        opened = _open(theirs)
        if row.kind != "text" or opened is None or len(theirs.content) < BESIDE:
            return None
        async with self._rooms.turn(row.id) as turn:
            live = turn.document.text
        outcome = await anyio.to_thread.run_sync(_lines, _base_text(base), live, opened[0], prefer)
        return _Beside(live, outcome)


def _plan(
    current: File, live: str, base: Incoming | None, theirs: Incoming, prefer: Take | None, beside: _Beside | None
) -> _Plan | Collided:
    """Mode, line ending, BOM and content, each by itself."""
    row = current.row
    stays = _Plan(row.kind, row.mode, Shape(row.eol, row.bom), None, row.object, row.size)
    before = (base.sha, base.mode) if base is not None else None
    if (row.sha, row.mode) == (theirs.sha, theirs.mode) or before == (theirs.sha, theirs.mode):
        return stays
    if before == (row.sha, row.mode):
        return _whole(theirs)
    if row.mode & _TYPE != theirs.mode & _TYPE:
        return _preferred(Collided("type", current), stays, theirs, prefer)
    takes_mode = row.mode == base.mode if base is not None else prefer == "theirs"
    mode = theirs.mode if takes_mode and row.mode & _TYPE == _REGULAR else row.mode
    if row.sha == theirs.sha or (base is not None and base.sha == theirs.sha):
        return replace(stays, mode=mode)
    if base is not None and base.sha == row.sha:
        return replace(_whole(theirs), mode=mode)
    opened = _open(theirs)
    if row.kind != "text" or opened is None or row.mode & _TYPE != _REGULAR:
        return _preferred(Collided("binary", current), replace(stays, mode=mode), theirs, prefer)
    outcome = _with_what_was_typed(beside, live) or _lines(_base_text(base), live, opened[0], prefer)
    if isinstance(outcome, Conflicted):
        return Collided("lines", current, outcome.hunks)
    shape = Shape(row.eol, row.bom) if live or base is not None else opened[1]
    return _Plan("text", mode, _shape(base, shape, opened[1]), outcome.text)


def _preferred(collided: Collided, ours: _Plan, theirs: Incoming, prefer: Take | None) -> _Plan | Collided:
    if prefer == "ours":
        return ours
    return _whole(theirs) if prefer == "theirs" else collided


def _with_what_was_typed(beside: _Beside | None, live: str) -> Merged | Conflicted | None:
    """What was computed beside the room, if that still holds; None: compute it here."""
    if beside is None or beside.ours == live:
        return None if beside is None else beside.outcome
    if isinstance(beside.outcome, Conflicted):
        return None
    again = merge(beside.ours, live, beside.outcome.text)
    return again if isinstance(again, Merged) else None


def _lines(base: str, ours: str, theirs: str, prefer: Take | None) -> Merged | Conflicted:
    if prefer is not None:
        return Merged(choose(base, ours, theirs, prefer))
    return merge(base, ours, theirs)


def _whole(theirs: Incoming) -> _Plan:
    kind = text.classify(theirs.content, theirs.mode)
    opened = text.open_bytes(theirs.content) if kind == "text" else None
    if opened is None:
        return _Plan(kind, theirs.mode, Shape(), None, theirs.sha, len(theirs.content))
    return _Plan("text", theirs.mode, opened[1], opened[0])


def _open(each: Incoming | None) -> tuple[str, Shape] | None:
    if each is None or text.classify(each.content, each.mode) != "text":
        return None
    return text.open_bytes(each.content)


def _base_text(base: Incoming | None) -> str:
    opened = _open(base)
    return "" if opened is None else opened[0]


def _shape(base: Incoming | None, ours: Shape, theirs: Shape) -> Shape:
    opened = _open(base)
    if opened is None:
        return ours
    before = opened[1]
    return Shape(theirs.eol if ours.eol == before.eol else ours.eol, theirs.bom if ours.bom == before.bom else ours.bom)
