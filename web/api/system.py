"""For whoever runs it: alive, ready, metrics, and the description of this interface."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Final

import anyio
import msgspec
from starlette.responses import Response

from collab.errors import QuireError, Unavailable
from collab.ids import ProjectId
from collab.store.base import PutRecord
from web.api.endpoint import Call, Endpoints, NoQuery, json_answer
from web.services import Services

endpoints = Endpoints()

LOG_WITHIN: Final = 5.0
"""Seconds for the log to accept a commit before the server counts as not ready."""
REMEMBERED: Final = 1.0
"""Seconds that a commit of the probe's counts for later probes."""


class Backup(msgspec.Struct):
    """How far the continuous backup is behind. It does not make a server less ready."""

    state: str
    seconds_behind: float
    bytes_waiting: int


class Health(msgspec.Struct, omit_defaults=True):
    status: str
    backup: Backup | None = None


@endpoints.add("GET", "/healthz", role=None, answer=Health, root=True)
async def healthz(call: Call[None, NoQuery]) -> Health:
    """Alive: the process answers."""
    return Health("alive")


@endpoints.add("GET", "/readyz", role=None, answer=Health, root=True, errors=(503,))
async def readyz(call: Call[None, NoQuery]) -> Health:
    """Ready: the store is open and the log accepts commits. 503 while it starts and while it stops."""
    if call.services.closing.is_set():
        raise Unavailable("the server is stopping")
    await _check_log(call.services)
    return Health("ready", _backup(call.services))


def _backup(services: Services) -> Backup | None:
    if services.backup is None:
        return None
    status = services.backup.shipper.status()
    return Backup(status.state, status.seconds, status.bytes)


async def _check_log(services: Services) -> None:
    """One small commit, not more often than once a second, however often one asks."""
    if anyio.current_time() - services.log_accepted_at < REMEMBERED:
        return
    probe = PutRecord(collection="probe", project=ProjectId(""), key="ready", value=b"{}")
    try:
        with anyio.fail_after(LOG_WITHIN):
            await services.store.commit(changes=[probe])
    except TimeoutError:
        raise Unavailable(f"the log did not accept a commit within {LOG_WITHIN:g} s") from None
    except QuireError as error:
        raise Unavailable(f"the log does not accept commits: {error.message}") from error
    services.log_accepted_at = anyio.current_time()


@endpoints.add("GET", "/metrics", role=None, gives=("text/plain",), root=True)
async def metrics(call: Call[None, NoQuery]) -> Response:
    """Counters and latencies, for Prometheus."""
    return Response(call.services.metrics.text(), media_type="text/plain; version=0.0.4")


@endpoints.add("GET", "/openapi.json", role=None)
async def openapi(call: Call[None, NoQuery]) -> Response:
    """This interface, described."""
    return json_answer(_document())


@functools.cache
def _document() -> msgspec.Raw:
    from web.api import ENDPOINTS
    from web.openapi import describe

    return msgspec.Raw(msgspec.json.encode(describe(ENDPOINTS, version("quire-server"))))
