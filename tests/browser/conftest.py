"""A headless Chromium, and windows of people who are logged in. What a page reports as an error fails the test."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.harness.chromium import chromium
from tests.harness.server import ServerProcess
from tests.harness.until import until

SIZE = {"width": 1280, "height": 800}
PATIENCE = 20_000
"""Milliseconds that a page has for what is expected of it."""


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    unpacked = await anyio.to_thread.run_sync(chromium)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=unpacked.executable, args=list(unpacked.arguments), env=dict(unpacked.environ)
        )
        yield browser
        await browser.close()


class Windows:
    """Everybody has a window of his own, and no cookie of anybody else's."""

    def __init__(self, browser: Browser) -> None:
        self.errors: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    async def owner(self, server: ServerProcess) -> Page:
        """The window that the printed address opens."""
        page = await self.stranger()
        await page.goto(until(lambda: login_address(server), "the printed login address"))
        return page

    async def guest(self, server: ServerProcess, project: str, name: str) -> Page:
        """Somebody who follows an invitation and gives his name."""
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
            invited = await api.post(f"/projects/{project}/invites", json={"role": "editor"})
        page = await self.stranger()
        await page.goto(invited.raise_for_status().json()["url"])
        await page.get_by_label("Your name").fill(name)
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_url(f"**/p/{project}**")
        return page

    async def stranger(self) -> Page:
        """Somebody who is not logged in."""
        context = await self._browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("console", self._heard)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        """A server that is away is not the page's error; the browser itself logs it."""
        if message.type == "error" and not re.search(
            r"ERR_|WebSocket connection|Failed to load resource", message.text
        ):
            self.errors.append(message.text)

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()


def login_address(server: ServerProcess) -> str | None:
    """The newest one in what the server printed."""
    found = re.findall(r"http://\S+/login\?code=\S+", server.log)
    return found[-1] if found else None


@pytest.fixture
async def windows(browser: Browser) -> AsyncIterator[Windows]:
    opened = Windows(browser)
    yield opened
    await opened.close()
    assert not opened.errors, f"a page reported errors: {opened.errors}"
