"""The remotes of all projects: their own repositories in the data directory, and those that they are connected to. ADAPTER.

A connection is read at every `of`, so that a change counts from the next round on; the remote itself stays the same as long as
the connection does, because it knows what it pushed lately. GitHub's adapters are loaded when the first connection needs
them.
"""

from __future__ import annotations

import importlib
import os
import pathlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
import msgspec
from dulwich.refs import Ref, check_ref_format

from collab.errors import Invalid, QuireError, Stale
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import Project, Store
from snapshots import connection as connections
from snapshots import registration, secrets
from snapshots.connection import Connection
from snapshots.places import Reached, Wanted
from snapshots.remotes.base import GitRemote
from snapshots.remotes.local import LocalRemote, LocalRemotes
from snapshots.remotes.neighbour import NeighbourRemote, check_writable, locate
from snapshots.remotes.refusals import RemoteForbidden
from snapshots.remotes.scoped import ScopedRemote
from snapshots.scope import Scope
from snapshots.secrets import Sealer

if TYPE_CHECKING:
    from snapshots.remotes.github_hub import Credential, Hub
    from snapshots.remotes.github_hubs import Hubs
    from snapshots.remotes.github_repository import Repository

_ON_GITHUB: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?/[A-Za-z0-9._-]+")

NOBODY: Final = ActorId("")


@dataclass(slots=True)
class _Open:
    """What was opened, for which record."""

    record: bytes
    remote: GitRemote
    repository: Repository | None = None
    local: pathlib.Path | None = None


