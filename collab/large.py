"""Content that is too large to be text, and is never held in memory: it lies in a file.

Whoever made the file keeps it as it is until the call that it is given to has returned.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Final

from collab import text
from collab.contents import object_key
from collab.ids import BlobSha
from collab.objects.base import ObjectStore
from collab.store.base import DocumentKind

KNOWN_FROM: Final = 8 << 20
"""Bytes from which it is worth asking whether the objects hold it already."""


@dataclass(frozen=True, slots=True)
class Large:
    """`sha` is git's name for what is in the file. More than `collab.text.TEXT_LIMIT` bytes."""

    file: pathlib.Path
    sha: BlobSha
    size: int

    def __post_init__(self) -> None:
        if self.size <= text.TEXT_LIMIT:
            raise ValueError(f"{self.size} bytes may be text, and are held in memory")


Data = bytes | Large


def kind_of(content: Data, mode: int) -> DocumentKind:
    """See `collab.text.classify`."""
    return "binary" if isinstance(content, Large) else text.classify(content, mode)


def sha_of(content: Data) -> BlobSha:
    return content.sha if isinstance(content, Large) else text.blob_sha(content)


def size_of(content: Data) -> int:
    return content.size if isinstance(content, Large) else len(content)


async def keep(objects: ObjectStore, content: Data) -> None:
    """Among the objects, durable; then a row may name it."""
    key = object_key(sha_of(content))
    if isinstance(content, bytes):
        await objects.put(key, content)
    elif content.size < KNOWN_FROM or not await objects.exists(key):
        await objects.put_file(key, content.file)
