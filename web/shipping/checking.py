"""Whether the backup can really be restored: tried by itself, every week or so, and when somebody asks.

The newest state is restored into a scratch folder and verified there, in a process of its own (web.shipping.worker). How it went is
recorded in the store, logged, counted and shown, until the next time.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
import msgspec
import structlog
from anyio.abc import ByteReceiveStream

from collab.errors import QuireError, Unavailable
from collab.ids import Millis, ProjectId
from collab.store.base import PutRecord, Store
from snapshots import child

log = structlog.get_logger(__name__)

WORKER: Final = "web.shipping.worker"
COLLECTION: Final = "backup"
KEY: Final = "check"
NOBODY: Final = ProjectId("")
FIRST_AFTER: Final = 3600.0
"""Seconds after the start until the first check ever, if they are made less often than that."""
AGAIN_AFTER: Final = 3600.0
"""Seconds after a check that could not be made, or found something, until the next one."""
SHOWN: Final = 20
"""Findings that are kept in words."""


class Request(msgspec.Struct, frozen=True):
    """`settings`: as the environment would have them; `scratch`: a folder to restore in."""

    settings: dict[str, str]
    scratch: str


class Said(msgspec.Struct, frozen=True, tag="said"):
    """How far it is."""

    phase: str
    done: int
    total: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome", omit_defaults=True):
    """What was restored (`moment`: the time of the newest commit in it), and what `verify` found there; or why nothing could be
    restored. `at` and `seconds`: when it was tried, and how long it took."""

    at: Millis = Millis(0)
    seconds: float = 0.0
    generation: int = 0
    segment: int = 0
    moment: Millis = Millis(0)
    documents: int = 0
    findings: int = 0
    first: tuple[str, ...] = ()
    error: str = ""

    @property
    def good(self) -> bool:
        return not self.error and not self.findings


Tell = Callable[[Said], None]


class Checker:
    """`every`: seconds; 0: only when somebody asks."""

    def __init__(
        self,
        store: Store,
        settings: dict[str, str],
        scratch: pathlib.Path,
        *,
        every: float,
        clock: Callable[[], Millis],
    ) -> None:
        self._store = store
        self._request = msgspec.json.encode(Request(settings, str(scratch)))
        self._every = every
        self._clock = clock
        self._lock = anyio.Lock()
        self.last: Outcome | None = None

    async def run(self) -> None:
        """For ever, by schedule."""
        found = await self._store.record(COLLECTION, NOBODY, KEY)
        try:
            self.last = None if found is None else msgspec.json.decode(found, type=Outcome)
        except msgspec.DecodeError:
            self.last = None
        while self._every:
            await anyio.sleep(self._wait())
            try:
                await self.check(lambda said: None)
            except QuireError as error:
                log.warning("the backup could not be checked", why=error.message)
                await anyio.sleep(AGAIN_AFTER)

    async def check(self, tell: Tell) -> Outcome:
        """Now. One at a time."""
        async with self._lock:
            began, at = anyio.current_time(), self._clock()
            outcome = await self._tried(tell)
            outcome = msgspec.structs.replace(outcome, at=at, seconds=round(anyio.current_time() - began, 3))
            self.last = outcome
            value = msgspec.json.encode(outcome)
            await self._store.commit(changes=[PutRecord(collection=COLLECTION, project=NOBODY, key=KEY, value=value)])
        if outcome.good:
            log.info("the backup was restored and verified", documents=outcome.documents, seconds=outcome.seconds)
        else:
            log.error(
                "the backup is not good", why=outcome.error, findings=outcome.findings, first=list(outcome.first[:3])
            )
        return outcome

    async def _tried(self, tell: Tell) -> Outcome:
        async with child.running(WORKER, self._request) as process:
            async for said in _lines(process):
                if isinstance(said, Outcome):
                    return said
                tell(said)
            raise Unavailable(f"the process that checks the backup ended with status {await process.wait()}")

    def _wait(self) -> float:
        if self.last is None:
            return min(self._every, FIRST_AFTER)
        every = self._every if self.last.good else min(self._every, AGAIN_AFTER)
        return max(1.0, self.last.at / 1000 + every - self._clock() / 1000)


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[Said | Outcome]:
    decoder = msgspec.json.Decoder(Said | Outcome)
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield decoder.decode(line)
