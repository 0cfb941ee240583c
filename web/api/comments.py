"""Comments on places in texts."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from collab import anchors, paths
from collab.anchors import Anchor
from collab.comments import Comment, Comments, Thread, mentions, state
from collab.errors import Invalid
from collab.ids import ActorId
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.shapes import ActorRef, maybe_rfc3339, refs, rfc3339
from web.roles import allows

endpoints = Endpoints()


class CommentsQuery(Query):
    """`path`: only on this file."""

    path: str | None = None
    state: Literal["open", "resolved", "all"] = "open"


class NewComment(Body):
    """On the characters from `start` to `end` (exclusive, code points) of the text that `base` (a SHA or a position; not given:
    now) names; or where `anchor`, two Yjs relative positions, says; or on the file. `thread`: an answer in that thread."""

    text: str
    path: str | None = None
    start: int | None = None
    end: int | None = None
    base: str | None = None
    anchor: dict[str, Any] | None = None
    thread: str | None = None


class CommentChange(Body):
    """A new `text`, for one's own; `resolved` is about the thread."""

    text: str | None = None
    resolved: bool | None = None


class CommentInfo(msgspec.Struct, kw_only=True):
    id: str
    text: str
    author: ActorRef
    on_behalf_of: ActorRef | None
    at: str
    edited: str | None
    mentions: list[str]


class ThreadInfo(CommentInfo, kw_only=True):
    """`start` and `end` are where it stands now, `anchor` the same for a Yjs client; null: it is about the file. `gone`: what it
    was about was deleted; `quote` is what that was."""

    path: str
    document: str
    start: int | None
    end: int | None
    line: int | None
    gone: bool
    quote: str
    anchor: dict[str, Any] | None
    state: Literal["open", "resolved"]
    resolved_by: ActorRef | None
    resolved_at: str | None
    answers: list[CommentInfo]


class ThreadList(msgspec.Struct):
    comments: list[ThreadInfo]


@endpoints.add(
    "GET",
    "/projects/{project}/comments",
    role="viewer",
    scoped=True,
    query=CommentsQuery,
    answer=ThreadList,
    errors=(400, 404),
)
async def list_comments(call: Call[None, CommentsQuery]) -> ThreadList:
    """The threads of a project, or of one file, where they stand now."""
    query = call.query
    document = None
    if query.path is not None:
        document = (await call.services.workspace.resolve(call.project, paths.parse(query.path))).id
    found = await comments(call).threads(call.project.id, document)
    chosen = [each for each in found if call.covers(each.first.row.path) and query.state in ("all", state(each))]
    return ThreadList(await _threads(call, chosen))


@endpoints.add(
    "POST",
    "/projects/{project}/comments",
    role="suggester",
    scoped=True,
    body=NewComment,
    answer=ThreadInfo,
    status=201,
    errors=(400, 404, 409),
)
async def add_comment(call: Call[NewComment, NoQuery]) -> ThreadInfo:
    """Begins a thread, or answers in one."""
    body, actor, now = call.body, call.access.actor.id, call.services.identity.now()
    if body.thread is not None:
        await _check(call, body.thread)
        made = await comments(call).answer(
            call.project.id, body.thread, body.text, actor, now, on_behalf_of=call.access.on_behalf_of
        )
    else:
        if body.path is None:
            raise Invalid("say which file the comment is about, or which thread it answers", field="path")
        await call.reach(paths.parse(body.path))
        row = await call.services.workspace.stat(call.project, paths.parse(body.path))
        made = await comments(call).begin(
            row,
            body.text,
            actor,
            now,
            on_behalf_of=call.access.on_behalf_of,
            range_=_range(body),
            base=body.base,
            at=_anchor(body.anchor),
        )
    return await _one(call, made)


