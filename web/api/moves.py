"""Files that go elsewhere, and files that come back."""

from __future__ import annotations

import msgspec

from collab import paths
from collab.errors import Invalid
from collab.ids import DocumentId
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import FileRow, rows

endpoints = Endpoints()


class Move(Body, rename={"source": "from", "target": "to"}):
    """`from` is a file, or a directory with everything below."""

    source: str
    target: str


class Moved(msgspec.Struct, rename={"source": "from"}):
    source: str
    path: str
    id: str


class MovedFiles(msgspec.Struct):
    moved: list[Moved]


class Undelete(Body):
    """One of the two: the path it had, or its id."""

    path: str | None = None
    id: str | None = None


@endpoints.add(
    "POST",
    "/projects/{project}/moves",
    role="editor",
    scoped=True,
    body=Move,
    answer=MovedFiles,
    errors=(400, 404, 409),
)
async def move_files(call: Call[Move, NoQuery]) -> MovedFiles:
    """Renames or moves. The document, its history and everybody's cursors stay; the old path leads to the new one."""
    source, target = paths.parse(call.body.source), paths.parse(call.body.target)
    await call.reach(source, target)
    moved = await call.services.workspace.move(call.project, source, target, call.access.actor.id)
    return MovedFiles(
        [Moved(paths.show(source + each.path[len(target) :]), paths.show(each.path), each.id) for each in moved]
    )


@endpoints.add(
    "POST",
    "/projects/{project}/undelete",
    role="editor",
    scoped=True,
    body=Undelete,
    answer=FileRow,
    errors=(400, 404, 409),
)
async def undelete_file(call: Call[Undelete, NoQuery]) -> FileRow:
    """Brings a deleted file back, with its history."""
    if (call.body.path is None) == (call.body.id is None):
        raise Invalid("say which file: either its path or its id", field="path")
    path = None if call.body.path is None else paths.parse(call.body.path)
    gone = None if call.body.id is None else await call.services.store.document(DocumentId(call.body.id))
    call.check(*([path] if path is not None else []), *([gone.path] if gone is not None else []))
    back = await call.services.workspace.undelete(
        call.project,
        path,
        None if call.body.id is None else DocumentId(call.body.id),
        call.access.actor.id,
    )
    return (await rows(call.services.store, [back]))[0]
