"""The contract ObjectStore: named bytes. PLUG.

Keys are parts divided by `/`: printable text that is not `.` or `..`, and does not begin with `=` (collab.objects.keys).

1. When `put` returns, the object is durable and whole; a crash leaves the old object or the new, never a part of one.
2. `if_none_match=True` creates only; `if_match` replaces only the version whose tag `get` gave. Else `Stale`, nothing changed.
3. `get` of what is known to be absent is `NotFound`. Trouble on the way is `Unavailable`, never absence.
4. `list` gives every key under a prefix whose `put` has returned, in order.
5. `copy` is a `put` of what another key holds, which need not pass through here.
6. A call that is cancelled, or that raises `Unavailable`, may or may not have happened. So may a swap; whoever needs to know
   reads again.
7. `put_file` and `read` hold a few pieces of an object at a time (`CHUNK`, or a part of an upload), however large it is. What
   is read is of one version; when that is replaced meanwhile, reading it may end with `Unavailable`, never with a mixture.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

CHUNK: Final = 1 << 20
"""Bytes of an object that are handed on at a time."""


@dataclass(frozen=True, slots=True)
class Object:
    content: bytes
    tag: str
    """Opaque; another content has another tag. (Equal contents may share one, so what is swapped never takes a content
    that it had before.)"""


@dataclass(frozen=True, slots=True)
class Reading:
    """An object that is being read. `size` is that of the whole; `chunks` are of what was asked for."""

    size: int
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    async def get(self, key: str) -> Object: ...

    def read(self, key: str, start: int = 0, stop: int | None = None) -> AbstractAsyncContextManager[Reading]:
        """The bytes from `start` up to `stop` (None: the end), a piece at a time. `NotFound` when it is entered."""

    async def size(self, key: str) -> int:
        """In bytes. `NotFound` as `get`."""

    async def exists(self, key: str) -> bool: ...

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Returns the new version's tag."""

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        """`put` of what is in a file, which nobody changes meanwhile."""

    async def copy(self, source: str, target: str) -> None:
        """`NotFound` when `source` is known to be absent."""

    def list(self, prefix: str = "") -> AsyncIterator[str]: ...

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        """An address at which whoever has it may read the object for so long, with these headers. None: this store has no
        addresses. Whether the object is there is not looked at."""

    async def aclose(self) -> None: ...
