"""`quire serve`."""

from __future__ import annotations

import pathlib
import shlex
from typing import TYPE_CHECKING

import click

from web.commands.common import data_option, debug_option, this_command
from web.console import note, say
from web.settings import Settings

if TYPE_CHECKING:
    from web.server import Ready


@click.command()
@click.option("--host", help="The address to listen at [QUIRE_HOST, else 127.0.0.1].")
@click.option("--port", type=int, help="The port to listen at; 0 takes a free one [QUIRE_PORT, else 8000].")
@data_option
@debug_option
def serve(host: str | None, port: int | None, data: pathlib.Path | None) -> None:
    """Serve the projects of a data directory.

    With no settings at all: on http://127.0.0.1:8000, with the database, the objects and the git repositories in
    ./quire-data, which is made when it is not there. Prints an address that logs in, where the data lies, and how to
    clone. Ctrl-C (or SIGTERM) stops it in order, with a last commit.

    \b
    quire serve
    quire serve --port 9000 --data /srv/quire
    QUIRE_PUBLIC_URL=https://example.org/quire quire serve --host 0.0.0.0
    """
    settings = Settings.load(host=host, port=port, data=data)
    for warning in settings.warnings:
        note(f"warning: {warning}")
    from web.server import run

    run(settings, ready=_greet)
    note("Stopped.")


def _greet(ready: Ready) -> None:
    data = ready.data.absolute()
    repository = f"{shlex.quote(str(data / 'git'))}/PROJECT.git"
    say(
        f"Quire serves at {ready.url}\n"
        f"  log in   {ready.login_url}\n"
        f"  data     {data}\n"
        f"  import   {this_command()} import FOLDER-OR-REPOSITORY --project PROJECT{_where(ready.data)}\n"
        f"  clone    git clone {ready.url}/git/PROJECT.git  (the password is a token; on this machine also {repository})\n"
        "Ctrl-C stops it."
    )


def _where(data: pathlib.Path) -> str:
    """What the other commands must be told to find this server."""
    return "" if data == Settings().data else f" --data {shlex.quote(str(data))}"
