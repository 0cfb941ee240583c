"""A turn: changes to one file or several, all of them or none, under one id, undone in one step.

What it promises
1. Each file is changed against what its writer had read (`base`), by the one merge (collab.writing). Where others, or the
   writer itself, changed the same lines since, the whole turn is refused and nothing is changed; the answer names every
   file that stands in the way, not only the first.
2. The edits, the new files, the moves and deletions, and the turn's record are one transaction.
3. `undo` is a turn too: what the turn changed is merged back out of the live files, and what others wrote since stays. It
   works after a restart, and is itself undone by `redo`. A turn is undone once.
4. `dry_run` says what would be, and changes nothing.
5. Who has no socket is shown to the people in the room where it has just written (an agent that edits by HTTP).
6. No room is held while a base is read, edits are looked for, or a large merge is computed.

What breaks it: a log that cannot be read (that file refuses the turn).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

import anyio.to_thread
import msgspec

from collab import actors, edits, paths, text
from collab.anchors import Place
from collab.contents import Contents, File, is_position, object_key
from collab.edits import Replacement
from collab.errors import Conflict, Invalid, NotFound, Overlap, QuireError, Stale
from collab.gate import walk
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position, TurnId
from collab.large import sha_of, size_of
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.store.base import (
    Append,
    Change,
    CreateDocument,
    Emit,
    EntryKind,
    Event,
    Project,
    PutRecord,
    Row,
    RowFields,
    SetDocument,
    Store,
)
from collab.tree import FILE_MODE, Reshape, Tree, again, deleted, event, exact, moved, new_document, undeleted
from collab.turn import Turn
from collab.unified import unified
from collab.wish import Kind, Taken, Turned, TurnFile, TurnRecord, Wish, check
from collab.writing import By, Content, Planned, Writing, check_mode, sha, whole

COLLECTION: Final = "turns"

BESIDE: Final = 64_000
"""Characters from which edits are looked for in a thread."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _File:
    """One file on its way through a turn. `row` None: it is to be made."""

    path: Path
    row: Row | None
    to: Path | None = None
    content: Content | None = None
    new: tuple[bytes, int] | None = None
    delete: bool = False
    back: bool = False
    """It was deleted, and is to stand again."""
    untouched: BlobSha | None = None
    """It is deleted only as long as it still is this."""
    force: bool = False
    planned: Planned | None = None

    @property
    def leaves(self) -> bool:
        return not self.back and (self.delete or self.to is not None)


