"""What changes becomes segments in the spool: from the store's pages and the repositories, with nobody's network in the way.

What it promises
1. The segments of a generation, in order, on its first copy, make the database as it was at the end of each.
2. A segment names the repositories as they were at its end: it is cut where no branch that the server knows of was moved between the
   look at the repositories and the look at the database, so that a restore finds nothing that a crash could not have left. (A commit
   is journalled before its branch moves, and recorded after.)
3. After `resume`, a chain goes on where an earlier process stopped, or it is known to be broken.
4. Whatever goes wrong breaks the chain, never the store: then `chain` is None, `broken` says why, and `begin` starts a new generation.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
import structlog
from anyio import to_thread

from collab.errors import Invalid, Unavailable
from collab.ids import Millis
from collab.store.pages import Mark, Pages, Pinned, Unfollowed
from web.shipping.layout import Repository
from web.shipping.repositories import Changed, Repositories
from web.shipping.segment import Encoder, Head
from web.shipping.spool import Chain, Spool, SpoolFailed, waiting

log = structlog.get_logger(__name__)

TRIES: Final = 5
"""How often the database is looked at again because a branch was moved meanwhile."""

Step = Callable[[str], None]
"""Called with the name of each step that is about to be passed; the tests die there."""


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


@dataclass(slots=True)
class _Gathered:
    """A segment in the making."""

    since: Millis
    pages: dict[int, bytes] = field(default_factory=dict)
    mark: Mark | None = None
    more: bool = True
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """The database held still at the end of segment `number`, with the repositories as they then were."""

    pinned: Pinned
    generation: int
    number: int
    at: Millis
    repositories: Sequence[Repository]


class Collector:
    def __init__(
        self,
        pages: Pages,
        repositories: Repositories,
        spool: Spool,
        *,
        clock: Callable[[], Millis],
        step: Step = no_step,
    ) -> None:
        self._pages = pages
        self._repositories = repositories
        self._spool = spool
        self._clock = clock
        self._step = step
        self._encoder = Encoder()
        self._lock = anyio.Lock()
        self.chain: Chain | None = None
        self.number = 0
        """Of the newest segment."""
        self.at = Millis(0)
        """Its time."""
        self.off_since: Millis | None = clock()
        """Since when nothing could be restored that was committed later; None: a copy is there, and its segments follow."""
        self.broken = "there is no backup here yet"
        self.on_broken: Callable[[], None] = lambda: None

    async def resume(self) -> None:
        """To be called once, first."""
        chain = await to_thread.run_sync(self._spool.chain)
        if chain is None or not chain.copied:
            self._pages.stop()
            return
        try:
            number, at, mark = await to_thread.run_sync(self._spool.newest, chain)
        except (Invalid, OSError) as error:
            self._pages.stop()
            self.broken = f"what waits on disk cannot be read: {error}"
            return
        if await self._pages.resume(mark):
            self.chain, self.number, self.at = chain, number, at
            self.off_since = None
        else:
            self.broken = "the database was changed while nobody followed it"

    async def collect(self, *, look: bool = False) -> None:
        """Puts into the spool what is new; nothing when no chain is on. `look`: at every repository, also those that nobody here has
        moved."""
        async with self._undisturbed():
            more = self.chain is not None
            while more and self.chain is not None:
                more = await self._unless_broken(self.chain, look=look) or False

    async def begin(self, generation: int) -> Cut:
        """A new generation: whatever was followed before is not any more."""
        async with self._undisturbed():
            self.chain = None
            self._encoder = Encoder()
            moves, changes, pinned = await self._pin_first()
            try:
                await to_thread.run_sync(self._repositories.record, changes, moves)
                self.number, self.at = 0, pinned.mark.at
                await self._put_chain(Chain(generation=generation, number=0, mark=pinned.mark, at=self.at))
                self._step("begun")
                return await self._cut(pinned)
            except BaseException:
                await pinned.aclose()
                raise

    async def cut(self) -> Cut:
        """For a copy of the running chain. `Unavailable` when it is broken."""
        async with self._undisturbed():
            while self.chain is not None:
                pinned: list[Pinned] = []
                try:
                    more = await self._unless_broken(self.chain, pins=pinned)
                    if more is False:
                        return await self._cut(pinned.pop())
                finally:
                    for each in pinned:
                        await each.aclose()
            raise Unavailable(f"the chain of segments is broken: {self.broken}")

    async def copied(self, cut: Cut, size: int) -> None:
        """There is a copy of that moment: the chain can be restored from, and goes on after this process too."""
        async with self._undisturbed():
            if self.chain is not None and self.chain.generation == cut.generation:
                await self._put_chain(
                    Chain(
                        generation=cut.generation,
                        number=cut.number,
                        mark=cut.pinned.mark,
                        at=cut.at,
                        copied=True,
                        copied_at=self._clock(),
                        size=size,
                    )
                )
                self.off_since = None

    async def give_up(self, why: str) -> None:
        """The chain is broken."""
        async with self._undisturbed():
            await self._give_up(why)

    # -- inside the lock

    @contextlib.asynccontextmanager
    async def _undisturbed(self) -> AsyncIterator[None]:
        """One at a time; and whoever is cancelled in it ends it first, for what was taken is taken."""
        async with self._lock:
            with anyio.CancelScope(shield=True):
                yield

    async def _pin_first(self) -> tuple[Mapping[str, int], Sequence[Changed], Pinned]:
        for attempt in range(1, TRIES + 1):
            self._pages.stop()
            moves = self._repositories.moves()
            changes = await to_thread.run_sync(self._repositories.look)
            pinned = await self._pages.pin()
            if self._repositories.moves() == moves or attempt == TRIES:
                break
            await pinned.aclose()
        return moves, changes, pinned

    async def _cut(self, pinned: Pinned) -> Cut:
        assert self.chain is not None
        repositories = await to_thread.run_sync(self._repositories.all)
        return Cut(pinned, self.chain.generation, self.number, self.at, repositories)

    async def _put_chain(self, chain: Chain | None) -> None:
        await to_thread.run_sync(self._spool.put_chain, chain)
        self.chain = chain

    async def _give_up(self, why: str) -> None:
        self._pages.stop()
        self.broken = why
        self.off_since = self.off_since or self._clock()
        if self.chain is not None:
            log.warning("the chain of the backup is broken; a new copy begins another", why=why)
        await self._put_chain(None)
        self.on_broken()

    async def _unless_broken(
        self, chain: Chain, *, look: bool = False, pins: list[Pinned] | None = None
    ) -> bool | None:
        """Whether there is more; None when the chain broke."""
        try:
            return await self._segment(chain, look=look, pins=pins)
        except Unfollowed as error:
            await self._give_up(error.message)
        except SpoolFailed as error:
            await self._give_up(error.message)
        except Exception:
            log.exception("a segment of the backup could not be made")
            await self._give_up("a segment could not be made, by a fault of ours: see the log")
        return None

    async def _segment(self, chain: Chain, *, look: bool, pins: list[Pinned] | None) -> bool:
        """Cuts one; whether there is more already. With `pins`, the store is held still at its end, if there is no more."""
        gathered = _Gathered(since=self._pages.behind().since or self._clock())
        moves = self._repositories.moves()
        changes: list[Changed] = []
        for _ in range(TRIES):
            await self._take(chain, gathered, pins)
            if gathered.more:
                moves, changes = {}, []
                break
            looking = self._repositories.look if look else partial(self._repositories.changed, moves)
            changes = await to_thread.run_sync(looking)
            now = self._repositories.moves()
            if now == moves:
                break
            moves = now
        await self._put(chain, gathered, changes, moves)
        return gathered.more

    async def _take(self, chain: Chain, gathered: _Gathered, pins: list[Pinned] | None) -> None:
        """All there is, if it is not too much; at least to the end of a commit."""
        while True:
            if pins is None:
                taken = await self._pages.take()
            else:
                while pins:
                    await pins.pop().aclose()
                pins.append(await self._pages.pin())
                taken = pins[-1].taken
            gathered.pages.update(taken.pages)
            if taken.whole:
                gathered.mark, gathered.more = taken.mark, taken.more
                return
            gathered.parts += 1
            await self._write(chain, gathered, (), part=gathered.parts, mark=taken.mark)
            gathered.pages = {}

    async def _put(
        self, chain: Chain, gathered: _Gathered, changes: Sequence[Changed], moves: Mapping[str, int]
    ) -> None:
        assert gathered.mark is not None
        if gathered.pages or gathered.parts or changes:
            at = gathered.mark.at if gathered.pages or gathered.parts else self._clock()
            self.at = max(at, self.at)
            await self._write(chain, gathered, [each.repository for each in changes], part=0, mark=gathered.mark)
            self.number += 1
            self._step("spooled")
        await to_thread.run_sync(self._repositories.record, changes, moves)

    async def _write(
        self, chain: Chain, gathered: _Gathered, repositories: Sequence[Repository], *, part: int, mark: Mark
    ) -> None:
        head = Head(
            generation=chain.generation,
            number=self.number + 1,
            part=part,
            parts=0 if part else gathered.parts,
            page_size=self._pages.page_size,
            mark=mark,
            at=self.at,
            since=gathered.since,
            repositories=tuple(repositories),
        )
        pages = gathered.pages

        def encode_and_put() -> None:
            self._spool.put(waiting(chain.generation, head.number, part), self._encoder.encode(head, pages))

        await to_thread.run_sync(encode_and_put)
