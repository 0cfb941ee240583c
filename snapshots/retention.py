"""Old snapshots go, and the blobs that nothing names any more.

What it promises
1. Nothing that a manifest names is deleted while that manifest is there, nor what a commit of Quire's names, nor what the
   branch holds; HEAD's snapshot always stays.
2. A snapshot that is being made meanwhile, here or in another process, loses nothing: before anything is deleted, HEAD is
   moved to a snapshot that says so, and whoever had begun earlier loses the swap and begins again; nobody begins until
   that one's time is over. Deleting stops well before.
3. A crash anywhere leaves what the next sweep finds.
4. It ends: a project that nobody edits comes to its newest snapshot alone, and then nothing is asked any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from collab import bases
from collab.crowd import each
from collab.errors import NotFound, Stale
from collab.ids import Millis
from collab.store.base import Project, Store
from snapshots import journal
from snapshots.manifest import MINUTE, Outline, Place, outdated, outline
from snapshots.materialiser import Materialiser, Step, no_step

SWEEP_FOR: Final = MINUTE
"""Milliseconds of deleting at a time; what is left is for the next sweep."""
NOBODY_FOR: Final = 5 * MINUTE
"""Milliseconds in which nobody begins a snapshot, unless the sweep ends earlier: room for clocks that differ."""
AT_ONCE: Final = 8
REMEMBERED: Final = 10_000
"""Manifests of which it is known when they were made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of the snapshots that nobody needs any more, how many stay beside the newest, and whether an earlier sweep
    did not come to its end."""

    gone: frozenset[int] = frozenset()
    stay: int = 0
    unswept: bool = False

    @property
    def ended(self) -> bool:
        """Nothing is left for any sweep."""
        return not self.gone and not self.stay and not self.unswept


@dataclass(frozen=True, slots=True)
class Swept:
    """`whole`: there was time for everything."""

    manifests: int = 0
    blobs: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Known:
    at: Millis
    same_as: int


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
        self._known: OrderedDict[str, _Known] = OrderedDict()
        """Of manifests that were read, by their keys: they never change."""

    async def plan(self, project: Project) -> Plan:
        """What `sweep` would delete. Whoever names these snapshots forgets them first."""
        place = Place(project.id)
        head = await self._materialiser.head(project.id)
        if head.tag is None or head.manifest.sweeping_until > self._clock():
            return Plan()
        there = await self._there(place)
        stays = frozenset(number for number in (head.manifest.number, head.shows) if number is not None)
        made = {number: each.at for number, each in there.items()}
        gone = outdated(made, now=self._clock(), keep=self._keep, stays=stays)
        return Plan(frozenset(gone), len(there) - len(gone) - 1, head.manifest.unswept)

    async def sweep(self, project: Project, plan: Plan) -> Swept:
        """Not while a round of this project runs in this process."""
        place = Place(project.id)
        self._materialiser.forget(project.id)
        head = await self._materialiser.head(project.id)
        gone = plan.gone - {head.manifest.number, head.shows}
        unswept = head.manifest.unswept
        if head.tag is None or head.manifest.sweeping_until > self._clock() or not (gone or unswept):
            return Swept()
        there = await self._there(place)
        until = Millis(self._clock() + SWEEP_FOR)
        first = head.manifest.same_as or head.manifest.number
        if not unswept and all(_same(number, first, there) for number in gone):
            # The newest names whatever they do: no blob goes with them.
            return Swept(await self._drop(map(place.manifest, sorted(gone)), until))
        try:
            fence = Millis(self._clock() + NOBODY_FOR)
            fenced = await self._materialiser.swap(place, head, sweeping_until=fence, same_as=first, unswept=True)
            self._step("fenced")
            stays = (there.keys() - gone) | {fenced.manifest.number}
            swept = await self._delete(project, place, stays, gone, until)
            await self._materialiser.swap(place, fenced, same_as=first, unswept=not swept.whole)
        except Stale:  # somebody else was faster; nothing was deleted that they had not put again
            return Swept()
        return swept

    async def _there(self, place: Place) -> dict[int, _Known]:
        """By number."""
        found: dict[int, _Known] = {}
        async for key in self._objects.list(place.manifests):
            number = place.number(key)
            if number is None:
                continue
            if key not in self._known and (read := await self._outline(key)) is not None:
                self._known[key] = _Known(read.at, read.same_as)
            if key in self._known:
                found[number] = self._known[key]
                self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _outline(self, key: str) -> Outline | None:
        try:
            return outline((await self._objects.get(key)).content)
        except NotFound:
            return None

    async def _delete(
        self, project: Project, place: Place, stays: Iterable[int], gone: Iterable[int], until: Millis
    ) -> Swept:
        named = await self._named(project, place, stays)
        old = [place.manifest(number) for number in sorted(gone)]
        manifests = await self._drop(old, until)
        self._step("manifests swept")
        nameless = [key async for key in self._objects.list(place.blobs) if key.removeprefix(place.blobs) not in named]
        blobs = await self._drop(nameless, until)
        self._step("blobs swept")
        return Swept(manifests, blobs, manifests + blobs == len(old) + len(nameless))

    async def _drop(self, keys: Iterable[str], until: Millis) -> int:
        dropped = 0

        async def drop(key: str) -> None:
            nonlocal dropped
            if self._clock() < until:
                await self._objects.delete(key)
                dropped += 1

        await each(keys, drop, at_once=AT_ONCE)
        return dropped

    async def _named(self, project: Project, place: Place, stays: Iterable[int]) -> set[str]:
        """By a manifest that stays, by a commit of Quire's, by the branch."""
        named: set[str] = set()
        for number in stays:
            read = await self._outline(place.manifest(number))
            named |= {file.sha for file in read.files} if read is not None else set()
        for snapshot in await journal.snapshots(self._store, project.id):
            named |= {file.sha for file in snapshot.files if file.sha is not None}
        return named | {base.sha for base in (await bases.bases(self._store, project.id)).values()}


def _same(number: int, first: int, there: dict[int, _Known]) -> bool:
    return number == first or (number in there and there[number].same_as == first)
