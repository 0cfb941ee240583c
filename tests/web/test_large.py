"""Files that are too large to be text: they come and go a piece at a time, and are seen only when they are whole."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import random
import socket
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.to_thread
import httpx
import psutil
import pytest

from collab.bus.local import LocalBus
from collab.objects.memory import MemoryObjects
from collab.store.memory import MemoryStore
from collab.text import TEXT_LIMIT
from tests.faulty_objects import FaultyObjects
from tests.harness.s3 import objects_in
from tests.harness.server import ServerProcess
from tests.snapshots.git import blob_sha
from tests.web.conftest import ROOT_TOKEN, Quire, Start
from tests.web.test_imports import ended
from web.app import Adapters, create_app
from web.services import now
from web.settings import Settings

pytestmark = pytest.mark.anyio

Spawn = Callable[..., ServerProcess]
LARGE = random.Random(1).randbytes(TEXT_LIMIT + 1_500_000)
OTHER = LARGE[::-1]


@pytest.fixture
async def faulty(tmp_path: pathlib.Path) -> AsyncIterator[tuple[Quire, FaultyObjects]]:
    """An application whose objects fail when a test says so."""
    objects = FaultyObjects(MemoryObjects())

    async def adapters(settings: Settings, stack: contextlib.AsyncExitStack) -> Adapters:
        return Adapters(MemoryStore(clock=now), objects, LocalBus())

    settings = Settings.load({"QUIRE_ROOT_TOKEN": ROOT_TOKEN, "QUIRE_COMMIT_QUIET": "1h"}, data=tmp_path)
    app = create_app(settings, adapters=adapters)
    async with app.router.lifespan_context(app):
        yield Quire(app, app.state.services, settings), objects


def uploads_left(quire: Quire) -> list[pathlib.Path]:
    folder = quire.settings.data / "tmp"
    return list(folder.iterdir()) if folder.exists() else []


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 300_000):
        yield content[start : start + 300_000]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_file_comes_back_byte_for_byte(
    quire: Quire, root: httpx.AsyncClient, notes: str, announced: bool
) -> None:
    sent = await root.put(f"{notes}/files/a.bin", content=LARGE if announced else in_pieces(LARGE))
    assert (sent.status_code, sent.json()["sha"]) == (201, blob_sha(LARGE))
    assert uploads_left(quire) == []
    read = await root.get(f"{notes}/files/a.bin")
    assert read.content == LARGE
    assert read.headers["etag"] == f'"{blob_sha(LARGE)}"'
    assert read.headers["content-length"] == str(len(LARGE))
    assert read.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in read.headers["content-security-policy"]
    (row,) = (await root.get(f"{notes}/files")).json()
    assert (row["kind"], row["size"], row["sha"]) == ("binary", len(LARGE), blob_sha(LARGE))


@pytest.mark.parametrize(
    ("wanted", "first", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=1048570-1048580", 1048570, 1048581), ("bytes=-7", len(LARGE) - 7, len(LARGE))],
)
async def test_a_part_of_a_large_file(root: httpx.AsyncClient, notes: str, wanted: str, first: int, stop: int) -> None:
    await root.put(f"{notes}/files/a.bin", content=LARGE)
    part = await root.get(f"{notes}/files/a.bin", headers={"range": wanted})
    assert (part.status_code, part.content) == (206, LARGE[first:stop])
    assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(LARGE)}"
    beyond = await root.get(f"{notes}/files/a.bin", headers={"range": f"bytes={len(LARGE)}-"})
    assert beyond.status_code == 416


async def test_who_asks_about_a_large_file_is_answered_without_its_bytes(
    faulty: tuple[Quire, FaultyObjects],
) -> None:
    quire, objects = faulty
    async with quire.client() as root:
        await root.post("/projects", json={"name": "notes"})
        await root.put("/projects/notes/files/a.bin", content=LARGE)
        objects.requests.clear()
        asked = await root.head("/projects/notes/files/a.bin")
        known = await root.get("/projects/notes/files/a.bin", headers={"if-none-match": asked.headers["etag"]})
    assert (asked.status_code, asked.headers["content-length"], known.status_code) == (200, str(len(LARGE)), 304)
    assert objects.requests.total() == 0


async def test_a_large_file_as_it_was(root: httpx.AsyncClient, notes: str) -> None:
    first = (await root.put(f"{notes}/files/a.bin", content=LARGE)).json()
    made = (await root.post(f"{notes}/snapshots", json={})).json()
    second = await root.put(f"{notes}/files/a.bin", content=OTHER, headers={"if-match": f'"{first["sha"]}"'})
    assert (await root.get(f"{notes}/files/a.bin")).content == OTHER
    for at in (first["position"], made["commit"]):
        past = await root.get(f"{notes}/files/a.bin", params={"at": at})
        assert (past.content, past.headers["etag"]) == (LARGE, f'"{first["sha"]}"')
    assert second.json()["position"] > first["position"]
    late = await root.put(f"{notes}/files/a.bin", content=LARGE[:-1], headers={"if-match": f'"{first["sha"]}"'})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "overlap")


async def test_a_text_that_grows_too_large_becomes_bytes_and_back(root: httpx.AsyncClient, notes: str) -> None:
    small = (await root.put(f"{notes}/files/a.md", content="text\n")).json()
    large = (await root.put(f"{notes}/files/a.md?force", content=b"line\n" * (TEXT_LIMIT // 4))).json()
    assert large["id"] == small["id"]
    assert len((await root.get(f"{notes}/files/a.md")).content) == 5 * (TEXT_LIMIT // 4)
    await root.put(f"{notes}/files/a.md?force", content="text again\n")
    assert (await root.get(f"{notes}/files/a.md")).text == "text again\n"


async def test_what_was_changed_on_its_way_is_nowhere(faulty: tuple[Quire, FaultyObjects]) -> None:
    quire, objects = faulty
    digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    async with quire.client() as root:
        await root.post("/projects", json={"name": "notes"})
        refused = await root.put("/projects/notes/files/a.bin", content=LARGE, headers={"content-digest": digest})
        assert refused.json()["error"]["code"] == "digest_mismatch"
        assert (await root.get("/projects/notes/files/a.bin")).status_code == 404
    assert uploads_left(quire) == []
    assert [key async for key in objects.list()] == []


async def test_objects_that_do_not_answer_are_said_before_the_first_byte(faulty: tuple[Quire, FaultyObjects]) -> None:
    quire, objects = faulty
    async with quire.client() as root:
        await root.post("/projects", json={"name": "notes"})
        objects.fail("put_file")
        lost = await root.put("/projects/notes/files/a.bin", content=LARGE)
        assert (lost.status_code, lost.json()["error"]["code"]) == (503, "unavailable")
        assert (await root.get("/projects/notes/files/a.bin")).status_code == 404
        assert (await root.put("/projects/notes/files/a.bin", content=LARGE)).status_code == 201
        objects.fail("read")
        assert (await root.get("/projects/notes/files/a.bin")).status_code == 503
        assert (await root.get("/projects/notes/files/a.bin")).content == LARGE
    assert uploads_left(quire) == []


async def test_a_body_beyond_the_limit_is_refused_while_it_comes(start: Start) -> None:
    async with start(QUIRE_MAX_FILE="3000000") as quire, quire.client() as root:
        await root.post("/projects", json={"name": "notes"})
        refused = await root.put("/projects/notes/files/a.bin", content=in_pieces(LARGE))
        assert refused.status_code == 413
        assert uploads_left(quire) == []


async def test_an_upload_that_breaks_off_leaves_nothing(server: ServerProcess, project: str) -> None:
    left = server.data / "tmp"
    before = len(list(left.iterdir())) if left.exists() else 0

    def break_off() -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            path = f"/api/v1/projects/{project}/files/a.bin"
            head = f"PUT {path} HTTP/1.1\r\nhost: quire\r\nauthorization: Bearer {server.token}\r\n"
            raw.sendall(f"{head}content-length: {len(LARGE)}\r\n\r\n".encode() + LARGE[: TEXT_LIMIT + 1_400_000])

    await anyio.to_thread.run_sync(break_off)
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers) as api:
        assert (await api.get(f"/projects/{project}/files/a.bin")).status_code == 404
    with anyio.fail_after(10):
        while left.exists() and len(list(left.iterdir())) > before:  # noqa: ASYNC110
            await anyio.sleep(0.02)


# imports


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


async def test_large_files_of_an_import_arrive_whole(quire: Quire, root: httpx.AsyncClient, notes: str) -> None:
    parts = [("files", (name, content)) for name, content in {"a.md": b"a\n", "deep/b.bin": LARGE}.items()]
    job = await ended(root, notes, await root.post(f"{notes}/import", files=parts))
    assert job["state"] == "done"
    packed = zipped({"deep/b.bin": OTHER, "c.bin": LARGE})
    address = f"{notes}/import?existing=replace"
    job = await ended(
        root, notes, await root.post(address, content=packed, headers={"content-type": "application/zip"})
    )
    assert (job["state"], job["bytes"]) == ("done", len(LARGE) * 2)
    files = {row["path"]: row["sha"] for row in (await root.get(f"{notes}/files")).json()}
    assert files == {"a.md": blob_sha(b"a\n"), "c.bin": blob_sha(LARGE), "deep/b.bin": blob_sha(OTHER)}
    assert (await root.get(f"{notes}/files/deep/b.bin")).content == OTHER
    with anyio.fail_after(10):
        while uploads_left(quire):  # noqa: ASYNC110
            await anyio.sleep(0.02)


# a bucket


@pytest.fixture
def in_a_bucket(spawn: Spawn, s3_address: str, bucket_name: str) -> ServerProcess:
    return spawn(
        QUIRE_OBJECTS=f"s3://{bucket_name}/quire",
        QUIRE_S3_ENDPOINT=s3_address,
        QUIRE_S3_REDIRECT="3000000",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_REGION="us-east-1",
        QUIRE_SNAPSHOT_QUIET="1h",
    )


async def test_a_large_download_is_sent_to_the_bucket_and_opens_there_without_a_token(
    in_a_bucket: ServerProcess, s3_address: str
) -> None:
    async with httpx.AsyncClient(base_url=f"{in_a_bucket.url}/api/v1", headers=in_a_bucket.headers) as api:
        await api.post("/projects", json={"name": "notes"})
        for name in ("the report.pdf", "photo.png"):
            (await api.put(f"/projects/notes/files/{name}", content=LARGE)).raise_for_status()
        (await api.put("/projects/notes/files/small.bin", content=LARGE[:2_900_000])).raise_for_status()
        sent = await api.get("/projects/notes/files/the report.pdf")
        shown = [await api.get(f"/projects/notes/files/{name}") for name in ("photo.png", "small.bin")]
        asked = await api.head("/projects/notes/files/the report.pdf")
    assert (sent.status_code, sent.content, sent.headers["cache-control"]) == (307, b"", "no-store")
    assert sent.headers["etag"] == f'"{blob_sha(LARGE)}"'
    assert sent.headers["location"].startswith(s3_address)
    assert [each.status_code for each in (*shown, asked)] == [200, 200, 200]
    async with httpx.AsyncClient() as stranger:
        found = await stranger.get(sent.headers["location"], headers={"range": "bytes=3000000-"})
    assert (found.status_code, found.content) == (206, LARGE[3_000_000:])
    assert found.headers["content-type"] == "application/pdf"
    assert found.headers["content-disposition"].startswith('attachment; filename="the report.pdf"')


# memory


@contextlib.contextmanager
def peak(pid: int) -> Iterator[Callable[[], int]]:
    """The most bytes that the process had resident since the block began, over what it had then."""
    process = psutil.Process(pid)
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = process.memory_info().rss

    def grown() -> int:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 - before

    yield grown


def download(api: httpx.Client, address: str) -> str:
    digest = hashlib.sha256()
    with api.stream("GET", address, follow_redirects=False) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    return digest.hexdigest()


@pytest.mark.serial
@pytest.mark.parametrize(("where", "allowed"), [("folder", 16_000_000), ("bucket", 64_000_000)])
def test_memory_stays_flat_however_large_a_file_is(
    request: pytest.FixtureRequest, spawn: Spawn, where: str, allowed: int
) -> None:
    """A bucket takes four parts of 8 MB at once."""
    if where == "folder":
        server = spawn(QUIRE_MAX_FILE="1000000000")
    else:
        name, address = request.getfixturevalue("bucket_name"), request.getfixturevalue("s3_address")
        server = spawn(
            QUIRE_MAX_FILE="1000000000", QUIRE_OBJECTS=f"s3://{name}", QUIRE_S3_ENDPOINT=address,
            AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", QUIRE_SNAPSHOT_QUIET="1h",
        )  # fmt: skip
    piece, count = os.urandom(1 << 20), 90

    def pieces() -> Iterator[bytes]:
        for number in range(count):
            yield number.to_bytes(8, "big") + piece[8:]

    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=120) as api:
        api.post("/projects", json={"name": "notes"}).raise_for_status()
        api.put("/projects/notes/files/warm.bin", content=LARGE).raise_for_status()
        download(api, "/projects/notes/files/warm.bin")
        with peak(server.pid) as grown:
            api.put("/projects/notes/files/a.mp4", content=pieces()).raise_for_status()
            found = download(api, "/projects/notes/files/a.mp4")
            assert grown() < allowed
    assert found == hashlib.sha256(b"".join(pieces())).hexdigest()


async def test_a_large_file_in_a_bucket_is_among_its_objects(
    in_a_bucket: ServerProcess, s3_address: str, bucket_name: str
) -> None:
    async with httpx.AsyncClient(base_url=f"{in_a_bucket.url}/api/v1", headers=in_a_bucket.headers) as api:
        await api.post("/projects", json={"name": "notes"})
        (await api.put("/projects/notes/files/a.png", content=LARGE)).raise_for_status()
        assert (await api.get("/projects/notes/files/a.png")).content == LARGE
    objects = objects_in(s3_address, bucket_name, "quire")
    assert [key async for key in objects.list("objects/")] == [f"objects/{blob_sha(LARGE)}"]
    await objects.aclose()
