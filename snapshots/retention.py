"""Old snapshots go, and the blobs that nothing names any more.

What it promises
1. Nothing that a manifest names is deleted while that manifest is there, nor what a commit of Quire's names, nor what the
   branch holds; HEAD's snapshot always stays.
2. A snapshot that is being made meanwhile, here or in another process, loses nothing: before anything is deleted, HEAD is
   moved to a snapshot that says so, and whoever had begun earlier loses the swap and begins again; nobody begins until
   that one's time is over. Deleting stops well before.
3. A crash anywhere leaves what the next sweep finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from collab import bases
from collab.crowd import each
from collab.errors import Stale
from collab.ids import Millis
from collab.store.base import Project, Store
from snapshots import journal
from snapshots.manifest import MINUTE, NEVER, Place, outdated
from snapshots.materialiser import Head, Materialiser, Step, no_step

SWEEP_FOR: Final = MINUTE
"""Milliseconds of deleting at a time; what is left is for the next sweep."""
NOBODY_FOR: Final = 5 * MINUTE
"""Milliseconds in which nobody begins a snapshot, unless the sweep ends earlier: room for clocks that differ."""
AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Swept:
    manifests: int = 0
    blobs: int = 0


class Sweeper:
    """`keep`: milliseconds for which a snapshot is of interest."""

    def __init__(
        self,
        materialiser: Materialiser,
        store: Store,
        *,
        keep: int,
        clock: Callable[[], Millis],
        step: Step = no_step,
    ) -> None:
        self._materialiser = materialiser
        self._objects = materialiser.objects
        self._store = store
        self._keep = keep
        self._clock = clock
        self._step = step

    async def sweep(self, project: Project) -> Swept:
        """Not while a round of this project runs in this process."""
        place = Place(project.id)
        self._materialiser.forget(project.id)
        head = await self._materialiser.head(project.id)
        if head.tag is None or head.manifest.sweeping_until > self._clock():
            return Swept()
        stays, gone = await self._sorted(place, head)
        if not gone:
            return Swept()
        until = Millis(self._clock() + SWEEP_FOR)
        try:
            fenced = await self._materialiser.swap(place, head, sweeping_until=Millis(self._clock() + NOBODY_FOR))
            self._step("fenced")
            swept = await self._delete(project, place, {*stays, fenced.manifest.number}, gone, until)
            await self._materialiser.swap(place, fenced, sweeping_until=NEVER)
        except Stale:  # somebody else was faster; nothing was deleted that they had not put again
            return Swept()
        return swept

    async def _sorted(self, place: Place, head: Head) -> tuple[set[int], set[int]]:
        """The numbers of the snapshots that stay, and of those that go."""
        made: dict[int, Millis] = {}
        async for key in self._objects.list(place.manifests):
            number = place.number(key)
            manifest = None if number is None else await self._materialiser.manifest(place, number)
            if manifest is not None:
                made[manifest.number] = manifest.at
        stays = frozenset(number for number in (head.manifest.number, head.shows) if number is not None)
        gone = outdated(made, now=self._clock(), keep=self._keep, stays=stays)
        return set(made) - gone, gone

    async def _delete(self, project: Project, place: Place, stays: set[int], gone: set[int], until: Millis) -> Swept:
        named = await self._named(project, place, stays)
        manifests = await self._drop(map(place.manifest, sorted(gone)), until)
        self._step("manifests swept")
        nameless = [key async for key in self._objects.list(place.blobs) if key.removeprefix(place.blobs) not in named]
        blobs = await self._drop(nameless, until)
        self._step("blobs swept")
        return Swept(manifests, blobs)

    async def _drop(self, keys: Iterable[str], until: Millis) -> int:
        dropped = 0

        async def drop(key: str) -> None:
            nonlocal dropped
            if self._clock() < until:
                await self._objects.delete(key)
                dropped += 1

        await each(keys, drop, at_once=AT_ONCE)
        return dropped

    async def _named(self, project: Project, place: Place, stays: set[int]) -> set[str]:
        """By a manifest that stays, by a commit of Quire's, by the branch."""
        named: set[str] = set()
        for number in stays:
            manifest = await self._materialiser.manifest(place, number)
            named |= {file.sha for file in manifest.files} if manifest is not None else set()
        for snapshot in await journal.snapshots(self._store, project.id):
            named |= {file.sha for file in snapshot.files if file.sha is not None}
        return named | {base.sha for base in (await bases.bases(self._store, project.id)).values()}
