"""What happens in a project, as a list and as a stream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message

from tests.web.conftest import ROOT_TOKEN, Quire

pytestmark = pytest.mark.anyio


async def put(root: httpx.AsyncClient, project: str, *paths: str) -> None:
    for path in paths:
        (await root.put(f"{project}/files/{path}", content=path)).raise_for_status()


class Stream:
    """Server-sent events as a browser reads them, one at a time."""

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self._messages = messages
        self._text = ""
        self.last_id: str | None = None

    async def next(self) -> dict[str, Any]:
        while True:
            block, separator, rest = self._text.partition("\n\n")
            if not separator:
                message = await anext(self._messages)
                self._text += message["body"].decode()
                continue
            self._text = rest
            data = None
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    data = json.loads(value)
            if data is not None:
                assert isinstance(data, dict)
                return data


@contextlib.asynccontextmanager
async def listening(
    quire: Quire, path: str, *, query: str = "", token: str = ROOT_TOKEN, **headers: str
) -> AsyncIterator[Stream]:
    """A client of the stream; it leaves at the end."""
    into, out = anyio.create_memory_object_stream[Message](0)
    left = anyio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        else:
            await into.send(message)

    raw = [(b"authorization", f"Bearer {token}".encode()), (b"accept", b"text/event-stream")]
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/v1{path}",
        "raw_path": f"/api/v1{path}".encode(),
        "query_string": query.encode(),
        "headers": raw,
    }

    async def serve() -> None:
        async with into:
            await quire.app(scope, receive, send)

    async def messages() -> AsyncIterator[Message]:
        async for message in out:
            if not message["more_body"]:
                return
            yield message

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, out:
            tasks.start_soon(serve)
            yield Stream(messages())
            left.set()
            tasks.cancel_scope.cancel()


async def test_events_are_a_list_for_who_wants_json(root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "a.md", "b.md")
    await root.post(f"{notes}/moves", json={"from": "a.md", "to": "c.md"})
    answer = (await root.get(f"{notes}/events", headers={"accept": "application/json"})).json()
    assert [(each["n"], each["kind"], each["path"]) for each in answer["events"]] == [
        (1, "created", "a.md"),
        (2, "created", "b.md"),
        (3, "moved", "c.md"),
    ]
    assert answer["last"] == 3
    assert answer["events"][0]["actors"] == [{"id": "root", "name": "Owner"}]
    later = await root.get(f"{notes}/events?after=2", headers={"accept": "application/json"})
    assert [each["n"] for each in later.json()["events"]] == [3]
    none = await root.get(f"{notes}/events?after=3", headers={"accept": "application/json"})
    assert none.json() == {"events": [], "last": 3}


async def test_a_list_is_filtered_by_path_and_kind_and_says_where_to_go_on(root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "docs/a.md", "docs/b.md", "documents.md")
    await root.delete(f"{notes}/files/docs/a.md")

    async def listed(query: str) -> list[tuple[str, str]]:
        answer = (await root.get(f"{notes}/events?{query}", headers={"accept": "application/json"})).json()
        assert answer["last"] == 4
        return [(each["kind"], each["path"]) for each in answer["events"]]

    assert await listed("path=docs&kind=created") == [("created", "docs/a.md"), ("created", "docs/b.md")]
    assert await listed("path=docs/a.md") == [("created", "docs/a.md"), ("deleted", "docs/a.md")]
    assert await listed("kind=deleted,moved") == [("deleted", "docs/a.md")]


async def test_a_move_is_told_at_both_ends(root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "old/a.md")
    await root.post(f"{notes}/moves", json={"from": "old/a.md", "to": "new/a.md"})
    for path in ("old", "new"):
        answer = await root.get(f"{notes}/events?kind=moved&path={path}", headers={"accept": "application/json"})
        assert [each["path"] for each in answer.json()["events"]] == ["new/a.md"], path


async def test_a_stream_begins_with_what_was_and_goes_on_with_what_happens(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    await put(root, notes, "a.md")
    async with listening(quire, f"{notes}/events") as stream:
        assert (await stream.next())["path"] == "a.md"
        await put(root, notes, "b.md")
        assert (await stream.next())["path"] == "b.md"
        assert stream.last_id == "2"


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    await put(root, notes, "a.md", "b.md", "c.md")
    async with listening(quire, f"{notes}/events", query="after=1") as stream:
        assert (await stream.next())["n"] == 2
    async with listening(quire, f"{notes}/events", query="after=0", last_event_id="2") as stream:
        assert (await stream.next())["n"] == 3


async def test_a_filtered_stream_still_moves_the_number_to_go_on_after(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    await put(root, notes, "a.md", "b.md", "c.md")
    async with listening(quire, f"{notes}/events", query="path=c.md") as stream:
        assert (await stream.next())["n"] == 3
    async with listening(quire, f"{notes}/events", query="path=a.md") as stream:
        assert (await stream.next())["n"] == 1
        await put(root, notes, "d.md")
        await root.delete(f"{notes}/files/a.md")
        assert (await stream.next())["kind"] == "deleted"
        assert stream.last_id == "5"


async def ended(stream: Stream) -> None:
    with pytest.raises(StopAsyncIteration):
        await stream.next()


async def test_a_stream_ends_when_the_token_behind_it_is_revoked(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    made = (await root.post(f"{notes}/tokens", json={"role": "viewer"})).json()
    await put(root, notes, "a.md")
    async with listening(quire, f"{notes}/events", token=made["token"]) as stream:
        await stream.next()
        await root.delete(f"{notes}/tokens/{made['id']}")
        await ended(stream)


async def test_a_stream_ends_when_the_server_stops(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    await put(root, notes, "a.md")
    async with listening(quire, f"{notes}/events") as stream:
        await stream.next()
        quire.services.closing.set()
        await ended(stream)


async def test_a_stream_says_now_and_then_that_it_lives(
    quire: Quire, root: httpx.AsyncClient, notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.api.events.HEARTBEAT", 0.01)
    async with listening(quire, f"{notes}/events") as stream:
        while "still here" not in stream._text:
            stream._text += (await anext(stream._messages))["body"].decode()


@pytest.mark.parametrize(("query", "field"), [("after=-1", "after"), ("after=x", "after"), ("limit=0", "limit")])
async def test_what_cannot_be_asked_is_named(root: httpx.AsyncClient, notes: str, query: str, field: str) -> None:
    refused = await root.get(f"{notes}/events?{query}", headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