class Turns:
    def __init__(
        self,
        store: Store,
        objects: ObjectStore,
        rooms: Rooms,
        contents: Contents,
        writing: Writing,
        tree: Tree,
        clock: Callable[[], Millis],
    ) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._contents = contents
        self._writing = writing
        self._tree = tree
        self._clock = clock

    # -- what can be asked for ---------------------------------------------------------------------------------------

    async def take(
        self,
        project: Project,
        wishes: Sequence[Wish],
        actor: ActorId,
        *,
        on_behalf_of: ActorId | None = None,
        message: str = "",
        task: str | None = None,
        dry_run: bool = False,
    ) -> Taken:
        """See the module. `Invalid` (422) for edits that do not fit their base, `Conflict` (409) for what others did."""
        check(wishes)
        record = self._record(actor, on_behalf_of, message, task)

        async def attempt() -> Taken:
            files = await _each(wishes, lambda wish: wish.path, lambda wish: self._ready(project, wish))
            return await self._carry_out(project, files, record, dry_run)

        return await again(attempt)

    async def undo(
        self,
        project: Project,
        turn: TurnId,
        actor: ActorId,
        *,
        on_behalf_of: ActorId | None = None,
        dry_run: bool = False,
    ) -> Taken:
        """What a turn did, merged back. `Conflict` where others have changed the same since; nothing is changed then."""

        async def attempt() -> Taken:
            of = await self.record(project, turn)
            if of.undone_by is not None:
                raise Conflict(
                    f"this turn is undone already, by turn {of.undone_by}: redo it, or leave it",
                    code="already_undone",
                    field="turn",
                    details={"undone_by": of.undone_by},
                )
            files = await _each(of.files, lambda each: paths.parse(each.path), self._reversed)
            record = self._record(actor, on_behalf_of, f"Undo: {of.message}" if of.message else "", of.task)
            return await self._carry_out(project, files, record, dry_run, undoes=of)

        return await again(attempt)

    async def redo(
        self,
        project: Project,
        turn: TurnId,
        actor: ActorId,
        *,
        on_behalf_of: ActorId | None = None,
        dry_run: bool = False,
    ) -> Taken:
        """What was undone is done again: the undoing turn is undone."""
        of = await self.record(project, turn)
        if of.undone_by is None:
            raise Conflict("this turn is not undone", code="not_undone", field="turn")
        return await self.undo(project, of.undone_by, actor, on_behalf_of=on_behalf_of, dry_run=dry_run)

    async def record(self, project: Project, turn: TurnId) -> TurnRecord:
        raw = await self._store.record(COLLECTION, project.id, turn)
        if raw is None:
            raise NotFound(f"there is no turn {turn!r} in this project", field="turn")
        return msgspec.json.decode(raw, type=TurnRecord)

    async def records(self, project: Project) -> list[TurnRecord]:
        """The newest first."""
        found = await self._store.records(COLLECTION, project.id)
        return [msgspec.json.decode(raw, type=TurnRecord) for raw in reversed(list(found.values()))]

    # -- outside of the rooms ----------------------------------------------------------------------------------------

    async def _ready(self, project: Project, wish: Wish) -> _File:
        if wish.back is not None:
            return await self._back(project, wish, wish.back)
        row = await self._store.at_path(project.id, wish.path)
        if row is None and (wish.base is not None or wish.content is None):
            row = await self._contents.resolve(project.id, wish.path)  # where the old path leads
        if row is None:
            assert wish.content is not None  # else it would have been resolved
            return await self._new(wish, wish.content)
        if wish.create:
            raise Conflict(f"there is a file {paths.show(wish.path)} already", code="exists", field="path")
        base = await self.base(row, wish.base) if wish.base is not None else None
        if wish.delete:
            return _File(path=wish.path, row=row, delete=True, untouched=None if base is None else base.row.sha)
        content = await self._content(row, wish, base)
        return _File(path=wish.path, row=row, to=wish.to, content=content, force=wish.force)

    async def _back(self, project: Project, wish: Wish, document: DocumentId) -> _File:
        row = await self._store.document(document)
        if row is None or row.project != project.id or row.deleted_at is None:
            raise NotFound(f"{paths.show(wish.path)} is not among the deleted files", field="path")
        file = _File(path=row.path, row=row, to=wish.path, back=True)
        if wish.content is not None:
            file.content = await self._writing.prepare(row, wish.content, mode=wish.mode)
        return file

    async def _new(self, wish: Wish, content: bytes) -> _File:
        check_mode(content, wish.mode)
        mode = FILE_MODE if wish.mode is None else wish.mode
        if text.classify(content, mode) != "text":
            await self._objects.put(object_key(text.blob_sha(content)), content)
        return _File(path=wish.to or wish.path, row=None, new=(content, mode))

    async def base(self, row: Row, base: str) -> File:
        """What the writer had read."""
        if is_position(base):
            return await self._contents.read_at(row, base)
        if row.kind != "text" and row.sha == base:
            return await self._contents.read(row)
        position = await self._contents.base_position(row, BlobSha(base))
        if position is not None:
            return await self._contents.at(row, position)
        now = await self._contents.read(row)
        raise Conflict(
            f"the version {base} of {paths.show(row.path)} is not known any more: this is what the file is now",
            code="base_unknown",
            field="base",
            details={"sha": now.row.sha, "text": now.content.decode(errors="replace")},
        )

    async def _content(self, row: Row, wish: Wish, base: File | None) -> Content | None:
        data = wish.content
        if wish.edits:
            assert base is not None  # `check` has seen to it
            data = await _edited(row, wish.edits, base)
        if data is None:
            return None
        return await self._writing.prepare(
            row, data, if_match=None if base is None else base.row.sha, mode=wish.mode, base=_text(base)
        )

    async def _reversed(self, each: TurnFile) -> _File:
        """What would bring a file to where it stood before a turn."""
        row = await self._store.document(each.document)
        if row is None:
            raise NotFound(f"{each.path} does not exist any more", field="turn")
        if each.change == "deleted":
            if row.deleted_at is None:
                raise Conflict(f"{each.path} is back already", code="already_undone", field="turn")
            return _File(path=row.path, row=row, to=paths.parse(each.path), back=True)
        if row.deleted_at is not None:
            raise Conflict(f"{paths.show(row.path)} was deleted since", code="deleted_since", field="turn")
        after = await self._contents.at(row, each.after)
        if each.change in ("created", "undeleted"):
            return _File(path=row.path, row=row, delete=True, untouched=after.row.sha)
        stood, stands = paths.parse(each.path), paths.parse(each.to or each.path)
        if stood != stands and row.path != stands:
            raise Conflict(f"{each.to} was moved on to {paths.show(row.path)} since", code="moved_since", field="turn")
        before = await self._contents.at(row, each.before)
        file = _File(path=row.path, row=row, to=stood if stood != stands else None)
        if (before.row.sha, before.row.mode) != (after.row.sha, after.row.mode):
            mode = before.row.mode if before.row.mode != after.row.mode and row.mode == after.row.mode else None
            file.content = await self._writing.prepare(
                row, before.content, if_match=after.row.sha, mode=mode, base=_text(after)
            )
        return file

    def _record(self, actor: ActorId, on_behalf_of: ActorId | None, message: str, task: str | None) -> TurnRecord:
        now = self._clock()
        # Ids sort by time: the newest turns are the last of the collection.
        id_ = TurnId(f"{now:011x}{secrets.token_hex(5)[:9]}")
        return TurnRecord(id=id_, at=now, actor=actor, on_behalf_of=on_behalf_of, message=message, task=task)

    # -- inside of the rooms -----------------------------------------------------------------------------------------

    async def _carry_out(
        self,
        project: Project,
        files: Sequence[_File],
        record: TurnRecord,
        dry_run: bool,
        *,
        undoes: TurnRecord | None = None,
    ) -> Taken:
        async with AsyncExitStack() as stack:
            if any(each.row is None or each.leaves or each.back for each in files):
                await stack.enter_async_context(self._tree.shaping(project.id))
            turns = await stack.enter_async_context(
                self._rooms.turns(each.row.id for each in files if each.row is not None)
            )

            async def plan(each: _File) -> None:
                if each.row is not None:
                    await self._plan(each, each.row, turns[each.row.id], record.actor)

            await _each(files, lambda each: each.path, plan)
            await self._check_places(project, files)
            work = _Work(project, record, self._clock(), self._store, self._writing)
            if dry_run:
                return Taken(None, tuple(work.foreseen(each, turns) for each in files))
            taken = Taken(record.id, tuple(work.stage(each, turns) for each in files))
            work.write_down(undoes)
            await self._rooms.commit(list(turns.values()), work.changes, work.appends)
        for each in taken.files:
            self._contents.remember(each.row.id, each.row.sha, each.row.head)
        await self._appear(record, work.wrote)
        return taken

    async def _appear(self, record: TurnRecord, wrote: Mapping[DocumentId, Place | None]) -> None:
        who = await actors.actor(self._store, record.actor)
        for document, place in wrote.items():
            room = self._rooms.peek(document)
            if who.kind == "agent" and room is not None:
                room.appear(who, place, task=record.task)

    async def _plan(self, each: _File, row: Row, turn: Turn, actor: ActorId) -> None:
        if (turn.row.deleted_at is not None) is not each.back or turn.row.path != row.path:
            raise Stale("the file was moved, deleted or brought back meanwhile")
        if each.untouched is not None and sha(turn) != each.untouched:
            raise Overlap(
                f"{paths.show(row.path)} was edited since, and so it is not deleted",
                field="base",
                details={"sha": self._writing.told(turn), "hunks": []},
            )
        if each.content is not None and each.back:
            data, mode = each.content.data, each.content.mode
            each.planned = whole(turn, data, sha_of(data), turn.row.mode if mode is None else mode)
        elif each.content is not None:
            if each.content.if_match is None and not each.force:
                await self._writing.check_blind(turn, actor)
            each.planned = await self._writing.plan(turn, each.content)

    async def _check_places(self, project: Project, files: Sequence[_File]) -> None:
        """Where files are to stand, nothing else does."""
        leaving = frozenset(each.row.path for each in files if each.row is not None and each.leaves)
        made = [each.to or each.path for each in files if each.row is None or (each.to is not None and not each.back)]
        back = [each.to or each.path for each in files if each.back]
        await self._tree.check_places(project.id, made, back, leaving=leaving)


