"""What pulls and conflicts tell about themselves, for whoever counts (web/observability.py does)."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    def pulled(self, state: str, seconds: float, merged: int) -> None:
        """A pull ended: `done`, `nothing`, `conflicts` (there are some open), `refused` (a push that asked first) or `failed`;
        `merged` files changed here."""

    def conflict(self, kind: str) -> None:
        """A conflict was found."""

    def settled(self, kind: str, taken: str) -> None:
        """A conflict ended: ours, theirs, both, text, branch, itself, or `gone` (the branch moved on)."""


class Unobserved:
    """Counts nothing."""

    def pulled(self, state: str, seconds: float, merged: int) -> None: ...

    def conflict(self, kind: str) -> None: ...

    def settled(self, kind: str, taken: str) -> None: ...
