"""A project's files -> objects: blobs, a manifest that names them, and HEAD, moved by compare-and-swap.

What it promises
1. Whoever reads HEAD finds a manifest, and every blob that it names: blobs are durable before the manifest, the manifest
   before HEAD.
2. A snapshot is a cut: every file as the log held it at one moment, byte for byte.
3. Two at once, in one process or in many: one of them moves HEAD, and the other looks again. HEAD never goes back in time,
   because it is read before the cut is made.
4. `files/` follows HEAD. A crash between the two is made good by the next round, whoever makes it.
5. What it costs follows what changed: one put for each changed content, one copy for each changed file, four small requests
   besides. Nothing changed: no request at all, once HEAD is known. Contents are held a few at a time.
6. A file that cannot be read is held back: its last snapshot stays, the others go on.

What breaks it: a store that ignores conditions; somebody else who deletes below `projects/`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import anyio

from collab import paths
from collab.contents import object_key, settled
from collab.crowd import each
from collab.errors import NotFound, Quarantined, Stale, Unavailable
from collab.ids import BlobSha, DocumentId, Millis, ProjectId
from collab.objects.base import ObjectStore
from collab.store.base import Project, Row
from collab.workspace import Workspace
from snapshots import manifest as layout
from snapshots.manifest import EMPTY, NEVER, File, Manifest, Moves, Place

AT_ONCE: Final = 8
"""Files that are read and put side by side."""
LARGE: Final = 4_000_000
"""Bytes; of what is larger only one is held at a time."""
TRIES: Final = 5
"""Rounds that are begun again because another process moved HEAD."""
REMEMBERED: Final = 32
"""Projects whose newest manifest is kept in memory."""

Step = Callable[[str], None]


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


@dataclass(frozen=True, slots=True)
class Made:
    """`number` is that of the newest snapshot; `held` are the files that could not be read."""

    state: Literal["done", "nothing"]
    number: int
    files: int = 0
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest snapshot, HEAD's tag (None: there is no HEAD), and what `files/` shows (None: nobody knows)."""

    manifest: Manifest
    tag: str | None
    shows: int | None
    shows_tag: str | None


