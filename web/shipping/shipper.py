"""A continuous backup: what is committed here is in the object store a moment later, and can be restored from there.

What it promises
1. Whatever was committed more than `lag` seconds ago is there, as long as the store answers quickly (p95). Nobody's commit waits for it.
2. When the store does not answer, changes wait on disk, in order, and follow by themselves when it does; the moments in between can
   be restored too. When the disk has too little room for that, they are given up, and a new copy of everything begins a new chain.
3. A crash at any point leaves a backup that can be restored, up to what was there; the next process goes on.
4. One server ships to a place (`lease`). One that has lost it stops, says so, and begins a chain of its own when it has it again.
5. A copy of everything is made every `copy_every` seconds, if something has changed, and earlier when the segments since the last one
   have grown larger than it; so restoring takes a bounded time. What is older than `keep` goes (`copying`).
6. `aclose` brings what is not there yet, within its deadline.

Failures are kept for the status, in plain words, and tried again: later each time, at least once in half a minute.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import anyio
import structlog
from anyio import to_thread

from collab.crowd import each
from collab.errors import Invalid, NotFound, QuireError, Stale, Unavailable
from collab.ids import Millis
from collab.objects.base import ObjectStore
from collab.store.pages import Pages
from web.shipping import copying, layout, segment
from web.shipping.carrier import Carrier
from web.shipping.collector import Collector, Cut, Step, no_step
from web.shipping.layout import GIT, Copy, Owner, Repository
from web.shipping.lease import RENEW, Lease, Lost, described
from web.shipping.repositories import Piece, Repositories
from web.shipping.spool import Spool, SpoolFailed, Waiting

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at repositories that nobody here has moved."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
"""Seconds until something that failed is tried again."""
BEHIND: Final = 8
"""With so many segments waiting, larger ones are cut, less often."""
BEHIND_PACE: Final = 10.0
LEAST_SEGMENTS: Final = 64 << 20
"""Bytes of segments below which no copy is made because of them alone."""
PIECES_AT_ONCE: Final = 4
"""Pieces of a repository on their way side by side: each is held in memory."""
SPARE: Final = 256 << 20
"""Bytes that a copy leaves free on the disk."""
COPY: Final = "copy.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds; `keep` too. `renew`: how often the lease is."""

    lag: float = 1.0
    keep: float = 30 * 86400.0
    copy_every: float = 86400.0
    renew: float = RENEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`state`: `beginning` (the first copy is being made), `shipping`, `behind` (something failed, see `detail`), `waiting` (another
    server ships there), `offline` (no server runs, and changes wait for one). `seconds`: how old the oldest commit is that is not there; `bytes`: how much waits on disk; `files`: how many that
    are not text wait to be brought; `copied_at`: when
    the last copy was made; `at`: the time of the newest commit that is there."""

    where: str
    state: str
    detail: str
    seconds: float
    bytes: int
    files: int
    generation: int
    segment: int
    at: Millis | None
    copied_at: Millis | None


class Observer(Protocol):
    """Who counts."""

    def shipped(self, seconds: float, size: int) -> None:
        """A segment has arrived; its oldest commit was so old."""

    def failed(self) -> None:
        """Something will be tried again."""

    def copied(self, size: int) -> None:
        """A copy has been made."""


class _Nobody:
    def shipped(self, seconds: float, size: int) -> None:
        return

    def failed(self) -> None:
        return

    def copied(self, size: int) -> None:
        return


Describe = Callable[[Cut, tuple[str, ...], int], Copy]
"""A copy of that moment, in those pieces, of so many bytes: with what else belongs to it (epoch, keys)."""


class Shipper:
    """`where`: for people. Not `online`: what changes waits on disk for a process that is."""

    def __init__(
        self,
        pages: Pages,
        collector: Collector,
        spool: Spool,
        repositories: Repositories,
        objects: ObjectStore,
        lease: Lease,
        *,
        where: str,
        describe: Describe,
        clock: Callable[[], Millis],
        pace: Pace,
        carrier: Carrier | None = None,
        observer: Observer | None = None,
        online: bool = True,
        step: Step = no_step,
    ) -> None:
        self._pages = pages
        self._collector = collector
        self._spool = spool
        self._repositories = repositories
        self._objects = objects
        self._lease = lease
        self._where = where
        self._describe = describe
        self._clock = clock
        self._pace = pace
        self._observer = observer or _Nobody()
        self.carrier = carrier
        """Of files that are not text, where they have to be brought."""
        self._online = online
        self._step = step
        self._leasing = anyio.Lock()
        self._shipping_git = anyio.Lock()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        self._progress = anyio.Event()
        self._copy_news = anyio.Event()
        self._failure = ""
        self._copy_failure = ""
        self._other: Owner | None = None
        self._renewed_at = -1e9
        self._waiting: list[Waiting] = []
        self._waiting_bytes = 0
        self._since: Millis | None = None
        self._taking: Millis | None = None
        self._shipped: tuple[int, Millis] | None = None
        self._bytes_since_copy = 0
        self._copying = anyio.Lock()
        self._counting = anyio.Lock()
        collector.on_broken = self._wake_copier

    # -- what others ask

    def status(self) -> Status:
        chain, shipped = self._collector.chain, self._shipped
        return Status(
            where=self._where,
            state=self._state(),
            detail=self._detail(),
            seconds=self.seconds_behind(),
            bytes=self._waiting_bytes + self._pages.behind().bytes,
            files=self.carrier.waiting if self.carrier is not None else 0,
            generation=chain.generation if chain else 0,
            segment=shipped[0] if shipped else 0,
            at=shipped[1] if shipped else None,
            copied_at=chain.copied_at if chain else None,
        )

    async def flushed(self) -> None:
        """Returns when everything that is committed now is there, and can be restored."""
        until = self._clock()
        while self._oldest(Millis(until + 1)) <= until:
            await self._progress.wait()

    async def copy_now(self) -> None:
        """A copy, whether it is due or not. Raises what stands in its way."""
        await self._make_copy()

    async def run(self) -> None:
        """Until `aclose`."""
        try:
            await self._collector.resume()
            await self._recount()
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._collect_for_ever)
                    if self._online:
                        tasks.start_soon(self._ship_for_ever)
                        tasks.start_soon(self._copy_for_ever)
                    if self._online and self.carrier is not None:
                        tasks.start_soon(self.carrier.run)
        finally:
            self._ended.set()

    async def aclose(self, within: float) -> None:
        """What is not there yet goes there, as far as it does in so many seconds; the rest waits on disk for the next start."""
        self._scope.cancel()
        await self._ended.wait()
        await self._collect(look=True)
        with anyio.move_on_after(within):
            try:
                if self._lease.owner is not None:
                    await self._ship_waiting()
                    if self.carrier is not None:
                        await self.carrier.bring()
                    await self._say_how_far()
                    await self._lease.release()
            except QuireError as error:
                log.warning("the backup is not complete; the rest waits for the next start", why=error.message)

    # -- the three loops

    async def _collect_for_ever(self) -> None:
        looked_at = -1e9
        while True:
            began = anyio.current_time()
            look = began - looked_at >= LOOK_EVERY
            try:
                await self._collect(look=look)
            except Exception:
                log.exception("what changes could not be collected for the backup")
                await self._collector.give_up("by a fault of ours: see the log")
            looked_at = began if look else looked_at
            pace = BEHIND_PACE if len(self._waiting) >= BEHIND else self._pace.lag / 2
            await anyio.sleep(max(0.0, began + pace - anyio.current_time()))
            with anyio.move_on_after(LOOK_EVERY):
                await self._pages.changed()

    async def _collect(self, *, look: bool) -> None:
        self._taking = self._pages.behind().since
        await self._collector.collect(look=look)
        await self._recount()
        self._taking = None
        self._news.set()
        self._news = anyio.Event()
        self._progressed()  # there may have been nothing to ship

    async def _ship_for_ever(self) -> None:
        failures = 0
        while True:
            news = self._news
            try:
                await self._hold()
                await self._ship_waiting()
                await self._renew()
                failures, self._failure = 0, ""
            except QuireError as error:
                failures += 1
                await self._failed(error)
            except Exception as error:
                failures += 1
                log.exception("the backup could not be shipped")
                await self._failed(Unavailable(f"by a fault of ours: {error!r}; see the log"))
            wait = self._pace.renew / 2 if not failures else _backoff(failures)
            with anyio.move_on_after(wait):
                if failures:
                    await anyio.sleep_forever()
                await news.wait()

    async def _copy_for_ever(self) -> None:
        failures = 0
        while True:
            self._copy_news = anyio.Event()
            wait = self._copy_due()
            if wait > 0:
                with anyio.move_on_after(wait):
                    await self._copy_news.wait()
                continue
            try:
                await self._make_copy()
                failures, self._copy_failure = 0, ""
            except Exception as error:
                if not isinstance(error, QuireError | OSError):
                    log.exception("a copy for the backup failed")
                failures += 1
                self._copy_failure = f"no copy can be made: {_told(error)}"
                self._observer.failed()
                log.warning("a copy for the backup failed", why=_told(error))
                await anyio.sleep(_backoff(failures))

    # -- segments

    async def _hold(self) -> None:
        """The lease is ours."""
        if self._lease.owner is not None:
            return
        owner = await self._lease.acquire(self._heard)
        self._other = None
        self._renewed_at = anyio.current_time()
        chain = self._collector.chain
        if chain is not None and chain.generation != owner.generation:
            await self._collector.give_up("another server has shipped here in the meantime")
        self._wake_copier()

    def _heard(self, other: Owner) -> None:
        if self._other is None:
            log.warning("another server ships its backup here; this one waits", other=described(other))
        self._other = other

    async def _ship_waiting(self) -> None:
        while self._waiting:
            which = self._waiting[0]
            await self._ship_one(which)
            await self._recount()
            self._progressed()
            await self._renew()

    async def _ship_one(self, which: Waiting) -> None:
        try:
            content = await to_thread.run_sync(self._spool.get, which)
        except Invalid as error:
            await self._lose(which, f"a segment on disk is damaged: {error.message}")
            return
        head = segment.read_head(content)
        for repository in head.repositories:
            await self._ship_repository(repository)
        if not await self._put_new(layout.segment_key(which.generation, which.number, which.part), content):
            await self._lose(which, "another server has written a segment of this chain")
            return
        self._step("segment put")
        await to_thread.run_sync(self._spool.shipped, which)
        self._step("segment shipped")
        self._bytes_since_copy += len(content)
        if which.last:
            self._shipped = (which.number, head.at)
            self._observer.shipped(max(0, self._clock() - head.since) / 1000, len(content))
        if self._copy_due() <= 0:
            self._wake_copier()

    async def _put_new(self, key: str, content: bytes) -> bool:
        """False when something else is there."""
        try:
            await self._objects.put(key, content, if_none_match=True)
        except Stale:
            # An earlier process may have died after it had put it.
            try:
                return (await self._objects.get(key)).content == content
            except NotFound:
                raise Unavailable(f"{key} comes and goes") from None
        return True

    async def _lose(self, which: Waiting, why: str) -> None:
        await to_thread.run_sync(self._spool.drop_from, which)
        chain = self._collector.chain
        if chain is not None and chain.generation == which.generation:
            await self._collector.give_up(why)

    async def _ship_repository(self, repository: Repository) -> None:
        async def put(piece: Piece) -> None:
            content = await to_thread.run_sync(piece.packed)
            if content is not None:
                await self._objects.put(GIT + piece.name, content)

        async with self._shipping_git:
            pieces = await to_thread.run_sync(self._repositories.waiting, repository)
            await each(pieces, put, at_once=PIECES_AT_ONCE)
            await to_thread.run_sync(self._repositories.shipped, repository)

    async def _recount(self) -> None:
        def count() -> tuple[list[Waiting], int, Millis | None]:
            found = self._spool.segments()
            return found, self._spool.size(found), self._first(found)

        async with self._counting:
            while True:
                try:
                    self._waiting, self._waiting_bytes, self._since = await to_thread.run_sync(count)
                    return
                except FileNotFoundError:  # it was shipped since it was listed
                    continue

    def _first(self, waiting: Sequence[Waiting]) -> Millis | None:
        """When the oldest commit was made that waits. That a segment is damaged is found out when it is shipped."""
        try:
            return self._spool.head(waiting[0]).since if waiting else None
        except Invalid:
            return self._clock()

    # -- the lease

    async def _renew(self) -> None:
        if anyio.current_time() - self._renewed_at >= self._pace.renew:
            await self._say_how_far()

    async def _say_how_far(self, *, generation: int | None = None) -> None:
        """With `generation`, that one begins."""
        async with self._leasing:
            owner = self._lease.owner
            if owner is None:
                raise Unavailable("another server ships here")
            chain = self._collector.chain
            if generation is not None:
                number, at = 0, owner.at
            else:
                generation = chain.generation if chain else owner.generation
                number, at = self._shipped or (owner.number, owner.at)
            seen_at = Millis(self._oldest(self._clock()) - 1)
            await self._lease.renew(generation=generation, number=number, at=at, seen_at=seen_at)
            self._renewed_at = anyio.current_time()
            self._step("owner moved")

    async def _failed(self, error: QuireError) -> None:
        self._observer.failed()
        if error.message != self._failure:
            log.warning("the backup is behind", why=error.message)
        self._failure = error.message
        if isinstance(error, Lost):
            await self._collector.give_up(error.message)

    # -- copies

    def _wake_copier(self) -> None:
        self._copy_news.set()

    def _copy_due(self) -> float:
        """In so many seconds; some more when nothing has changed."""
        chain = self._collector.chain
        if self._lease.owner is None:
            return LONGEST_WAIT
        if chain is None or not chain.copied:
            return 0
        if self._collector.number == chain.number:
            return LOOK_EVERY
        if self._bytes_since_copy > max(LEAST_SEGMENTS, chain.size):
            return 0
        return max(0.0, chain.copied_at / 1000 + self._pace.copy_every - self._clock() / 1000)

    async def _make_copy(self) -> None:
        async with self._copying:
            await self._copy_and_sweep()

    async def _copy_and_sweep(self) -> None:
        cut = await self._cut()
        try:
            file = self._spool.folder / COPY
            try:
                self._demand_room()
                await cut.pinned.copy(file)
            finally:
                await cut.pinned.aclose()
            self._step("file copied")
            await self._put_copy(cut, file)
        finally:
            await to_thread.run_sync(self._spool.drop, COPY)
        now = self._clock()
        swept = await copying.sweep(self._objects, keep=int(self._pace.keep * 1000), now=now)
        self._step("swept")
        log.info("the backup has a new copy", generation=cut.generation, segment=cut.number, swept=swept)

    async def _cut(self) -> Cut:
        if self._collector.chain is not None:
            return await self._collector.cut()
        owner = self._lease.owner
        if owner is None:
            raise Unavailable("another server ships here")
        generation = owner.generation + 1
        await self._say_how_far(generation=generation)
        self._shipped = None
        cut = await self._collector.begin(generation)
        await self._recount()
        return cut

    async def _put_copy(self, cut: Cut, file: pathlib.Path) -> None:
        size = (await to_thread.run_sync(file.stat)).st_size
        pieces = await copying.put_pieces(self._objects, file)
        self._step("pieces put")
        for repository in cut.repositories:
            await self._ship_repository(repository)
        await self._demand_pieces(cut.repositories)
        key = layout.copy_key(cut.generation, cut.number)
        await self._put_new(key, layout.encode(self._describe(cut, pieces, size)))
        self._step("copy put")
        await self._collector.copied(cut, size)
        self._step("copy recorded")
        self._bytes_since_copy = 0
        self._observer.copied(size)
        self._progressed()

    async def _demand_pieces(self, repositories: Sequence[Repository]) -> None:
        """Somebody may have emptied the bucket since they were shipped."""
        there = {key.removeprefix(GIT) async for key in self._objects.list(GIT)}
        if any(piece not in there for each in repositories for piece in each.pieces()):
            await to_thread.run_sync(self._repositories.forget)
            await self._collector.collect(look=True)
            raise Unavailable("pieces of repositories are gone from the store: they are put there again")

    def _demand_room(self) -> None:
        chain = self._collector.chain
        assert chain is not None
        needed = chain.mark.pages * self._pages.page_size + SPARE
        free = shutil.disk_usage(self._spool.folder).free
        if free < needed:
            raise SpoolFailed(f"a copy of the database needs {needed:,} bytes on the disk, and {free:,} are free")

    # -- how far behind

    def _oldest(self, otherwise: Millis) -> Millis:
        """The time of the oldest commit that is not there."""
        times = [self._since, self._taking, self._pages.behind().since, self._collector.off_since]
        return min([each for each in times if each is not None], default=Millis(otherwise + 1))

    def seconds_behind(self) -> float:
        """The age of the oldest commit that is not there."""
        now = self._clock()
        return max(0, now - self._oldest(now)) / 1000

    def _state(self) -> str:
        if not self._online:
            return "offline"
        if self._lease.owner is None and self._other is not None:
            return "waiting"
        if self._failure or self._copy_failure or (self.carrier is not None and self.carrier.failure):
            return "behind"
        chain = self._collector.chain
        return "shipping" if chain is not None and chain.copied else "beginning"

    def _detail(self) -> str:
        if self._lease.owner is None and self._other is not None:
            return (
                f"another server ships its backup here: {described(self._other)}. Stop one of the two, or give one another "
                "place (QUIRE_BACKUP)"
            )
        troubles = list(self._repositories.troubles.values())
        carrying = self.carrier.failure if self.carrier is not None else ""
        return "; ".join(each for each in (self._failure, self._copy_failure, carrying, *troubles[:3]) if each)

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = anyio.Event()


def _backoff(failures: int) -> float:
    return min(FIRST_WAIT * 2.0 ** min(failures - 1, 10), LONGEST_WAIT)


def _told(error: Exception) -> str:
    if isinstance(error, QuireError):
        return error.message
    return str(error.strerror or error) if isinstance(error, OSError) else f"by a fault of ours: {error!r}"
