"""Uploads for an import: streamed to a folder of their own below DATA/tmp, never held in memory.

Three forms: multipart with the field `files` (a part's filename is its path in the project), or one archive as the whole
body. A single part that is an archive counts as one. Parts below a `.git` are left out, like a checkout's own.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import IO, Final

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from collab import paths
from collab.errors import Invalid, PathInvalid, TooLarge
from web.api.endpoint import chunks

PARTS_MOST: Final = 100_000
FIELD_LONGEST: Final = 1000
"""Bytes of a value that is no file."""
FIELD: Final = "files"
WHOLE: Final = "upload"
"""The name of a body that is one archive."""

_GIT: Final = re.compile(r"(^|/)\.git(/|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Received:
    """`files` lie below `folder` at the paths that they were sent with."""

    folder: pathlib.Path
    files: tuple[str, ...]
    fields: dict[str, str]
    size: int


@dataclass(slots=True)
class _Part:
    headers: dict[str, bytes] = field(default_factory=dict)
    name: str = ""
    path: str | None = None
    file: IO[bytes] | None = None
    value: bytearray = field(default_factory=bytearray)


class _Parts:
    """Callbacks of the parser; everything here runs in a worker thread."""

    def __init__(self, folder: pathlib.Path, boundary: bytes) -> None:
        self._folder = folder
        self.files: list[str] = []
        self.fields: dict[str, str] = {}
        self._seen = 0
        self._complete = False
        self._part = _Part()
        self._header = bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Invalid(f"the body is not valid multipart/form-data: {error}") from error

    def finish(self) -> None:
        if not self._complete:
            raise Invalid("the body ends before its last part does", field=FIELD)

    def _finished(self) -> None:
        self._complete = True

    def close(self) -> None:
        if self._part.file is not None:
            self._part.file.close()

    def _begin(self) -> None:
        self._seen += 1
        if self._seen > PARTS_MOST:
            raise TooLarge(f"more than {PARTS_MOST:,} files in one upload: send an archive")
        self._part = _Part()

    def _header_end(self) -> None:
        name, value = self._header
        self._part.headers[name.decode("latin-1").lower()] = bytes(value)
        self._header = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get("content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            return
        if self._part.name != FIELD:
            raise Invalid(f"a file came in the field {self._part.name!r}: send it as {FIELD!r}", field=FIELD)
        self._part.path = options[b"filename"].decode("utf-8", "replace")
        if _GIT.search(self._part.path):
            return
        self._part.file = self._create(self._part.path)
        self.files.append(self._part.path)

    def _create(self, path: str) -> IO[bytes]:
        place = self._folder / paths.check_new(path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            return place.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise PathInvalid(f"two parts of the upload want to be at {path!r}", field=FIELD) from error

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.file is not None:
            self._part.file.write(data[start:end])
        elif self._part.path is None:
            self._part.value += data[start:end]
            if len(self._part.value) > FIELD_LONGEST:
                raise TooLarge(f"the field {self._part.name!r} is longer than {FIELD_LONGEST} bytes")

    def _end(self) -> None:
        if self._part.file is not None:
            self._part.file.close()
        elif self._part.path is None:
            self.fields[self._part.name] = self._part.value.decode("utf-8", "replace")


async def receive(request: Request, scratch: pathlib.Path, limit: int) -> Received:
    """The upload, in a folder that is the caller's to remove. Nothing is left when it fails."""
    folder = pathlib.Path(await anyio.to_thread.run_sync(_make, scratch))
    try:
        return await _receive(request, folder, limit)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, folder)
        raise


def _make(scratch: pathlib.Path) -> str:
    scratch.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix="upload-", dir=scratch)


async def _receive(request: Request, folder: pathlib.Path, limit: int) -> Received:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        size = await _whole(request, folder / WHOLE, limit)
        return Received(folder, (WHOLE,), {}, size)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Invalid("the Content-Type multipart/form-data names no boundary", field="Content-Type")
    parts, size = _Parts(folder, boundary), 0
    try:
        async for chunk in chunks(request, limit):
            size += len(chunk)
            await anyio.to_thread.run_sync(parts.feed, chunk)
        parts.finish()
    finally:
        parts.close()
    return Received(folder, tuple(parts.files), parts.fields, size)


async def _whole(request: Request, place: pathlib.Path, limit: int) -> int:
    size = 0
    async with await anyio.open_file(place, "xb") as file:
        async for chunk in chunks(request, limit):
            size += len(chunk)
            await file.write(chunk)
    return size
