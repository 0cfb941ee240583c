"""The process beside the server that does its heavy work: snapshots into the object store, and large commits.

It sees the store as the server has committed it, and changes nothing there. It writes the objects of snapshots, which the
server leaves to it, and objects of git. `snapshots.backroom` is the other end.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from anyio import to_thread

from collab import contents
from collab.errors import NotFound
from collab.ids import BlobSha, DocumentId, Path, Position, ProjectId
from collab.objects.base import ObjectStore
from collab.store.base import Project, Store
from collab.store.view import open_view
from snapshots import backroom
from snapshots.keeper import Keeper
from snapshots.materialiser import Made, Materialiser
from snapshots.remotes.base import Made as Committed
from snapshots.remotes.base import NewCommit, TreeEntry
from snapshots.remotes.local import LocalRemote
from snapshots.retention import Plan, Sweeper, Swept
from web import places
from web.observability import configure_logging
from web.services import now
from web.settings import Settings


class Desk:
    """What can be asked; each method is a question."""

    def __init__(self, settings: Settings, store: Store, objects: ObjectStore) -> None:
        materialiser = Materialiser(store, objects, clock=now)
        sweeper = Sweeper(materialiser, store, keep=int(settings.snapshot_keep * 1000), clock=now)
        self._store = store
        self._objects = objects
        self._keeper = Keeper(materialiser, sweeper)

    async def round(self, project: Project) -> Made:
        return await self._keeper.round(project)

    async def plan(self, project: Project) -> Plan:
        return await self._keeper.plan(project)

    async def sweep(self, project: Project, plan: Plan) -> Swept:
        return await self._keeper.sweep(project, plan)

    async def erase(self, project: ProjectId) -> None:
        await self._keeper.erase(project)

    async def write_commit(
        self,
        repository: pathlib.Path,
        new: NewCommit,
        writes: Sequence[tuple[Path, BlobSha, int]],
        where: Mapping[BlobSha, tuple[DocumentId, Position]],
    ) -> Committed:
        """Everything of a commit but that the branch moves to it. `writes` are those of `new`: path, SHA and mode."""
        new = replace(new, writes={path: TreeEntry(sha, mode) for path, sha, mode in writes})

        async def blob(sha: BlobSha) -> bytes:
            document, position = where[sha]
            row = await self._store.document(document)
            if row is None:
                raise NotFound(f"the document {document} is gone")
            return (await contents.at(self._store, self._objects, row, position)).content

        return await LocalRemote(repository).write(new, blob)


def main() -> None:
    backroom.answer(opened)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Desk]:
    configure_logging(settings)
    async with AsyncExitStack() as stack:
        store = await open_view(settings.data)
        stack.push_async_callback(store.aclose)
        objects = await to_thread.run_sync(places.open_beside, settings)
        stack.push_async_callback(objects.aclose)
        yield Desk(settings, store, objects)
