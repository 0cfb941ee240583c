"""MCP over HTTP with the SDK's own client, against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.harness.peer import Crowd, crowd
from tests.harness.server import ServerProcess

pytestmark = pytest.mark.anyio

TOOLS = [
    "list_projects", "list_files", "read_files", "search", "edit_files", "write_file", "move_file", "delete_file", "diff",
    "history", "undo_turn", "snapshot", "status", "conflicts", "resolve_conflict", "changes_since",
]  # fmt: skip


@pytest.fixture
async def people() -> AsyncIterator[Crowd]:
    async with crowd() as peers:
        yield peers


async def token(api: httpx.AsyncClient, project: str, role: str = "editor", **more: Any) -> str:
    made = await api.post(f"/projects/{project}/tokens", json={"role": role, "agent": "Scribe", **more})
    return str(made.raise_for_status().json()["token"])


@asynccontextmanager
async def agent(server: ServerProcess, secret: str, mode: Any = "auto") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {secret}"}, timeout=30) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error
    told: dict[str, Any] = json.loads(result.content[0].text)["error"]  # type: ignore[union-attr]
    return told


@pytest.fixture
async def scribe(server: ServerProcess, async_api: httpx.AsyncClient, project: str) -> AsyncIterator[Client]:
    for path, content in (("docs/a.md", "one\ntwo\nthree\n"), ("b.py", "def b():\n    return 2\n")):
        (await async_api.put(f"/projects/{project}/files/{path}", content=content)).raise_for_status()
    async with agent(server, await token(async_api, project)) as client:
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_those_of_the_contract_each_with_schemas_and_hints(
    server: ServerProcess, async_api: httpx.AsyncClient, project: str, mode: str
) -> None:
    async with agent(server, await token(async_api, project), mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == sorted(TOOLS)
        for tool in tools.values():
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.output_schema is not None
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
            assert tool.output_schema["type"] == "object"
            assert tool.description
            assert len(tool.description) < 500
            assert tool.annotations is not None
            assert tool.annotations.open_world_hint is False
            for about in tool.input_schema["properties"].values():
                assert about.get("description"), tool.name
        reads = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
        assert {"list_files", "read_files", "search", "diff", "status", "conflicts", "changes_since"} <= reads
        assert not {"edit_files", "write_file", "delete_file", "snapshot"} & reads


async def test_an_agent_looks_reads_edits_and_takes_it_back(
    scribe: Client, people: Crowd, server: ServerProcess, project: str
) -> None:
    listed = await call(scribe, "list_files")
    assert [each["path"] for each in listed["files"]] == ["b.py", "docs/a.md"]
    [hit] = (await call(scribe, "search", query="TWO"))["hits"]
    assert (hit["path"], hit["line"]) == ("docs/a.md", 2)
    read = await scribe.call_tool("read_files", {"files": [{"path": "docs/a.md", "first": 2}, {"path": "gone"}]})
    assert isinstance(read, CallToolResult)
    assert read.structured_content is not None
    [text] = read.structured_content["files"]
    assert (text["text"], text["first"], text["last"], text["lines"]) == ("two\nthree\n", 2, 3, 3)
    assert read.structured_content["missing"] == ["gone"]
    assert "2\ttwo\n3\tthree" in read.content[0].text  # type: ignore[union-attr]
    alice = await people.join(server, project, "docs/a.md")
    await alice.append("four\n")
    edits = [{"old": "one", "new": "1"}]
    made = await call(
        scribe, "edit_files", files=[{"path": "docs/a.md", "base": text["sha"], "edits": edits}], message="Digits"
    )
    assert made["files"][0]["rebased"]
    await alice.hears(lambda: str(alice) == "1\ntwo\nthree\nfour\n", "the agent's edit")
    await call(scribe, "undo_turn", turn=made["turn"])
    await alice.hears(lambda: str(alice) == "one\ntwo\nthree\nfour\n", "its undo")
    told = await call(scribe, "history", path="docs/a.md")
    assert told["sessions"][0]["authors"][0]["actor"]["name"] == "Scribe"


async def test_a_refusal_says_what_is_there_and_what_to_do_next(
    scribe: Client, people: Crowd, server: ServerProcess, project: str
) -> None:
    [text] = (await call(scribe, "read_files", files=[{"path": "docs/a.md"}]))["files"]
    alice = await people.join(server, project, "docs/a.md")
    await alice.insert(4, "TWO ")
    await alice.saved()
    edits = [{"old": "two", "new": "2"}]
    told = await refusal(scribe, "edit_files", files=[{"path": "docs/a.md", "base": text["sha"], "edits": edits}])
    assert (told["code"], told["details"]["hunks"][0]["ours"]) == ("overlap", "TWO two\n")
    assert "make the edit again" in told["next"]
    edits = [{"old": "TWO two", "new": "2"}]
    await call(scribe, "edit_files", files=[{"path": "docs/a.md", "base": told["details"]["sha"], "edits": edits}])
    told = await refusal(
        scribe, "edit_files", files=[{"path": "docs/a.md", "base": text["sha"], "edits": [{"old": "x", "new": ""}]}]
    )
    assert told["code"] == "no_match"
    assert (await refusal(scribe, "read_files", files=[{"path": "b.py"}], project="other"))["code"] == "not_found"


async def test_files_are_written_moved_and_deleted(scribe: Client) -> None:
    made = await call(scribe, "write_file", path="new.md", text="new\n")
    sha = made["files"][0]["sha"]
    assert (await refusal(scribe, "write_file", path="new.md", text="again\n"))["code"] == "exists"
    await call(scribe, "write_file", path="new.md", text="newer\n", base=sha)
    await call(scribe, "move_file", path="new.md", to="docs/new.md")
    assert (await refusal(scribe, "delete_file", path="docs/new.md", base=sha))["code"] == "overlap"
    [text] = (await call(scribe, "read_files", files=[{"path": "docs/new.md"}]))["files"]
    gone = await call(scribe, "delete_file", path="docs/new.md", base=text["sha"])
    await call(scribe, "undo_turn", turn=gone["turn"])
    assert (await call(scribe, "read_files", files=[{"path": "docs/new.md"}]))["files"][0]["text"] == "newer\n"


async def test_git_is_at_hand(scribe: Client) -> None:
    assert (await call(scribe, "status"))["uncommitted"] == 2
    assert (await call(scribe, "snapshot", message="Begin"))["state"] == "done"
    await call(scribe, "write_file", path="new.md", text="new\n")
    assert (await call(scribe, "conflicts"))["conflicts"] == []
    head = (await call(scribe, "status"))["head"]
    changed = (await call(scribe, "diff", since=head))["files"]
    assert [(each["path"], each["change"]) for each in changed] == [("new.md", "added")]


async def test_what_others_changed_is_told_and_ones_own_edits_are_not(
    scribe: Client, async_api: httpx.AsyncClient, project: str
) -> None:
    begin = await call(scribe, "changes_since")
    await call(scribe, "write_file", path="mine.md", text="mine\n")
    (await async_api.put(f"/projects/{project}/files/theirs.md", content="theirs\n")).raise_for_status()
    told = await call(scribe, "changes_since", after=begin["last"])
    assert {each["path"] for each in told["events"]} == {"theirs.md"}
    again = await call(scribe, "changes_since", after=told["last"])
    assert again["events"] == []


async def test_a_token_with_paths_reaches_nothing_else(
    scribe: Client, server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    async with agent(server, await token(async_api, project, paths=["docs/**"])) as limited:
        assert [each["path"] for each in (await call(limited, "list_files"))["files"]] == ["docs/a.md"]
        read = await call(limited, "read_files", files=[{"path": "b.py"}])
        assert (read["files"], read["missing"]) == ([], ["b.py"])
        assert (await refusal(limited, "write_file", path="c.py", text=""))["code"] == "not_found"
        assert (await refusal(limited, "status"))["code"] == "limited_to_paths"


async def test_a_file_is_a_resource_and_whoever_listens_hears_of_it(
    scribe: Client, people: Crowd, server: ServerProcess, project: str
) -> None:
    uri = f"quire://{project}/docs/a.md"
    [content] = (await scribe.read_resource(uri)).contents
    assert content.text == "one\ntwo\nthree\n"  # type: ignore[union-attr]
    alice = await people.join(server, project, "docs/a.md")
    with anyio.fail_after(20):
        async with scribe.listen(resource_subscriptions=[uri]) as heard:
            await alice.append("four\n")
            event = await anext(aiter(heard))
    assert getattr(event, "uri", None) == uri


async def test_nobody_listens_to_what_he_does_not_reach(
    scribe: Client, server: ServerProcess, async_api: httpx.AsyncClient, project: str
) -> None:
    async with agent(server, await token(async_api, project, paths=["docs/**"])) as limited:
        for uri in (f"quire://{project}/b.py", "quire://other/a.md", "file:///etc/passwd"):
            with pytest.raises(Exception, match=r"there is no|no file of ours"):
                async with limited.listen(resource_subscriptions=[uri]):
                    pass


async def test_who_has_no_token_or_comes_from_another_site_is_turned_away(server: ServerProcess) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        nobody = await http.post("/mcp", json=body)
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="quire"')
        wrong = await http.post("/mcp", json=body, headers={"authorization": "Bearer nothing"})
        assert wrong.status_code == 401
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            there = await http.post("/mcp", json=body, headers={**server.headers, **headers})
            assert there.status_code == 403


async def test_a_page_tells_agents_how_to_work_here_with_tools_that_there_are(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        page = (await http.get("/llms.txt")).raise_for_status()
        described = (await http.get("/api/v1/openapi.json")).json()
    assert f"{server.url}/mcp" in page.text
    assert all(tool in page.text for tool in TOOLS)
    addresses = {path.removeprefix("/api/v1") for path in described["paths"]}
    for asked in re.findall(r"(?:GET|POST|PATCH) (/projects/P/[a-zA-Z/]+)", page.text):
        wanted = asked.replace("/P/", "/{project}/").replace("PATH", "{path}").replace("TURN", "{turn}").rstrip("/")
        assert wanted in addresses, asked
