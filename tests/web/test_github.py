"""GitHub beside projects: its App is made, installed and used; who sees which repositories.

The server is `emulate`; what it has not (the making of an App, an installation's repositories) the proxy answers as
GitHub documents it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from collab.ids import ProjectId
from snapshots import registration, secrets
from tests.harness import faultproxy as fault
from tests.harness import hooks
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubServer
from tests.harness.hooks import Delivery
from tests.web.conftest import BASE, ROOT_TOKEN, Quire, Start

pytestmark = pytest.mark.anyio

CODE = "a180b1a3d263c81bc6441d7b990bae27d4c10679"
CONVERSIONS = "/app-manifests/[^/]+/conversions$"
WEBHOOK = "the-secret-that-github-made"
ORIGIN = {"Origin": BASE}


def conversion(server: GitHubServer) -> dict[str, Any]:
    """As GitHub documents it, with the App that the server knows."""
    return {
        "id": int(server.app),
        "slug": "quire",
        "node_id": "MDExOkludGVncmF0aW9uMQ==",
        "client_id": "Iv1.8a61f9b3a7aba766",
        "client_secret": "1726be1638095a19edd134c77bde3aa2ece1e5d8",
        "webhook_secret": WEBHOOK,
        "pem": server.key,
        "owner": {"login": "alice", "id": 1, "type": "User"},
        "name": "Quire of Alice",
        "description": "",
        "external_url": "https://quire.test",
        "html_url": "https://github.com/apps/quire",
        "permissions": {"contents": "write", "metadata": "read"},
        "events": ["push", "repository"],
    }


def repository(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "full_name": f"alice/r{number}",
        "private": True,
        "archived": False,
        "default_branch": "main",
        "pushed_at": "2026-01-02T03:04:05Z",
        **more,
    }


def listed(count: int, **more: Any) -> fault.Action:
    """An installation's repositories, page by page."""

    async def act(request: Request, forward: Forward) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        page, size = int(query["page"][0]), int(query["per_page"][0])
        numbers = range(1, count + 1)[(page - 1) * size : page * size]
        body = {"total_count": count, "repositories": [repository(n, **more) for n in numbers]}
        return fault.reply(200, body)

    return act


@dataclass
class Office:
    quire: Quire
    proxy: FaultProxy
    server: GitHubServer

    @contextlib.asynccontextmanager
    async def browser(self, token: str = ROOT_TOKEN) -> AsyncIterator[httpx.AsyncClient]:
        """Logged in by a cookie."""
        async with self.quire.client(None) as window:
            (await window.post("/session", json={"token": token}, headers=ORIGIN)).raise_for_status()
            yield window

    async def asked(self, window: httpx.AsyncClient, **body: str) -> tuple[dict[str, Any], str]:
        """The manifest, and the state that goes round with it."""
        answer = await window.post("/github/app/manifest", json=body, headers=ORIGIN)
        made = answer.raise_for_status().json()
        return made["manifest"], parse_qs(urlsplit(made["action"]).query)["state"][0]

    async def back(self, window: httpx.AsyncClient, state: str, code: str = CODE) -> str:
        """GitHub sends the browser back: where it is sent on."""
        answer = await window.get(f"{BASE}/github/app/created", params={"code": code, "state": state})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def made(self) -> None:
        """The App is there."""
        self.proxy.on("POST", CONVERSIONS, fault.status(201, conversion(self.server)))
        async with self.browser() as window:
            _, state = await self.asked(window)
            await self.back(window, state)


@pytest.fixture
async def office(start: Start, github: GitHubServer) -> AsyncIterator[Office]:
    async with (
        fault_proxy(github.url) as proxy,
        start(QUIRE_GITHUB_API=proxy.url, QUIRE_PUBLIC_URL=BASE, QUIRE_GITHUB_POLL="0") as quire,
    ):
        async with quire.client() as root:
            for name in ("notes", "papers"):
                (await root.post("/projects", json={"name": name})).raise_for_status()
        yield Office(quire, proxy, github)


# -- the App is made


