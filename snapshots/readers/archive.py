"""Reads a .zip or a .tar.gz, which somebody may have made to do harm.

Entries, sizes and the ratio to the archive are limited while it streams. Paths that are absolute or hold `..` refuse the
whole archive, as do links that lead out of it, hard links and devices. An archive inside it is a file like any other.
An archive with `.git` at its root is a git repository: of `.git` only objects and refs are unpacked, no configuration
and no alternates.
"""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Final

from collab import paths
from collab.errors import Invalid, TooLarge
from snapshots.readers import git
from snapshots.readers.batches import Batches
from snapshots.readers.folder import FILE, LINK, SCRIPT
from snapshots.sources import Archive, Done, Limits, Phase, sniff

_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_LOCATOR: Final = b"PK\x06\x07"
_ENTRY_COST: Final = 1_024
"""Bytes of a zip's directory that one entry may take."""

_OF_GIT: Final = ("HEAD", "packed-refs", "shallow", "objects/", "refs/")


@dataclass(frozen=True)
class Member:
    """`open` is to be called while the archive stands at this member. `size` is what the archive claims."""

    path: bytes
    mode: int
    size: int
    open: Callable[[], IO[bytes]]


Members = Callable[[], Iterator[Member]]
"""Goes through the archive once more, from its beginning."""


def read(source: Archive, bare: pathlib.Path, scratch: pathlib.Path, batches: Batches) -> Done:
    path = pathlib.Path(source.path)
    with _opened(path, batches.limits) as members:
        names = [member.path for member in _checked(members(), path.stat().st_size, batches.limits)]
        top = _top(names) if source.strip else b""
        if top + b".git/HEAD" in names:
            return _read_repository(members, top + b".git/", bare, scratch, batches)
        inside = [name for name in names if not _gits_own(name)]
        batches.tell(Phase("files", len(inside)))
        for member in members():
            if _gits_own(member.path):
                batches.skip(member.path, "belongs to a git repository inside the archive")
            elif member.mode == LINK:
                target = _content(member)
                _check_link(member, target, top)
                batches.add(member.path.removeprefix(top), LINK, target)
            else:
                with member.open() as content:
                    batches.copy(member.path.removeprefix(top), member.mode, content, member.size)
    return Done()


def _read_repository(
    members: Members, prefix: bytes, bare: pathlib.Path, scratch: pathlib.Path, batches: Batches
) -> Done:
    root = scratch / "repository"
    for member in members():
        name = os.fsdecode(member.path.removeprefix(prefix))
        if member.path.startswith(prefix) and name.startswith(_OF_GIT) and name != "objects/info/alternates":
            if member.mode == LINK:
                raise Invalid(f"the archive's .git holds a link: {name}", field="file")
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(member))
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "objects" / "pack").mkdir(parents=True, exist_ok=True)
    return git.read_folder(root, bare, batches, trusted=False)


@contextmanager
def _opened(path: pathlib.Path, limits: Limits) -> Iterator[Members]:
    try:
        if sniff(path) == "zip":
            check_directory(path, limits)
            with zipfile.ZipFile(path) as archive:
                yield lambda: _zip_members(archive)
        else:
            with path.open("rb") as raw:
                yield lambda: _tar_members(raw, path.stat().st_size, limits)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Invalid(f"the archive cannot be read: {error}", field="file") from error


def _checked(members: Iterator[Member], packed: int, limits: Limits) -> Iterator[Member]:
    """The first way through: only names and sizes, before anything is read."""
    total = 0
    at_most = min(limits.total, limits.ratio_free + limits.ratio * packed)
    for count, member in enumerate(members, 1):
        total += member.size
        if count > limits.entries:
            raise TooLarge(f"the archive has more than {limits.entries:,} entries", field="file")
        if total > at_most:
            raise TooLarge(
                f"the archive unpacks to more than {at_most:,} bytes, which is too much for it", field="file"
            )
        yield member


def _content(member: Member) -> bytes:
    with member.open() as opened:
        content = opened.read(member.size + 1)
    if len(content) != member.size:
        raise Invalid(f"{_show(member.path)} is not as large as the archive says", field="file")
    return content


