"""One file's new content, on its way in.

It is held in memory while it may be text; what is larger goes into a file below DATA/tmp, and is hashed on its way. Nothing
of it is among the objects before all of it has come and its digest was found right: an upload that breaks off leaves
nothing anywhere, and a part of it that the objects' server did not take is there to be sent again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import pathlib
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import IO, Any, Final

import anyio.to_thread
from starlette.requests import Request

from collab.errors import Invalid, Unavailable
from collab.ids import BlobSha
from collab.large import Data, Large
from collab.text import TEXT_LIMIT
from web.api.endpoint import chunks

CHUNK: Final = 1 << 20
"""Bytes that are written at a time."""

_DIGEST: Final = re.compile(r"\s*([a-z0-9-]+)=:([A-Za-z0-9+/=]*):\s*")


class Digests:
    """Content-Digest (RFC 9530): a dictionary of byte sequences; algorithms that we do not know are ignored."""

    def __init__(self, header: str | None) -> None:
        self._wanted: list[tuple[str, str, Any]] = []
        for item in header.split(",") if header else ():
            match = _DIGEST.fullmatch(item)
            if match is None:
                raise Invalid(f"Content-Digest is {header!r}: give sha-256=:BASE64:", field="Content-Digest")
            name, value = match.groups()
            if name in ("sha-256", "sha-512"):
                self._wanted.append((name, value, hashlib.new(name.replace("-", ""))))

    def update(self, content: bytes) -> None:
        for _, _, digest in self._wanted:
            digest.update(content)

    def check(self) -> None:
        for name, value, digest in self._wanted:
            found = base64.b64encode(digest.digest()).decode()
            if found != value:
                raise Invalid(
                    f"the body's {name} is {found}, not {value}: it was changed on its way",
                    code="digest_mismatch",
                    field="Content-Digest",
                )


@contextlib.asynccontextmanager
async def received(request: Request, scratch: pathlib.Path, limit: int) -> AsyncIterator[Data]:
    """The body, whole and checked against its `Content-Digest`; a file of it is gone afterwards."""
    digests = Digests(request.headers.get("content-digest"))
    announced = request.headers.get("content-length", "")
    held = bytearray()
    async with contextlib.AsyncExitStack() as stack:
        spool: _Spool | None = None
        async for chunk in chunks(request, limit):
            held += chunk
            if spool is None and len(held) > TEXT_LIMIT:
                spool = _Spool(scratch, digests, int(announced) if announced.isdecimal() else None)
                stack.push_async_callback(_shielded, spool.remove)
            if spool is not None and len(held) >= CHUNK:
                await anyio.to_thread.run_sync(spool.write, bytes(held))
                held.clear()
        if spool is not None:
            await anyio.to_thread.run_sync(spool.write, bytes(held))
            held.clear()
            yield await anyio.to_thread.run_sync(spool.finish)
        else:
            whole = bytes(held)
            digests.update(whole)
            digests.check()
            yield whole


async def _shielded(work: Callable[[], None]) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(work)


class _Spool:
    """One content in a file; what is called here runs in worker threads. Git's name for it begins with its length: when
    that was announced, it is hashed as it comes, otherwise once it is there."""

    def __init__(self, folder: pathlib.Path, digests: Digests, announced: int | None) -> None:
        self._folder = folder
        self._digests = digests
        self._announced = announced
        self._sha = _git_hash(announced or 0)
        self._file: IO[bytes] | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.NamedTemporaryFile(prefix="body-", dir=self._folder, delete=False)  # noqa: SIM115
            self._file.write(data)
        except OSError as error:
            raise _not_kept(error) from error
        self._size += len(data)
        self._digests.update(data)
        self._sha.update(data)

    def finish(self) -> Large:
        assert self._file is not None  # it was made for what is large
        self._digests.check()
        try:
            self._file.flush()
        except OSError as error:
            raise _not_kept(error) from error
        place = pathlib.Path(self._file.name)
        if self._size != self._announced:
            self._sha = _git_hash(self._size)
            with place.open("rb") as written:
                while data := written.read(CHUNK):
                    self._sha.update(data)
        return Large(place, BlobSha(self._sha.hexdigest()), self._size)

    def remove(self) -> None:
        if self._file is not None:
            self._file.close()
            pathlib.Path(self._file.name).unlink()


def _not_kept(error: OSError) -> Unavailable:
    return Unavailable(f"the upload cannot be kept: {error.strerror}")


def _git_hash(size: int) -> Any:
    # Not for security: git's name for a blob is its SHA-1.
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
