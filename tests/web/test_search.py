"""Search in the texts of a project."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import Quire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(root: httpx.AsyncClient, notes: str) -> str:
    for path, content in (
        ("a.md", "one\nTwo 😀 words\n"),
        ("docs/b.md", "two\r\nthree\r\n"),
        ("docs/c.py", "def two():\n    return 2\n"),
        ("d.bin", "two"),
    ):
        data = b"\xff" + content.encode() if path == "d.bin" else content.encode()
        (await root.put(f"{notes}/files/{path}", content=data)).raise_for_status()
    return notes


async def hits(client: httpx.AsyncClient, notes: str, **query: str | int | bool) -> list[tuple[str, int, int, str]]:
    found = (await client.get(f"{notes}/search", params=query)).raise_for_status().json()
    return [(each["path"], each["line"], each["column"], each["text"]) for each in found["hits"]]


async def test_lines_are_found_whatever_their_capitals_unless_they_count(root: httpx.AsyncClient, filled: str) -> None:
    assert await hits(root, filled, q="two") == [
        ("a.md", 2, 1, "Two 😀 words"),
        ("docs/b.md", 1, 1, "two"),
        ("docs/c.py", 1, 5, "def two():"),
    ]
    assert await hits(root, filled, q="Two", case=True) == [("a.md", 2, 1, "Two 😀 words")]
    assert await hits(root, filled, q="words") == [("a.md", 2, 7, "Two 😀 words")]


async def test_regular_expressions_and_patterns_of_paths(root: httpx.AsyncClient, filled: str) -> None:
    assert await hits(root, filled, q=r"^\s+return \d", regex=True) == [("docs/c.py", 2, 1, "    return 2")]
    assert [path for path, *_ in await hits(root, filled, q="two", path="docs/*.md")] == ["docs/b.md"]
    assert await hits(root, filled, q="t.o") == []


async def test_what_is_typed_is_found_at_once(root: httpx.AsyncClient, filled: str) -> None:
    sha = (await root.get(f"{filled}/files/a.md")).headers["etag"].strip('"')
    body = {"base": sha, "edits": [{"old": "one", "new": "freshly typed"}]}
    (await root.patch(f"{filled}/files/a.md", json=body)).raise_for_status()
    assert await hits(root, filled, q="freshly") == [("a.md", 1, 1, "freshly typed")]


async def test_a_cursor_goes_on_where_a_limit_stopped(root: httpx.AsyncClient, notes: str) -> None:
    for n in range(70):
        (await root.put(f"{notes}/files/{n:02}.md", content="needle\n")).raise_for_status()
    first = (await root.get(f"{notes}/search", params={"q": "needle", "limit": 32})).json()
    assert (len(first["hits"]), first["files"], first["cursor"]) == (32, 32, "31.md")
    rest = (await root.get(f"{notes}/search", params={"q": "needle", "cursor": first["cursor"]})).json()
    assert (len(rest["hits"]), rest["cursor"]) == (38, None)


async def test_who_reaches_some_paths_alone_finds_nothing_else(
    quire: Quire, root: httpx.AsyncClient, filled: str
) -> None:
    body = {"role": "viewer", "paths": ["docs/**"]}
    token = (await root.post(f"{filled}/tokens", json=body)).json()["token"]
    async with quire.client(token) as limited:
        assert [path for path, *_ in await hits(limited, filled, q="two")] == ["docs/b.md", "docs/c.py"]


@pytest.mark.parametrize(
    "query",
    [{"q": ""}, {"q": "x" * 501}, {"q": "(", "regex": "true"}, {"q": "a\nb"}],
)
async def test_a_question_that_is_none_is_refused(root: httpx.AsyncClient, filled: str, query: dict[str, str]) -> None:
    refused = await root.get(f"{filled}/search", params=query)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "q")


async def test_an_expression_that_never_ends_is_refused(root: httpx.AsyncClient, notes: str) -> None:
    (await root.put(f"{notes}/files/a.md", content="a" * 60 + "b\n")).raise_for_status()
    refused = await root.get(f"{notes}/search", params={"q": "(a|aa)+$", "regex": "true"})
    assert refused.status_code == 400
    assert "takes too long" in refused.json()["error"]["message"]
