"""What happens to a repository on GitHub reaches the project that follows it: told of by a webhook, or found by looking.

The server is `emulate`; that it tells of what happens, signed, is its own doing where it can (`test_github_itself`), and
the tests' where they say what exactly is told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.harness import faultproxy as fault
from tests.harness import hooks
from tests.harness.faultproxy import FaultProxy, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hooks import SECRET, Delivery
from tests.harness.server import ServerProcess
from tests.harness.until import until_awaited
from tests.web.conftest import BASE, Quire, Start

pytestmark = pytest.mark.anyio

REF = "/git/ref/heads/main$"


@dataclass
class Followed:
    """The project `notes` follows a repository on GitHub, whose id is `number`."""

    quire: Quire
    root: httpx.AsyncClient
    proxy: FaultProxy
    theirs: GitHubRepository
    number: int

    async def on_github(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(work, *arguments)

    async def push(self, path: str, content: bytes) -> Delivery:
        """Somebody pushes: how GitHub tells of it."""
        before = await self.on_github(self.theirs.head)
        after = await self.on_github(self.theirs.push, path, content)
        return hooks.push(self.number, self.theirs.full_name, before, after)

    async def tell(self, delivery: Delivery) -> None:
        """What follows from it has happened when this returns."""
        async with self.quire.client(None) as nobody:
            answer = await nobody.post(f"{BASE}/hooks/github", content=delivery.body, headers=delivery.headers)
        assert answer.status_code == 202, answer.text
        with anyio.fail_after(30):
            await self.quire.services.listener.idle()

    async def event(self, action: str) -> None:
        """Something happened to the repository itself."""
        told = {"action": action, "repository": hooks.repository(self.number, self.theirs.full_name)}
        await self.tell(hooks.delivery("repository", told))

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.root.get("/projects/notes/status")).json()
        return found

    async def text(self, path: str) -> str:
        return (await self.root.get(f"/projects/notes/files/{path}")).text


@pytest.fixture
async def followed(start: Start, github: GitHubServer) -> AsyncIterator[Followed]:
    theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
    async with fault_proxy(github.url) as proxy:
        environ = {"QUIRE_GITHUB_API": proxy.url, "QUIRE_GITHUB_WEBHOOK_SECRET": SECRET, "QUIRE_GITHUB_POLL": "0"}
        async with start(**environ) as quire, quire.client() as root:
            yield await follow(quire, root, proxy, theirs)


async def follow(quire: Quire, root: httpx.AsyncClient, proxy: FaultProxy, theirs: GitHubRepository) -> Followed:
    (await root.post("/projects", json={"name": "notes"})).raise_for_status()
    wanted = {"kind": "github", "repository": theirs.full_name, "token": theirs.token}
    (await root.put("/projects/notes/remote", json=wanted)).raise_for_status()
    number = (await anyio.to_thread.run_sync(theirs.get, ""))["id"]
    return Followed(quire, root, proxy, theirs, number)


async def test_a_push_that_is_told_of_is_there(followed: Followed) -> None:
    await followed.tell(await followed.push("a.md", b"pushed\n"))
    assert await followed.text("a.md") == "pushed\n"
    watch = (await followed.status())["watch"]
    assert watch["by_webhook"] is True
    assert watch["last_webhook"] is not None


async def test_our_own_commit_comes_back_as_a_webhook_and_nothing_is_asked(followed: Followed) -> None:
    before = await followed.on_github(followed.theirs.head)
    await followed.root.put("/projects/notes/files/ours.md", content=b"ours\n")
    made = (await followed.root.post("/projects/notes/snapshots")).json()
    assert made["state"] == "done"
    followed.proxy.clear()
    await followed.tell(hooks.push(followed.number, followed.theirs.full_name, before, made["commit"]))
    assert followed.proxy.requests == []


async def test_a_repository_that_was_renamed_is_followed_and_called_by_its_new_name(followed: Followed) -> None:
    await followed.on_github(followed.theirs.rename, f"{followed.theirs.name}-renamed")
    await followed.event("renamed")
    remote = (await followed.root.get("/projects/notes/remote")).json()
    assert remote["repository"] == followed.theirs.full_name
    await followed.tell(await followed.push("a.md", b"pushed\n"))
    assert await followed.text("a.md") == "pushed\n"


async def test_a_repository_that_is_archived_is_said_until_it_is_not(followed: Followed) -> None:
    followed.proxy.on(
        "GET", f"/repos/{followed.theirs.full_name}$", fault.changed(lambda body: {**body, "archived": True})
    )
    await followed.event("archived")
    status = await followed.status()
    assert status["state"] == "failed"
    assert "is archived" in status["detail"]
    await followed.event("unarchived")
    assert (await followed.status())["state"] == "idle"


async def test_a_repository_that_is_gone_is_said_and_comes_back(followed: Followed) -> None:
    followed.proxy.on("GET", "/repos", fault.status(404), times=-1)
    await followed.event("deleted")
    status = await followed.status()
    assert status["state"] == "failed"
    assert "There is no repository" in status["detail"]
    followed.proxy.rules.clear()
    await followed.tell(await followed.push("a.md", b"pushed\n"))
    assert await followed.text("a.md") == "pushed\n"
    await followed.root.post("/projects/notes/snapshots")
    assert (await followed.status())["state"] == "idle"


async def test_a_branch_that_was_deleted_is_said_and_the_files_stay(followed: Followed) -> None:
    await followed.tell(await followed.push("a.md", b"pushed\n"))
    before = await followed.on_github(followed.theirs.head)
    followed.proxy.on("GET", REF, fault.status(404), times=-1)
    await followed.tell(hooks.push(followed.number, followed.theirs.full_name, before, None))
    status = await followed.status()
    assert status["state"] == "failed"
    assert "main" in status["detail"]
    assert await followed.text("a.md") == "pushed\n"


async def test_a_push_that_github_does_not_show_yet_comes_all_the_same(followed: Followed) -> None:
    told = await followed.push("a.md", b"pushed\n")
    old = {"ref": "refs/heads/main", "object": {"sha": _before(told), "type": "commit"}}
    followed.proxy.on("GET", REF, fault.status(200, old))
    await followed.tell(told)
    assert await followed.text("a.md") == "pushed\n"


def _before(told: Delivery) -> str:
    before: str = json.loads(told.body)["before"]
    return before


# -- without webhooks


async def test_a_push_that_nobody_told_of_is_found_by_a_conditional_request(start: Start, github: GitHubServer) -> None:
    theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
    async with fault_proxy(github.url) as proxy:
        proxy.on("GET", REF, fault.etags(), times=-1)
        environ = {"QUIRE_GITHUB_API": proxy.url, "QUIRE_GITHUB_POLL": "50ms"}
        async with start(**environ) as quire, quire.client() as root:
            followed = await follow(quire, root, proxy, theirs)

            async def looked(times: int) -> None:
                async def enough() -> bool:
                    return len([each for each in proxy.requests if each.endswith("/git/ref/heads/main")]) >= times

                await until_awaited(enough, "the branch was looked at")

            await looked(1)
            proxy.clear()
            await looked(5)
            # Nothing has moved: nothing else was asked, and GitHub did not have to say where the branch stands.
            assert {each.rpartition("/repos")[2] for each in proxy.requests} <= {"GET /git/ref/heads/main"}
            watch = (await followed.status())["watch"]
            assert (watch["by_webhook"], watch["last_webhook"]) == (False, None)
            assert watch["last_look"] < watch["next_look"]
            await followed.push("a.md", b"pushed\n")

            async def there() -> bool:
                return (await root.get("/projects/notes/files/a.md")).status_code == 200

            await until_awaited(there, "what was pushed is there")


async def test_looks_are_rare_where_a_webhook_tells_and_often_again_when_it_does_not(
    start: Start, github: GitHubServer
) -> None:
    theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
    async with fault_proxy(github.url) as proxy:
        environ = {
            "QUIRE_GITHUB_API": proxy.url,
            "QUIRE_GITHUB_WEBHOOK_SECRET": SECRET,
            "QUIRE_GITHUB_POLL": "200ms",
        }
        async with start(**environ) as quire, quire.client() as root:
            followed = await follow(quire, root, proxy, theirs)
            await followed.tell(await followed.push("a.md", b"one\n"))
            assert (await followed.status())["watch"]["by_webhook"] is True
            await followed.push("a.md", b"nobody tells of this\n")

            async def there() -> bool:
                return await followed.text("a.md") == "nobody tells of this\n"

            await until_awaited(there, "what was pushed is there")
            assert (await followed.status())["watch"]["by_webhook"] is False


# -- GitHub itself


async def test_github_itself_tells_of_a_push_and_it_is_there(
    github: GitHubServer, spawn: Callable[..., ServerProcess]
) -> None:
    """The server in Node signs and sends: nothing of the delivery is ours."""
    theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
    server = await anyio.to_thread.run_sync(
        lambda: spawn(QUIRE_GITHUB_API=github.url, QUIRE_GITHUB_WEBHOOK_SECRET=SECRET, QUIRE_GITHUB_POLL="0")
    )
    hook = {
        "name": "web",
        "active": True,
        "events": ["push"],
        "config": {"url": f"{server.url}/hooks/github", "content_type": "json", "secret": SECRET},
    }
    await anyio.to_thread.run_sync(theirs.post, f"/repos/{theirs.full_name}/hooks", hook)
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as root:
        (await root.post("/projects", json={"name": "notes"})).raise_for_status()
        wanted = {"kind": "github", "repository": theirs.full_name, "token": theirs.token}
        (await root.put("/projects/notes/remote", json=wanted)).raise_for_status()
        await anyio.to_thread.run_sync(theirs.push, "a.md", b"told by GitHub\n")

        async def there() -> bool:
            return (await root.get("/projects/notes/files/a.md")).text == "told by GitHub\n"

        await until_awaited(there, "what was pushed is there")
        status = (await root.get("/projects/notes/status")).json()
    assert status["watch"]["by_webhook"] is True
