"""Turns: edits against what was read, of one file or several, undone in one step."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Literal

import msgspec

from collab import paths
from collab.edits import Replacement
from collab.errors import Invalid, NotFound
from collab.ids import Path, TurnId
from collab.wish import Taken, Turned, TurnRecord, Wish
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.shapes import ActorRef, refs, rfc3339

endpoints = Endpoints()

MODES: Final = {"100644": 0o100644, "100755": 0o100755, "120000": 0o120000}


class Saved(Query):
    """`saved` is what every answer waits for: the log has it."""

    wait: Literal["saved"] = "saved"


class Edits(Body):
    """`base` is the SHA (or the position) that came with the text; `old` stands in it once, unless `all` is said."""

    base: str
    edits: list[Replacement]
    message: str = ""
    task: str | None = None
    dry_run: bool = False


class FileWish(Body):
    """`edits` with their `base`; or a new content, `text` or `base64`; or `to`, where it moves; or `delete`."""

    path: str
    base: str | None = None
    edits: tuple[Replacement, ...] = ()
    text: str | None = None
    base64: str | None = None
    mode: str | None = None
    to: str | None = None
    delete: bool = False
    create: bool = False
    force: bool = False


class NewTurn(Body):
    files: list[FileWish]
    message: str = ""
    task: str | None = None
    dry_run: bool = False


class Undo(Body):
    dry_run: bool = False


class FileTurn(msgspec.Struct, kw_only=True):
    """`change`: edited, created, deleted, moved, undeleted or unchanged. `rebased`: the file had moved since it was read.
    `sha` and `position` are those of now; `diff` is unified."""

    path: str
    document: str
    change: str
    rebased: bool
    sha: str
    position: int
    diff: str


class EditedFile(FileTurn, kw_only=True):
    """`turn` is null for a dry run."""

    turn: str | None


class TurnAnswer(msgspec.Struct):
    """`turn` is null for a dry run."""

    turn: str | None
    files: list[FileTurn]


class TurnFileInfo(msgspec.Struct):
    """From the position `before` to `after` of the document's log; `to` where it moved."""

    path: str
    document: str
    change: str
    before: int
    after: int
    to: str | None


class TurnInfo(msgspec.Struct, kw_only=True):
    turn: str
    at: str
    actor: ActorRef
    on_behalf_of: ActorRef | None
    message: str
    task: str | None
    files: list[TurnFileInfo]
    undoes: str | None
    undone_by: str | None


class TurnList(msgspec.Struct):
    """The newest first. `cursor` goes on after the last one."""

    turns: list[TurnInfo]
    cursor: str | None


class TurnsQuery(Query):
    """`actor` and `path`: only theirs, only those that changed it."""

    actor: str | None = None
    path: str | None = None
    limit: int = 50
    cursor: str | None = None


@endpoints.add(
    "PATCH",
    "/projects/{project}/files/{path:file}",
    role="editor",
    query=Saved,
    body=Edits,
    answer=EditedFile,
    errors=(400, 404, 409, 422),
)
async def edit_file(call: Call[Edits, Saved]) -> EditedFile:
    """Edits against what was read.

    422 `no_match` or `ambiguous_match` when `old` is not there exactly once; 409 `overlap` when somebody changed the same
    lines since (`details` has what they are now, the difference since the base, and the SHA to try again with); 409
    `base_unknown` when the base is not known any more. Whatever is refused changes nothing."""
    await call.reach(call.path)
    wish = Wish(path=call.path, base=call.body.base, edits=call.body.edits)
    if not call.body.edits:
        raise Invalid("there is no edit: give at least one {old, new}", field="edits")
    taken = await take(call, [wish], call.body)
    [file] = taken.files
    return EditedFile(turn=taken.turn, **msgspec.structs.asdict(_file(file)))


@endpoints.add(
    "POST",
    "/projects/{project}/turns",
    role="editor",
    scoped=True,
    query=Saved,
    body=NewTurn,
    answer=TurnAnswer,
    errors=(400, 404, 409, 422),
)
async def make_turn(call: Call[NewTurn, Saved]) -> TurnAnswer:
    """Changes to several files: all of them or none.

    When it is refused, `details.files` names every file that stands in the way, each with what a refusal of that file
    alone would say."""
    wishes = [wish(each, f"files[{n}]") for n, each in enumerate(call.body.files)]
    await call.reach(*(each.path for each in wishes), *(each.to for each in wishes if each.to is not None))
    return answer(await take(call, wishes, call.body))


@endpoints.add(
    "GET", "/projects/{project}/turns", role="viewer", scoped=True, query=TurnsQuery, answer=TurnList, errors=(400, 404)
)
async def list_turns(call: Call[None, TurnsQuery]) -> TurnList:
    """The turns of a project, the newest first."""
    query = call.query
    if not 1 <= query.limit <= 500:
        raise Invalid("limit is a number from 1 to 500", field="limit")
    records = await call.services.workspace.turns.records(call.project)
    found = [each for each in records if _wanted(each, query) and all(map(call.covers, _paths(each)))]
    chosen = found[: query.limit]
    return TurnList(await _infos(call, chosen), chosen[-1].id if len(found) > len(chosen) else None)


