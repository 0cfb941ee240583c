"""The shape of a project's tree: what stands at which path.

What it promises
1. A document keeps its id, its history and its cursors when it moves; the old path leads to it as long as nothing else
   takes it.
2. A path made here is portable, and neither a file stands where a directory is, nor two names side by side that differ
   in case or normal form alone. What git brought is not judged.
3. What is deleted can be brought back, at its path, with its history. Its peers are told (4404). Of a directory, what the
   last act deleted comes back as a whole.
4. Every change is one transaction, with its events; a directory moves or goes as a whole. The events tell the SHA of the
   text at their position.

What breaks it: two processes that shape one tree at the same time could make twins (exact paths stay unique, by the
store).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import Final, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from collab import gate, paths, text
from collab.contents import file, settled
from collab.document import seed
from collab.errors import NotFound, PathInvalid, PathTaken, Quarantined, Stale, Unavailable
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position, ProjectId, fresh
from collab.large import Data, keep, kind_of, sha_of, size_of
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.store.base import (
    Append,
    Change,
    CreateDocument,
    Emit,
    Entry,
    EntryKind,
    Event,
    Row,
    RowFields,
    SetDocument,
    Store,
)
from collab.turn import Turn

FILE_MODE: Final = 0o100644

TRIES: Final = 3
"""How often a change is tried whose documents were written to while it looked at them."""

T = TypeVar("T")


class Tree:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._shaping: defaultdict[ProjectId, anyio.Lock] = defaultdict(anyio.Lock)

    def shaping(self, project: ProjectId) -> AbstractAsyncContextManager[object]:
        """Nobody else in this process shapes the project's tree inside."""
        return self._shaping[project]

    async def check_carried(self, project: ProjectId, path: Path, *, leaving: frozenset[Path] = frozenset()) -> None:
        """`PathTaken` when something live stands at a path that git brings, above it or below it."""
        await self._check_free(project, path, leaving=leaving, made_here=False)

    async def create(self, project: ProjectId, path: Path, content: Data, mode: int, actor: ActorId) -> Row:
        async with self._shaping[project]:
            await self._check_free(project, path)
            row, append = new_document(self._store, project, path, content, mode, actor)
            if row.object is not None:
                await keep(self._objects, content)
            created = event(row, "created", actor)
            committed = await self._store.commit([append], [CreateDocument(row), Emit(created)])
        self._rooms.tell(committed)
        return replace(row, created_at=committed.at, updated_at=committed.at)

    async def move(self, project: ProjectId, source: Path, target: Path, actor: ActorId) -> list[Row]:
        """A file, or a directory with everything below it, whose names came along and are not judged anew."""

        async def attempt() -> list[Row]:
            async with self._shaping[project]:
                moves = await self._moves(project, source, target)
                await self._check_free(project, target, leaving=frozenset(row.path for row, _ in moves), moves=moves)
                return await self._shape([moved(row, path, actor) for row, path in moves], actor)

        return await again(attempt)

    async def put_back(self, row: Row, path: Path, actor: ActorId) -> Row:
        """At a path where it stood once, which is not judged: in one step, whether it was moved, deleted or both."""

        async def attempt() -> Row:
            async with self._shaping[row.project]:
                now = await self._store.document(row.id) or row
                if now.deleted_at is None and now.path == path:
                    return now
                leaving = frozenset([now.path] if now.deleted_at is None else [])
                await self._check_free(row.project, path, leaving=leaving, made_here=False)
                change = moved(now, path, actor) if now.deleted_at is None else undeleted(now, path, actor)
                return (await self._shape([change], actor))[0]

        return await again(attempt)

    async def check_places(
        self, project: ProjectId, made: Sequence[Path], back: Sequence[Path], *, leaving: frozenset[Path]
    ) -> None:
        """Files that are made at once have room, beside what stays and beside each other: new paths, and (`back`) old ones,
        which are not judged."""
        for path in [*made, *back]:
            await self._check_free(project, path, leaving=leaving, made_here=path not in back)
        coming = Counter([*made, *back])
        for path, times in coming.items():
            if times > 1:
                raise _taken(path)
        for clash in file_and_directory(set(), set(coming)):
            raise _clash(clash)
        known: dict[str, Path] = {}
        for path in sorted({above for each in made for above in (*paths.parents(each), each)}):
            twin = known.setdefault(paths.twin_key(path), path)
            if twin != path:
                raise _twins(twin, path)

    async def _moves(self, project: ProjectId, source: Path, target: Path) -> list[tuple[Row, Path]]:
        row = await self._store.at_path(project, source)
        if row is not None:
            return [(row, target)]
        if target.startswith(source + "/"):
            raise PathTaken(f"{source!r} cannot move into itself", field="to")
        below = await self._store.tree(project, prefix=source + "/")
        if not below:
            raise NotFound(f"there is no file or directory {source!r}", field="from")
        moves = [(row, Path(target + row.path[len(source) :])) for row in below]
        longest = max((path for _, path in moves), key=lambda path: len(paths.to_bytes(path)))
        if len(paths.to_bytes(longest)) > paths.PATH_LIMIT:
            raise PathInvalid(f"{paths.show(longest)} would be longer than {paths.PATH_LIMIT} bytes", field="to")
        return moves

    async def delete(
        self, project: ProjectId, path: Path, actor: ActorId, now: Millis, *, recursive: bool
    ) -> list[Row]:

        async def attempt() -> list[Row]:
            async with self._shaping[project]:
                row = await self._store.at_path(project, path)
                rows: Sequence[Row] = [row] if row is not None else await self._store.tree(project, prefix=path + "/")
                if not rows:
                    raise NotFound(f"there is no file {path!r}", field="path")
                if row is None and not recursive:
                    raise PathTaken(f"{path!r} is a directory with {len(rows)} files; delete it with recursive=true")
                return await self._shape([deleted(row, actor, now) for row in rows], actor)

        return await again(attempt)

    async def undelete(self, row: Row, actor: ActorId) -> Row:
        async def attempt() -> Row:
            async with self._shaping[row.project]:
                now = await self._store.document(row.id) or row
                if now.deleted_at is None:
                    return now
                await self._check_free(row.project, now.path, made_here=False)
                return (await self._shape([undeleted(now, now.path, actor)], actor))[0]

        return await again(attempt)

    async def undelete_at(self, project: ProjectId, path: Path, actor: ActorId) -> list[Row]:
        """What was deleted last at a path: a file, or of a directory whatever one act deleted, as a whole."""

        async def attempt() -> list[Row]:
            async with self._shaping[project]:
                gone = last_deleted(await self._store.tree_with_deleted(project), path)
                if not gone:
                    raise NotFound(f"nothing was deleted at {path!r}", field="path")
                live = {row.path for row in await self._store.tree(project)}
                for row in gone:
                    if row.path in live:
                        raise _taken(row.path)
                for clash in file_and_directory(live, {row.path for row in gone}):
                    raise _clash(clash)
                return await self._shape([undeleted(row, row.path, actor) for row in gone], actor)

        return await again(attempt)

    async def _shape(self, changes: Sequence[Reshape], actor: ActorId) -> list[Row]:
        """Rooms that are open take a turn, and so do texts whose SHA the catalog does not know; of the others, only the log
        and the catalog are changed."""
        appends: list[Append] = []
        catalog: list[Change] = []
        after: list[Row] = []
        async with AsyncExitStack() as stack:
            turns: list[Turn] = []
            for row, fields, meta, happened in sorted(changes, key=lambda change: change[0].id):
                turn = await self._turn(stack, row)
                if turn is not None:
                    turns.append(turn)
                    current = exact(turn)
                    head = turn.stage(actor=actor, meta=meta)
                else:
                    current = row
                    appends.append(Append(document=row.id, entries=(meta_entry(actor, meta),), expect=row.head))
                    head = Position(row.head + 1)
                updated: RowFields = {**fields, "announced": head}
                if current.sha_position == current.head:
                    updated |= {"sha": current.sha, "size": current.size, "sha_position": head}
                told = replace(happened, sha=current.sha, position=head)
                catalog += [SetDocument(id=row.id, fields=updated), Emit(told)]
                after.append(replace(current, head=head, updated_by=actor, **updated))
            await self._rooms.commit(turns, catalog, appends)
        return sorted(after, key=lambda row: paths.to_bytes(row.path))

    async def _turn(self, stack: AsyncExitStack, row: Row) -> Turn | None:
        room = self._rooms.peek(row.id)
        if (room is None or room.gone is not None) and (settled(row) or row.quarantined is not None):
            return None
        try:
            return await stack.enter_async_context(self._rooms.turn(row.id))
        except Quarantined:
            return None  # it may go elsewhere, as what the catalog knows of it

    async def _check_free(
        self,
        project: ProjectId,
        path: Path,
        *,
        leaving: frozenset[Path] = frozenset(),
        made_here: bool = True,
        moves: Sequence[tuple[Row, Path]] = (),
    ) -> None:
        """Nothing live stands at this path, above it or below it; for a path made here, no twin beside it. A directory
        (`moves`: its files, each with where it goes) may enter one that is there, if they have nothing in common."""
        if made_here:
            paths.check_new(path)
        for taken in await self._store.at_paths(project, [path, *paths.parents(path)]):
            if taken not in leaving:
                raise _taken(taken)
        below = await self._store.tree(project, prefix=path + "/", limit=None if moves else len(leaving) + 1)
        staying = {row.path for row in below if row.path not in leaving}
        if staying and (not moves or moves[0][1] == path):
            raise PathTaken(f"{path!r} is a directory: move or delete what is in it first", field="path")
        if staying:
            _check_beside(staying, [to for _, to in moves], path)
        if made_here:
            await self._check_twins(project, path, leaving)

    async def _check_twins(self, project: ProjectId, path: Path, leaving: frozenset[Path]) -> None:
        for prefix in [path, *reversed(paths.parents(path))]:
            directory, _, name = prefix.rpartition("/")
            names = await self._store.names(project, directory)
            if name in names:
                return  # what is there already has been judged, and what is above it
            key = paths.twin_key(name)
            for other in names:
                twin = Path(f"{directory}/{other}" if directory else other)
                if paths.twin_key(other) == key and not await self._goes(project, twin, leaving):
                    raise _twins(twin, prefix)

    async def _goes(self, project: ProjectId, path: Path, leaving: frozenset[Path]) -> bool:
        """Nothing stays of this file or directory."""
        if not leaving or path in leaving:
            return path in leaving
        below = await self._store.tree(project, prefix=path + "/")
        return bool(below) and all(row.path in leaving for row in below)


