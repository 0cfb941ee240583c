"""Files as resources, and who is told when they change.

`quire://PROJECT/PATH` is a file's text. `subscriptions/listen` names such addresses, and is told of each change of them for as
long as its grant lives; it is never told of a project, or a path, that it does not reach.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from collab import paths
from collab.errors import NotFound, QuireError
from collab.ids import Path
from collab.store.base import Event
from web.mcp.entry import ACCESS
from web.roles import Access, require, require_path
from web.services import Services

SCHEME: Final = "quire://"
LISTEN: Final = "subscriptions/listen"
TREE: Final = frozenset({"created", "deleted", "moved", "undeleted"})


@dataclass(frozen=True)
class TreeChanged(ResourcesListChanged):
    """The list of one project's files."""

    project: str = ""


def address(project: str, path: Path) -> str:
    return f"{SCHEME}{project}/{quote(paths.to_bytes(path))}"


def parsed(uri: str) -> tuple[str, Path]:
    project, slash, path = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not slash or not path:
        raise NotFound(f"{uri!r} is no file of ours: an address is like {SCHEME}notes/docs/a.md", field="uri")
    return project, Path(unquote(path, errors="surrogateescape"))


def check(access: Access, uri: str) -> tuple[str, Path]:
    """The project and the path, if whoever asks reaches them."""
    project, path = parsed(uri)
    require(access, project, "viewer")
    require_path(access, project, path)
    return project, path


class Changes:
    """The bus behind `subscriptions/listen`: follows the projects' events while somebody listens."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listeners: dict[object, Callable[[ServerEvent], None]] = {}
        self._seen: dict[str, int] = {}

    async def publish(self, event: ServerEvent) -> None:
        for listener in list(self._listeners.values()):
            listener(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        key = object()
        self._listeners[key] = listener

        def leave() -> None:
            self._listeners.pop(key, None)

        return leave

    async def run(self) -> None:
        """Until it is cancelled. Hints say that a project has news; the store says which."""
        store = self._services.store
        for project in await store.projects():
            self._seen[project.id] = project.events
        async with self._services.bus.subscribe_all() as hints:
            async for changed in hints:
                project_now = await store.project_by_id(changed)
                if project_now is None:
                    continue
                after = self._seen.get(changed, project_now.events - 1)
                for event in await store.events(changed, after=after, limit=1_000):
                    self._seen[changed] = event.n
                    await self._tell(project_now.name, event)

    async def _tell(self, project: str, event: Event) -> None:
        if not self._listeners or event.path is None:
            return
        await self.publish(ResourceUpdated(uri=address(project, event.path)))
        if event.kind in TREE:
            await self.publish(TreeChanged(project=project))


class Guard:
    """Around every message: who listens may listen to it, and no longer than the grant lives."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(
        self,
        ctx: ServerRequestContext[Any, Any],
        call_next: Callable[[ServerRequestContext[Any, Any]], Awaitable[Any]],
    ) -> Any:
        if ctx.method != LISTEN or ctx.request is None:
            return await call_next(ctx)
        access: Access = ctx.request.scope[ACCESS]
        wanted = (ctx.params or {}).get("notifications") or {}
        try:
            for uri in wanted.get("resourceSubscriptions") or ():
                check(access, uri)
        except QuireError as error:
            raise MCPError(INVALID_PARAMS, error.message) from error
        if wanted.get("resourcesListChanged") and access.project is None:
            raise MCPError(INVALID_PARAMS, "a token of several projects cannot listen to the list of files: name files")
        return await self._while_it_lives(access, ctx, call_next)

    async def _while_it_lives(
        self,
        access: Access,
        ctx: ServerRequestContext[Any, Any],
        call_next: Callable[[ServerRequestContext[Any, Any]], Awaitable[Any]],
    ) -> Any:
        async with anyio.create_task_group() as tasks:

            async def end() -> None:
                await self._services.identity.until_ended(access)
                tasks.cancel_scope.cancel()

            tasks.start_soon(end)
            result = await call_next(ctx)
            tasks.cancel_scope.cancel()
            return result
        raise MCPError(INVALID_PARAMS, "the access behind this subscription has ended")
