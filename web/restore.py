"""Makes a data directory of a backup again: of one that was made at a moment (`restore`), or of a continuous one (`restore_shipped`).

Every file is checked before anything is to be seen at `to`; then a new epoch begins, in which peers may bring back what the backup
had lost, and the directory appears at once. A backup that is not whole is `Invalid`, and `to` is not touched.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from anyio import to_thread

from collab.crowd import each
from collab.errors import Conflict, Invalid, NotFound
from collab.ids import Millis
from collab.objects.base import ObjectStore
from web.archive import BROKEN, CHUNK, DATABASE, MANIFEST, Hashing, Manifest, members, parse_manifest
from web.shipping.assembly import note_predecessor
from web.shipping.carrier import OBJECTS
from web.shipping.layout import OBJECTS as CARRIED
from web.shipping.recovery import Recovered, recover

Progress = Callable[[str, int, int | None], None]


class Database(Protocol):
    """What can be done with the database in a folder that nobody serves (collab.store)."""

    def begin_epoch(self, folder: pathlib.Path, above: int = 0) -> int: ...

    def check(self, folder: pathlib.Path) -> None:
        """`Invalid` when it is damaged."""


def restore(source: pathlib.Path, to: pathlib.Path, database: Database, progress: Progress) -> Manifest:
    with _appearing(to) as folder:
        if not source.exists():
            raise NotFound(f"there is no backup at {source}")
        manifest = _checked(source, folder, progress)
        database.begin_epoch(folder)
    return manifest


async def restore_shipped(
    objects: ObjectStore,
    to: pathlib.Path,
    database: Database,
    progress: Progress,
    *,
    bring: Callable[[pathlib.Path], ObjectStore],
    at: Millis | None = None,
    with_all: bool = False,
) -> Recovered:
    """The newest state, or that at a time. `bring` opens the objects of a data directory: files that are not text are brought there if
    they were brought into the backup from a folder; with `with_all`, also those that lie in the same place anyway."""
    with _appearing(to) as folder:
        recovered = await recover(objects, folder, at, progress)
        await to_thread.run_sync(database.check, folder)
        owner = recovered.owner
        await to_thread.run_sync(database.begin_epoch, folder, owner.epoch if owner else recovered.copy.epoch)
        if recovered.copy.objects == CARRIED or (with_all and recovered.copy.objects):
            await _bring_objects(objects, recovered.copy.objects, await to_thread.run_sync(bring, folder), progress)
        if owner is not None:
            note_predecessor(folder, owner.holder)
    return recovered


async def _bring_objects(objects: ObjectStore, prefix: str, to: ObjectStore, progress: Progress) -> None:
    done = 0

    async def bring(key: str) -> None:
        nonlocal done
        await to.put(OBJECTS + key.removeprefix(prefix), (await objects.get(key)).content)
        done += 1
        progress("files that are not text", done, len(keys))

    keys = [key async for key in objects.list(prefix)]
    await each(keys, bring, at_once=4)


@contextlib.contextmanager
def _appearing(to: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder that becomes `to` when all went well."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} is not empty: restore into a new folder, so that nothing is overwritten")
    to.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{to.name}.restoring-", dir=to.parent))
    try:
        yield folder
        os.sync()
        if to.exists():
            to.rmdir()
        folder.rename(to)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _checked(source: pathlib.Path, folder: pathlib.Path, progress: Progress) -> Manifest:
    try:
        return _unpack(source, folder, progress)
    except BROKEN as error:
        raise Invalid(f"{source} is no backup of Quire, or not all of it: {error}") from error


def _unpack(source: pathlib.Path, folder: pathlib.Path, progress: Progress) -> Manifest:
    found: dict[str, tuple[int, str]] = {}
    text: bytes | None = None
    for name, content in members(source):
        if name == MANIFEST:
            text = content.read()
            continue
        path = folder / _inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        reader = Hashing(content)
        with path.open("xb") as target:
            shutil.copyfileobj(reader, target, CHUNK)
        found[name] = (path.stat().st_size, reader.hexdigest())
        progress("files", len(found), None)
    if text is None:
        raise Invalid(f"{source} is no backup of Quire, or not all of it: it holds no {MANIFEST}")
    manifest = parse_manifest(text)
    _compare(manifest, found)
    for name, backed_up in manifest.files.items():
        folder.joinpath(name).chmod(stat.S_IMODE(backed_up.mode) | 0o600)
    return manifest


def _inside(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise Invalid(f"the backup holds a file called {name!r}, which no data directory does")
    return name


def _compare(manifest: Manifest, found: Mapping[str, tuple[int, str]]) -> None:
    for name, file in manifest.files.items():
        if name not in found:
            raise Invalid(f"the backup lacks {name}")
        if found[name] != (file.size, file.sha256):
            raise Invalid(f"{name} in the backup is not what was backed up: its SHA-256 differs from {MANIFEST}")
    strange = sorted(found.keys() - manifest.files.keys())
    if strange:
        raise Invalid(f"the backup holds {strange[0]}, which {MANIFEST} does not name")
    if DATABASE not in manifest.files:
        raise Invalid(f"the backup holds no {DATABASE}")