class _Work:
    """What a turn puts into rooms, log and catalog."""

    def __init__(self, project: Project, record: TurnRecord, now: Millis, store: Store, writing: Writing) -> None:
        self.changes: list[Change] = []
        self.appends: list[Append] = []
        self._project = project
        self._record = record
        self._now = now
        self._store = store
        self._writing = writing
        self._by = By(record.actor, record.on_behalf_of, record.id)
        self._files: list[TurnFile] = []
        self.wrote: dict[DocumentId, Place | None] = {}
        """Behind what it wrote last in each document."""

    def foreseen(self, each: _File, turns: Mapping[DocumentId, Turn]) -> Turned:
        """What `stage` would say."""
        if each.row is None:
            row, _ = self._new(each)
            return Turned(row, "created", rebased=False, diff=_diff(None, each))
        turn = turns[each.row.id]
        row = exact(turn)
        if each.planned is not None:
            row = replace(each.planned.row, sha=sha_of(each.planned.data), size=size_of(each.planned.data))
            if each.planned.target is not None:
                shaped = text.to_bytes(each.planned.target, text.Shape(row.eol, row.bom))
                row = replace(row, sha=text.blob_sha(shaped), size=len(shaped))
        same = (row.sha, row.mode, row.kind) == (exact(turn).sha, turn.row.mode, turn.row.kind)
        row = replace(row, path=each.to or row.path)
        return Turned(row, _kind(each, same), _rebased(each), _diff(turn, each))

    def stage(self, each: _File, turns: Mapping[DocumentId, Turn]) -> Turned:
        if each.row is None:
            return self._make(each)
        turn = turns[each.row.id]
        diff = _diff(turn, each)
        row, fields = exact(turn), RowFields()
        if each.planned is not None:
            staged = self._writing.stage(turn, each.planned, self._by)
            row, fields = staged.written.row, staged.fields
            self.wrote[row.id] = _behind(turn)
        wrote = bool(turn.entries)
        reshape = self._reshape(each, row)
        if reshape is not None:
            row, fields = self._shape(turn, row, fields, reshape, wrote)
        if not turn.entries:
            return Turned(row, "unchanged", _rebased(each), diff)
        self.changes.append(SetDocument(id=row.id, fields=fields))
        kind = _kind(each, not wrote)
        assert kind != "unchanged"  # there are entries
        self._tell(row, kind, turn.row.path, turn.position)
        return Turned(row, kind, _rebased(each), diff)

    def write_down(self, undoes: TurnRecord | None) -> None:
        """The turn's record, and in that of the turn that it undoes, that it does."""
        record = msgspec.structs.replace(
            self._record, files=tuple(self._files), undoes=None if undoes is None else undoes.id
        )
        self.changes.append(self._put(record, None))
        if undoes is not None:
            self.changes.append(self._put(msgspec.structs.replace(undoes, undone_by=record.id), undoes))
        told = {"turn": record.id, "message": record.message, "files": len(record.files), "undoes": record.undoes}
        self.changes.append(Emit(Event(project=self._project.id, kind="turn", actors=(self._by.actor,), data=told)))

    def _put(self, record: TurnRecord, expect: TurnRecord | None) -> PutRecord:
        return PutRecord(
            collection=COLLECTION,
            project=self._project.id,
            key=record.id,
            value=msgspec.json.encode(record),
            expect=None if expect is None else msgspec.json.encode(expect),
        )

    def _make(self, each: _File) -> Turned:
        row, append = self._new(each)
        self.appends.append(append)
        self.changes += [CreateDocument(row), Emit(event(row, "created", self._by.actor))]
        self._tell(row, "created", row.path, Position(0))
        return Turned(row, "created", rebased=False, diff=_diff(None, each))

    def _new(self, each: _File) -> tuple[Row, Append]:
        assert each.new is not None  # who has no row is to be made
        content, mode = each.new
        row, append = new_document(self._store, self._project.id, each.path, content, mode, self._by.actor)
        entries = tuple(
            replace(entry, on_behalf_of=self._by.on_behalf_of, turn=self._by.turn) for entry in append.entries
        )
        return row, replace(append, entries=entries)

    def _reshape(self, each: _File, row: Row) -> Reshape | None:
        if each.delete:
            return deleted(row, self._by.actor, self._now)
        if each.back:
            return undeleted(row, each.to or row.path, self._by.actor)
        if each.to is None or each.to == row.path:
            return None
        return moved(row, each.to, self._by.actor)

    def _shape(self, turn: Turn, row: Row, fields: RowFields, reshape: Reshape, wrote: bool) -> tuple[Row, RowFields]:
        _, shaped, meta, happened = reshape
        head = turn.stage(actor=self._by.actor, meta=meta, on_behalf_of=self._by.on_behalf_of, turn=self._by.turn)
        fields = {**fields, **shaped, "sha": row.sha, "size": row.size, "sha_position": head}
        if not wrote:
            fields["announced"] = head  # this event tells all of it
        self.changes.append(Emit(replace(happened, sha=row.sha, position=head)))
        return replace(row, head=head, **fields), fields

    def _tell(self, row: Row, kind: Kind, stood: Path, before: Position) -> None:
        to = paths.show(row.path) if row.path != stood else None
        self._files.append(
            TurnFile(document=row.id, path=paths.show(stood), change=kind, before=before, after=row.head, to=to)
        )


