"""The process beside a real server: it does the heavy work, may be killed at any time, and goes with the server."""

from __future__ import annotations

import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.harness.server import ServerProcess

MANY = 120
Spawn = Callable[..., ServerProcess]


@pytest.fixture
def server(spawn: Spawn, tmp_path: pathlib.Path) -> ServerProcess:
    return spawn(
        QUIRE_OBJECTS=str(tmp_path / "objects"), QUIRE_SNAPSHOT_QUIET="50ms", QUIRE_SNAPSHOT_MAX_AGE="1s",
        QUIRE_COMMIT_QUIET="1h",
    )  # fmt: skip


@pytest.fixture
def api(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as client:
        client.post("/projects", json={"name": "notes"}).raise_for_status()
        yield client


def beside(server: ServerProcess) -> list[psutil.Process]:
    return [each for each in server.children() if "web.backroom" in each.cmdline()]


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    ended = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ended
        time.sleep(0.02)


def objects(api: httpx.Client) -> dict[str, object]:
    found: dict[str, object] = api.get("/projects/notes/status").raise_for_status().json()["objects"]
    return found


def shown(tmp_path: pathlib.Path) -> dict[str, bytes]:
    """The plain files of the newest snapshot."""
    found = {}
    for folder in tmp_path.glob("objects/projects/*/files"):
        for file in folder.rglob("*"):
            if file.is_file():
                parts = file.relative_to(folder).parts
                found["/".join([*parts[:-2], parts[-1]])] = file.read_bytes()
    return found


def put_many(api: httpx.Client, text: str) -> None:
    parts = [("files", (f"d/{number}.md", f"{text} {number}\n".encode())) for number in range(MANY)]
    job = api.post("/projects/notes/import?existing=replace", files=parts).raise_for_status().json()["job"]
    until(lambda: api.get(f"/projects/notes/import/{job['id']}").json()["job"]["state"] == "done")


def commits(server: ServerProcess) -> int:
    found = subprocess.run(
        ["git", "-C", server.data / "git" / "notes.git", "rev-list", "--count", "main"],
        capture_output=True,
        check=True,
        text=True,
    )
    return int(found.stdout)


def test_the_objects_follow_though_the_process_that_brings_them_is_killed(
    server: ServerProcess, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    for number in range(4):
        api.put("/projects/notes/files/a.md?force", content=f"{number}").raise_for_status()
        until(lambda number=number: shown(tmp_path) == {"a.md": b"%d" % number})  # type: ignore[misc]
        for each in beside(server):
            each.kill()
    until(lambda: objects(api)["state"] == "idle")
    assert server.alive


def test_a_large_commit_whose_writer_was_killed_is_made_once_by_the_next_round(
    server: ServerProcess, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    put_many(api, "one")
    until(lambda: len(shown(tmp_path)) == MANY)
    (worker,) = beside(server)
    worker.suspend()
    with pytest.raises(httpx.ReadTimeout):
        api.post("/projects/notes/snapshots", json={}, timeout=0.5)
    worker.kill()
    made = api.post("/projects/notes/snapshots", json={}).raise_for_status().json()
    assert made["state"] == "done"
    assert len(made["files"]) == MANY
    assert commits(server) == 1
    put_many(api, "two")
    api.post("/projects/notes/snapshots", json={}).raise_for_status()
    assert commits(server) == 2
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", server.data / "git" / "notes.git", clone], check=True)
    assert (clone / "d" / "7.md").read_text() == "two 7\n"


def test_it_is_gone_when_the_server_is_killed_and_when_it_ends(server: ServerProcess, api: httpx.Client) -> None:
    for end in (server.kill, server.terminate):
        api.put("/projects/notes/files/a.md?force", content=f"{time.monotonic()}").raise_for_status()
        until(lambda: beside(server) != [])
        (worker,) = beside(server)
        end()
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)  # noqa: B023
        server.start()