class ConnectedRemotes:
    """See `snapshots.places`. `token`: the server's own; `make_hub` is for tests."""

    def __init__(
        self,
        local: LocalRemotes,
        store: Store,
        sealer: Sealer,
        *,
        clock: Callable[[], Millis],
        api: str,
        token: str | None = None,
        make_hub: Callable[[Credential], Hub] | None = None,
    ) -> None:
        self.local = local
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._api = api
        self._token = token
        self._make_hub = make_hub
        self._hubs: Hubs | None = None
        self._open: dict[ProjectId, _Open] = {}
        self._opening = anyio.Lock()

    # -- the contract Remotes ----------------------------------------------------------------------------------------

    async def of(self, project: Project) -> GitRemote:
        record = await self._store.record(connections.COLLECTION, project.id, connections.KEY)
        if record is None:
            self._open.pop(project.id, None)
            return await self.local.of(project)
        found = self._open.get(project.id)
        if found is None or not await self._stands(project, found, record):
            async with self._opening:
                found = self._open.get(project.id)
                if found is None or not await self._stands(project, found, record):
                    found = self._open[project.id] = await self._opened(project, record)
        await self._keep_name(project, found)
        return found.remote

    def incoming(self, job: str) -> pathlib.Path:
        return self.local.incoming(job)

    async def adopt(self, project: Project, job: str) -> GitRemote:
        return await self.local.adopt(project, job)

    async def discard(self, job: str) -> None:
        await self.local.discard(job)

    async def remove(self, project: ProjectId) -> None:
        """The repository in the data directory; what is elsewhere stays."""
        self._open.pop(project, None)
        await self.local.remove(project)

    async def aclose(self) -> None:
        for each in self._open.values():
            await each.remote.aclose()
        await self.local.aclose()

    # -- opening what is recorded ------------------------------------------------------------------------------------

    async def _opened(self, project: Project, record: bytes) -> _Open:
        known = connections.decode(record)
        scope = Scope(known.folder, known.patterns)
        if known.kind == "git":
            own = await self.local.of(project) if not known.repository else None
            inner = own.on(known.branch) if own is not None else await self._neighbour(known)
            return _Open(record, _scoped(inner, scope), local=own.path if own is not None else None)
        repository = await self._recorded(project, known)
        from snapshots.remotes.github import GitHubRemote

        return _Open(record, _scoped(GitHubRemote(repository, known.branch), scope), repository)

    async def _neighbour(self, known: Connection) -> NeighbourRemote:
        return await anyio.to_thread.run_sync(NeighbourRemote, pathlib.Path(known.repository), known.branch)

    async def _stands(self, project: Project, found: _Open, record: bytes) -> bool:
        """The connection is what it was. The project's own repository goes along when the project is renamed."""
        if found.record != record:
            return False
        return found.local is None or found.local == (await self.local.of(project)).path

    async def _recorded(self, project: Project, known: Connection) -> Repository:
        """As it was when it was recorded; nobody is asked."""
        hub = await self._hub(project, known.installation)
        from snapshots.remotes.github_repository import Facts, Repository

        facts = Facts(
            id=known.id or 0,
            name=known.repository,
            default_branch=known.branch,
            clone_url=known.clone,
            archived=False,
            may_push=None,
        )
        return Repository(hub, facts)

    async def _keep_name(self, project: Project, found: _Open) -> None:
        """A repository that was renamed, or went to another owner, was followed: the record says so from now on."""
        if found.repository is None:
            return
        facts = found.repository.facts
        known = connections.decode(found.record)
        if (facts.name, facts.clone_url) == (known.repository, known.clone):
            return
        renamed = msgspec.structs.replace(known, repository=facts.name, clone=facts.clone_url)
        with suppress(Stale):  # somebody connects it anew just now
            await self._store.commit(changes=[connections.put(project.id, renamed, expect=known)])
            found.record = connections.encode(renamed)

    # -- credentials -------------------------------------------------------------------------------------------------

    async def _hub(self, project: Project, installation: int | None, token: str | None = None) -> Hub:
        hubs = await self._all_hubs()
        try:
            if token is not None:
                return hubs.of_token(token)
            if installation is not None:
                return self._installation(hubs, installation)
            kept = await secrets.secret(self._store, self._sealer, project.id, connections.TOKEN) or self._token
        except QuireError as lost:
            return hubs.broken(lost)
        if kept is None:
            return hubs.broken(_no_credential())
        return hubs.of_token(kept)

    async def way(self, installation: int | None) -> Hub:
        """An installation's way to GitHub, or that of the server's own token."""
        hubs = await self._all_hubs()
        if installation is not None:
            return self._installation(hubs, installation)
        return hubs.of_token(self._token) if self._token is not None else hubs.broken(_no_credential())

    def _installation(self, hubs: Hubs, number: int) -> Hub:
        from snapshots.remotes.github_app import app_credential

        def credential() -> Credential:
            return app_credential(self._store, self._sealer, number, clock=self._clock, api=self._api)

        return hubs.of(f"installation {number}", credential)

    async def _all_hubs(self) -> Hubs:
        if self._hubs is None:
            # It takes a second, which belongs to nobody's socket.
            await anyio.to_thread.run_sync(importlib.import_module, "snapshots.remotes.github")
            from snapshots.remotes.github_hub import Hub
            from snapshots.remotes.github_hubs import Hubs

            make = self._make_hub or (lambda credential: Hub(credential, clock=self._clock, api=self._api))
            self._hubs = self._hubs or Hubs(make)
        return self._hubs

    # -- what somebody wants -----------------------------------------------------------------------------------------

    async def installation_of(self, repository: str) -> int | None:
        if self._token is not None or await registration.registration(self._store) is None:
            return None
        from snapshots.remotes.github_app import own_app

        app = await own_app(self._store, self._sealer, clock=self._clock, api=self._api)
        found = await app.installation_of(repository)
        return found.id if found is not None else None

    async def is_own(self, project: Project, repository: str) -> bool:
        return not repository or _real(repository) == _real((await self.local.of(project)).path)

    async def reach(self, project: Project, wanted: Wanted, known: Connection | None) -> Reached:
        if wanted.branch is not None and not check_ref_format(Ref(b"refs/heads/" + wanted.branch.encode())):
            raise Invalid(f"{wanted.branch!r} is no name for a branch", field="branch")
        if wanted.kind == "github":
            return await self._reach_github(project, wanted, known)
        if wanted.pull_request:
            raise Invalid("pull requests are made on GitHub alone", field="pull_request")
        if wanted.token is not None or wanted.installation is not None:
            raise Invalid("a repository on this machine takes no credential", field="token")
        if await self.is_own(project, wanted.repository):
            return await self._reach_own(project, wanted, known)
        return await self._reach_neighbour(wanted, known)

    async def check_writable(self, reached: Reached) -> None:
        inner = reached.remote.inner if isinstance(reached.remote, ScopedRemote) else reached.remote
        if isinstance(inner, NeighbourRemote):
            located = await anyio.to_thread.run_sync(locate, inner.shown)
            await anyio.to_thread.run_sync(check_writable, located, inner.branch)
        elif not isinstance(inner, LocalRemote):
            from snapshots.remotes.github import GitHubRemote
            from snapshots.remotes.github_repository import may_write

            assert isinstance(inner, GitHubRemote)  # there is no other kind
            await may_write(inner.repository)

    async def _reach_own(self, project: Project, wanted: Wanted, known: Connection | None) -> Reached:
        own = await self.local.of(project)
        branch = wanted.branch or own.branch
        plain = branch == own.branch and wanted.scope.whole
        inner = own if branch == own.branch else own.on(branch)
        head = await inner.head()  # which makes the repository, if it is lost
        located = await anyio.to_thread.run_sync(locate, own.path.absolute())
        return Reached(
            connection=None if plain else _connection(wanted, "", branch),
            remote=_scoped(inner, wanted.scope),
            scope=wanted.scope,
            head=head,
            same_repository=known is None or (known.kind == "git" and not known.repository),
            default=own.branch,
            begun=bool(located.branches),
        )

    async def _reach_neighbour(self, wanted: Wanted, known: Connection | None) -> Reached:
        located = await anyio.to_thread.run_sync(locate, pathlib.Path(wanted.repository))
        shown = str(located.shown)
        made = _connection(wanted, shown, wanted.branch or located.default)
        inner = await self._neighbour(made)
        return Reached(
            connection=made,
            remote=_scoped(inner, wanted.scope),
            scope=wanted.scope,
            head=await inner.head(),
            same_repository=known is not None and (known.kind, known.repository) == ("git", shown),
            default=located.default,
            begun=bool(located.branches),
        )

    async def _reach_github(self, project: Project, wanted: Wanted, known: Connection | None) -> Reached:
        if not _ON_GITHUB.fullmatch(wanted.repository) or wanted.repository.endswith((".git", "/.", "/..")):
            raise Invalid(
                f"{wanted.repository!r} is no repository on GitHub: give it as owner/name", field="repository"
            )
        hub = await self._hub(project, wanted.installation, wanted.token)
        from snapshots.remotes.github import GitHubRemote
        from snapshots.remotes.github_repository import check, find

        repository = await find(hub, wanted.repository)
        facts = repository.facts
        check(facts)
        inner = GitHubRemote(repository, wanted.branch or facts.default_branch)
        head = await inner.head()
        begun = head is not None or await inner.on(facts.default_branch).head() is not None
        made = msgspec.structs.replace(
            _connection(wanted, facts.name, inner.branch),
            id=facts.id,
            clone=facts.clone_url,
            installation=wanted.installation,
            pull_request=wanted.pull_request,
        )
        return Reached(
            connection=made,
            remote=_scoped(inner, wanted.scope),
            scope=wanted.scope,
            head=head,
            same_repository=known is not None and known.kind == "github" and known.id == facts.id,
            default=facts.default_branch,
            begun=begun,
            token=wanted.token,
        )


def _scoped(inner: GitRemote, scope: Scope) -> GitRemote:
    return inner if scope.whole else ScopedRemote(inner, scope)


def _connection(wanted: Wanted, repository: str, branch: str) -> Connection:
    return Connection(
        kind=wanted.kind,
        repository=repository,
        branch=branch,
        folder=wanted.scope.folder,
        patterns=wanted.scope.patterns,
        at=Millis(0),
        by=NOBODY,
    )


def _real(path: str | pathlib.Path) -> str:
    return os.path.realpath(path)


def _no_credential() -> RemoteForbidden:
    return RemoteForbidden(
        "There is no token for GitHub: connect with one, or set QUIRE_GITHUB_TOKEN for the server.",
        code="remote_unauthorized",
    )
