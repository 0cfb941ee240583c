"""Who ships to a place: one data directory at a time, by compare-and-swap on `backup/OWNER`.

1. Whoever holds it has moved OWNER last. It is moved again every `RENEW` seconds; who finds that another one has moved it is
   `Lost`, and stops.
2. It is taken at once from nobody, from oneself (an earlier process on the same data directory), from who has released it, and
   from whom this data directory was restored from; from anybody else when OWNER has not moved for `LAPSE` seconds by one's own
   clock, so that no two clocks need to agree.
3. Two servers that ship at the same time for a moment tear nothing: each has a generation of its own, and creates only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import msgspec

from collab.errors import NotFound, QuireError, Stale, Unavailable
from collab.ids import Millis
from collab.objects.base import ObjectStore
from web.shipping import layout
from web.shipping.layout import OWNER, Owner

RENEW: Final = 30.0
LAPSE: Final = 90.0
LOOK: Final = 5.0
"""Seconds between two looks at somebody else's."""


class Lost(QuireError):
    """Another server ships here now."""

    code = "lost"


@dataclass(frozen=True, slots=True)
class Me:
    """`holder`: the data directory; `run`: this process; `succeeds`: the holder that it was restored from."""

    holder: str
    run: str
    host: str
    epoch: int
    succeeds: str | None = None


class Lease:
    def __init__(self, objects: ObjectStore, me: Me, *, lapse: float = LAPSE, look: float = LOOK) -> None:
        self._objects = objects
        self._me = me
        self._lapse = lapse
        self._look = look
        self._owner: Owner | None = None
        self._tag = ""
        self._unsure = False
        self._was_lost = False

    @property
    def owner(self) -> Owner | None:
        """As it was moved last by this process; None when it is not ours."""
        return self._owner

    async def acquire(self, wait: Callable[[Owner], None]) -> Owner:
        """Returns when it is ours. `wait` hears who has it meanwhile."""
        seen, since = "", 0.0
        while True:
            found, tag = await self._found()
            if tag != seen:
                seen, since = tag, anyio.current_time()
            if found is None or self._may_take(found) or anyio.current_time() - since >= self._lapse:
                taken = await self._take(found, tag)
                if taken is not None:
                    return taken
                continue
            wait(found)
            await anyio.sleep(min(self._look, max(0.01, since + self._lapse - anyio.current_time())))

    async def renew(self, *, generation: int, number: int, at: Millis, seen_at: Millis) -> None:
        """Says how far we are. `Lost` when it is not ours any more; `Unavailable` when that is not known."""
        assert self._owner is not None
        if self._unsure:
            await self._look_again()
        await self._move(
            msgspec.structs.replace(self._owner, generation=generation, number=number, at=at, seen_at=seen_at)
        )

    async def release(self) -> None:
        """So that whoever comes next need not wait."""
        if self._owner is not None and not self._unsure:
            await self._move(msgspec.structs.replace(self._owner, released=True))
            self._owner = None

    async def _move(self, owner: Owner) -> None:
        owner = msgspec.structs.replace(owner, turn=owner.turn + 1)
        try:
            self._tag = await self._objects.put(OWNER, layout.encode(owner), if_match=self._tag)
        except Stale:
            await self._look_again()
            raise Unavailable("it is not known whether this server still ships: it is asked again") from None
        except Unavailable:
            self._unsure = True
            raise
        self._owner = owner

    async def _look_again(self) -> None:
        found, tag = await self._found()
        if found is None or found.run != self._me.run:
            self._owner, self._was_lost = None, True
            raise Lost(f"another server ships here now: {described(found)}")
        self._owner, self._tag, self._unsure = found, tag, False

    async def _found(self) -> tuple[Owner | None, str]:
        try:
            found = await self._objects.get(OWNER)
        except NotFound:
            return None, ""
        return layout.decode_owner(found.content), found.tag

    def _may_take(self, found: Owner) -> bool:
        mine = found.holder in (self._me.holder, self._me.succeeds) and not self._was_lost
        return found.released or mine or found.run == self._me.run

    async def _take(self, found: Owner | None, tag: str) -> Owner | None:
        """None when somebody else was faster."""
        me = self._me
        owner = Owner(
            turn=found.turn + 1 if found else 1,
            holder=me.holder,
            run=me.run,
            host=me.host,
            generation=found.generation if found else await self._newest_generation(),
            number=found.number if found else 0,
            at=found.at if found else Millis(0),
            seen_at=found.seen_at if found else Millis(0),
            epoch=max(me.epoch, found.epoch if found else 0),
        )
        try:
            if found is None:
                self._tag = await self._objects.put(OWNER, layout.encode(owner), if_none_match=True)
            else:
                self._tag = await self._objects.put(OWNER, layout.encode(owner), if_match=tag)
        except Stale:
            return None
        self._owner, self._unsure, self._was_lost = owner, False, False
        return owner

    async def _newest_generation(self) -> int:
        """What lies here without an OWNER is not overwritten either."""
        return max(
            [named[0] async for key in self._objects.list(layout.COPIES) if (named := layout.copy_of(key))] or [0]
        )


def described(owner: Owner | None) -> str:
    return "nobody" if owner is None else f"{owner.host} (process {owner.run})"
