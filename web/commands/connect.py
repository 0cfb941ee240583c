"""`quire connect`."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
import click

from web.client import Client
from web.commands.common import CommandFailed, server_options, with_server
from web.commands.snapshots import in_conflict
from web.console import Progress, note, plural, say
from web.settings import Settings

TAKES: Final = ("theirs", "ours", "merge")
NAMED: Final = 10
"""Paths of one kind that a preview names."""
ASK_EVERY: Final = 0.5
"""Seconds between two looks at what takes long."""

LOCAL: Final = "local"

_GITHUB: Final = re.compile(
    r"(?P<repository>[^@:/]+/[^@:/]+?)(?:\.git)?(?:@(?P<branch>[^:]+))?(?::(?P<folder>.*))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Target:
    """What the command line says. `kind` None: the project's own repository."""

    kind: str | None
    repository: str = ""
    branch: str | None = None
    folder: str = ""


@click.command()
@click.argument("project")
@click.argument("target")
@click.option(
    "--take", type=click.Choice(TAKES), help="What counts where both sides have files; without it you are asked."
)
@click.option("--folder", help="The project is this folder of the repository.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    help="Only what the pattern means belongs, as in a .gitignore; more than once.",
)
@click.option(
    "--pull-request", is_flag=True, help="Automatic commits go to a branch of their own, with one pull request."
)
@click.option("--token-stdin", is_flag=True, help="Read a token for GitHub from stdin [else QUIRE_GITHUB_TOKEN].")
@click.option("--preview", "only_preview", is_flag=True, help="Say what would come together, and do nothing.")
@server_options
def connect(
    url: str | None,
    data: pathlib.Path | None,
    project: str,
    target: str,
    take: str | None,
    folder: str | None,
    patterns: Sequence[str],
    pull_request: bool,
    token_stdin: bool,
    only_preview: bool,
) -> int:
    """Connect PROJECT to a repository: from then on its commits go there, and what others push there comes in.

    TARGET is github:OWNER/REPO[@BRANCH][:FOLDER], git:PATH[@BRANCH] for a repository on the server's machine, or local for
    the project's own in the data directory, which every project begins with. Without BRANCH it is the repository's own.

    First it says what is new here, new there, equal and different. Where both sides have files and they are not the same, you
    choose: theirs (the files here become theirs; what is only here is deleted, and can be brought back), ours (the next
    commit makes theirs what is here, on top of it), or merge (equal ones are adopted, different ones become conflicts).

    The token is --token-stdin's, else QUIRE_GITHUB_TOKEN, else the server's own or its GitHub App. It is kept sealed, and never
    shown again. Exit status 0: connected; 1: not; or connected, and the first pull failed; 2: files are in conflict.

    \b
    quire connect notes github:alice/notes
    quire connect notes github:alice/handbook@draft:docs --pattern '**/*.md' --take theirs
    quire connect notes git:/srv/git/notes.git@main --preview
    gh auth token | quire connect notes github:alice/notes --token-stdin --take merge
    """
    wanted = parse(target)
    token = token_for(wanted, token_stdin)
    body = {
        "kind": wanted.kind or "git",
        "repository": wanted.repository,
        "branch": wanted.branch,
        "folder": folder if folder is not None else wanted.folder or None,
        "patterns": list(patterns) or None,
        "token": token,
        "pull_request": pull_request or None,
    }

    async def work(client: Client) -> int:
        asked = {name: value for name, value in body.items() if value is not None}
        if wanted.kind == "git":
            asked["repository"] = _path(wanted.repository, local=client.local)
        return await _connect(client, project, asked, take, asks=not token_stdin, only_preview=only_preview)

    return with_server(url, data, work)


def parse(target: str) -> Target:
    """`click.UsageError` for what is no target."""
    if target == LOCAL:
        return Target(None)
    kind, colon, rest = target.partition(":")
    if kind == "git" and colon and rest:
        return _on_disk(rest)
    if kind == "github" and (match := _GITHUB.fullmatch(rest.removeprefix("https://github.com/"))) is not None:
        return Target("github", match["repository"], match["branch"], match["folder"] or "")
    raise click.UsageError(
        f"{target!r} is nothing to connect to: give github:OWNER/REPO[@BRANCH][:FOLDER], git:PATH[@BRANCH] or local"
    )


