"""The shape of a project's tree: what stands at which path.

What it promises
1. A document keeps its id, its history and its cursors when it moves; the old path leads to it as long as nothing else
   takes it.
2. A path made here is portable, and neither a file stands where a directory is, nor two names side by side that differ
   in case or normal form alone. What git brought is not judged.
3. What is deleted can be brought back, at its path, with its history. Its peers are told (4404).
4. Every change is one transaction, with its events; a directory moves or goes as a whole.

What breaks it: two processes that shape one tree at the same time could make twins (exact paths stay unique, by the
store).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

import anyio
import msgspec

from collab import gate, paths, text
from collab.contents import object_key
from collab.document import seed
from collab.errors import NotFound, PathTaken
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position, ProjectId, fresh
from collab.member import CloseCode
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

    async def create(self, project: ProjectId, path: Path, content: bytes, mode: int, actor: ActorId) -> Row:
        async with self._shaping[project]:
            await self._check_free(project, path)
            row, append = new_document(self._store, project, path, content, mode, actor)
            if row.object is not None:
                await self._objects.put(object_key(row.object), content)
            created = event(row, "created", actor)
            committed = await self._store.commit([append], [CreateDocument(row), Emit(created)])
        self._rooms.tell(committed)
        return replace(row, created_at=committed.at, updated_at=committed.at)

    async def move(self, project: ProjectId, source: Path, target: Path, actor: ActorId) -> list[Row]:
        async with self._shaping[project]:
            moves = await self._moves(project, source, target)
            leaving = frozenset(row.path for row, _ in moves)
            for _, path in moves:
                await self._check_free(project, path, leaving=leaving)
            return await self._shape(
                [
                    (row, {"path": path}, {"path": paths.show(path)}, event(row, "moved", actor, path=path))
                    for row, path in moves
                ],
                actor,
            )

    async def _moves(self, project: ProjectId, source: Path, target: Path) -> list[tuple[Row, Path]]:
        row = await self._store.at_path(project, source)
        if row is not None:
            return [(row, target)]
        if target.startswith(source + "/"):
            raise PathTaken(f"{source!r} cannot move into itself", field="to")
        below = await self._store.tree(project, prefix=source + "/")
        if not below:
            raise NotFound(f"there is no file or directory {source!r}", field="from")
        return [(row, Path(target + row.path[len(source) :])) for row in below]

    async def delete(
        self, project: ProjectId, path: Path, actor: ActorId, now: Millis, *, recursive: bool
    ) -> list[Row]:
        async with self._shaping[project]:
            row = await self._store.at_path(project, path)
            rows: Sequence[Row] = [row] if row is not None else await self._store.tree(project, prefix=path + "/")
            if not rows:
                raise NotFound(f"there is no file {path!r}", field="path")
            if row is None and not recursive:
                raise PathTaken(f"{path!r} is a directory with {len(rows)} files; delete it with recursive=true")
            fields: RowFields = {"deleted_at": now, "deleted_by": actor}
            return await self._shape(
                [(row, fields, {"deleted": True}, event(row, "deleted", actor)) for row in rows],
                actor,
                evict="the file was deleted",
            )

    async def undelete(self, row: Row, actor: ActorId) -> Row:
        async with self._shaping[row.project]:
            if row.deleted_at is None:
                return row
            await self._check_free(row.project, row.path, made_here=False)
            fields: RowFields = {"deleted_at": None, "deleted_by": None}
            change = (row, fields, {"deleted": False}, event(row, "undeleted", actor))
            return (await self._shape([change], actor, readmit=True))[0]

    async def _shape(
        self,
        changes: Sequence[tuple[Row, RowFields, Mapping[str, object], Event]],
        actor: ActorId,
        *,
        evict: str | None = None,
        readmit: bool = False,
    ) -> list[Row]:
        """Rooms that are open take a turn; of the others, only the log and the catalog are changed."""
        appends: list[Append] = []
        catalog: list[Change] = []
        after: list[Row] = []
        async with AsyncExitStack() as stack:
            turns: list[Turn] = []
            for row, fields, meta, happened in sorted(changes, key=lambda change: change[0].id):
                room = self._rooms.peek(row.id)
                current = row
                if room is not None and room.gone is None:
                    turn = await stack.enter_async_context(self._rooms.turn(row.id))
                    turns.append(turn)
                    current = turn.row
                    head = turn.stage(actor=actor, meta=meta)
                else:
                    appends.append(Append(document=row.id, entries=(meta_entry(actor, meta),), expect=row.head))
                    head = Position(row.head + 1)
                updated = {**fields, "announced": head}
                if current.sha_position == current.head:
                    updated["sha_position"] = head
                catalog += [SetDocument(id=row.id, fields=updated), Emit(replace(happened, position=head))]  # type: ignore[arg-type]
                after.append(replace(current, head=head, updated_by=actor, **updated))  # type: ignore[arg-type]
            await self._rooms.commit(turns, catalog, appends)
            for turn in turns:
                if evict is not None:
                    turn.room.evict(CloseCode.NO_SUCH_FILE, evict)
                if readmit:
                    turn.room.readmit()
        return sorted(after, key=lambda row: paths.to_bytes(row.path))

    async def _check_free(
        self, project: ProjectId, path: Path, *, leaving: frozenset[Path] = frozenset(), made_here: bool = True
    ) -> None:
        """Nothing live stands at this path, above it or below it; for a path made here, no twin beside it."""
        if made_here:
            paths.check_new(path)
        above = await self._store.at_paths(project, [path, *paths.parents(path)])
        for taken in above:
            if taken not in leaving:
                raise PathTaken(f"there is a file {taken!r} already", field="path", details={"path": taken})
        below = await self._store.tree(project, prefix=path + "/", limit=len(leaving) + 1)
        if any(row.path not in leaving for row in below):
            raise PathTaken(f"{path!r} is a directory", field="path")
        if made_here:
            await self._check_twins(project, path, leaving)

    async def _check_twins(self, project: ProjectId, path: Path, leaving: frozenset[Path]) -> None:
        for prefix in [path, *paths.parents(path)]:
            directory, _, name = prefix.rpartition("/")
            names = await self._store.names(project, directory)
            if name in names:
                return  # what is there already has been judged
            for other in names:
                twin = f"{directory}/{other}" if directory else other
                gone = twin in leaving or any(left.startswith(twin + "/") for left in leaving)
                if paths.twin_key(other) == paths.twin_key(name) and not gone:
                    raise PathTaken(
                        f"{twin!r} differs from {prefix!r} in case or normal form alone; on many machines they could "
                        "not stand side by side",
                        field="path",
                        details={"path": twin},
                    )


def new_document(
    store: Store,
    project: ProjectId,
    path: Path,
    content: bytes,
    mode: int,
    actor: ActorId,
    *,
    staged: str | None = None,
    sha: str | None = None,
) -> tuple[Row, Append]:
    """A document that begins with this content: its row, and the entries that begin its log. Its text enters it once,
    under the client id that is reserved for it. `sha`: the commit, for a submodule."""
    document = DocumentId(fresh())
    kind = text.classify(content, mode)
    opened = text.open_bytes(content) if kind == "text" else None
    shape = opened[1] if opened is not None else text.Shape()
    blob = BlobSha(sha) if kind == "submodule" and sha is not None else text.blob_sha(content)
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
        size=len(content),
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
