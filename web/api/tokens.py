"""Tokens of a project: for agents, scripts and other programs."""

from __future__ import annotations

import msgspec

from web import grants
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import ActorRef, expiry, maybe_rfc3339, refs, rfc3339
from web.roles import ProjectRole

endpoints = Endpoints()


class NewToken(Body):
    """With `agent` it acts as that agent, else as whoever makes it; `name` is a note. `expires`: `1h`, seconds, a time. `paths`:
    patterns of the only files that it reaches."""

    role: ProjectRole
    agent: str | None = None
    name: str | None = None
    expires: str | int | None = None
    paths: tuple[str, ...] = ()


class TokenInfo(msgspec.Struct, kw_only=True):
    id: str
    role: ProjectRole
    agent: str | None
    name: str | None
    actor: str
    created_at: str
    created_by: ActorRef
    expires_at: str | None
    paths: tuple[str, ...]
    token: str | msgspec.UnsetType = msgspec.UNSET
    """The secret itself: only in the answer that makes it."""


class TokenList(msgspec.Struct):
    tokens: list[TokenInfo]


def _shape(token: grants.Token, maker: ActorRef) -> TokenInfo:
    return TokenInfo(
        id=token.id,
        role=token.role,
        agent=token.agent,
        name=token.name,
        actor=token.actor,
        created_at=rfc3339(token.created_at),
        created_by=maker,
        expires_at=maybe_rfc3339(token.expires_at),
        paths=token.paths,
    )


@endpoints.add("GET", "/projects/{project}/tokens", role="admin", answer=TokenList, errors=(404,))
async def list_tokens(call: Call[None, NoQuery]) -> TokenList:
    """The tokens of a project, without their secrets."""
    tokens = await call.services.identity.tokens(call.project.id)
    names = await refs(call.services.store, (each.created_by for each in tokens))
    return TokenList([_shape(each, names[each.created_by]) for each in tokens])


@endpoints.add(
    "POST",
    "/projects/{project}/tokens",
    role="admin",
    body=NewToken,
    answer=TokenInfo,
    status=201,
    secret=True,
    errors=(400, 404),
)
async def create_token(call: Call[NewToken, NoQuery]) -> TokenInfo:
    """Makes a token; its secret is in this answer and nowhere else."""
    identity, maker = call.services.identity, call.access.actor
    secret, token = await identity.create_token(
        call.project.id,
        call.body.role,
        maker,
        agent=call.body.agent,
        name=call.body.name,
        expires_at=expiry(call.body.expires, identity.now()),
        paths=call.body.paths,
    )
    shape = _shape(token, ActorRef(maker.id, maker.name))
    shape.token = secret
    return shape


@endpoints.add("DELETE", "/projects/{project}/tokens/{id}", role="admin", answer=TokenInfo, errors=(404,))
async def revoke_token(call: Call[None, NoQuery]) -> TokenInfo:
    """Revokes a token; the sockets that it opened are closed at once."""
    token = await call.services.identity.revoke_token(call.project.id, call.param("id"))
    names = await refs(call.services.store, [token.created_by])
    return _shape(token, names[token.created_by])
