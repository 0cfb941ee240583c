"""What one peer is still to be sent, bounded in bytes. PURE.

A slow reader costs the others nothing and the server at most `limit` bytes: when its queue would grow beyond that, the
queue is dropped, and the peer is owed one difference from the state that it had been sent last (`behind`). Updates may
be dropped like that, because a difference brings them all; everything else (answers, presence, `saved`) is dropped with
them: presence and `saved` are told again, answers are part of the difference.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LIMIT: Final = 4_000_000
"""Bytes queued for one peer. One frame alone may be larger: a document is sent whole."""

EMPTY_VECTOR: Final = b"\x00"


class Outbox:
    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._queue: deque[tuple[bytes, bytes | None]] = deque()
        self._bytes = 0
        self.behind: bytes | None = None
        """The state vector from which the peer must be brought up to date, once its queue was dropped."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def waiting(self) -> int:
        """Bytes in the queue."""
        return self._bytes

    def put(self, frame: bytes, before: bytes | None = None) -> bool:
        """`before` is the document's state vector before what the frame tells; None: it tells nothing of the text.
        False when the queue was dropped."""
        if self.behind is not None:
            return True
        if self._queue and self._bytes + len(frame) > self._limit:
            vectors = (vector for _, vector in (*self._queue, (frame, before)) if vector is not None)
            self.behind = next(vectors, EMPTY_VECTOR)
            self._queue.clear()
            self._bytes = 0
            return False
        self._queue.append((frame, before))
        self._bytes += len(frame)
        return True

    def take(self) -> bytes:
        frame, _ = self._queue.popleft()
        self._bytes -= len(frame)
        return frame

    def resume(self, difference: bytes) -> None:
        """The difference from `behind` goes first."""
        self._queue.append((difference, self.behind))
        self._bytes += len(difference)
        self.behind = None
