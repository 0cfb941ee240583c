"""Files that wait on disk: what an import is to replace once the rest is published."""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from snapshots.sources import File

_LENGTH: Final = struct.Struct("<I")


class Spool:
    """Blocking; lives no longer than its folder."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def add(self, each: File) -> None:
        content = msgspec.msgpack.encode(each)
        with self._path.open("ab") as file:
            file.write(_LENGTH.pack(len(content)) + content)

    def __iter__(self) -> Iterator[File]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            while header := file.read(_LENGTH.size):
                yield msgspec.msgpack.decode(file.read(_LENGTH.unpack(header)[0]), type=File)
