"""Files on their way in: staged in batches that nobody sees, then published as one.

What it promises: an import is there as a whole, or not at all. What a process that died had staged is dropped, log and
all, when its job is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from collab import paths
from collab.errors import PathTaken
from collab.ids import ActorId, BlobSha, Path, ProjectId
from collab.large import Large, keep
from collab.objects.base import ObjectStore
from collab.rooms import Rooms
from collab.store.base import Append, Change, Committed, CreateDocument, DropStaged, PublishStaged, Row, Store
from collab.tree import Tree, file_and_directory, new_document


@dataclass(frozen=True, slots=True)
class Incoming:
    """One file. `content` of a symlink is its target; of a submodule it is empty, and `sha` its commit."""

    path: Path
    mode: int
    content: bytes
    sha: BlobSha


@dataclass(frozen=True, slots=True)
class LargeIncoming:
    """One file that is not held in memory."""

    path: Path
    mode: int
    content: Large

    @property
    def sha(self) -> BlobSha:
        return self.content.sha


class Staging:
    def __init__(self, store: Store, objects: ObjectStore, rooms: Rooms, tree: Tree) -> None:
        self._store = store
        self._objects = objects
        self._rooms = rooms
        self._tree = tree
        self._staged: defaultdict[str, set[Path]] = defaultdict(set)
        """Of each job that has not ended: it lives no longer than this process."""

    async def stage(
        self, project: ProjectId, job: str, files: Sequence[Incoming | LargeIncoming], actor: ActorId
    ) -> list[Row]:
        rows: list[Row] = []
        appends: list[Append] = []
        for each in files:
            row, append = new_document(
                self._store, project, each.path, each.content, each.mode, actor, staged=job, sha=each.sha
            )
            if row.object is not None and row.kind != "submodule":
                await keep(self._objects, each.content)
            rows.append(row)
            appends.append(append)
        await self._store.commit(appends, [CreateDocument(row) for row in rows])
        self._staged[job].update(row.path for row in rows)
        return rows

    async def publish(self, project: ProjectId, job: str, changes: Sequence[Change] = ()) -> Committed:
        """`PathTaken` when something live stands in the way, or would be a file and a directory at once: then nothing is
        published. Names that differ in case alone are carried, like everything that git brings."""
        async with self._tree.shaping(project):
            await self._check_room(project, job)
            committed = await self._store.commit(changes=[PublishStaged(project, job), *changes])
        self._staged.pop(job, None)
        self._rooms.tell(committed)
        return committed

    async def _check_room(self, project: ProjectId, job: str) -> None:
        """What was made here since the job looked."""
        live = {row.path for row in await self._store.tree(project)}
        for path in file_and_directory(live, self._staged.get(job, set())):
            raise PathTaken(
                f"nothing was published, because {paths.show(path)} would be a file and a directory at once: move or "
                "delete what was made there meanwhile, and begin again",
                field="path",
                details={"path": paths.show(path)},
            )

    async def drop(self, job: str, changes: Sequence[Change] = ()) -> None:
        await self._store.commit(changes=[DropStaged(job), *changes])
        self._staged.pop(job, None)
