"""The contract ObjectStore: named bytes. PLUG.

Keys are parts divided by `/`: printable text that is not `.` or `..`, and does not begin with `=` (collab.objects.keys).

1. When `put` returns, the object is durable and whole; a crash leaves the old object or the new, never a part of one.
2. `if_none_match=True` creates only; `if_match` replaces only the version whose tag `get` gave. Else `Stale`, nothing changed.
3. `get` of what is known to be absent is `NotFound`. Trouble on the way is `Unavailable`, never absence.
4. `list` gives every key under a prefix whose `put` has returned, in order.
5. `copy` is a `put` of what another key holds, which need not pass through here.
6. A call that is cancelled, or that raises `Unavailable`, may or may not have happened. So may a swap; whoever needs to know
   reads again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Object:
    content: bytes
    tag: str
    """Opaque; another content has another tag. (Equal contents may share one, so what is swapped never takes a content
    that it had before.)"""


class ObjectStore(Protocol):
    async def get(self, key: str) -> Object: ...

    async def exists(self, key: str) -> bool: ...

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Returns the new version's tag."""

    async def copy(self, source: str, target: str) -> None:
        """`NotFound` when `source` is known to be absent."""

    def list(self, prefix: str = "") -> AsyncIterator[str]: ...

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""

    async def aclose(self) -> None: ...
