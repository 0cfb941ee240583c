"""The ObjectStore in a folder.

The object `a/b/name` is the file `a/b/=xx/name` (collab.objects.keys). New content is written beside everything
(`=new/`), fsynced, and then linked or renamed to its place, and the place is fsynced too: a crash leaves the old object
or the new, and at worst a file in `=new/` that the next start sweeps away.

What breaks it: two processes that swap one key (each server has a folder of its own, and leaves keys to its workers whole),
file systems that do not tell `A` from `a`.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import BinaryIO, Final

from anyio import to_thread

from collab.errors import Unavailable
from collab.objects.base import CHUNK, Object, Reading
from collab.objects.keys import absent, in_folder, not_as_expected

_NEW: Final = "=new"
_LOCKS: Final = 64


def nobody_asks(key: str) -> None:
    """Nobody wants to know what is put."""


class FolderObjects:
    """See `collab.objects.base.ObjectStore`. Files and folders are readable by their owner alone. `on_put` is told, in any thread,
    of every key that something was put at. `read_only`: beside a process that writes there; `beside`: beside one that writes
    other keys."""

    def __init__(
        self,
        root: pathlib.Path,
        *,
        on_put: Callable[[str], None] = nobody_asks,
        read_only: bool = False,
        beside: bool = False,
    ) -> None:
        self._root = root
        self._new = root / _NEW
        self._on_put = on_put
        self._read_only = read_only
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        if read_only or beside:
            return
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._new.mkdir(mode=0o700, exist_ok=True)
        for left_over in self._new.iterdir():
            left_over.unlink()

    async def get(self, key: str) -> Object:
        return await to_thread.run_sync(self._get, key, self._place(key))

    @contextlib.asynccontextmanager
    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[Reading]:
        file = await to_thread.run_sync(self._open, key, self._place(key))
        try:
            size = os.fstat(file.fileno()).st_size
            yield Reading(size, _chunks(file, start, size if stop is None else min(stop, size)))
        finally:
            file.close()

    async def size(self, key: str) -> int:
        place = self._place(key)
        found = await to_thread.run_sync(_stat, place)
        if found is None:
            await to_thread.run_sync(self._demand_root)
            raise absent(key)
        return found.st_size

    async def file(self, key: str) -> pathlib.Path:
        """Where the object lies. `NotFound` as `get`."""
        await self.size(key)
        return self._place(key)

    async def exists(self, key: str) -> bool:
        return await to_thread.run_sync(self._exists, self._place(key))

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        return await to_thread.run_sync(self._put, key, self._place(key), io.BytesIO(content), if_match, if_none_match)

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        return await to_thread.run_sync(self._put_file, key, self._place(key), file)

    async def copy(self, source: str, target: str) -> None:
        await to_thread.run_sync(self._copy, source, self._place(source), target, self._place(target))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await to_thread.run_sync(self._keys, prefix):
            yield key

    async def delete(self, key: str) -> None:
        await to_thread.run_sync(self._delete, key, self._place(key))

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        return None

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _place(self, key: str) -> pathlib.Path:
        return self._root / in_folder(key)

    def _lock(self, key: str) -> threading.Lock:
        return self._locks[hash(key) % _LOCKS]

    # All below runs in worker threads.

    def _get(self, key: str, place: pathlib.Path) -> Object:
        with self._open(key, place) as file:
            try:
                return Object(file.read(), _tag(os.fstat(file.fileno())))
            except OSError as error:
                raise _trouble(error) from error

    def _open(self, key: str, place: pathlib.Path) -> BinaryIO:
        try:
            return place.open("rb")
        except FileNotFoundError as error:
            self._demand_root()
            raise absent(key) from error
        except OSError as error:
            raise _trouble(error) from error

    def _exists(self, place: pathlib.Path) -> bool:
        found = _stat(place)
        if found is None:
            self._demand_root()
        return found is not None

    def _put(self, key: str, place: pathlib.Path, content: BinaryIO, if_match: str | None, if_none_match: bool) -> str:
        try:
            new = self._write(content)
            try:
                with self._lock(key):
                    found = _stat(place)
                    if (if_none_match and found) or (if_match is not None and (not found or _tag(found) != if_match)):
                        raise not_as_expected(key)
                    self._make_folder(place.parent)
                    new.replace(place)
                    _sync(place.parent)
                    tag = _tag(place.stat())
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise _trouble(error) from error
        self._on_put(key)
        return tag

    def _copy(self, source: str, place: pathlib.Path, target: str, there: pathlib.Path) -> None:
        """A file of its own: a link would have the tag of its source."""
        with self._open(source, place) as content:
            self._put(target, there, content, None, False)

    def _put_file(self, key: str, place: pathlib.Path, file: pathlib.Path) -> str:
        with file.open("rb") as content:
            return self._put(key, place, content, None, False)

    def _write(self, content: BinaryIO) -> pathlib.Path:
        new = self._new / secrets.token_hex(10)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            os.fsync(descriptor)
        return new

    def _make_folder(self, folder: pathlib.Path) -> None:
        """With those above it, each of them durable before something is put into it."""
        if folder.is_dir():
            return
        self._demand_root()
        if folder.parent != self._root:
            self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)

    def _keys(self, prefix: str) -> Sequence[str]:
        self._demand_root()
        found = []
        below = self._root.joinpath(*prefix.split("/")[:-1])
        if not below.is_dir():
            return ()
        for folder, _, names in os.walk(below, onerror=_raise):
            *above, last = pathlib.PurePath(folder).relative_to(self._root).parts or ("",)
            if last.startswith("=") and last != _NEW:
                found += ["/".join([*above, name]) for name in names]
        return sorted(key for key in found if key.startswith(prefix))

    def _delete(self, key: str, place: pathlib.Path) -> None:
        try:
            with self._lock(key):
                if _stat(place) is not None:
                    place.unlink()
                    _sync(place.parent)
        except OSError as error:
            raise _trouble(error) from error

    def _demand_root(self) -> None:
        """Nothing is known to be absent where the folder itself is gone (a disk that is not mounted)."""
        if not (self._root if self._read_only else self._new).is_dir():
            raise Unavailable(f"the objects' folder {self._root} is not there")


def _stat(place: pathlib.Path) -> os.stat_result | None:
    try:
        return place.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _trouble(error) from error


async def _chunks(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    """From the file that was opened, whatever stands in its place by now."""
    for at in range(start, stop, CHUNK):
        try:
            yield await to_thread.run_sync(os.pread, file.fileno(), min(CHUNK, stop - at), at)
        except OSError as error:
            raise _trouble(error) from error


def _tag(found: os.stat_result) -> str:
    """Every version is a file of its own."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _sync(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise _trouble(error) from error


def _trouble(error: OSError) -> Unavailable:
    return Unavailable(f"the objects' folder does not answer: {error.strerror}")
