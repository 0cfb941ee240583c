"""What the application is made of, once it runs: made in `web.app`, found at `app.state.services`."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from collab.ids import Millis, ProjectId

if TYPE_CHECKING:
    from collab.bus.base import Bus
    from collab.objects.base import ObjectStore
    from collab.rooms import Rooms
    from collab.store.base import Store
    from collab.workspace import Workspace
    from snapshots.connecting import Connecting
    from snapshots.follower import Follower
    from snapshots.importer import Importer
    from snapshots.listener import Listener
    from snapshots.pushing import Pushing
    from snapshots.remotes.github_accounts import Accounts
    from snapshots.serving import Serving
    from snapshots.snapshotter import Snapshotter
    from web.git.packing import Packing
    from web.idempotency import Once
    from web.identity import Identity
    from web.observability import Metrics
    from web.settings import S3Place, Settings
    from web.shipping.checking import Checker
    from web.shipping.shipper import Shipper


def now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class BackedUp:
    """The continuous backup, and whether it can be restored."""

    shipper: Shipper
    checker: Checker


@dataclass(slots=True, kw_only=True)
class Services:
    settings: Settings
    store: Store
    objects: ObjectStore
    bus: Bus
    rooms: Rooms
    workspace: Workspace
    snapshotter: Snapshotter
    follower: Follower | None
    """None where snapshots are git's alone."""
    backup: BackedUp | None
    """None where nothing is backed up continuously."""
    open_place: Callable[[pathlib.Path | S3Place], ObjectStore]
    """Any place that somebody names, with the credentials of the settings. Blocks."""
    importer: Importer
    connecting: Connecting
    listener: Listener
    serving: Serving
    pushing: Pushing
    packing: Packing
    uploading: Packing
    """Turns of those whose push comes in."""
    accounts: Accounts
    identity: Identity
    metrics: Metrics
    once: Once
    tasks: anyio.abc.TaskGroup
    """For work that outlives its request (web.background)."""
    closing: anyio.Event
    """Set as soon as the server begins to stop: streams end, nothing new is taken."""
    counts: dict[ProjectId, tuple[int, int, Millis]] = field(default_factory=dict)
    """Of each project: the newest event when its files were counted, how many they are, when the latest was changed."""
    log_accepted_at: float = -60.0
    """When the log last accepted a probe's commit, by the event loop's clock."""
