"""A project is connected to a repository on GitHub, in the page: the App is made, a repository chosen, and what both sides have
brought together. GitHub's own pages are played by a proxy, which sends the browser back as they do.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio.to_thread
import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE, Windows
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.server import ServerProcess
from tests.web.test_github import conversion, repository

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("browser")]

expect.set_options(timeout=PATIENCE)


@dataclass
class World:
    server: ServerProcess
    theirs: GitHubRepository
    proxy: FaultProxy

    async def put(self, **files: str) -> None:
        async with httpx.AsyncClient(base_url=f"{self.server.url}/api/v1", headers=self.server.headers) as api:
            for name, text in files.items():
                path = name.replace("__", "/") + ".md"
                (await api.put(f"/projects/notes/files/{path}", content=text.encode())).raise_for_status()

    async def get(self, tail: str) -> Any:
        async with httpx.AsyncClient(base_url=f"{self.server.url}/api/v1", headers=self.server.headers) as api:
            return (await api.get(f"/projects/notes{tail}")).raise_for_status().json()


@pytest.fixture
async def world(github: GitHubServer, spawn: Callable[..., ServerProcess]) -> AsyncIterator[World]:
    theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
    for path, content in (("guide.md", b"theirs\n"), ("same.md", b"same\n")):
        await anyio.to_thread.run_sync(theirs.push, path, content)
    async with fault_proxy(github.url) as proxy:
        server = await anyio.to_thread.run_sync(
            lambda: spawn(QUIRE_GITHUB_API=proxy.url, QUIRE_COMMIT_QUIET="1h", QUIRE_COMMIT_MAX_AGE="1h")
        )
        pages_of_github(proxy, github, server, theirs)
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
            (await api.post("/projects", json={"name": "notes"})).raise_for_status()
        yield World(server, theirs, proxy)


def pages_of_github(proxy: FaultProxy, github: GitHubServer, server: ServerProcess, theirs: GitHubRepository) -> None:
    async def made(request: Request, forward: Forward) -> Reply:
        manifest = json.loads(parse_qs(request.body.decode())["manifest"][0])
        state = parse_qs(urlsplit(request.path).query)["state"][0]
        return Reply(302, {"location": f"{manifest['redirect_url']}?code=once&state={state}"}, b"")

    async def installed(request: Request, forward: Forward) -> Reply:
        state = parse_qs(urlsplit(request.path).query)["state"][0]
        return Reply(302, {"location": f"{server.url}/github/app/installed?setup_action=install&state={state}"}, b"")

    mine = repository(1, full_name=theirs.full_name)
    others = [repository(n, archived=n == 3) for n in range(2, 40)]
    listed = {"total_count": 39, "repositories": [*others, mine]}
    proxy.on("POST", "/settings/apps/new", made, times=-1)
    proxy.on("POST", "/app-manifests/", fault.status(201, conversion(github)), times=-1)
    proxy.on("GET", "/apps/quire/installations/new", installed, times=-1)
    proxy.on("GET", "/installation/repositories", fault.status(200, listed), times=-1)


async def fact(page: Page, name: str) -> str:
    """What stands behind a name in the section."""
    line = page.locator(".standing > div").filter(has=page.locator("dt", has_text=name))
    return (await line.locator("dd").inner_text()).strip()


async def test_a_project_is_connected_and_disconnected_by_keyboard_and_nothing_moves(
    windows: Windows, world: World
) -> None:
    await world.put(guide="ours\n", mine="mine\n", same="same\n")
    page = await windows.owner(world.server)
    await page.goto(f"{world.server.url}/p/notes/-/settings")
    assert "own repository" in await fact(page, "Where")
    assert "3 files not committed" in await fact(page, "Next commit")

    # The App: GitHub makes it, installs it, and sends the browser back.
    await page.get_by_role("button", name="Make the GitHub App").press("Enter")
    await expect(page.get_by_text("may reach what you have chosen")).to_be_visible()
    assert "github=" not in page.url
    await expect(page.get_by_role("link", name="Quire of Alice")).to_be_visible()

    # A repository is looked for by its name and chosen; one that takes no commits cannot be.
    await page.get_by_role("button", name="Connect to a repository").press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("GitHub, through the App")).to_be_focused()
    await expect(dialog.get_by_role("radio", name="alice/r3 archived")).to_be_disabled()
    box = await dialog.locator(".repositories").bounding_box()
    await dialog.get_by_role("textbox", name="Repository").press_sequentially(world.theirs.name)
    await expect(dialog.locator(".repository")).to_have_count(1)
    assert await dialog.locator(".repositories").bounding_box() == box
    await dialog.get_by_label(world.theirs.full_name).press("Space")
    await expect(dialog.get_by_role("textbox", name="Repository")).to_have_value(world.theirs.full_name)

    # What is wrong is said where it is wrong, and what was filled in stays.
    await dialog.get_by_role("textbox", name="Branch").fill("no such")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_text("is no name for a branch")).to_be_visible()
    await expect(dialog.get_by_role("textbox", name="Branch")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_role("textbox", name="Branch").fill("")
    await page.keyboard.press("Enter")

    # The preview asks; nothing goes on without an answer.
    await expect(dialog.get_by_text("What counts?")).to_be_visible()
    for name, count in (("Different", 1), ("Only here", 1), ("Only there", 1), ("Equal", 1)):
        await expect(dialog.locator("summary", has_text=name)).to_contain_text(str(count))
    await expect(dialog.get_by_role("button", name="Connect", exact=True)).to_be_disabled()
    await expect(dialog.get_by_label("Keep both")).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await expect(
        page.get_by_text(f"The project is connected to {world.theirs.full_name}. 1 file in conflict.")
    ).to_be_visible()
    await expect(dialog).to_have_count(0)
    assert world.theirs.full_name in await fact(page, "Where")
    assert "through the GitHub App" in await fact(page, "Where")
    await expect(page.locator(".standing")).to_contain_text("1 file in conflict")
    await expect(page.locator(".standing")).to_contain_text("guide.md")
    remote = await world.get("/remote")
    assert (remote["credential"], remote["branch"]) == ("app", "main")
    assert {each["path"] for each in await world.get("/files")} == {"README.md", "guide.md", "mine.md", "same.md"}

    # And back again, after a question.
    await page.get_by_role("button", name="Disconnect").press("Enter")
    await expect(dialog.get_by_text("Nothing is changed in")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Disconnect")).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Disconnect").press("Enter")
    await expect(page.get_by_text("The project is in its own repository.")).to_be_visible()
    assert (await world.get("/remote"))["local"] is True


async def test_an_admin_who_is_not_root_is_told_what_he_may_use(windows: Windows, world: World) -> None:
    async with httpx.AsyncClient(base_url=f"{world.server.url}/api/v1", headers=world.server.headers) as api:
        invited = await api.post("/projects/notes/invites", json={"role": "admin"})
    bob = await windows.stranger()
    await bob.goto(invited.raise_for_status().json()["url"])
    await bob.get_by_label("Your name").fill("Bob")
    await bob.get_by_role("button", name="Join").click()
    await bob.wait_for_url("**/p/notes**")
    await bob.goto(f"{world.server.url}/p/notes/-/settings")
    await bob.get_by_role("button", name="Connect to a repository").click()
    dialog = bob.get_by_role("dialog")
    await dialog.get_by_label("GitHub, through the App").check()
    await expect(dialog.get_by_text("Whoever runs this Quire can make one")).to_be_visible()
    await expect(dialog.get_by_text("on the server's disk")).to_have_count(0)
    await expect(bob.get_by_role("region", name="GitHub App")).to_have_count(0)

    # With a token of his own he needs nobody.
    await dialog.get_by_label("GitHub, with a token").check()
    await dialog.get_by_role("textbox", name="Token").fill(world.theirs.token)
    await dialog.get_by_role("textbox", name="Repository").fill(f"https://github.com/{world.theirs.full_name}.git")
    await dialog.get_by_role("button", name="Look what that means").click()
    await expect(dialog.get_by_text("3 files will come in.")).to_be_visible()
    await dialog.get_by_role("button", name="Connect", exact=True).click()
    await expect(bob.get_by_text("3 files came in.")).to_be_visible()
    assert "with a token of this project" in await fact(bob, "Where")
