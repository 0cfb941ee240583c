"""The ObjectStore in memory: for tests, and for trying things out."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator

import anyio
from anyio import lowlevel

from collab.objects.base import CHUNK, Object, Reading
from collab.objects.keys import absent, check, not_as_expected


class MemoryObjects:
    """See `collab.objects.base.ObjectStore`. Keeps every promise but durability."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._versions = 0

    async def get(self, key: str) -> Object:
        await lowlevel.checkpoint()
        if check(key) not in self._objects:
            raise absent(key)
        return self._objects[key]

    @contextlib.asynccontextmanager
    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[Reading]:
        content = (await self.get(key)).content

        async def chunks() -> AsyncIterator[bytes]:
            end = len(content) if stop is None else min(stop, len(content))
            for at in range(start, end, CHUNK):
                await lowlevel.checkpoint()
                yield content[at : min(at + CHUNK, end)]

        yield Reading(len(content), chunks())

    async def size(self, key: str) -> int:
        return len((await self.get(key)).content)

    async def exists(self, key: str) -> bool:
        await lowlevel.checkpoint()
        return check(key) in self._objects

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        await lowlevel.checkpoint()
        found = self._objects.get(check(key))
        if (if_none_match and found) or (if_match is not None and (found is None or found.tag != if_match)):
            raise not_as_expected(key)
        self._versions += 1
        self._objects[key] = Object(bytes(content), f"{self._versions}")
        return self._objects[key].tag

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        return await self.put(key, await anyio.Path(file).read_bytes())

    async def copy(self, source: str, target: str) -> None:
        check(target)
        await self.put(target, (await self.get(source)).content)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        await lowlevel.checkpoint()
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield key

    async def delete(self, key: str) -> None:
        await lowlevel.checkpoint()
        self._objects.pop(check(key), None)

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        return None

    async def aclose(self) -> None:
        """Nothing to let go of."""
