"""What happens in a project, as a stream that can be resumed, or as a list."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collab import paths
from collab.errors import Invalid
from collab.ids import ActorId, Path
from collab.store.base import Event, Project
from web.api import given
from web.api.endpoint import Call, Endpoints, Query, json_answer
from web.api.shapes import ActorRef, refs, rfc3339
from web.roles import Access
from web.services import Services

endpoints = Endpoints()

HEARTBEAT: Final = 15.0
"""Seconds of silence before a comment is sent, so that proxies keep the stream and a dead client is noticed."""
LISTED_MOST: Final = 1000


class EventQuery(Query):
    """Events after number `after`. `path`: a file, or a directory with everything below. `kind`: one, or several with
    commas. `limit`: of a list."""

    after: int | None = None
    path: str | None = None
    kind: str | None = None
    limit: int = LISTED_MOST


class EventInfo(msgspec.Struct):
    """`data` has more about some kinds: `from` of `moved`."""

    n: int
    kind: str
    path: str | None
    document: str | None
    sha: str | None
    position: int | None
    actors: list[ActorRef]
    at: str
    data: dict[str, Any]


class EventList(msgspec.Struct):
    """`last` is what to go on after."""

    events: list[EventInfo]
    last: int


class Filter:
    """`among`: the paths that whoever asks reaches; None: all, and what is about no path."""

    def __init__(self, query: EventQuery, among: Callable[[Path], bool] | None) -> None:
        self._among = among
        self._path = None if query.path is None else paths.parse(query.path.rstrip("/"))
        self._kinds = None if query.kind is None else frozenset(query.kind.split(","))

    def passes(self, event: Event) -> bool:
        if self._among is not None and (event.path is None or not self._among(event.path)):
            return False
        return (self._kinds is None or event.kind in self._kinds) and self._touches(event)

    def _touches(self, event: Event) -> bool:
        """A move is told at both ends."""
        if self._path is None:
            return True
        came_from = event.data.get("from")
        there = [event.path, paths.parse(came_from) if isinstance(came_from, str) else None]
        return any(path is not None and self._covers(path) for path in there)

    def _covers(self, path: Path) -> bool:
        return path == self._path or path.startswith(f"{self._path}/")


@endpoints.add(
    "GET",
    "/projects/{project}/events",
    role="viewer",
    scoped=True,
    query=EventQuery,
    answer=EventList,
    gives=("text/event-stream", "application/json"),
    headers=(("Last-Event-ID", "goes on after this number"), ("Accept", "application/json gives a list, at once")),
    errors=(400, 404),
)
async def get_events(call: Call[None, EventQuery]) -> Response:
    """What happened, from the beginning or after a number, and what happens from now on."""
    query = call.query
    after = _after(call.request, query)
    chosen = Filter(query, call.among)
    if not _wants_json(call.request):
        return EventStream(call.services, call.access, call.project, after, chosen)
    if not 1 <= query.limit <= LISTED_MOST:
        raise Invalid(f"limit is {query.limit}: give 1 to {LISTED_MOST}", field="limit")
    found = await call.services.workspace.events(call.project, after, query.limit)
    passing = [event for event in found if chosen.passes(event)]
    names = Names(call.services)
    return json_answer(EventList([await names.shape(each) for each in passing], found[-1].n if found else after))


def _after(request: Request, query: EventQuery) -> int:
    """A browser that reconnects says where it stopped, and that wins over the address it was given."""
    resumed = request.headers.get("last-event-id", "").strip()
    if resumed:
        return given.whole(resumed, "Last-Event-ID", what="the number of an event")
    return given.within(query.after or 0, "after", what="0 or the number of an event")


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


class Names:
    """The names of actors, each looked up once for one answer or stream."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[ActorId, ActorRef] = {}

    async def shape(self, event: Event) -> EventInfo:
        unknown = [actor for actor in event.actors if actor not in self._known]
        if unknown:
            self._known.update(await refs(self._services.store, unknown))
        return EventInfo(
            n=event.n,
            kind=event.kind,
            path=None if event.path is None else paths.show(event.path),
            document=event.document,
            sha=event.sha,
            position=event.position,
            actors=[self._known[actor] for actor in event.actors],
            at=rfc3339(event.at),
            data=dict(event.data),
        )


class EventStream(Response):
    """Server-sent events, until the client goes, its grant ends or the server stops. Nothing is kept for a slow reader:
    the next event is read from the store when the one before was taken."""

    media_type = "text/event-stream"

    def __init__(self, services: Services, access: Access, project: Project, after: int, chosen: Filter) -> None:
        super().__init__(b"", headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._services, self._access, self._project = services, access, project
        self._after, self._chosen = after, chosen
        self._sending = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            async with anyio.create_task_group() as tasks:
                # Whichever of these returns first ends the stream.
                for each in (self._gone(receive), self._ended(), self._services.closing.wait(), self._pump(send)):
                    tasks.start_soon(_then_cancel, each, tasks.cancel_scope)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _ended(self) -> None:
        await self._services.identity.until_ended(self._access, self._project.name)

    async def _pump(self, send: Send) -> None:
        names = Names(self._services)
        await self._write(send, b": go on\n\n")
        async with anyio.create_task_group() as tasks, _following(self._services, self._project, self._after) as events:
            beat = Heartbeat(lambda: self._write(send, b": still here\n\n"))
            tasks.start_soon(beat.run)
            async for event in events:
                beat.postpone()
                await self._write(send, await self._frame(event, names))

    async def _frame(self, event: Event, names: Names) -> bytes:
        """An event that the filter holds back still moves the number from which a browser resumes."""
        if not self._chosen.passes(event):
            return b"id: %d\n\n" % event.n
        return b"id: %d\ndata: %s\n\n" % (event.n, msgspec.json.encode(await names.shape(event)))

    async def _write(self, send: Send, frame: bytes) -> None:
        async with self._sending:
            await send({"type": "http.response.body", "body": frame, "more_body": True})


class Heartbeat:
    """Calls `beat` after every so many seconds without `postpone`."""

    def __init__(self, beat: Callable[[], Awaitable[None]]) -> None:
        self._beat = beat
        self._due = 0.0

    def postpone(self) -> None:
        self._due = anyio.current_time() + HEARTBEAT

    async def run(self) -> None:
        self.postpone()
        while True:
            await anyio.sleep_until(self._due)
            if anyio.current_time() >= self._due:
                await self._beat()
                self.postpone()


@contextlib.asynccontextmanager
async def _following(services: Services, project: Project, after: int) -> AsyncIterator[AsyncIterator[Event]]:
    events = services.workspace.follow(project, after)
    try:
        yield events
    finally:
        aclose = getattr(events, "aclose", None)
        if aclose is not None:
            await aclose()


async def _then_cancel(work: Awaitable[Any], scope: anyio.CancelScope) -> None:
    await work
    scope.cancel()
