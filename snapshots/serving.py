"""The repositories that Quire serves to git clients itself.

A project whose commits go to a repository of its own here is served from that, and takes pushes (snapshots.pushing). Where
they go elsewhere nothing is served: what lies here would not be what the project's branch holds.
"""

from __future__ import annotations

import pathlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from collab.store.base import Project
from snapshots.look import Commits
from snapshots.packs.refs import Refs, Update
from snapshots.packs.verdict import Progress, PushLimits, Verdict
from snapshots.remotes.base import GitRemote, Remotes


class Incoming(Commits, Protocol):
    """A push that does not count yet (snapshots.remotes.quarantine)."""

    async def write(self, piece: bytes) -> None: ...

    async def judge(
        self, updates: Iterable[Update], limits: PushLimits, told: Callable[[Progress], object]
    ) -> Verdict: ...

    async def keep(self) -> None: ...

    async def aclose(self) -> None: ...


class Repository(GitRemote, Protocol):
    """A GitRemote whose objects lie on this machine."""

    @property
    def path(self) -> pathlib.Path: ...

    async def refs(self) -> Refs: ...

    async def update(self, change: Update) -> bool:
        """One ref, by compare-and-swap: whether it stood where the change says, and was moved."""

    def held(self) -> AbstractAsyncContextManager[object]:
        """Nothing is packed, moved or swept inside."""


class Serving:
    """`own` gives a project's own repository, on the branch to which its commits go; `begin` makes a place for a push."""

    def __init__(
        self,
        own: Callable[[Project], Awaitable[Repository]],
        remotes: Remotes,
        begin: Callable[[Repository], Awaitable[Incoming]],
    ) -> None:
        self._own = own
        self._remotes = remotes
        self._begin = begin

    async def repository(self, project: Project) -> Repository:
        return await self._own(project)

    async def incoming(self, project: Project) -> Incoming:
        """A push begins."""
        return await self._begin(await self.repository(project))

    async def elsewhere(self, project: Project) -> GitRemote | None:
        """Where the project's commits go, when that is not its own repository here."""
        remote = await self._remotes.of(project)
        own = await self._own(project)
        return None if remote is own or remote.described() == own.described() else remote
