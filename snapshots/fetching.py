"""What a pull wants of a host, fetched together: hundreds of files cost some requests, and not one each.

The contents lie in one file on disk until the pull asks for them, and are gone with it. Memory holds where each of them is.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Final

import anyio.to_thread

from collab.ids import BlobSha, Path
from snapshots.look import Commits, Look
from snapshots.remotes.base import CommitSha, TreeEntry
from snapshots.trees import SUBMODULE

AT_LEAST: Final = 10
"""Contents for which it is worth it."""


@contextlib.asynccontextmanager
async def together(look: Look, folder: pathlib.Path | None) -> AsyncIterator[None]:
    """Inside, what was pushed and is not here is at hand. `folder`: where it lies meanwhile; None: wherever the system puts
    such things."""
    wanted = _wanted(look)
    if len(wanted) < AT_LEAST:
        yield
        return
    with await anyio.to_thread.run_sync(_opened, folder) as file:
        commits = look.commits
        at: dict[BlobSha, tuple[int, int]] = {}
        end = 0
        async for sha, content in commits.blobs(wanted):
            await anyio.to_thread.run_sync(file.write, content)
            at[sha] = end, len(content)
            end += len(content)
        look.commits = _Fetched(commits, file, at)
        try:
            yield
        finally:
            look.commits = commits


def _wanted(look: Look) -> list[BlobSha]:
    """What the branch has at a path and neither we nor the base do."""
    wanted: dict[BlobSha, None] = {}
    for path, entry in look.theirs.items():
        row, base = look.rows.get(path), look.held.get(path)
        known = (row is not None and row.sha == entry.sha) or (base is not None and base.sha == entry.sha)
        if not known and entry.mode != SUBMODULE:
            wanted[entry.sha] = None
    return list(wanted)


class _Fetched:
    """Commits of which some contents are at hand."""

    def __init__(self, commits: Commits, file: IO[bytes], at: Mapping[BlobSha, tuple[int, int]]) -> None:
        self._commits = commits
        self._file = file
        self._at = at

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        return await self._commits.tree(commit)

    async def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        for sha in shas:
            if sha in self._at:
                yield sha, await anyio.to_thread.run_sync(self._read, *self._at[sha])
        async for each in self._commits.blobs([sha for sha in shas if sha not in self._at]):
            yield each

    def _read(self, begin: int, size: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(size)


def _opened(folder: pathlib.Path | None) -> IO[bytes]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)
