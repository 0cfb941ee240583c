"""What a webhook has said becomes pulls, in the background.

What it promises
1. A delivery counts once, also after a restart: its id is recorded before it is answered. What a crash loses between that
   answer and the pull, the next look at the branch finds (snapshots.polling): a webhook is a hint.
2. A push of ours is not pulled: where it moved the branch is in the journal, once the round that made it has ended.
3. Pushes of one project that come while it is pulled are one more pull, not many; projects are pulled side by side, a few
   at a time.
4. GitHub may still show a branch where it stood before the push that it tells of. Then it is looked at again, some
   seconds later each time.
5. A repository that was renamed is called by its new name from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import anyio
import anyio.abc
import msgspec
import structlog

from collab.errors import QuireError, Stale
from collab.ids import Millis, ProjectId
from collab.store.base import ANY, Anything, Project, PutRecord, Store
from snapshots import connection, journal
from snapshots.connection import Connection
from snapshots.remotes.github_hook import Hint
from snapshots.snapshotter import Snapshotter

log = structlog.get_logger(__name__)

COLLECTION: Final = "deliveries"
NOBODY: Final = ProjectId("")

KEPT: Final = 7 * 24 * 3600 * 1000
"""Milliseconds for which a delivery is remembered; GitHub sends one again for three days."""
SWEPT_EVERY: Final = 3600.0
SWEPT_AT_ONCE: Final = 500

AT_ONCE: Final = 4
"""Projects that are pulled side by side."""

LOOKS_AFTER: Final = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each look at a branch that GitHub shows as it was before the push."""


class Delivered(msgspec.Struct, frozen=True):
    at: Millis
    said: str


async def nothing() -> None:
    """No App, and no secret of it."""


async def sleep(seconds: float) -> None:
    await anyio.sleep(seconds)


class Listener:
    """`tasks` outlives every delivery; `secret` is that of webhooks which somebody set up by hand, `app_secret` the App's."""

    def __init__(
        self,
        store: Store,
        snapshotter: Snapshotter,
        tasks: anyio.abc.TaskGroup,
        *,
        clock: Callable[[], Millis],
        secret: str | None = None,
        app_secret: Callable[[], Awaitable[str | None]] = nothing,
        pause: Callable[[float], Awaitable[None]] = sleep,
    ) -> None:
        self._store = store
        self._snapshotter = snapshotter
        self._tasks = tasks
        self._clock = clock
        self._secret = secret
        self._app_secret = app_secret
        self._pause = pause
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._waiting: dict[ProjectId, Hint] = {}
        self._busy: set[ProjectId] = set()
        self._done = anyio.Event()

    async def secrets(self) -> list[str]:
        """Those under which webhooks may be signed."""
        return [each for each in (self._secret, await self._app_secret()) if each]

    async def hear(self, delivery: str, hint: Hint) -> int | None:
        """How many projects it is about, which are looked at from now on; None: it was heard before."""
        about = await self._about(hint)
        if not about:
            return 0
        value = msgspec.json.encode(Delivered(self._clock(), hint.said))
        try:
            await self._store.commit(changes=[_record(delivery, value, expect=None)])
        except Stale:
            return None
        for project, there in about.items():
            await self._rename(project, there, hint)
            self._waiting[project] = hint
            if hint.kind == "push":
                self._snapshotter.polling.heard(project)
            if project not in self._busy:
                self._busy.add(project)
                self._tasks.start_soon(self._attend, project)
        return len(about)

    async def idle(self) -> None:
        """Until everything that was heard is done."""
        while self._busy:
            await self._done.wait()

    async def sweep(self) -> None:
        """Forgets old deliveries, now and then, without end."""
        while True:
            await self.forget_old()
            await anyio.sleep(SWEPT_EVERY)

    async def forget_old(self) -> None:
        found = await self._store.records(COLLECTION, NOBODY)
        times = {key: msgspec.json.decode(value, type=Delivered).at for key, value in found.items()}
        old = [key for key, at in times.items() if at + KEPT <= self._clock()]
        for start in range(0, len(old), SWEPT_AT_ONCE):
            batch = old[start : start + SWEPT_AT_ONCE]
            await self._store.commit(changes=[_record(key, None) for key in batch])

    async def _about(self, hint: Hint) -> Mapping[ProjectId, Connection]:
        return {
            project: there
            for project, there in (await connection.connections(self._store)).items()
            if _concerns(hint, there)
        }

    async def _rename(self, project: ProjectId, there: Connection, hint: Hint) -> None:
        name = hint.repositories.get(there.id or 0)
        if hint.kind != "repository" or not name or name == there.repository:
            return
        after = msgspec.structs.replace(there, repository=name)
        try:
            await self._store.commit(changes=[connection.put(project, after, expect=there)])
        except Stale:
            log.info("a project was connected anew while its repository was renamed", project=project)

    async def _attend(self, project: ProjectId) -> None:
        try:
            while (hint := self._waiting.pop(project, None)) is not None:
                await self._follow(project, hint)
        finally:
            self._busy.discard(project)
            self._done.set()
            self._done = anyio.Event()

    async def _follow(self, project: ProjectId, hint: Hint) -> None:
        for seconds in LOOKS_AFTER:
            await self._pause(seconds)
            async with self._limiter:
                found = await self._store.project_by_id(project)
                if found is None or await self._is_ours(found, hint):
                    return
                try:
                    if hint.kind != "push":
                        with suppress(QuireError):  # the pull says the same, and keeps it for the status
                            await self._snapshotter.refresh(found)
                    pulled = await self._snapshotter.pull(found)
                except QuireError as error:
                    # It is in the status, and the schedule tries again.
                    log.info("what a webhook told of could not be pulled", project=found.name, why=error.message)
                    return
                except Exception:
                    log.exception("what a webhook told of could not be pulled", project=found.name)
                    return
            if hint.push is None or pulled.head != hint.push.before:
                return

    async def _is_ours(self, project: Project, hint: Hint) -> bool:
        """Whether the push is one of ours, or one that was pulled already."""
        if hint.push is None or hint.push.after is None:
            return False
        async with self._snapshotter.paused(project.id):
            return journal.known(await journal.branch(self._store, project.id)) == hint.push.after


def _record(key: str, value: bytes | None, *, expect: Anything | None = ANY) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=NOBODY, key=key, value=value, expect=expect)


def _concerns(hint: Hint, there: Connection) -> bool:
    if there.kind != "github":
        return False
    if hint.whole and hint.installation is not None and there.installation == hint.installation:
        return True
    names = {name.lower() for name in hint.repositories.values()}
    known = there.id in hint.repositories if there.id is not None else there.repository.lower() in names
    return known and (hint.push is None or hint.push.branch == there.branch)