Reshape = tuple[Row, RowFields, Mapping[str, object], Event]
"""A document, what changes in its row and in its log, and the event that tells it."""


def moved(row: Row, path: Path, actor: ActorId) -> Reshape:
    return row, {"path": path}, {"path": paths.show(path)}, event(row, "moved", actor, path=path)


def deleted(row: Row, actor: ActorId, now: Millis) -> Reshape:
    return row, {"deleted_at": now, "deleted_by": actor}, {"deleted": True}, event(row, "deleted", actor)


def undeleted(row: Row, path: Path, actor: ActorId) -> Reshape:
    """At this path, where it stood when it was deleted, or before."""
    fields: RowFields = {"deleted_at": None, "deleted_by": None}
    if path == row.path:
        return row, fields, {"deleted": False}, event(row, "undeleted", actor)
    meta = {"deleted": False, "path": paths.show(path)}
    return row, {**fields, "path": path}, meta, event(row, "undeleted", actor, path=path)


def last_deleted(rows: Iterable[Row], path: Path) -> list[Row]:
    """Of tombstones at a path or below it, those of the newest act; of one path, the last."""
    gone = [row for row in rows if row.deleted_at is not None and f"{row.path}/".startswith(f"{path}/")]
    newest = max(gone, key=lambda row: row.deleted_at or 0, default=None)
    if newest is None:
        return []
    of_one_act = {
        row.path: row for row in gone if (row.deleted_at, row.deleted_by) == (newest.deleted_at, newest.deleted_by)
    }
    return [of_one_act[path]] if path in of_one_act else list(of_one_act.values())


