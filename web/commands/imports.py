"""`quire import`."""

from __future__ import annotations

import pathlib
import tempfile
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.to_thread
import click

from snapshots.sources import GitUrl, Source, locate, scrub
from web.client import Client, Refused
from web.commands.common import CommandFailed, server_options, with_server
from web.commands.connect import Target, parse, token_for
from web.console import Progress, note, plural, say, size

ASK_EVERY: Final = 0.2
"""Seconds between two looks at the job."""
CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class OnGitHub:
    """A repository there, as the command line says. `connect`: the project stays connected to it."""

    target: Target
    token: str | None = field(repr=False)
    connect: bool

    def body(self) -> dict[str, Any]:
        asked = {
            "github": self.target.repository,
            "branch": self.target.branch,
            "folder": self.target.folder or None,
            "token": self.token,
            "connect": self.connect or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


@click.command("import")
@click.argument("source")
@click.option("--project", required=True, help="The project that it becomes; made when there is none.")
@click.option(
    "--existing",
    type=click.Choice(["fail", "replace", "keep"]),
    default="fail",
    show_default=True,
    help="What becomes of files that are there already with other content.",
)
@click.option("--connect", is_flag=True, help="Of github:... alone: the project stays connected to it.")
@click.option("--token-stdin", is_flag=True, help="Read a token for GitHub from stdin [else QUIRE_GITHUB_TOKEN].")
@server_options
def import_project(
    url: str | None,
    data: pathlib.Path | None,
    source: str,
    project: str,
    existing: str,
    connect: bool,
    token_stdin: bool,
) -> None:
    """Make a project of SOURCE.

    SOURCE is a git repository (an address, or a folder that holds .git: its HEAD, with its history; what is not committed
    there is named and not taken), a plain folder (without what its .gitignore ignores), a .zip, a .tar.gz, or a .sqlite
    that `quire export` wrote. It is taken whole or not at all.

    github:OWNER/REPO[@BRANCH][:FOLDER] brings the files of a repository on GitHub through its API, without the history; it
    needs no git on either side, and with --connect the project's commits go there from then on.

    \b
    quire import ~/src/handbook --project handbook
    quire import https://example.org/handbook.git --project handbook
    quire import notes.zip --project notes
    gh auth token | quire import github:alice/handbook:docs --project docs --connect --token-stdin
    """
    found = _source(source, connect=connect, token_stdin=token_stdin)

    async def take(client: Client) -> dict[str, Any]:
        made = await _make(client, project)
        try:
            return await _import(client, project, found, {"existing": existing})
        except BaseException:
            if made:
                with anyio.CancelScope(shield=True):
                    await client.call("DELETE", f"/projects/{project}")
            raise

    job = with_server(url, data, take)
    for skipped in job.get("skipped") or []:
        note(f"skipped {skipped}")
    if job.get("message"):
        note(job["message"])
    say(f"{project}: {plural(job['done'], 'file')}, {size(job['bytes'])}")


async def _make(client: Client, project: str) -> bool:
    """Whether it had to be made."""
    try:
        await client.post("/projects", {"name": project})
    except Refused as error:
        if error.status != 409:
            raise
        return False
    return True


def _source(said: str, *, connect: bool, token_stdin: bool) -> Source | OnGitHub:
    if not said.startswith("github:"):
        if connect or token_stdin:
            raise click.UsageError("--connect and --token-stdin go with github:OWNER/REPO")
        return locate(said)
    target = parse(said)
    return OnGitHub(target, token_for(target, token_stdin), connect)


async def _import(client: Client, project: str, source: Source | OnGitHub, choice: dict[str, str]) -> dict[str, Any]:
    with Progress() as progress:
        job = await _begin(client, project, source, choice, progress)
        while job["state"] == "running":
            progress.update(job["phase"] or "importing", job["done"], job["total"] or None, unit="files")
            await anyio.sleep(ASK_EVERY)
            job = (await client.get(f"/projects/{project}/import/{job['id']}"))["job"]
    if job["state"] == "failed":
        raise CommandFailed(job["message"] or "the import failed")
    ended: dict[str, Any] = job
    return ended


async def _begin(
    client: Client, project: str, source: Source | OnGitHub, choice: dict[str, str], progress: Progress
) -> Any:
    if isinstance(source, OnGitHub):
        progress.update(f"listing {source.target.repository}")
        return await _asked(client, project, {**source.body(), **choice})
    if isinstance(source, GitUrl):
        progress.update(f"fetching {scrub(source.url)}")
        return await _asked(client, project, {"git": source.url, **choice})
    path = pathlib.Path(source.path)  # type: ignore[union-attr]  # uploads are made by servers alone
    if client.local:
        return await _asked(client, project, {"path": str(path), **choice})
    return await _upload(client, project, source, choice, progress)


async def _asked(client: Client, project: str, body: dict[str, Any]) -> Any:
    return (await client.post(f"/projects/{project}/import", body))["job"]


async def _upload(client: Client, project: str, source: Source, choice: dict[str, str], progress: Progress) -> Any:
    from web.commands.packing import packed

    with tempfile.TemporaryDirectory(prefix="quire-import-") as scratch:
        progress.update("packing")
        file, notes = await anyio.to_thread.run_sync(packed, source, pathlib.Path(scratch))
        for each in notes:
            note(each)
        answer = await client.call(
            "POST",
            f"/projects/{project}/import",
            params=choice,
            content=_chunks(file, progress),
            headers={"content-type": "application/octet-stream"},
        )
        return answer["job"]


async def _chunks(file: pathlib.Path, progress: Progress) -> Any:
    sent = 0
    async with await anyio.open_file(file, "rb") as opened:
        while chunk := await opened.read(CHUNK):
            yield chunk
            sent += len(chunk)
            progress.update("uploading", sent, unit="bytes")
