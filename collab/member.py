"""A session's place in a room: what it is to be sent, what it has in the inbox, and why it must go.

The room puts frames in and never waits; the member's own task takes them out, at the pace of its socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import anyio

from collab.bell import Bell
from collab.outbox import Outbox
from collab.session import Session

INBOX_LIMIT: Final = 1_000_000
"""Bytes of one member that may wait for a turn; beyond, its socket is not read (TCP tells it to wait)."""


class CloseCode(IntEnum):
    """interface.md: 44xx are final, all others may be tried again."""

    RESTART = 1012
    TRY_LATER = 1013
    BAD_MESSAGE = 4400
    NOT_AUTHENTICATED = 4401
    FORBIDDEN = 4403
    NO_SUCH_FILE = 4404
    ANOTHER_DOCUMENT = 4409
    TOO_LARGE = 4413
    LOG_FAILED = 4500
    RESYNC = 4501


@dataclass(frozen=True, slots=True)
class Closing:
    code: CloseCode
    reason: str


class Member:
    def __init__(self, session: Session, *, outbox: Outbox | None = None) -> None:
        self.session = session
        self.outbox = Outbox() if outbox is None else outbox
        self.closing: Closing | None = None
        self.owed_difference = False
        """It has fallen behind and has asked for the difference."""
        self.left = False
        self.refused = False
        """It did something wrong: what else it has sent is not looked at."""
        self.sending_since: float | None = None
        """When the frame that is on its way was handed to the socket (`time.monotonic`)."""
        self.abandon: Callable[[], None] = lambda: None
        """Ends the tasks that wait for its socket."""
        self._bell = Bell()
        self._unheard = 0
        self._heard: anyio.Event | None = None

    def send(self, frame: bytes, before: bytes | None = None) -> bool:
        """See Outbox.put. False when its queue had to be dropped."""
        kept = self.outbox.put(frame, before)
        self._bell.ring()
        return kept

    def answer(self, frames: Sequence[bytes], vector: bytes) -> None:
        """See Outbox.answer."""
        self.owed_difference = False
        self.outbox.answer(frames, vector)
        self._bell.ring()

    def close(self, code: CloseCode, reason: str) -> None:
        """The first reason stays."""
        if self.closing is None:
            self.closing = Closing(code, reason)
            self._bell.ring()

    async def ready(self) -> None:
        """Returns when there is something to send, a difference to ask for, or a reason to go."""
        while not (self.outbox or self.closing or self.wants_difference):
            await self._bell.wait()

    @property
    def wants_difference(self) -> bool:
        """Its outbox was dropped, and it has not asked yet."""
        return self.outbox.behind is not None and not self.owed_difference

    def heard_later(self, size: int) -> None:
        self._unheard += size

    def heard(self, size: int) -> None:
        """`size` bytes of it left the inbox."""
        self._unheard -= size
        if self._heard is not None and self._unheard <= INBOX_LIMIT:
            self._heard.set()
            self._heard = None

    async def calm(self) -> None:
        """Returns when not too much of it waits for a turn."""
        while self._unheard > INBOX_LIMIT and self.closing is None:
            self._heard = self._heard or anyio.Event()
            await self._heard.wait()
