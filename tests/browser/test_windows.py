"""What people do in the browser: write together, lose the server and get it back, bring a project in, rename, delete, commit."""

from __future__ import annotations

import pathlib
import re
import subprocess
import zipfile
from collections.abc import Callable

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, Windows
from tests.harness.peer import crowd
from tests.harness.server import ServerProcess
from tests.harness.until import until_awaited

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("browser")]

expect.set_options(timeout=PATIENCE)

PATH = "docs/a.md"


def text_of(page: Page) -> Locator:
    return page.locator(".cm-content")


def says(page: Page, status: str) -> Locator:
    return page.get_by_role("status").filter(has_text=re.compile(f"^{status}$"))


def file_named(page: Page, name: str) -> Locator:
    return page.get_by_role("treeitem", name=name, exact=True)


async def shown(page: Page) -> str:
    """The text as the window has it."""
    lines: list[str] = await page.locator(".cm-line").evaluate_all(
        "lines => lines.map(line => [...line.childNodes].filter(node => !node.classList?.contains('cm-peer'))"
        ".map(node => node.textContent).join(''))"
    )
    return "\n".join(lines).replace("\u2060", "").replace("\u200b", "")


async def same_text(*pages: Page) -> str:
    async def equal() -> bool:
        return len({await shown(page) for page in pages}) == 1

    await until_awaited(equal, "the windows show the same text")
    return await shown(pages[0])


async def type_at_end(page: Page, text: str) -> None:
    await text_of(page).click()
    await page.keyboard.press("ControlOrMeta+End")
    await page.keyboard.type(text, delay=2)


def make(server: ServerProcess, project: str, path: str, text: str) -> None:
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        api.post("/projects", json={"name": project}).raise_for_status()
        api.put(f"/projects/{project}/files/{path}", content=text.encode()).raise_for_status()


def file_on(server: ServerProcess, project: str, path: str) -> str:
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        return api.get(f"/projects/{project}/files/{path}").raise_for_status().text


async def test_two_windows_write_together_and_lose_and_regain_the_server(
    windows: Windows, spawn: Callable[..., ServerProcess]
) -> None:
    server = spawn()
    make(server, "notes", PATH, "# Together\n")
    alice = await windows.owner(server)
    await alice.goto(f"{server.url}/p/notes/{PATH}")
    bob = await windows.guest(server, "notes", "Bob")
    await bob.goto(f"{server.url}/p/notes/{PATH}")
    for page in (alice, bob):
        await expect(text_of(page)).to_contain_text("# Together")
        await expect(says(page, "Saved")).to_be_visible()

    await type_at_end(alice, "alice was here\n")
    await expect(text_of(bob)).to_contain_text("alice was here")
    await type_at_end(bob, "so was bob, 中文 😀\n")
    await expect(text_of(alice)).to_contain_text("so was bob, 中文 😀")
    await expect(alice.locator(".cm-peer[data-name='Bob']")).to_have_count(1)
    await expect(alice.get_by_role("group", name="Here now")).to_be_visible()

    server.kill()
    for page in (alice, bob):
        await expect(says(page, "Offline")).to_be_visible()
    await type_at_end(alice, "typed by alice while it was down\n")
    await type_at_end(bob, "typed by bob while it was down\n")
    server.restart()
    for page in (alice, bob):
        await expect(text_of(page)).to_contain_text("typed by alice while it was down")
        await expect(text_of(page)).to_contain_text("typed by bob while it was down")
        await expect(says(page, "Saved")).to_be_visible()
    text = await same_text(alice, bob)
    for once in ("alice was here", "so was bob, 中文 😀", "by alice while", "by bob while"):
        assert text.count(once) == 1
    assert file_on(server, "notes", PATH) == text


async def test_a_window_and_a_peer_in_python_see_each_others_cursors(
    windows: Windows, server: ServerProcess, project: str, async_api: httpx.AsyncClient
) -> None:
    (await async_api.put(f"/projects/{project}/files/{PATH}", content=b"0123456789\n")).raise_for_status()
    alice = await windows.owner(server)
    await alice.goto(f"{server.url}/p/{project}/{PATH}")
    await expect(says(alice, "Saved")).to_be_visible()
    async with crowd() as people:
        peer = await people.join(server, project, PATH)
        await text_of(alice).click()
        await peer.hears(lambda: any("cursor" in state for state in peer.present.values()), "alice's cursor")
        await peer.append("from python\n")
        await expect(text_of(alice)).to_contain_text("from python")


