"""A project's files: the one service that HTTP, MCP, the command line and the snapshotter call.

It puts the parts together (contents, writing, tree, staging, uncommitted) and adds projects and events. Every change is
logged by an actor; every error is one of `collab.errors` and names what would be right.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from collab import history, paths
from collab.bases import Changed
from collab.blame import Blame
from collab.bus.base import Bus
from collab.comments import Comments
from collab.contents import Contents, File, Stored, is_position, moment, settled
from collab.errors import Invalid, NotFound, PathTaken
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position, ProjectId, fresh
from collab.ingest import Ingest
from collab.large import Data
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.staging import Incoming, LargeIncoming, Staging
from collab.store.base import (
    Change,
    Committed,
    CreateProject,
    DeleteProject,
    Emit,
    Event,
    Project,
    RenameProject,
    Row,
    Store,
)
from collab.suggestions import Suggestions
from collab.tasks import Tasks
from collab.tree import FILE_MODE, Tree, directories
from collab.turns import Turns
from collab.uncommitted import FileChange, Uncommitted
from collab.writing import By, Writing, Written, check_mode

__all__ = ["File", "FileChange", "Incoming", "LargeIncoming", "Page", "Stored", "Workspace", "Written"]

EVENTS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Files in the order of their paths; with `depth=1` also the directories at that level. `cursor` continues after
    the last one; `version` changes with the tree and with every text in it."""

    rows: list[Row]
    cursor: str | None
    version: str
    directories: list[Path] = field(default_factory=list)