def _kind(each: _File, same: bool) -> Kind | Literal["unchanged"]:
    if each.delete:
        return "deleted"
    if each.back:
        return "undeleted"
    if each.to is not None and each.row is not None and each.to != each.row.path:
        return "moved"
    return "unchanged" if same else "edited"


def _behind(turn: Turn) -> Place | None:
    """The place behind what a turn has just written; None when it only deleted."""
    for entry in reversed(turn.entries):
        if entry.kind == EntryKind.UPDATE:
            for client, ranges in walk(entry.payload).news.items():
                return Place(client, ranges[-1][1] - 1, "behind")
    return None


def _rebased(each: _File) -> bool:
    return each.planned is not None and each.planned.rebased


def _diff(turn: Turn | None, each: _File) -> str:
    """Of texts: what leaves and what comes."""
    path = paths.show(each.to or each.path)
    if turn is None:
        assert each.new is not None  # it is to be made
        opened = text.open_bytes(each.new[0]) if text.classify(*each.new) == "text" else None
        return "" if opened is None else unified("", opened[0], path)
    if each.delete:
        return unified(turn.document.text, "", path) if turn.row.kind == "text" else ""
    planned = each.planned
    if planned is None or planned.before is None or planned.target is None:
        return ""
    return unified(planned.before, planned.target, path)


