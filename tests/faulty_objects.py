"""Faults at the plug point: an ObjectStore that fails, waits or lets another go first, when a test says so."""

from __future__ import annotations

import contextlib
import pathlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from collab.errors import Unavailable
from collab.objects.base import Object, ObjectStore, Reading


@dataclass(frozen=True)
class Order:
    """What is to happen at the next request of that kind whose key holds `key`. `after`: it is carried out, and its caller
    is told that it failed. `meanwhile`: something else is done first."""

    method: str
    key: str
    after: bool = False
    meanwhile: Callable[[], Awaitable[object]] | None = None


class FaultyObjects:
    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.orders: deque[Order] = deque()
        self.down = False
        self.requests: Counter[str] = Counter()
        self.keys: list[tuple[str, str]] = []

    def fail(self, method: str, key: str = "", *, after: bool = False) -> None:
        self.orders.append(Order(method, key, after))

    def meanwhile(self, method: str, key: str, do: Callable[[], Awaitable[object]]) -> None:
        self.orders.append(Order(method, key, meanwhile=do))

    async def _before(self, method: str, key: str) -> Order | None:
        self.requests[method] += 1
        self.keys.append((method, key))
        if self.down:
            raise Unavailable("S3 does not answer")
        order = next((each for each in self.orders if each.method == method and each.key in key), None)
        if order is None:
            return None
        self.orders.remove(order)
        if order.meanwhile is not None:
            await order.meanwhile()
            return None
        if not order.after:
            raise Unavailable("S3 does not answer")
        return order

    def _after(self, order: Order | None) -> None:
        if order is not None:
            raise Unavailable("S3's answer was lost")

    async def get(self, key: str) -> Object:
        self._after(await self._before("get", key))
        return await self.objects.get(key)

    @contextlib.asynccontextmanager
    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[Reading]:
        self._after(await self._before("read", key))
        async with self.objects.read(key, start, stop) as reading:
            yield reading

    async def size(self, key: str) -> int:
        self._after(await self._before("size", key))
        return await self.objects.size(key)

    async def exists(self, key: str) -> bool:
        self._after(await self._before("exists", key))
        return await self.objects.exists(key)

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        order = await self._before("put", key)
        tag = await self.objects.put(key, content, if_match=if_match, if_none_match=if_none_match)
        self._after(order)
        return tag

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        order = await self._before("put_file", key)
        tag = await self.objects.put_file(key, file)
        self._after(order)
        return tag

    async def copy(self, source: str, target: str) -> None:
        order = await self._before("copy", target)
        await self.objects.copy(source, target)
        self._after(order)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        self._after(await self._before("list", prefix))
        async for key in self.objects.list(prefix):
            yield key

    async def delete(self, key: str) -> None:
        order = await self._before("delete", key)
        await self.objects.delete(key)
        self._after(order)

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        return await self.objects.link(key, seconds=seconds, content_type=content_type, disposition=disposition)

    async def aclose(self) -> None:
        await self.objects.aclose()
