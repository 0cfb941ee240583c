"""A file that one has joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from collab import anchors, edits
from collab.anchors import Place
from collab.edits import Replacement
from collab.errors import Invalid
from collab.order import Order, order
from collab.peer.replica import Replica
from collab.peer.stream import Stream
from collab.peer.wire import PeerClosed, Token, Wire

__all__ = ["PeerClosed", "Room", "join"]


@asynccontextmanager
async def join(url: str, path: str, *, token: Token = None, name: str | None = None) -> AsyncIterator[Room]:
    """A room, once its text is there. `url` is that of the project's rooms (`ws://HOST/sync/PROJECT`), `path` the file's, or
    `~DOCUMENT-ID`; `token` a string, or a function that makes a fresh one for every connection. `name` is shown to servers that do
    not know who we are (Quire does). `PeerClosed` when the server will not have us, now or later. What was edited and is not yet
    sent when the block is left is waited for, unless it is left by an error."""
    replica = Replica()
    wire = Wire(url, path, replica, token)
    room = Room(replica, wire, name)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wire.run)
            await wire.until(lambda: wire.synced)
            yield room
            await wire.until(lambda: wire.settled)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _alone(group) from group
    finally:
        replica.close()


class Room:
    """The live text, and what one can do with it. Places are in code points."""

    def __init__(self, replica: Replica, wire: Wire, name: str | None) -> None:
        self.replica = replica
        self.wire = wire
        self._state: dict[str, Any] = {"user": {"name": name}} if name else {}
        replica.heard = wire.ring

    @property
    def text(self) -> str:
        return self.replica.text

    @property
    def connected(self) -> bool:
        return self.wire.synced

    @property
    def position(self) -> int:
        """Of the document's log on the server, as far as it has told; 0 from servers that do not."""
        return self.wire.position

    @property
    def present(self) -> Mapping[int, Any]:
        """Who else is here: presence states by client id."""
        return self.wire.present

    async def changes(self) -> AsyncIterator[str]:
        """The text, after every change, whoever made it. What changed while one looked away is one change."""
        seen = self.text
        while True:
            await self.wire.until(partial(self._differs, seen))
            seen = self.text
            yield seen

    def _differs(self, seen: str) -> bool:
        return self.text != seen

    async def until(self, wanted: str) -> None:
        """Until the text holds this."""
        await self.wire.until(lambda: wanted in self.text)

    async def edit(self, old: str, new: str, *, all: bool = False) -> None:  # noqa: A002 - as everywhere else
        """`old` becomes `new` in the text as it is now; it must be there exactly once, or `all`. `EditInvalid` else."""
        await self.edits([Replacement(old, new, all)])

    async def edits(self, replacements: Sequence[Replacement]) -> None:
        """Several at once: all or none."""
        await self.set_text(edits.apply(self.text, replacements))

    async def set_text(self, target: str) -> None:
        """By the few edits that lead there: others' cursors stay."""
        await self.send(self.replica.edit(target))

    async def insert(self, place: int, text: str) -> None:
        now = self.text
        if not 0 <= place <= len(now):
            raise Invalid(f"{place} is no place in a text of {len(now)} characters", field="place")
        mark = self.replica.mark(place, follows=False)
        updates = self.replica.insert(mark, text)
        self.replica.forget(mark)
        await self.send(updates)

    def stream(self, *, at: int | None = None, after: str | None = None, keep: bool = False) -> Stream:
        """Writes piece by piece at a place, behind the only occurrence of `after`, or at the end of the text."""
        place = len(self.text) if at is None else at
        if after is not None:
            if self.text.count(after) != 1:
                raise Invalid(f"`after` is there {self.text.count(after)} times, not once", field="after")
            place = self.text.index(after) + len(after)
        if not 0 <= place <= len(self.text):
            raise Invalid(f"{place} is no place in a text of {len(self.text)} characters", field="at")
        return Stream(self, place, keep=keep)

    def select(self, start: int, end: int | None = None) -> None:
        """Shows a cursor, or a selection."""
        runs = Order(order(self.replica.since(b"\0")))
        head = anchors.anchor(runs, end if end is not None else start, end if end is not None else start).start
        anchor = anchors.anchor(runs, start, start).start
        self.point(anchor, head)

    def point(self, anchor: Place, head: Place) -> None:
        """As `select`, for whoever knows the characters by name."""
        self._state["cursor"] = {"anchor": anchors.to_json(anchor), "head": anchors.to_json(head)}
        self.wire.show(self._state)

    def show(self, **state: Any) -> None:
        """More for the presence state, such as `task="Fixing links"`."""
        self._state |= state
        self.wire.show(self._state)

    async def saved(self) -> int:
        """Until everything that was edited here is durable; the position of the document then."""
        await self.wire.until(lambda: self.wire.settled)
        return self.position

    async def send(self, updates: list[bytes]) -> None:
        self.wire.send(updates)
        await anyio.lowlevel.checkpoint()


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one thing that went wrong, if it is one."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
