"""The contract Pages: a store as the pages of its file, and which of them changed. For a copy elsewhere that follows. PLUG.

What it promises
1. A `Mark` is a moment between two commits. Whoever has the file as it was at one mark, and puts every page of the `Taken`
   after it in its place, has the file as it was at the next.
2. Nothing committed is missed between two takes of one following, whatever the store does meanwhile to keep its files small.
   When that cannot be promised (somebody else has written, a page was lost), `take` raises `Unfollowed`, and only a new `pin`
   begins again.
3. A commit never waits for whoever follows, longer than it takes to copy some megabytes in memory.
4. `resume` goes on where an earlier process stopped, if the file is provably what it left at that mark. It writes nothing.
5. One follower at a time.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from collab.errors import QuireError
from collab.ids import Millis


class Unfollowed(QuireError):
    """The changes since the last mark are not known any more."""

    code = "unfollowed"


class Mark(msgspec.Struct, frozen=True):
    """A moment of the file. `salt`, `frame` and `checksum` are the write-ahead log's, and tell whether a log still holds it;
    `pages` is the length of the file in pages, `at` the time of the newest commit."""

    salt: bytes
    frame: int
    checksum: int
    pages: int
    at: Millis


@dataclass(frozen=True, slots=True)
class Taken:
    """The pages that changed, by number (from 1), as they were at `mark`.

    `whole` is False when one commit was too large for one take: then this is only the first of its pages, `mark` says nothing,
    and the next take goes on. `more`: there is more already, so take again at once."""

    pages: Mapping[int, bytes]
    mark: Mark
    whole: bool
    more: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """What was committed and not taken: since when (by the clock of the store; None: nothing), and bytes of the write-ahead log."""

    since: Millis | None
    bytes: int


class Pinned(Protocol):
    """The store held still at `mark`, beside everything that goes on. To be closed soon: the write-ahead log grows meanwhile."""

    @property
    def taken(self) -> Taken:
        """What was not taken before `mark`; nothing if nobody followed. If there is `more`, nothing is held still yet: keep it,
        close, and pin again."""

    @property
    def mark(self) -> Mark: ...

    async def copy(self, destination: pathlib.Path) -> None:
        """The whole file as of `mark`. (In page 1, counters that only SQLite itself looks at may differ.)"""

    async def aclose(self) -> None: ...


class Pages(Protocol):
    """See the module."""

    @property
    def page_size(self) -> int: ...

    async def resume(self, mark: Mark) -> bool:
        """To be asked once, before anything else. False: the changes since are not known."""

    async def take(self) -> Taken: ...

    async def pin(self) -> Pinned:
        """From here on the store is followed."""

    async def changed(self) -> None:
        """Returns when something is to be taken."""

    def behind(self) -> Behind: ...

    def stop(self) -> None:
        """Nobody follows any more."""