async def test_root_makes_an_app_and_its_secrets_are_kept_sealed(office: Office) -> None:
    office.proxy.on("POST", CONVERSIONS, fault.status(201, conversion(office.server)))
    async with office.browser() as window:
        manifest, state = await office.asked(window, project="notes")
        assert manifest["redirect_url"] == f"{BASE}/github/app/created"
        assert await office.back(window, state) == f"{office.proxy.url}/apps/quire/installations/new?state=notes"
        told = (await window.get("/github/app")).json()
    assert told["app"]["name"] == "Quire of Alice"
    assert told["app"]["webhook"] is True
    held = await office.quire.store.records(secrets.CREDENTIALS, ProjectId(""))
    assert set(held) == {registration.KEY, registration.WEBHOOK, registration.CLIENT}
    everything = json.dumps(told) + "".join(value.decode() for value in held.values())
    everything += "".join(
        value.decode() for value in (await office.quire.store.records("github-app", ProjectId(""))).values()
    )
    for secret in (WEBHOOK, "1726be1638095a19edd134c77bde3aa2ece1e5d8", office.server.key.splitlines()[1]):
        assert secret not in everything


async def test_the_apps_webhook_counts_from_then_on(office: Office) -> None:
    ping = hooks.delivery("ping", {"zen": "Speak like a human."}, secret=WEBHOOK)

    async def send() -> int:
        async with office.quire.client(None) as nobody:
            return (await nobody.post(f"{BASE}/hooks/github", content=ping.body, headers=ping.headers)).status_code

    assert await send() == 404
    await office.made()
    assert await send() == 202
    async with office.quire.client(None) as nobody:
        forged = Delivery("ping", ping.body, "another secret")
        answer = await nobody.post(f"{BASE}/hooks/github", content=forged.body, headers=forged.headers)
    assert answer.status_code == 401


@pytest.mark.parametrize("state", ["", "x", "x.y.z", "eyJzZXNzaW9uIjpudWxsfQ.aaaa.bbbb"])
async def test_a_state_that_was_not_made_here_brings_no_app_in(office: Office, state: str) -> None:
    async with office.browser() as window:
        assert await office.back(window, state) == "/?github=state_invalid"
    assert office.proxy.requests == []


async def test_a_code_that_another_browser_brings_is_not_taken(office: Office) -> None:
    async with office.browser() as mine, office.browser() as another:
        _, state = await office.asked(mine, project="notes")
        assert await office.back(another, state) == "/p/notes/-/settings?github=state_invalid"
    assert office.proxy.requests == []


async def test_who_is_logged_out_meanwhile_is_told_so(office: Office) -> None:
    async with office.browser() as window:
        _, state = await office.asked(window, project="notes")
        window.cookies.clear()
        assert await office.back(window, state) == "/p/notes/-/settings?github=unauthenticated"


async def test_a_code_that_is_no_longer_good_is_said(office: Office) -> None:
    office.proxy.on("POST", CONVERSIONS, fault.status(404), times=-1)
    async with office.browser() as window:
        _, state = await office.asked(window, project="notes")
        assert await office.back(window, state) == "/p/notes/-/settings?github=invalid"
        assert (await window.get("/github/app")).json()["app"] is None


@pytest.mark.parametrize("code", ["", "../../user", "a b", "x" * 300])
async def test_what_is_no_code_reaches_no_address_of_githubs(office: Office, code: str) -> None:
    async with office.browser() as window:
        _, state = await office.asked(window)
        assert await office.back(window, state, code) == "/?github=invalid"
    assert office.proxy.requests == []


async def test_there_is_one_app(office: Office) -> None:
    async with office.browser() as window:
        _, state = await office.asked(window)
        await office.made()
        assert await office.back(window, state) == "/?github=app_exists"
        again = await window.post("/github/app/manifest", headers=ORIGIN)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "app_exists")


async def test_an_app_that_is_removed_leaves_no_secret_and_can_be_made_anew(office: Office) -> None:
    await office.made()
    async with office.quire.client() as root:
        assert (await root.delete("/github/app")).status_code == 204
        assert (await root.get("/github/app")).json()["app"] is None
        assert (await root.get("/github/installations")).status_code == 404
        assert (await root.delete("/github/app")).status_code == 404
    assert await office.quire.store.records(secrets.CREDENTIALS, ProjectId("")) == {}
    await office.made()


