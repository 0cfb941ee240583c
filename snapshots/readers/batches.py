"""Gathers files into batches of bounded size, and counts them against the limits.

What is too large to be text is never held: it goes into a file of its own in the scratch folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
from collections.abc import Callable
from typing import IO, Final

from collab import paths
from collab.errors import Invalid, TooLarge
from collab.ids import BlobSha
from collab.text import TEXT_LIMIT, blob_sha
from snapshots.sources import BATCH_BYTES, BATCH_FILES, Batch, File, Limits, Message, Skipped

Tell = Callable[[Message], None]

CHUNK: Final = 1 << 20
BESIDE: Final = "large"
"""The folder, in the scratch folder, of what is not held."""

_TYPE: Final = 0o170000
_REGULAR: Final = 0o100000


class Batches:
    """Every file goes through `add` or `copy`; `flush` sends what is left."""

    def __init__(self, tell: Tell, limits: Limits, scratch: pathlib.Path) -> None:
        self.tell = tell
        self.limits = limits
        self._beside = scratch / BESIDE
        self._files: list[File] = []
        self._held = 0
        self._seen: set[bytes] = set()
        self._total = 0

    def add(self, path: bytes, mode: int, content: bytes, sha: BlobSha | None = None) -> None:
        """`sha` only for what has no content (a submodule) or whose SHA is known."""
        if len(content) > TEXT_LIMIT and mode & _TYPE == _REGULAR:
            self.copy(path, mode, io.BytesIO(content), len(content))
            return
        paths.check_carried(path)
        self._count(path, len(content))
        self._append(File(path, mode, sha or blob_sha(content), content))

    def copy(self, path: bytes, mode: int, source: IO[bytes], size: int) -> None:
        """As `add`, for a regular file that is read from a stream. `Invalid` when it is not `size` bytes long."""
        if size <= TEXT_LIMIT:
            content = source.read(size + 1)
            if len(content) != size:
                raise _another_size(path)
            self.add(path, mode, content)
            return
        paths.check_carried(path)
        self._count(path, size)
        self._beside.mkdir(exist_ok=True)
        target = self._beside / f"{len(self._seen)}"
        self._append(File(path, mode, _copied(path, source, target, size), b"", os.fspath(target), size))

    def _append(self, file: File) -> None:
        self._files.append(file)
        self._held += len(file.content)
        if self._held >= BATCH_BYTES or len(self._files) >= BATCH_FILES:
            self.flush()

    def flush(self) -> None:
        if self._files:
            self.tell(Batch(self._files))
            self._files, self._held = [], 0

    def skip(self, path: bytes, why: str) -> None:
        self.tell(Skipped(path, why))

    def check_size(self, path: bytes, size: int) -> None:
        """Before a file is read."""
        if size > self.limits.file:
            raise TooLarge(
                f"{paths.show(paths.from_bytes(path))} has {size:,} bytes; a file may have {self.limits.file:,}",
                field="source",
            )

    def _count(self, path: bytes, size: int) -> None:
        self.check_size(path, size)
        if path in self._seen:
            raise Invalid(f"{paths.show(paths.from_bytes(path))} is in the source twice", field="source")
        self._seen.add(path)
        self._total += size
        if len(self._seen) > self.limits.entries:
            raise TooLarge(f"the source has more than {self.limits.entries:,} files", field="source")
        if self._total > self.limits.total:
            raise TooLarge(f"the source has more than {self.limits.total:,} bytes", field="source")


def _copied(path: bytes, source: IO[bytes], target: pathlib.Path, size: int) -> str:
    """What git calls it."""
    # Not for security: git's name for a blob is its SHA-1.
    digest, left = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), size
    with target.open("xb") as file:
        while chunk := source.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            file.write(chunk)
    if left:
        raise _another_size(path)
    return digest.hexdigest()


def _another_size(path: bytes) -> Invalid:
    return Invalid(f"{paths.show(paths.from_bytes(path))} is not as large as it was said to be", field="source")
