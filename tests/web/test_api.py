"""The interface as a whole: its description, its errors, its roles, its edge."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import Route

from tests.web.conftest import BASE, Quire, Start
from web.api import ENDPOINTS
from web.api.endpoint import Endpoint
from web.identity import COOKIE

pytestmark = pytest.mark.anyio

FILLED = {
    "project": "notes",
    "path": "a.md",
    "id": "none",
    "secret": "none",
    "turn": "none",
    "name": "none",
    "side": "ours",
}
READS = {("POST", "/projects/{project}/read")}
"""What a viewer may ask for with a method that is not safe."""
OF_ONESELF = {("DELETE", "/session")}


def address(each: Endpoint) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda match: FILLED[match[1]], each.address)


async def ask(client: httpx.AsyncClient, each: Endpoint, **rest: Any) -> httpx.Response:
    return await client.request(each.method, f"{BASE}{address(each)}", **rest)


def named(each: Endpoint) -> str:
    return f"{each.method} {each.path}"


async def test_the_description_names_every_route_and_nothing_else(quire: Quire) -> None:
    async with quire.client(None) as nobody:
        document = (await nobody.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    routed = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in quire.app.routes  # type: ignore[attr-defined]
        if isinstance(route, Route)
        and (
            route.path.startswith(("/api/", "/hooks/", "/github/")) or route.path in ("/healthz", "/readyz", "/metrics")
        )
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert described == routed


async def test_the_description_is_complete(quire: Quire) -> None:
    async with quire.client(None) as nobody:
        document = (await nobody.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    text = msgspec.json.encode(document).decode()
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in document["components"]["schemas"]
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            names.append(operation["operationId"])
            assert operation["summary"].endswith("."), where
            assert operation["responses"], where
            in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path)), where
    assert len(names) == len(set(names))


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.role], ids=named)
async def test_nobody_gets_in_without_a_credential(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client(None) as nobody:
        refused = await ask(nobody, each)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "unauthenticated"
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.role and each.method != "GET"], ids=named)
@pytest.mark.parametrize("named_after", [{"agent": "Reader"}, {}], ids=["an agent", "its maker"])
async def test_a_viewer_changes_nothing_through_any_endpoint(
    quire: Quire, notes: str, each: Endpoint, named_after: dict[str, str]
) -> None:
    if (each.method, each.path) in READS | OF_ONESELF:
        assert each.role == "viewer"
        return
    async with quire.client(await quire.token("notes", "viewer", **named_after)) as viewer:
        refused = await ask(viewer, each)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "forbidden"


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
async def test_a_projects_token_does_not_rename_its_maker(
    quire: Quire, root: httpx.AsyncClient, notes: str, role: str
) -> None:
    before = (await root.get("/me")).json()["actor"]
    token = await quire.token("notes", role)
    secret = (await root.post(f"{notes}/invites", json={"role": "editor"})).json()["url"].rpartition("/")[2]
    async with quire.client(token) as holder, quire.client(None, origin=BASE) as browser:
        assert (await holder.patch("/me", json={"name": "Mallory"})).status_code == 403
        assert (await browser.post("/session", json={"token": token})).status_code == 200
        assert (await browser.patch("/me", json={"name": "Mallory"})).status_code == 403
        assert (await browser.post(f"/invites/{secret}/accept", json={"name": "Mallory"})).status_code == 200
        assert (await browser.patch("/me", json={"name": "Mallory"})).status_code == 403
    assert (await root.get("/me")).json()["actor"] == before


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.role and "{project}" in each.path], ids=named)
async def test_another_project_does_not_exist_for_a_token(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client() as root:
        await root.post("/projects", json={"name": "other"})
    async with quire.client(await quire.token("other", "admin", agent="Stranger")) as stranger:
        refused = await ask(stranger, each)
    assert refused.status_code == 404
    assert "notes" in refused.json()["error"]["message"]


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.role in ("admin", "root")], ids=named)
async def test_an_editor_does_not_administrate(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client(await quire.token("notes", "editor", agent="Scribe")) as editor:
        assert (await ask(editor, each)).status_code == 403


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.decoder], ids=named)
async def test_a_body_that_is_no_json_is_a_bad_request(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client() as root:
        refused = await ask(root, each, content=b"{nope")
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "json_invalid"


@pytest.mark.parametrize("each", [each for each in ENDPOINTS if each.decoder], ids=named)
async def test_an_unknown_field_is_refused_by_its_name(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client() as root:
        refused = await ask(root, each, json={"surprise": 1})
    assert refused.status_code == 400
    assert "surprise" in refused.json()["error"]["message"] or "missing" in refused.json()["error"]["message"]
    assert refused.json()["error"]["field"]


@pytest.mark.parametrize("each", ENDPOINTS, ids=named)
async def test_an_unknown_question_is_refused_by_its_name(quire: Quire, notes: str, each: Endpoint) -> None:
    async with quire.client() as root:
        refused = await ask(root, each, params={"surprise": "1"})
    assert refused.status_code == 400
    assert refused.json()["error"]["field"] == "surprise"


@pytest.mark.parametrize(
    ("body", "field"), [({"name": 5}, "name"), ({}, "name"), ({"name": "No Spaces"}, "name"), ({"name": ""}, "name")]
)
async def test_the_field_that_is_wrong_is_named(root: httpx.AsyncClient, body: Any, field: str) -> None:
    refused = await root.post("/projects", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["field"] == field


async def test_an_address_that_is_none_and_a_method_that_is_none(root: httpx.AsyncClient, notes: str) -> None:
    missing = await root.get("/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = await root.patch(f"{notes}/files")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]


async def test_a_fault_of_ours_is_named_by_its_request_and_shows_nothing_else(quire: Quire, notes: str) -> None:
    quire.store.broken = True
    async with quire.client() as root:
        broken = await root.get(notes)
    assert broken.status_code == 500
    assert broken.json()["error"]["code"] == "internal"
    assert broken.headers["x-request-id"] in broken.json()["error"]["message"]
    assert "a fault of the test's" not in broken.text


async def test_a_full_disk_is_said_and_may_be_tried_again(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    quire.store.full = True
    refused = await root.put(f"{notes}/files/a.md", content="x")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "log_failed")
    assert refused.headers["retry-after"]
    quire.store.full = False
    assert (await root.put(f"{notes}/files/a.md", content="x")).status_code == 201


async def test_every_answer_has_its_id_and_says_what_a_browser_may_do_with_it(root: httpx.AsyncClient) -> None:
    for path in ("/projects", "/nothing", f"{BASE}/nothing", f"{BASE}/healthz"):
        answer = await root.get(path)
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_a_proxys_request_id_is_kept_if_it_is_sane(root: httpx.AsyncClient) -> None:
    kept = await root.get("/projects", headers={"x-request-id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    odd = await root.get("/projects", headers={"x-request-id": "a b"})
    assert odd.headers["x-request-id"] != "a b"


async def test_alive_and_ready_and_counted(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    async with quire.client(None) as nobody:
        assert (await nobody.get(f"{BASE}/healthz")).json() == {"status": "alive"}
        assert (await nobody.get(f"{BASE}/readyz")).json() == {"status": "ready"}
        await root.put(f"{notes}/files/a.md", content="x")
        metrics = (await nobody.get(f"{BASE}/metrics")).text
    for name in (
        "quire_rooms",
        "quire_peers",
        "quire_updates_total",
        "quire_update_bytes_total",
        "quire_append_seconds_bucket",
        "quire_broadcast_seconds_bucket",
        "quire_outbox_drops_total",
        "quire_http_requests_total",
    ):
        assert re.search(rf"^{name}[ {{]", metrics, re.MULTILINE), name
    assert 'route="/api/v1/projects/{project}/files/{path:file}",status="201"' in metrics


async def test_while_it_stops_it_is_alive_but_not_ready_and_takes_nothing(quire: Quire) -> None:
    quire.services.closing.set()
    async with quire.client() as root:
        assert (await root.get(f"{BASE}/healthz")).status_code == 200
        assert (await root.get(f"{BASE}/readyz")).status_code == 503
        refused = await root.get("/projects")
    assert refused.status_code == 503
    assert refused.headers["retry-after"]


async def test_a_log_that_takes_nothing_is_not_ready(quire: Quire) -> None:
    quire.store.full = True
    async with quire.client() as root:
        refused = await root.get(f"{BASE}/readyz")
    assert refused.status_code == 503
    assert "log" in refused.json()["error"]["message"]


@pytest.mark.parametrize("sent", ["/quire/api/v1/projects", "/api/v1/projects"])
async def test_under_a_prefix_both_kinds_of_proxies_work(start: Start, sent: str) -> None:
    async with start(QUIRE_PUBLIC_URL="https://example.org/quire") as quire, quire.client() as root:
        assert (await root.get(f"{BASE}{sent}")).status_code == 200
        link = (await root.post("/login-links")).json()["url"]
        assert link.startswith("https://example.org/quire/login?code=")
        logged_in = await root.get(f"{BASE}{link.removeprefix('https://example.org')}")
        assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/quire/")
        assert "Path=/quire" in logged_in.headers["set-cookie"]


async def test_a_browser_logs_in_by_the_printed_link_and_out_again(quire: Quire, root: httpx.AsyncClient) -> None:
    code = quire.services.identity.login_code()
    async with quire.client(None, origin=BASE) as browser:
        entered = await browser.get(f"{BASE}/login", params={"code": code})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        me = (await browser.get("/me")).json()
        assert (me["actor"]["name"], me["role"], me["project"]) == ("Owner", "root", None)
        assert (await browser.patch("/me", json={"name": "Alice", "email": "a@example.org"})).status_code == 200
        assert (await browser.get("/me")).json()["actor"]["email"] == "a@example.org"
        assert (await browser.patch("/me", json={"email": None})).json()["actor"] | {"color": ""} == {
            "id": "root",
            "name": "Alice",
            "kind": "person",
            "color": "",
            "email": None,
        }
        assert (await browser.delete("/session")).status_code == 200
        assert (await browser.get("/me")).status_code == 401


async def test_a_login_link_that_has_ended_leads_to_the_page_that_says_so(start: Start) -> None:
    async with start(QUIRE_PUBLIC_URL="https://example.org/quire") as quire, quire.client(None) as browser:
        answer = await browser.get(f"{BASE}/login", params={"code": "old"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/quire/login?ended=1")
        assert COOKIE not in answer.cookies


async def test_a_browser_logs_in_with_a_token(quire: Quire, notes: str) -> None:
    token = await quire.token("notes", "editor")
    async with quire.client(None, origin=BASE) as browser:
        entered = await browser.post("/session", json={"token": token})
        assert entered.json()["project"] == "notes"
        assert COOKIE in entered.cookies
        assert (await browser.put(f"{notes}/files/a.md", content="x")).status_code == 201
        wrong = await browser.post("/session", json={"token": "wrong"})
        assert wrong.status_code == 401


async def test_another_sites_page_can_not_use_the_cookie(quire: Quire, notes: str) -> None:
    async with quire.client(None) as browser:
        await browser.post("/session", json={"token": await quire.token("notes", "editor")})
        for origin in ({}, {"origin": "http://evil.example"}):
            refused = await browser.put(f"{notes}/files/a.md", content="x", headers=origin)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_refused")
        assert (await browser.get(f"{notes}/files/a.md")).status_code == 404
        mine = {"origin": "http://evil.example"}
        assert (await browser.post("/session", json={"token": "x"}, headers=mine)).status_code == 403


async def test_a_guest_joins_by_an_invitation_and_edits(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    made = (await root.post(f"{notes}/invites", json={"role": "editor", "expires": "7d"})).json()
    assert made["url"].startswith(f"{BASE}/join/")
    secret = made["url"].rpartition("/")[2]
    async with quire.client(None, origin=BASE) as guest:
        assert (await guest.get(f"/invites/{secret}")).json() == {"project": "notes", "role": "editor"}
        nameless = await guest.post(f"/invites/{secret}/accept", json={"name": " "})
        assert (nameless.status_code, nameless.json()["error"]["field"]) == (400, "name")
        joined = await guest.post(f"/invites/{secret}/accept", json={"name": "Bob", "email": "bob@example.org"})
        assert joined.json()["project"] == "notes"
        assert (await guest.put(f"{notes}/files/a.md", content="x")).status_code == 201
        assert (await guest.get("/projects")).json()["projects"][0]["name"] == "notes"
        listed = (await root.get(f"{notes}/invites")).json()["invites"]
        assert [each["id"] for each in listed] == [made["id"]]
        assert "url" not in listed[0]
        assert secret not in (await root.get(f"{notes}/invites")).text
        await root.delete(f"{notes}/invites/{made['id']}")
        assert (await guest.get("/me")).status_code == 401
        assert (await guest.get(f"/invites/{secret}")).status_code == 404
    rows = (await root.get(f"{notes}/files")).json()
    assert rows[0]["updated_by"]["name"] == "Bob"


async def test_tokens_are_shown_once_listed_and_revoked(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    made = (await root.post(f"{notes}/tokens", json={"role": "editor", "agent": "Scribe", "expires": "1h"})).json()
    listed = (await root.get(f"{notes}/tokens")).json()["tokens"]
    assert [(each["id"], each["agent"], each["role"]) for each in listed] == [(made["id"], "Scribe", "editor")]
    assert "token" not in listed[0]
    async with quire.client(made["token"]) as agent:
        me = (await agent.get("/me")).json()
        assert (me["actor"]["kind"], me["actor"]["name"], me["project"]) == ("agent", "Scribe", "notes")
        await root.delete(f"{notes}/tokens/{made['id']}")
        assert (await agent.get("/me")).status_code == 401
    assert (await root.delete(f"{notes}/tokens/{made['id']}")).status_code == 404


@pytest.mark.parametrize("expires", ["0", "-1h", "yesterday", "2001-01-01T00:00:00Z", 0])
async def test_a_token_that_would_have_expired_is_not_made(root: httpx.AsyncClient, notes: str, expires: Any) -> None:
    refused = await root.post(f"{notes}/tokens", json={"role": "viewer", "expires": expires})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "expires")


@pytest.mark.parametrize("expires", ["9999999999d", 10**15, 10**400, "9999-12-31T23:00:00Z"])
async def test_a_token_ends_at_a_time_that_can_be_said(root: httpx.AsyncClient, notes: str, expires: Any) -> None:
    made = await root.post(f"{notes}/tokens", json={"role": "viewer", "expires": expires})
    if made.status_code == 400:
        assert made.json()["error"]["field"] == "expires"
        assert expires == 10**400
    else:
        assert re.fullmatch(r"9999-12-31T23:\d\d:\d\d\.000Z", made.json()["expires_at"])


async def test_nobody_makes_a_token_of_root(root: httpx.AsyncClient, notes: str) -> None:
    assert (await root.post(f"{notes}/tokens", json={"role": "root"})).status_code == 400


async def test_a_token_sees_its_project_only(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    await root.post("/projects", json={"name": "secret"})
    async with quire.client(await quire.token("notes", "viewer")) as viewer:
        assert [each["name"] for each in (await viewer.get("/projects")).json()["projects"]] == ["notes"]
        assert (await viewer.post("/projects", json={"name": "mine"})).status_code == 403


async def test_a_project_is_made_with_an_example_renamed_and_deleted(root: httpx.AsyncClient) -> None:
    made = await root.post("/projects", json={"name": "first", "example": True})
    assert made.status_code == 201
    assert made.json()["files"] >= 3
    again = await root.post("/projects", json={"name": "first"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "name_taken")
    await root.post("/projects", json={"name": "other"})
    taken = await root.patch("/projects/other", json={"name": "first"})
    assert (taken.status_code, taken.json()["error"]["field"]) == (409, "name")
    assert taken.json()["error"]["code"] == "name_taken"
    assert (await root.patch("/projects/first", json={"name": "second"})).json()["name"] == "second"
    assert (await root.get("/projects/first")).status_code == 404
    events = (await root.get("/projects/second")).json()["events"]
    assert events == made.json()["files"] + 1, "one for each file, one for the new name"
    assert (await root.delete("/projects/second")).json() == {"deleted": "second"}
    assert (await root.delete("/projects/other")).is_success
    assert (await root.get("/projects")).json() == {"projects": []}


async def test_a_token_goes_on_when_its_project_is_renamed(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    async with quire.client(await quire.token("notes", "editor", agent="Scribe")) as agent:
        assert (await agent.get(f"{notes}/files")).status_code == 200
        await root.patch(notes, json={"name": "papers"})
        assert (await agent.get("/me")).json()["project"] == "papers"
        assert (await agent.put("/projects/papers/files/a.md", content="x")).status_code == 201
        assert (await agent.get(f"{notes}/files")).status_code == 404


async def test_an_address_of_bytes_that_are_no_utf8_is_not_found(root: httpx.AsyncClient) -> None:
    missing = await root.get("/caf%E9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_a_token_in_the_address_is_no_credential(quire: Quire, notes: str) -> None:
    token = await quire.token("notes", "editor")
    async with quire.client(None) as nobody:
        assert (await nobody.get(f"{notes}/files", params={"token": token})).status_code == 401


@pytest.mark.parametrize("path", ["/", "/p/notes", "/p/notes/docs/a.md", "/login", "/join/abc"])
async def test_pages_are_served_or_say_how_to_build_them(quire: Quire, path: str) -> None:
    async with quire.client(None) as browser:
        page = await browser.get(f"{BASE}{path}")
    assert page.headers["content-type"].startswith("text/html")
    assert page.status_code in (200, 503)


@pytest.mark.parametrize("path", ["/../settings.py", "/assets/../../settings.py", "/assets/%2e%2e/index.html", "/x"])
async def test_nothing_but_the_page_is_served_beside_the_api(quire: Quire, path: str) -> None:
    async with quire.client(None) as browser:
        assert (await browser.get(f"{BASE}{path}")).status_code == 404
