"""What both sides changed: seen, decided, and what lost brought back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from starlette.responses import Response

from collab import conflicts, paths
from collab.conflicts import FileConflict, Side
from collab.contents import File
from collab.errors import Invalid
from collab.ids import ActorId, BlobSha
from collab.merge import Hunk
from collab.store.base import Project, Store
from collab.text import classify, open_bytes
from web import mime
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.files import CONTENT_POLICY
from web.api.shapes import ActorRef, maybe_rfc3339, refs, rfc3339
from web.services import Services

endpoints = Endpoints()

MOST: Final = 1_000
"""Conflicts that have ended, in one answer."""


class ConflictSide(msgspec.Struct):
    """`text` when it is text, and when one conflict is asked for."""

    path: str
    sha: str
    mode: str
    text: str | msgspec.UnsetType = msgspec.UNSET


class AsideInfo(msgspec.Struct):
    """`url`: of the pull request, where the host has them."""

    branch: str
    url: str | None


class ConflictInfo(msgspec.Struct):
    """`kind` is modify/modify, add/add, modify/delete (ours/theirs), delete/modify, rename, type or binary. `path` is where it
    was found; `ours` is the live file, while the conflict is `open`; lines count from 1. `commit` brought theirs, made by
    `pushed_by`. `blockers` are files of ours in the way of theirs. `policy` is what should become of it by itself, `detail` why
    that has not happened.

    `state` is open, resolved, or gone (the branch moved on first). `taken` is how it was resolved: ours, theirs, both, text,
    branch (`aside` says where ours went), or itself (what was typed agrees with theirs). `restored`: the side that was brought back
    since.

    `merged`, of one conflict that is open and has lines: texts that are clean, and numbers of `hunks`, in order. Put together,
    with each hunk decided, they are a `text` that decides it."""

    id: str
    path: str
    kind: str
    base: ConflictSide | None
    ours: ConflictSide | None
    theirs: ConflictSide | None
    hunks: list[Hunk]
    at: str
    commit: str
    pushed_by: ActorRef | None
    document: str | None
    blockers: list[str]
    policy: str
    detail: str
    state: str
    taken: str | None
    ended_at: str | None
    ended_by: ActorRef | None
    aside: AsideInfo | None
    restored: str | None
    merged: list[str | int] | msgspec.UnsetType = msgspec.UNSET


class ConflictList(msgspec.Struct):
    conflicts: list[ConflictInfo]


class Which(Query):
    """`state`: open, ended (resolved or gone), resolved, gone, or all. `limit`: at most so many of those that have ended."""

    state: Literal["open", "ended", "resolved", "gone", "all"] = "open"
    limit: int = 200


class SideQuery(Query):
    """`v` means nothing: it makes the address change with the content."""

    v: str | None = None


class Decision(Body):
    """Either `take`, or the whole `text` that the file is to have; then `sha` is the version of ours that it was made of:
    what others typed since is merged, or answered with 409. A text with bare line feeds gets the file's line endings."""

    take: Literal["ours", "theirs", "both"] | None = None
    text: str | None = None
    sha: str | None = None


class Restore(Body):
    """`whole`: all of the file as that side had it, whatever was written since."""

    side: Literal["base", "ours", "theirs"]
    whole: bool = False


class Restored(msgspec.Struct):
    path: str
    sha: str
    position: int


def _side(side: Side | None, content: bytes | None = None) -> ConflictSide | None:
    if side is None:
        return None
    found = ConflictSide(side.path, side.sha, f"{side.mode:06o}")
    if content is not None and open_bytes(content) is not None:
        found.text = content.decode()
    return found


def _live(file: File) -> ConflictSide:
    row = file.row
    side = Side(path=paths.show(row.path), sha=row.sha, mode=row.mode)
    found = _side(side, file.content if row.kind == "text" else None)
    assert found is not None
    return found


async def _shapes(store: Store, found: Sequence[FileConflict]) -> list[ConflictInfo]:
    ids = [actor for each in found for actor in (each.pushed_by, each.ended_by) if actor is not None]
    names = await refs(store, ids)
    return [_shape(each, names) for each in found]


def _shape(each: FileConflict, names: Mapping[ActorId, ActorRef]) -> ConflictInfo:
    ours = each.ours or each.base
    return ConflictInfo(
        id=each.id,
        path=each.path,
        kind=each.kind,
        base=_side(each.base),
        ours=_side(each.ours),
        theirs=_side(each.theirs),
        hunks=list(each.hunks),
        at=rfc3339(each.at),
        commit=each.commit,
        pushed_by=None if each.pushed_by is None else names[each.pushed_by],
        document=None if ours is None else ours.document,
        blockers=list(each.blockers),
        policy=each.policy,
        detail=each.detail,
        state=each.state,
        taken=each.taken or None,
        ended_at=maybe_rfc3339(each.ended_at),
        ended_by=None if each.ended_by is None else names[each.ended_by],
        aside=None if each.aside is None else AsideInfo(each.aside.branch, each.aside.url or None),
        restored=each.restored,
    )


