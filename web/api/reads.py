"""Many files in one answer."""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from collab import paths
from collab.errors import Invalid, TooLarge
from collab.workspace import File
from web.api.endpoint import Body, Call, Endpoints, NoQuery

endpoints = Endpoints()

PATHS_MOST: Final = 1000
BYTES_MOST: Final = 64_000_000
BATCH: Final = 50
"""Files that are held in memory before they are counted."""


class Wanted(Body):
    paths: list[str]


class ReadFile(msgspec.Struct):
    path: str
    sha: str
    position: int
    text: str | msgspec.UnsetType = msgspec.UNSET
    base64: str | msgspec.UnsetType = msgspec.UNSET


class ReadFiles(msgspec.Struct):
    """`text` of what is text, `base64` of the rest; `missing` are the paths where nothing is."""

    files: list[ReadFile]
    missing: list[str]


@endpoints.add(
    "POST",
    "/projects/{project}/read",
    role="viewer",
    scoped=True,
    body=Wanted,
    answer=ReadFiles,
    errors=(400, 404, 413),
)
async def read_files(call: Call[Wanted, NoQuery]) -> ReadFiles:
    """Up to 1,000 files in one answer."""
    wanted = call.body.paths
    if len(wanted) > PATHS_MOST:
        raise Invalid(f"{len(wanted):,} paths are too many: give at most {PATHS_MOST:,}", field="paths")
    answer, size = ReadFiles([], []), 0
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        found = await call.services.workspace.read_many(call.project, [paths.parse(each) for each in batch])
        for shown, file in zip(batch, found, strict=True):
            if file is None or not (call.covers(paths.parse(shown)) and call.covers(file.row.path)):
                answer.missing.append(shown)
            else:
                answer.files.append(_shape(shown, file))
                size += len(file.content)
        if size > BYTES_MOST:
            raise TooLarge(f"these files are more than {BYTES_MOST:,} bytes together: ask for fewer at once")
    return answer


def _shape(shown: str, file: File) -> ReadFile:
    shape = ReadFile(shown, file.row.sha, file.row.head)
    if file.row.kind == "text":
        shape.text = file.content.decode()
    else:
        shape.base64 = base64.b64encode(file.content).decode()
    return shape
