"""Files that are not text, from the folder where they lie into the backup, where they do not lie there anyway.

They are named by their content and never changed, so each is brought once. What is new is told by the folder (`noticed`); what an
earlier process had not brought is found at the start, by comparing both. Edits do not wait for them: a large file may be in the backup
some seconds after the edit that names it.
"""

from __future__ import annotations

import pathlib
from collections import deque
from typing import Final

import anyio
import structlog
from anyio import from_thread, to_thread

from collab.errors import NotFound, QuireError
from collab.objects.base import ObjectStore

log = structlog.get_logger(__name__)

OBJECTS: Final = "objects/"
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
PASSING: Final = "object"
"""The file on its way, in the folder of the spool."""


class Carrier:
    """From `source` to `place`, there below `prefix`."""

    def __init__(self, source: ObjectStore, place: ObjectStore, prefix: str, folder: pathlib.Path) -> None:
        self._source = source
        self._place = place
        self._prefix = prefix
        self._folder = folder
        self._noticed: deque[str] = deque()
        self._bell = anyio.Event()
        self._compared = False
        self.failure = ""

    @property
    def waiting(self) -> int:
        """How many are known to wait."""
        return len(self._noticed)

    def noticed(self, key: str) -> None:
        """Something was put into `source`; called in a thread of the event loop's."""
        if key.startswith(OBJECTS):
            self._noticed.append(key)
            from_thread.run_sync(self._ring)

    async def run(self) -> None:
        failures = 0
        while True:
            bell = self._bell = anyio.Event()
            try:
                await self.bring()
                failures, self.failure = 0, ""
            except QuireError as error:
                failures += 1
                if not self.failure:
                    log.warning("files cannot be brought to the backup", why=error.message)
                self.failure = f"files that are not text wait: {error.message}"
                await anyio.sleep(min(FIRST_WAIT * 2.0 ** min(failures, 10), LONGEST_WAIT))
                continue
            if not self._noticed:
                await bell.wait()

    async def bring(self) -> None:
        """All that are known to wait."""
        if not self._compared:
            there = {key.removeprefix(self._prefix) async for key in self._place.list(self._prefix)}
            here = [key async for key in self._source.list(OBJECTS)]
            self._noticed.extend(key for key in here if key.removeprefix(OBJECTS) not in there)
            self._compared = True
        while self._noticed:
            await self._bring(self._noticed[0])
            self._noticed.popleft()

    async def _bring(self, key: str) -> None:
        passing = self._folder / PASSING
        try:
            async with self._source.read(key) as reading, await anyio.open_file(passing, "wb") as file:
                async for chunk in reading.chunks:
                    await file.write(chunk)
        except NotFound:  # deleted meanwhile: nothing names it
            return
        await self._place.put_file(self._prefix + key.removeprefix(OBJECTS), passing)
        await to_thread.run_sync(passing.unlink)

    def _ring(self) -> None:
        self._bell.set()
