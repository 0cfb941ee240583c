"""`quire pull`."""

from __future__ import annotations

import pathlib
from typing import Any, Final

import anyio
import click

from web.client import Client
from web.commands.common import server_options, with_server
from web.commands.snapshots import in_conflict, project_names
from web.console import Progress, note, plural, say

ASK_EVERY: Final = 0.5
"""Seconds between two looks at a pull that takes long."""


@click.command()
@click.argument("project", required=False)
@click.option(
    "--policy",
    type=click.Choice(["manual", "ours", "theirs"]),
    default="manual",
    help="What becomes of lines that both sides changed: a conflict (manual), or one side.",
)
@server_options
def pull(url: str | None, data: pathlib.Path | None, project: str | None, policy: str) -> int:
    """Bring what others pushed into the live files, now.

    Without PROJECT: of every project, as for cron. Exit status 0: done, or nothing to do; 1: failed; 2: files are in
    conflict.

    \b
    quire pull
    quire pull notes --policy theirs
    """

    async def bring(client: Client) -> int:
        names = [project] if project is not None else await project_names(client)
        return max([await _one(client, name, policy) for name in names], default=0)

    return with_server(url, data, bring)


async def _one(client: Client, project: str, policy: str) -> int:
    with Progress() as progress:
        progress.update(f"{project}: pulling")
        done = await client.post(f"/projects/{project}/pull", {"policy": policy})
        while done["state"] == "running":
            await anyio.sleep(ASK_EVERY)
            done = await client.post(f"/projects/{project}/pull", {"policy": policy})
    if done["state"] == "failed":
        note(f"{project}: {done['detail']}")
        return 1
    say(f"{project}: {_outcome(done)}")
    return await in_conflict(client, project)


def _outcome(done: dict[str, Any]) -> str:
    at = f" at {done['head'][:10]}" if done["head"] else ""
    changed = plural(len(done["merged"]), "file") + " changed" if done["merged"] else "nothing new"
    return f"{changed}{at}"
