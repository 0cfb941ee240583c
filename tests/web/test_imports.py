"""Imports by HTTP: uploads of any form, git, and what is refused."""

from __future__ import annotations

import io
import pathlib
import tarfile
import zipfile
from typing import Any

import anyio
import httpx
import pytest

from tests.harness.until import until_awaited
from tests.web.conftest import Quire, Start
from web.outgoing import check_public

pytestmark = pytest.mark.anyio

Parts = list[tuple[str, tuple[str, bytes]]]


def parts(**files: bytes) -> Parts:
    return [("files", (path, content)) for path, content in files.items()]


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def tarred(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def ended(root: httpx.AsyncClient, project: str, begun: httpx.Response) -> dict[str, Any]:
    """The job, when the process that reads the source has done its part."""
    assert begun.status_code == 202, begun.text
    number = begun.json()["job"]["id"]

    async def over() -> dict[str, Any] | None:
        job: dict[str, Any] = (await root.get(f"{project}/import/{number}")).json()["job"]
        return None if job["state"] == "running" else job

    job = await until_awaited(over, "the import's end")
    assert job is not None
    return job


async def listed(root: httpx.AsyncClient, project: str) -> list[str]:
    return [each["path"] for each in (await root.get(f"{project}/files")).json()]


async def test_uploaded_files_lie_where_their_names_say(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    upload = parts(**{"a.md": b"# a\n", "docs/Grüße.md": b"hi\n", ".git/config": b"no", "b.bin": b"\xff\x00"})
    job = await ended(root, notes, await root.post(f"{notes}/import", files=upload))
    assert job["state"] == "done", job
    assert await listed(root, notes) == ["a.md", "b.bin", "docs/Grüße.md"]
    assert (await root.get(f"{notes}/files/b.bin")).content == b"\xff\x00"

    async def swept() -> bool:
        return not list((quire.settings.data / "tmp").glob("upload-*"))

    assert await until_awaited(swept, "the upload's end")


@pytest.mark.parametrize(("name", "pack"), [("x.zip", zipped), ("x.tar.gz", tarred)])
@pytest.mark.parametrize("whole", [True, False], ids=["as the body", "as a part"])
async def test_an_archive_is_unpacked(root: httpx.AsyncClient, notes: str, name: str, pack: Any, whole: bool) -> None:
    content = pack(**{"a.md": b"a\n", "docs/b.md": b"b\n"})
    if whole:
        begun = await root.post(
            f"{notes}/import", content=content, headers={"content-type": "application/octet-stream"}
        )
    else:
        begun = await root.post(f"{notes}/import", files=[("files", (name, content))])
    assert (await ended(root, notes, begun))["state"] == "done"
    assert await listed(root, notes) == ["a.md", "docs/b.md"]


async def test_files_in_the_way_make_it_fail_stay_or_are_replaced(root: httpx.AsyncClient, notes: str) -> None:
    await root.put(f"{notes}/files/a.md", content="mine\n")
    upload = parts(**{"a.md": b"theirs\n", "b.md": b"b\n"})
    failed = await ended(root, notes, await root.post(f"{notes}/import", files=upload))
    assert failed["state"] == "failed"
    assert "a.md" in failed["message"]
    assert await listed(root, notes) == ["a.md"]
    kept = await root.post(f"{notes}/import", files=upload, data={"existing": "keep"})
    assert (await ended(root, notes, kept))["state"] == "done"
    assert (await root.get(f"{notes}/files/a.md")).text == "mine\n"
    replaced = await root.post(f"{notes}/import?existing=replace", files=upload)
    assert (await ended(root, notes, replaced))["state"] == "done"
    assert (await root.get(f"{notes}/files/a.md")).text == "theirs\n"


async def test_root_imports_a_repository_of_this_machine(
    root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "a.md").write_text("a\n")
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        await anyio.run_process(["git", "-C", str(repository), *command])
    job = await ended(root, notes, await root.post(f"{notes}/import", json={"git": str(repository)}))
    assert job["state"] == "done", job
    assert await listed(root, notes) == ["a.md"]
    assert (await root.get(f"{notes}/status")).json()["uncommitted"] == 0


async def test_root_imports_a_folder_of_this_machine(
    root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("a\n")
    job = await ended(root, notes, await root.post(f"{notes}/import", json={"path": str(folder)}))
    assert job["state"] == "done", job
    no_repository = await root.post(f"{notes}/import", json={"git": str(folder)})
    assert (no_repository.status_code, no_repository.json()["error"]["field"]) == (400, "git")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "/etc"}, 403),
        ({"git": "/etc"}, 400),
        ({"git": "file:///etc"}, 400),
        ({"git": "ssh://example.org/x"}, 400),
        ({"git": "ext::sh -c true"}, 400),
        ({"git": "http://127.0.0.1:1/x.git"}, 403),
        ({"git": "http://[::1]/x.git"}, 403),
        ({"git": "http://localhost/x.git"}, 403),
        ({"git": "http://169.254.169.254/x.git"}, 403),
    ],
)
async def test_an_editor_reaches_neither_this_machine_nor_its_network(
    quire: Quire, notes: str, body: dict[str, str], status: int
) -> None:
    async with quire.client(await quire.token("notes", "editor", agent="Scribe")) as editor:
        refused = await editor.post(f"{notes}/import", json=body)
    assert refused.status_code == status, refused.text


