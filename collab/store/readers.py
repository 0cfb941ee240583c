"""Reading the tables: a few threads with a connection of their own, which can neither write nor checkpoint.

A look-up of one row by its index takes some 20 µs and is done where it is asked for, in the event loop, over one more
connection (`look_up`); what grows with the data goes to the threads (`read`). Every answer is of one consistent state
that holds all that was committed before the question.
"""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from collab.errors import Unavailable

THREADS: Final = 3
BUSY_SECONDS: Final = 5
"""How long a reader waits for a lock; in WAL mode readers wait for nobody, so this is for the unforeseen."""

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]


def connect(file: pathlib.Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    for setting in ("query_only = 1", "wal_autocheckpoint = 0", "mmap_size = 0"):
        connection.execute(f"PRAGMA {setting}")
    return connection


class Readers:
    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._here = connect(file)
        self._connections = [self._here]
        self._thread = threading.local()
        self._pool = ThreadPoolExecutor(THREADS, "quire-read", initializer=self._begin_thread)
        self._closed = False

    def look_up(self, query: Query[T]) -> T:
        """For one indexed row: a single statement."""
        self._demand_open()
        try:
            return query(self._here)
        except sqlite3.OperationalError as error:
            raise unreadable(error) from error

    async def read(self, query: Query[T]) -> T:
        """For everything else: any number of statements, which see one state."""
        self._demand_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._transaction, query)

    def refuse(self) -> None:
        """From now on every question is refused; those already asked are answered."""
        self._closed = True

    def close(self) -> None:
        """Waits for the questions already asked. Blocks: not for the event loop."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _begin_thread(self) -> None:
        connection = connect(self._file)
        self._thread.connection = connection
        self._connections.append(connection)

    def _transaction(self, query: Query[T]) -> T:
        connection: sqlite3.Connection = self._thread.connection
        try:
            connection.execute("BEGIN")
            return query(connection)
        except sqlite3.OperationalError as error:
            raise unreadable(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _demand_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")


def unreadable(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"the data cannot be read: {error}")
