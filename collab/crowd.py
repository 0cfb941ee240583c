"""Work on many things: side by side, as many at once as somebody allows, or in a thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Final, ParamSpec, TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")
Rest = ParamSpec("Rest")

MANY: Final = 1_000
"""Things from which on it would be felt if nobody else had a turn while they are looked at."""


async def aside(count: int, work: Callable[Rest, T], *rest: Rest.args, **named: Rest.kwargs) -> T:
    """Computes something of so many things: in a thread when they are many, so that others have their turns in between."""
    if count < MANY:
        return work(*rest, **named)
    return await to_thread.run_sync(partial(work, *rest, **named))


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """Items are taken one by one, so that they need not all be there. The first failure stops the rest and is raised as
    itself, not inside a group."""
    waiting = iter(items)
    failures: list[Exception] = []

    async with anyio.create_task_group() as tasks:

        async def go_on() -> None:
            for item in waiting:
                try:
                    await work(item)
                except Exception as error:  # noqa: BLE001 - raised below
                    failures.append(error)
                    tasks.cancel_scope.cancel()
                    return

        for _ in range(at_once):
            tasks.start_soon(go_on)
    if failures:
        raise failures[0]


async def each_as_it_comes(
    items: AsyncGenerator[T, None], work: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """The same of items that somebody brings: no more of them are asked for than are worked on. They are asked for in the
    caller's task, and by it alone."""
    failures: list[Exception] = []
    send, receive = anyio.create_memory_object_stream[T](0)

    async with anyio.create_task_group() as tasks:

        async def go_on() -> None:
            async for item in receive:
                try:
                    await work(item)
                except Exception as error:  # noqa: BLE001 - raised below
                    failures.append(error)
                    tasks.cancel_scope.cancel()
                    return

        for _ in range(at_once):
            tasks.start_soon(go_on)
        try:
            async with aclosing(items), send:
                async for item in items:
                    await send.send(item)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
            tasks.cancel_scope.cancel()
    receive.close()
    if failures:
        raise failures[0]
