"""What operators see: structured logs with a request's id, and metrics for Prometheus.

Logs are lines of JSON, or coloured on a terminal; whatever the standard library's loggers say (uvicorn's) takes the same
way. Query strings never reach them, because tokens may stand there.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.typing import EventDict, WrappedLogger

from web.settings import Settings

log = structlog.get_logger(__name__)

LATENCY: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds."""
KINDS_NAMED: Final = 16
"""Unknown message types below this have a label of their own; a peer cannot make more."""

_QUERY: Final = re.compile(r"(/[^\s?\"']*)\?[^\s\"']+")


def scrub(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Addresses lose their query."""
    text = event.get("event")
    if isinstance(text, str) and "?" in text:
        event["event"] = _QUERY.sub(r"\1?…", text)
    return event


def configure_logging(settings: Settings) -> None:
    """Once per process, by whoever runs the server. Everything goes to stderr."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        scrub,
    ]
    last: list[Any] = [structlog.dev.ConsoleRenderer()]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


class Rooms(Protocol):
    def stats(self) -> Any:
        """An object with `rooms`, `peers` and `bytes`."""


class Backup(Protocol):
    def seconds_behind(self) -> float: ...

    def status(self) -> Any:
        """An object with `bytes` and `copied_at` (milliseconds)."""


class Checker(Protocol):
    @property
    def last(self) -> Any:
        """None, or an object with `at` (milliseconds) and `good`."""


