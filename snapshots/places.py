"""The contract Places: where a project's git may be, and the remote that it has. PLUG.

1. `of` asks nobody and does not fail because a remote is out of reach: it is asked at every round, and for every status.
2. `reach` asks, and changes nothing anywhere: what is not there, cannot be read or takes no commits by what its host says is an
   error with plain words (`RemoteGone`, `RemoteForbidden`, `RemoteUnreachable`, `RemotePaused`, `Invalid`).
3. `check_writable` finds out whether a commit could be made, and leaves nothing that anybody sees.
4. A credential is taken from what is wanted, else what the project has, else the server's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from collab.store.base import Project
from snapshots.connection import Connection, Kind
from snapshots.remotes.base import CommitSha, GitRemote, Remotes
from snapshots.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants a project to be connected to. `repository` as in `Connection`; no `branch`: the repository's
    default one."""

    kind: Kind
    repository: str
    branch: str | None = None
    scope: Scope = Scope()
    pull_request: bool = False
    token: str | None = field(default=None, repr=False)
    installation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """It is there. `connection`: what will be recorded (its `at` and `by` are still to be filled in); None: the project's own
    repository, as it is without a connection."""

    connection: Connection | None
    remote: GitRemote
    scope: Scope
    head: CommitSha | None
    same_repository: bool
    """It is in the repository that the project is connected to now."""
    default: str
    """The repository's own branch."""
    begun: bool
    """The repository has a branch."""
    token: str | None = field(default=None, repr=False)
    """To be kept for the project."""


class Places(Remotes, Protocol):
    async def reach(self, project: Project, wanted: Wanted, known: Connection | None) -> Reached:
        """`known`: what the project is connected to now."""

    async def check_writable(self, reached: Reached) -> None:
        """`RemoteForbidden` when no commit can be made there."""

    async def installation_of(self, repository: str) -> int | None:
        """Of the GitHub App, through which `owner/name` can be reached; None where the server has a token of its own, or no
        App."""

    async def is_own(self, project: Project, repository: str) -> bool:
        """Whether that is the project's own repository, in the data directory."""
