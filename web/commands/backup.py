"""`quire backup` and `quire restore`."""

from __future__ import annotations

import pathlib
import shlex
from typing import Any, Final

import click

from web.client import Client
from web.commands.common import CommandFailed, debug_option, server_options, this_command, with_server
from web.console import Progress, note, plural, say, size
from web.settings import Settings


@click.command()
@click.argument("destination", metavar="[DEST]", required=False)
@click.option("--without-objects", is_flag=True, help="Leave files that are not text where they are (QUIRE_OBJECTS).")
@click.option("--check", is_flag=True, help="Restore the newest state of the continuous backup, and verify it.")
@server_options
def backup(
    url: str | None, data: pathlib.Path | None, destination: str | None, without_objects: bool, check: bool
) -> int:
    """Copy everything to DEST, consistently, while the server serves; or say how far the continuous backup is.

    DEST is a folder, or a file that ends in .tar.gz; it must not be there yet, and appears when it is whole. It holds everything, the
    keys of the installation too: keep it as safe as the data. Or DEST is s3://BUCKET/PREFIX: copies there share what has not changed, and
    the keys stay here. Run it on the server's machine.

    Without DEST: where the server ships its backup to (QUIRE_BACKUP), and how far it is; exit status 1 when it is behind. With --check,
    the newest state is restored from there into a scratch folder and verified: exit status 1 when something is wrong with it.

    \b
    quire backup /backups/quire-$(date +%F).tar.gz
    quire backup /backups/today --data /srv/quire
    quire backup s3://bucket/prefix
    quire backup
    quire backup --check
    """
    if destination is not None and check:
        raise CommandFailed("--check is for the continuous backup, which has no DEST", "give one of the two")
    if check:
        return _check(url, data)
    if destination is None:
        return _tell(url, data)
    return _copy(url, data, destination, without_objects=without_objects)


def _copy(url: str | None, data: pathlib.Path | None, destination: str, *, without_objects: bool) -> int:
    to = destination if destination.startswith("s3:") else str(pathlib.Path(destination).absolute())

    async def copy(client: Client) -> Any:
        if not client.local:
            raise CommandFailed(
                "a backup is written by the server, next to its data",
                "run this on the server's machine, with --data instead of --url",
            )
        body = {"to": to, "without_objects": without_objects}
        return await _reported(client, "/backup", body, "copied", "copying ")

    done = with_server(url, data, copy)
    if done["lacks"]:
        note(f"It lacks {done['lacks']}.")
    note(f"{plural(done['files'], 'file')}, {size(done['size'])}, each with its SHA-256, are in")
    say(destination)
    return 0


async def _reported(client: Client, path: str, body: Any, telling: str, verb: str) -> Any:
    """What long work ends with; how far it is is shown."""
    done: Any = None
    with Progress() as progress:
        async for said in client.report(path, body):
            if telling in said:
                at = said[telling]
                progress.update(f"{verb}{at['phase']}:", at["done"], at.get("total"))
            else:
                done = said["done"]
    return done


def _tell(url: str | None, data: pathlib.Path | None) -> int:
    async def ask(client: Client) -> Any:
        return await client.get("/backup")

    status = with_server(url, data, ask)
    if status["state"] == "off":
        say("Nothing is backed up continuously: set QUIRE_BACKUP, or give a DEST.")
        return 1
    say(f"{status['where']}: {_STATES[status['state']]}")
    if status["detail"]:
        say(status["detail"])
    if status["moment"]:
        waiting = f", {size(status['bytes_waiting'])} wait" if status["bytes_waiting"] else ""
        say(f"Everything up to {status['moment']} is there; {status['seconds_behind']:.1f} s behind{waiting}.")
    if status["copied_at"]:
        say(f"Last copy of the whole database: {status['copied_at']}.")
    say(_checked(status["check"]))
    return 0 if status["state"] == "shipping" else 1


_STATES: Final = {
    "shipping": "everything is shipped as it changes.",
    "beginning": "the first copy is being made.",
    "behind": "it is behind.",
    "waiting": "this server waits.",
    "offline": "no server runs; what changes waits on disk for the next one.",
}


def _check(url: str | None, data: pathlib.Path | None) -> int:
    async def check(client: Client) -> Any:
        return await _reported(client, "/backup/check", {}, "checking", "")

    done = with_server(url, data, check)
    say(_checked(done))
    for line in done.get("first", ()):
        say(line)
    return 0 if done["good"] else 1


def _checked(check: dict[str, Any] | None) -> str:
    if check is None:
        return "It has not been restored and verified yet: `quire backup --check` does."
    if check.get("error"):
        return f"It could not be restored at {check['at']}: {check['error']}"
    moment = f"as it was at {check['moment']}" if check.get("moment") else "as it was"
    if not check["good"]:
        return f"Restored at {check['at']}, {moment}: {plural(check['findings'], 'finding')}."
    return f"Restored at {check['at']}, {moment}, in {check['seconds']:.1f} s: {plural(check.get('documents', 0), 'file')}, all of it agrees."


@click.command()
@click.argument("source")
@click.option("--to", required=True, type=click.Path(path_type=pathlib.Path), help="The new data directory.")
@click.option("--at", metavar="TIME", help="As it was at that time (2026-01-31T12:00:00Z), of a continuous backup.")
@click.option("--with-objects", is_flag=True, help="Also bring files that are not text, which lie in the bucket.")
@debug_option
def restore(source: str, to: pathlib.Path, at: str | None, with_objects: bool) -> None:
    """Make a data directory of the backup SOURCE.

    SOURCE is what `quire backup` has made, or the place that a server ships its backup to (QUIRE_BACKUP, QUIRE_OBJECTS): a folder or
    s3://BUCKET/PREFIX. Everything is checked before anything appears; DIR must be empty or not there. People who were connected after
    the moment that is restored bring back, from their open editors, what it lacks.

    \b
    quire restore s3://bucket/prefix --to /srv/quire
    quire restore s3://bucket/prefix --to /srv/quire --at 2026-01-31T12:00:00Z
    quire restore /backups/quire-2026-01-31.tar.gz --to /srv/quire
    """
    from web.commands import recovering

    settings = Settings.load()
    place = recovering.place(source)
    with Progress() as progress:
        if place is None:
            recovering.demand_no_time(source, at)
            manifest = recovering.archive(pathlib.Path(source), to, progress)
            told = f"{plural(len(manifest.files), 'file')}, {size(manifest.size)}, checked and restored."
            told += f" The backup lacks {manifest.lacks}." if manifest.lacks else ""
            serving = ""
        else:
            done = recovering.shipped(settings, place, to, at, progress, with_objects=with_objects)
            told, serving = recovering.told(done, place, with_objects=with_objects)
    note(f"{told} Serve it with:")
    say(f"{serving}{this_command()} serve --data {shlex.quote(str(to))}")
