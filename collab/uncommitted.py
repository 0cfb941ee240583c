"""What the git branch does not hold yet: listed, with who did it since when, and discarded if wanted.

A discard is an edit like any other: it goes through the room, leaves others' cursors where they are, and can be undone
from the history.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from collab import actors, bases
from collab.bases import Base, Changed, ChangeKind
from collab.contents import Contents
from collab.crowd import aside
from collab.errors import NotFound, Quarantined
from collab.ids import ActorId, DocumentId, Millis, Path, Position, ProjectId
from collab.store.base import Row, Store
from collab.tree import Tree
from collab.writing import By, Writing

UNTOUCHED: Final = 2
"""The head of a document that nobody has edited since it was made: its metadata, its text."""


@dataclass(frozen=True, slots=True)
class FileChange:
    path: Path
    change: ChangeKind
    document: DocumentId
    from_path: Path | None
    actors: tuple[ActorId, ...]
    since: Millis


class Uncommitted:
    def __init__(self, store: Store, contents: Contents, tree: Tree, writing: Writing) -> None:
        self._store = store
        self._contents = contents
        self._tree = tree
        self._writing = writing

    async def changed(self, project: ProjectId) -> list[Changed]:
        """What differs from the branch, with exact rows: one cut, of the moment at which the tree was read. What cannot be
        read is held back: it stays as it was committed. What it costs here follows what differs."""
        found, records = await self._store.unlike(project, bases.COLLECTION)
        held = await aside(len(records), bases.decoded, records)
        rows = [await self._cut(row, held.get(row.path)) for row in found]
        return await aside(len(rows), bases.changes, [row for row in rows if row is not None], held)

    async def _cut(self, row: Row, base: Base | None) -> Row | None:
        if row.quarantined is None:
            with suppress(Quarantined):  # found just now: it is held back like those that are known
                return await self._contents.cut(row)
        return None if base is None else replace(row, sha=base.sha, mode=base.mode)

    async def changes(self, project: ProjectId) -> list[FileChange]:
        return [await self._described(each) for each in await self.changed(project)]

    async def _described(self, each: Changed) -> FileChange:
        who, since = await self._who(each)
        document = each.row.id if each.row is not None else each.base.document if each.base is not None else None
        assert document is not None  # a change has a row or a base
        origin = each.base.path if each.change == "renamed" and each.base is not None else None
        return FileChange(each.path, each.change, document, origin, who, since)

    async def _who(self, each: Changed) -> tuple[tuple[ActorId, ...], Millis]:
        """Whose entries made the difference, and the time of the first."""
        row = each.row
        if row is None and each.base is not None:
            row = await self._store.document(each.base.document)
        if row is None:
            return (), Millis(0)
        if each.base is None and row.head <= UNTOUCHED:
            return (row.created_by,), row.created_at
        after = each.base.position if each.base is not None and each.base.document == row.id else Position(0)
        wrote = await self._store.actors(row.id, after, row.head)
        if not wrote:
            return (row.updated_by,), row.updated_at
        [first] = await self._store.entries(row.id, after, Position(after + 1))
        # What was pulled in between is in git already.
        return tuple(each for each in wrote if not actors.is_from_git(each)) or tuple(wrote), first.at

    async def discard(self, project: ProjectId, path: Path, actor: ActorId, now: Millis) -> Row | None:
        """The path as the branch has it; None when it is gone then, because it was only added."""
        found = next((each for each in await self.changed(project) if each.path == path), None)
        if found is None:
            raise NotFound(f"{path!r} does not differ from the last commit", field="path")
        if found.base is None:
            await self._tree.delete(project, path, actor, now, recursive=False)
            return None
        committed = await self._contents.committed(found.base)
        row = await self._back_in_place(found, found.base, actor)
        return (await self._writing.put_back(row, committed, found.base.sha, found.base.mode, By(actor))).row

    async def _back_in_place(self, found: Changed, base: Base, actor: ActorId) -> Row:
        """The live document that stands, or is to stand, at the base's path."""
        if found.row is not None and found.change != "renamed":
            return found.row
        row = await self._store.document(base.document)
        if row is None:
            raise NotFound("the committed version of this file is not known any more", field="path")
        return await self._tree.put_back(row, base.path, actor)