async def test_a_webhook_is_asked_for_where_github_can_reach_it(start: Start) -> None:
    async with start(QUIRE_PUBLIC_URL="https://quire.example.org/q") as quire, quire.client() as root:
        made = (await root.post("/github/app/manifest", json={"organization": "acme"})).json()
    assert made["manifest"]["hook_attributes"]["url"] == "https://quire.example.org/q/hooks/github"
    assert made["action"].startswith("https://github.com/organizations/acme/settings/apps/new?state=")
    async with start() as quire, quire.client() as root:
        made = (await root.post("/github/app/manifest", headers={"Host": "localhost:8000"})).json()
    assert "hook_attributes" not in made["manifest"]


async def test_the_way_back_from_an_installation_leads_into_projects_alone(office: Office) -> None:
    async with office.quire.client(None) as nobody:
        for state, leads in (
            ("notes", "/p/notes/-/settings?github=installed"),
            ("", "/?github=installed"),
            ("//evil.example", "/?github=installed"),
            ("..%2Fx", "/?github=installed"),
        ):
            answer = await nobody.get(
                f"{BASE}/github/app/installed",
                params={"state": state, "installation_id": "1", "setup_action": "install"},
            )
            assert (answer.status_code, answer.headers["location"]) == (303, leads)


# -- installations, and who may use them


async def test_root_says_whose_admins_may_use_an_installation(office: Office) -> None:
    await office.made()
    number = office.server.installation
    async with office.quire.client() as root:
        found = (await root.get("/github/installations")).json()["installations"]
        assert [(each["id"], each["account"], each["projects"]) for each in found] == [(number, "alice", [])]
        assert found[0]["may_commit"] is True
        put = await root.put(f"/github/installations/{number}", json={"projects": ["papers", "notes"]})
        assert put.json()["projects"] == ["notes", "papers"]
        await root.put(f"/github/installations/{number}", json={"projects": ["notes"]})
        found = (await root.get("/github/installations")).json()["installations"]
        assert found[0]["projects"] == ["notes"]
        assert (await root.put("/github/installations/4", json={"projects": []})).status_code == 404
        assert (await root.put(f"/github/installations/{number}", json={"projects": ["no"]})).status_code == 404


async def test_admins_see_what_root_has_allowed_to_their_project_and_nothing_else(office: Office) -> None:
    await office.made()
    number = office.server.installation
    office.proxy.on("GET", "/installation/repositories", listed(3), times=-1)
    async with office.quire.client() as root:
        await root.put(f"/github/installations/{number}", json={"projects": ["notes"]})
    admin = await office.quire.token("notes", "admin")
    another = await office.quire.token("papers", "admin")
    asked = {"project": "notes", "installation": str(number)}
    async with office.quire.client(admin) as mine:
        found = (await mine.get("/github/installations", params={"project": "notes"})).json()["installations"]
        assert [(each["id"], each["projects"]) for each in found] == [(number, None)]
        assert len((await mine.get("/github/repositories", params=asked)).json()["repositories"]) == 3
        assert (await mine.get("/github/installations")).status_code == 400
        assert (await mine.get("/github/repositories", params={"installation": number})).status_code == 400
        assert (await mine.put(f"/github/installations/{number}", json={"projects": []})).status_code == 403
        assert (await mine.post("/github/app/manifest")).status_code == 403
        assert (await mine.delete("/github/app")).status_code == 403
    async with office.quire.client(another) as theirs:
        found = (await theirs.get("/github/installations", params={"project": "papers"})).json()["installations"]
        assert found == []
        assert (await theirs.get("/github/repositories", params=asked)).status_code == 404
        assert (await theirs.get("/github/repositories", params={**asked, "project": "papers"})).status_code == 404
        assert (await theirs.get("/github/repositories", params={"project": "papers"})).status_code == 400
    async with office.quire.client(admin) as mine:
        limited = {"role": "admin", "paths": ["docs/**"]}
        narrow = (await mine.post("/projects/notes/tokens", json=limited)).raise_for_status().json()["token"]
    async with office.quire.client(narrow) as part:
        for place in ("installations", "repositories"):
            refused = await part.get(
                f"/github/{place}", params=asked if place == "repositories" else {"project": "notes"}
            )
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "limited_to_paths")
    for role in ("viewer", "editor"):
        async with office.quire.client(await office.quire.token("notes", role)) as below:
            assert (await below.get("/github/repositories", params=asked)).status_code == 403


async def test_an_app_that_github_does_not_know_any_more_is_said(office: Office) -> None:
    await office.made()
    office.proxy.on("GET", "/app/installations", fault.status(401), times=-1)
    async with office.quire.client() as root:
        answer = await root.get("/github/installations")
    assert answer.status_code == 403
    assert "deleted" in answer.json()["error"]["message"]


