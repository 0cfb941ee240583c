"""What one peer is still to be sent, bounded in bytes. PURE.

A slow reader costs the others nothing and the server at most `limit` bytes and one answer: when the queue would grow
beyond that, what was queued is dropped, and the peer is owed one difference from the state that it had been sent last
(`behind`). Updates may be dropped like that, because a difference brings them all; presence and `saved`, dropped with
them, are told again then.

An answer (a difference that the peer asked for, or is owed) is not counted and never dropped, or else a peer could ask
for a large document for ever and never get it; but there is one at a time: who asks again before it has left is owed the
second one afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LIMIT: Final = 4_000_000
"""Bytes queued for one peer, answers not counted."""

EMPTY_VECTOR: Final = b"\x00"


@dataclass(frozen=True, slots=True)
class _Queued:
    frame: bytes
    before: bytes | None
    answer: bool = False


class Outbox:
    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._queue: deque[_Queued] = deque()
        self._bytes = 0
        self._answers = 0
        self.behind: bytes | None = None
        """The state vector from which the peer must be brought up to date: its queue was dropped."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def answering(self) -> bool:
        """An answer has not left yet."""
        return self._answers > 0

    @property
    def waiting(self) -> int:
        """Bytes in the queue that count."""
        return self._bytes

    def put(self, frame: bytes, before: bytes | None = None) -> bool:
        """`before` is the document's state vector before what the frame tells; None: it tells nothing of the text.
        False when the queue was dropped."""
        if self.behind is not None:
            return True
        if self._bytes and self._bytes + len(frame) > self._limit:
            self._drop(before)
            return False
        self._queue.append(_Queued(frame, before))
        self._bytes += len(frame)
        return True

    def _drop(self, before: bytes | None) -> None:
        vectors = [each.before for each in self._queue if not each.answer] + [before]
        self.behind = next((vector for vector in vectors if vector is not None), EMPTY_VECTOR)
        self._queue = deque(each for each in self._queue if each.answer)
        self._bytes = 0

    def answer(self, frames: Sequence[bytes], vector: bytes) -> None:
        """The frames bring the peer from `vector` to where the document stands."""
        if self._answers:
            self.behind = vector
            return
        self.behind = None
        self._queue.extend(_Queued(frame, None, answer=True) for frame in frames)
        self._answers += len(frames)

    def take(self) -> bytes:
        queued = self._queue.popleft()
        if queued.answer:
            self._answers -= 1
        else:
            self._bytes -= len(queued.frame)
        return queued.frame
