"""A process that answers what a test asks. Run by test_backroom.py."""

from __future__ import annotations

import os
import pathlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from collab.errors import PathTaken
from snapshots import backroom


class Desk:
    def __init__(self, first: str) -> None:
        self.first = first
        self.asked = 0

    async def echo(self, value: object) -> tuple[str, int, object]:
        self.asked += 1
        return self.first, self.asked, value

    async def process(self) -> int:
        return os.getpid()

    async def refuse(self) -> None:
        raise PathTaken("taken", field="path", details={"path": "a.md"})

    async def stumble(self) -> None:
        raise KeyError("a fault of ours")

    async def unspeakable(self) -> object:
        return lambda: None

    async def die(self) -> None:
        os._exit(9)

    async def wait(self, marker: pathlib.Path) -> None:
        """Says that it begins, and that it was stopped."""
        _mark(marker, "begun")
        try:
            await anyio.sleep_forever()
        finally:
            _mark(marker, "stopped")


def _mark(marker: pathlib.Path, text: str) -> None:
    marker.write_text(text)


@asynccontextmanager
async def opened(first: str) -> AsyncIterator[Desk]:
    yield Desk(first)


def main() -> None:
    backroom.answer(opened)
