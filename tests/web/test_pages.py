"""The page, wherever it stands: its base, its policy, its assets, its errors."""

from __future__ import annotations

import pathlib
import re

import httpx
import pytest

from tests.web.conftest import Quire, Start
from web import pages
from web.pages import Pages, filled, policy

pytestmark = pytest.mark.anyio

INDEX = "<!doctype html>\n<html><head>\n<title>Quire</title></head><body></body></html>\n"


@pytest.fixture(autouse=True)
def built(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An editor that was built, small enough to look at."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text(INDEX)
    (static / "favicon.ico").write_bytes(b"icon")
    (static / "assets" / "index-abc123.js").write_text("1")
    monkeypatch.setattr(Pages.__init__, "__defaults__", (static,))
    return static


def browser(quire: Quire) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=quire.app)
    return httpx.AsyncClient(transport=transport, base_url="http://quire.test", headers={"accept": "text/html"})


async def test_every_address_that_people_see_is_the_same_page(quire: Quire) -> None:
    async with browser(quire) as alice:
        for path in ("/", "/p/notes", "/p/notes/docs/a.md", "/p/notes/-/settings", "/login", "/join/abc"):
            page = await alice.get(path)
            assert page.status_code == 200, path
            assert '<base href="/">' in page.text
            assert page.text.index("<base") < page.text.index("<title>")


async def test_an_address_that_is_none_is_a_page_that_says_so(quire: Quire) -> None:
    async with browser(quire) as alice:
        lost = await alice.get("/nowhere/at/all")
        assert lost.status_code == 404
        assert "<title>Quire" in lost.text
        assert (await alice.get("/api/v1/nowhere")).json()["error"]["code"] == "not_found"
        assert (await alice.get("/assets/none.js")).json()["error"]["code"] == "not_found"


async def test_a_project_that_is_not_there_is_a_page_with_the_status_of_that(
    quire: Quire, root: httpx.AsyncClient, notes: str
) -> None:
    await root.post("/projects", json={"name": "other"})
    async with browser(quire) as alice:
        for path in ("/p/notes", "/p/missing/a.md"):
            assert (await alice.get(path)).status_code == 200, "nobody learns which projects there are"
        token = await quire.token("notes", "viewer")
        login = {"origin": "http://quire.test", "accept": "application/json"}
        await alice.post("/api/v1/session", json={"token": token}, headers=login)
        for path, status in (("/p/notes/a.md", 200), ("/p/missing/a.md", 404), ("/p/missing", 404), ("/p/other", 404)):
            page = await alice.get(path)
            assert (page.status_code, "<title>Quire" in page.text) == (status, True), path


async def test_each_page_has_a_nonce_of_its_own_and_the_policy_names_it(quire: Quire) -> None:
    async with browser(quire) as alice:
        seen = set()
        for _ in range(2):
            page = await alice.get("/")
            match = re.search(r'<meta name="quire-nonce" content="([^"]+)">', page.text)
            assert match is not None
            assert f"'nonce-{match[1]}'" in page.headers["content-security-policy"]
            seen.add(match[1])
        assert len(seen) == 2


async def test_the_policy_lets_no_script_in_but_our_own(quire: Quire) -> None:
    async with browser(quire) as alice:
        said = dict(
            part.split(" ", 1) for part in (await alice.get("/")).headers["content-security-policy"].split("; ")
        )
    assert said["script-src"] == "'self'"
    assert said["frame-ancestors"] == "'none'"
    assert said["connect-src"] == "'self' ws://quire.test"


async def test_under_a_prefix_the_base_is_the_prefix(start: Start) -> None:
    async with start(QUIRE_PUBLIC_URL="https://example.org/quire") as quire, browser(quire) as alice:
        for path in ("/quire/p/notes", "/p/notes", "/quire", "/quire/"):
            page = await alice.get(path)
            assert '<base href="/quire/">' in page.text, path
            assert "wss://example.org" in page.headers["content-security-policy"]
        assert (await alice.get("/quire/assets/index-abc123.js")).text == "1"


async def test_assets_are_kept_for_ever_and_the_page_is_not(quire: Quire) -> None:
    async with browser(quire) as alice:
        assert "immutable" in (await alice.get("/assets/index-abc123.js")).headers["cache-control"]
        assert (await alice.get("/favicon.ico")).headers["cache-control"] == pages.A_WHILE
        assert (await alice.get("/")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/assets/..%2findex.html", "/assets/%2e%2e/%2e%2e/secret", "/..%2fsecret", "/assets/a%00b", "/assets"]
)
async def test_nothing_outside_is_served(quire: Quire, path: str, built: pathlib.Path) -> None:
    built.with_name("secret").write_text("classified")
    async with browser(quire) as alice:
        answer = await alice.get(path)
    assert answer.status_code == 404
    assert "classified" not in answer.text


async def test_without_the_editor_a_page_says_how_to_build_it(quire: Quire, built: pathlib.Path) -> None:
    (built / "index.html").unlink()
    async with browser(quire) as alice:
        page = await alice.get("/")
    assert page.status_code == 503
    assert "make serve" in page.text


def test_a_host_that_is_none_does_not_get_into_the_policy() -> None:
    assert "evil" not in policy("n", pages._harmless("x; script-src evil"), secure=False, github="https://github.com")


def test_a_form_goes_to_ourselves_and_to_github_alone() -> None:
    found = policy("n", "quire.example.org", secure=True, github="https://github.example.org")
    assert "form-action 'self' https://github.example.org" in found.split("; ")


def test_the_head_is_filled_once() -> None:
    assert filled("<head></head><body><head></body>", "", "n").count("<base") == 1


async def test_long_json_and_the_editors_scripts_are_compressed_and_nothing_else(
    quire: Quire, root: httpx.AsyncClient, notes: str, built: pathlib.Path
) -> None:
    long = "x = 1;\n" * 1000
    (built / "assets" / "long.js").write_text(long)
    for number in range(20):
        await root.put(f"{notes}/files/{number}.json", content="[1]" * 1000)
    plain = {"accept-encoding": "identity"}
    tree = await root.get(f"{notes}/files")
    assert tree.headers["content-encoding"] == "gzip"
    assert int(tree.headers["content-length"]) < 2000
    assert tree.json() == (await root.get(f"{notes}/files", headers=plain)).json()
    tag = tree.headers["etag"]
    assert tag.startswith("W/")
    assert (await root.get(f"{notes}/files", headers={"if-none-match": tag})).status_code == 304
    whole = await root.get(f"{notes}/files", headers=plain)
    assert "content-encoding" not in whole.headers
    assert (f"W/{whole.headers['etag']}", whole.headers["vary"].lower()) == (tag, "accept-encoding")
    for headers in ({}, {"range": "bytes=0-1999"}):
        file = await root.get(f"{notes}/files/1.json", headers=headers)
        assert "content-encoding" not in file.headers
        assert not file.headers["etag"].startswith("W/")
    assert "content-encoding" not in (await root.get(notes)).headers
    async with browser(quire) as alice:
        script = await alice.get("/assets/long.js")
        assert (script.text, script.headers["content-encoding"]) == (long, "gzip")
        assert "javascript" in script.headers["content-type"]
        (built / "assets" / "long.js").write_text(long + "more")
        assert (await alice.get("/assets/long.js")).text == long + "more"
        part = await alice.get("/assets/long.js", headers={"range": "bytes=0-4"})
        assert (part.status_code, part.text) == (206, "x = 1")
        assert "content-encoding" not in (await alice.get("/assets/long.js", headers=plain)).headers
