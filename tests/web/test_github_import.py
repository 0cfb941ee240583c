"""A repository on GitHub becomes a project: its files as its tree lists them, through the API alone."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from collab.ids import BlobSha, Path
from snapshots import trees
from snapshots.remotes.base import TreeEntry
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubServer
from tests.harness.octo import NAME, octo
from tests.harness.tarballs import TARBALL, Tarred, serve, tarred
from tests.snapshots.git import git
from tests.web.conftest import ROOT_TOKEN, Quire, Start
from web.app import create_app
from web.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def made(github: GitHubServer, tmp_path_factory: pytest.TempPathFactory) -> Tarred:
    return tarred(github, tmp_path_factory.mktemp("tarball"))


@dataclass
class Desk:
    quire: Quire
    root: httpx.AsyncClient
    proxy: FaultProxy
    made: Tarred

    @property
    def source(self) -> dict[str, Any]:
        return {"github": self.made.theirs.full_name, "token": self.made.theirs.token}

    async def take(self, client: httpx.AsyncClient | None = None, **more: Any) -> dict[str, Any]:
        """The job once it has ended."""
        answer = await (client or self.root).post("/projects/notes/import", json={**self.source, **more})
        assert answer.status_code == 202, answer.text
        number = answer.json()["job"]["id"]
        await self.quire.services.importer.wait(number)
        job: dict[str, Any] = (await self.root.get(f"/projects/notes/import/{number}")).json()["job"]
        return job

    async def files(self) -> dict[str, tuple[int, bytes]]:
        listed = (await self.root.get("/projects/notes/files")).json()
        found: dict[str, tuple[int, bytes]] = {}
        for each in listed:
            if each["kind"] != "submodule":
                content = (await self.root.get(f"/projects/notes/files/{each['path']}")).content
                found[each["path"]] = int(each["mode"], 8), content
        return found


@pytest.fixture
async def desk(start: Start, made: Tarred) -> AsyncIterator[Desk]:
    async with (
        fault_proxy(made.theirs.server.url) as proxy,
        start(QUIRE_GITHUB_API=proxy.url, QUIRE_GITHUB_POLL="0") as quire,
        quire.client() as root,
    ):
        (await root.post("/projects", json={"name": "notes"})).raise_for_status()
        yield Desk(quire, root, proxy, made)


async def test_a_repository_is_imported_as_its_tree_is_with_a_handful_of_requests(desk: Desk) -> None:
    asked = serve(desk.proxy, desk.made.packed)
    job = await desk.take()
    assert job["state"] == "done", job
    found = await desk.files()
    assert {path: each for path, each in found.items() if path != "README.md"} == desk.made.files
    assert (len(asked), job["done"], job["total"]) == (1, len(found) + 1, len(found) + 1), "and a submodule"
    assert len(desk.proxy.requests) < 15
    assert "main at" in job["message"]
    assert (await desk.root.get("/projects/notes/remote")).json()["local"] is True


async def test_an_import_that_is_to_be_connected_ends_so_with_nothing_to_commit(desk: Desk) -> None:
    serve(desk.proxy, desk.made.packed)
    job = await desk.take(connect=True)
    assert job["state"] == "done", job
    assert "is connected to" in job["message"]
    remote = (await desk.root.get("/projects/notes/remote")).json()
    assert (remote["kind"], remote["repository"], remote["credential"]) == (
        "github",
        desk.made.theirs.full_name,
        "token",
    )
    status = (await desk.root.get("/projects/notes/status")).json()
    assert (status["uncommitted"], status["conflicts"], status["state"]) == (0, 0, "idle")
    assert (await desk.root.get("/projects/notes/changes")).json()["changes"] == []
    assert (await desk.root.post("/projects/notes/snapshots")).json()["state"] == "nothing"


async def test_a_folder_of_a_repository_is_imported_alone(desk: Desk) -> None:
    serve(desk.proxy, desk.made.packed)
    job = await desk.take(folder="d3", patterns=["*.txt", "!f10.txt"], connect=True)
    assert job["state"] == "done", job
    wanted = {f"f{n}.txt" for n in range(len(desk.made.files)) if f"d3/f{n}.txt" in desk.made.files} - {"f10.txt"}
    assert set(await desk.files()) == wanted
    assert (await desk.root.get("/projects/notes/status")).json()["uncommitted"] == 0


async def test_files_that_are_there_already_stay_and_what_differs_is_in_conflict(desk: Desk) -> None:
    serve(desk.proxy, desk.made.packed)
    await desk.root.put("/projects/notes/files/run.sh", content=b"#!/bin/bash\n")
    await desk.root.put("/projects/notes/files/mine.md", content=b"mine\n")
    assert (await desk.take())["state"] == "failed"
    assert set(await desk.files()) == {"run.sh", "mine.md"}
    job = await desk.take(existing="keep", connect=True)
    assert job["state"] == "done", job
    assert (await desk.files())["mine.md"] == (0o100644, b"mine\n")
    found = (await desk.root.get("/projects/notes/conflicts")).json()["conflicts"]
    assert [each["path"] for each in found] == ["run.sh"]
    # Else it would be committed when the server stops, to what other tests import.
    await desk.root.delete("/projects/notes/files/mine.md")


async def test_a_server_without_tarballs_gives_the_same_files(desk: Desk) -> None:
    desk.proxy.on("GET", TARBALL, fault.status(404), times=-1)
    assert (await desk.take())["state"] == "done"
    assert len(await desk.files()) == len(desk.made.files) + 1


async def test_an_import_that_cannot_go_on_leaves_nothing(desk: Desk) -> None:
    desk.proxy.on("GET", TARBALL, fault.status(404), times=-1)
    desk.proxy.on("GET", "/git/blobs/", fault.status(404), times=-1, skip=30)
    job = await desk.take(connect=True)
    assert job["state"] == "failed"
    assert await desk.files() == {}
    assert (await desk.root.get("/projects/notes/remote")).json()["local"] is True


async def test_files_that_are_there_but_not_connected_are_said_to_be(desk: Desk) -> None:
    serve(desk.proxy, desk.made.packed)
    reads = 0

    async def gone(request: Request, forward: Forward) -> Reply:
        nonlocal reads
        reads += 1
        return await forward() if reads == 1 else fault.reply(404, {"message": "Not Found"})

    # It is found when the import begins, and gone when the project is to be connected.
    desk.proxy.on("GET", f"/repos/{desk.made.theirs.full_name}$", gone, times=-1)
    job = await desk.take(connect=True)
    assert job["state"] == "failed"
    assert job["message"].startswith("The files are in the project, but it is not connected.")
    assert len(await desk.files()) > 50


async def test_whoever_gives_no_token_needs_a_right_to_the_servers(desk: Desk) -> None:
    editor = await desk.quire.token("notes", "editor")
    admin = await desk.quire.token("notes", "admin")
    async with desk.quire.client(editor) as client:
        without = await client.post("/projects/notes/import", json={"github": desk.made.theirs.full_name})
        connecting = await client.post("/projects/notes/import", json={**desk.source, "connect": True})
        assert (without.status_code, connecting.status_code) == (403, 403)
        serve(desk.proxy, desk.made.packed)
        assert (await desk.take(client))["state"] == "done"
    async with desk.quire.client(admin) as client:
        without = await client.post("/projects/notes/import", json={"github": desk.made.theirs.full_name})
        assert (without.status_code, without.json()["error"]["code"]) == (403, "token_needed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"github": "a/b", "git": "https://example.org/x.git"}, "github"),
        ({"github": "no repository"}, "repository"),
        ({"git": "https://example.org/x.git", "branch": "main"}, "branch"),
        ({"path": "/tmp", "connect": True}, "connect"),
        ({"github": "a/b", "token": "with space"}, "token"),
    ],
)
async def test_what_does_not_go_together_is_refused(desk: Desk, body: dict[str, Any], field: str) -> None:
    answer = await desk.root.post("/projects/notes/import", json={"token": "x", **body} if "github" in body else body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["field"] == field


async def test_an_import_that_is_stopped_with_the_server_leaves_nothing(made: Tarred, tmp_path: pathlib.Path) -> None:
    begun = anyio.Event()

    async def stuck(request: Request, forward: Forward) -> Reply:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    @contextlib.asynccontextmanager
    async def serving(api: str) -> AsyncIterator[httpx.AsyncClient]:
        environ = {"QUIRE_ROOT_TOKEN": ROOT_TOKEN, "QUIRE_GITHUB_API": api, "QUIRE_GITHUB_POLL": "0"}
        app = create_app(Settings.load(environ, data=tmp_path))
        async with app.router.lifespan_context(app):
            running = Quire(app, app.state.services, app.state.settings)
            async with running.client() as root:
                yield root

    async with fault_proxy(made.theirs.server.url) as proxy:
        proxy.on("GET", TARBALL, fault.status(404), times=-1)
        proxy.on("GET", "/git/blobs/", stuck, times=-1, skip=20)
        with anyio.fail_after(60):
            async with serving(proxy.url) as root:
                (await root.post("/projects", json={"name": "notes"})).raise_for_status()
                source = {"github": made.theirs.full_name, "token": made.theirs.token}
                answer = await root.post("/projects/notes/import", json=source)
                await begun.wait()
            async with serving(proxy.url) as root:
                job = (await root.get(f"/projects/notes/import/{answer.json()['job']['id']}")).json()["job"]
                files = (await root.get("/projects/notes/files")).json()
    assert (job["state"], files) == ("failed", [])
    assert "interrupted" in job["message"]


# -- ugly trees, over real git


def ugly(folder: pathlib.Path) -> pathlib.Path:
    """What real repositories hold, and GitHub's tarball does not show as it is."""
    files: dict[str, bytes] = {
        "crlf.txt": b"one\r\ntwo\r\n",
        "mixed.txt": b"one\r\ntwo\nthree\r",
        "bom.md": b"\xef\xbb\xbf# Title\n",
        "latin-1.txt": "café\n".encode("latin-1"),
        "utf-16.txt": "text\n".encode("utf-16"),
        "no-end": b"no final newline",
        "empty": b"",
        "nul.bin": bytes(range(256)) * 9,
        "lfs.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 5\n",
        "name with space.txt": b"x\n",
        "ünïcödé/日本語.md": b"y\n",
        'quote"and\\back.txt': b"z\n",
        "deep/" * 12 + "file.txt": b"deep\n",
        "attributes/.gitattributes": b"* text eol=crlf\nhidden export-ignore\n$ident.txt ident\nkeyword.txt export-subst\n",
        "attributes/eol.txt": b"stored with LF\nserved with CRLF\n",
        "attributes/hidden": b"hidden\n",
        "attributes/keyword.txt": b"$Format:%H$\n",
    }
    files |= {f"many/{n:03}.txt": b"%d\n" % n for n in range(80)}
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "script.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "script.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/deep")
    (folder / "broken").symlink_to("nowhere/at all")
    # As they are on the disk, whatever the attributes would make of them.
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "attributes").write_text("* -text -ident\n")
    git(folder, "add", "--all", "--force")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'c' * 40},vendored")
    git(folder, "-c", "user.name=Bob", "-c", "user.email=bob@example.org", "commit", "--quiet", "-m", "Ugly")
    (folder / ".git" / "info" / "attributes").unlink()
    return folder


