"""`quire open`."""

from __future__ import annotations

import pathlib
import sys
import webbrowser

import click

from web.client import Client
from web.commands.common import server_options, with_server
from web.console import note, say


@click.command("open")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@server_options
def open_page(url: str | None, data: pathlib.Path | None, no_browser: bool) -> None:
    """Print a fresh address that logs you in to the running server, and open it.

    The address works for 12 hours; whoever has it is an administrator. It is opened in a browser when this runs on a
    terminal.

    \b
    quire open
    quire open --no-browser --data /srv/quire
    """

    async def ask(client: Client) -> str:
        answer = await client.post("/login-links")
        address: str = answer["url"]
        return address

    address = with_server(url, data, ask, running=True)
    say(address)
    if not no_browser and sys.stdout.isatty() and not webbrowser.open(address):
        note("There is no browser to open it in.")