@endpoints.add("GET", "/projects/{project}/turns/{turn}", role="viewer", scoped=True, answer=TurnInfo, errors=(404,))
async def show_turn(call: Call[None, NoQuery]) -> TurnInfo:
    """Who made a turn, when, and what it changed."""
    record = await _record(call)
    return (await _infos(call, [record]))[0]


@endpoints.add(
    "POST",
    "/projects/{project}/turns/{turn}/undo",
    role="editor",
    scoped=True,
    query=Saved,
    body=Undo,
    answer=TurnAnswer,
    errors=(404, 409),
)
async def undo_turn(call: Call[Undo, Saved]) -> TurnAnswer:
    """Merges back what a turn changed, in one step; what others wrote since stays.

    409 `overlap` where they changed the same lines, 409 `already_undone`; nothing is changed then. The undo is a turn."""
    turns, access = call.services.workspace.turns, call.access
    taken = await turns.undo(
        call.project,
        (await _record(call)).id,
        access.actor.id,
        on_behalf_of=access.on_behalf_of,
        dry_run=call.body.dry_run,
    )
    return answer(taken)


@endpoints.add(
    "POST",
    "/projects/{project}/turns/{turn}/redo",
    role="editor",
    scoped=True,
    query=Saved,
    body=Undo,
    answer=TurnAnswer,
    errors=(404, 409),
)
async def redo_turn(call: Call[Undo, Saved]) -> TurnAnswer:
    """Does again what was undone."""
    turns, access = call.services.workspace.turns, call.access
    taken = await turns.redo(
        call.project,
        (await _record(call)).id,
        access.actor.id,
        on_behalf_of=access.on_behalf_of,
        dry_run=call.body.dry_run,
    )
    return answer(taken)


async def take(call: Call[Edits, Saved] | Call[NewTurn, Saved], wishes: list[Wish], said: Edits | NewTurn) -> Taken:
    return await call.services.workspace.turns.take(
        call.project,
        wishes,
        call.access.actor.id,
        on_behalf_of=call.access.on_behalf_of,
        message=said.message,
        task=said.task,
        dry_run=said.dry_run,
    )


def wish(each: FileWish, place: str) -> Wish:
    """What a caller wrote. `place` is where it stands, for errors."""
    if each.text is not None and each.base64 is not None:
        raise Invalid("a content is either text or base64", field=f"{place}.base64")
    if each.mode is not None and each.mode not in MODES:
        raise Invalid(f"mode is {each.mode!r}: give 100644, 100755 or 120000", field=f"{place}.mode")
    return Wish(
        path=paths.parse(each.path),
        base=each.base,
        edits=each.edits,
        content=_content(each, place),
        mode=None if each.mode is None else MODES[each.mode],
        to=None if each.to is None else paths.parse(each.to),
        delete=each.delete,
        create=each.create,
        force=each.force,
    )


def _content(each: FileWish, place: str) -> bytes | None:
    if each.base64 is not None:
        try:
            return base64.b64decode(each.base64, validate=True)
        except binascii.Error as error:
            raise Invalid(f"base64 cannot be decoded: {error}", field=f"{place}.base64") from error
    if each.text is None:
        return None
    try:
        return each.text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("text holds half a surrogate pair, which no file can", field=f"{place}.text") from error


def answer(taken: Taken) -> TurnAnswer:
    return TurnAnswer(taken.turn, [_file(each) for each in taken.files])


def _file(each: Turned) -> FileTurn:
    return FileTurn(
        path=paths.show(each.row.path),
        document=each.row.id,
        change=each.change,
        rebased=each.rebased,
        sha=each.row.sha,
        position=each.row.head,
        diff=each.diff,
    )


async def _record(call: Call[Any, Any]) -> TurnRecord:
    """The turn that the address names, if whoever asks reaches all of its files, wherever they stand now."""
    turn = TurnId(call.param("turn"))
    record = await call.services.workspace.turns.record(call.project, turn)
    rows = await call.services.store.documents([each.document for each in record.files])
    if not all(map(call.covers, [*_paths(record), *(row.path for row in rows.values())])):
        raise NotFound(f"there is no turn {turn!r} in this project", field="turn")
    return record


def _paths(record: TurnRecord) -> list[Path]:
    return [paths.parse(path) for each in record.files for path in (each.path, each.to) if path is not None]


def _wanted(each: TurnRecord, query: TurnsQuery) -> bool:
    if query.cursor is not None and each.id >= query.cursor:
        return False
    if query.actor is not None and query.actor not in (each.actor, each.on_behalf_of):
        return False
    return query.path is None or any(query.path in (file.path, file.to) for file in each.files)


async def _infos(call: Call[None, TurnsQuery] | Call[None, NoQuery], found: list[TurnRecord]) -> list[TurnInfo]:
    ids = [actor for each in found for actor in (each.actor, each.on_behalf_of) if actor is not None]
    names = await refs(call.services.store, ids)
    return [
        TurnInfo(
            turn=each.id,
            at=rfc3339(each.at),
            actor=names[each.actor],
            on_behalf_of=None if each.on_behalf_of is None else names[each.on_behalf_of],
            message=each.message,
            task=each.task,
            files=[
                TurnFileInfo(file.path, file.document, file.change, file.before, file.after, file.to)
                for file in each.files
            ],
            undoes=each.undoes,
            undone_by=each.undone_by,
        )
        for each in found
    ]