class Materialiser:
    """`step` is called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self,
        workspace: Workspace,
        objects: ObjectStore,
        *,
        clock: Callable[[], Millis],
        step: Step = no_step,
    ) -> None:
        self.objects = objects
        self._workspace = workspace
        self._store = workspace.store
        self._clock = clock
        self._step = step
        self._large = anyio.Semaphore(1)
        self._heads: OrderedDict[ProjectId, Head] = OrderedDict()

    async def round(self, project: Project) -> Made:
        """One snapshot of what changed. `Stale` never comes out: who loses a swap looks again."""
        for _ in range(TRIES):
            try:
                return await self._attempt(project)
            except Stale:
                continue
        raise Unavailable("another process makes snapshots of this project all the time; this one tries again later")

    async def head(self, project: ProjectId) -> Head:
        """As the object store has it."""
        place = Place(project)
        tag, number = await self._number(place.head)
        shows_tag, shows = await self._number(place.shown)
        if number is None:
            return Head(EMPTY, None, None, shows_tag)
        manifest = await self.manifest(place, number)
        # Gone: HEAD has moved on meanwhile, or somebody has deleted what they should not. Then all is put again.
        return Head(manifest or Manifest(number=number, at=NEVER, files=(), epoch=0), tag, shows, shows_tag)

    async def manifest(self, place: Place, number: int) -> Manifest | None:
        try:
            found = await self.objects.get(place.manifest(number))
        except NotFound:
            return None
        return layout.decode(found.content)

    async def swap(self, place: Place, head: Head, files: tuple[File, ...], *, sweeping_until: Millis = NEVER) -> Head:
        """HEAD moves to a new manifest. `Stale` when somebody else has moved it; then the manifest is gone again."""
        number = head.manifest.number + 1
        while True:
            manifest = Manifest(
                number=number,
                at=self._clock(),
                files=files,
                epoch=self._store.epoch,
                sweeping_until=sweeping_until,
            )
            try:
                await self.objects.put(place.manifest(number), layout.encode(manifest), if_none_match=True)
                break
            except Stale:  # left by a process that died before it moved HEAD, or being moved to right now
                number += 1
        self._step("manifest written")
        try:
            tag = await self.objects.put(place.head, b"%d" % number, if_match=head.tag, if_none_match=head.tag is None)
        except Stale:
            await self.objects.delete(place.manifest(number))
            raise
        self._step("head moved")
        return replace(head, manifest=manifest, tag=tag)

    async def show(self, place: Place, before: Manifest | None, head: Head) -> Head:
        """`files/` becomes what HEAD names. `before` is what it shows now; None: nobody knows, so all is written."""
        if before is not None:
            moves = place.moves(before, head.manifest)
        else:
            view = place.view(head.manifest)
            strange = [key async for key in self.objects.list(place.files) if key not in view]
            moves = Moves(tuple(strange), view)
        await self._move(place, moves.deletes, moves.copies)
        self._step("files written")
        number = head.manifest.number
        try:
            tag = await self.objects.put(
                place.shown, b"%d" % number, if_match=head.shows_tag, if_none_match=head.shows_tag is None
            )
        except Stale:
            return await self._make_good(place, {*moves.deletes, *moves.copies}, head)
        self._step("files recorded")
        return replace(head, shows=number, shows_tag=tag)

    def forget(self, project: ProjectId) -> None:
        self._heads.pop(project, None)

    async def _attempt(self, project: Project) -> Made:
        place = Place(project.id)
        # Taken out, so that after a failure the object store is asked.
        head = self._heads.pop(project.id, None) or await self.head(project.id)
        if head.manifest.sweeping_until > self._clock():
            raise Unavailable("old snapshots are being deleted; the next one is made when that has ended")
        if head.tag is not None and head.shows != head.manifest.number:
            shown = None if head.shows is None else await self.manifest(place, head.shows)
            head = await self.show(place, shown, head)
        files, held, changed = await self._cut(place, head.manifest, await self._store.tree(project.id))
        if layout.same(head.manifest, files) and (head.tag is None or head.manifest.epoch == self._store.epoch):
            self._remember(project.id, head)
            return Made("nothing", head.manifest.number, held=held)
        self._step("blobs written")
        before = head.manifest
        head = await self.swap(place, head, files)
        head = await self.show(place, before, head)
        self._remember(project.id, head)
        return Made("done", head.manifest.number, changed, held)

    async def _cut(
        self, place: Place, before: Manifest, rows: Sequence[Row]
    ) -> tuple[tuple[File, ...], tuple[str, ...], int]:
        """Every file as its row says, in the order of the rows; the bytes that no manifest named yet are put."""
        known: dict[DocumentId, File] = {file.document: file for file in before.files}
        comparable = before.epoch == self._store.epoch
        there = {file.sha for file in before.files}
        cut: dict[DocumentId, File] = {}
        held: list[str] = []
        changed: list[Row] = []
        for row in rows:
            file = known.get(row.id)
            if comparable and file is not None and file.position == row.head:
                cut[row.id] = file
            else:
                changed.append(row)

        async def take(row: Row) -> None:
            try:
                cut[row.id] = await self._take(place, row, there)
            except (Quarantined, NotFound):
                held.append(paths.show(row.path))
                if row.id in known:
                    cut[row.id] = known[row.id]

        await each(changed, take, at_once=AT_ONCE)
        files = tuple(cut[row.id] for row in rows if row.id in cut)
        differ = sum(1 for row in changed if cut.get(row.id) != known.get(row.id))
        return files, tuple(sorted(held)), differ

    async def _take(self, place: Place, row: Row, there: set[BlobSha]) -> File:
        """The file at the row's head. `there` are the blobs that are in the store for sure."""
        sha = row.sha
        if row.kind != "text":
            if row.kind != "submodule" and sha not in there:
                await self.objects.copy(object_key(row.object or sha), place.blob(sha))
        elif not settled(row) or sha not in there:
            if row.size > LARGE:
                async with self._large:
                    sha = await self._put_text(place, row, there)
            else:
                sha = await self._put_text(place, row, there)
        there.add(sha)
        return File(paths.show(row.path), f"{row.mode:06o}", sha, row.id, row.head)

    async def _put_text(self, place: Place, row: Row, there: set[BlobSha]) -> BlobSha:
        found = await self._workspace.at(row, row.head)
        if found.row.sha not in there:
            await self.objects.put(place.blob(found.row.sha), found.content)
        return found.row.sha

    async def _move(self, place: Place, deletes: Sequence[str], copies: Mapping[str, BlobSha]) -> None:
        async def copy(item: tuple[str, BlobSha]) -> None:
            await self.objects.copy(place.blob(item[1]), item[0])

        # Deleted first: some servers have no object below the name of another.
        await each(deletes, self.objects.delete, at_once=AT_ONCE)
        await each(copies.items(), copy, at_once=AT_ONCE)

    async def _make_good(self, place: Place, touched: set[str], head: Head) -> Head:
        """Another process was at `files/` too, and may have been overtaken by this one: what was touched here is written
        again as HEAD has it, until HEAD stands still."""
        for _ in range(TRIES):
            tag, number = await self._number(place.head)
            if number is None:
                raise Unavailable("the project's objects are being deleted")
            manifest = await self.manifest(place, number)
            if manifest is None:
                continue
            view = place.view(manifest)
            await self._move(
                place, [key for key in touched if key not in view], {key: view[key] for key in touched & view.keys()}
            )
            if (await self._number(place.head))[1] == number:
                shows_tag, shows = await self._number(place.shown)
                return Head(manifest, tag, shows, shows_tag)
        raise Unavailable("another process makes snapshots of this project all the time; this one tries again later")

    async def _number(self, key: str) -> tuple[str | None, int | None]:
        try:
            found = await self.objects.get(key)
        except NotFound:
            return None, None
        return found.tag, int(found.content)

    def _remember(self, project: ProjectId, head: Head) -> None:
        self._heads[project] = head
        while len(self._heads) > REMEMBERED:
            self._heads.popitem(last=False)
