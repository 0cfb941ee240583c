"""Suggestions: turns that somebody proposes and somebody else decides."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from collab import paths
from collab.errors import QuireError
from collab.ids import Path
from collab.suggestions import Looked, Suggestion
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.shapes import ActorRef, maybe_rfc3339, refs, rfc3339
from web.api.turns import FileTurn, FileWish, TurnAnswer, answer, wish

endpoints = Endpoints()


class SuggestionsQuery(Query):
    """`path`: only those that are about this file."""

    state: Literal["open", "accepted", "rejected", "withdrawn", "all"] = "open"
    path: str | None = None


class NewSuggestion(Body):
    """As a turn: `POST turns` says what a file may be."""

    files: list[FileWish]
    message: str = ""
    task: str | None = None


class Acceptance(Body):
    """`hunks`: of these paths only these changes, numbered from 0 as the diff against what was read has them; a path that is not
    named is accepted whole."""

    hunks: dict[str, list[int]] | None = None


class Obstacle(msgspec.Struct):
    """Why it no longer applies, as accepting it would answer."""

    code: str
    message: str
    details: dict[str, Any]


class SuggestionInfo(msgspec.Struct, kw_only=True):
    """`applies`: whether it could be accepted now, and then `files` says what that would do; else `obstacle` says why not. Both are
    about an open one."""

    id: str
    author: ActorRef
    on_behalf_of: ActorRef | None
    at: str
    message: str
    task: str | None
    state: Literal["open", "accepted", "rejected", "withdrawn"]
    paths: list[str]
    applies: bool
    files: list[FileTurn]
    obstacle: Obstacle | None
    decided_at: str | None
    decided_by: ActorRef | None
    turn: str | None


class SuggestionList(msgspec.Struct):
    suggestions: list[SuggestionInfo]


class Accepted(TurnAnswer):
    suggestion: SuggestionInfo


@endpoints.add(
    "GET",
    "/projects/{project}/suggestions",
    role="viewer",
    scoped=True,
    query=SuggestionsQuery,
    answer=SuggestionList,
    errors=(400, 404),
)
async def list_suggestions(call: Call[None, SuggestionsQuery]) -> SuggestionList:
    """The newest first, each rebased on the files as they are now."""
    query = call.query
    found = [
        each
        for each in await call.services.workspace.suggestions.all(call.project.id)
        if query.state in ("all", each.state)
        and all(map(call.covers, _paths(each)))
        and (query.path is None or query.path in [file.path for file in each.files])
    ]
    return SuggestionList([await _info(call, await _look(call, each)) for each in found])


@endpoints.add(
    "POST",
    "/projects/{project}/suggestions",
    role="suggester",
    scoped=True,
    body=NewSuggestion,
    answer=SuggestionInfo,
    status=201,
    errors=(400, 404, 409, 422),
)
async def propose(call: Call[NewSuggestion, NoQuery]) -> SuggestionInfo:
    """Proposes a turn. Nothing is changed until somebody with the role editor accepts it."""
    wishes = [wish(each, f"files[{n}]") for n, each in enumerate(call.body.files)]
    await call.reach(*(each.path for each in wishes), *(each.to for each in wishes if each.to is not None))
    looked = await call.services.workspace.suggestions.propose(
        call.project,
        wishes,
        call.access.actor.id,
        on_behalf_of=call.access.on_behalf_of,
        message=call.body.message,
        task=call.body.task,
    )
    return await _info(call, looked)


@endpoints.add(
    "GET", "/projects/{project}/suggestions/{id}", role="viewer", scoped=True, answer=SuggestionInfo, errors=(404,)
)
async def show_suggestion(call: Call[None, NoQuery]) -> SuggestionInfo:
    """One of them, as it would be now."""
    return await _info(call, await _look(call, await _reached(call)))


@endpoints.add(
    "POST",
    "/projects/{project}/suggestions/{id}/accept",
    role="editor",
    scoped=True,
    body=Acceptance,
    answer=Accepted,
    errors=(400, 404, 409, 422),
)
async def accept_suggestion(call: Call[Acceptance, NoQuery]) -> Accepted:
    """Makes the turn, in the name of whoever proposed it, on behalf of whoever accepts it."""
    known = await _reached(call)
    hunks = None if call.body.hunks is None else {path: set(each) for path, each in call.body.hunks.items()}
    suggestions = call.services.workspace.suggestions
    decided, taken = await suggestions.accept(call.project, known.id, call.access.actor.id, hunks=hunks)
    made = answer(taken)
    return Accepted(made.turn, made.files, await _info(call, Looked(decided, None, None)))


@endpoints.add(
    "POST",
    "/projects/{project}/suggestions/{id}/reject",
    role="editor",
    scoped=True,
    answer=SuggestionInfo,
    errors=(404, 409),
)
async def reject_suggestion(call: Call[None, NoQuery]) -> SuggestionInfo:
    """It is not wanted. What was proposed stays to be read."""
    known = await _reached(call)
    decided = await call.services.workspace.suggestions.reject(call.project.id, known.id, call.access.actor.id)
    return await _info(call, Looked(decided, None, None))


@endpoints.add(
    "DELETE",
    "/projects/{project}/suggestions/{id}",
    role="suggester",
    scoped=True,
    answer=SuggestionInfo,
    errors=(403, 404, 409),
)
async def withdraw_suggestion(call: Call[None, NoQuery]) -> SuggestionInfo:
    """Takes back what one has proposed oneself."""
    known = await _reached(call)
    decided = await call.services.workspace.suggestions.withdraw(call.project.id, known.id, call.access.actor.id)
    return await _info(call, Looked(decided, None, None))


async def _reached(call: Call[Any, Any]) -> Suggestion:
    known = await call.services.workspace.suggestions.one(call.project.id, call.param("id"))
    call.check(*_paths(known))
    return known


def _paths(each: Suggestion) -> list[Path]:
    return [paths.parse(path) for file in each.files for path in (file.path, file.to) if path is not None]


async def _look(call: Call[Any, Any], known: Suggestion) -> Looked:
    if known.state != "open":
        return Looked(known, None, None)
    return await call.services.workspace.suggestions.look(call.project, known)


async def _info(call: Call[Any, Any], looked: Looked) -> SuggestionInfo:
    known = looked.suggestion
    people = (known.author, known.on_behalf_of, known.decided_by)
    names = await refs(call.services.store, (who for who in people if who is not None))
    return SuggestionInfo(
        id=known.id,
        author=names[known.author],
        on_behalf_of=None if known.on_behalf_of is None else names[known.on_behalf_of],
        at=rfc3339(known.at),
        message=known.message,
        task=known.task,
        state=known.state,
        paths=[each.path for each in known.files],
        applies=looked.taken is not None,
        files=[] if looked.taken is None else answer(looked.taken).files,
        obstacle=None if looked.refusal is None else _obstacle(looked.refusal),
        decided_at=maybe_rfc3339(known.decided),
        decided_by=None if known.decided_by is None else names[known.decided_by],
        turn=known.turn,
    )


def _obstacle(error: QuireError) -> Obstacle:
    return Obstacle(error.name, error.message, error.details)
