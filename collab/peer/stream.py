"""Text that appears as it is made: an agent writes token by token, where people see it.

What it promises
1. Each piece goes behind the one before, wherever the text around has moved to; what others type inside stays.
2. Left by an exception or a cancellation, what was written is taken back (`keep=False`, the default), or stays (`keep=True`). What
   others typed inside of it stays in both cases.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio.lowlevel

from collab.anchors import Place
from collab.ids import ClientId

if TYPE_CHECKING:
    from collab.peer.room import Room


class Stream:
    """Made by `Room.stream`; used as `async with`."""

    def __init__(self, room: Room, place: int, *, keep: bool) -> None:
        self._room = room
        self._keep = keep
        self._at = room.replica.mark(place, follows=False)
        self._written: list[tuple[int, int]] = []

    @property
    def place(self) -> int:
        """Where the next piece goes, in code points."""
        return self._room.replica.place(self._at)

    async def write(self, text: str) -> None:
        """A piece. The cursor of the peer goes along."""
        if not text:
            return
        replica, begin = self._room.replica, self._room.replica.clock
        updates = replica.insert(self._at, text)
        self._at.at += len(text.encode())
        self._written.append((begin, replica.clock))
        self._room.wire.send(updates)
        behind = Place(ClientId(replica.client), replica.clock - 1, "behind")
        self._room.point(behind, behind)
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._keep:
            # No await: a cancellation does not stop it halfway.
            self._room.wire.send(self._room.replica.take_back(self._written))
        self._room.replica.forget(self._at)
