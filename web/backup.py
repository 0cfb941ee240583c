"""A copy of a data directory that can be restored, made while it serves.

A backup is a folder or a `.tar.gz` with `quire.sqlite`, `objects/`, `git/` and the other files of the data directory, and
`backup.json`: a SHA-256, size and mode for each of them. It holds the tokens' hashes and the keys of the installation: keep
it as safe as the data itself. Credentials for other services are in it sealed, and what opens them (`secret-key`) is not.

Why the copy is consistent
1. The database is copied first, by the store itself, in one transaction. What it names in `objects/` was durable before
   it was named, and is copied after it.
   (Where `objects/` lies elsewhere, it is copied from there.)
2. A repository's refs are read before its objects are copied and written after them, so every ref finds its objects; what
   is packed meanwhile is copied as the pack.
3. Refs and database belong together: refs are read before and after the copy of the database, which is made again when
   a commit came in between. (A commit is journalled before the branch moves, so equal refs are enough.)
4. The destination appears under its name only when it is whole and on disk.

The lock and the address of the running server stay behind. `web.restore` is the way back.
"""

from __future__ import annotations

import io
import os
import pathlib
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

import anyio.to_thread
import msgspec

from collab.errors import Unavailable
from collab.objects.base import ObjectStore
from collab.objects.keys import in_folder
from collab.store.base import Store
from web.archive import DATABASE, FORMAT, MANIFEST, BackedUp, Hashing, Manifest, Readable, Sink, files_below, sink

OBJECTS: Final = "objects/"
TRIES: Final = 5
"""How often the database is copied again because a commit came in between."""
STAYS: Final = frozenset(
    {
        "lock",
        "server.json",
        "secret-key",
        DATABASE,
        f"{DATABASE}-wal",
        f"{DATABASE}-shm",
        f"{DATABASE}-left",
        "tmp",
        "backup",
    }
)
"""Belongs to the running process, or waits for another backup, or is copied by the store; and the key that seals credentials, which a copy of them must
not lie beside."""

Progress = Callable[[str, int, int | None], None]
"""Phase, files done, files in all (None: not known)."""
Refs = Mapping[str, bytes]


async def backup(
    store: Store,
    data: pathlib.Path,
    destination: pathlib.Path,
    progress: Progress,
    *,
    objects: ObjectStore | None = None,
    lacks: str = "",
) -> Manifest:
    """Copies `data`, which `store` serves, to `destination`, which must not be there yet. `objects`: where the files are that are not
    text, if they lie elsewhere; they are in the copy as if they lay here. `lacks`: what is left out, in words."""
    into = await anyio.to_thread.run_sync(sink, destination)
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as scratch:
            copy = _Copy(data, pathlib.Path(scratch), into, progress)
            refs = await _copy_database(store, data, copy.database, progress)
            await anyio.to_thread.run_sync(copy.files_here)
            if objects is not None:
                await copy.files_elsewhere(objects)
            manifest = await anyio.to_thread.run_sync(copy.finish, refs, lacks)
    except BaseException:
        into.drop()
        raise
    return manifest


async def _copy_database(store: Store, data: pathlib.Path, copy: pathlib.Path, progress: Progress) -> Refs:
    """The refs that belong to the copy."""
    for _ in range(TRIES):
        progress("database", 0, None)
        before = await anyio.to_thread.run_sync(_read_refs, data)
        await store.backup(str(copy))
        if before == await anyio.to_thread.run_sync(_read_refs, data):
            return before
        await anyio.to_thread.run_sync(copy.unlink)
    raise Unavailable("commits came in faster than the database could be copied: try again in a quieter minute")


def _read_refs(data: pathlib.Path) -> Refs:
    return {name: data.joinpath(name).read_bytes() for name in files_below(data / "git", data) if _is_ref(name)}


def _is_ref(name: str) -> bool:
    """`git/NAME.git/` and then `HEAD`, `packed-refs` or something under `refs/`."""
    inside = name.split("/")[2:]
    return inside[:1] in (["refs"], ["HEAD"], ["packed-refs"]) and not name.endswith(".lock")


class _Copy:
    """What is copied, file by file."""

    def __init__(self, data: pathlib.Path, scratch: pathlib.Path, into: Sink, progress: Progress) -> None:
        self.database = scratch / DATABASE
        self._passing = scratch / "object"
        self._data = data
        self._into = into
        self._progress = progress
        self._files: dict[str, BackedUp] = {}

    def files_here(self) -> None:
        self._add_file(DATABASE, self.database)
        seen: set[str] = set()
        # Loose objects of git may be packed, and so be gone, while they are copied: then the next look finds the pack.
        while fresh := [name for name in files_below(self._data, self._data) if name not in seen and not _stays(name)]:
            for name in fresh:
                self._add_file(name, self._data / name)
                self._progress("files", len(self._files), len(seen) + len(fresh) + 1)
            seen.update(fresh)

    async def files_elsewhere(self, objects: ObjectStore) -> None:
        names = {f"objects/{in_folder(key)}": key async for key in objects.list(OBJECTS)}
        missing = {name: key for name, key in names.items() if name not in self._files}
        for done, (name, key) in enumerate(missing.items(), start=1):
            async with objects.read(key) as reading, await anyio.open_file(self._passing, "wb") as file:
                async for chunk in reading.chunks:
                    await file.write(chunk)
            await anyio.to_thread.run_sync(self._add_file, name, self._passing)
            self._progress("files that are not text", done, len(missing))

    def finish(self, refs: Refs, lacks: str) -> Manifest:
        for name, content in refs.items():
            self._add(name, io.BytesIO(content), len(content), 0o644)
        manifest = Manifest(
            format=FORMAT, version=version("quire-server"), at=int(time.time()), files=self._files, lacks=lacks
        )
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._into.add(MANIFEST, io.BytesIO(text), len(text), 0o600)
        self._into.finish()
        return manifest

    def _add_file(self, name: str, path: pathlib.Path) -> None:
        try:
            content = path.open("rb")
        except FileNotFoundError:
            return  # gone since it was listed: nothing that the database's copy names is ever removed
        with content:
            status = os.fstat(content.fileno())
            self._add(name, content, status.st_size, stat.S_IMODE(status.st_mode))

    def _add(self, name: str, content: Readable, size: int, mode: int) -> None:
        reader = Hashing(content)
        self._into.add(name, reader, size, mode)
        self._files[name] = BackedUp(size, reader.hexdigest(), mode)


def _stays(name: str) -> bool:
    """Not copied: what belongs to the running process, refs (they come last), and what is only half written."""
    parts = name.split("/")
    half_written = any(part.startswith(".") for part in parts) or parts[-1].startswith("tmp") or name.endswith(".lock")
    return parts[0] in STAYS or _is_ref(name) or half_written
