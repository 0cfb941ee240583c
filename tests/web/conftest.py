"""The application in this process: over memory, with clients for everybody who may ask."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import httpx
import pytest
from starlette.types import ASGIApp

from collab.bus.local import LocalBus
from collab.errors import LogFailed
from collab.objects.memory import MemoryObjects
from collab.store.base import Append, Change, Committed, Project
from collab.store.memory import MemoryStore
from web.app import Adapters, create_app
from web.services import Services, now
from web.settings import Settings

ROOT_TOKEN = "root-token-of-the-tests"
BASE = "http://quire.test"


class Faulty(MemoryStore):
    """A store whose disk is full while `full`, and that has a fault of its own while `broken`."""

    def __init__(self) -> None:
        super().__init__(clock=now)
        self.full = self.broken = False

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        if self.full:
            raise LogFailed("the disk is full")
        return await super().commit(appends, changes)

    async def project(self, name: str) -> Project | None:
        if self.broken:
            raise RuntimeError("a fault of the test's")
        return await super().project(name)


async def in_memory(settings: Settings, stack: contextlib.AsyncExitStack) -> Adapters:
    store = Faulty()
    stack.push_async_callback(store.aclose)
    return Adapters(store, MemoryObjects(), LocalBus())


@dataclass
class Quire:
    """A running application."""

    app: ASGIApp
    services: Services
    settings: Settings

    @property
    def store(self) -> Faulty:
        assert isinstance(self.services.store, Faulty)
        return self.services.store

    def client(self, token: str | None = ROOT_TOKEN, **rest: str) -> httpx.AsyncClient:
        """Below `/api/v1`; with a token, or as nobody."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=f"{BASE}/api/v1", headers=headers | rest)

    async def token(self, project: str, role: str, **more: str) -> str:
        async with self.client() as root:
            made = await root.post(f"/projects/{project}/tokens", json={"role": role, **more})
        token: str = made.raise_for_status().json()["token"]
        return token


Start = Callable[..., contextlib.AbstractAsyncContextManager[Quire]]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Start:
    """Opens an application with settings of one's own."""

    @contextlib.asynccontextmanager
    async def opened(**environ: str) -> AsyncIterator[Quire]:
        settings = Settings.load({"QUIRE_ROOT_TOKEN": ROOT_TOKEN, "QUIRE_COMMIT_QUIET": "1h", **environ}, data=tmp_path)
        app = create_app(settings, adapters=in_memory)
        async with app.router.lifespan_context(app):
            yield Quire(app, app.state.services, settings)

    return opened


@pytest.fixture
async def quire(start: Start) -> AsyncIterator[Quire]:
    async with start() as running:
        yield running


@pytest.fixture
async def root(quire: Quire) -> AsyncIterator[httpx.AsyncClient]:
    async with quire.client() as client:
        yield client


@pytest.fixture
async def notes(root: httpx.AsyncClient) -> str:
    """The address of an empty project."""
    (await root.post("/projects", json={"name": "notes"})).raise_for_status()
    return "/projects/notes"
