"""What is kept about tokens, invitations and sessions: records named by the SHA-256 of their secret.

The secret itself is shown once and kept nowhere. Whoever reads the store learns no secret, and looking one up by its
hash takes the same time whether or not it is nearly right.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, Literal, TypeVar

import msgspec

from collab.errors import NotFound
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import PutRecord, Store
from web.roles import ProjectRole

INSTALLATION: Final = ProjectId("")

GrantKind = Literal["token", "invite", "session"]
COLLECTIONS: Final[dict[GrantKind, str]] = {"token": "tokens", "invite": "invites", "session": "sessions"}


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`agent` None: it acts as `created_by`. `actor` is whoever it acts as."""

    id: str
    role: ProjectRole
    actor: ActorId
    created_at: Millis
    created_by: ActorId
    agent: str | None = None
    name: str | None = None
    """A note of its maker's."""
    paths: tuple[str, ...] = ()
    """Patterns of the only paths that it reaches; none: all."""
    expires_at: Millis | None = None


class Invite(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whoever opens the link joins with `role`; his access ends when the invitation does."""

    id: str
    role: ProjectRole
    created_at: Millis
    created_by: ActorId
    expires_at: Millis | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A browser that has logged in: who it acts as, and the grants that it holds (`token:...`, `invite:...`, `root:...`)."""

    actor: ActorId
    holds: tuple[str, ...]
    created_at: Millis
    expires_at: Millis


G = TypeVar("G", Token, Invite)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def fresh_token() -> str:
    return "qp_" + secrets.token_urlsafe(30)


def fresh_secret() -> str:
    return secrets.token_urlsafe(24)


def fresh_id() -> str:
    return secrets.token_hex(6)


def put(kind: GrantKind, project: ProjectId, key: str, grant: Token | Invite | Session | None) -> PutRecord:
    value = None if grant is None else msgspec.json.encode(grant)
    return PutRecord(collection=COLLECTIONS[kind], project=project, key=key, value=value)


async def listed(store: Store, kind: GrantKind, project: ProjectId, shape: type[G]) -> dict[str, G]:
    """The project's grants of one kind, by their key, oldest first."""
    found = await store.records(COLLECTIONS[kind], project)
    grants = {key: msgspec.json.decode(value, type=shape) for key, value in found.items()}
    return dict(sorted(grants.items(), key=lambda item: (item[1].created_at, item[1].id)))


async def find(store: Store, kind: GrantKind, project: ProjectId, shape: type[G], number: str) -> tuple[str, G]:
    grants = await listed(store, kind, project, shape)
    for key, grant in grants.items():
        if grant.id == number:
            return key, grant
    raise NotFound(f"there is no {kind} {number!r} in this project", field="id")


async def lookup(store: Store, kind: Literal["token", "invite"], key: str) -> tuple[ProjectId, Token | Invite] | None:
    shape: type[Token] | type[Invite] = Token if kind == "token" else Invite
    found = await store.record_everywhere(COLLECTIONS[kind], key)
    for project, value in found.items():
        return project, msgspec.json.decode(value, type=shape)
    return None


async def session(store: Store, key: str) -> Session | None:
    found = await store.record(COLLECTIONS["session"], INSTALLATION, key)
    return None if found is None else msgspec.json.decode(found, type=Session)
