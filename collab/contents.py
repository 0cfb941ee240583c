"""The bytes of a project's files: now, and as they were.

What it promises
1. A file that is read is what the log holds at the position that comes with it: an open room is asked in a turn, a
   closed document is loaded from the log.
2. A SHA that was handed out names a position from then on, so that an edit against it finds its base. What is
   remembered in memory is bounded; after it the catalog, the last commit and the events are asked, which know every SHA
   that stood for a second.
3. Failure is never reported as absence.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import anyio

from collab import bases, history, text
from collab.bases import Base
from collab.errors import Invalid, NotFound, Quarantined
from collab.ids import BlobSha, DocumentId, Millis, Path, Position, ProjectId
from collab.objects.base import CHUNK, ObjectStore
from collab.rooms import Rooms
from collab.store.base import Row, Store

HANDED_OUT: Final = 50_000
"""SHAs whose positions are remembered."""

SUBMODULE: Final = 0o160000

AT_ONCE: Final = 8
"""Documents read side by side."""

HELD: Final = CHUNK
"""Bytes of an object that is read as a whole by whoever can take it in pieces."""


@dataclass(frozen=True, slots=True)
class File:
    """`row`'s sha, size and head are those of `content`."""

    row: Row
    content: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A file whose bytes are too many to be held: they lie among the objects, under `key`. `row` is as in `File`."""

    row: Row
    key: str


def object_key(sha: BlobSha) -> str:
    return f"objects/{sha}"


class Contents:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._positions: OrderedDict[tuple[DocumentId, BlobSha], Position] = OrderedDict()

    async def resolve(self, project: ProjectId, path: Path) -> Row:
        """The document at this path, or the one that was moved away from it, if nothing took its place."""
        row = await self._store.at_path(project, path) or await self._store.led_from(project, path)
        if row is None:
            raise NotFound(f"there is no file {path!r}", field="path")
        return row

    async def read(self, row: Row) -> File:
        if row.kind != "text":
            return self._handed_out(File(row, await self.object(row.kind, row.object)))
        room = self._rooms.peek(row.id)
        if room is not None and room.gone is None:
            async with self._rooms.turn(row.id) as turn:
                return self._handed_out(file(turn.row, turn.document.text, turn.position))
        loaded = await self._store.load(row.id)
        if loaded is None:
            raise NotFound(f"the file {row.path!r} was removed meanwhile", field="path")
        document = history.rebuild(loaded)
        try:
            return self._handed_out(file(row, document.text, loaded.head))
        finally:
            document.close()

    async def open(self, row: Row) -> File | Stored:
        """As `read`; but of what is large, where it lies."""
        if row.kind != "binary" or row.object is None or row.size <= HELD:
            return await self.read(row)
        self.remember(row.id, row.sha, row.head)
        return Stored(row, object_key(row.object))

    async def exact(self, row: Row) -> Row:
        """The row, with the SHA and size of what the log holds now. One that cannot be read stays as it was known."""
        if settled(row):
            self.remember(row.id, row.sha, row.head)
            return row
        try:
            return (await self.read(row)).row
        except Quarantined:
            return row

    async def cut(self, row: Row) -> Row:
        """The row with the SHA and size of its text at exactly `row.head`, whatever has been written since: rows that one
        transaction read are one cut. `Quarantined` when it cannot be read."""
        if settled(row):
            return row
        content = await self._text_at_head(row)
        return self._handed_out(file(row, content, row.head)).row

    async def _text_at_head(self, row: Row) -> str:
        room = self._rooms.peek(row.id)
        if room is not None and room.gone is None:
            async with self._rooms.turn(row.id) as turn:
                if turn.position == row.head:
                    return turn.document.text
        return await history.text_at(self._store, row.id, row.head)

    async def read_rows(self, rows: Sequence[Row | None]) -> list[File | None]:
        found: list[File | None] = [None] * len(rows)
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(index: int, row: Row) -> None:
            async with limiter:
                found[index] = await self.read(row)

        async with anyio.create_task_group() as tasks:
            for index, row in enumerate(rows):
                if row is not None:
                    tasks.start_soon(one, index, row)
        return found

    async def read_at(self, row: Row, at: str) -> File:
        """As it was: `at` is a position (up to 16 digits) or a time (RFC 3339)."""
        return self._handed_out(await self.at(row, await self._reached(row, at)))

    async def open_at(self, row: Row, at: str) -> File | Stored:
        """As `read_at`; but of what is large, where it lies."""
        return await self.open_position(row, await self._reached(row, at))

    async def open_position(self, row: Row, position: Position) -> File | Stored:
        then = await then_of(self._store, row, position)
        if then.kind == "binary" and then.object is not None:
            size = row.size if then.object == row.object else await self._objects.size(object_key(then.object))
            if size > HELD:
                stored = replace(then, sha=then.object, size=size)
                self.remember(row.id, stored.sha, position)
                return Stored(stored, object_key(then.object))
        return self._handed_out(await _read(self._store, self._objects, then))

    async def at(self, row: Row, position: Position) -> File:
        return await at(self._store, self._objects, row, position)

    async def _reached(self, row: Row, at: str) -> Position:
        position = await self.position(row.id, at)
        if position > row.head:
            raise Invalid(f"position {position} has not been reached; the newest is {row.head}", field="at")
        if position == 0:
            raise NotFound("the file did not exist then", field="at")
        return position

    async def position(self, document: DocumentId, at: str) -> Position:
        if is_position(at):
            return Position(int(at))
        return await self._store.position_at(document, moment(at))

    async def object(self, kind: str, sha: BlobSha | None) -> bytes:
        """The bytes of what is not text."""
        return await _object(self._objects, kind, sha)

    async def base_position(self, row: Row, sha: BlobSha) -> Position | None:
        """The position that this SHA names, if that is still known."""
        known = self._positions.get((row.id, sha))
        if known is not None:
            return known
        if row.sha == sha:
            return row.sha_position
        base = await bases.base(self._store, row.project, row.path)
        if base is not None and base.document == row.id and base.sha == sha and not base.apart:
            return base.position
        return await self._store.named(row.id, sha)

    async def committed(self, base: Base) -> bytes:
        """What the branch holds, as `base` says: the bytes of a file, a symlink's target."""
        if base.apart:
            return b"" if base.mode == SUBMODULE else (await self._objects.get(object_key(base.sha))).content
        row = await self._store.document(base.document)
        if row is None:
            raise NotFound(f"the committed version of {base.path!r} is not known any more", field="path")
        return (await self.at(row, base.position)).content

    def remember(self, document: DocumentId, sha: BlobSha, position: Position) -> None:
        self._positions[document, sha] = position
        self._positions.move_to_end((document, sha))
        while len(self._positions) > HANDED_OUT:
            self._positions.popitem(last=False)

    def _handed_out(self, found: File) -> File:
        self.remember(found.row.id, found.row.sha, found.row.head)
        return found


