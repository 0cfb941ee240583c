"""Makes a data directory of a backup again.

Every file is checked against the manifest before anything is to be seen at `to`; then a new epoch begins, in which peers
may bring back what the backup had lost, and the directory appears at once. A backup that is not whole is `Invalid`, and
`to` is not touched.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping

from collab.errors import Conflict, Invalid, NotFound
from web.archive import BROKEN, CHUNK, DATABASE, MANIFEST, Hashing, Manifest, members, parse_manifest

Progress = Callable[[str, int, int | None], None]


def restore(
    source: pathlib.Path, to: pathlib.Path, begin_epoch: Callable[[pathlib.Path], int], progress: Progress
) -> Manifest:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} is not empty: restore into a new folder, so that nothing is overwritten")
    if not source.exists():
        raise NotFound(f"there is no backup at {source}")
    to.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{to.name}.restoring-", dir=to.parent))
    try:
        manifest = _checked(source, folder, progress)
        begin_epoch(folder)
        os.sync()
        if to.exists():
            to.rmdir()
        folder.rename(to)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


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