def _on_disk(rest: str) -> Target:
    """The last @ begins the branch, unless there is a folder of that very name."""
    path, at, branch = rest.rpartition("@")
    if not at or not path or not branch or pathlib.Path(rest).expanduser().is_dir():
        return Target("git", rest)
    return Target("git", path, branch)


def _path(given: str, *, local: bool) -> str:
    path = pathlib.Path(given).expanduser()
    if local:
        return str(path.absolute())
    if not path.is_absolute():
        raise CommandFailed(f"{given} is no absolute path", "the server is elsewhere: give the path as it is there")
    return str(path)


def token_for(wanted: Target, from_stdin: bool) -> str | None:
    """For GitHub; None: whatever the server has."""
    if from_stdin:
        if wanted.kind != "github":
            raise click.UsageError("--token-stdin is for GitHub alone")
        token = sys.stdin.readline().strip()
        if not token:
            raise CommandFailed("there is no token on stdin", "as in: gh auth token | quire connect ... --token-stdin")
        return token
    return Settings.load().github_token if wanted.kind == "github" else None


async def _connect(
    client: Client, project: str, body: dict[str, Any], take: str | None, *, asks: bool, only_preview: bool
) -> int:
    with Progress() as progress:
        progress.update(f"{project}: looking at {body['repository'] or 'its own repository'}")
        found = await client.post(f"/projects/{project}/remote/preview", body)
    _show(project, found)
    if only_preview:
        return 0
    if found["choice"] and take is None:
        take = _ask(asks)
    body = body if take is None else {**body, "take": take}
    with Progress() as progress:
        progress.update(f"{project}: connecting")
        made = await client.call("PUT", f"/projects/{project}/remote", json=body)
        if made["state"] == "running":
            made = await _waited(client, project, found)
    if made["state"] == "failed":
        note(f"{project} is connected, and then: {made['detail']}")
        return 1
    say(f"{project} is connected to {found['repository']}, branch {found['branch']}: {_outcome(made)}")
    return await in_conflict(client, project)


async def _waited(client: Client, project: str, found: dict[str, Any]) -> dict[str, Any]:
    """A pull waits for what runs: then it is connected, or it is not."""
    made: dict[str, Any] = {"state": "running"}
    while made["state"] == "running":
        await anyio.sleep(ASK_EVERY)
        made = await client.post(f"/projects/{project}/pull")
    now = await client.get(f"/projects/{project}/remote")
    if (now["repository"], now["branch"]) != (found["repository"], found["branch"]):
        raise CommandFailed(f"{project} was not connected", "the log of the server says why")
    return made


def _show(project: str, found: dict[str, Any]) -> None:
    branch = f"branch {found['branch']}" + (" (new, where the present one stands)" if found["new_branch"] else "")
    say(f"{project} and {found['repository']}, {branch}:")
    for key, words in (
        ("equal", "equal"),
        ("different", "different"),
        ("new_here", "only here"),
        ("new_there", "only there"),
        ("outside", "here, and not what is connected: left alone, and not committed"),
    ):
        if found[key]:
            say(f"  {len(found[key]):>6,} {words}" + ("" if key == "equal" else f": {_names(found[key])}"))
    if not any(found[key] for key in ("equal", "different", "new_here", "new_there")):
        say("  no files on either side")
    if found["uncommitted"]:
        note(f"{plural(found['uncommitted'], 'file')} of {project} not committed yet to where its git is now.")


def _names(found: Sequence[str]) -> str:
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def _ask(asks: bool) -> str:
    """Nobody is asked who is not there to answer."""
    if not asks or not sys.stdin.isatty():
        raise CommandFailed(
            "both sides have files, and they are not the same; nothing was connected",
            "say what counts: --take theirs, --take ours or --take merge (--help explains)",
        )
    chosen: str = click.prompt("What counts?", type=click.Choice(TAKES), err=True)
    return chosen


def _outcome(made: dict[str, Any]) -> str:
    changed = len(made["merged"])
    return f"{plural(changed, 'file')} changed here" if changed else "nothing changed here"