# -- repositories to choose from


async def test_repositories_come_page_by_page(office: Office) -> None:
    await office.made()
    office.proxy.on("GET", "/installation/repositories", listed(250), times=-1)
    seen: list[str] = []
    asked = {"installation": str(office.server.installation), "limit": "60"}
    async with office.quire.client() as root:
        while True:
            page = (await root.get("/github/repositories", params=asked)).json()
            seen += [each["name"] for each in page["repositories"]]
            if page["cursor"] is None:
                break
            asked["cursor"] = page["cursor"]
    assert seen == [f"alice/r{n}" for n in range(1, 251)]
    assert len([each for each in office.proxy.requests if "installation/repositories" in each]) == 3


async def test_repositories_are_searched_by_words_through_all_pages(office: Office) -> None:
    await office.made()
    office.proxy.on("GET", "/installation/repositories", listed(730), times=-1)
    asked = {"installation": str(office.server.installation), "search": "ALICE r72"}
    async with office.quire.client() as root:
        first = (await root.get("/github/repositories", params=asked)).json()
        assert [each["name"] for each in first["repositories"]] == ["alice/r72"]
        more = (await root.get("/github/repositories", params={**asked, "cursor": first["cursor"]})).json()
    assert [each["name"] for each in more["repositories"]] == [f"alice/r{n}" for n in range(720, 730)]
    assert more["cursor"] is None


async def test_what_is_archived_or_only_read_takes_no_commits(office: Office) -> None:
    await office.made()
    office.proxy.on("GET", "/installation/repositories", listed(1, archived=True), times=-1)
    async with office.quire.client() as root:
        asked = {"installation": str(office.server.installation)}
        found = (await root.get("/github/repositories", params=asked)).json()["repositories"]
    assert (found[0]["archived"], found[0]["may_commit"]) == (True, False)


async def test_a_token_that_is_sent_lists_what_it_reaches_and_is_not_kept(office: Office) -> None:
    theirs = office.server.make(begun=True)
    admin = await office.quire.token("notes", "admin")
    async with office.quire.client(admin) as mine:
        answer = await mine.get(
            "/github/repositories",
            params={"project": "notes", "search": theirs.full_name},
            headers={"X-GitHub-Token": theirs.token},
        )
    found = answer.raise_for_status().json()["repositories"]
    assert theirs.full_name in [each["name"] for each in found]
    assert len({each["id"] for each in found}) == len(found)
    records = await office.quire.store.records(secrets.CREDENTIALS, ProjectId(""))
    assert records == {}


async def test_a_token_that_github_refuses_is_said(office: Office) -> None:
    office.proxy.on("GET", "/user/repos", fault.status(401), times=-1)
    async with office.quire.client() as root:
        for token, status in (("no-token", 403), ("with space", 400)):
            answer = await root.get("/github/repositories", headers={"X-GitHub-Token": token})
            assert answer.status_code == status


async def test_the_servers_own_token_is_roots_alone(start: Start, github: GitHubServer) -> None:
    theirs = github.make(begun=True)
    async with start(QUIRE_GITHUB_API=github.url, QUIRE_GITHUB_TOKEN=theirs.token) as quire:
        async with quire.client() as root:
            (await root.post("/projects", json={"name": "notes"})).raise_for_status()
            found = (await root.get("/github/repositories", params={"search": theirs.name})).json()["repositories"]
            assert [each["name"] for each in found] == [theirs.full_name]
            assert (await root.get("/github/app")).json()["server_token"] is True
        async with quire.client(await quire.token("notes", "admin")) as admin:
            assert (await admin.get("/github/repositories", params={"project": "notes"})).status_code == 400
            assert (await admin.get("/github/app")).json()["server_token"] is False


@pytest.mark.parametrize("cursor", ["", "0.0", "1", "1.100", "-1.0", "x"])
async def test_what_is_no_cursor_is_refused(office: Office, cursor: str) -> None:
    await office.made()
    async with office.quire.client() as root:
        asked = {"installation": str(office.server.installation), "cursor": cursor}
        answer = await root.get("/github/repositories", params=asked)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "cursor")
    assert not re.search("installation/repositories", " ".join(office.proxy.requests))
