"""A bell that is rung often and heard by one task, and alarms that ring it later.

anyio's events are used up by being set, and making one asks which event loop runs: at thousands of rings a second that is
a tenth of the server's time, and each keeps a queue of 760 bytes for those who wait. Here one task waits, on a future of
asyncio's loop, which is the server's anyway.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count


class Bell:
    """Rings that come while nobody waits are heard by the next `wait`; several count as one. One task waits at a time."""

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        while not self._rung:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rung = False


class Alarms:
    """Calls back at a time (`time.monotonic`), from one task that sleeps in between: a timer each would cost a
    cancellation with every turn of every room."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._bell = Bell()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Soon after `when`; it cannot be taken back."""
        first = not self._due or when < self._due[0][0]
        heapq.heappush(self._due, (when, next(self._numbers), call))
        if first:
            self._bell.ring()

    async def run(self) -> None:
        while True:
            if not self._due:
                await self._bell.wait()
            pause = self._due[0][0] - time.monotonic()
            if pause > 0:
                try:
                    async with asyncio.timeout(pause):
                        await self._bell.wait()
                except TimeoutError:
                    pass  # what was due first still is
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
