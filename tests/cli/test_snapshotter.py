"""`quire snapshotter`: the schedule, kept by a process of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.cli.running import environment, quire
from tests.conftest import connect
from tests.harness.server import QUIRE, ServerProcess
from tests.harness.until import until

OFF = {"QUIRE_SCHEDULER": "off", "QUIRE_COMMIT_QUIET": "0.1", "QUIRE_POLL": "0.1"}


@contextmanager
def keeping(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(QUIRE), "snapshotter", *arguments],
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def write(api: httpx.Client, path: str, text: str) -> None:
    api.put(f"/projects/notes/files/{path}", content=text, params={"force": "true"}).raise_for_status()


def status(api: httpx.Client) -> Any:
    return api.get("/projects/notes/status").json()


def committed(api: httpx.Client) -> bool:
    return not status(api)["uncommitted"]


def test_it_commits_what_is_due_and_outlives_the_server(spawn: Callable[..., ServerProcess]) -> None:
    server = spawn(**OFF)
    with connect(server) as api:
        api.post("/projects", json={"name": "notes"}).raise_for_status()
        write(api, "a.md", "a\n")
        said = until(lambda: (told := status(api))["next_commit_at"] and told, "the edit is heard of")
        assert said["state"] == "failed"
        assert "no `quire snapshotter` was heard of" in said["detail"]
        with keeping("--data", str(server.data)) as process:
            until(lambda: committed(api), "the first commit")
            assert (status(api)["state"], status(api)["detail"]) == ("idle", "")
            server.kill()
            assert process.poll() is None
            server.restart()
            with connect(server) as again:
                write(again, "b.md", "b\n")
                until(lambda: committed(again), "a commit after the restart", seconds=40)
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    # Whether it still tells of the second round before it ends is its own business.
    assert {line.partition(" at ")[0] for line in out.splitlines()} == {"notes: idle"}
    assert err.endswith("Stopped.\n")
    assert "waiting for it" in err


def test_once_has_what_is_due_now_and_ends(spawn: Callable[..., ServerProcess]) -> None:
    server = spawn(**OFF)
    with connect(server) as api:
        api.post("/projects", json={"name": "notes"}).raise_for_status()
        assert quire("snapshotter", "--once", "--data", server.data).ok().out == ""
        write(api, "a.md", "a\n")
        until(lambda: "notes: idle" in quire("snapshotter", "--once", "--data", server.data).ok().out, "its round")
        assert committed(api)


def test_a_server_that_keeps_its_schedule_leaves_nothing_to_do(server: ServerProcess) -> None:
    with keeping("--data", str(server.data)) as process:
        assert process.stderr is not None
        assert "keeps its schedule by itself" in process.stderr.readline()


def test_whoever_may_not_is_told_and_not_kept_waiting(server: ServerProcess) -> None:
    ran = quire("snapshotter", "--url", server.url, env={"QUIRE_ROOT_TOKEN": "not-the-token-of-this-server"})
    assert ran.status == 1
    assert ran.err.startswith("error: ")


def test_a_data_directory_that_is_not_there_is_no_server_to_wait_for() -> None:
    ran = quire("snapshotter", "--data", "/nowhere")
    assert ran.status == 1
    assert "is not there" in ran.err


def test_the_wait_is_bounded(api: httpx.Client) -> None:
    refused = api.post("/schedule", json={"wait": 3600})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "wait")
    answered = api.post("/schedule", json={}).json()
    assert answered["by_server"] is True
