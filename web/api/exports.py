"""A project's files, to take away: as a download, or written to a path by commands on the same machine."""

from __future__ import annotations

import pathlib
import secrets
from collections.abc import Callable
from typing import Final, Literal

import anyio
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from collab.errors import Invalid
from snapshots.exporter import Exported, export
from web.api import given
from web.api.admin import check_local
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.report import LINES, Line, Report, Tell, telling
from web.roles import require

endpoints = Endpoints()

ZIP: Final = "application/zip"
SQLITE: Final = "application/vnd.sqlite3"


class ExportQuery(Query):
    """`format`: `zip`, or `sqlite` for one file with every version, which only an admin may take."""

    format: Literal["zip", "sqlite"] = "zip"


class ExportRequest(Body):
    """`to`: an absolute path on the server's machine, that is not there yet."""

    to: str


class Download(FileResponse):
    """A file that is removed when it has been sent, or when whoever wanted it has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.Path(self.path).unlink()


@endpoints.add(
    "GET", "/projects/{project}/export", role="viewer", query=ExportQuery, gives=(ZIP, SQLITE), errors=(400, 403, 404)
)
async def download_export(call: Call[None, ExportQuery]) -> Download:
    """The files as they are now, in one file.

    A `.zip` of the files, each whole and exact; or a `.sqlite` with every version of every file, deleted ones too, and who
    made them, which `quire import` reads again."""
    form = call.query.format
    if form == "sqlite":
        require(call.access, call.project.name, "admin")
    scratch = call.services.settings.data / "tmp"
    await anyio.Path(scratch).mkdir(exist_ok=True)
    target = scratch / f"export-{secrets.token_hex(8)}.{form}"
    await export(call.services.workspace, call.project, target)
    return Download(
        target,
        media_type=SQLITE if form == "sqlite" else ZIP,
        filename=f"{call.project.name}.{form}",
        content_disposition_type="attachment",
    )


@endpoints.add(
    "POST", "/projects/{project}/export", role="admin", body=ExportRequest, gives=(LINES,), errors=(400, 403, 404)
)
async def write_export(call: Call[ExportRequest, NoQuery]) -> Report:
    """Writes the files to a path on the server's machine: a folder, a `.zip` or a `.sqlite`, by its ending.

    Only with the token that lies in the data directory. Lines: `{"exported": {"done", "total"}}`, and at the end
    `{"done": {"files", "bytes"}}`."""
    check_local(call.access)
    if not pathlib.PurePath(call.body.to).is_absolute():
        raise Invalid(f"{call.body.to!r} is not an absolute path", field="to")
    target = pathlib.Path(call.body.to)
    given.refuse_form(target.name)

    async def work(tell: Tell) -> Line:
        async def exporting(note: Callable[[Line], None]) -> Exported:
            def progress(done: int, total: int) -> None:
                note({"exported": {"done": done, "total": total}})

            return await export(call.services.workspace, call.project, target, tell=progress)

        exported = await telling(tell, exporting)
        return {"files": exported.files, "bytes": exported.bytes}

    return Report(work)
