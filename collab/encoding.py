"""A whole document on its way to whoever has nothing yet: encoded once, for everybody who joins. PURE.

A peer takes its first SyncStep2 for the whole (y-websocket tells its `synced` then). So when there are updates since, the
encoding goes as an Update before them, and an empty SyncStep2 comes last.
"""

from __future__ import annotations

from typing import Final

from collab import protocol

TAIL_BYTES: Final = 256_000
"""Updates kept beside a cached encoding, before it is made anew."""

NOTHING_MORE: Final = protocol.sync_step2(b"\x00\x00")
"""An update of no structs and no deletions."""


class Encoding:
    """`used` is when somebody joined with it last (seconds of any clock that only the caller knows)."""

    def __init__(self, state: bytes, now: float) -> None:
        self._state = state
        self._tail: list[bytes] = []
        self._whole = [protocol.sync_step2(state)]
        self._tail_bytes = 0
        self.used = now

    @property
    def size(self) -> int:
        return 2 * len(self._state) + self._tail_bytes

    def add(self, frame: bytes) -> bool:
        """An update that was told. False when too many were: it is time for another encoding."""
        if not self._tail:
            self._whole = [protocol.update(self._state)]
        self._tail.append(frame)
        self._tail_bytes += len(frame)
        return self._tail_bytes <= TAIL_BYTES

    def frames(self, now: float) -> list[bytes]:
        self.used = now
        return [*self._whole, *self._tail, NOTHING_MORE] if self._tail else self._whole
