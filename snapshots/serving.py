"""The repositories that git clients see: a project's own, or what it is connected to.

A project whose commits go to its own repository here (to whatever branch, or to a part of it) is served from that, and takes
pushes (snapshots.pushing). Where they go elsewhere, people clone and fetch that branch here all the same, and push there: of
a repository on this machine what it holds is sent, of one behind a network a mirror is kept (snapshots.mirrors). Of somebody
else's repository nothing but the project's branch is shown; where only a part of it belongs to the project, nothing is.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from collab.errors import NotFound
from collab.ids import BlobSha, Path, ProjectId
from collab.store.base import Project
from snapshots.look import Commits
from snapshots.packs.refs import BRANCHES, Refs, Update
from snapshots.packs.verdict import Progress, PushLimits, Verdict
from snapshots.remotes.base import CommitSha, GitRemote, Remotes, TreeEntry
from snapshots.remotes.scoped import ScopedRemote
from snapshots.scope import Scope

EVERYTHING: Final = Scope()


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

    def on(self, branch: str) -> Repository: ...

    async def refs(self) -> Refs: ...

    async def update(self, change: Update) -> bool:
        """One ref, by compare-and-swap: whether it stood where the change says, and was moved."""

    def held(self) -> AbstractAsyncContextManager[object]:
        """Nothing is packed, moved or swept inside."""


class Repositories(Protocol):
    """One for each project, made when there is none."""

    async def of(self, project: Project) -> Repository: ...


class Mirrors(Protocol):
    async def of(self, project: Project, remote: GitRemote) -> Repository:
        """What the branch of `remote` holds now. `Unavailable` when it cannot be had."""

    async def forget(self, project: ProjectId) -> None: ...


@dataclass(frozen=True, slots=True)
class Served:
    """`branch`: the full name of the project's. `scope`: which part of the repository the project is. `elsewhere`: where to push;
    None: here. `only`: nothing is shown but the branch."""

    repository: Repository
    branch: bytes
    scope: Scope = EVERYTHING
    elsewhere: GitRemote | None = None
    only: bool = False

    async def refs(self) -> Refs:
        refs = (await self.repository.refs()).at(self.branch)
        return refs.only(self.branch) if self.only else refs


@dataclass(frozen=True, slots=True)
class Scoped:
    """Commits, as a project sees them that is a part of the repository."""

    inner: Commits
    scope: Scope

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        there = await self.inner.tree(commit)
        return {here: entry for path, entry in there.items() if (here := self.scope.here(path)) is not None}

    def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        return self.inner.blobs(shas)


class Serving:
    """`begin` makes a place for a push."""

    def __init__(
        self,
        repositories: Repositories,
        remotes: Remotes,
        mirrors: Mirrors,
        begin: Callable[[Repository], Awaitable[Incoming]],
    ) -> None:
        self._repositories = repositories
        self._remotes = remotes
        self._mirrors = mirrors
        self._begin = begin

    async def own(self, project: Project) -> Served | None:
        """None: its commits go elsewhere."""
        own = await self._repositories.of(project)
        remote = await self._remotes.of(project)
        inner, scope = (remote.inner, remote.scope) if isinstance(remote, ScopedRemote) else (remote, EVERYTHING)
        if inner.described().get("path") != own.described().get("path"):
            return None
        repository = own if inner.branch == own.branch else own.on(inner.branch)
        return Served(repository, BRANCHES + inner.branch.encode(), scope)

    async def of(self, project: Project) -> Served:
        """`NotFound` when there is nothing that may be shown."""
        if (own := await self.own(project)) is not None:
            return own
        remote = await self._remotes.of(project)
        if isinstance(remote, ScopedRemote):
            raise NotFound(
                f"{project.name} is a part of {place(remote)}, which is not shown whole; "
                f"whoever may see all of it can clone it there: {remote.clone_command()}"
            )
        branch = BRANCHES + remote.branch.encode()
        if remote.hosted is not None:
            return Served(await self._mirrors.of(project, remote), branch, elsewhere=remote)
        return Served(_on_disk(remote), branch, elsewhere=remote, only=True)

    async def incoming(self, project: Project) -> Incoming:
        """A push begins."""
        return await self._begin(await self._repositories.of(project))

    async def forget(self, project: ProjectId) -> None:
        await self._mirrors.forget(project)


def _on_disk(remote: GitRemote) -> Repository:
    # What has no host lies on this machine (snapshots.remotes.neighbour).
    return remote  # type: ignore[return-value]


def place(remote: GitRemote) -> str:
    """For people."""
    return f"the branch {remote.branch} of {remote.described()['repository']}"