@endpoints.add(
    "PATCH",
    "/projects/{project}/comments/{id}",
    role="suggester",
    scoped=True,
    body=CommentChange,
    answer=ThreadInfo,
    errors=(400, 403, 404),
)
async def change_comment(call: Call[CommentChange, NoQuery]) -> ThreadInfo:
    """Changes one's own words, or resolves the thread, or opens it again."""
    id_, actor, now = call.param("id"), call.access.actor.id, call.services.identity.now()
    known = await _check(call, id_)
    if call.body.text is None and call.body.resolved is None:
        raise Invalid("give a text, or say whether the thread is resolved", field="text")
    if call.body.text is not None:
        known = await comments(call).change(call.project.id, id_, call.body.text, actor, now)
    if call.body.resolved is not None:
        known = await comments(call).resolve(call.project.id, id_, actor, now, resolved=call.body.resolved)
    return await _one(call, known)


@endpoints.add(
    "DELETE", "/projects/{project}/comments/{id}", role="suggester", scoped=True, answer=ThreadList, errors=(403, 404)
)
async def delete_comment(call: Call[None, NoQuery]) -> ThreadList:
    """Deletes one's own comment; whoever manages the project deletes any. The answer is what is left of the thread."""
    known = await _check(call, call.param("id"))
    anybodys = allows(call.access.role_in(call.project.name), "admin")
    await comments(call).remove(call.project.id, known.id, call.access.actor.id, anybodys=anybodys)
    if known.thread is None:
        return ThreadList([])
    return ThreadList(await _threads(call, [await comments(call).thread(call.project.id, known.thread)]))


def comments(call: Call[Any, Any]) -> Comments:
    return call.services.workspace.comments


async def _check(call: Call[Any, Any], id_: str) -> Comment:
    """The comment, if whoever asks reaches its file."""
    known = await comments(call).comment(call.project.id, id_)
    row = await call.services.store.document(known.document)
    if row is not None:
        call.check(row.path)
    return known


def _range(body: NewComment) -> tuple[int, int] | None:
    if (body.start is None) != (body.end is None):
        raise Invalid("a range has both a start and an end", field="end")
    return None if body.start is None or body.end is None else (body.start, body.end)


def _anchor(given: dict[str, Any] | None) -> Anchor | None:
    if given is None:
        return None
    return Anchor(
        anchors.from_json(given.get("start"), "anchor.start"), anchors.from_json(given.get("end"), "anchor.end")
    )


async def _one(call: Call[Any, Any], known: Comment) -> ThreadInfo:
    thread = await comments(call).thread(call.project.id, known.thread or known.id)
    return (await _threads(call, [thread]))[0]


async def _threads(call: Call[Any, Any], found: list[Thread]) -> list[ThreadInfo]:
    everybody = [who for each in found for said in (each.first.comment, *each.answers) for who in _who(said)]
    names = await refs(call.services.store, everybody)
    return [_thread(each, names) for each in found]


def _who(said: Comment) -> list[ActorId]:
    return [who for who in (said.author, said.on_behalf_of, said.resolved_by) if who is not None]


def _said(said: Comment, names: dict[ActorId, ActorRef]) -> dict[str, Any]:
    return {
        "id": said.id,
        "text": said.text,
        "author": names[said.author],
        "on_behalf_of": None if said.on_behalf_of is None else names[said.on_behalf_of],
        "at": rfc3339(said.at),
        "edited": maybe_rfc3339(said.edited),
        "mentions": mentions(said.text),
    }


def _thread(each: Thread, names: dict[ActorId, ActorRef]) -> ThreadInfo:
    first, span = each.first.comment, each.first.span
    at = first.anchor
    return ThreadInfo(
        **_said(first, names),
        path=paths.show(each.first.row.path),
        document=first.document,
        start=None if span is None else span.start,
        end=None if span is None else span.end,
        line=each.first.line,
        gone=at is not None and (span is None or span.gone),
        quote=first.quote,
        anchor=None if at is None else {"start": anchors.to_json(at.start), "end": anchors.to_json(at.end)},
        state=state(each),
        resolved_by=None if first.resolved_by is None else names[first.resolved_by],
        resolved_at=maybe_rfc3339(first.resolved),
        answers=[CommentInfo(**_said(said, names)) for said in each.answers],
    )
