"""A project's files -> objects: blobs, a manifest that names them, and HEAD, moved by compare-and-swap.

What it promises
1. Whoever reads HEAD finds a manifest, and every blob that it names: blobs are durable before the manifest, the manifest
   before HEAD.
2. A snapshot is a cut: every file as the log held it at one moment, byte for byte.
3. Two at once, in one process or in many: one of them moves HEAD, and the other looks again. HEAD never goes back in time,
   because it is read before the cut is made.
4. `files/` follows HEAD. A crash between the two is made good by the next round, whoever makes it.
5. What it costs follows what changed: one put for each changed content, one copy for each changed file, four small requests
   besides. Nothing was touched: no request at all, once HEAD is known. Contents are held a few at a time, and of a project that
   is known only the files are looked at that events name.
6. A file that cannot be read is held back: its last snapshot stays, the others go on.

What breaks it: a store that ignores conditions; somebody else who deletes below `projects/`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import anyio
import msgspec

from collab import history, paths
from collab.contents import file, object_key, settled
from collab.crowd import each
from collab.errors import NotFound, Quarantined, Stale, Unavailable
from collab.ids import BlobSha, DocumentId, Millis, ProjectId
from collab.objects.base import ObjectStore
from collab.store.base import Project, Row, Store
from snapshots import manifest as layout
from snapshots.cut import Cut
from snapshots.manifest import EMPTY, NEVER, File, Manifest, Moves, Place

AT_ONCE: Final = 8
"""Files that are read and put side by side."""
LARGE: Final = 4_000_000
"""Bytes; of what is larger only one is held at a time."""
TRIES: Final = 5
"""Rounds that are begun again because another process moved HEAD."""
REMEMBERED: Final = 100_000
"""Files whose place in the newest snapshot of their project is kept in memory; one project is kept, however large."""

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


Pair = tuple[File | None, File | None]
"""A file as the newest snapshot has it, and as it is now."""


@dataclass(slots=True)
class Head:
    """The newest snapshot: its manifest without the files, which are in `cut`. `tag` is HEAD's (None: there is none);
    `shows` what `files/` shows (None: nobody knows). `seen`: the event up to which the cut has been brought (None: it is
    as it was read, and positions of another epoch mean nothing); `held`: paths of what could not be read then."""

    manifest: Manifest
    cut: Cut
    tag: str | None
    shows: int | None
    shows_tag: str | None
    seen: int | None = None
    held: list[str] = field(default_factory=list)


class Materialiser:
    """`step` is called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self,
        store: Store,
        objects: ObjectStore,
        *,
        clock: Callable[[], Millis],
        step: Step = no_step,
    ) -> None:
        self.objects = objects
        self._store = store
        self._clock = clock
        self._step = step
        self._large = anyio.Semaphore(1)
        self._heads: OrderedDict[ProjectId, Head] = OrderedDict()
        self._remembered = 0
        """Files in their cuts."""

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
            return Head(EMPTY, Cut(), None, None, shows_tag)
        # Gone: HEAD has moved on meanwhile, or somebody has deleted what they should not. Then all is put again.
        found = await self.manifest(place, number) or Manifest(number=number, at=NEVER, files=(), epoch=0)
        return Head(msgspec.structs.replace(found, files=()), Cut(found.files), tag, shows, shows_tag)

    async def manifest(self, place: Place, number: int) -> Manifest | None:
        try:
            found = await self.objects.get(place.manifest(number))
        except NotFound:
            return None
        return layout.decode(found.content)

    async def swap(
        self, place: Place, head: Head, *, sweeping_until: Millis = NEVER, same_as: int = 0, unswept: bool | None = None
    ) -> Head:
        """HEAD moves to a new manifest, of `head.cut`. `Stale` when somebody else has moved it; then the manifest is gone
        again. `unswept` None: as the one before."""
        number = head.manifest.number + 1
        while True:
            manifest = Manifest(
                number=number,
                at=self._clock(),
                files=(),
                epoch=self._store.epoch,
                sweeping_until=sweeping_until,
                same_as=same_as,
                unswept=head.manifest.unswept if unswept is None else unswept,
            )
            try:
                content = layout.encode(manifest, head.cut.encoded())
                await self.objects.put(place.manifest(number), content, if_none_match=True)
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

    async def show(self, place: Place, moves: Moves, head: Head) -> Head:
        """`files/` becomes what HEAD names, by these moves."""
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
        self._take_out(project)

    async def erase(self, project: ProjectId) -> None:
        """Everything of it. HEAD goes first: what is left of a sweep that broke off is nobody's snapshot."""
        self.forget(project)
        place = Place(project)
        await self.objects.delete(place.head)
        await each([key async for key in self.objects.list(place.root)], self.objects.delete, at_once=AT_ONCE)

    async def _attempt(self, project: Project) -> Made:
        place = Place(project.id)
        # Taken out, so that after a failure the object store is asked.
        known = self._take_out(project.id)
        head = known or await self.head(project.id)
        if head.manifest.sweeping_until > self._clock():
            raise Unavailable("old snapshots are being deleted; the next one is made when that has ended")
        if head.tag is not None and head.shows != head.manifest.number:
            head = await self.show(place, await self._moves_since(place, head), head)
        pairs, touched = await self._bring_up(place, project.id, head)
        held = tuple(sorted(head.held))
        there = head.tag is not None and head.manifest.epoch != self._store.epoch
        if not pairs and not there:
            if known is not None and touched and (await self._number(place.head))[0] != head.tag:
                raise Stale("another process has made a snapshot of what was changed and is as it was again")
            self._remember(project.id, head)
            return Made("nothing", head.manifest.number, held=held)
        self._step("blobs written")
        head = await self.swap(place, head)
        moves = place.moves(_files(before for before, _ in pairs), _files(now for _, now in pairs))
        head = await self.show(place, moves, head)
        self._remember(project.id, head)
        return Made("done", head.manifest.number, sum(1 for _, now in pairs if now is not None), held)

    async def _bring_up(self, place: Place, project: ProjectId, head: Head) -> tuple[list[Pair], bool]:
        """The cut becomes that of now; the bytes that it did not name yet are put. What differs, but for positions; and
        whether anything was touched at all."""
        rows, gone = await self._changed(project, head)
        there: set[BlobSha] = set()
        found: dict[DocumentId, File] = {}

        async def take(row: Row) -> None:
            try:
                found[row.id] = await self._take(place, row, head.cut, there)
            except (Quarantined, NotFound):
                head.held.append(paths.show(row.path))

        head.held.clear()
        await each(rows, take, at_once=AT_ONCE)
        pairs: list[Pair] = [(head.cut.drop(document), None) for document in gone]
        pairs += [(head.cut.put(now), now) for now in found.values()]
        return [(before, now) for before, now in pairs if not layout.same(before, now)], bool(pairs)

    async def _changed(self, project: ProjectId, head: Head) -> tuple[list[Row], list[DocumentId]]:
        """The rows of one moment whose files may differ from the cut's, and the documents of it that are no more."""
        if head.seen is not None and not head.held:
            touched = await self._store.touched(project, head.seen)
            head.seen = touched.events
            gone = [row.id for row in touched.rows if row.deleted_at is not None]
            live = [row for row in touched.rows if row.deleted_at is None]
        else:
            # Numbered before the files are looked at: what happens meanwhile is looked at again.
            known = await self._store.project_by_id(project)
            live = list(await self._store.tree(project))
            head.seen = known.events if known is not None else 0
            gone = list(head.cut.documents() - {row.id for row in live})
        comparable = head.manifest.epoch == self._store.epoch
        return [row for row in live if not (comparable and _as_it_was(head.cut.get(row.id), row))], gone

    async def _take(self, place: Place, row: Row, cut: Cut, there: set[BlobSha]) -> File:
        """The file at the row's head. The cut's blobs are in the store for sure, and those that are `there`."""
        sha = row.sha
        if row.kind != "text":
            if row.kind != "submodule" and not (cut.names(sha) or sha in there):
                await self.objects.copy(object_key(row.object or sha), place.blob(sha))
        elif not settled(row) or not (cut.names(sha) or sha in there):
            if row.size > LARGE:
                async with self._large:
                    sha = await self._put_text(place, row, cut, there)
            else:
                sha = await self._put_text(place, row, cut, there)
        there.add(sha)
        return File(paths.show(row.path), f"{row.mode:06o}", sha, row.id, row.head)

    async def _put_text(self, place: Place, row: Row, cut: Cut, there: set[BlobSha]) -> BlobSha:
        found = file(row, await history.text_at(self._store, row.id, row.head), row.head)
        if not (cut.names(found.row.sha) or found.row.sha in there):
            await self.objects.put(place.blob(found.row.sha), found.content)
        return found.row.sha

    async def _moves_since(self, place: Place, head: Head) -> Moves:
        """From what `files/` shows; where nobody knows what that is, everything is written."""
        shown = None if head.shows is None else await self.manifest(place, head.shows)
        if shown is not None:
            return place.moves(shown.files, head.cut)
        view = place.view(head.cut)
        return Moves(tuple([key async for key in self.objects.list(place.files) if key not in view]), view)

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
            view = place.view(manifest.files)
            await self._move(
                place, [key for key in touched if key not in view], {key: view[key] for key in touched & view.keys()}
            )
            if (await self._number(place.head))[1] == number:
                shows_tag, shows = await self._number(place.shown)
                return Head(msgspec.structs.replace(manifest, files=()), Cut(manifest.files), tag, shows, shows_tag)
        raise Unavailable("another process makes snapshots of this project all the time; this one tries again later")

    async def _number(self, key: str) -> tuple[str | None, int | None]:
        try:
            found = await self.objects.get(key)
        except NotFound:
            return None, None
        return found.tag, int(found.content)

    def _take_out(self, project: ProjectId) -> Head | None:
        head = self._heads.pop(project, None)
        self._remembered -= 0 if head is None else len(head.cut)
        return head

    def _remember(self, project: ProjectId, head: Head) -> None:
        self._take_out(project)
        self._heads[project] = head
        self._remembered += len(head.cut)
        while self._remembered > REMEMBERED and len(self._heads) > 1:
            self._take_out(next(iter(self._heads)))


def _as_it_was(known: File | None, row: Row) -> bool:
    return known is not None and known.position == row.head


def _files(found: Iterable[File | None]) -> list[File]:
    return [file for file in found if file is not None]
