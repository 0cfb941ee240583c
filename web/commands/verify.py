"""`quire verify`."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from web.client import Client
from web.commands.common import server_options, with_server
from web.console import Progress, note, plural, say


@click.command()
@click.option("--repair", is_flag=True, help="Repair what can be, and say what was done.")
@server_options
def verify(url: str | None, data: pathlib.Path | None, repair: bool) -> int:
    """Check log, checkpoints, catalog, objects and git against each other.

    Prints what differs, a line each, and ends with status 1 if anything does that was not repaired. Repaired are wrong
    SHAs and sizes, wrong checkpoints, and objects that git still has; a log that cannot be decoded is quarantined.
    The server may go on serving.

    \b
    quire verify
    quire verify --repair --data /srv/quire
    """
    findings: list[dict[str, Any]] = []

    async def check(client: Client) -> int:
        documents = 0
        with Progress() as progress:
            async for said in client.report("/verify", {"repair": repair}):
                if "finding" in said:
                    findings.append(said["finding"])
                elif "checked" in said:
                    at = said["checked"]
                    progress.update(f"checking {at['project']}:", at["done"], at["total"], unit="files")
                else:
                    documents = said["done"]["documents"]
        return documents

    documents = with_server(url, data, check)
    for finding in findings:
        say(_line(finding))
    left = sum(1 for finding in findings if not finding.get("repaired"))
    note(f"{plural(documents, 'file')} checked: " + _verdict(len(findings), left))
    return 1 if left else 0


def _line(finding: dict[str, Any]) -> str:
    where = finding["project"] + (f"/{finding['path']}" if finding.get("path") else "")
    repaired = f" [{finding['repaired']}]" if finding.get("repaired") else ""
    return f"{finding['check']}: {where}: {finding['message']}{repaired}"


def _verdict(found: int, left: int) -> str:
    if not found:
        return "all of it agrees."
    return f"{plural(found, 'difference')}, {found - left} repaired, {left} left."
