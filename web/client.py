"""The HTTP client of the commands: a running server's, or that of the application opened in this process.

There is one way for every command: the HTTP interface. When no server runs on the data directory, the same application is
opened right here, without a socket, for as long as the command lasts.

Errors are `Refused` (the server said no, with its status, code and details) and `CommandFailed` (no server, no data
directory), both with what would be right.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from collab.errors import QuireError
from web.commands.common import CommandFailed
from web.console import note
from web.settings import Settings

ALIVE_WITHIN: Final = 3.0
"""Seconds for a server on this machine to answer `/healthz` before it counts as gone."""
TIMEOUT: Final = httpx.Timeout(30.0, read=600.0)
DATABASE: Final = "quire.sqlite"
QUIET: Final[dict[str, Any]] = {
    "log_level": "error",
    "commit_quiet": 1e9,
    "poll": 0.0,
    "scheduler": "on",
    "github_poll": 0.0,
    "commit_max_age": 1e9,
    "shutdown_timeout": 0.0,
    "shipping": False,
}
"""For the application in this process: it does what the command asks for, and no automatic commit besides."""


class Refused(QuireError):
    """The server answered with an error."""

    code = "refused"

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status


@dataclass(frozen=True, slots=True)
class Running:
    """What a serving process writes into its data directory, readable by its owner alone."""

    url: str
    token: str
    pid: int


@dataclass(frozen=True, slots=True)
class Client:
    http: httpx.AsyncClient
    local: bool
    """The server reads the same disk: paths can be handed over as they are."""
    running: bool = True
    """False for the application in this process, which commits nothing by itself."""

    async def get(self, path: str, **query: Any) -> Any:
        return await self.call("GET", path, params={key: value for key, value in query.items() if value is not None})

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return await self.call("POST", path, json={} if body is None else body, **more)

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """The answer's JSON; None when it has no body. `path` is below `/api/v1`."""
        response = await self._send(self.http.build_request(method, f"api/v1{path}", **more))
        with_body = await response.aread()
        return msgspec.json.decode(with_body) if with_body else None

    @contextlib.asynccontextmanager
    async def stream(self, method: str, path: str, **more: Any) -> AsyncIterator[httpx.Response]:
        response = await self._send(self.http.build_request(method, f"api/v1{path}", **more), stream=True)
        try:
            yield response
        except httpx.TransportError as error:
            raise self._lost(error) from error
        finally:
            await response.aclose()

    async def report(self, path: str, body: Any) -> AsyncIterator[dict[str, Any]]:
        """Long work that tells how far it is: one JSON object a line. A line with `error` is raised."""
        async with self.stream("POST", path, json=body) as response:
            async for line in response.aiter_lines():
                said = msgspec.json.decode(line)
                if "error" in said:
                    raise _refused(response.status_code, line.encode())
                yield said

    async def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            response = await self.http.send(request, stream=stream)
        except httpx.TransportError as error:
            raise self._lost(error) from error
        if response.is_error:
            content = await response.aread()
            await response.aclose()
            raise _refused(response.status_code, content)
        return response

    def _lost(self, error: httpx.TransportError) -> CommandFailed:
        return CommandFailed(
            f"{self.http.base_url} does not answer ({error or type(error).__name__})",
            "is the server running, and is --url (QUIRE_URL) right?",
        )


def _refused(status: int, content: bytes) -> Refused:
    try:
        error = msgspec.json.decode(content)["error"]
        return Refused(status, error["code"], error["message"], error.get("details") or {})
    except (msgspec.DecodeError, KeyError, TypeError):
        return Refused(status, "refused", f"the server answered {status}: is this really a Quire server?", {})


@contextlib.asynccontextmanager
async def connect(settings: Settings, *, running: bool = False) -> AsyncIterator[Client]:
    """The server of `QUIRE_URL`, else the one that runs on the data directory, else (unless it must be `running`) the
    application in this process."""
    if settings.url is not None:
        async with _http(settings.url, _credential(settings)) as http:
            yield Client(http, local=False)
        return
    check_data(settings.data)
    found = read_running(settings.data)
    if found is not None and await _answers(found):
        async with _http(found.url, found.token) as http:
            yield Client(http, local=True)
        return
    if running:
        raise CommandFailed(f"no server runs on {settings.data}", "start it with `quire serve`")
    note(f"No server runs on {settings.data}: opening it for this command.")
    async with _in_process(settings) as client:
        yield client


def check_data(data: pathlib.Path) -> None:
    """No command but `serve` makes a data directory."""
    if not (data / DATABASE).is_file():
        what = "holds no data of Quire" if data.is_dir() else "is not there"
        raise CommandFailed(
            f"the data directory {data} {what}",
            "`quire serve` makes a new one; --data or QUIRE_DATA names another, --url or QUIRE_URL a running server",
        )


def read_running(data: pathlib.Path) -> Running | None:
    """What `server.json` says, if the process that wrote it still lives."""
    try:
        content = data.joinpath("server.json").read_bytes()
    except FileNotFoundError:
        return None
    try:
        running = msgspec.json.decode(content, type=Running)
        os.kill(running.pid, 0)
    except (msgspec.DecodeError, ProcessLookupError):
        return None
    except PermissionError:
        pass
    return running


async def _answers(running: Running) -> bool:
    """Asked without the token: after a crash, another program may listen there."""
    async with httpx.AsyncClient(timeout=ALIVE_WITHIN, trust_env=False) as http:
        try:
            return (await http.get(f"{running.url}/healthz")).is_success
        except httpx.TransportError:
            return False


def _credential(settings: Settings) -> str:
    """QUIRE_ROOT_TOKEN, else the data directory's own."""
    if settings.root_token is not None:
        return settings.root_token
    running = read_running(settings.data)
    if running is not None and running.url.rstrip("/") == settings.url:
        return running.token
    kept = settings.data / "root-token"
    if kept.is_file():
        return kept.read_text().strip()
    raise CommandFailed(
        f"there is no credential for {settings.url}",
        "set QUIRE_ROOT_TOKEN to its root token, or name its data directory with --data (QUIRE_DATA)",
    )


def _http(url: str, token: str, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url.rstrip("/") + "/",
        headers={"authorization": f"Bearer {token}"},
        timeout=TIMEOUT,
        transport=transport,
    )


@contextlib.asynccontextmanager
async def _in_process(settings: Settings) -> AsyncIterator[Client]:
    # Everything the server imports: only when it is needed.
    from web.app import create_app
    from web.observability import configure_logging

    settings = dataclasses.replace(settings, **QUIET)
    configure_logging(settings)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        identity = app.state.services.identity
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        url = settings.public_url or f"http://{settings.host}:{settings.port}"
        async with _http(url, identity.local_token, transport) as http:
            yield Client(http, local=True, running=False)
