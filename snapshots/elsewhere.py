"""Reads what a branch elsewhere holds, as a source of an import: its files, without its history.

The listing of the branch's tree is the truth: paths, modes, SHAs. Contents come as the remote has them at hand (on GitHub from
a tarball, as far as that tells the truth), in any order, each checked by its SHA. What is held in memory is a batch.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from collab import paths
from collab.ids import BlobSha, Path
from snapshots.look import can_be
from snapshots.readers.batches import Batches
from snapshots.remotes.base import GitRemote
from snapshots.sources import Done, Limits, Message, Note, Phase
from snapshots.trees import SUBMODULE


@dataclass(frozen=True)
class Elsewhere:
    """A branch, as it stands when it is read."""

    remote: GitRemote

    async def read(self, scratch: pathlib.Path, limits: Limits) -> AsyncGenerator[Message]:
        """As `snapshots.worker.reading`. `Done` names no branch: there is no history to be taken over."""
        described = self.remote.described()
        yield Phase("listing")
        head = await self.remote.head()
        if head is None:
            yield Phase("files", 0)
            yield Note(f"{described['repository']} has no commits on {described['branch']}.")
            yield Done()
            return
        told: list[Message] = []
        batches = Batches(told.append, limits, scratch)
        wanted: dict[BlobSha, list[tuple[Path, int]]] = {}
        files = 0
        for path, entry in sorted((await self.remote.tree(head)).items()):
            if not can_be(path):
                batches.skip(paths.to_bytes(path), "is no path that git would check out")
                continue
            files += 1
            if entry.mode == SUBMODULE:
                batches.add(paths.to_bytes(path), entry.mode, b"", entry.sha)
            else:
                wanted.setdefault(entry.sha, []).append((path, entry.mode))
        yield Phase("files", files)
        async for sha, content in self.remote.blobs(list(wanted)):
            for path, mode in wanted.pop(sha):
                batches.add(paths.to_bytes(path), mode, content, sha)
            while told:
                yield told.pop(0)
        batches.flush()
        for message in told:
            yield message
        yield Note(f"They are as in {described['repository']}, {described['branch']} at {head[:10]}.")
        yield Done()