def check_directory(path: pathlib.Path, limits: Limits) -> None:
    """The directory of a zip is read whole by the library: not when it is absurdly large."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_SIZE - 0xFFFF - 20))
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) - at < _END_SIZE:
            raise Invalid("the archive cannot be read: it is cut off", field="file")
        claimed = struct.unpack_from("<L", tail, at + 12)[0]
        if claimed == 0xFFFFFFFF and tail[at - 20 : at - 16] == _LOCATOR:
            file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
            claimed = struct.unpack_from("<Q", file.read(56).ljust(56, b"\0"), 40)[0]
    if claimed > min(size, limits.entries * _ENTRY_COST):
        raise TooLarge(f"the archive has more than {limits.entries:,} entries", field="file")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        path = _path(_zip_name(info))
        if info.is_dir() or stat.S_ISDIR(mode):
            continue
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
            raise Invalid(f"{_show(path)} is neither a file nor a link", field="file")
        if info.flag_bits & 1:
            raise Invalid(f"{_show(path)} is encrypted", field="file")

        yield Member(path, _mode(mode), info.file_size, partial(archive.open, info))


def _zip_name(info: zipfile.ZipInfo) -> bytes:
    """The library decodes what is not marked as UTF-8 as code page 437; most tools write UTF-8 all the same."""
    if info.flag_bits & 0x800:
        return info.orig_filename.encode("utf-8", "surrogateescape")
    raw = info.orig_filename.encode("cp437")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return info.orig_filename.encode()
    return raw


def _tar_members(raw: IO[bytes], size: int, limits: Limits) -> Iterator[Member]:
    raw.seek(0)
    with (
        gzip.GzipFile(fileobj=raw) as unpacked,
        tarfile.open(
            fileobj=_Measured(unpacked, size, limits), mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as archive,
    ):
        for info in archive:
            path = _path(info.name.encode("utf-8", "surrogateescape"))
            if info.isdir():
                continue
            if info.issym():
                target = info.linkname.encode("utf-8", "surrogateescape")
                yield Member(path, LINK, len(target), partial(io.BytesIO, target))
            elif info.isreg() and not info.issparse():
                yield Member(path, _mode(info.mode | stat.S_IFREG), info.size, partial(_extracted, archive, info))
            else:
                raise Invalid(f"{_show(path)} is neither a file nor a symbolic link", field="file")


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None  # a regular file has content
    return file


class _Measured(io.RawIOBase):
    """An unpacked stream that refuses to grow beyond the limits."""

    def __init__(self, unpacked: gzip.GzipFile, packed: int, limits: Limits) -> None:
        self._unpacked = unpacked
        self._limits = limits
        self._at_most = min(limits.total + limits.entries * 1_536, limits.ratio_free + limits.ratio * packed)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._limits.file + 512:
            raise TooLarge(f"the archive holds a file of more than {self._limits.file:,} bytes", field="file")
        self._check(self._unpacked.tell() + size)
        return self._unpacked.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check(offset if whence == io.SEEK_SET else self._unpacked.tell() + offset)
        return self._unpacked.seek(offset, whence)

    def tell(self) -> int:
        return self._unpacked.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self, reached: int) -> None:
        if reached > self._at_most:
            raise TooLarge(
                f"the archive unpacks to more than {self._at_most:,} bytes, which is too much for its size",
                field="file",
            )


def _mode(mode: int) -> int:
    if stat.S_ISLNK(mode):
        return LINK
    return SCRIPT if mode & stat.S_IXUSR else FILE


def _path(name: bytes) -> bytes:
    """Without the `./` that tar likes; whatever leads out refuses the archive."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if name.startswith(b"/") or b".." in parts or b"\0" in name:
        raise Invalid(f"the archive holds the path {_show(name)}, which leads out of it", field="file")
    return b"/".join(parts)


def _check_link(member: Member, target: bytes, top: bytes) -> None:
    start = posixpath.dirname(member.path.removeprefix(top))
    led = posixpath.normpath(posixpath.join(start, target))
    if target.startswith(b"/") or led == b".." or led.startswith(b"../"):
        raise Invalid(f"{_show(member.path)} is a link that leads out of the archive", field="file")


def _gits_own(path: bytes) -> bool:
    return any(part.lower() == b".git" for part in path.split(b"/"))


def _top(names: list[bytes]) -> bytes:
    """The one folder that everything lies in, with its slash."""
    tops = {name.partition(b"/")[0] for name in names}
    return tops.pop() + b"/" if len(tops) == 1 and all(b"/" in name for name in names) else b""


def _show(path: bytes) -> str:
    return paths.show(paths.from_bytes(path))
