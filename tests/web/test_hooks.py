"""GitHub's webhook at our door: who gets in, and what it costs us when somebody should not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import anyio
import httpx
import pytest

from collab.actors import QUIRE
from collab.ids import Millis, ProjectId
from snapshots import connection
from snapshots.connection import Connection
from snapshots.remotes import github_hook
from tests.harness import hooks
from tests.harness.hooks import SECRET, Delivery
from tests.web.conftest import BASE, Quire, Start
from web.api import hooks as endpoint

pytestmark = pytest.mark.anyio

Begun = AbstractAsyncContextManager[Quire]


@pytest.fixture
async def quire(start: Start) -> AsyncIterator[Quire]:
    """With the project `notes`, which follows `alice/notes` on a GitHub that does not answer."""
    closed = "http://127.0.0.1:9"
    async with start(QUIRE_GITHUB_WEBHOOK_SECRET=SECRET, QUIRE_GITHUB_API=closed, QUIRE_GITHUB_POLL="0") as running:
        async with running.client() as root:
            (await root.post("/projects", json={"name": "notes"})).raise_for_status()
        project = await running.store.project("notes")
        assert project is not None
        there = Connection(kind="github", repository="alice/notes", branch="main", id=7, at=Millis(1), by=QUIRE.id)
        await running.store.commit(changes=[connection.put(project.id, there)])
        yield running


async def send(quire: Quire, delivery: Delivery, **headers: str) -> httpx.Response:
    async with quire.client(None) as nobody:
        return await nobody.post(f"{BASE}/hooks/github", content=delivery.body, headers=delivery.headers | headers)


async def remembered(quire: Quire) -> list[str]:
    return list(await quire.store.records("deliveries", ProjectId("")))


PUSH = hooks.push(7, "alice/notes", "a" * 40, "b" * 40)


async def test_a_push_that_is_signed_is_accepted_at_once(quire: Quire) -> None:
    answer = await send(quire, PUSH)
    assert (answer.status_code, answer.json()) == (202, {"state": "accepted", "projects": 1})
    assert await remembered(quire) == [PUSH.id]


async def test_a_replay_is_said_to_be_one(quire: Quire) -> None:
    await send(quire, PUSH)
    answer = await send(quire, PUSH)
    assert (answer.status_code, answer.json()) == (202, {"state": "repeated", "projects": 0})


async def test_a_ping_is_answered(quire: Quire) -> None:
    answer = await send(quire, hooks.delivery("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}))
    assert (answer.status_code, answer.json()["state"]) == (202, "pong")


@pytest.mark.parametrize("event", ["issues", "star"])
async def test_what_nobody_here_follows_is_ignored(quire: Quire, event: str) -> None:
    answer = await send(quire, hooks.delivery(event, {"action": "created"}))
    assert (answer.status_code, answer.json()["state"]) == (202, "ignored")


async def test_a_signature_under_another_secret_is_refused(quire: Quire) -> None:
    answer = await send(quire, Delivery("push", PUSH.body, "another secret"))
    assert answer.status_code == 401
    assert "another secret than Quire" in answer.json()["error"]["message"]
    assert await remembered(quire) == []


async def test_a_body_that_was_changed_on_its_way_is_refused(quire: Quire) -> None:
    headers = PUSH.headers
    async with quire.client(None) as nobody:
        answer = await nobody.post(f"{BASE}/hooks/github", content=PUSH.body + b" ", headers=headers)
    assert answer.status_code == 401


async def test_the_older_signature_alone_does_not_count(quire: Quire) -> None:
    old = Delivery("push", PUSH.body, algorithm="sha1")
    answer = await send(quire, old)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "X-Hub-Signature-256")
    forged = old.headers["X-Hub-Signature"].replace("sha1", "sha256")
    assert (await send(quire, old, **{"X-Hub-Signature-256": forged})).status_code == 400
    assert (await send(quire, old, **{"X-Hub-Signature-256": old.headers["X-Hub-Signature"]})).status_code == 400


async def test_a_session_or_a_token_opens_nothing_here(quire: Quire) -> None:
    async with quire.client() as root:
        answer = await root.post(f"{BASE}/hooks/github", content=PUSH.body, headers={"X-GitHub-Event": "push"})
    assert answer.status_code == 400


async def test_without_a_secret_there_is_no_webhook(start: Start) -> None:
    async with start() as quire:
        answer = await send(quire, Delivery("push", PUSH.body, ""))
        assert answer.status_code == 404
        assert "QUIRE_GITHUB_WEBHOOK_SECRET" in answer.json()["error"]["message"]


async def test_a_body_that_is_announced_as_huge_is_refused_unread(quire: Quire) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = PUSH.headers | {"Content-Length": str(github_hook.LARGEST + 1)}
    async with quire.client(None) as nobody:
        answer = await nobody.post(f"{BASE}/hooks/github", content=never(), headers=headers)
    assert answer.status_code == 413


async def test_a_body_that_turns_out_huge_is_refused_on_its_way(quire: Quire) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * (1 << 20)

    async with quire.client(None) as nobody:
        answer = await nobody.post(f"{BASE}/hooks/github", content=endless(), headers=PUSH.headers)
    assert answer.status_code == 413
    assert sent <= 27


async def test_a_body_that_does_not_come_is_let_go(quire: Quire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "WITHIN", 0.02)

    async def stuck() -> AsyncIterator[bytes]:
        yield PUSH.body[:10]
        await anyio.sleep_forever()

    async with quire.client(None) as nobody:
        with anyio.fail_after(10):
            answer = await nobody.post(f"{BASE}/hooks/github", content=stuck(), headers=PUSH.headers)
    assert answer.status_code == 400
    assert endpoint.BODIES.now == 0


async def test_bodies_that_come_together_are_bounded_together(quire: Quire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint.BODIES, "most", 4096)
    held, go_on = anyio.Event(), anyio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 4000
        held.set()
        await go_on.wait()

    async with quire.client(None) as nobody, anyio.create_task_group() as tasks:

        async def occupy() -> None:
            await nobody.post(f"{BASE}/hooks/github", content=slow(), headers=PUSH.headers)

        tasks.start_soon(occupy)
        await held.wait()
        answer = await send(quire, PUSH)
        assert answer.status_code == 503
        go_on.set()
    assert endpoint.BODIES.now == 0
    assert (await send(quire, PUSH)).status_code == 202


async def test_a_large_push_is_taken(quire: Quire) -> None:
    commits = [{"id": "c" * 40, "message": "x" * 1000}] * 1500
    answer = await send(quire, hooks.push(7, "alice/notes", "a" * 40, "b" * 40, payload={"commits": commits}))
    assert answer.json()["state"] == "accepted"


async def test_a_disk_that_is_full_is_said_and_the_delivery_can_be_sent_again(quire: Quire) -> None:
    quire.store.full = True
    assert (await send(quire, PUSH)).status_code == 503
    quire.store.full = False
    assert (await send(quire, PUSH)).json()["state"] == "accepted"