def file_and_directory(there: Set[Path], coming: Set[Path]) -> list[Path]:
    """What would be both, if these files stood side by side."""
    files = there | coming
    return sorted({above for path in files for above in paths.parents(path)} & files, key=paths.to_bytes)


async def again(attempt: Callable[[], Awaitable[T]]) -> T:
    """Whoever lost a swap looks anew. That it was lost is nobody else's business."""
    for _ in range(TRIES):
        try:
            return await attempt()
        except Stale:
            await anyio.lowlevel.checkpoint()
    raise Unavailable("others are changing the same files; try again in a moment", code="busy")


def exact(turn: Turn) -> Row:
    """The row of a turn, with the SHA and size of its text."""
    row = turn.row
    return row if settled(row) else file(row, turn.document.text, turn.position).row


def _check_beside(staying: Set[Path], coming: Iterable[Path], top: Path) -> None:
    """Nothing of what comes into a directory stands in the way of what is there, nor is its twin."""
    arriving = set(coming)
    for taken in sorted(staying & arriving):
        raise _taken(taken)
    for clash in file_and_directory(staying, arriving):
        raise _clash(clash)
    standing = {prefix for path in staying for prefix in (*paths.parents(path), path) if len(prefix) > len(top)}
    known = {paths.twin_key(prefix): prefix for prefix in standing}
    for path in arriving:
        for prefix in (*paths.parents(path), path):
            if len(prefix) > len(top) and prefix not in standing and paths.twin_key(prefix) in known:
                raise _twins(known[paths.twin_key(prefix)], prefix)


