"""What rooms have to tell of their documents, gathered and committed together.

Each room announces at most once a second; a hundred rooms that are typed in make a hundred announcements a second, and
one commit for all that wait costs what one costs. An announcement that could not be committed is not lost: the catalog
says that it is owed (`announced < head`), and it is made when the document is opened next, or at the next start.
"""

from __future__ import annotations

from collections.abc import Callable

from collab.bell import Bell
from collab.errors import QuireError
from collab.observer import Observer
from collab.store.base import Announce, Committed, Store


class Announcements:
    def __init__(self, store: Store, observer: Observer, tell: Callable[[Committed], None]) -> None:
        """`tell` is handed the events when they have their numbers."""
        self._store = store
        self._observer = observer
        self._tell = tell
        self._waiting: list[Announce] = []
        self._bell = Bell()

    def add(self, announcement: Announce) -> None:
        self._waiting.append(announcement)
        self._bell.ring()

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            await self.flush()

    async def flush(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                committed = await self._store.commit(changes=waiting)
            except QuireError as error:
                self._observer.broke(error)
            else:
                self._tell(committed)
