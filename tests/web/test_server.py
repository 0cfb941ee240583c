"""The server as a process: its port, its file in the data directory, its end."""

from __future__ import annotations

import pathlib
import socket
from collections.abc import Callable

import httpx
import msgspec
import pytest

from tests.harness.server import ServerProcess
from tests.harness.until import until
from web.server import PortTaken, bind, local_url

Spawn = Callable[..., ServerProcess]


def test_a_port_in_use_is_named_before_anything_is_opened() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}"):
            bind("127.0.0.1", port)


def test_a_port_can_be_bound_again_at_once() -> None:
    with bind("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            first.accept()[0].close()
    bind("127.0.0.1", port).close()


def test_no_child_inherits_the_socket() -> None:
    with bind("127.0.0.1", 0) as listening:
        assert not listening.get_inheritable()


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "http://127.0.0.1:"), ("127.0.0.1", "http://127.0.0.1:")])
def test_this_machine_reaches_it_by_its_own_name(host: str, shown: str) -> None:
    with bind(host, 0) as listening:
        assert local_url(listening).startswith(shown)


def test_a_file_in_the_data_directory_names_the_server_while_it_runs(spawn: Spawn) -> None:
    server = spawn()
    file = server.data / "server.json"
    assert file.stat().st_mode & 0o777 == 0o600
    running = msgspec.json.decode(file.read_bytes())
    assert (running["url"], running["pid"]) == (server.url, server.pid)
    headers = {"authorization": f"Bearer {running['token']}"}
    me = httpx.get(f"{running['url']}/api/v1/me", headers=headers).json()
    assert me["role"] == "root"
    server.terminate()
    assert not file.exists()


def test_sigterm_commits_what_is_there_ends_streams_and_exits_with_0(spawn: Spawn) -> None:
    server = spawn()
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api:
        api.post("/projects", json={"name": "notes"}).raise_for_status()
        api.put("/projects/notes/files/a.md", content="hello\n").raise_for_status()
        with api.stream("GET", "/projects/notes/events") as stream:
            chunks = stream.iter_raw()
            next(chunks)
            server.terminate()
            assert b"".join(chunks) is not None
    server.restart()
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api:
        status = api.get("/projects/notes/status").json()
        assert status["uncommitted"] == 0
        assert status["head"]


def test_a_killed_server_starts_again_at_once_on_the_same_port_and_data(spawn: Spawn) -> None:
    server = spawn()
    httpx.post(
        f"{server.url}/api/v1/projects", json={"name": "notes"}, headers=server.headers, timeout=30
    ).raise_for_status()
    server.kill()
    server.restart()
    listed = httpx.get(f"{server.url}/api/v1/projects", headers=server.headers, timeout=30).json()
    assert [each["name"] for each in listed["projects"]] == ["notes"]


def test_it_is_ready_soon_and_says_so(spawn: Spawn) -> None:
    server = spawn()
    assert until(server.ready, "the server's readiness")


def test_a_data_directory_belongs_to_one_server(spawn: Spawn, tmp_path: pathlib.Path) -> None:
    first = spawn()
    second = ServerProcess(first.data)
    second.logfile = tmp_path / "second.log"
    second.spawn()
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert "Traceback" not in second.log
    assert first.ready()


def test_logs_hold_no_tokens(spawn: Spawn) -> None:
    server = spawn(QUIRE_LOG_LEVEL="debug", QUIRE_LOG_FORMAT="json")
    httpx.get(f"{server.url}/api/v1/me?token=very-secret", headers=server.headers)
    until(lambda: "/api/v1/me" in server.log, "the request's line in the log")
    assert "very-secret" not in server.log
    assert server.token not in server.log
    lines = [line for line in server.log.splitlines() if line.startswith("{")]
    assert any(msgspec.json.decode(line).get("request") for line in lines)
