"""`quire snapshot` and `quire status`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any, Final

import anyio
import click

from web.client import Client, Refused
from web.commands.common import CommandFailed, server_options, with_server
from web.console import Progress, note, plural, say, table

CONFLICTS: Final = 2
ASK_EVERY: Final = 0.5
"""Seconds between two looks at a snapshot that takes long."""


@click.command()
@click.argument("project", required=False)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("-m", "--message", help="The commit's message; without one it says which files changed.")
@click.option(
    "--branch",
    metavar="NAME",
    help="To another branch, begun where it is not there; or to the project's own by its name: past any pull request, and "
    "begun again where it is gone.",
)
@click.option(
    "--pull-request",
    is_flag=True,
    help="Ask for a pull request onto the project's own branch. Its files are held back from other commits until it is "
    "merged. Needs a host such as GitHub.",
)
@server_options
def snapshot(
    url: str | None,
    data: pathlib.Path | None,
    project: str | None,
    paths: Sequence[str],
    message: str | None,
    branch: str | None,
    pull_request: bool,
) -> int:
    """Commit what is not committed yet, now.

    What others pushed is pulled first. Without PROJECT: of every project, as for cron. With PATHs only those. Exit status
    0: committed, or nothing to commit; 1: failed, or some file was not taken (stderr says why, and what to do); 2: files
    are in conflict, and were held back.

    \b
    quire snapshot
    quire snapshot notes -m "Second draft"
    quire snapshot notes -m "The introduction" docs/intro.md
    quire snapshot notes --pull-request -m "A new chapter" chapters
    """
    if project is None and (branch is not None or pull_request):
        raise click.UsageError("--branch and --pull-request are for one project: name it")
    body = {
        "message": message,
        "paths": list(paths) or None,
        "branch": branch,
        "pull_request": pull_request or None,
    }
    given = {name: value for name, value in body.items() if value is not None}

    async def commit(client: Client) -> int:
        names = [project] if project is not None else await project_names(client)
        return max([await _one(client, name, given) for name in names], default=0)

    return with_server(url, data, commit)


async def _one(client: Client, project: str, body: dict[str, Any]) -> int:
    with Progress() as progress:
        progress.update(f"{project}: committing")
        before = await _newest(client, project)
        try:
            made = await client.post(f"/projects/{project}/snapshots", body)
        except Refused as error:
            if error.status != 409:
                raise
            note(f"{project}: {error.message}")
            return CONFLICTS
        while made["state"] == "running":
            await anyio.sleep(ASK_EVERY)
            newest = await _newest(client, project)
            if newest is not None and (before is None or newest["number"] > before["number"]):
                made = newest
    if made["state"] == "failed":
        return await _say_why(client, project, made)
    say(f"{project}: {_outcome(made)}")
    for each in made["refused"]:
        note(f"{project}: {each['path']} was not taken: {each['detail']}")
    return await in_conflict(client, project) or int(bool(made["refused"]))


async def in_conflict(client: Client, project: str) -> int:
    """Names what is in conflict: the exit status."""
    found = (await client.get(f"/projects/{project}/conflicts"))["conflicts"]
    for each in found:
        note(f"{project}: {each['path']} is in conflict ({each['kind']})")
    return CONFLICTS if found else 0


async def _newest(client: Client, project: str) -> Any:
    found = (await client.get(f"/projects/{project}/snapshots", limit=1))["snapshots"]
    return found[0] if found else None


async def _say_why(client: Client, project: str, made: dict[str, Any]) -> int:
    status = await client.get(f"/projects/{project}/status")
    note(f"{project}: {made.get('detail') or status.get('detail') or 'the snapshot failed'}")
    return CONFLICTS if status["state"] == "conflicts" else 1


def _outcome(made: dict[str, Any]) -> str:
    asked = made.get("pull_request")
    there = f", pull request {asked['number']}: {asked['url']}" if asked else ""
    if made["state"] == "nothing" or not made.get("commit"):
        return f"nothing to commit{there}"
    subject = (made.get("message") or "").partition("\n")[0]
    branch = f" on {made['branch']}" if made.get("branch") else ""
    return f"{made['commit'][:10]} {subject} ({plural(len(made['files']), 'file')}){branch}{there}"


@click.command()
@click.argument("project", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a project, by name.")
@server_options
def status(url: str | None, data: pathlib.Path | None, project: str | None, as_json: bool) -> int:
    """Say how each project stands: what is not committed, when it will be, what is wrong.

    Exit status 2 when a project has conflicts, 1 when its last round failed.

    \b
    quire status
    quire status notes --json
    """

    async def ask(client: Client) -> dict[str, Any]:
        names = [project] if project is not None else await project_names(client)
        stand = {name: await client.get(f"/projects/{name}/status") for name in names}
        # Without a server there is nobody who would commit.
        return stand if client.running else {name: {**each, "next_commit_at": None} for name, each in stand.items()}

    found = with_server(url, data, ask)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
    elif found:
        say(table(("PROJECT", "STATE", "UNCOMMITTED", "HEAD", "NEXT COMMIT"), [_row(*each) for each in found.items()]))
        for name, each in found.items():
            if each.get("detail"):
                note(f"{name}: {each['detail']}")
            if (objects := each.get("objects") or {}).get("detail"):
                note(f"{name}: snapshots in {objects['where']}: {objects['detail']}")
    else:
        note("There are no projects yet: `quire import` makes one.")
    states = {each["state"] for each in found.values()}
    return CONFLICTS if "conflicts" in states else int("failed" in states)


def _row(name: str, each: dict[str, Any]) -> tuple[str, ...]:
    uncommitted = each["uncommitted"]
    return (
        name,
        each["state"],
        str(uncommitted) if uncommitted else "-",
        (each.get("head") or "-")[:10],
        each.get("next_commit_at") or "-",
    )


async def project_names(client: Client) -> list[str]:
    return [each["name"] for each in (await client.get("/projects"))["projects"]]


async def existing(client: Client, project: str) -> None:
    """`CommandFailed`, with the names that there are, when there is no such project."""
    names = await project_names(client)
    if project not in names:
        there = f"there are: {', '.join(names)}" if names else "there are none yet"
        raise CommandFailed(f"there is no project {project!r}", there)