async def at(store: Store, objects: ObjectStore, row: Row, position: Position) -> File:
    """The file as the log has it at a position. Needs no rooms: a process beside the server can ask as well."""
    return await _read(store, objects, await then_of(store, row, position))


async def then_of(store: Store, row: Row, position: Position) -> Row:
    """Its row at that position; SHA and size are not looked at."""
    meta = await history.meta_at(store, row.id, position)
    return replace(
        row, path=meta.path, kind=meta.kind, mode=meta.mode, eol=meta.eol, bom=meta.bom, object=meta.object,
        head=position, sha_position=position,
    )  # fmt: skip


async def _read(store: Store, objects: ObjectStore, then: Row) -> File:
    if then.kind == "text":
        return file(then, await history.text_at(store, then.id, then.head), then.head)
    content = await _object(objects, then.kind, then.object)
    return File(replace(then, sha=then.object or text.blob_sha(content), size=len(content)), content)


async def _object(objects: ObjectStore, kind: str, sha: BlobSha | None) -> bytes:
    """A submodule has no bytes: its SHA is a commit."""
    if kind == "submodule" or sha is None:
        return b""
    return (await objects.get(object_key(sha))).content


def settled(row: Row) -> bool:
    """The catalog's SHA and size are those of what the log holds now."""
    return row.sha_position == row.head or row.kind != "text"


def file(row: Row, content: str, position: Position) -> File:
    data = text.to_bytes(content, text.Shape(row.eol, row.bom))
    return File(replace(row, sha=text.blob_sha(data), size=len(data), head=position, sha_position=position), data)


def is_position(at: str) -> bool:
    """Up to 16 digits, of those that `int` and everybody's clients know."""
    return re.fullmatch("[0-9]{1,16}", at) is not None


def moment(at: str) -> Millis:
    """RFC 3339 -> milliseconds."""
    try:
        parsed = datetime.fromisoformat(at)
        if parsed.tzinfo is None:
            raise Invalid(f"the time {at!r} has no zone; append Z for UTC", field="at")
        return Millis(int(parsed.astimezone(UTC).timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{at!r} is neither a position nor a time; a time is like 2026-01-31T12:00:00Z", field="at"
        ) from error
