"""The Bus of one process: whoever listens is woken at once, and finds only the newest of what it missed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio

from collab.ids import ProjectId

T = TypeVar("T")


class LocalBus:
    """See `collab.bus.base.Bus`. Lives in one event loop."""

    def __init__(self) -> None:
        self._of_project: dict[ProjectId, set[_Mailbox[int]]] = {}
        self._of_all: set[_Mailbox[ProjectId]] = set()
        self._closed = False

    def publish(self, project: ProjectId, number: int) -> None:
        for mailbox in self._of_project.get(project, ()):
            mailbox.put_newest(number)
        for everything in self._of_all:
            everything.put(project)

    @asynccontextmanager
    async def subscribe(self, project: ProjectId) -> AsyncIterator[AsyncIterator[int]]:
        mailbox: _Mailbox[int] = _Mailbox(closed=self._closed)
        mailboxes = self._of_project.setdefault(project, set())
        mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            mailboxes.discard(mailbox)
            if not mailboxes:
                self._of_project.pop(project, None)

    @asynccontextmanager
    async def subscribe_all(self) -> AsyncIterator[AsyncIterator[ProjectId]]:
        mailbox: _Mailbox[ProjectId] = _Mailbox(closed=self._closed)
        self._of_all.add(mailbox)
        try:
            yield mailbox
        finally:
            self._of_all.discard(mailbox)

    async def aclose(self) -> None:
        """Everybody who listens comes to an end."""
        self._closed = True
        for mailboxes in self._of_project.values():
            for mailbox in mailboxes:
                mailbox.close()
        for everything in self._of_all:
            everything.close()


class _Mailbox(Generic[T]):
    """What has arrived and was not taken, each thing once, in the order of its first arrival. Bounded by how many
    different things there are."""

    def __init__(self, *, closed: bool) -> None:
        self._waiting: dict[T, None] = {}
        self._closed = closed
        self._news = anyio.Event()

    def put(self, thing: T) -> None:
        self._waiting[thing] = None
        self._news.set()

    def put_newest(self: _Mailbox[int], number: int) -> None:
        """In the place of an older one; hints may arrive out of order."""
        newest = max(number, *self._waiting, 0)
        self._waiting = {newest: None}
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        thing = next(iter(self._waiting))
        del self._waiting[thing]
        return thing
