"""Who is behind a request, what he may do, and when that ends."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import anyio
import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from collab.actors import ROOT, Actor
from collab.errors import Forbidden, Invalid, NotFound
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import CreateProject, Project
from collab.store.memory import MemoryStore
from web.errors import Unauthenticated
from web.identity import COOKIE, LOGIN_SECONDS, Identity
from web.roles import require
from web.settings import Settings

ROOT_TOKEN = "root-token-of-the-test"
NOTES = ProjectId("p-notes")
DRAFTS = ProjectId("p-drafts")
ALICE = Actor(id=ActorId("alice"), name="Alice")

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> Millis:
        return Millis(self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def opened(folder: pathlib.Path, clock: Clock, **settings: str) -> tuple[Identity, MemoryStore]:
    store = MemoryStore(clock=clock)
    for project, name in ((NOTES, "notes"), (DRAFTS, "drafts")):
        made = Project(id=project, name=name, created_at=Millis(0), created_by=ROOT.id)
        await store.commit(changes=[CreateProject(made)])
    given = Settings.load({"QUIRE_ROOT_TOKEN": ROOT_TOKEN, **settings}, data=folder)
    return await Identity.open(store, given, clock), store


@pytest.fixture
async def identity(tmp_path: pathlib.Path, clock: Clock) -> Identity:
    return (await opened(tmp_path, clock))[0]


def connection(
    headers: Mapping[str, str] | None = None, *, method: str = "GET", kind: str = "http", query: str = ""
) -> HTTPConnection:
    raw = [(name.encode(), value.encode()) for name, value in ({"host": "here:8000"} | dict(headers or {})).items()]
    scope = {"type": kind, "method": method, "headers": raw, "query_string": query.encode(), "path": "/"}
    return HTTPConnection(scope)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_the_root_token_is_root_everywhere(identity: Identity) -> None:
    access = await identity.authenticate(connection(bearer(ROOT_TOKEN)))
    assert (access.actor.id, access.role, access.project) == (ROOT.id, "root", None)
    assert access.role_in("anything") == "root"


async def test_the_token_of_this_process_is_root_too(identity: Identity) -> None:
    assert (await identity.authenticate_token(identity.local_token)).role == "root"


@pytest.mark.parametrize("token", ["", "wrong", ROOT_TOKEN + "x", "qp_wrong", "\udce9"])
async def test_a_wrong_token_is_nobody(identity: Identity, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.authenticate_token(token)


async def test_a_wrong_token_is_nobody_even_with_a_good_cookie(identity: Identity) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}", **bearer("wrong")}))


async def test_nothing_sent_is_nobody(identity: Identity) -> None:
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection())


async def test_a_token_in_the_address_counts_for_sockets_only(identity: Identity) -> None:
    access = await identity.authenticate(connection(kind="websocket", query=f"token={ROOT_TOKEN}"))
    assert access.role == "root"
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection(query=f"token={ROOT_TOKEN}"))


async def test_an_unnamed_token_acts_as_its_maker_in_its_project_alone(identity: Identity) -> None:
    secret, token = await identity.create_token(NOTES, "editor", ALICE)
    access = await identity.authenticate_token(secret)
    assert access.actor.id == ALICE.id
    assert (access.role, access.project) == ("editor", "notes")
    assert access.role_in("drafts") is None
    assert secret.startswith("qp_")
    assert token.role == "editor"


async def test_an_agents_token_is_the_agent_and_another_one_of_the_same_name_is_the_same(identity: Identity) -> None:
    first, _ = await identity.create_token(NOTES, "editor", ALICE, agent="Scribe")
    second, _ = await identity.create_token(NOTES, "viewer", ALICE, agent="Scribe")
    other, _ = await identity.create_token(NOTES, "viewer", ALICE, agent="Critic")
    actors = [(await identity.authenticate_token(secret)).actor for secret in (first, second, other)]
    assert actors[0] == actors[1]
    assert actors[0].id != actors[2].id
    assert (actors[0].name, actors[0].kind) == ("Scribe", "agent")


async def test_the_store_holds_no_secret(tmp_path: pathlib.Path, clock: Clock) -> None:
    identity, store = await opened(tmp_path, clock)
    secret, _ = await identity.create_token(NOTES, "editor", ALICE)
    link, _ = await identity.create_invite(NOTES, "viewer", ALICE)
    for collection in ("tokens", "invites"):
        for key, value in (await store.records(collection, NOTES)).items():
            assert secret not in key + value.decode()
            assert link not in key + value.decode()


async def test_a_revoked_token_is_nobody_at_once(identity: Identity) -> None:
    secret, token = await identity.create_token(NOTES, "editor", ALICE)
    await identity.authenticate_token(secret)
    await identity.revoke_token(NOTES, token.id)
    with pytest.raises(Unauthenticated):
        await identity.authenticate_token(secret)
    assert await identity.tokens(NOTES) == []


async def test_a_token_that_has_expired_is_nobody(identity: Identity, clock: Clock) -> None:
    secret, _ = await identity.create_token(NOTES, "editor", ALICE, expires_at=Millis(clock.now + 1000))
    await identity.authenticate_token(secret)
    clock.now += 1000
    with pytest.raises(Unauthenticated):
        await identity.authenticate_token(secret)


async def test_a_token_of_another_project_is_not_found_there(identity: Identity) -> None:
    _, token = await identity.create_token(NOTES, "editor", ALICE)
    with pytest.raises(NotFound):
        await identity.revoke_token(DRAFTS, token.id)


async def test_what_hangs_on_a_revoked_token_hears_of_it(identity: Identity) -> None:
    secret, token = await identity.create_token(NOTES, "editor", ALICE)
    access = await identity.authenticate_token(secret)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(identity.until_ended, access, "notes")
            await anyio.wait_all_tasks_blocked()
            await identity.revoke_token(NOTES, token.id)


async def test_what_was_revoked_before_one_began_to_wait_has_ended(identity: Identity) -> None:
    secret, token = await identity.create_token(NOTES, "editor", ALICE)
    access = await identity.authenticate_token(secret)
    await identity.revoke_token(NOTES, token.id)
    with anyio.fail_after(5):
        await identity.until_ended(access, "notes")


async def test_an_access_ends_when_its_token_expires(identity: Identity, clock: Clock) -> None:
    secret, _ = await identity.create_token(NOTES, "editor", ALICE, expires_at=Millis(clock.now + 50))
    access = await identity.authenticate_token(secret)
    with anyio.fail_after(5):
        await identity.until_ended(access, "notes")


async def test_logging_out_ends_what_the_session_opened(identity: Identity) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(identity.until_ended, access, "notes")
            await anyio.wait_all_tasks_blocked()
            await identity.log_out(access)
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))


async def test_a_login_link_sets_a_session_of_root(identity: Identity) -> None:
    cookie = await identity.redeem(identity.login_code())
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    assert (access.actor.id, access.role) == (ROOT.id, "root")


@pytest.mark.parametrize("code", ["", "x", "InJvb3Qi.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"])
async def test_a_login_code_that_nobody_signed_is_refused(identity: Identity, code: str) -> None:
    with pytest.raises(Unauthenticated, match="quire open"):
        await identity.redeem(code)


async def test_another_root_token_ends_the_sessions_and_links_of_the_old_one(
    tmp_path: pathlib.Path, clock: Clock
) -> None:
    identity, store = await opened(tmp_path, clock)
    cookie, code = await identity.redeem(identity.login_code()), identity.login_code()
    changed = Settings.load({"QUIRE_ROOT_TOKEN": "another-root-token"}, data=tmp_path)
    restarted = await Identity.open(store, changed, clock)
    with pytest.raises(Unauthenticated):
        await restarted.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    with pytest.raises(Unauthenticated):
        await restarted.redeem(code)


async def test_a_session_survives_a_restart(tmp_path: pathlib.Path, clock: Clock) -> None:
    identity, store = await opened(tmp_path, clock)
    cookie = await identity.redeem(identity.login_code())
    settings = Settings.load({"QUIRE_ROOT_TOKEN": ROOT_TOKEN}, data=tmp_path)
    restarted = await Identity.open(store, settings, clock)
    assert (await restarted.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))).role == "root"


async def test_a_session_ends_by_itself(identity: Identity, clock: Clock) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    clock.now += 91 * 24 * 3600 * 1000
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))


async def test_a_guest_who_accepts_is_a_random_person_with_the_invitations_role(identity: Identity) -> None:
    link, _ = await identity.create_invite(NOTES, "editor", ALICE)
    first, alice = await identity.accept(link, " Alice  A ", "alice@example.org", None)
    _, other = await identity.accept(link, "Alice A", None, None)
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={first}"}))
    assert (access.actor.name, access.actor.email) == ("Alice A", "alice@example.org")
    assert access.actor.id == alice.id != other.id
    assert (access.role, access.project) == ("editor", "notes")


async def test_a_guest_who_accepts_a_second_invitation_stays_who_he_is_and_has_both(identity: Identity) -> None:
    first, _ = await identity.create_invite(NOTES, "editor", ALICE)
    second, _ = await identity.create_invite(DRAFTS, "viewer", ALICE)
    cookie, bob = await identity.accept(first, "Bob", None, None)
    present = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    cookie, still_bob = await identity.accept(second, "Bob", None, present)
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    assert bob.id == still_bob.id == access.actor.id
    assert (access.role_in("notes"), access.role_in("drafts"), access.project) == ("editor", "viewer", None)


async def test_whoever_came_by_an_invitation_is_out_when_it_is_revoked(identity: Identity) -> None:
    link, invite = await identity.create_invite(NOTES, "editor", ALICE)
    cookie, _ = await identity.accept(link, "Bob", None, None)
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(identity.until_ended, access, "notes")
            await anyio.wait_all_tasks_blocked()
            await identity.revoke_invite(NOTES, invite.id)
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}"}))
    with pytest.raises(NotFound):
        await identity.accept(link, "Carol", None, None)


@pytest.mark.parametrize("name", ["", "  ", "a" * 61, "a<b>", "a\u202eb", 'a"b'])
async def test_a_name_that_cannot_stand_in_a_commit_is_refused(identity: Identity, name: str) -> None:
    link, _ = await identity.create_invite(NOTES, "editor", ALICE)
    with pytest.raises(Invalid) as caught:
        await identity.accept(link, name, None, None)
    assert caught.value.field == "name"


@pytest.mark.parametrize("email", ["alice", "alice@", "a@b c", "a>@b", "@"])
async def test_an_email_that_is_none_is_refused(identity: Identity, email: str) -> None:
    link, _ = await identity.create_invite(NOTES, "editor", ALICE)
    with pytest.raises(Invalid) as caught:
        await identity.accept(link, "Alice", email, None)
    assert caught.value.field == "email"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://here:9000", "here:8000"])
async def test_a_cookie_from_another_origin_changes_nothing(
    identity: Identity, method: str, origin: str | None
) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    headers = {"cookie": f"{COOKIE}={cookie}"} | ({"origin": origin} if origin else {})
    with pytest.raises(Forbidden) as caught:
        await identity.authenticate(connection(headers, method=method))
    assert caught.value.name == "origin_refused"


@pytest.mark.parametrize("origin", [None, "http://evil.example"])
async def test_a_cookie_from_another_origin_opens_no_socket(identity: Identity, origin: str | None) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    headers = {"cookie": f"{COOKIE}={cookie}"} | ({"origin": origin} if origin else {})
    with pytest.raises(Forbidden):
        await identity.authenticate(connection(headers, kind="websocket"))


@pytest.mark.parametrize("sent", [{"origin": "http://here:8000"}, {"origin": "https://here:8000"}])
async def test_a_cookie_from_our_own_page_may_write(identity: Identity, sent: dict[str, str]) -> None:
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    access = await identity.authenticate(connection({"cookie": f"{COOKIE}={cookie}", **sent}, method="PUT"))
    assert access.role == "root"


async def test_with_a_public_address_its_origin_is_the_only_one(tmp_path: pathlib.Path, clock: Clock) -> None:
    identity, _ = await opened(tmp_path, clock, QUIRE_PUBLIC_URL="https://quire.example.org/q")
    cookie, _ = await identity.log_in(ROOT_TOKEN)
    headers = {"cookie": f"{COOKIE}={cookie}"}
    ours = {**headers, "origin": "https://quire.example.org"}
    assert (await identity.authenticate(connection(ours, method="PUT"))).role == "root"
    with pytest.raises(Forbidden):
        await identity.authenticate(connection({**headers, "origin": "http://here:8000"}, method="PUT"))


async def test_a_token_needs_no_origin(identity: Identity) -> None:
    headers = {**bearer(ROOT_TOKEN), "origin": "http://evil.example"}
    assert (await identity.authenticate(connection(headers, method="PUT"))).role == "root"


async def test_a_forged_cookie_is_nobody(identity: Identity) -> None:
    with pytest.raises(Unauthenticated):
        await identity.authenticate(connection({"cookie": f"{COOKIE}=abc.def"}))


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(tmp_path: pathlib.Path, clock: Clock) -> None:
    identity, _ = await opened(tmp_path, clock, QUIRE_PUBLIC_URL="https://quire.example.org/q")
    response = Response()
    identity.set_cookie(response, "x")
    cookie = response.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "secure", "path=/q;"):
        assert part in cookie + ";"


async def test_secrets_on_disk_are_readable_by_their_owner_alone(tmp_path: pathlib.Path, clock: Clock) -> None:
    settings = Settings.load({}, data=tmp_path)
    identity = await Identity.open(MemoryStore(clock=clock), settings, clock)
    for name in ("secret", "root-token"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    token = (tmp_path / "root-token").read_text().strip()
    assert (await identity.authenticate_token(token)).role == "root"


async def test_roles_are_ordered_and_a_foreign_project_does_not_exist(identity: Identity) -> None:
    secret, _ = await identity.create_token(NOTES, "editor", ALICE)
    access = await identity.authenticate_token(secret)
    require(access, "notes", "viewer")
    require(access, "notes", "editor")
    with pytest.raises(Forbidden):
        require(access, "notes", "admin")
    with pytest.raises(NotFound):
        require(access, "drafts", "viewer")
    with pytest.raises(Forbidden):
        require(access, None, "root")


async def test_a_project_that_is_gone_takes_its_tokens_along(tmp_path: pathlib.Path, clock: Clock) -> None:
    from collab.store.base import DeleteProject

    identity, store = await opened(tmp_path, clock)
    secret, _ = await identity.create_token(NOTES, "editor", ALICE)
    access = await identity.authenticate_token(secret)
    gone = await identity.project_grants(NOTES)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(identity.until_ended, access, "notes")
            await anyio.wait_all_tasks_blocked()
            await store.commit(changes=[DeleteProject(NOTES)])
            identity.ended(gone)
    with pytest.raises(Unauthenticated):
        await identity.authenticate_token(secret)


def test_a_login_link_lives_for_twelve_hours() -> None:
    assert LOGIN_SECONDS == 12 * 3600
