"""A write that is sent twice is done once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from tests.web.conftest import Quire
from web.idempotency import KEPT_MILLIS

pytestmark = pytest.mark.anyio

KEY = {"idempotency-key": "one"}


async def test_sent_again_it_is_answered_as_before_and_not_done_again(root: httpx.AsyncClient, notes: str) -> None:
    first = await root.put(f"{notes}/files/a.md", content="x", headers=KEY)
    await root.delete(f"{notes}/files/a.md")
    again = await root.put(f"{notes}/files/a.md", content="x", headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert (await root.get(f"{notes}/files/a.md")).status_code == 404


async def test_two_at_once_are_done_once(root: httpx.AsyncClient) -> None:
    answers: list[int] = []

    async def create() -> None:
        answers.append((await root.post("/projects", json={"name": "notes"}, headers=KEY)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(create)
    assert answers == [201] * 5


async def test_the_key_of_another_request_is_refused(root: httpx.AsyncClient, notes: str) -> None:
    await root.put(f"{notes}/files/a.md", content="x", headers=KEY)
    refused = await root.put(f"{notes}/files/b.md", content="x", headers=KEY)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "Idempotency-Key")


async def test_the_same_key_with_another_body_of_the_same_length_is_refused(
    root: httpx.AsyncClient, notes: str
) -> None:
    await root.put(f"{notes}/files/a.md", content="one", headers=KEY)
    refused = await root.put(f"{notes}/files/a.md", content="two", headers=KEY)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "Idempotency-Key")
    assert (await root.get(f"{notes}/files/a.md")).text == "one"
    other = {"idempotency-key": "another"}
    assert (await root.post("/projects", json={"name": "ab"}, headers=other)).status_code == 201
    assert (await root.post("/projects", json={"name": "cd"}, headers=other)).status_code == 422
    assert (await root.post("/projects", json={"name": "ab"}, headers=other)).status_code == 201


async def test_an_upload_is_told_from_another_of_the_same_length_but_not_by_its_boundary(
    root: httpx.AsyncClient, notes: str
) -> None:
    async def send(content: bytes, boundary: str) -> httpx.Response:
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        files = {"files": ("a.md", content)}

        async def pieces() -> AsyncIterator[bytes]:
            for byte in httpx.Request("POST", "http://a", files=files, headers=kind).read():
                yield bytes([byte])

        return await root.post(f"{notes}/import", content=pieces(), headers=KEY | kind)

    first = await send(b"one", "cut-here")
    assert first.status_code == 202
    assert (await send(b"one", "or-there")).json() == first.json()
    assert (await send(b"two", "cut-here")).status_code == 422


async def test_a_failure_may_be_tried_again_with_the_same_key(root: httpx.AsyncClient, notes: str) -> None:
    body = {"from": "a.md", "to": "b.md"}
    assert (await root.post(f"{notes}/moves", json=body, headers=KEY)).status_code == 404
    await root.put(f"{notes}/files/a.md", content="x")
    assert (await root.post(f"{notes}/moves", json=body, headers=KEY)).status_code == 200


async def test_somebody_elses_key_is_another_one(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    await root.put(f"{notes}/files/a.md", content="x", headers=KEY)
    async with quire.client(await quire.token("notes", "editor", agent="Scribe")) as agent:
        assert (await agent.put(f"{notes}/files/b.md", content="x", headers=KEY)).status_code == 201


async def test_a_secret_is_neither_shown_twice_nor_kept(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    made = await root.post(f"{notes}/tokens", json={"role": "viewer"}, headers=KEY)
    again = await root.post(f"{notes}/tokens", json={"role": "viewer"}, headers=KEY)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_done")
    project = await quire.services.workspace.project("notes")
    for value in (await quire.store.records("answers", project.id)).values():
        assert made.json()["token"] not in value.decode()
    assert len((await root.get(f"{notes}/tokens")).json()["tokens"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "\x7f"])
async def test_a_key_that_cannot_be_is_refused(root: httpx.AsyncClient, notes: str, key: str) -> None:
    refused = await root.put(f"{notes}/files/a.md", content="x", headers={"idempotency-key": key})
    assert refused.status_code == 400


async def test_answers_are_forgotten_after_a_day(
    quire: Quire, root: httpx.AsyncClient, notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await root.put(f"{notes}/files/a.md", content="x", headers=KEY)
    project = await quire.services.workspace.project("notes")
    await quire.services.once.forget_old()
    assert len(await quire.store.records("answers", project.id)) == 1
    monkeypatch.setattr("web.idempotency.KEPT_MILLIS", -KEPT_MILLIS)
    await quire.services.once.forget_old()
    assert await quire.store.records("answers", project.id) == {}
