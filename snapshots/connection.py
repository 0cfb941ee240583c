"""Where a project's git is: records of the store (collection "connections").

A project without a connection has the local repository of the data directory. Which credential opens a connection lies
apart (snapshots.secrets). A connection is changed by `snapshots.connecting` alone, because what the branch holds (the bases)
changes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import ANY, Anything, PutRecord, Store

COLLECTION: Final = "connections"
KEY: Final = "remote"

TOKEN: Final = "github"
"""The name of a project's own token among its credentials (snapshots.secrets)."""

Kind = Literal["github", "git"]


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`at` and `by`: when it was made, and by whom."""

    kind: Kind
    repository: str
    """`owner/name` on GitHub; else the absolute path of a repository on this machine, "" for the project's own."""
    branch: str
    folder: str = ""
    """Of the repository, as the project sees it; "" is all of it. No slash at either end."""
    patterns: tuple[str, ...] = ()
    """Which files below `folder` belong to the project, as in a .gitignore; none: every one."""
    id: int | None = None
    """GitHub's id of the repository, which stays when it is renamed."""
    clone: str = ""
    """The address that git knows the repository by, on GitHub."""
    installation: int | None = None
    """Of the GitHub App; None: a token."""
    pull_request: bool = False
    """Automatic commits go to a branch of their own, with one pull request that is kept up to date."""
    at: Millis
    by: ActorId


async def connection(store: Store, project: ProjectId) -> Connection | None:
    """None: the local repository of the data directory."""
    found = await store.record(COLLECTION, project, KEY)
    return None if found is None else decode(found)


async def connections(store: Store) -> Mapping[ProjectId, Connection]:
    found = await store.record_everywhere(COLLECTION, KEY)
    return {project: decode(value) for project, value in found.items()}


def put(project: ProjectId, connection: Connection | None, *, expect: Connection | Anything | None = ANY) -> PutRecord:
    """`expect` None: there must be none yet."""
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=KEY,
        value=None if connection is None else encode(connection),
        expect=encode(expect) if isinstance(expect, Connection) else expect,
    )


def encode(connection: Connection) -> bytes:
    return msgspec.json.encode(connection)


def decode(value: bytes) -> Connection:
    return msgspec.json.decode(value, type=Connection)
