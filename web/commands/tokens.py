"""`quire token` and `quire invite`."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from web.client import Client
from web.commands.common import server_options, with_server
from web.console import note, say, table

ROLES = click.Choice(["viewer", "suggester", "editor", "admin"])


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of a project."""


@token.command()
@click.option("--project", required=True, help="The project that it opens.")
@click.option("--role", type=ROLES, required=True, help="What it may do.")
@click.option("--name", help="A note about what it is for.")
@click.option("--agent", help="The name of the agent that acts with it; without one it acts as its maker.")
@click.option("--expires", help="When it ends: 1h, 7d, or a time. Without it, it does not.")
@click.option("--path", "paths", multiple=True, help="The only files that it reaches, as a pattern; may be repeated.")
@server_options
def create(
    url: str | None,
    data: pathlib.Path | None,
    project: str,
    role: str,
    name: str | None,
    agent: str | None,
    expires: str | None,
    paths: tuple[str, ...],
) -> None:
    """Make a token and print it. It is shown once; only its hash is kept.

    \b
    quire token create --project notes --role editor
    quire token create --project notes --role editor --agent Scribe --expires 1h
    quire token create --project notes --role editor --agent Scribe --path 'docs/**'
    TOKEN=$(quire token create --project notes --role viewer)
    """
    body: dict[str, Any] = _given(role=role, name=name, agent=agent, expires=expires)
    if paths:
        body["paths"] = paths

    async def make(client: Client) -> Any:
        return await client.post(f"/projects/{project}/tokens", body)

    made = with_server(url, data, make)
    note(f"{made['role'].capitalize()} of {project}, id {made['id']}. It is not shown again.")
    say(made["token"])


@token.command("list")
@click.option("--project", required=True, help="The project whose tokens are listed.")
@server_options
def list_tokens(url: str | None, data: pathlib.Path | None, project: str) -> None:
    """List the tokens of a project: never the tokens themselves.

    \b
    quire token list --project notes
    """

    async def ask(client: Client) -> Any:
        return await client.get(f"/projects/{project}/tokens")

    found = with_server(url, data, ask)
    rows = [
        (
            each["id"],
            each["role"],
            each.get("agent") or "",
            each.get("name") or "",
            each.get("created_at") or "",
            each.get("expires_at") or "",
        )
        for each in found["tokens"]
    ]
    if rows:
        say(table(("ID", "ROLE", "AGENT", "NAME", "MADE", "EXPIRES"), rows))
    else:
        note(f"{project} has no tokens.")


@token.command()
@click.argument("number", metavar="ID")
@click.option("--project", required=True, help="The project that it opens.")
@server_options
def revoke(url: str | None, data: pathlib.Path | None, project: str, number: str) -> None:
    """End a token now: whoever is connected with it is cut off.

    \b
    quire token revoke 3f9c02d1ab47 --project notes
    """

    async def end(client: Client) -> None:
        await client.call("DELETE", f"/projects/{project}/tokens/{number}")

    with_server(url, data, end)
    note(f"Token {number} of {project} is revoked.")


@click.command()
@click.argument("project")
@click.option("--role", type=ROLES, default="editor", show_default=True, help="What whoever joins may do.")
@click.option("--expires", help="When it ends: 1h, 7d, or a time. Without it, it does not.")
@server_options
def invite(url: str | None, data: pathlib.Path | None, project: str, role: str, expires: str | None) -> None:
    """Print a link with which other people join a project.

    \b
    quire invite notes
    quire invite notes --role viewer --expires 7d
    """
    body = _given(role=role, expires=expires)

    async def make(client: Client) -> Any:
        return await client.post(f"/projects/{project}/invites", body)

    made = with_server(url, data, make)
    say(made["url"])


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
