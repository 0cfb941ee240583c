"""The whole installation: check it, copy it. For root, and for commands on the same machine.

Both take long, and answer with one JSON object a line while they work: how far they are, what they find, and at the end
`done` or `error`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from collab.errors import Forbidden, Invalid
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.report import LINES, Line, Report, Tell, Work, telling
from web.archive import Manifest
from web.backup import backup
from web.roles import Access
from web.services import Services
from web.verify import Checked, Verifier

endpoints = Endpoints()


class VerifyRequest(Body):
    """`repair`: whatever can be."""

    repair: bool = False


class BackupRequest(Body):
    """`to`: an absolute path on the server's machine, that is not there yet."""

    to: str


@endpoints.add("POST", "/verify", role="root", body=VerifyRequest, gives=(LINES,))
async def verify(call: Call[VerifyRequest, NoQuery]) -> Report:
    """Checks log, checkpoints, catalog, objects and git against each other, while the server serves.

    Lines: `{"checked": {"project", "done", "total"}}`, `{"finding": {"check", "project", "path"?, "document"?, "message",
    "repaired"?}}`, and at the end `{"done": {"documents", "findings"}}`.
    """
    return Report(_verify(call.services, repair=call.body.repair))


@endpoints.add("POST", "/backup", role="root", body=BackupRequest, gives=(LINES,), errors=(400,))
async def make_backup(call: Call[BackupRequest, NoQuery]) -> Report:
    """Copies the data directory, consistently, to a path on the server's machine, while the server serves.

    Only with the token that lies in the data directory: the root token alone cannot write files on the machine.
    Lines: `{"copied": {"phase", "done", "total"}}`, and at the end `{"done": {"files", "size"}}`.
    """
    check_local(call.access)
    destination = pathlib.PurePath(call.body.to)
    if not destination.is_absolute():
        raise Invalid(f"{call.body.to!r} is not an absolute path", field="to")
    return Report(_backup(call.services, pathlib.Path(destination)))


def check_local(access: Access) -> None:
    """Who reads the data directory may hand over paths on this machine; who comes over the network may not."""
    if not any(each.grant == "local" for each in access.held):
        raise Forbidden("paths on the server's machine are for commands there: use --data instead of --url")


def _verify(services: Services, *, repair: bool) -> Work:
    async def work(tell: Tell) -> Line:
        verifier = Verifier(services.store, services.objects, services.snapshotter.remotes.of, repair=repair)
        documents: dict[str, int] = {}
        findings = 0
        async for each in verifier.run():
            if isinstance(each, Checked):
                documents[each.project] = each.total
                await tell({"checked": each})
            else:
                findings += 1
                await tell({"finding": each})
        return {"documents": sum(documents.values()), "findings": findings}

    return work


def _backup(services: Services, destination: pathlib.Path) -> Work:
    async def work(tell: Tell) -> Line:
        async def copying(note: Callable[[Line], None]) -> Manifest:
            def progress(phase: str, done: int, total: int | None) -> None:
                note({"copied": {"phase": phase, "done": done, "total": total}})

            return await backup(services.store, services.settings.data, destination, progress)

        manifest = await telling(tell, copying)
        return {"files": len(manifest.files), "size": manifest.size}

    return work
