"""Makes one file of a source, for a server that does not read this disk.

A repository is packed as the `.git` that its HEAD needs, a plain folder as what it does not ignore; archives go as they
are. The file lies in a scratch folder of the caller's.
"""

from __future__ import annotations

import os
import pathlib
import tarfile
from typing import Final

from collab.errors import Invalid
from snapshots.readers import folder as folders
from snapshots.readers import git
from snapshots.readers.batches import Batches
from snapshots.sources import Archive, Folder, GitFolder, Limits, Message, Note, Portable, Source

LEVEL: Final = 5
"""Of compression: most of what it could gain, at half the time."""


def packed(source: Source, scratch: pathlib.Path) -> tuple[pathlib.Path, list[str]]:
    """The file, and what is to be said about it."""
    match source:
        case Archive(path=path) | Portable(path=path):
            return pathlib.Path(path), []
        case Folder(path=path):
            return _pack_folder(pathlib.Path(path), scratch / "folder.tar.gz"), []
        case GitFolder(path=path):
            return _pack_repository(pathlib.Path(path), scratch)
        case _:
            raise Invalid("only a folder or an archive can be uploaded", field="source")


def _pack_folder(folder: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    with tarfile.open(target, "w:gz", compresslevel=LEVEL, format=tarfile.PAX_FORMAT) as archive:
        for name, _ in folders.files(folder):
            archive.add(folder / name, arcname=name, recursive=False)
    return target


def _pack_repository(folder: pathlib.Path, scratch: pathlib.Path) -> tuple[pathlib.Path, list[str]]:
    notes: list[str] = []

    def tell(message: Message) -> None:
        if isinstance(message, Note):
            notes.append(message.text)

    bare, target = scratch / "repository.git", scratch / "repository.tar.gz"
    git.read_folder(folder, bare, Batches(tell, Limits(), scratch))
    with tarfile.open(target, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as archive:
        for where, folders_, names in os.walk(bare):
            folders_.sort()
            for name in sorted(names):
                path = pathlib.Path(where, name)
                archive.add(path, arcname=f".git/{path.relative_to(bare).as_posix()}", recursive=False)
    return target, notes
