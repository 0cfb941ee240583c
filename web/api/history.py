"""What happened to a file, and who wrote it."""

from __future__ import annotations

from typing import Any

import msgspec

from collab import paths
from collab.contents import is_position
from collab.errors import Invalid, NotFound
from collab.ids import ActorId, Path, Position
from collab.store.base import Row
from collab.timeline import Session, sessions
from snapshots import journal
from snapshots.snapshot import Snapshot
from web.api import given
from web.api.endpoint import Call, Endpoints, Query
from web.api.moments import moment
from web.api.shapes import ActorRef, refs, rfc3339

endpoints = Endpoints()

LISTED_MOST = 500


class HistoryQuery(Query):
    """`before`: only what lies before this position, to go on with."""

    limit: int = 50
    before: int | None = None


class BlameQuery(Query):
    """`at`: a position, a time or a commit; not given: now."""

    at: str | None = None


class Author(msgspec.Struct):
    """`entries` of the log are theirs."""

    actor: ActorRef
    on_behalf_of: ActorRef | None
    entries: int


class SessionInfo(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """A session of work: the positions `from` to `to`. The text before it is that of `from - 1`."""

    first: int
    last: int
    begun: str
    ended: str
    turn: str | None
    authors: list[Author]
    happened: list[str]


class CommitInfo(msgspec.Struct):
    """A commit that has the file as it was at `position`."""

    commit: str
    position: int
    at: str
    message: str


class History(msgspec.Struct):
    """The newest first. `cursor` is the `before` to go on with."""

    path: str
    document: str
    position: int
    sessions: list[SessionInfo]
    commits: list[CommitInfo]
    cursor: int | None


class RangeInfo(msgspec.Struct, kw_only=True):
    """Characters from `start` to `end` (exclusive), counted in code points of the text (LF, without BOM), which begin on
    `line`. `actor` null: the log does not say."""

    start: int
    end: int
    line: int
    actor: ActorRef | None
    on_behalf_of: ActorRef | None
    turn: str | None
    begun: str | None
    ended: str | None


class BlameInfo(msgspec.Struct):
    path: str
    document: str
    sha: str
    position: int
    ranges: list[RangeInfo]


@endpoints.add(
    "GET",
    "/projects/{project}/history/{path:file}",
    role="viewer",
    query=HistoryQuery,
    answer=History,
    errors=(400, 404),
)
async def file_history(call: Call[None, HistoryQuery]) -> History:
    """The sessions of work on a file, of a deleted one too, and the commits that have it."""
    query = call.query
    if not 1 <= query.limit <= LISTED_MOST:
        raise Invalid(f"limit is {query.limit}: give 1 to {LISTED_MOST}", field="limit")
    row = await found(call, call.path)
    upto = (
        row.head
        if query.before is None
        else Position(min(row.head, given.within(query.before, "before", what="a position") - 1))
    )
    everything = await call.services.store.gather(row.id, Position(0), Position(max(upto, 0)), sessions)
    chosen = everything[::-1][: query.limit]
    names = await _names(call, (actor for each in chosen for who in each.authors for actor in who))
    earliest = chosen[-1].first if chosen else Position(0)
    return History(
        paths.show(row.path),
        row.id,
        row.head,
        [_session(each, names) for each in chosen],
        _commits(await journal.snapshots(call.services.store, call.project.id), row, earliest, upto),
        earliest if len(everything) > len(chosen) else None,
    )


@endpoints.add(
    "GET",
    "/projects/{project}/blame/{path:file}",
    role="viewer",
    query=BlameQuery,
    answer=BlameInfo,
    errors=(400, 404),
)
async def file_blame(call: Call[None, BlameQuery]) -> BlameInfo:
    """Who wrote every range of a text: a person, or an agent, on behalf of whom, in which turn."""
    row = await found(call, call.path)
    position = await _position(call, row)
    then = await call.services.workspace.at(row, position)
    if then.row.kind != "text":
        raise Invalid("only texts have authors of their parts; this is none", field="path")
    ranges = await call.services.workspace.blame.of(row.id, position)
    names = await _names(call, (actor for each in ranges for actor in (each.actor, each.on_behalf_of)))
    text = await call.services.workspace.text_at(row.id, position)
    shapes, line, counted = [], 1, 0
    for each in ranges:
        line, counted = line + text.count("\n", counted, each.start), each.start
        shapes.append(
            RangeInfo(
                start=each.start,
                end=each.end,
                line=line,
                actor=None if each.actor is None else names[each.actor],
                on_behalf_of=None if each.on_behalf_of is None else names[each.on_behalf_of],
                turn=each.turn,
                begun=rfc3339(each.begun) if each.actor is not None else None,
                ended=rfc3339(each.ended) if each.actor is not None else None,
            )
        )
    return BlameInfo(paths.show(then.row.path), row.id, then.row.sha, position, shapes)


async def found(call: Call[Any, Any], path: Path) -> Row:
    """The document at a path, the one that was moved away from there, or what was deleted last from there."""
    store = call.services.store
    row = await store.at_path(call.project.id, path)
    row = row or await store.led_from(call.project.id, path) or await store.deleted_at_path(call.project.id, path)
    if row is None:
        raise NotFound(f"there is no file {path!r}", field="path")
    call.check(row.path)
    return row


async def _position(call: Call[None, BlameQuery], row: Row) -> Position:
    at = await moment(call, call.query.at)
    commit = given.commit(at)
    if at is None:
        return row.head
    if commit is not None:
        for each in _commits(await journal.snapshots(call.services.store, call.project.id), row, Position(0), row.head):
            if each.commit == commit:
                return Position(each.position)
        raise NotFound(f"the commit {commit} did not change this file here", field="at")
    position = await call.services.workspace.contents.position(row.id, at)
    if not is_position(at) and position == 0:
        raise NotFound("the file did not exist then", field="at")
    if not 0 < position <= row.head:
        raise Invalid(f"position {position} has not been reached; the newest is {row.head}", field="at")
    return position


async def _names(call: Call[Any, Any], actors: Any) -> dict[ActorId, ActorRef]:
    return await refs(call.services.store, (actor for actor in actors if actor is not None))


def _session(each: Session, names: dict[ActorId, ActorRef]) -> SessionInfo:
    return SessionInfo(
        each.first,
        each.last,
        rfc3339(each.begun),
        rfc3339(each.ended),
        each.turn,
        [
            Author(names[actor], None if behalf is None else names[behalf], count)
            for (actor, behalf), count in each.authors.items()
        ],
        list(each.happened),
    )


def _commits(snapshots: list[Snapshot], row: Row, after: Position, upto: Position) -> list[CommitInfo]:
    return [
        CommitInfo(snapshot.commit, each.position, rfc3339(snapshot.at), snapshot.message.partition("\n")[0])
        for snapshot in reversed(snapshots)
        if snapshot.state == "done" and snapshot.commit is not None
        for each in snapshot.files
        if each.document == row.id and each.sha is not None and after <= each.position <= upto
    ]