@pytest.mark.parametrize("how", [{}, {"cut": 20}], ids=["as GitHub serves it", "listings cut short"])
async def test_an_ugly_tree_comes_as_it_is_to_the_byte(
    start: Start, tmp_path: pathlib.Path, how: dict[str, Any]
) -> None:
    folder = await anyio.to_thread.run_sync(ugly, tmp_path / "there")
    with octo(folder, **how) as there:
        async with start(QUIRE_GITHUB_API=there.url, QUIRE_GITHUB_POLL="0") as quire, quire.client() as root:
            (await root.post("/projects", json={"name": "notes"})).raise_for_status()
            source = {"github": NAME, "token": "token", "connect": True}
            job = (await root.post("/projects/notes/import", json=source)).json()["job"]["id"]
            await quire.services.importer.wait(job)
            ended = (await root.get(f"/projects/notes/import/{job}")).json()["job"]
            assert ended["state"] == "done", ended["message"]
            listed = (await root.get("/projects/notes/files")).json()
            status = (await root.get("/projects/notes/status")).json()
    held = {Path(each["path"]): TreeEntry(BlobSha(each["sha"]), int(each["mode"], 8)) for each in listed}
    assert trees.tree_of(held) == git(folder, "rev-parse", "HEAD^{tree}").strip()
    assert (status["uncommitted"], status["state"]) == (0, "idle")
    assert len([each for each in there.requests if "/git/blobs/" in each]) < 12, there.requests