async def test_a_project_is_imported_renamed_in_and_committed(
    windows: Windows, server: ServerProcess, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "handbook.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("README.md", "# Handbook\n")
        made.writestr("docs/first.md", "the first chapter\n")
        made.writestr("picture.png", bytes(range(256)))
    page = await windows.owner(server)
    await page.goto(server.url)
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.get_by_label("Archive", exact=True).set_input_files(archive)
    await page.get_by_role("button", name="Import project").click()
    await page.wait_for_url("**/p/handbook**")
    for name in ("README.md", "docs", "picture.png"):
        await expect(file_named(page, name)).to_be_visible()

    await file_named(page, "docs").click()
    await file_named(page, "first.md").click()
    await expect(text_of(page)).to_contain_text("the first chapter")
    await type_at_end(page, "and a second line\n")
    await page.get_by_role("button", name="Rename", exact=True).click()
    await page.get_by_label("New name of first.md").fill("chapter 1.md")
    await page.keyboard.press("Enter")
    await expect(file_named(page, "chapter 1.md")).to_be_visible()
    await type_at_end(page, "typed after the rename\n")
    await expect(says(page, "Saved")).to_be_visible()
    assert file_on(server, "handbook", "docs/chapter 1.md").endswith("and a second line\ntyped after the rename\n")

    await page.get_by_role("button", name=re.compile("not committed|Committing|All committed")).click()
    await page.get_by_label("Commit message").fill("Chapter one, by hand")
    await page.get_by_role("button", name="Commit now").click()
    await expect(page.get_by_text("Everything is committed")).to_be_visible()
    repository = server.data / "git" / "handbook.git"
    assert "Chapter one, by hand" in git(repository, "log", "--format=%s", "main")
    assert git(repository, "show", "main:docs/chapter 1.md").startswith("the first chapter\n")


async def test_a_file_is_made_deleted_and_brought_back(windows: Windows, server: ServerProcess) -> None:
    page = await windows.owner(server)
    await page.goto(server.url)
    await page.get_by_role("button", name="New project").click()
    await page.get_by_role("dialog").get_by_role("textbox").first.fill("by-hand")
    await page.get_by_role("button", name="Create project").click()
    await page.wait_for_url("**/p/by-hand**")
    await page.get_by_role("button", name="New file").first.click()
    await page.get_by_label("Name of the new file").fill("todo.md")
    await page.keyboard.press("Enter")
    await expect(file_named(page, "todo.md")).to_be_visible()
    await type_at_end(page, "nothing yet\n")
    await expect(says(page, "Saved")).to_be_visible()
    await file_named(page, "todo.md").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(file_named(page, "todo.md")).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(file_named(page, "todo.md")).to_be_visible()
    assert file_on(server, "by-hand", "todo.md") == "nothing yet\n"


async def test_an_invitation_made_in_the_page_lets_somebody_in(
    windows: Windows, server: ServerProcess, project: str
) -> None:
    page = await windows.owner(server)
    await page.goto(f"{server.url}/p/{project}")
    await page.get_by_role("button", name="Invite").click()
    await page.get_by_role("dialog").get_by_role("button", name=re.compile("link", re.IGNORECASE)).click()
    address = await page.get_by_label("Invitation link").input_value()
    assert address.startswith(server.url)
    guest = await windows.stranger()
    await guest.goto(address)
    await expect(guest.get_by_role("heading", name=project)).to_be_visible()


async def test_five_thousand_files_open_without_stutter(
    windows: Windows, server: ServerProcess, async_api: httpx.AsyncClient, project: str, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for number in range(5_000):
            made.writestr(f"part-{number // 100:02}/file-{number:04}.md", f"{number}\n")
    imported = await async_api.post(
        f"/projects/{project}/import", content=archive.read_bytes(), headers={"content-type": "application/zip"}
    )
    job = imported.raise_for_status().json()["job"]["id"]
    page = await windows.owner(server)

    async def done() -> bool:
        answer = await async_api.get(f"/projects/{project}/import/{job}")
        return bool(answer.raise_for_status().json()["job"]["state"] == "done")

    await until_awaited(done, "the import", seconds=60)
    await page.add_init_script(
        "window.longest = 0; new PerformanceObserver(list => { for (const task of list.getEntries()) "
        "window.longest = Math.max(window.longest, task.duration) }).observe({type: 'longtask', buffered: true})"
    )
    await page.goto(f"{server.url}/p/{project}")
    await expect(file_named(page, "part-00")).to_be_visible()
    await file_named(page, "part-00").click()
    await expect(file_named(page, "file-0000.md")).to_be_visible()
    longest: float = await page.evaluate("window.longest")
    assert longest < 500, f"the page was busy for {longest:.0f} ms in one go"


def git(repository: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(repository), *arguments], check=True, capture_output=True, text=True, timeout=30
    ).stdout
