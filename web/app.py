"""The composition root: which adapters stand behind which contracts, in which order they open and close.

Order of the end, which the exit stack guarantees (the sockets were closed before, by `web.server`): work in the background
and imports stop, a last snapshot is made within the deadline, the rooms commit what was submitted, the store is closed.
What cannot be opened closes what was opened before it.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from collab.bus.base import Bus
from collab.crowd import aside
from collab.objects.base import ObjectStore
from collab.store.base import Store
from web import errors, llms, places
from web.api import ROUTES
from web.compress import Compress
from web.edge import Edge
from web.git import repositories
from web.git.packing import Packing
from web.idempotency import Once
from web.identity import Identity
from web.mcp.entry import Mcp
from web.observability import Metrics
from web.pages import Pages, wants_page
from web.private import read_or_make
from web.services import BackedUp, Services, now
from web.settings import Settings
from web.sockets import nowhere, sync

if TYPE_CHECKING:
    from collab.ids import BlobSha, DocumentId, Path, Position
    from collab.store.pages import Pages as StorePages
    from snapshots.backroom import Backroom
    from snapshots.follower import Follower
    from snapshots.remotes.base import Made, NewCommit, TreeEntry
    from snapshots.remotes.local import LocalRemotes, Writer
    from snapshots.secrets import Sealer
    from snapshots.snapshotter import Snapshotter
    from web.shipping.assembly import Place

REQUESTS_TAKE: Final = 5.0
"""Seconds of the deadline that belong to requests which were under way; the last snapshot has the rest."""
BACKUP_TAKES: Final = 4.0
"""Seconds of it that belong to what is not in the backup yet, where there is one."""


@dataclass(frozen=True, slots=True)
class Backup:
    pages: StorePages
    place: Place


@dataclass(frozen=True, slots=True)
class Adapters:
    """Opened in this order, closed in the other. `backup`: where the store is backed up to, continuously. `on_disk`: another
    process can look at the store."""

    store: Store
    objects: ObjectStore
    bus: Bus
    backup: Backup | None = None
    on_disk: bool = False


UPLOADS: Final = 16
"""Pushes that come in side by side."""

Open = Callable[[Settings, contextlib.AsyncExitStack], Awaitable[Adapters]]


async def on_disk(settings: Settings, stack: contextlib.AsyncExitStack) -> Adapters:
    """Everything in the data directory (SQLite, a folder), but for objects that are to lie elsewhere; nobody else on the bus."""
    from collab.bus.local import LocalBus
    from collab.store.sqlite import open_store

    to = settings.backup_place
    store = await open_store(settings.data, clock=now, followed=to is not None)
    stack.push_async_callback(store.aclose)
    objects, backup = await anyio.to_thread.run_sync(places.open_both, settings)
    stack.push_async_callback(objects.aclose)
    if backup is not None:
        stack.push_async_callback(backup.objects.aclose)
    bus = LocalBus()
    stack.push_async_callback(bus.aclose)
    backed_up = Backup(store.pages, backup) if backup is not None else None
    return Adapters(store, objects, bus, backed_up, on_disk=True)


class Quire(Starlette):
    """Starlette inside `Edge`, so that the edge sees every answer, those to our own faults included."""

    def __init__(self, settings: Settings, **rest: Any) -> None:
        super().__init__(**rest)
        self.state.settings = settings
        self.state.services = None
        self.state.failure = None
        """Why the application could not open, for whoever started it."""
        self.metrics = Metrics()

    def build_middleware_stack(self) -> ASGIApp:
        return Edge(
            Compress(super().build_middleware_stack()),
            prefix=self.state.settings.prefix,
            metrics=self.metrics,
            closing=lambda: self.state.services is None or self.state.services.closing.is_set(),
        )


def create_app(settings: Settings, *, adapters: Open = on_disk) -> Quire:
    """The application; everything is opened when its lifespan begins, and closed when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Quire) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                services = await _open(settings, app.metrics, adapters, stack)
            except Exception as error:
                app.state.failure = error
                raise
            app.state.services = services
            try:
                yield
            finally:
                services.closing.set()

    pages = Pages()

    async def on_http_exception(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 404 and wants_page(request):
            return await pages.page(request, 404)
        return await errors.on_http_exception(request, error)

    routes = [
        *ROUTES,
        *repositories.ROUTES,
        *llms.ROUTES,
        Route("/mcp", Mcp(), methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/sync/{project}/{path:file}", sync),
        WebSocketRoute("/{rest:path}", nowhere),
        *pages.routes(),
    ]
    handlers = {**errors.HANDLERS, HTTPException: on_http_exception}
    app = Quire(settings, routes=routes, exception_handlers=handlers, lifespan=lifespan)
    # A path in a project may end in anything; nothing is guessed.
    app.router.redirect_slashes = False
    return app


async def _open(settings: Settings, metrics: Metrics, adapters: Open, stack: contextlib.AsyncExitStack) -> Services:
    from collab.rooms import Rooms
    from collab.workspace import Workspace
    from snapshots.committer import Committer
    from snapshots.connecting import Connecting
    from snapshots.importer import Importer
    from snapshots.listener import Listener
    from snapshots.mirrors import Mirrors
    from snapshots.packs.verdict import PushLimits
    from snapshots.polling import Polling
    from snapshots.pushing import Pushing
    from snapshots.remotes.connected import ConnectedRemotes
    from snapshots.remotes.github_accounts import Accounts
    from snapshots.remotes.local import LocalRemote, LocalRemotes
    from snapshots.remotes.quarantine import Quarantine
    from snapshots.schedule import Pace
    from snapshots.serving import Serving
    from snapshots.snapshotter import Snapshotter
    from snapshots.sources import Limits

    parts = await adapters(settings, stack)
    room = await _backroom(settings, parts, stack)
    sealer = await anyio.to_thread.run_sync(open_sealer, settings)
    remotes = ConnectedRemotes(
        LocalRemotes(settings.data / "git", writer=None if room is None else _writer(room)),
        parts.store,
        sealer,
        clock=now,
        api=settings.github_api,
        token=settings.github_token,
    )
    stack.push_async_callback(remotes.aclose)
    backup = await _shipper(settings, parts, remotes.local, metrics, stack)
    identity = await Identity.open(parts.store, settings, now)
    rooms = await stack.enter_async_context(Rooms(parts.store, parts.bus, observer=metrics))
    metrics.watch_rooms(rooms)
    workspace = Workspace(parts.store, parts.objects, rooms, parts.bus, now)
    pace = Pace(quiet=int(settings.commit_quiet * 1000), max_age=int(settings.commit_max_age * 1000))
    polling = Polling(here=_millis(settings.poll), elsewhere=_millis(settings.github_poll), clock=now)
    snapshotter = Snapshotter(
        workspace,
        remotes,
        parts.bus,
        clock=now,
        pace=pace,
        by_schedule=settings.scheduler == "on",
        polling=polling,
        scratch=settings.data / "tmp",
        observer=metrics,
    )
    loop = await stack.enter_async_context(anyio.create_task_group())
    loop.start_soon(snapshotter.run)
    follower = _follower(settings, parts, room)
    if follower is not None:
        loop.start_soon(follower.run)
    last = partial(_last_snapshot, snapshotter, follower, settings.shutdown_timeout, backed_up=backup is not None)
    stack.push_async_callback(last)
    connecting = Connecting(
        workspace,
        remotes,
        sealer,
        parts.bus,
        paused=snapshotter.paused,
        recover=Committer(workspace, remotes, parts.bus, clock=now).recover,
        pull=snapshotter.pull,
        clock=now,
    )
    limits = Limits(file=settings.max_file)
    importer = Importer(workspace, snapshotter, folder=settings.data / "tmp", clock=now, limits=limits)
    await stack.enter_async_context(importer)
    tasks = await stack.enter_async_context(anyio.create_task_group())
    stack.callback(tasks.cancel_scope.cancel)
    once = Once(parts.store, now)
    tasks.start_soon(once.sweep)
    accounts = Accounts(parts.store, sealer, api=settings.github_api, clock=now, hub=remotes.way)
    listener = Listener(
        parts.store,
        snapshotter,
        tasks,
        clock=now,
        secret=settings.github_webhook_secret,
        app_secret=accounts.webhook_secret,
    )
    tasks.start_soon(listener.sweep)
    mirrors = Mirrors(settings.data / "git" / ".mirrors", LocalRemote)
    serving = Serving(remotes.local, remotes, mirrors, Quarantine.begin)
    return Services(
        settings=settings,
        store=parts.store,
        objects=parts.objects,
        bus=parts.bus,
        rooms=rooms,
        workspace=workspace,
        snapshotter=snapshotter,
        backup=backup,
        open_place=partial(places.open_place, settings),
        follower=follower,
        importer=importer,
        connecting=connecting,
        listener=listener,
        serving=serving,
        pushing=Pushing(serving, snapshotter, parts.store, parts.bus, limits=PushLimits(object=settings.max_file)),
        packing=Packing(settings.git_at_once),
        uploading=Packing(UPLOADS),
        accounts=accounts,
        identity=identity,
        metrics=metrics,
        once=once,
        tasks=tasks,
        closing=anyio.Event(),
    )


async def _shipper(
    settings: Settings, parts: Adapters, remotes: LocalRemotes, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> BackedUp | None:
    """After everything that writes has ended, it brings the rest to the backup; then the store may be closed."""
    from web.shipping.assembly import FOLDER, assemble
    from web.shipping.checking import Checker
    from web.shipping.shipper import Pace

    if parts.backup is None:
        return None
    shipper = await assemble(
        settings.data,
        parts.backup.pages,
        parts.backup.place,
        epoch=parts.store.epoch,
        moves=lambda: dict(remotes.moves),
        clock=now,
        pace=Pace(lag=settings.backup_lag, keep=settings.backup_keep, copy_every=settings.backup_copy_every),
        with_keys=settings.backup_keys,
        online=settings.shipping,
        observer=metrics.backup,
    )
    checker = Checker(
        parts.store,
        places.said(settings),
        settings.data / FOLDER,
        every=settings.backup_check_every if settings.shipping else 0,
        clock=now,
    )
    metrics.watch_backup(shipper, checker)
    tasks = await stack.enter_async_context(anyio.create_task_group())
    tasks.start_soon(shipper.run)
    stack.push_async_callback(shipper.aclose, min(BACKUP_TAKES, settings.shutdown_timeout / 4))
    checks = await stack.enter_async_context(anyio.create_task_group())
    checks.start_soon(checker.run)
    stack.callback(checks.cancel_scope.cancel)
    return BackedUp(shipper, checker)


async def _backroom(settings: Settings, parts: Adapters, stack: contextlib.AsyncExitStack) -> Backroom | None:
    """Where the data lies on a disk, another process can look at it."""
    from snapshots.backroom import Backroom

    if not parts.on_disk:
        return None
    return await stack.enter_async_context(Backroom("web.backroom", settings))


def _writer(room: Backroom) -> Writer:
    async def write(path: pathlib.Path, new: NewCommit, where: Mapping[BlobSha, tuple[DocumentId, Position]]) -> Made:
        # What is flat is pickled in a fraction of the time, in which nobody else has a turn.
        flat = await aside(len(new.writes), _flat, new.writes)
        made: Made = await room.ask("write_commit", path, replace(new, writes={}), flat, where)
        return made

    return write


def _flat(writes: Mapping[Path, TreeEntry]) -> list[tuple[Path, BlobSha, int]]:
    return [(path, entry.sha, entry.mode) for path, entry in writes.items()]


def _follower(settings: Settings, parts: Adapters, room: Backroom | None) -> Follower | None:
    """Where objects have a place of their own, snapshots go there too."""
    from snapshots.follower import PACE, Follower
    from snapshots.keeper import Keeper, KeeperBeside, Keeping
    from snapshots.materialiser import Materialiser
    from snapshots.retention import Sweeper

    if settings.objects is None:
        return None
    keeper: Keeping
    if room is not None:
        keeper = KeeperBeside(room)
    else:
        materialiser = Materialiser(parts.store, parts.objects, clock=now)
        sweeper = Sweeper(materialiser, parts.store, keep=int(settings.snapshot_keep * 1000), clock=now)
        keeper = Keeper(materialiser, sweeper)
    quiet, max_age = int(settings.snapshot_quiet * 1000), int(settings.snapshot_max_age * 1000)
    pace = replace(PACE, quiet=quiet, max_age=max_age)
    return Follower(keeper, parts.store, parts.bus, where=str(settings.objects), clock=now, pace=pace)


def open_sealer(settings: Settings) -> Sealer:
    """Seals with QUIRE_SECRET_KEY, else with the data directory's own key, which is made when it is not there. What the own key
    has sealed opens as long as it lies there."""
    from snapshots.secrets import Sealer, fresh_key

    own = settings.data / "secret-key"
    given = settings.secret_key.split(",") if settings.secret_key is not None else []
    if not given or own.exists():
        given.append(read_or_make(own, fresh_key))
    return Sealer(*given)


def _millis(seconds: float) -> int | None:
    """0: never."""
    return int(seconds * 1000) or None


async def _last_snapshot(
    snapshotter: Snapshotter, follower: Follower | None, within: float, *, backed_up: bool
) -> None:
    deadline = max(within - REQUESTS_TAKE - (BACKUP_TAKES if backed_up else 0), within / 2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(snapshotter.aclose, deadline)
        if follower is not None:
            tasks.start_soon(follower.aclose, deadline)
