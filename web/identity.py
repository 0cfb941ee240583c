"""Who is behind a request or a socket. PLUG.

What it knows: the root token, tokens of projects, sessions (a cookie that a login link, a token or an invitation set),
and the server's own token for commands on the same machine. An actor is the person, agent or guest behind a grant,
never the grant itself.

What it promises
1. A secret is found by its hash; a credential that is wrong is `Unauthenticated`, never a weaker access.
2. `Authorization: Bearer` counts everywhere, `?token=` for sockets only, the cookie only with an Origin of our own when
   the request is a socket or may change something.
3. `until_ended` returns when the grant behind an access is revoked, logged out or expires, at once or to the second.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import anyio
from itsdangerous import BadData, BadSignature, Signer, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from collab import actors
from collab.actors import ROOT, Actor
from collab.errors import Forbidden, Invalid, NotFound
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import Store
from snapshots import patterns
from web import grants
from web.errors import Unauthenticated
from web.grants import Invite, Session, Token
from web.private import read_or_make
from web.roles import Access, Held, ProjectRole, Role, allows, require
from web.settings import Settings

__all__ = ["Access", "Authenticator", "Identity", "Role", "allows", "require"]

COOKIE: Final = "quire_session"
LOGIN_SECONDS: Final = 12 * 3600
SESSION_MILLIS: Final = 90 * 24 * 3600 * 1000
REMEMBERED_MILLIS: Final = 1000
"""How long a grant that was looked up is trusted: what another process revokes counts after this."""
REMEMBERED_MOST: Final = 10_000
NAME_LONGEST: Final = 60
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Authenticator(Protocol):
    async def authenticate(self, connection: HTTPConnection) -> Access:
        """`Unauthenticated` without a valid credential, `Forbidden` when a cookie comes from another origin."""

    async def until_ended(self, access: Access, project: str | None = None) -> None: ...


class Identity:
    def __init__(
        self, store: Store, settings: Settings, *, secret: str, root_token: str, clock: Callable[[], Millis]
    ) -> None:
        self.local_token = secrets.token_urlsafe(30)
        """For commands on this machine; lives as long as this process."""
        self._store, self._settings, self._clock = store, settings, clock
        self._root = grants.digest(root_token)
        self._local = grants.digest(self.local_token)
        self._secret = secret
        self._signer = Signer(secret, salt="quire.session")
        self._codes = URLSafeTimedSerializer(secret, salt="quire.login")
        self._remembered: dict[str, tuple[Millis, Held, ActorId]] = {}
        self._watchers: dict[str, set[anyio.Event]] = {}

    @classmethod
    async def open(cls, store: Store, settings: Settings, clock: Callable[[], Millis]) -> Identity:
        """Makes what is missing: `secret` and, without QUIRE_ROOT_TOKEN, `root-token`, readable by their owner alone."""
        data = settings.data
        secret = await anyio.to_thread.run_sync(read_or_make, data / "secret", secrets.token_hex)
        token = settings.root_token
        if token is None:
            token = await anyio.to_thread.run_sync(read_or_make, data / "root-token", _fresh_root)
        return cls(store, settings, secret=secret, root_token=token, clock=clock)

    # -- who asks

    async def authenticate(self, connection: HTTPConnection) -> Access:
        header = connection.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("send the token as 'Authorization: Bearer TOKEN'")
            return await self.authenticate_token(token.strip())
        if connection.scope["type"] == "websocket" and (in_query := connection.query_params.get("token")):
            return await self.authenticate_token(in_query)
        cookie = connection.cookies.get(COOKIE)
        if cookie is None:
            raise Unauthenticated("log in, or send a token as 'Authorization: Bearer TOKEN'")
        if connection.scope["type"] == "websocket" or connection.scope["method"] not in SAFE_METHODS:
            self.check_origin(connection)
        return await self._by_cookie(cookie)

    async def authenticate_token(self, token: str) -> Access:
        """A token as it is: in-band renewal of sockets, and `POST /session`."""
        key = grants.digest(token)
        if hmac.compare_digest(key, self._root):
            return Access(actor=await self._actor(ROOT.id), held=(self._root_held(),))
        if hmac.compare_digest(key, self._local):
            return Access(actor=await self._actor(ROOT.id), held=(Held(grant="local", role="root", project=None),))
        found = await self._resolve(f"token:{key}")
        if found is None:
            raise Unauthenticated("this token is not (or no longer) valid")
        held, actor = found
        return Access(actor=await self._actor(actor), held=(held,))

    async def _by_cookie(self, cookie: str) -> Access:
        try:
            secret = self._signer.unsign(cookie).decode()
        except BadSignature:
            raise Unauthenticated("this session is not valid; log in again") from None
        key = grants.digest(secret)
        session = await grants.session(self._store, key)
        if session is None or session.expires_at <= self._clock():
            raise Unauthenticated("this session has ended; log in again")
        held = [found[0] for hold in session.holds if (found := await self._resolve(hold)) is not None]
        if not held:
            raise Unauthenticated("the invitation or token behind this session has ended")
        return Access(
            actor=await self._actor(session.actor),
            held=tuple(held),
            session=f"session:{key}",
            session_expires_at=session.expires_at,
        )

    def check_origin(self, connection: HTTPConnection) -> None:
        """A browser names the page that asks; only our own may use the cookie."""
        origin = connection.headers.get("origin")
        if origin is None and connection.headers.get("sec-fetch-site") == "same-origin":
            return
        if origin is None or origin not in self._own_origins(connection):
            raise Forbidden(
                f"a request with a cookie must come from Quire's own pages, not from {origin or 'an unnamed origin'}"
                + (f"; QUIRE_PUBLIC_URL names {self._settings.origin}" if self._settings.origin else ""),
                code="origin_refused",
            )

    def _own_origins(self, connection: HTTPConnection) -> set[str]:
        host = connection.headers.get("host", "")
        here = {f"http://{host}", f"https://{host}"}
        if self._settings.origin is None:
            return here
        # A loopback host cannot be somebody else's name for this machine.
        return {self._settings.origin} | (here if host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK else set())

    async def _actor(self, actor: ActorId) -> Actor:
        return await actors.actor(self._store, actor)

    def _root_held(self) -> Held:
        return Held(grant=f"root:{self._root[:16]}", role="root", project=None)

    async def _resolve(self, grant: str) -> tuple[Held, ActorId] | None:
        """The role that a grant gives now; None when it gives none (any more)."""
        kind, _, key = grant.partition(":")
        if kind == "root":
            held = self._root_held()
            return (held, ROOT.id) if held.grant == grant else None
        now = self._clock()
        known = self._remembered.get(grant)
        if known is None or now - known[0] >= REMEMBERED_MILLIS:
            known = await self._look_up(grant, kind, key, now)
        if known is None or (known[1].expires_at is not None and known[1].expires_at <= now):
            return None
        return known[1], known[2]

    async def _look_up(self, grant: str, kind: str, key: str, now: Millis) -> tuple[Millis, Held, ActorId] | None:
        self._remembered.pop(grant, None)
        found = await grants.lookup(self._store, "token" if kind == "token" else "invite", key)
        if found is None:
            return None
        project = await self._store.project_by_id(found[0])
        if project is None:
            return None
        record = found[1]
        behalf = record.created_by if isinstance(record, Token) and record.agent is not None else None
        held = Held(
            grant=grant,
            role=record.role,
            project=project.name,
            expires_at=record.expires_at,
            on_behalf_of=behalf,
            paths=record.paths if isinstance(record, Token) else (),
        )
        actor = record.actor if isinstance(record, Token) else record.created_by
        if len(self._remembered) >= REMEMBERED_MOST:
            self._remembered.clear()
        self._remembered[grant] = (now, held, actor)
        return self._remembered[grant]

    # -- when it ends

    async def until_ended(self, access: Access, project: str | None = None) -> None:
        """Returns when `access` (to `project`, if it is named) does not hold any longer."""
        held = access.held_in(project) if project is not None else None
        watched = {each.grant: each.expires_at for each in ((held,) if held else access.held)}
        if access.session is not None:
            watched[access.session] = access.session_expires_at
        with self._watching(watched) as ended:
            for grant in watched:
                if not await self._lives(grant):
                    return
            ends = [at for at in watched.values() if at is not None]
            left = (min(ends) - self._clock()) / 1000 if ends else None
            with anyio.move_on_after(None if left is None else max(left, 0.0)):
                await ended.wait()

    async def _lives(self, grant: str) -> bool:
        kind, _, key = grant.partition(":")
        if kind == "local":
            return True
        if kind == "session":
            return await grants.session(self._store, key) is not None
        return await self._resolve(grant) is not None

    @contextlib.contextmanager
    def _watching(self, watched: dict[str, Millis | None]) -> Iterator[anyio.Event]:
        ended = anyio.Event()
        for grant in watched:
            self._watchers.setdefault(grant, set()).add(ended)
        try:
            yield ended
        finally:
            for grant in watched:
                waiting = self._watchers[grant]
                waiting.discard(ended)
                if not waiting:
                    del self._watchers[grant]

    def _end(self, grant: str) -> None:
        self._remembered.pop(grant, None)
        for ended in self._watchers.get(grant, ()):
            ended.set()

    # -- tokens and invitations

    async def create_token(
        self,
        project: ProjectId,
        role: ProjectRole,
        maker: Actor,
        *,
        agent: str | None = None,
        name: str | None = None,
        expires_at: Millis | None = None,
        paths: Sequence[str] = (),
    ) -> tuple[str, Token]:
        """The secret is given back here and never again. The same agent's name in a project is the same actor."""
        secret = grants.fresh_token()
        changes = []
        actor = maker.id
        if agent is not None:
            agent = checked_name(agent, field="agent")
            actor = ActorId("agent-" + grants.digest(f"{project}\n{agent}")[:20])
            changes.append(actors.put(Actor(id=actor, name=agent, kind="agent")))
        token = Token(
            id=grants.fresh_id(),
            role=role,
            actor=actor,
            agent=agent,
            name=None if name is None else checked_name(name),
            created_at=self._clock(),
            created_by=maker.id,
            expires_at=expires_at,
            paths=tuple(patterns.check(each, field="paths") for each in paths),
        )
        await self._store.commit(changes=[*changes, grants.put("token", project, grants.digest(secret), token)])
        return secret, token

    async def create_invite(
        self, project: ProjectId, role: ProjectRole, maker: Actor, *, expires_at: Millis | None = None
    ) -> tuple[str, Invite]:
        secret = grants.fresh_secret()
        invite = Invite(
            id=grants.fresh_id(), role=role, created_at=self._clock(), created_by=maker.id, expires_at=expires_at
        )
        await self._store.commit(changes=[grants.put("invite", project, grants.digest(secret), invite)])
        return secret, invite

    async def tokens(self, project: ProjectId) -> list[Token]:
        return list((await grants.listed(self._store, "token", project, Token)).values())

    async def invites(self, project: ProjectId) -> list[Invite]:
        return list((await grants.listed(self._store, "invite", project, Invite)).values())

    async def revoke_token(self, project: ProjectId, number: str) -> Token:
        key, token = await grants.find(self._store, "token", project, Token, number)
        await self._store.commit(changes=[grants.put("token", project, key, None)])
        self._end(f"token:{key}")
        return token

    async def revoke_invite(self, project: ProjectId, number: str) -> Invite:
        key, invite = await grants.find(self._store, "invite", project, Invite, number)
        await self._store.commit(changes=[grants.put("invite", project, key, None)])
        self._end(f"invite:{key}")
        return invite

    async def project_grants(self, project: ProjectId) -> list[str]:
        """To be read before a project is deleted, and given to `ended` after it was."""
        tokens = await grants.listed(self._store, "token", project, Token)
        invites = await grants.listed(self._store, "invite", project, Invite)
        return [*(f"token:{key}" for key in tokens), *(f"invite:{key}" for key in invites)]

    def forget(self, grants_: list[str]) -> None:
        """What is remembered of them is no longer so (their project has another name); they still hold."""
        for grant in grants_:
            self._remembered.pop(grant, None)

    def ended(self, gone: list[str]) -> None:
        for grant in gone:
            self._end(grant)

    # -- what goes round by way of somebody else

    def sign(self, purpose: str, told: Mapping[str, Any]) -> str:
        """What `unsign` gives back, for this purpose alone; whoever carries it can read it, and change nothing."""
        return str(self._serializer(purpose).dumps(dict(told)))

    def unsign(self, purpose: str, text: str, seconds: float) -> dict[str, Any]:
        try:
            told: dict[str, Any] = self._serializer(purpose).loads(text, max_age=int(seconds))
        except BadData:
            raise Forbidden("this was not begun here, or too long ago: begin again", code="state_invalid") from None
        return told

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._secret, salt=purpose)

    # -- sessions

    def login_code(self) -> str:
        """Logs in as root for the next 12 hours, until the root token changes."""
        return str(self._codes.dumps(self._root[:16]))

    async def redeem(self, code: str) -> str:
        """The cookie's value for a login code."""
        try:
            root = self._codes.loads(code, max_age=LOGIN_SECONDS)
        except BadSignature:
            root = None
        if root != self._root[:16]:
            raise Unauthenticated("this login link is not (or no longer) valid; `quire open` makes a fresh one")
        return await self._start(ROOT.id, (self._root_held().grant,))

    async def log_in(self, token: str) -> tuple[str, Access]:
        """The cookie's value for a token. Behind the local one, which dies with the process, stands the root's."""
        access = await self.authenticate_token(token)
        holds = tuple(each.grant if each.project else self._root_held().grant for each in access.held)
        return await self._start(access.actor.id, holds), access

    async def log_out(self, access: Access) -> None:
        if access.session is None:
            return
        key = access.session.partition(":")[2]
        await self._store.commit(changes=[grants.put("session", grants.INSTALLATION, key, None)])
        self._end(access.session)

    async def invitation(self, secret: str) -> tuple[Held, str]:
        """What an invitation gives, and its grant."""
        grant = f"invite:{grants.digest(secret)}"
        found = await self._resolve(grant)
        if found is None:
            raise NotFound("this invitation is not (or no longer) valid; ask for a new one", code="invite_not_found")
        return found[0], grant

    async def accept(self, secret: str, name: str, email: str | None, present: Access | None) -> tuple[str, Actor]:
        """Joins: whoever has a session keeps being who he is, anybody else becomes a guest. A session that a project's
        token began names nobody anew."""
        _, grant = await self.invitation(secret)
        guest = Actor(
            id=present.actor.id if present else ActorId("guest-" + secrets.token_hex(10)),
            name=checked_name(name),
            email=checked_email(email) if email else None,
        )
        if present is not None and not present.himself():
            guest = present.actor
        else:
            await self._store.commit(changes=[actors.put(guest)])
        kept = present.held if present else ()
        holds = dict.fromkeys([*(each.grant for each in kept), grant])
        return await self._start(guest.id, tuple(holds)), guest

    async def rename(self, access: Access, name: str, email: str | None) -> Actor:
        """What a person says about himself; an agent is named by whoever made its token."""
        if access.actor.kind != "person":
            raise Forbidden("an agent's name is given by whoever makes its token")
        if not access.himself():
            raise Forbidden("a project's token acts as its maker, but does not rename him: log in as yourself")
        changed = Actor(id=access.actor.id, name=checked_name(name), email=checked_email(email) if email else None)
        await self._store.commit(changes=[actors.put(changed)])
        return changed

    async def _start(self, actor: ActorId, holds: tuple[str, ...]) -> str:
        secret, now = grants.fresh_secret(), self._clock()
        session = Session(actor=actor, holds=holds, created_at=now, expires_at=Millis(now + SESSION_MILLIS))
        await self._store.commit(changes=[grants.put("session", grants.INSTALLATION, grants.digest(secret), session)])
        return self._signer.sign(secret).decode()

    def now(self) -> Millis:
        return self._clock()

    def later(self, seconds: float) -> Millis:
        return Millis(self._clock() + int(seconds * 1000))

    def base_url(self, connection: HTTPConnection | None = None) -> str:
        """What links are made of: the public address, else the one that was asked, without a slash at its end."""
        if self._settings.public_url is not None:
            return self._settings.public_url
        if connection is None:
            return f"http://{self._settings.host}:{self._settings.port}"
        return f"{connection.url.scheme}://{connection.headers.get('host', self._settings.host)}"

    def set_cookie(self, response: Response, value: str) -> None:
        response.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_MILLIS // 1000,
            path=self._settings.prefix or "/",
            secure=(self._settings.origin or "").startswith("https://"),
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, response: Response) -> None:
        response.delete_cookie(COOKIE, path=self._settings.prefix or "/", httponly=True, samesite="lax")


def _fresh_root() -> str:
    return "qr_" + secrets.token_urlsafe(30)


def checked_name(name: str, *, field: str = "name") -> str:
    """A name that can stand in a commit, on a cursor and in a log."""
    name = " ".join(name.split())
    if not name or len(name) > NAME_LONGEST or not name.isprintable() or re.search(r"[<>\"\\]", name):
        raise Invalid(f'give a name of 1 to {NAME_LONGEST} printable characters without < > " \\', field=field)
    return name


def checked_email(email: str) -> str:
    email = email.strip()
    if len(email) > 254 or not re.fullmatch(r"[^\s@<>\"]+@[^\s@<>\"]+", email) or not email.isprintable():
        raise Invalid(f"{email[:80]!r} is no e-mail address", field="email")
    return email
