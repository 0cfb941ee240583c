"""What the rooms tell about themselves, for whoever counts (web/observability.py does)."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    def committed(self, seconds: float, entries: int, size: int) -> None:
        """A room's entries are durable; `size` bytes, after waiting `seconds`."""

    def broadcast(self, seconds: float, frames: int, size: int) -> None:
        """One turn was put into `frames` outboxes, `size` bytes in all."""

    def dropped(self) -> None:
        """A member's outbox overflowed and was dropped; it is owed a difference."""

    def refused(self, code: int) -> None:
        """A member did something wrong and is closed with `code`."""

    def unknown(self, kind: int) -> None:
        """A message of a type that nobody knows was ignored."""

    def broke(self, error: Exception) -> None:
        """A room was given up because of a fault of ours. Its members come back to a fresh one."""


class Unobserved:
    """Counts nothing."""

    def committed(self, seconds: float, entries: int, size: int) -> None: ...

    def broadcast(self, seconds: float, frames: int, size: int) -> None: ...

    def dropped(self) -> None: ...

    def refused(self, code: int) -> None: ...

    def unknown(self, kind: int) -> None: ...

    def broke(self, error: Exception) -> None:
        raise error
