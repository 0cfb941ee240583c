"""Work that outlives the request that asked for it, and ends with the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
import anyio.abc
import structlog

from collab.errors import QuireError, Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Running(Generic[T]):
    """One piece of work. Whoever waits for it may go; it goes on."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._done = anyio.Event()
        self._result: T | None = None
        self._error: Exception | None = None

    async def run(self) -> None:
        try:
            self._result = await self._work()
        except QuireError as error:
            self._error = error
        except Exception as error:
            # It must not take the other work of the application with it.
            log.exception("work in the background failed")
            self._error = error
        except anyio.get_cancelled_exc_class():
            self._error = Unavailable("the server stopped before this was done")
            raise
        finally:
            self._done.set()

    async def result(self, seconds: float) -> T | None:
        """What came of it; None when it is not done after `seconds`. Raises what it raised."""
        with anyio.move_on_after(seconds):
            await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


def start(tasks: anyio.abc.TaskGroup, work: Callable[[], Awaitable[T]]) -> Running[T]:
    running = Running(work)
    tasks.start_soon(running.run)
    return running
