"""What is asked about a push before it counts, and what is answered. PURE."""

from __future__ import annotations

from typing import Final

import msgspec


class PushLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a push may hold. `work` is how many bytes may be unpacked in all, `work_ratio` how many more for each byte of the
    pack."""

    object: int = 100 << 20
    structure: int = 32 << 20
    """Bytes of one commit, tree or tag."""
    objects: int = 2_000_000
    files: int = 200_000
    path: int = 4096
    work: int = 4 << 30
    work_ratio: int = 500


class Asked(msgspec.Struct, frozen=True):
    """One ref: what it is, and what it is to become (raw names; None: nothing)."""

    ref: bytes
    old: bytes | None
    new: bytes | None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` holds the pack as it came (`received`), if one came; the repository's objects are its alternates."""

    repository: str
    folder: str
    refs: list[Asked]
    limits: PushLimits = PushLimits()


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    what: str
    done: int
    total: int


class NewCommit(msgspec.Struct, frozen=True):
    sha: str
    author: str
    subject: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One ref. `forward`: nothing of its history is left out. `count`: how many commits are new in the repository, and
    `newest` the newest of them."""

    ref: bytes
    problem: str = ""
    forward: bool = True
    count: int = 0
    newest: tuple[NewCommit, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag="verdict"):
    """`refused`: why nothing of the pack is taken."""

    refused: str = ""
    objects: int = 0
    refs: tuple[Judged, ...] = ()


RECEIVED: Final = "received"
NEWEST: Final = 20
"""New commits that are named."""
