"""The ObjectStore in memory: for tests, and for trying things out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from anyio import lowlevel

from collab.objects.base import Object
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

    async def aclose(self) -> None:
        """Nothing to let go of."""
