"""The rooms of one process: opened on first use, closed when idle; the owner of their tasks.

What it promises
1. A document has at most one room here. Those who come first at the same time share one load; a load that fails
   refuses them all, with its reason, and leaves nothing behind.
2. `commit` of turns over several rooms is one transaction: all of it or nothing, in the log and in every room.
3. A room that breaks (a failed commit, a fault of ours) takes no other with it.
4. An idle room is closed after a grace period, at once when the rooms need more memory than their budget. Its long log
   is compacted beside it.
5. `aclose`: members are told to come back (1012), what was submitted is committed, events that are owed are told.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.abc

from collab import compaction
from collab.announcements import Announcements
from collab.bell import Alarms
from collab.bus.base import Bus
from collab.errors import NotFound, PathTaken, QuireError, Stale, Unavailable
from collab.ids import DocumentId
from collab.member import CloseCode
from collab.observer import Observer, Unobserved
from collab.room import Room
from collab.store.base import Append, Change, Committed, SetDocument, Store
from collab.turn import Turn

GRACE: Final = 20.0
"""Seconds that an idle room stays open."""

BUDGET: Final = 1_000_000_000
"""Bytes of documents in open rooms."""

LOOK: Final = 2.0
"""Seconds between looks at idle rooms, while there are any."""

STUCK: Final = 60.0
"""Seconds that one frame may take to leave; then its socket is closed (1013), to be opened again."""

LOOSE: Final = 500
"""Entries behind the newest checkpoint that make it worth looking whether another is due, once nobody types."""

LOOSE_MOST: Final = 50_000
"""As many are packed while people type, though they will feel it."""

PAUSE: Final = 3.0
"""Seconds without an edit in which a room may be compacted: the work is Python's, and takes time from everybody."""

LOOSE_AT_CLOSE: Final = 64
"""As many make one due when the room closes: the next load is fast."""

MEASURED_FOR: Final = 0.5
"""Seconds for which the bytes of all open rooms count as known, but for what is opened."""

ENCODING_KEPT: Final = 10.0
"""Seconds that an encoding which nobody joins with is kept."""


@dataclass(frozen=True, slots=True)
class Stats:
    rooms: int
    peers: int
    bytes: int


