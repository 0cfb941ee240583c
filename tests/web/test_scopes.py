"""Tokens that reach some paths of a project alone: to them nothing else exists."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.web.conftest import Quire
from web.api import ENDPOINTS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scribe(quire: Quire, root: httpx.AsyncClient, notes: str) -> AsyncIterator[httpx.AsyncClient]:
    """Reaches what is in docs, and nothing else."""
    for path in ("docs/a.md", "docs/deep/b.md", "secret/c.md", "d.md"):
        (await root.put(f"{notes}/files/{path}", content=f"{path}\n")).raise_for_status()
    body = {"role": "editor", "agent": "Scribe", "paths": ["docs/**"]}
    token = (await root.post(f"{notes}/tokens", json=body)).raise_for_status().json()["token"]
    async with quire.client(token) as client:
        yield client


async def test_the_tree_has_nothing_else(scribe: httpx.AsyncClient, notes: str) -> None:
    assert [each["path"] for each in (await scribe.get(f"{notes}/files")).json()] == ["docs/a.md", "docs/deep/b.md"]
    top = (await scribe.get(f"{notes}/files?depth=1")).json()
    assert [each["path"] for each in top] == ["docs"]
    first = await scribe.get(f"{notes}/files?limit=1")
    assert [each["path"] for each in first.json()] == ["docs/a.md"]
    rest = await scribe.get(f"{notes}/files?limit=1&cursor={first.headers['x-quire-cursor']}")
    assert [each["path"] for each in rest.json()] == ["docs/deep/b.md"]


async def test_other_files_are_not_there_to_read_or_to_change(scribe: httpx.AsyncClient, notes: str) -> None:
    assert (await scribe.get(f"{notes}/files/docs/a.md")).text == "docs/a.md\n"
    assert (await scribe.get(f"{notes}/files/secret/c.md")).status_code == 404
    assert (await scribe.put(f"{notes}/files/secret/c.md?force", content="x")).status_code == 404
    assert (await scribe.put(f"{notes}/files/new.md", content="x")).status_code == 404
    assert (await scribe.delete(f"{notes}/files/d.md")).status_code == 404
    assert (await scribe.delete(f"{notes}/files/secret?recursive")).status_code == 404
    body = {"base": "1", "edits": [{"old": "c", "new": "x"}]}
    assert (await scribe.patch(f"{notes}/files/secret/c.md", json=body)).status_code == 404
    read = (await scribe.post(f"{notes}/read", json={"paths": ["docs/a.md", "secret/c.md"]})).json()
    assert ([each["path"] for each in read["files"]], read["missing"]) == (["docs/a.md"], ["secret/c.md"])


async def test_nothing_is_moved_in_or_out(scribe: httpx.AsyncClient, notes: str) -> None:
    for source, target in (("secret/c.md", "docs/c.md"), ("docs/a.md", "a.md"), ("secret", "docs/secret")):
        assert (await scribe.post(f"{notes}/moves", json={"from": source, "to": target})).status_code == 404
    files = [{"path": "docs/a.md", "to": "a.md"}]
    assert (await scribe.post(f"{notes}/turns", json={"files": files})).status_code == 404
    assert (await scribe.post(f"{notes}/moves", json={"from": "docs/a.md", "to": "docs/z.md"})).status_code == 200


async def test_an_old_path_does_not_lead_out(root: httpx.AsyncClient, scribe: httpx.AsyncClient, notes: str) -> None:
    sha = (await scribe.get(f"{notes}/files/docs/a.md")).headers["etag"]
    (await root.post(f"{notes}/moves", json={"from": "docs/a.md", "to": "secret/a.md"})).raise_for_status()
    assert (await scribe.get(f"{notes}/files/docs/a.md")).status_code == 404
    read = (await scribe.post(f"{notes}/read", json={"paths": ["docs/a.md"]})).json()
    assert read["missing"] == ["docs/a.md"]
    written = await scribe.put(f"{notes}/files/docs/a.md", content="x", headers={"if-match": sha})
    assert written.status_code == 404
    assert (await root.get(f"{notes}/files/secret/a.md")).text == "docs/a.md\n"


async def test_events_of_other_files_are_not_told(scribe: httpx.AsyncClient, notes: str) -> None:
    listed = (await scribe.get(f"{notes}/events", headers={"accept": "application/json"})).json()
    assert {each["path"] for each in listed["events"]} == {"docs/a.md", "docs/deep/b.md"}


async def test_a_turn_that_touched_other_files_is_not_theirs_to_see_or_undo(
    root: httpx.AsyncClient, scribe: httpx.AsyncClient, notes: str
) -> None:
    files = [{"path": "docs/new.md", "text": "new\n"}, {"path": "other.md", "text": "new\n"}]
    turn = (await root.post(f"{notes}/turns", json={"files": files})).raise_for_status().json()["turn"]
    assert (await scribe.get(f"{notes}/turns/{turn}")).status_code == 404
    assert (await scribe.post(f"{notes}/turns/{turn}/undo")).status_code == 404
    assert turn not in [each["turn"] for each in (await scribe.get(f"{notes}/turns")).json()["turns"]]


@pytest.mark.parametrize(
    "each",
    [each for each in ENDPOINTS if "{project}" in each.path and "{path" not in each.path and not each.scoped],
    ids=lambda each: f"{each.method} {each.path}",
)
async def test_what_is_about_the_whole_project_is_refused(
    quire: Quire, scribe: httpx.AsyncClient, root: httpx.AsyncClient, notes: str, each: object
) -> None:
    body = {"role": "admin", "paths": ["docs/**"]}
    token = (await root.post(f"{notes}/tokens", json=body)).json()["token"]
    path = each.path.replace("{project}", notes.rpartition("/")[2])  # type: ignore[attr-defined]
    for name in ("id", "number", "turn", "secret", "name"):
        path = path.replace(f"{{{name}}}", "none")
    async with quire.client(token) as admin:
        refused = await admin.request(each.method, f"http://quire.test/api/v1{path}")  # type: ignore[attr-defined]
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == ("limited_to_paths" if each.role != "root" else "forbidden")  # type: ignore[attr-defined]


async def test_a_pattern_that_is_none_is_refused(root: httpx.AsyncClient, notes: str) -> None:
    refused = await root.post(f"{notes}/tokens", json={"role": "viewer", "paths": ["/"]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "paths")


async def test_a_suggester_reads_and_does_not_write(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    (await root.put(f"{notes}/files/a.md", content="one\n")).raise_for_status()
    token = await quire.token(notes.rpartition("/")[2], "suggester")
    async with quire.client(token) as suggester:
        assert (await suggester.get(f"{notes}/files/a.md")).text == "one\n"
        assert (await suggester.put(f"{notes}/files/a.md?force", content="x")).status_code == 403
