"""Who an actor is: a person, an agent or Quire itself, by an id that never changes.

The log holds actor ids only; names and e-mails live in the store's records (collection "actors") and may change.
An id that nobody described is its own name, so that history is readable even then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from collab.ids import ActorId, ProjectId
from collab.store.base import PutRecord, Store

ActorKind = Literal["person", "agent", "service"]

COLLECTION: Final = "actors"
INSTALLATION: Final = ProjectId("")

COLORS: Final = (
    "#c2410c",
    "#a16207",
    "#4d7c0f",
    "#15803d",
    "#0f766e",
    "#0369a1",
    "#1d4ed8",
    "#6d28d9",
    "#a21caf",
    "#be185d",
    "#b91c1c",
    "#57534e",
)
"""Readable as text on white and on black."""


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: ActorId
    name: str
    kind: ActorKind = "person"
    email: str | None = None

    @property
    def color(self) -> str:
        """Always the same for the same actor."""
        return COLORS[hashlib.sha256(self.id.encode()).digest()[0] % len(COLORS)]


QUIRE: Final = Actor(id=ActorId("quire"), name="Quire", kind="service")
"""What the server does by itself."""

ROOT: Final = Actor(id=ActorId("root"), name="Owner", kind="person")
"""Whoever holds the root token."""


def stamp(actor: Actor, task: str | None = None) -> dict[str, str]:
    """The `user` of a presence state: who that is, in the server's words. An agent's has the task that it works on."""
    user = {
        "id": actor.id,
        "name": actor.name,
        "kind": actor.kind,
        "color": actor.color,
        "colorLight": actor.color + "33",
    }
    return {**user, "task": task} if task else user


_GIT: Final = "git:"


def from_git(name: str, email: str) -> Actor:
    """Whoever git says made a commit. Nobody has checked that, so it is nobody who has an account here."""
    who = email.strip().casefold() or name
    digest = hashlib.sha256(who.encode("utf-8", "replace")).hexdigest()[:16]
    return Actor(id=ActorId(f"{_GIT}{digest}"), name=name or email or "somebody", email=email or None)


def is_from_git(actor_id: ActorId) -> bool:
    """Whether git knows what they wrote already."""
    return actor_id.startswith(_GIT)


def put(actor: Actor) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=INSTALLATION, key=actor.id, value=msgspec.json.encode(actor))


async def actor(store: Store, actor_id: ActorId) -> Actor:
    found = await store.record(COLLECTION, INSTALLATION, actor_id)
    if found is not None:
        return msgspec.json.decode(found, type=Actor)
    return next((known for known in (QUIRE, ROOT) if known.id == actor_id), Actor(id=actor_id, name=actor_id))


async def actors(store: Store, ids: Iterable[ActorId]) -> dict[ActorId, Actor]:
    return {each: await actor(store, each) for each in dict.fromkeys(ids)}
