"""Reads a repository's tarball as a host serves it, for the contents that somebody wants by their SHA.

It is a cache of blobs and nothing else: what it has is believed only by its SHA. What it lacks (a host leaves out what is
`export-ignore`d, and rewrites what is `export-subst`), or cannot be read of it, is simply not told; so nothing here fails.
It is read while it comes: nothing of it goes to disk, and one file at a time is held.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import Final

import httpx

from collab.errors import TooLarge
from collab.ids import BlobSha
from collab.text import blob_sha
from snapshots.readers.batches import Batches
from snapshots.readers.folder import FILE
from snapshots.sources import Done, Note, Phase, Tarball

SILENCE: Final = 60.0
"""Seconds without a byte."""

SHA_BYTES: Final = 20


def read(source: Tarball, batches: Batches) -> Done:
    step = range(0, len(source.wanted), SHA_BYTES)
    wanted = {BlobSha(source.wanted[at : at + SHA_BYTES].hex()) for at in step}
    batches.tell(Phase("files", len(wanted)))
    try:
        _read(source.url, wanted, batches)
    except (httpx.HTTPError, tarfile.TarError, zlib.error, EOFError, OSError, TooLarge) as error:
        batches.tell(Note(f"{type(error).__name__}: {error}"))
    return Done()


def _read(url: str, wanted: set[BlobSha], batches: Batches) -> None:
    timeout = httpx.Timeout(SILENCE, connect=10.0)
    with httpx.stream("GET", url, timeout=timeout, follow_redirects=False, trust_env=False) as answer:
        if answer.status_code != 200:
            batches.tell(Note(f"the tarball is not there ({answer.status_code})"))
            return
        stream = io.BufferedReader(_Stream(answer.iter_raw()), 1 << 18)
        with tarfile.open(fileobj=stream, mode="r|gz", encoding="utf-8", errors="surrogateescape") as archive:
            for info in archive:
                content = _content(archive, info, batches.limits.file)
                sha = blob_sha(content) if content is not None else None
                if content is None or sha is None or sha not in wanted:
                    continue
                wanted.remove(sha)
                batches.add(sha.encode(), FILE, content, sha)
                if not wanted:
                    return


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, largest: int) -> bytes | None:
    if info.issym():
        return info.linkname.encode("utf-8", "surrogateescape")
    if not info.isreg() or info.issparse() or info.size > largest:
        return None
    file = archive.extractfile(info)
    return file.read() if file is not None else None


class _Stream(io.RawIOBase):
    """What comes in, as a file that can be read once."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = memoryview(part)
        size = min(len(into), len(self._left))
        into[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
