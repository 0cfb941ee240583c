"""Pages of the Store on SQLite: what the writer's thread keeps, for whoever follows in the event loop. ADAPTER."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3

import anyio
from anyio import to_thread

from collab.store import backup
from collab.store.pages import Behind, Mark, Taken
from collab.store.readers import connect
from collab.store.tail import Tail
from collab.store.writer import Writer

NOTHING: dict[int, bytes] = {}


class Signal:
    """Rung in any thread, waited for in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = anyio.Event()

    def ring(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:  # the loop is closed, and nobody waits
            return

    async def wait(self) -> None:
        await self._event.wait()

    def renew(self) -> None:
        """What rang before does not count any more."""
        self._event = anyio.Event()

    def _set(self) -> None:
        self._event.set()


class SqlitePages:
    """See `collab.store.pages.Pages`."""

    def __init__(self, file: pathlib.Path, writer: Writer, tail: Tail, signal: Signal) -> None:
        self._file = file
        self._writer = writer
        self._tail = tail
        self._signal = signal

    @property
    def page_size(self) -> int:
        return self._tail.page_size

    async def resume(self, mark: Mark) -> bool:
        return await self._writer.aside(lambda: self._tail.resume(mark))

    async def take(self) -> Taken:
        self._signal.renew()
        return await self._writer.aside(self._tail.take)

    async def pin(self) -> SqlitePinned:
        connection = await to_thread.run_sync(connect, self._file)
        try:
            taken = await self._writer.aside(lambda: self._hold_still(connection))
        except BaseException:
            connection.close()
            raise
        return SqlitePinned(connection, taken)

    async def changed(self) -> None:
        if self._tail.behind().since is None:
            await self._signal.wait()

    def behind(self) -> Behind:
        return self._tail.behind()

    def stop(self) -> None:
        self._tail.stop()

    def _hold_still(self, connection: sqlite3.Connection) -> Taken:
        """In the writer's thread: nothing is committed between what is taken and what the connection sees."""
        taken = self._tail.take() if self._tail.following else Taken(NOTHING, self._tail.begin(), True, False)
        if taken.whole and not taken.more:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM meta").fetchone()
        return taken


class SqlitePinned:
    """See `collab.store.pages.Pinned`."""

    def __init__(self, connection: sqlite3.Connection, taken: Taken) -> None:
        self._connection = connection
        self.taken = taken
        self.mark = taken.mark

    async def copy(self, destination: pathlib.Path) -> None:
        await to_thread.run_sync(backup.copy, self._connection, destination)

    async def aclose(self) -> None:
        await to_thread.run_sync(self._connection.close)