async def test_a_public_address_is_no_trouble() -> None:
    await check_public("https://8.8.8.8/x.git", field="git")


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ([("files", ("../a.md", b"x"))], "path"),
        ([("files", ("/etc/a.md", b"x"))], "path"),
        ([("other", ("a.md", b"x"))], "files"),
        ([("files", ("a.md", b"x")), ("files", ("a.md", b"y"))], "files"),
        ([("files", ("a", b"x")), ("files", ("a/b", b"y"))], "files"),
    ],
)
async def test_an_upload_that_cannot_be_leaves_nothing(
    quire: Quire, root: httpx.AsyncClient, notes: str, files: Parts, field: str
) -> None:
    refused = await root.post(f"{notes}/import", files=files)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    assert list((quire.settings.data / "tmp").iterdir()) == []


async def test_an_upload_that_breaks_off_leaves_nothing(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    begun = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\nhal'
    refused = await root.post(f"{notes}/import", content=begun, headers=kind)
    assert refused.status_code == 400
    assert list((quire.settings.data / "tmp").iterdir()) == []


@pytest.mark.parametrize("kind", ["multipart/form-data", "text/plain", "image/png"])
async def test_a_body_of_another_kind_is_refused(root: httpx.AsyncClient, notes: str, kind: str) -> None:
    refused = await root.post(f"{notes}/import", content=b"x", headers={"content-type": kind})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "Content-Type")


async def test_an_upload_beyond_the_limit_is_refused(start: Start) -> None:
    async with start(QUIRE_MAX_UPLOAD="1000") as quire, quire.client() as root:
        await root.post("/projects", json={"name": "notes"})
        refused = await root.post("/projects/notes/import", files=parts(a=b"x" * 2000))
        assert refused.status_code == 413
        assert list((quire.settings.data / "tmp").iterdir()) == []


async def test_something_that_is_no_archive_is_refused(root: httpx.AsyncClient, notes: str) -> None:
    refused = await root.post(f"{notes}/import", content=b"hello", headers={"content-type": "application/zip"})
    assert refused.status_code == 400


@pytest.mark.parametrize("body", [{}, {"git": "a", "path": "b"}, {"existing": "maybe", "git": "https://x.org/y"}])
async def test_a_source_that_is_not_said_clearly(root: httpx.AsyncClient, notes: str, body: dict[str, str]) -> None:
    assert (await root.post(f"{notes}/import", json=body)).status_code == 400


async def test_a_job_of_another_project_is_not_found(root: httpx.AsyncClient, notes: str) -> None:
    begun = await root.post(f"{notes}/import", files=parts(**{"a.md": b"a"}))
    await root.post("/projects", json={"name": "other"})
    number = begun.json()["job"]["id"]
    assert (await root.get(f"/projects/other/import/{number}")).status_code == 404
    assert (await root.get(f"{notes}/import/none")).status_code == 404
    await ended(root, notes, begun)


async def test_an_import_into_a_project_that_is_not_there(root: httpx.AsyncClient) -> None:
    assert (await root.post("/projects/none/import", json={"git": "https://example.org/x"})).status_code == 404
