"""The ObjectStore of an installation that was told to keep its objects elsewhere from now on.

New objects go to the one place; what is not there is looked for where objects lay before, and stays there. So nothing has
to be copied, and nothing is missing meanwhile.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator

from collab.errors import NotFound
from collab.objects.base import Object, ObjectStore, Reading
from collab.objects.folder import FolderObjects
from collab.objects.keys import not_as_expected


class WithEarlier:
    """See `collab.objects.base.ObjectStore`. What is `earlier` is only read, and deleted when that is asked for."""

    def __init__(self, now: ObjectStore, earlier: FolderObjects) -> None:
        self._now = now
        self._earlier = earlier

    async def get(self, key: str) -> Object:
        try:
            return await self._now.get(key)
        except NotFound:
            return await self._earlier.get(key)

    @contextlib.asynccontextmanager
    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[Reading]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                reading = await stack.enter_async_context(self._now.read(key, start, stop))
            except NotFound:
                reading = await stack.enter_async_context(self._earlier.read(key, start, stop))
            yield reading

    async def size(self, key: str) -> int:
        try:
            return await self._now.size(key)
        except NotFound:
            return await self._earlier.size(key)

    async def exists(self, key: str) -> bool:
        return await self._now.exists(key) or await self._earlier.exists(key)

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        if if_match is None and not if_none_match:
            return await self._now.put(key, content)
        if await self._now.exists(key) or not await self._earlier.exists(key):
            return await self._now.put(key, content, if_match=if_match, if_none_match=if_none_match)
        if if_none_match or (await self._earlier.get(key)).tag != if_match:
            raise not_as_expected(key)
        # The first version here: of two that replace the earlier one, one creates it.
        return await self._now.put(key, content, if_none_match=True)

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        return await self._now.put_file(key, file)

    async def copy(self, source: str, target: str) -> None:
        try:
            await self._now.copy(source, target)
        except NotFound:
            await self._now.put_file(target, await self._earlier.file(source))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        earlier = [key async for key in self._earlier.list(prefix)][::-1]
        async for key in self._now.list(prefix):
            while earlier and earlier[-1] < key:
                yield earlier.pop()
            if earlier and earlier[-1] == key:
                earlier.pop()
            yield key
        for key in reversed(earlier):
            yield key

    async def delete(self, key: str) -> None:
        await self._earlier.delete(key)
        await self._now.delete(key)

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        """None for what still lies where objects lay before."""
        address = await self._now.link(key, seconds=seconds, content_type=content_type, disposition=disposition)
        return address if address is not None and await self._now.exists(key) else None

    async def aclose(self) -> None:
        await self._now.aclose()
        await self._earlier.aclose()