async def _now(services: Services, project: Project, id_: str) -> ConflictInfo:
    """With its texts: ours, the hunks and the pieces as they are now."""
    viewed = await services.snapshotter.settling.view(project, id_)
    each = viewed.conflict
    (made,) = await _shapes(services.store, [each])
    made.base, made.theirs = _side(each.base, viewed.base), _side(each.theirs, viewed.theirs)
    if each.state != "open":
        made.ours = _side(each.ours, viewed.was)
        return made
    made.ours = None if viewed.ours is None else _live(viewed.ours)
    made.hunks = list(viewed.hunks)
    if viewed.pieces:
        numbers = itertools.count()
        made.merged = [piece if isinstance(piece, str) else next(numbers) for piece in viewed.pieces]
    return made


@endpoints.add(
    "GET", "/projects/{project}/conflicts", role="viewer", query=Which, answer=ConflictList, errors=(400, 404)
)
async def list_conflicts(call: Call[None, Which]) -> ConflictList:
    """What is in conflict and not yet decided, as it was when it was found; without the texts.

    The oldest first. Those that have ended come behind, the latest first."""
    store, project, state = call.services.store, call.project.id, call.query.state
    if not 1 <= call.query.limit <= MOST:
        raise Invalid(f"limit is {call.query.limit}: give a number from 1 to {MOST}", field="limit")
    found = await conflicts.still_open(store, project) if state in ("open", "all") else []
    if state != "open":
        ended = await conflicts.ended(store, project)
        found.extend([each for each in ended if state in ("ended", "all", each.state)][: call.query.limit])
    return ConflictList(await _shapes(store, found))


@endpoints.add("GET", "/projects/{project}/conflicts/{id}", role="viewer", answer=ConflictInfo, errors=(404,))
async def get_conflict(call: Call[None, NoQuery]) -> ConflictInfo:
    """One conflict with its three texts. Of one that is open, ours, the hunks and what can be merged are as they are now."""
    return await _now(call.services, call.project, call.param("id"))


@endpoints.add(
    "GET",
    "/projects/{project}/conflicts/{id}/sides/{side}",
    role="viewer",
    query=SideQuery,
    gives=("text/plain", "application/octet-stream"),
    errors=(400, 404),
)
async def get_side(call: Call[None, SideQuery]) -> Response:
    """The bytes of `base`, `ours` or `theirs`. Ours is the live file, while the conflict is open."""
    which = call.param("side")
    if which not in ("base", "ours", "theirs"):
        raise Invalid(f"{which[:40]!r} is no side: give base, ours or theirs", field="side")
    found = await call.services.snapshotter.settling.side(call.project, call.param("id"), which)  # type: ignore[arg-type]
    serving = mime.serving(found.path, classify(found.content, found.mode))
    headers = {
        "etag": f'"{found.sha}"',
        "cache-control": "private, no-cache",
        "content-type": serving.content_type,
        "content-disposition": mime.disposition(found.path, inline=serving.inline),
        "content-security-policy": CONTENT_POLICY,
    }
    return Response(found.content, headers=headers)


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
    body, services = call.body, call.services
    if (body.take is None) == (body.text is None):
        raise Invalid("say either take (ours, theirs or both) or text", field="take")
    await services.snapshotter.settle(
        call.project,
        call.param("id"),
        actor=call.access.actor.id,
        take=body.take,
        text=None if body.text is None else _encoded(body.text),
        made_of=None if body.sha is None else BlobSha(body.sha),
    )
    return await _now(services, call.project, call.param("id"))


@endpoints.add(
    "POST",
    "/projects/{project}/conflicts/{id}/restore",
    role="editor",
    body=Restore,
    answer=Restored,
    errors=(400, 404, 409, 503),
)
async def restore_side(call: Call[Restore, NoQuery]) -> Restored:
    """Brings back what lost a conflict, as an edit.

    Of lines, those that were in conflict; what was written since stays, or is answered with 409."""
    body = call.body
    row = await call.services.snapshotter.restoring.restore(
        call.project, call.param("id"), body.side, actor=call.access.actor.id, whole=body.whole
    )
    return Restored(paths.show(row.path), row.sha, row.head)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"the text cannot be stored as UTF-8: {error}", field="text") from error
