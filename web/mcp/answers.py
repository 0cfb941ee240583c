"""What the tools answer, where it is not what HTTP answers. The schemas that tools promise are made of these."""

from __future__ import annotations

from typing import Any

import msgspec


class ListedFile(msgspec.Struct):
    """`kind`: text, binary, symlink, submodule, lfs; or directory, which has no SHA and no size."""

    path: str
    kind: str
    sha: str | None
    size: int | None


class ListedFiles(msgspec.Struct):
    """`cursor`: there are more; ask again with it."""

    files: list[ListedFile]
    cursor: str | None


class ReadText(msgspec.Struct):
    """Lines `first` to `last` of `lines` in all. `sha` is what an edit names as its base. `text` has no line numbers."""

    path: str
    sha: str
    position: int
    first: int
    last: int
    lines: int
    text: str


class ReadTexts(msgspec.Struct):
    """`missing`: nothing is there; `unreadable`: no texts; `left`: not read, because the budget was used up: ask for them
    again."""

    files: list[ReadText]
    missing: list[str]
    unreadable: list[str]
    left: list[str]


class Changed(msgspec.Struct):
    n: int
    kind: str
    path: str | None
    sha: str | None
    position: int | None
    actors: list[str]
    at: str


class ChangedSince(msgspec.Struct):
    """`last`: ask with it the next time. `more`: there is more already."""

    events: list[Changed]
    last: int
    more: bool


class ProjectName(msgspec.Struct):
    name: str
    role: str


class ProjectNames(msgspec.Struct):
    projects: list[ProjectName]


def schema(answer: type) -> dict[str, Any]:
    """JSON Schema with an object at its root, as a tool's output schema has to have."""
    (root,), definitions = msgspec.json.schema_components([answer], ref_template="#/$defs/{name}")
    name = root["$ref"].rpartition("/")[2]
    top = definitions.pop(name)
    return {**top, "$defs": definitions} if definitions else top