def _text(file: File | None) -> str | None:
    """As the document holds it."""
    if file is None or file.row.kind != "text":
        return None
    opened = text.open_bytes(file.content)
    return None if opened is None else opened[0]


async def _edited(row: Row, wanted: Sequence[Replacement], base: File) -> bytes:
    before = _text(base)
    if before is None or row.kind != "text":
        raise Invalid(f"{paths.show(row.path)} is no text: write its content as a whole", field="path")
    if len(before) < BESIDE:
        after = edits.apply(before, wanted)
    else:
        after = await anyio.to_thread.run_sync(edits.apply, before, wanted)
    return text.to_bytes(after, text.Shape(row.eol, row.bom))


A = TypeVar("A")


async def _each(items: Sequence[A], path: Callable[[A], Path], work: Callable[[A], Awaitable[T]]) -> list[T]:
    """The work for every file; what stands in the way of each is gathered, so that it can be mended at once."""
    done: list[T] = []
    refused: list[tuple[Path, QuireError]] = []
    for item in items:
        try:
            done.append(await work(item))
        except Stale:
            raise
        except (Invalid, NotFound, Conflict) as error:
            refused.append((path(item), error))
    if refused:
        raise _refusal(refused, alone=len(items) == 1)
    return done


def _refusal(refused: Sequence[tuple[Path, QuireError]], *, alone: bool) -> QuireError:
    path, error = refused[0]
    if alone:
        error.details.setdefault("path", paths.show(path))
        return error
    files = [
        {"path": paths.show(path), "code": error.name, "message": error.message, "field": error.field, **error.details}
        for path, error in refused
    ]
    kind = next((type(error) for _, error in refused if isinstance(error, Conflict)), type(error))
    named = ", ".join(paths.show(path) for path, _ in refused[:5])
    return kind(
        f"nothing was changed, because of {named}{' and more' if len(refused) > 5 else ''}: {error.message}",
        code=error.name if len({error.name for _, error in refused}) == 1 else "turn_refused",
        field="files",
        details={"files": files},
    )
