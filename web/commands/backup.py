"""`quire backup` and `quire restore`."""

from __future__ import annotations

import pathlib
import shlex
from typing import Any

import click

from web.client import Client
from web.commands.common import CommandFailed, debug_option, server_options, this_command, with_server
from web.console import Progress, note, plural, say, size


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=pathlib.Path))
@server_options
def backup(url: str | None, data: pathlib.Path | None, destination: pathlib.Path) -> None:
    """Copy the whole data directory to DEST, consistently, while the server serves.

    DEST is a folder, or a file that ends in .tar.gz; it must not be there yet, and appears when it is whole. It holds
    everything, the keys of the installation too: keep it as safe as the data. Run it on the server's machine.

    \b
    quire backup /backups/quire-$(date +%F).tar.gz
    quire backup /backups/today --data /srv/quire
    """

    to = str(destination.absolute())

    async def copy(client: Client) -> Any:
        if not client.local:
            raise CommandFailed(
                "a backup is written by the server, next to its data",
                "run this on the server's machine, with --data instead of --url",
            )
        done: Any = None
        with Progress() as progress:
            async for said in client.report("/backup", {"to": to}):
                if "copied" in said:
                    at = said["copied"]
                    progress.update(f"copying {at['phase']}:", at["done"], at.get("total"))
                else:
                    done = said["done"]
        return done

    done = with_server(url, data, copy)
    note(f"{plural(done['files'], 'file')}, {size(done['size'])}, each with its SHA-256, are in")
    say(str(destination))


@click.command()
@click.argument("source", type=click.Path(path_type=pathlib.Path))
@click.option("--to", required=True, type=click.Path(path_type=pathlib.Path), help="The new data directory.")
@debug_option
def restore(source: pathlib.Path, to: pathlib.Path) -> None:
    """Make a data directory of the backup SOURCE.

    Every file is checked against the SHA-256 in the backup before anything appears; DIR must be empty or not there.
    People who were connected after the backup was made bring back, from their open editors, what it lacks.

    \b
    quire restore /backups/quire-2026-01-31.tar.gz --to /srv/quire
    """
    from collab.store.schema import begin_epoch
    from web.restore import restore as restore_backup

    with Progress() as progress:
        manifest = restore_backup(source, to, begin_epoch, lambda phase, done, _: progress.update(f"{phase}:", done))
    note(f"{plural(len(manifest.files), 'file')}, {size(manifest.size)}, checked and restored. Serve it with:")
    say(f"{this_command()} serve --data {shlex.quote(str(to))}")
