"""What the commands share: the options that find a server, how one is run, how one fails."""

from __future__ import annotations

import pathlib
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import click

from collab.errors import QuireError
from web.settings import Settings

if TYPE_CHECKING:
    from web.client import Client

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class CommandFailed(QuireError):
    """The command could not do what it was asked for; `hint` says what would be right, `status` is its exit status."""

    code = "command_failed"

    def __init__(self, message: str, hint: str | None = None, *, status: int = 1) -> None:
        super().__init__(message)
        self.hint, self.status = hint, status


@dataclass
class State:
    """What `web.cli` wants to know about the command that ran."""

    debug: bool = False


def debug_option(command: F) -> F:
    def remember(context: click.Context, _: click.Parameter, debug: bool) -> None:
        if debug and isinstance(context.find_root().obj, State):
            context.find_root().obj.debug = True

    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show where an error came from.",
    )(command)


def data_option(command: F) -> F:
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=pathlib.Path),
        help="The data directory [QUIRE_DATA, else ./quire-data].",
    )(command)


def server_options(command: F) -> F:
    """--url and --data: which server a command talks to."""
    url = click.option("--url", help="The server to talk to [QUIRE_URL]; its credential is QUIRE_ROOT_TOKEN.")
    return url(data_option(debug_option(command)))


def this_command() -> str:
    """What one types to run `quire` here: its path, when the shell would not find it."""
    started = pathlib.Path(sys.argv[0])
    if started.name != "quire" or shutil.which("quire") is not None:
        return "quire"
    here = pathlib.Path.cwd()
    return shlex.quote(str(started.relative_to(here) if started.is_relative_to(here) else started))


def with_server(
    url: str | None, data: pathlib.Path | None, work: Callable[[Client], Awaitable[T]], *, running: bool = False
) -> T:
    """Runs `work` with the server that the options name, or with the application opened in this process; `running`: only
    with a server."""
    from web.client import connect

    settings = Settings.load(url=url, data=data)

    async def connected() -> T:
        async with connect(settings, running=running) as client:
            return await work(client)

    return anyio.run(connected)