def _taken(path: Path) -> PathTaken:
    return PathTaken(
        f"there is a file {path!r} already; move or delete it first, or choose another path",
        field="path",
        details={"path": path},
    )


def _clash(path: Path) -> PathTaken:
    return PathTaken(
        f"{path!r} would be a file and a directory at once; move or delete what stands there first",
        field="path",
        details={"path": path},
    )


def _twins(twin: Path, path: Path) -> PathTaken:
    return PathTaken(
        f"{twin!r} differs from {path!r} in case or normal form alone; on many machines they could not stand side by side",
        field="path",
        details={"path": twin},
    )


def new_document(
    store: Store,
    project: ProjectId,
    path: Path,
    content: Data,
    mode: int,
    actor: ActorId,
    *,
    staged: str | None = None,
    sha: str | None = None,
) -> tuple[Row, Append]:
    """A document that begins with this content: its row, and the entries that begin its log. Its text enters it once,
    under the client id that is reserved for it. `sha`: the commit, for a submodule."""
    document = DocumentId(fresh())
    kind = kind_of(content, mode)
    opened = text.open_bytes(content) if kind == "text" and isinstance(content, bytes) else None
    shape = opened[1] if opened is not None else text.Shape()
    blob = BlobSha(sha) if kind == "submodule" and sha is not None else sha_of(content)
    key = None if kind == "text" else blob
    meta = {"path": paths.show(path), "kind": kind, "mode": mode, "eol": shape.eol, "bom": shape.bom, "object": key}
    entries = [meta_entry(actor, meta)]
    if opened is not None and opened[0]:
        client = gate.reserved_id(document, store.node, store.epoch)
        entries.append(Entry(kind=EntryKind.UPDATE, actor=actor, payload=seed(opened[0], client)))
    head = Position(len(entries))
    row = Row(
        id=document,
        project=project,
        path=path,
        kind=kind,
        mode=mode,
        eol=shape.eol,
        bom=shape.bom,
        object=key,
        head=head,
        sha=blob,
        sha_position=head,
        size=size_of(content),
        announced=head,
        created_by=actor,
        updated_by=actor,
        staged=staged,
    )
    return row, Append(document=document, entries=tuple(entries))


def meta_entry(actor: ActorId, meta: Mapping[str, object]) -> Entry:
    return Entry(kind=EntryKind.META, actor=actor, payload=msgspec.json.encode(meta))


def event(row: Row, kind: str, actor: ActorId, *, path: Path | None = None) -> Event:
    """`path`: where it stands now, if it moved."""
    return Event(
        project=row.project,
        kind=kind,
        path=path or row.path,
        document=row.id,
        sha=row.sha,
        position=row.head,
        actors=(actor,),
        data={} if path is None else {"from": paths.show(row.path)},
    )


def directories(paths_below: Iterable[Path], prefix: str) -> list[Path]:
    """The directories directly below `prefix` that these paths stand in."""
    found = {prefix + path[len(prefix) :].split("/", 1)[0] for path in paths_below if "/" in path[len(prefix) :]}
    return sorted(map(Path, found))
