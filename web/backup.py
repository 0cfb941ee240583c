"""A copy of a data directory that can be restored, made while it serves.

A backup is a folder or a `.tar.gz` with `quire.sqlite`, `objects/`, `git/` and the other files of the data directory, and
`backup.json`: a SHA-256, size and mode for each of them. It holds the tokens' hashes and the keys of the installation: keep
it as safe as the data itself. Credentials for other services are in it sealed, and what opens them (`secret-key`) is not.

Why the copy is consistent
1. The database is copied first, by the store itself, in one transaction. What it names in `objects/` was durable before
   it was named, and is copied after it.
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
from collab.store.base import Store
from web.archive import DATABASE, FORMAT, MANIFEST, BackedUp, Hashing, Manifest, Readable, Sink, files_below, sink

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


async def backup(store: Store, data: pathlib.Path, destination: pathlib.Path, progress: Progress) -> Manifest:
    """Copies `data`, which `store` serves, to `destination`, which must not be there yet."""
    into = await anyio.to_thread.run_sync(sink, destination)
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as scratch:
            refs = await _copy_database(store, data, pathlib.Path(scratch, DATABASE), progress)
            manifest = await anyio.to_thread.run_sync(
                _copy, data, pathlib.Path(scratch, DATABASE), refs, into, progress
            )
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


def _copy(data: pathlib.Path, database: pathlib.Path, refs: Refs, into: Sink, progress: Progress) -> Manifest:
    files: dict[str, BackedUp] = {}

    def add(name: str, content: Readable, size: int, mode: int) -> None:
        reader = Hashing(content)
        into.add(name, reader, size, mode)
        files[name] = BackedUp(size, reader.hexdigest(), mode)

    _add_file(add, DATABASE, database)
    seen: set[str] = set()
    # Loose objects of git may be packed, and so be gone, while they are copied: then the next look finds the pack.
    while fresh := [name for name in files_below(data, data) if name not in seen and not _stays(name)]:
        for name in fresh:
            _add_file(add, name, data / name)
            progress("files", len(files), len(seen) + len(fresh) + 1)
        seen.update(fresh)
    for name, content in refs.items():
        add(name, io.BytesIO(content), len(content), 0o644)
    manifest = Manifest(format=FORMAT, version=version("quire-server"), at=int(time.time()), files=files)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    into.add(MANIFEST, io.BytesIO(text), len(text), 0o600)
    into.finish()
    return manifest


def _stays(name: str) -> bool:
    """Not copied: what belongs to the running process, refs (they come last), and what is only half written."""
    parts = name.split("/")
    half_written = any(part.startswith(".") for part in parts) or parts[-1].startswith("tmp") or name.endswith(".lock")
    return parts[0] in STAYS or _is_ref(name) or half_written


def _add_file(add: Callable[[str, Readable, int, int], None], name: str, path: pathlib.Path) -> None:
    try:
        content = path.open("rb")
    except FileNotFoundError:
        return  # gone since it was listed: nothing that the database's copy names is ever removed
    with content:
        status = os.fstat(content.fileno())
        add(name, content, status.st_size, stat.S_IMODE(status.st_mode))
