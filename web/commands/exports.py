"""`quire export`."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import zipfile
from typing import Any

import anyio
import anyio.to_thread
import click

from collab.errors import Conflict, Invalid, NotFound
from web.api.given import refuse_form
from web.client import Client
from web.commands.common import server_options, with_server
from web.console import Progress, note, plural, say, size


@click.command("export")
@click.argument("project")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=pathlib.Path))
@server_options
def export_project(url: str | None, data: pathlib.Path | None, project: str, destination: pathlib.Path) -> None:
    """Write the files of PROJECT, as they are now, to DEST.

    DEST is a .zip, a .sqlite (a project in one file, which `quire import` reads again), or else a folder. It must not be
    there yet; an empty folder may be. Files are whole and bytes are exact, with line endings and modes.

    \b
    quire export notes ./notes
    quire export notes notes.zip
    quire export notes notes.sqlite
    """
    to = destination.absolute()
    refuse_form(to.name)

    async def take(client: Client) -> str:
        return await (_write if client.local else _fetch)(client, project, to)

    written = with_server(url, data, take)
    note(f"{project}: {written} in")
    say(str(destination))


async def _write(client: Client, project: str, to: pathlib.Path) -> str:
    """The server writes it: it is on the same machine."""
    done: dict[str, Any] = {}
    with Progress() as progress:
        async for said in client.report(f"/projects/{project}/export", {"to": str(to)}):
            if "exported" in said:
                progress.update("exporting", said["exported"]["done"], said["exported"]["total"], unit="files")
            else:
                done = said["done"]
    return f"{plural(done['files'], 'file')}, {size(done['bytes'])},"


async def _fetch(client: Client, project: str, to: pathlib.Path) -> str:
    """A download, unpacked beside its place and moved there."""
    form = {".zip": "zip", ".sqlite": "sqlite"}.get(to.suffix, "folder")
    beside = await anyio.to_thread.run_sync(_beside, to)
    try:
        made = beside / "download"
        await _download(client, project, "sqlite" if form == "sqlite" else "zip", made)
        written = size((await anyio.Path(made).stat()).st_size)
        if form == "folder":
            written = plural(await anyio.to_thread.run_sync(_unpack, made, beside / "folder"), "file")
            made = beside / "folder"
        await anyio.to_thread.run_sync(_place, made, to)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, beside)
    return written


def _beside(to: pathlib.Path) -> pathlib.Path:
    _check(to)
    return pathlib.Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))


def _place(made: pathlib.Path, to: pathlib.Path) -> None:
    if to.is_dir():
        to.rmdir()
    made.rename(to)


def _check(destination: pathlib.Path) -> None:
    if destination.is_dir() and not any(destination.iterdir()):
        return
    if destination.exists():
        raise Conflict(f"{destination} is there already: name another place")
    if not destination.parent.is_dir():
        raise NotFound(f"there is no folder {destination.parent} to write into")


async def _download(client: Client, project: str, form: str, target: pathlib.Path) -> None:
    done = 0
    with Progress() as progress:
        progress.update("exporting")
        async with (
            client.stream("GET", f"/projects/{project}/export", params={"format": form}) as response,
            await anyio.open_file(target, "wb") as file,
        ):
            async for chunk in response.aiter_bytes():
                await file.write(chunk)
                done += len(chunk)
                progress.update("exporting", done, unit="bytes")


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> int:
    """The server's own .zip, but checked all the same: nothing is written outside of `folder`."""
    folder.mkdir()
    with zipfile.ZipFile(archive) as opened:
        members = [each for each in opened.infolist() if not each.is_dir()]
        # Links last: nothing is written through one.
        for each in sorted(members, key=_is_link):
            _extract(opened, each, folder)
    return len(members)


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: pathlib.Path) -> None:
    parts = member.filename.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"the export holds {member.filename!r}, which cannot be a file here")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = opened.read(member)
    if _is_link(member):
        path.symlink_to(os.fsdecode(content))
        return
    with path.open("xb") as file:
        file.write(content)
    path.chmod(0o755 if _mode(member) & 0o100 else 0o644)


def _mode(member: zipfile.ZipInfo) -> int:
    return member.external_attr >> 16


def _is_link(member: zipfile.ZipInfo) -> bool:
    return _mode(member) & 0o170000 == 0o120000
