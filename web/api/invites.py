"""Invitations: a link that brings a person in."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.responses import Response

from web import grants
from web.api.endpoint import Body, Call, Endpoints, NoQuery, json_answer
from web.api.shapes import ActorRef, Person, expiry, maybe_rfc3339, person, refs, rfc3339
from web.errors import Unauthenticated
from web.identity import COOKIE
from web.roles import Access, ProjectRole

endpoints = Endpoints()


class NewInvite(Body):
    """`expires`: `1h`, seconds, a time; access through the invitation ends with it."""

    role: Literal["viewer", "suggester", "editor", "admin"] = "editor"
    expires: str | int | None = None


class InviteInfo(msgspec.Struct, kw_only=True):
    id: str
    role: ProjectRole
    created_at: str
    created_by: ActorRef
    expires_at: str | None
    url: str | msgspec.UnsetType = msgspec.UNSET
    """The link: only in the answer that makes it."""


class InviteList(msgspec.Struct):
    invites: list[InviteInfo]


class Invitation(msgspec.Struct):
    project: str
    role: str


class Acceptance(Body):
    """`email` only if one wants to be named in commits with it."""

    name: str
    email: str | None = None


class Joined(msgspec.Struct):
    project: str
    role: str
    actor: Person


def _shape(invite: grants.Invite, maker: ActorRef) -> InviteInfo:
    return InviteInfo(
        id=invite.id,
        role=invite.role,
        created_at=rfc3339(invite.created_at),
        created_by=maker,
        expires_at=maybe_rfc3339(invite.expires_at),
    )


@endpoints.add("GET", "/projects/{project}/invites", role="admin", answer=InviteList, errors=(404,))
async def list_invites(call: Call[None, NoQuery]) -> InviteList:
    """The invitations of a project, without their links."""
    invites = await call.services.identity.invites(call.project.id)
    names = await refs(call.services.store, (each.created_by for each in invites))
    return InviteList([_shape(each, names[each.created_by]) for each in invites])


@endpoints.add(
    "POST",
    "/projects/{project}/invites",
    role="admin",
    body=NewInvite,
    answer=InviteInfo,
    status=201,
    secret=True,
    errors=(400, 404),
)
async def create_invite(call: Call[NewInvite, NoQuery]) -> InviteInfo:
    """Makes an invitation; its link is in this answer and nowhere else."""
    identity, maker = call.services.identity, call.access.actor
    secret, invite = await identity.create_invite(
        call.project.id, call.body.role, maker, expires_at=expiry(call.body.expires, identity.now())
    )
    shape = _shape(invite, ActorRef(maker.id, maker.name))
    shape.url = f"{identity.base_url(call.request)}/join/{secret}"
    return shape


@endpoints.add("DELETE", "/projects/{project}/invites/{id}", role="admin", answer=InviteInfo, errors=(404,))
async def revoke_invite(call: Call[None, NoQuery]) -> InviteInfo:
    """Revokes an invitation: the link is dead, and whoever came through it is out."""
    invite = await call.services.identity.revoke_invite(call.project.id, call.param("id"))
    names = await refs(call.services.store, [invite.created_by])
    return _shape(invite, names[invite.created_by])


@endpoints.add("GET", "/invites/{secret}", role=None, answer=Invitation, errors=(404,))
async def get_invitation(call: Call[None, NoQuery]) -> Invitation:
    """What an invitation leads to."""
    held, _ = await call.services.identity.invitation(call.param("secret"))
    assert held.project is not None
    return Invitation(held.project, held.role)


@endpoints.add(
    "POST", "/invites/{secret}/accept", role=None, body=Acceptance, answer=Joined, secret=True, errors=(400, 403, 404)
)
async def accept_invitation(call: Call[Acceptance, NoQuery]) -> Response:
    """Joins. The answer sets the session cookie; whoever has one already keeps being who he is."""
    identity = call.services.identity
    if "origin" in call.request.headers:
        identity.check_origin(call.request)
    held, _ = await identity.invitation(call.param("secret"))
    cookie, actor = await identity.accept(call.param("secret"), call.body.name, call.body.email, await _present(call))
    assert held.project is not None
    response = json_answer(Joined(held.project, held.role, person(actor)))
    identity.set_cookie(response, cookie)
    return response


async def _present(call: Call[Acceptance, NoQuery]) -> Access | None:
    """Whom the browser is known as; a session that has ended is none."""
    if COOKIE not in call.request.cookies:
        return None
    try:
        return await call.services.identity.authenticate(call.request)
    except Unauthenticated:
        return None
