"""The form of a backup: a folder or a `.tar.gz`, and the manifest inside. See `web.backup`.

A sink shows nothing under the destination's name before `finish`; then everything is on disk. Members are read one after
the other, the manifest among them (in an archive it comes last).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import pathlib
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from typing import IO, Final, Protocol

import msgspec

from collab.errors import Conflict, Invalid, NotFound, Unavailable

MANIFEST: Final = "backup.json"
FORMAT: Final = 1
DATABASE: Final = "quire.sqlite"
CHUNK: Final = 1 << 20
BROKEN: Final = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)
"""What reading an archive raises that is none, or is cut off."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class BackedUp(msgspec.Struct, frozen=True):
    """One file of a backup."""

    size: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    version: str
    at: int
    """Seconds since the epoch."""
    files: dict[str, BackedUp]
    lacks: str = ""
    """What was left out, in words."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


class Sink(Protocol):
    """Where a backup goes, file by file; nothing is to be seen at the destination before `finish`."""

    def add(self, name: str, content: Readable, size: int, mode: int) -> None: ...

    def finish(self) -> None: ...

    def drop(self) -> None: ...


class Hashing:
    """Reads from another file and hashes what went through."""

    def __init__(self, source: Readable) -> None:
        self._source, self._sha = source, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._sha.update(chunk)
        return chunk

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


def files_below(folder: pathlib.Path, root: pathlib.Path) -> Iterator[str]:
    """Every regular file below `folder`, as a path from `root` (a part may lie on another disk, behind a link)."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = pathlib.Path(where, name)
            if path.is_file():
                yield path.relative_to(root).as_posix()


def sink(destination: pathlib.Path) -> Sink:
    if destination.is_dir() and not any(destination.iterdir()):
        destination.rmdir()
    if destination.exists():
        raise Conflict(f"{destination} is there already: give another name, or remove it first")
    if not destination.parent.is_dir():
        raise NotFound(f"there is no folder {destination.parent} to put the backup into")
    if destination.name.endswith((".tar.gz", ".tgz")):
        return _TarSink(destination)
    return _FolderSink(destination)


def _partial(destination: pathlib.Path) -> pathlib.Path:
    return destination.with_name(f".{destination.name}.partial-{os.getpid()}")


class _FolderSink:
    def __init__(self, destination: pathlib.Path) -> None:
        self._destination, self._folder = destination, _partial(destination)
        self._folder.mkdir(mode=0o700)

    def add(self, name: str, content: Readable, size: int, mode: int) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            written = _copy_exactly(content, file, size)
        if written != size:
            raise Unavailable(f"{name} became shorter while it was copied")
        path.chmod(mode)

    def finish(self) -> None:
        os.sync()
        self._folder.rename(self._destination)

    def drop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class _TarSink:
    def __init__(self, destination: pathlib.Path) -> None:
        self._destination, self._file = destination, _partial(destination)
        self._raw = self._file.open("xb")
        self._file.chmod(0o600)
        # Level 1: the database and git's packs are compressed already.
        self._gzip = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)
        self._tar = tarfile.TarFile(fileobj=self._gzip, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, content: Readable, size: int, mode: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, mode, int(time.time())
        self._tar.addfile(entry, content)

    def finish(self) -> None:
        self._tar.close()
        self._gzip.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._file.rename(self._destination)

    def drop(self) -> None:
        self._raw.close()
        self._file.unlink(missing_ok=True)


def _copy_exactly(source: Readable, target: IO[bytes], size: int) -> int:
    """At most `size` bytes: a file that grows meanwhile is copied as it was."""
    left = size
    while left and (chunk := source.read(min(CHUNK, left))):
        target.write(chunk)
        left -= len(chunk)
    return size - left


def members(source: pathlib.Path) -> Iterator[tuple[str, IO[bytes]]]:
    if source.is_dir():
        for name in files_below(source, source):
            with source.joinpath(name).open("rb") as file:
                yield name, file
        return
    with tarfile.open(source, "r|gz") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is not None:
                yield entry.name, content


def parse_manifest(text: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise Invalid(f"{MANIFEST} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise Invalid(f"the backup is of format {manifest.format}, and this version of Quire reads format {FORMAT}")
    return manifest
