"""`quire snapshotter`."""

from __future__ import annotations

import pathlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import click

from web.client import Client, Refused, check_data, connect
from web.commands.common import CommandFailed, server_options
from web.commands.snapshots import CONFLICTS
from web.console import note, say
from web.settings import Settings

WAIT: Final = 25.0
"""Seconds for which the server may keep us waiting while nothing is due."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
"""Seconds between two attempts to reach a server that is not there."""

FINAL: Final = frozenset({400, 401, 403, 404, 405})
"""Statuses that no waiting changes."""


@click.command()
@click.option("--once", is_flag=True, help="Have the rounds that are due now, and end: for a timer.")
@server_options
def snapshotter(url: str | None, data: pathlib.Path | None, once: bool) -> int:
    """Keep the schedule of commits and pulls, as a process of its own.

    The server does that by itself, unless it was started with QUIRE_SCHEDULER=off: then this process says when. It has
    what is due committed, and branches looked at, by asking the server, so that it needs nothing but the server's address
    and credential. It waits for a server that is not there (yet, or for a restart), and ends with Ctrl-C or SIGTERM.
    One such process is enough; two do no harm.

    Each round that had something to do is a line. Exit status with --once: 0 done, 1 some round failed, 2 files are in
    conflict.

    \b
    QUIRE_SCHEDULER=off quire serve --data /srv/quire
    quire snapshotter --data /srv/quire
    quire snapshotter --url https://quire.example.org --once
    """
    settings = Settings.load(url=url, data=data)
    if settings.url is None:
        check_data(settings.data)
    return anyio.run(_once if once else _keep, settings)


async def _once(settings: Settings) -> int:
    async with connect(settings, running=True) as client:
        told = await client.post("/schedule", {"wait": 0})
    return _tell(told)


async def _keep(settings: Settings) -> int:
    async with _until_stopped() as scope:
        pause, said = FIRST_PAUSE, ""
        while not scope.cancel_called:
            try:
                async with connect(settings, running=True) as client:
                    await _serve(client)
            except (CommandFailed, Refused) as error:
                if isinstance(error, Refused) and error.status in FINAL:
                    raise
                if error.message != said:
                    note(f"{error.message}; waiting for it")
                said = error.message
                await anyio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause, said = FIRST_PAUSE, ""
    note("Stopped.")
    return 0


async def _serve(client: Client) -> None:
    """One answer; whoever calls connects anew, so that a server at another address is found."""
    told = await client.post("/schedule", {"wait": WAIT})
    if told["by_server"]:
        note(
            "The server keeps its schedule by itself: start it with QUIRE_SCHEDULER=off to leave that to this process."
        )
        await anyio.sleep(LONGEST_PAUSE)
    _tell(told)


def _tell(told: dict[str, Any]) -> int:
    for each in told["rounds"]:
        say(f"{each['project']}: {each['state']}{_at(each)}")
        if each["detail"]:
            note(f"{each['project']}: {each['detail']}")
    states = {each["state"] for each in told["rounds"]}
    return CONFLICTS if "conflicts" in states else int("failed" in states)


def _at(each: dict[str, Any]) -> str:
    return f" at {each['head'][:10]}" if each["head"] else ""


@asynccontextmanager
async def _until_stopped() -> AsyncIterator[anyio.CancelScope]:
    """What is inside ends, in order, when the process is told to stop."""
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        yield tasks.cancel_scope
        tasks.cancel_scope.cancel()
