"""SQLite's write-ahead log, read by the process that writes it. ADAPTER.

What is committed stands in the log's index (`-shm`), where SQLite publishes it with every commit: how many frames, under
which salt, with which checksum over all of them. The frames stand in the log (`-wal`). Both formats are documented
(https://sqlite.org/walformat.html, https://sqlite.org/fileformat2.html#walformat) and are those of every SQLite since 3.7.

To be asked only by the thread that commits and checkpoints: so nothing moves meanwhile, and no lock is needed.

What breaks it: closing the descriptors while SQLite has the file open. (POSIX locks belong to the process and go with any
descriptor; SQLite holds its own on the index. So `close` comes after the last connection's.)
"""

from __future__ import annotations

import os
import pathlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from collab.store.pages import Unfollowed

HEADER: Final = 32
FRAME: Final = 24

_INDEX: Final = struct.Struct("=I8xBxHIIII8s8x")
"""wal-index header: version, initialised, page size, frames, pages of the file, checksum of the last frame, salt."""
_VERSION: Final = 3007000
_FRAME: Final = struct.Struct(">II8sII")


@dataclass(frozen=True, slots=True)
class End:
    """Where the log ends: the last commit."""

    salt: bytes
    frame: int
    checksum: int
    pages: int


class Wal:
    """Beside the database `file`, which a connection has open in WAL mode."""

    def __init__(self, file: pathlib.Path, page_size: int) -> None:
        self.page_size = page_size
        self._stride = FRAME + page_size
        self._frames = struct.Struct(f"{_FRAME.format}{page_size}x")
        self._index = _open(file, "-shm")
        try:
            self._log = _open(file, "-wal")
        except BaseException:
            os.close(self._index)
            raise

    def end(self) -> End:
        first, second = os.pread(self._index, 48, 0), os.pread(self._index, 48, 48)
        if first != second or len(first) < 48:
            raise Unfollowed("the write-ahead log's index is being written by another process")
        version, initialised, size, frames, pages, *checksum, salt = _INDEX.unpack(first)
        known = (65536 if size == 1 else size) == self.page_size or (frames, size) == (0, 0)  # there was no log yet
        if version != _VERSION or not initialised or not known:
            raise Unfollowed("the write-ahead log's index is of a form that is not known")
        return End(salt, frames, checksum[0] << 32 | checksum[1], pages)

    def holds(self, salt: bytes, frame: int, checksum: int) -> bool:
        """Whether the log, up to that frame, is what it was when its last commit had this salt and checksum."""
        end = self.end()
        if end.salt != salt or not 0 < frame <= end.frame:
            return False
        header = os.pread(self._log, FRAME, HEADER + (frame - 1) * self._stride)
        if len(header) < FRAME:
            return False
        _, pages, found, high, low = _FRAME.unpack(header)
        return bool(pages and found == salt and (high << 32 | low) == checksum)

    def read(self, after: int, upto: int) -> bytes:
        """The frames `after < number <= upto`, for `frames`."""
        size = (upto - after) * self._stride
        content = os.pread(self._log, size, HEADER + after * self._stride)
        if len(content) < size:
            raise Unfollowed(f"the write-ahead log ends before its frame {upto}")
        return content

    def frames(self, content: bytes) -> Iterator[tuple[int, int, bytes, int, int]]:
        """Of each frame: the number of its page, the file's length in pages if a commit ends here, else 0, the salt, and the
        two halves of the checksum. Its page follows `FRAME` bytes after its beginning."""
        return self._frames.iter_unpack(content)

    def page(self, content: bytes, position: int) -> bytes:
        """That of the frame at this position in `content`, from 0."""
        start = position * self._stride + FRAME
        return content[start : start + self.page_size]

    def close(self) -> None:
        """After SQLite has closed the file."""
        os.close(self._index)
        os.close(self._log)


def _open(file: pathlib.Path, ending: str) -> int:
    return os.open(file.with_name(file.name + ending), os.O_RDONLY | os.O_CLOEXEC)
