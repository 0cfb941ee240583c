"""Gathers files into batches of bounded size, and counts them against the limits."""

from __future__ import annotations

from collections.abc import Callable

from collab import paths
from collab.errors import Invalid, TooLarge
from collab.ids import BlobSha
from collab.text import blob_sha
from snapshots.sources import BATCH_BYTES, BATCH_FILES, Batch, File, Limits, Message, Skipped

Tell = Callable[[Message], None]


class Batches:
    """Every file goes through `add`; `flush` sends what is left."""

    def __init__(self, tell: Tell, limits: Limits) -> None:
        self.tell = tell
        self.limits = limits
        self._files: list[File] = []
        self._held = 0
        self._seen: set[bytes] = set()
        self._total = 0

    def add(self, path: bytes, mode: int, content: bytes, sha: BlobSha | None = None) -> None:
        """`sha` only for what has no content (a submodule) or whose SHA is known."""
        paths.check_carried(path)
        self._count(path, len(content))
        self._files.append(File(path, mode, sha or blob_sha(content), content))
        self._held += len(content)
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
