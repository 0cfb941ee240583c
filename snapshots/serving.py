"""The repositories that Quire serves to git clients itself.

A project whose commits go to a repository of its own here is served from that, and takes pushes. Where they go elsewhere
nothing is served: what lies here would not be what the project's branch holds.
"""

from __future__ import annotations

import pathlib
from typing import Protocol

from collab.store.base import Project
from snapshots.packs.refs import Refs
from snapshots.remotes.base import GitRemote, Remotes


class Repository(GitRemote, Protocol):
    """A GitRemote whose objects lie on this machine."""

    @property
    def path(self) -> pathlib.Path: ...

    async def refs(self) -> Refs: ...


class Repositories(Protocol):
    """One for each project, made when there is none."""

    async def of(self, project: Project) -> Repository: ...


class Serving:
    def __init__(self, repositories: Repositories, remotes: Remotes) -> None:
        self._repositories = repositories
        self._remotes = remotes

    async def repository(self, project: Project) -> Repository:
        return await self._repositories.of(project)

    async def elsewhere(self, project: Project) -> GitRemote | None:
        """Where the project's commits go, when that is not its own repository here."""
        remote = await self._remotes.of(project)
        own = await self._repositories.of(project)
        return None if remote is own or remote.described() == own.described() else remote
