"""The Store on SQLite, seen from a process beside the one that serves it: it can be asked, and changes nothing.

What the server has committed is seen at once. SQLite's own rule holds: one connection writes and checkpoints, and it is
the server's.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Sequence

from anyio import to_thread

from collab.errors import Unavailable
from collab.ids import DocumentId
from collab.store import schema
from collab.store.base import Append, Change, Checkpoint, Committed
from collab.store.readers import Readers
from collab.store.sqlite import SqliteStore


async def open_view(folder: pathlib.Path) -> SqliteView:
    return await to_thread.run_sync(SqliteView, folder)


class SqliteView(SqliteStore):
    """See `collab.store.base.Store`; whatever would change something is `Unavailable`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._readers = Readers(folder / schema.FILE)
        self._node = self._readers.look_up(lambda connection: schema.number(connection, "node"))
        self._epoch = self._readers.look_up(lambda connection: schema.number(connection, "epoch"))

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        raise _refused()

    async def checkpoint(self, document: DocumentId, checkpoint: Checkpoint) -> None:
        raise _refused()

    async def quarantine(self, document: DocumentId, reason: str | None) -> None:
        raise _refused()

    async def aclose(self) -> None:
        self._readers.refuse()
        await asyncio.shield(to_thread.run_sync(self._readers.close))


def _refused() -> Unavailable:
    return Unavailable("the data is served by another process: this one only reads it")
