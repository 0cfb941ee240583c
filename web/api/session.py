"""Who one is: log in, look, change one's name, log out."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from web.api.endpoint import Body, Call, Endpoints, NoQuery, json_answer
from web.api.shapes import Person, person, rfc3339
from web.identity import LOGIN_SECONDS
from web.roles import Access, Role

endpoints = Endpoints()


class Me(msgspec.Struct):
    """`project`: the only one that this access reaches; null: several, or all. `roles`: project -> role, for several.
    `csrf` is null: cookies are checked by their Origin."""

    actor: Person
    role: Role
    project: str | None
    roles: dict[str, Role]
    csrf: str | None = None


class MeChange(Body):
    """`email` null takes it away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET


class Login(Body):
    token: str


class LoginLink(msgspec.Struct):
    url: str
    expires_at: str


class LoggedOut(msgspec.Struct):
    logged_out: bool = True


def _me(access: Access) -> Me:
    roles = {each.project: each.role for each in access.held if each.project is not None}
    return Me(person(access.actor), access.role, access.project, roles)


@endpoints.add("GET", "/me", role="viewer", answer=Me)
async def get_me(call: Call[None, NoQuery]) -> Me:
    """Who asks, and what he may do."""
    return _me(call.access)


@endpoints.add("PATCH", "/me", role="viewer", body=MeChange, answer=Me, errors=(400,))
async def change_me(call: Call[MeChange, NoQuery]) -> Me:
    """A person's own name and e-mail, as cursors and commits show them.

    A project's token is not the person who made it: 403."""
    actor = call.access.actor
    name = actor.name if isinstance(call.body.name, msgspec.UnsetType) else call.body.name
    email = actor.email if isinstance(call.body.email, msgspec.UnsetType) else call.body.email
    changed = await call.services.identity.rename(call.access, name, email)
    me = _me(call.access)
    me.actor = person(changed)
    return me


@endpoints.add("POST", "/session", role=None, body=Login, answer=Me, secret=True, errors=(400, 401, 403))
async def log_in(call: Call[Login, NoQuery]) -> Response:
    """Sets the session cookie for a token."""
    identity = call.services.identity
    if "origin" in call.request.headers:
        identity.check_origin(call.request)
    cookie, access = await identity.log_in(call.body.token)
    response = json_answer(_me(access))
    identity.set_cookie(response, cookie)
    return response


@endpoints.add("DELETE", "/session", role="viewer", answer=LoggedOut)
async def log_out(call: Call[None, NoQuery]) -> Response:
    """Ends the session and closes its sockets."""
    await call.services.identity.log_out(call.access)
    response = json_answer(LoggedOut())
    call.services.identity.drop_cookie(response)
    return response


@endpoints.add("POST", "/login-links", role="root", answer=LoginLink, status=201, secret=True)
async def create_login_link(call: Call[None, NoQuery]) -> LoginLink:
    """A link that logs a browser in as root, for 12 hours."""
    identity = call.services.identity
    url = f"{identity.base_url(call.request)}/login?code={identity.login_code()}"
    return LoginLink(url, rfc3339(identity.later(LOGIN_SECONDS)))