class BackupCounts:
    """What the backup tells of itself (web.shipping.shipper.Observer)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "quire_backup_seconds",
            "From the oldest edit of a segment to its being in the backup.",
            buckets=(0.1, 0.2, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0),
            registry=registry,
        )
        self._bytes = Counter("quire_backup_bytes", "Bytes of segments that went into the backup.", registry=registry)
        self._failures = Counter("quire_backup_failures", "What failed and is tried again.", registry=registry)
        self._copies = Counter("quire_backup_copies", "Copies of the whole database.", registry=registry)

    def shipped(self, seconds: float, size: int) -> None:
        self._seconds.observe(seconds)
        self._bytes.inc(size)

    def failed(self) -> None:
        self._failures.inc()

    def copied(self, size: int) -> None:
        self._copies.inc()


class Metrics:
    """Counts for one application. It is the rooms' observer too: those methods are called on the hot path."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._updates = Counter("quire_updates", "Entries appended to the log.", registry=registry)
        self._update_bytes = Counter("quire_update_bytes", "Bytes appended to the log.", registry=registry)
        self._append = Histogram(
            "quire_append_seconds", "From a turn to its durable commit.", buckets=LATENCY, registry=registry
        )
        self._broadcast = Histogram(
            "quire_broadcast_seconds", "Handing one turn's frames to every peer.", buckets=LATENCY, registry=registry
        )
        self._frames = Counter("quire_broadcast_frames", "Frames handed to peers.", registry=registry)
        self._frame_bytes = Counter("quire_broadcast_bytes", "Bytes handed to peers.", registry=registry)
        self._drops = Counter(
            "quire_outbox_drops", "Times a slow peer's queue was replaced by one diff.", registry=registry
        )
        self._refused = Counter("quire_refused_updates", "Updates that were refused.", ["code"], registry=registry)
        self._broken = Counter("quire_broken_rooms", "Rooms given up because of a fault of ours.", registry=registry)
        self._unknown = Counter("quire_unknown_messages", "Messages of unknown types.", ["kind"], registry=registry)
        self._requests = Counter(
            "quire_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "quire_http_request_seconds", "Until a request was answered.", ["route"], buckets=LATENCY, registry=registry
        )
        self._imports = Counter("quire_imports", "Imports that were asked for.", ["source"], registry=registry)
        self._hooks = Counter("quire_webhooks", "Deliveries of webhooks that are signed.", ["kind"], registry=registry)
        self._pushes = Counter("quire_git_pushes", "Refs that were pushed over HTTP.", ["outcome"], registry=registry)
        self._pulls = Counter("quire_pulls", "Pulls, by how they ended.", ["state"], registry=registry)
        self._pull_seconds = Histogram(
            "quire_pull_seconds", "Pulls that had something to bring.", buckets=LATENCY, registry=registry
        )
        self._pulled_files = Counter("quire_pulled_files", "Files that pulls have changed.", registry=registry)
        self._conflicts = Counter("quire_conflicts", "Conflicts that were found.", ["kind"], registry=registry)
        self._settled = Counter(
            "quire_conflicts_ended", "Conflicts that have ended, by how.", ["kind", "taken"], registry=registry
        )
        self._snapshots = Counter("quire_snapshots", "Snapshots that were asked for.", ["state"], registry=registry)

        self.backup = BackupCounts(registry)

    def watch_rooms(self, rooms: Rooms) -> None:
        def gauge(name: str, about: str, read: Callable[[], int]) -> None:
            Gauge(name, about, registry=self.registry).set_function(read)

        gauge("quire_rooms", "Open rooms.", lambda: rooms.stats().rooms)
        gauge("quire_peers", "Connected peers.", lambda: rooms.stats().peers)
        gauge("quire_room_bytes", "Bytes of the documents in open rooms.", lambda: rooms.stats().bytes)

    def watch_backup(self, backup: Backup, checker: Checker) -> None:
        def gauge(name: str, about: str, read: Callable[[], float]) -> None:
            Gauge(name, about, registry=self.registry).set_function(read)

        gauge("quire_backup_behind_seconds", "Age of the oldest edit that is not in the backup.", backup.seconds_behind)
        gauge("quire_backup_waiting_bytes", "Bytes that wait to go into the backup.", lambda: backup.status().bytes)
        gauge(
            "quire_backup_copied_timestamp_seconds",
            "When the last copy of the whole database was made.",
            lambda: (backup.status().copied_at or 0) / 1000,
        )
        gauge(
            "quire_backup_checked_timestamp_seconds",
            "When the backup was last restored and verified, or was to be; 0: never.",
            lambda: checker.last.at / 1000 if checker.last else 0,
        )
        gauge(
            "quire_backup_check_failed",
            "1 when it could not be restored then, or something was wrong with it.",
            lambda: int(checker.last is not None and not checker.last.good),
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)

    # -- what the rooms tell (collab.observer)

    def committed(self, seconds: float, entries: int, size: int) -> None:
        self._append.observe(seconds)
        self._updates.inc(entries)
        self._update_bytes.inc(size)

    def broadcast(self, seconds: float, frames: int, size: int) -> None:
        self._broadcast.observe(seconds)
        self._frames.inc(frames)
        self._frame_bytes.inc(size)

    def dropped(self) -> None:
        self._drops.inc()

    def refused(self, code: int) -> None:
        self._refused.labels(str(int(code))).inc()

    def unknown(self, kind: int) -> None:
        self._unknown.labels(str(kind) if kind < KINDS_NAMED else "other").inc()

    def broke(self, error: Exception) -> None:
        self._broken.inc()
        log.error("a room was given up", exc_info=error)

    # -- what pulls and conflicts tell (snapshots.observer)

    def pulled(self, state: str, seconds: float, merged: int) -> None:
        self._pulls.labels(state).inc()
        self._pulled_files.inc(merged)
        if state != "nothing":
            self._pull_seconds.observe(seconds)

    def conflict(self, kind: str) -> None:
        self._conflicts.labels(kind).inc()

    def settled(self, kind: str, taken: str) -> None:
        self._settled.labels(kind, taken).inc()

    # -- what the API tells

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def imported(self, source: str) -> None:
        self._imports.labels(source).inc()

    def heard(self, kind: str) -> None:
        self._hooks.labels(kind).inc()

    def pushed(self, *outcomes: str) -> None:
        for each in outcomes:
            self._pushes.labels(each).inc()

    def snapshot(self, state: str) -> None:
        self._snapshots.labels(state).inc()
