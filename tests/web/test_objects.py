"""A real server with its objects in a bucket: what it writes there, what its status says, what a kill leaves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import anyio
import httpx
import pytest

from collab.ids import Millis, ProjectId
from collab.objects.s3 import S3Objects
from collab.store.base import Project
from tests.harness.s3 import Proxy, objects_in
from tests.harness.server import ServerProcess
from tests.snapshots.bucket import Found, look
from tests.snapshots.house import ALICE

pytestmark = pytest.mark.anyio

Spawn = Callable[..., ServerProcess]


@pytest.fixture
async def bucket(s3_address: str, bucket_name: str) -> AsyncIterator[S3Objects]:
    made = objects_in(s3_address, bucket_name, "quire/here")
    yield made
    await made.aclose()


@pytest.fixture
def there(proxy: Proxy, bucket_name: str) -> dict[str, str]:
    """The settings of a server whose objects lie in the bucket."""
    return {
        "QUIRE_OBJECTS": f"s3://{bucket_name}/quire/here",
        "QUIRE_S3_ENDPOINT": proxy.address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "QUIRE_SNAPSHOT_QUIET": "100ms",
        "QUIRE_SNAPSHOT_MAX_AGE": "1s",
    }


def connect(server: ServerProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30)


async def new_project(api: httpx.AsyncClient, name: str = "notes") -> Project:
    (await api.post("/projects", json={"name": name})).raise_for_status()
    (await api.put(f"/projects/{name}/files/a.md", content=b"one")).raise_for_status()
    return Project(id=ProjectId(""), name=name, created_at=Millis(0), created_by=ALICE)


async def until_there(bucket: S3Objects, files: dict[str, bytes]) -> Found:
    """The one project that the bucket holds, once it is so."""
    with anyio.fail_after(30):
        while True:
            ids = {key.split("/")[1] async for key in bucket.list("projects/")}
            for each in ids:
                project = Project(id=ProjectId(each), name="", created_at=Millis(0), created_by=ALICE)
                found = await look(bucket, project)
                if found is not None and found.contents == found.files == files:
                    return found
            await anyio.sleep(0.05)


async def until_status(api: httpx.AsyncClient, holds: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    with anyio.fail_after(30):
        while True:
            objects: dict[str, object] = (await api.get("/projects/notes/status")).json()["objects"]
            if holds(objects):
                return objects
            await anyio.sleep(0.05)


async def test_what_is_written_is_in_the_bucket_within_seconds(
    spawn: Spawn, there: dict[str, str], bucket: S3Objects, bucket_name: str
) -> None:
    async with connect(spawn(**there)) as api:
        await new_project(api)
        await api.put("/projects/notes/files/deep/latin.txt", content=b"caf\xe9")
        await until_there(bucket, {"a.md": b"one", "deep/latin.txt": b"caf\xe9"})
        status = await until_status(api, lambda each: each["state"] == "idle" and each["next_at"] is None)
        assert status["where"] == f"s3://{bucket_name}/quire/here"
        assert status["detail"] == ""
        assert isinstance(status["snapshot"], int)
        assert (await api.get("/projects/notes/files/deep/latin.txt")).content == b"caf\xe9"
        (await api.delete("/projects/notes")).raise_for_status()
        with anyio.fail_after(30):
            while [key async for key in bucket.list("projects/")]:  # noqa: ASYNC110
                await anyio.sleep(0.05)


async def test_a_bucket_out_of_reach_stops_nobody_and_is_followed_when_it_is_back(
    spawn: Spawn, there: dict[str, str], bucket: S3Objects, proxy: Proxy
) -> None:
    proxy.down = True
    async with connect(spawn(**there)) as api:
        await new_project(api)
        status = await until_status(api, lambda each: each["state"] == "failed")
        assert "S3 does not answer" in str(status["detail"])
        began = time.monotonic()
        (await api.put("/projects/notes/files/b.md", content=b"typed meanwhile")).raise_for_status()
        assert time.monotonic() - began < 1
        made = await api.post("/projects/notes/snapshots", json={})
        assert made.json()["state"] == "done"
        proxy.down = False
        await until_there(bucket, {"a.md": b"one", "b.md": b"typed meanwhile"})


async def test_a_server_that_is_killed_lets_the_bucket_follow_at_its_next_start(
    spawn: Spawn, there: dict[str, str], bucket: S3Objects, proxy: Proxy
) -> None:
    server = spawn(**there)
    async with connect(server) as api:
        await new_project(api)
        await until_there(bucket, {"a.md": b"one"})
        proxy.down = True
        (await api.put("/projects/notes/files/b.md", content=b"not there yet")).raise_for_status()
    server.kill()
    proxy.down = False
    server.start()
    await until_there(bucket, {"a.md": b"one", "b.md": b"not there yet"})


async def test_what_lay_in_the_data_directory_is_found_after_the_move_to_a_bucket(
    spawn: Spawn, there: dict[str, str], bucket: S3Objects
) -> None:
    server = spawn()
    async with connect(server) as api:
        await new_project(api)
        await api.put("/projects/notes/files/old.bin", content=b"\xff old")
        assert (await api.get("/projects/notes/status")).json()["objects"] is None
    server.terminate()
    with ServerProcess(server.data, environ=there) as moved:
        await finds_both(moved, bucket)


async def finds_both(server: ServerProcess, bucket: S3Objects) -> None:
    async with connect(server) as api:
        assert (await api.get("/projects/notes/files/old.bin")).content == b"\xff old"
        await until_there(bucket, {"a.md": b"one", "old.bin": b"\xff old"})
