"""Fixtures of the whole suite: the event loop, a server that tests share, and a project in it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from tests.harness.github import GitHubServer, github_server
from tests.harness.server import ServerProcess

pytest_plugins = ["tests.buckets"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="how often the durability test kills the server")
    parser.addoption("--stories", type=int, help="how many new stories of edits, pushes and pulls are made up")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """A running server that other tests use too: whoever kills servers takes `spawn`. It must survive every test."""
    if not shared_server.alive:
        shared_server.restart()
    pid = shared_server.pid
    yield shared_server
    assert shared_server.alive, f"the server died:\n{shared_server.log[-8000:]}"
    assert shared_server.pid == pid


@pytest.fixture
def spawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers of this test's own, running, each on data of its own."""
    made: list[ServerProcess] = []

    def make(**environ: str) -> ServerProcess:
        server = ServerProcess(tmp_path_factory.mktemp("server") / "data", environ=environ)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def github() -> Iterator[GitHubServer]:
    """A GitHub API server; tests make repositories of their own in it."""
    with github_server() as server:
        yield server


def connect(server: ServerProcess) -> httpx.Client:
    return httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30)


@pytest.fixture
def api(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of the shared server's HTTP API, as root."""
    with connect(server) as client:
        yield client


@pytest.fixture
async def async_api(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as client:
        yield client


@pytest.fixture
def project(api: httpx.Client) -> str:
    """The name of an empty project of this test's own."""
    name = f"p{secrets.token_hex(5)}"
    api.post("/projects", json={"name": name}).raise_for_status()
    return name
