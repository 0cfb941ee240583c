"""The one thread that writes, with the one connection that writes and checkpoints the write-ahead log.

Group commit: whatever waits when the thread looks becomes one transaction and one fsync.
1. A job that is refused (`PathTaken`, `Stale`, `NotFound`) is rolled back alone and gets its own error; neighbours go on.
2. Callers hear of their job only after COMMIT has returned; a whole group hears in one call into the event loop.
3. A group that the disk refuses happened for nobody: each of its callers gets `LogFailed`.
4. A group that fails by something unforeseen is done again job by job, so that the culprit alone gets the error.
5. A caller that is cancelled while it waits changes nothing: its job is carried out, its answer dropped.
6. `close` finishes what was submitted before; what comes after is `LogFailed`.
7. Nothing is checkpointed that whoever follows the store could lose by it (collab.store.tail).

The answers go through futures of the event loop that submitted (asyncio; uvicorn runs nothing else): one hand-over for
a group costs a tenth of what one for each caller would.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from collab.errors import LogFailed, QuireError
from collab.ids import Millis
from collab.store.base import Announce, Append, Change, Committed
from collab.store.changes import FLUSH, Heads, Transaction
from collab.store.schema import newest_time
from collab.store.tail import Tail

GROUP: Final = 1000
"""At most so many jobs to a transaction, so that the first of them does not wait for ever."""
WAL_QUIET: Final = 4 << 20
"""Once the write-ahead log has grown by so many bytes, it is checkpointed as soon as nobody waits."""
WAL_BUSY: Final = 32 << 20
"""And beyond this, even though somebody waits."""

VACUUM: Final = 256
"""Free pages given back at a time (1 MB), so that a commit that comes meanwhile waits for some milliseconds at most."""

_PAGE: Final = 4096

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]


class Job:
    """One call of `commit` (or, with `work`, anything else that writes) and the future that waits for it. `aside`: what is
    done between two transactions."""

    __slots__ = ("appends", "aside", "changes", "future", "work")

    def __init__(
        self,
        future: asyncio.Future[Any],
        appends: Sequence[Append] = (),
        changes: Sequence[Change] = (),
        work: Work | None = None,
        aside: Callable[[], Any] | None = None,
    ) -> None:
        self.aside = aside
        self.future = future
        self.appends = appends
        self.changes = changes
        self.work = work

    @property
    def is_append(self) -> bool:
        """Nothing but entries for one document."""
        return len(self.appends) == 1 and not self.changes

    @property
    def weight(self) -> int:
        """About how much the write-ahead log grows by it."""
        payloads = sum(len(entry.payload) for append in self.appends for entry in append.entries)
        return payloads + _PAGE * (len(self.appends) + len(self.changes) + 1)


Outcome = tuple[Job, Any, BaseException | None]


class Writer:
    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: Callable[[], Millis],
        loop: asyncio.AbstractEventLoop,
        tail: Tail | None = None,
    ) -> None:
        self._tail = tail
        self._connection = connection
        self._clock = clock
        self._loop = loop
        self._last_at = newest_time(connection)
        if tail is not None:
            tail.opened(self._last_at)
        self._heads: Heads = {}
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._grown = 0
        self._hollowed = True
        self._thread = threading.Thread(target=self._run, name="quire-log", daemon=True)
        self._thread.start()

    async def commit(self, appends: Sequence[Append], changes: Sequence[Change]) -> Committed:
        future = self._loop.create_future()
        self._submit(Job(future, appends, changes))
        return await future  # type: ignore[no-any-return]

    async def carry_out(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` as a job of its own, in a transaction like any other."""
        future = self._loop.create_future()
        self._submit(Job(future, work=work))
        return await future  # type: ignore[no-any-return]

    async def aside(self, work: Callable[[], T]) -> T:
        """`work` in the writer's thread, between two transactions: so after everything that was submitted before."""
        future = self._loop.create_future()
        self._submit(Job(future, aside=work))
        return await future  # type: ignore[no-any-return]

    def close(self) -> None:
        """Refuses new jobs; the thread ends when those accepted are done, and `join` waits for that."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)

    def join(self) -> None:
        self._thread.join()

    def _submit(self, job: Job) -> None:
        if self._closed:
            raise LogFailed("the store is closed")
        self._jobs.put(job)

    # All below runs in the writer's thread.

    def _run(self) -> None:
        group, last = self._wait()
        while group:
            aside = group.pop() if group[-1].aside is not None else None
            if group:
                self._settle(self._carry_out(group))
            if aside is not None:
                self._settle([_done(aside)])
            if not last:
                self._tend()
            group, last = ([], True) if last else self._wait()
        if self._may_checkpoint():
            with suppress(sqlite3.OperationalError):  # Then the next process finds the write-ahead log and reads it.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()
        if self._tail is not None:
            self._tail.closed()

    def _wait(self) -> tuple[list[Job], bool]:
        """What is waiting, at least one job, and the last of them alone may be `aside`; whether `close` was called behind it."""
        group: list[Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == GROUP or job.aside is not None:
                return group, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _carry_out(self, group: list[Job]) -> list[Outcome]:
        """Every job of the group with its answer or its error, durable."""
        try:
            return self._transaction(group)
        except sqlite3.OperationalError as error:
            self._roll_back()
            return [(job, None, _failed(error)) for job in group]
        except Exception as error:  # noqa: BLE001 - handed to the caller; the thread must outlive it
            self._roll_back()
            if len(group) == 1:
                return [(group[0], None, _failed(error) if isinstance(error, sqlite3.Error) else error)]
            return [outcome for job in group for outcome in self._carry_out([job])]

    def _transaction(self, group: list[Job]) -> list[Outcome]:
        self._last_at = Millis(max(self._last_at, self._clock()))
        transaction = Transaction(self._connection, self._last_at, self._heads)
        weight = sum(job.weight for job in group)
        if weight <= FLUSH and all(job.is_append for job in group):
            # Then `flush` is the one statement that writes, and a statement is a transaction.
            outcomes = [self._attempt(job, transaction) for job in group]
            transaction.flush()
            self._grew(weight)
            return outcomes
        self._hollowed = True
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [self._attempt(job, transaction) for job in group]
        transaction.flush()
        self._connection.execute("COMMIT")
        self._grew(weight)
        return outcomes

    def _grew(self, weight: int) -> None:
        """The write-ahead log, by about so many bytes."""
        self._grown += weight
        if self._tail is not None:
            self._tail.committed(self._last_at, weight)

    def _attempt(self, job: Job, transaction: Transaction) -> Outcome:
        try:
            if job.is_append:
                # Refused, it has changed nothing: the commonest of jobs needs no savepoint.
                append = job.appends[0]
                return job, Committed(transaction.at, {append.document: transaction.append(append)}, ()), None
            return job, self._in_savepoint(job, transaction), None
        except QuireError as error:
            return job, None, error

    def _in_savepoint(self, job: Job, transaction: Transaction) -> Any:
        transaction.flush()
        self._connection.execute("SAVEPOINT job")
        try:
            answer = job.work(self._connection) if job.work else self._apply(job, transaction)
        except QuireError:
            transaction.forget()
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            raise
        self._connection.execute("RELEASE job")
        return answer

    def _apply(self, job: Job, transaction: Transaction) -> Committed:
        transaction.begin(job.changes)
        if all(isinstance(change, Announce) for change in job.changes):
            events = list(transaction.announce([change for change in job.changes if isinstance(change, Announce)]))
        else:
            events = [event for change in job.changes for event in transaction.change(change)]
        heads = {append.document: transaction.append(append) for append in job.appends}
        transaction.flush()
        return Committed(transaction.at, heads, tuple(events))

    def _roll_back(self) -> None:
        # Some errors (a full disk among them) have rolled back already.
        self._heads.clear()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _settle(self, outcomes: list[Outcome]) -> None:
        # An event loop that has been closed has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle, outcomes)

    def _tend(self) -> None:
        """Keeps the files small while nobody waits. What fails here fails for nobody: everything is in the log already,
        and a disk in trouble shows at the next commit."""
        with suppress(sqlite3.OperationalError):
            if self._grown >= (WAL_QUIET if self._jobs.empty() else WAL_BUSY) and self._may_checkpoint():
                self._grown = 0
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            while self._hollowed and self._jobs.empty():
                self._hollowed = self._is_hollow()
                if self._hollowed:
                    self._connection.execute(f"PRAGMA incremental_vacuum({VACUUM})").fetchall()
                    self._grew(VACUUM * _PAGE)

    def _may_checkpoint(self) -> bool:
        return self._tail is None or self._tail.may_checkpoint()

    def _is_hollow(self) -> bool:
        """More than a quarter of the file is free pages; less is kept for what comes next."""
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        return bool(free > VACUUM and free * 4 > pages)


def _done(job: Job) -> Outcome:
    assert job.aside is not None
    try:
        return job, job.aside(), None
    except Exception as error:  # noqa: BLE001 - handed to the caller; the thread must outlive it
        return job, None, error


def settle(outcomes: list[Outcome]) -> None:
    """Answers every caller that still waits. Runs in the event loop."""
    for job, answer, error in outcomes:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(answer)
        else:
            job.future.set_exception(error)


def _failed(error: sqlite3.Error) -> LogFailed:
    failure = LogFailed(f"the log could not be written: {error}")
    failure.__cause__ = error
    return failure