class _Opening:
    """A load that is under way, shared by everybody who waits for it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.done = anyio.Event()
        self.error: Exception | None = None


class Rooms:
    def __init__(
        self,
        store: Store,
        bus: Bus,
        *,
        observer: Observer | None = None,
        grace: float = GRACE,
        budget: int = BUDGET,
    ) -> None:
        self._store = store
        self._bus = bus
        self._observer = observer or Unobserved()
        self._grace = grace
        self._budget = budget
        self._rooms: dict[DocumentId, Room] = {}
        self._used = 0
        self._measured_at = time.monotonic()
        self._openings: dict[DocumentId, _Opening] = {}
        self._closing = False
        self._alarms = Alarms()
        self._announcements = Announcements(store, self._observer, self.tell)
        self._some = anyio.Event()
        self._compacting = anyio.CapacityLimiter(1)
        self._tasks: anyio.abc.TaskGroup
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self._alarms.run)
        self._tasks.start_soon(self._announcements.run)
        self._tasks.start_soon(self._look_after)
        self._tasks.start_soon(self._pay_debts)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """See the module, 5. May be called again."""
        self._closing = True
        for room in list(self._rooms.values()):
            room.send_home(CloseCode.RESTART, "the server restarts; come back in a moment")
        while self._rooms or self._openings:
            for opening in list(self._openings.values()):
                await opening.done.wait()
            for room in list(self._rooms.values()):
                await self._finish(room)
        await self._announcements.flush()

    def stats(self) -> Stats:
        rooms = self._rooms.values()
        return Stats(len(rooms), sum(len(room.members) for room in rooms), sum(room.size for room in rooms))

    # -- rooms and turns ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def use(self, document: DocumentId) -> AsyncIterator[Room]:
        """The room, which stays open meanwhile."""
        room = await self._open(document)
        room.users += 1
        try:
            yield room
        finally:
            room.users -= 1
            room.idle_since = time.monotonic()

    def peek(self, document: DocumentId) -> Room | None:
        """The room, if it is open."""
        return self._rooms.get(document)

    async def evict(self, documents: Iterable[DocumentId]) -> None:
        """Whoever is in these rooms goes, for good; the rooms too."""
        for document in documents:
            room = self._rooms.get(document)
            if room is not None:
                room.fail(NotFound("the project was deleted"), CloseCode.NO_SUCH_FILE)
                self._forget(room)

    @asynccontextmanager
    async def turn(self, document: DocumentId) -> AsyncIterator[Turn]:
        async with AsyncExitStack() as stack:
            try:
                turn = await stack.enter_async_context(self._turn(document))
            except Unavailable as error:
                if error.name != "room_gone":
                    raise
                turn = await stack.enter_async_context(self._turn(document))  # it failed while we waited
            yield turn

    @asynccontextmanager
    async def _turn(self, document: DocumentId) -> AsyncIterator[Turn]:
        async with self.use(document) as room, room.turn() as turn:
            yield turn

    @asynccontextmanager
    async def turns(self, documents: Iterable[DocumentId]) -> AsyncIterator[dict[DocumentId, Turn]]:
        """Exclusive turns of several documents, always taken in the same order, so that two such calls cannot block
        each other."""
        async with AsyncExitStack() as stack:
            yield {each: await stack.enter_async_context(self.turn(each)) for each in sorted(set(documents))}

    async def commit(
        self, turns: Sequence[Turn], changes: Sequence[Change] = (), appends: Sequence[Append] = ()
    ) -> Committed:
        """What the turns have staged, the changes, and appends to documents without a room, as one transaction; then
        it is shown. Not to be cancelled halfway. When it is refused (`Stale`, `PathTaken`, `NotFound`), the documents
        are as before."""
        with anyio.CancelScope(shield=True):
            staged = [turn.append() for turn in turns if turn.entries]
            try:
                committed = await self._store.commit([*staged, *appends], changes)
            except (Stale, PathTaken, NotFound):
                for turn in turns:
                    await turn.undo()
                raise
            except QuireError as error:
                for turn in turns:
                    self._give_up(turn.room, error)
                raise
            for turn in turns:
                if turn.entries:
                    await turn.settle(committed.heads[turn.room.id])
            for change in changes:
                if isinstance(change, SetDocument):
                    self._let_in_or_out(change)
        self.tell(committed)
        return committed

    def _let_in_or_out(self, change: SetDocument) -> None:
        """A file that was deleted, or stopped being text, has nobody in its room: whoever opens it now included."""
        opening = self._openings.get(change.id)
        room = self._rooms.get(change.id) or (opening.room if opening is not None else None)
        if room is None:
            return
        room.judge_row(
            deleted=change.fields["deleted_at"] is not None if "deleted_at" in change.fields else None,
            kind=change.fields.get("kind"),
        )

    def tell(self, committed: Committed) -> None:
        for event in committed.events:
            self._bus.publish(event.project, event.n)

    # -- opening -----------------------------------------------------------------------------------------------------

    async def _open(self, document: DocumentId) -> Room:
        room = self._rooms.get(document)
        if room is not None and room.gone is None:
            return room
        if self._closing:
            raise Unavailable("the server is shutting down; try again in a moment", code="shutting_down")
        opening = self._openings.get(document)
        if opening is None:
            self._make_space()
            opening = self._openings[document] = _Opening(self._room(document))
            # A task of ours: the first who came may leave before it is done.
            self._tasks.start_soon(self._load, document, opening)
        await opening.done.wait()
        if opening.error is not None:
            raise opening.error
        return opening.room

    def _room(self, document: DocumentId) -> Room:
        return Room(document, self._store, self._observer, self._announcements, self._alarms)

    async def _load(self, document: DocumentId, opening: _Opening) -> None:
        try:
            await opening.room.load()
        except Exception as error:  # noqa: BLE001 - handed to everybody who waits for it
            opening.error = error
        else:
            self._rooms[document] = opening.room
            self._used += opening.room.size
            self._tasks.start_soon(self._run, opening.room)
            self._some.set()
        finally:
            del self._openings[document]
            opening.done.set()

    async def _run(self, room: Room) -> None:
        try:
            await room.run()
        except QuireError as error:
            self._give_up(room, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one room must not end the others
            self._give_up(room, Unavailable("this file had to be closed; come back in a moment"))
            self._observer.broke(error)

    def _give_up(self, room: Room, error: QuireError) -> None:
        room.fail(error)
        self._forget(room)

    def _forget(self, room: Room) -> None:
        if self._rooms.get(room.id) is room:
            del self._rooms[room.id]

    # -- closing -----------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Closes idle rooms. Sleeps without end while there are none."""
        while True:
            await self._some.wait()
            await anyio.sleep(min(LOOK, self._grace))
            now = time.monotonic()
            for room in list(self._rooms.values()):
                room.forget_encoding(ENCODING_KEPT)
                room.release_stuck(now - STUCK)
                going = room.idle and now - room.idle_since >= self._grace
                if self._long(room, going, now):
                    await self._compact(room, going)
                if going and room.idle:
                    self._close(room)
            if not self._rooms:
                self._some = anyio.Event()

    def _make_space(self) -> None:
        """Within the budget, before one more is opened: idle rooms go first; when all are in use, nobody is let in."""
        if not self._may_be_full():
            return
        used = self._measure()
        for room in sorted(self._rooms.values(), key=lambda room: room.idle_since):
            if used < self._budget:
                break
            if room.idle:
                used -= room.size
                self._close(room)
        self._used = used
        if used >= self._budget:
            raise Unavailable("too many files are open at once; try again in a moment", code="busy")

    def _may_be_full(self) -> bool:
        """By what was measured lately and has been opened since: whoever opens thousands of rooms does not measure all of
        them for each."""
        if time.monotonic() - self._measured_at > MEASURED_FOR:
            self._measure()
        return self._used >= self._budget

    def _measure(self) -> int:
        self._measured_at = time.monotonic()
        self._used = sum(room.size for room in self._rooms.values())
        return self._used

    def _close(self, room: Room) -> None:
        room.fail(Unavailable("this file was idle"))
        self._forget(room)
        room.dispose()

    async def _finish(self, room: Room) -> None:
        """Everything that was submitted is committed, every event told."""
        try:
            await room.drain()
        except QuireError as error:
            room.fail(error)
        self._forget(room)

    def _long(self, room: Room, going: bool, now: float) -> bool:
        """Its log is long enough to be worth a look."""
        if going:
            return room.loose >= LOOSE_AT_CLOSE
        return room.loose >= (LOOSE if now - room.written_at >= PAUSE else LOOSE_MOST)

    async def _compact(self, room: Room, going: bool) -> None:
        loose, room.loose = room.loose, 0
        try:
            size = await self._store.size(room.id)
            if size is not None and (going or compaction.due(size)):
                async with self._compacting:
                    await compaction.compact(self._store, room.id)
            else:
                room.loose = loose // 2
        except QuireError as error:
            self._observer.broke(error)

    async def _pay_debts(self) -> None:
        """Events that are owed since a crash."""
        for row in await self._store.owed():
            try:
                async with self.turn(row.id) as turn:
                    await turn.room.announce()
            except QuireError as error:
                if self._closing:
                    return  # they stay owed
                self._observer.broke(error)