class Workspace:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms, bus: Bus, clock: Callable[[], Millis]) -> None:
        self.store = store
        self._bus = bus
        self.rooms = rooms
        self._clock = clock
        self.contents = Contents(store, objects, rooms)
        self._writing = Writing(store, objects, rooms, self.contents)
        self._tree = Tree(store, objects, rooms)
        self._staging = Staging(store, objects, rooms, self._tree)
        self.blame = Blame(store)
        self.comments = Comments(store, self.contents)
        self.turns = Turns(store, objects, rooms, self.contents, self._writing, self._tree, clock)
        self.suggestions = Suggestions(store, self.contents, self.turns, clock)
        self.tasks = Tasks(store, clock)
        self.ingest = Ingest(store, objects, rooms, self.contents, self._tree)
        self._uncommitted = Uncommitted(store, self.contents, self._tree, self._writing)

    # -- projects ----------------------------------------------------------------------------------------------------

    async def create_project(self, name: str, actor: ActorId) -> Project:
        paths.check_project_name(name)
        project = Project(id=ProjectId(fresh()), name=name, created_at=self._clock(), created_by=actor)
        await self.store.commit(changes=[CreateProject(project)])
        return project

    async def projects(self) -> list[Project]:
        return list(await self.store.projects())

    async def project(self, name: str) -> Project:
        found = await self.store.project(name)
        if found is None:
            raise NotFound(f"there is no project {name!r}", field="project")
        return found

    async def rename_project(self, name: str, new: str, actor: ActorId) -> Project:
        paths.check_project_name(new)
        project = await self.project(name)
        renamed = Event(project=project.id, kind="renamed", actors=(actor,), data={"from": name, "to": new})
        self.rooms.tell(await self.store.commit(changes=[RenameProject(project.id, new), Emit(renamed)]))
        return await self.project(new)

    async def delete_project(self, name: str) -> None:
        project = await self.project(name)
        await self.rooms.evict(row.id for row in await self.store.tree(project.id))
        await self.store.commit(changes=[DeleteProject(project.id)])

    # -- reading -----------------------------------------------------------------------------------------------------

    async def tree(
        self,
        project: Project,
        *,
        prefix: str = "",
        depth: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        at: str | None = None,
        among: Callable[[Path], bool] | None = None,
    ) -> Page:
        """`among`: only the files whose path it takes; the others do not count."""
        if depth not in (None, 1):
            raise Invalid("depth is 1 (one directory) or absent (everything below)", field="depth")
        after = None if cursor is None else paths.parse(cursor)
        # Events are numbered before the rows are read: a page is never older than its version says.
        fresh_project = await self.store.project_by_id(project.id)
        version = 0 if fresh_project is None else fresh_project.events
        if at is not None:
            rows = await self._tree_at(project, prefix, at)
        else:
            wanted = None if limit is None or depth is not None or among is not None else limit + 1
            rows = list(await self.store.tree(project.id, prefix=prefix, after=after, limit=wanted))
        if among is not None:
            rows = [row for row in rows if among(row.path)]
        below: list[Path] = []
        if depth is not None:
            below = directories((row.path for row in rows), prefix)
            rows = [row for row in rows if "/" not in row.path[len(prefix) :]]
        more = limit is not None and len(rows) > limit
        rows = rows[:limit] if more else rows
        exact = rows if at is not None else [row if settled(row) else await self.contents.exact(row) for row in rows]
        moving = [row.sha for row, stood in zip(exact, rows, strict=True) if row.sha != stood.sha]
        return Page(
            exact,
            paths.show(exact[-1].path) if more else None,
            "-".join([str(version), *(sha[:12] for sha in moving)]),
            below,
        )

    async def _tree_at(self, project: Project, prefix: str, at: str) -> list[Row]:
        """The files as they stood at a time."""
        if is_position(at):
            raise Invalid("a position is of one file; a tree is asked for at a time", field="at")
        then = moment(at)
        found: list[Row] = []
        for row in await self.store.tree_with_deleted(project.id):
            position = await self.store.position_at(row.id, then)
            if position == 0 or (row.deleted_at is not None and row.deleted_at <= then):
                continue
            past = (await self.contents.at(row, position)).row
            if past.path.startswith(prefix):
                found.append(past)
        return sorted(found, key=lambda row: paths.to_bytes(row.path))

    async def resolve(self, project: Project, path: Path) -> Row:
        return await self.contents.resolve(project.id, path)

    async def stat(self, project: Project, path: Path) -> Row:
        return await self.contents.exact(await self.resolve(project, path))

    async def read(self, project: Project, path: Path, *, at: str | None = None) -> File:
        if at is None:
            return await self.contents.read(await self.resolve(project, path))
        row = await self.store.at_path(project.id, path) or await self.store.deleted_at_path(project.id, path)
        return await self.contents.read_at(row or await self.resolve(project, path), at)

    async def open(self, project: Project, path: Path, *, at: str | None = None) -> File | Stored:
        """As `read`; but of what is large, where it lies among the objects."""
        if at is None:
            return await self.contents.open(await self.resolve(project, path))
        row = await self.store.at_path(project.id, path) or await self.store.deleted_at_path(project.id, path)
        return await self.contents.open_at(row or await self.resolve(project, path), at)

    async def read_many(self, project: Project, wanted: Sequence[Path]) -> list[File | None]:
        """In the order asked for; None for what is not there."""
        rows = await self.store.at_paths(project.id, wanted)
        led = {path: await self.store.led_from(project.id, path) for path in wanted if path not in rows}
        return await self.contents.read_rows([rows.get(path) or led.get(path) for path in wanted])

    # -- writing -----------------------------------------------------------------------------------------------------

    async def write(
        self,
        project: Project,
        path: Path,
        content: Data,
        actor: ActorId,
        *,
        if_match: BlobSha | None = None,
        create_only: bool = False,
        mode: int | None = None,
        force: bool = False,
    ) -> Written:
        """New content for a file, or a new file. `if_match` is what the writer had read (see collab.writing)."""
        row = await self.store.at_path(project.id, path)
        if row is None and if_match is not None:
            row = await self.resolve(project, path)
        if row is None:
            check_mode(content, mode)
            made = await self._create(project, path, content, FILE_MODE if mode is None else mode, actor, create_only)
            self.contents.remember(made.id, made.sha, made.head)
            return Written(made, created=True, rebased=False)
        if create_only:
            raise _exists(path)
        return await self._writing.write(row, content, By(actor), if_match=if_match, mode=mode, force=force)

    async def _create(
        self, project: Project, path: Path, content: Data, mode: int, actor: ActorId, create_only: bool
    ) -> Row:
        """Of two that make the same file at once, one does."""
        try:
            return await self._tree.create(project.id, path, content, mode, actor)
        except PathTaken as error:
            if create_only and await self.store.at_path(project.id, path) is not None:
                raise _exists(path) from error
            raise

    async def move(self, project: Project, source: Path, target: Path, actor: ActorId) -> list[Row]:
        """A file, or a directory with everything below it."""
        return await self._tree.move(project.id, source, target, actor)

    async def delete(self, project: Project, path: Path, actor: ActorId, *, recursive: bool = False) -> list[Row]:
        return await self._tree.delete(project.id, path, actor, self._clock(), recursive=recursive)

    async def undelete(self, project: Project, path: Path | None, document: DocumentId | None, actor: ActorId) -> Row:
        """By id, or what was deleted last from this path: a file, or what one act deleted of a directory, of which the
        first file is the answer."""
        if document is not None:
            row = await self.store.document(document)
            if row is None or row.project != project.id or row.staged is not None:
                raise NotFound("no such file was deleted here", field="id")
            return await self._tree.undelete(row, actor)
        if path is None:
            raise Invalid("say which file to bring back: its path or its id", field="path")
        return (await self._tree.undelete_at(project.id, path, actor))[0]

    # -- against the branch ------------------------------------------------------------------------------------------

    async def changed(self, project: Project) -> list[Changed]:
        return await self._uncommitted.changed(project.id)

    async def changes(self, project: Project) -> list[FileChange]:
        return await self._uncommitted.changes(project.id)

    async def discard(self, project: Project, path: Path, actor: ActorId) -> Row | None:
        return await self._uncommitted.discard(project.id, path, actor, self._clock())

    async def text_at(self, document: DocumentId, position: Position) -> str:
        """As the document held it: LF, without BOM."""
        return await history.text_at(self.store, document, position)

    async def at(self, row: Row, position: Position) -> File:
        return await self.contents.at(row, position)

    # -- events ------------------------------------------------------------------------------------------------------

    async def events(self, project: Project, after: int, limit: int = EVENTS_AT_ONCE) -> list[Event]:
        return list(await self.store.events(project.id, after=after, limit=limit))

    async def follow(self, project: Project, after: int) -> AsyncIterator[Event]:
        """Every event after `after`, in order, without end."""
        async with self._bus.subscribe(project.id) as hints:
            while True:
                found = await self.store.events(project.id, after=after, limit=EVENTS_AT_ONCE)
                for event in found:
                    yield event
                    after = event.n
                if not found:
                    await anext(hints)

    # -- import ------------------------------------------------------------------------------------------------------

    async def stage(
        self, project: Project, job: str, files: Sequence[Incoming | LargeIncoming], actor: ActorId
    ) -> list[Row]:
        return await self._staging.stage(project.id, job, files, actor)

    async def publish(self, project: Project, job: str, changes: Sequence[Change] = ()) -> Committed:
        return await self._staging.publish(project.id, job, changes)

    async def drop(self, job: str, changes: Sequence[Change] = ()) -> None:
        await self._staging.drop(job, changes)


def _exists(path: Path) -> PathTaken:
    return PathTaken(f"there is a file {path!r} already", code="exists", field="path")
