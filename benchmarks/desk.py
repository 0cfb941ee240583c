"""A project in this process, on a real disk and with a real repository: what rounds cost without HTTP around them."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from benchmarks.text import prose
from collab.ids import Path
from collab.staging import Incoming
from collab.text import blob_sha
from tests.snapshots.dying import durable
from tests.snapshots.house import ALICE, House

AT_ONCE = 500


def path(number: int) -> str:
    return f"part-{number // 50:03}/chapter-{number:05}.md"


@asynccontextmanager
async def desk(folder: pathlib.Path, files: int, size: int = 4_000) -> AsyncIterator[House]:
    """With so many files of about `size` bytes that nobody has committed yet."""
    async with durable(pathlib.Path(tempfile.mkdtemp(dir=folder))) as (home, _):
        for first in range(0, files, AT_ONCE):
            numbers = range(first, min(files, first + AT_ONCE))
            contents = [(Path(path(number)), prose(size, number).encode()) for number in numbers]
            staged = [Incoming(each, 0o100644, content, blob_sha(content)) for each, content in contents]
            await home.workspace.stage(home.project, "bench", staged, ALICE)
        await home.workspace.publish(home.project, "bench")
        yield home


async def edit(home: House, numbers: Iterable[int], word: str) -> None:
    """A line more in each of these files."""
    for number in numbers:
        content = (await home.workspace.read(home.project, Path(path(number)))).content
        await home.write(path(number), content + f"{word}\n".encode())


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files below."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
