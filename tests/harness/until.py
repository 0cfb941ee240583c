"""Waiting for a condition of another process: asked again and again, up to a deadline that fails the test.

What happens inside this process is waited for with events; only the other end of a socket or a pipe is polled.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds. A loaded machine needs them; a passing test does not."""

INTERVAL = 0.01


def until(condition: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
    """The first true value of `condition`; AssertionError naming `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s (last: {value!r})")
        time.sleep(INTERVAL)
    return value


async def auntil(condition: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
    """`until` for a condition that is looked up in this process while others run."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s (last: {value!r})")
        await anyio.sleep(INTERVAL)
    return value


async def until_awaited(condition: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = PATIENCE) -> T:
    """`until` for a condition that has to be awaited: a request, a page."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s (last: {value!r})")
        await anyio.sleep(INTERVAL)
    return value
