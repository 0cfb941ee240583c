"""The GitHub App of this installation, and which projects may use which of its installations on GitHub: records.

An App is registered once for a whole Quire (GitHub's manifest flow). Its private key, and its webhook's and client's
secrets, are sealed; what is no secret stands beside them in clear.

Whoever installs the App on GitHub lets this Quire reach repositories, and that is root's to hand on: the admins of a project
may use an installation when root has allowed it to that project (`allow`), and then every repository that it reaches. Root
may use all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from collab.errors import NotFound
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import ANY, Anything, Change, PutRecord, Store
from snapshots import secrets
from snapshots.secrets import Sealer

COLLECTION: Final = "github-app"
REGISTRATION: Final = "registration"
ALLOWED: Final = "allowed"
HERE: Final = ProjectId("")
"""The whole of this Quire."""

KEY: Final = "github-app.key"
WEBHOOK: Final = "github-app.webhook"
CLIENT: Final = "github-app.client"


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """`api` is the server that it was made on; `url` its page there, for people. `webhook`: GitHub was told where to send what
    happens."""

    id: int
    api: str
    slug: str
    name: str
    owner: str
    url: str
    client_id: str
    webhook: bool
    at: Millis
    by: ActorId


class Secrets(msgspec.Struct, frozen=True):
    """`key` is the App's private key, in PEM."""

    key: str
    webhook: str | None
    client: str | None

    def __repr__(self) -> str:
        return "Secrets()"


class NoApp(NotFound):
    code = "no_github_app"

    def __init__(self) -> None:
        super().__init__("There is no GitHub App here yet: whoever runs this Quire makes one in a project's settings.")


async def registration(store: Store) -> Registration | None:
    found = await store.record(COLLECTION, HERE, REGISTRATION)
    return None if found is None else msgspec.json.decode(found, type=Registration)


def put(sealer: Sealer, made: Registration, held: Secrets, *, expect: Registration | None) -> list[Change]:
    """`expect` None: there must be none yet."""
    return [
        _record(made, expect=None if expect is None else msgspec.json.encode(expect)),
        secrets.put(sealer, HERE, KEY, held.key),
        secrets.put(sealer, HERE, WEBHOOK, held.webhook),
        secrets.put(sealer, HERE, CLIENT, held.client),
    ]


def forget(sealer: Sealer, known: Registration) -> list[Change]:
    return [
        _record(None, expect=msgspec.json.encode(known)),
        *(secrets.put(sealer, HERE, name, None) for name in (KEY, WEBHOOK, CLIENT)),
    ]


async def key(store: Store, sealer: Sealer) -> str:
    """`NoApp` where there is none."""
    found = await secrets.secret(store, sealer, HERE, KEY)
    if found is None:
        raise NoApp
    return found


async def webhook_secret(store: Store, sealer: Sealer) -> str | None:
    return await secrets.secret(store, sealer, HERE, WEBHOOK)


def allow(project: ProjectId, installations: Collection[int]) -> PutRecord:
    """From now on the project's admins may use these, and no others."""
    value = msgspec.json.encode(sorted(set(installations))) if installations else None
    return PutRecord(collection=COLLECTION, project=project, key=ALLOWED, value=value)


async def allowed(store: Store, project: ProjectId) -> frozenset[int]:
    found = await store.record(COLLECTION, project, ALLOWED)
    return frozenset() if found is None else frozenset(msgspec.json.decode(found, type=list[int]))


async def allowed_everywhere(store: Store) -> Mapping[ProjectId, frozenset[int]]:
    found = await store.record_everywhere(COLLECTION, ALLOWED)
    return {project: frozenset(msgspec.json.decode(value, type=list[int])) for project, value in found.items()}


def _record(made: Registration | None, *, expect: bytes | Anything | None = ANY) -> PutRecord:
    value = None if made is None else msgspec.json.encode(made)
    return PutRecord(collection=COLLECTION, project=HERE, key=REGISTRATION, value=value, expect=expect)
