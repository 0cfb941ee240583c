"""What both sides changed: seen, and decided."""

from __future__ import annotations

from typing import Literal

import msgspec

from collab import paths
from collab.conflicts import FileConflict, Side
from collab.contents import File
from collab.errors import Invalid
from collab.ids import BlobSha
from collab.merge import Hunk
from collab.store.base import Project
from collab.text import open_bytes
from snapshots.snapshotter import Snapshotter
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import rfc3339

endpoints = Endpoints()


class ConflictSide(msgspec.Struct):
    """`text` when it is text, and when one conflict is asked for."""

    path: str
    sha: str
    mode: str
    text: str | msgspec.UnsetType = msgspec.UNSET


class ConflictInfo(msgspec.Struct):
    """`kind` is modify/modify, add/add, modify/delete (ours/theirs), delete/modify, rename, type or binary. `ours` is the
    live file, while the conflict is `open`; lines count from 1. `commit` brought theirs. `taken` is how it was resolved.
    `blockers` are files of ours in the way of theirs."""

    id: str
    path: str
    kind: str
    base: ConflictSide | None
    ours: ConflictSide | None
    theirs: ConflictSide | None
    hunks: list[Hunk]
    at: str
    commit: str
    state: str
    taken: str | None
    blockers: list[str]


class ConflictList(msgspec.Struct):
    conflicts: list[ConflictInfo]


class Decision(Body):
    """Either `take`, or the whole `text` that the file is to have; then `sha` is the version of ours that it was made of:
    what others typed since is merged, or answered with 409."""

    take: Literal["ours", "theirs", "both"] | None = None
    text: str | None = None
    sha: str | None = None


def _side(side: Side | None, content: bytes | None = None) -> ConflictSide | None:
    if side is None:
        return None
    found = ConflictSide(side.path, side.sha, f"{side.mode:06o}")
    if content is not None and open_bytes(content) is not None:
        found.text = content.decode()
    return found


def _live(file: File | None, else_: Side | None) -> ConflictSide | None:
    if file is None:
        return _side(else_)
    row = file.row
    side = Side(path=paths.show(row.path), sha=row.sha, mode=row.mode)
    return _side(side, file.content if row.kind == "text" else None)


def _shape(
    each: FileConflict,
    base: ConflictSide | None,
    ours: ConflictSide | None,
    theirs: ConflictSide | None,
    hunks: tuple[Hunk, ...],
) -> ConflictInfo:
    return ConflictInfo(
        id=each.id,
        path=each.path,
        kind=each.kind,
        base=base,
        ours=ours,
        theirs=theirs,
        hunks=list(hunks),
        at=rfc3339(each.at),
        commit=each.commit,
        state=each.state,
        taken=each.taken or None,
        blockers=list(each.blockers),
    )


async def _now(snapshotter: Snapshotter, project: Project, id_: str) -> ConflictInfo:
    found = await snapshotter.settling.view(project, id_)
    each = found.conflict
    ours = _live(found.ours, each.ours) if each.state == "open" else _side(each.ours, found.was)
    return _shape(each, _side(each.base, found.base), ours, _side(each.theirs, found.theirs), found.hunks)


@endpoints.add("GET", "/projects/{project}/conflicts", role="viewer", answer=ConflictList, errors=(404,))
async def list_conflicts(call: Call[None, NoQuery]) -> ConflictList:
    """What is in conflict and not yet decided, as it was when it was found; without the texts."""
    found = await call.services.snapshotter.settling.conflicts(call.project)
    return ConflictList(
        [_shape(each, _side(each.base), _side(each.ours), _side(each.theirs), each.hunks) for each in found]
    )


@endpoints.add("GET", "/projects/{project}/conflicts/{id}", role="viewer", answer=ConflictInfo, errors=(404,))
async def get_conflict(call: Call[None, NoQuery]) -> ConflictInfo:
    """One conflict with its three texts, ours and the hunks as they are now."""
    return await _now(call.services.snapshotter, call.project, call.param("id"))


@endpoints.add(
    "POST",
    "/projects/{project}/conflicts/{id}",
    role="editor",
    body=Decision,
    answer=ConflictInfo,
    errors=(400, 404, 409, 503),
)
async def resolve_conflict(call: Call[Decision, NoQuery]) -> ConflictInfo:
    """Decides it: ours, theirs, both (ours first), or a text of one's own.

    `take` decides the lines in conflict; what either side changed elsewhere in the file stays. Whatever loses is kept."""
    body, snapshotter = call.body, call.services.snapshotter
    if (body.take is None) == (body.text is None):
        raise Invalid("say either take (ours, theirs or both) or text", field="take")
    await snapshotter.settle(
        call.project,
        call.param("id"),
        actor=call.access.actor.id,
        take=body.take,
        text=None if body.text is None else _encoded(body.text),
        made_of=None if body.sha is None else BlobSha(body.sha),
    )
    return await _now(snapshotter, call.project, call.param("id"))


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"the text cannot be stored as UTF-8: {error}", field="text") from error
