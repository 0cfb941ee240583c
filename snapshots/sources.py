"""What can be imported, and what a reader says while it reads. PURE but for `locate`, which looks at the disk.

A source is described by one of the structures below and read in a process of its own (snapshots.worker), which answers
with the messages below: phases, batches of bounded size, notes, and at last `Done` or `Failed`.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from collab.errors import Invalid, NotFound

BATCH_BYTES: Final = 4 << 20
BATCH_FILES: Final = 500


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a source may hold. `ratio` is how much larger than its archive a content may be, beyond `ratio_free` bytes."""

    entries: int = 200_000
    file: int = 100 << 20
    total: int = 8 << 30
    ratio: int = 200
    ratio_free: int = 64 << 20


class GitFolder(msgspec.Struct, frozen=True, tag="git-folder"):
    """A folder that holds `.git`, or a bare repository: its HEAD, with its history."""

    path: str


class GitUrl(msgspec.Struct, frozen=True, tag="git-url"):
    """The HEAD of a repository behind http, https or git."""

    url: str


class Folder(msgspec.Struct, frozen=True, tag="folder"):
    """A plain folder, without what its .gitignore and .quireignore files ignore."""

    path: str


class Archive(msgspec.Struct, frozen=True, tag="archive"):
    """A .zip or a .tar.gz. `strip` leaves out the one folder that everything in it lies in."""

    path: str
    strip: bool = False


class Upload(msgspec.Struct, frozen=True):
    name: str
    content: bytes


class Uploads(msgspec.Struct, frozen=True, tag="uploads"):
    """Single files by their paths in the project."""

    files: tuple[Upload, ...]


class Portable(msgspec.Struct, frozen=True, tag="portable"):
    """A project file that `quire export` wrote."""

    path: str


class Tarball(msgspec.Struct, frozen=True, tag="tarball"):
    """Of the tarball behind an address, the contents whose SHAs are in `wanted` (20 bytes each), each once; paths and modes
    are not told."""

    url: str
    wanted: bytes


Source = GitFolder | GitUrl | Folder | Archive | Uploads | Portable | Tarball


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`bare` is where a git source's history goes, `scratch` a folder for what lives no longer than the import."""

    source: Source
    bare: str
    scratch: str
    limits: Limits = Limits()


class File(msgspec.Struct, frozen=True, array_like=True):
    """`content` is a symlink's target; a submodule has none and its commit as `sha`. What is too large to be text lies in
    the file `beside`, in the import's scratch folder, and has `size` bytes."""

    path: bytes
    mode: int
    sha: str
    content: bytes
    beside: str = ""
    size: int = 0

    @property
    def length(self) -> int:
        return self.size if self.beside else len(self.content)


class Phase(msgspec.Struct, frozen=True, tag="phase"):
    name: str
    total: int = 0


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    files: list[File]


class Skipped(msgspec.Struct, frozen=True, tag="skipped"):
    path: bytes
    why: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """For the job's message."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """`branch` is the branch that HEAD names, None when the source is no repository; `commit` None when it has none."""

    branch: str | None = None
    commit: str | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    code: str
    message: str
    field: str | None = None


Message = Phase | Batch | Skipped | Note | Done | Failed

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/?/?")
_SCP: Final = re.compile(r"[^/\s]+@[^/\s:]+:")
_SCHEMES: Final = ("https", "http", "git")


def git_url(url: str) -> GitUrl:
    """Refuses every way of fetching that would run a program or read this machine's files."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise Invalid(
            f"{scrub(url)} cannot be fetched: give the repository's https:// (or http://, git://) address", field="git"
        )
    return GitUrl(url)


def scrub(text: str) -> str:
    """Without the password that an address may carry."""
    return re.sub(r"(?<=//)[^/@\s]+@", "", text)


Packed = Literal["zip", "tar.gz", "sqlite"]


def magic(start: bytes) -> Packed | None:
    """What a file is that begins so (16 bytes); None: nothing that can be imported."""
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if start.startswith(b"\x1f\x8b"):
        return "tar.gz"
    return "sqlite" if start[:16] == b"SQLite format 3\0" else None


def sniff(path: pathlib.Path) -> Packed:
    """What an uploaded file is, by its first bytes."""
    with path.open("rb") as file:
        found = magic(file.read(16))
    if found is None:
        raise Invalid(f"{path.name} is neither a .zip nor a .tar.gz nor a .sqlite that Quire exported", field="file")
    return found


def locate(text: str, *, strip: bool = False) -> Source:
    """The source that a person means by an address, or by a path on this machine."""
    if (_URL.match(text) or _SCP.match(text)) and not pathlib.Path(text).exists():
        return git_url(text)
    path = pathlib.Path(text).absolute()
    if not path.exists():
        raise NotFound(f"there is no {path}", field="source")
    if path.is_dir():
        if (path / ".git").exists() or is_bare(path):
            return GitFolder(os.fspath(path))
        return Folder(os.fspath(path))
    return Portable(os.fspath(path)) if sniff(path) == "sqlite" else Archive(os.fspath(path), strip)


def is_bare(path: pathlib.Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
