"""What differs between two moments, and bringing one back; named versions; taking back what somebody wrote."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from collab import paths, versions
from collab.errors import Conflict, Invalid
from collab.ids import ActorId, Millis
from collab.restoring import Restoring, Then, changes
from collab.text import lines, open_bytes
from collab.unified import unified
from collab.unwriting import Unwriting
from collab.wish import Wish
from web.api import given
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.history import found
from web.api.moments import file_at, files_at, moment
from web.api.shapes import ActorRef, refs, rfc3339
from web.api.turns import FileTurn, Saved, answer

endpoints = Endpoints()

FILES_MOST: Final = 1_000


class DiffQuery(Query, rename={"since": "from"}):
    """`from` and `to` (not given: now) are times, commits, `version:NAME`, or of one `path` positions. `prefix`: only what
    is below."""

    since: str
    to: str | None = None
    path: str | None = None
    prefix: str = ""


class HunkInfo(msgspec.Struct):
    """Lines that changed, numbered from 1: what `from_line` begins became what `to_line` begins."""

    number: int
    from_line: int
    to_line: int
    removed: str
    added: str


class FileDiff(msgspec.Struct, kw_only=True):
    """`hunks` are there when one path was asked for; their numbers are what a restore takes. A side that has no such file has
    no SHA."""

    path: str
    was: str | None
    change: Literal["added", "deleted", "modified", "renamed"]
    from_sha: str | None
    to_sha: str | None
    diff: str
    hunks: list[HunkInfo] | msgspec.UnsetType = msgspec.UNSET


class Diff(msgspec.Struct):
    files: list[FileDiff]


class Restore(Body):
    """`at`: a time, a commit, `version:NAME`, or of one `path` a position. Without `path` it is about everything below
    `prefix` ("": the project). `hunks`: of one path, only these changes since, as `GET diff?from=AT&path=` numbers them; then
    `base` is the SHA that they were told of."""

    at: str
    path: str | None = None
    prefix: str = ""
    hunks: list[int] | None = None
    base: str | None = None
    message: str = ""
    dry_run: bool = False


class UndoWork(Body):
    """What `actor` (not given: everybody) wrote from `since` to `until` (not given: now), below `prefix`."""

    since: str
    until: str | None = None
    actor: str | None = None
    prefix: str = ""
    dry_run: bool = False


class Restored(msgspec.Struct, kw_only=True):
    """`turn` is null for a dry run, and when nothing was to be done."""

    turn: str | None
    files: list[FileTurn]


class Undone(Restored, kw_only=True):
    """`kept`: files that stay as they are, because others have changed the same since."""

    kept: list[str]


class NewVersion(Body):
    """Of this moment, or of the time `at`."""

    name: str
    at: str | None = None
    note: str = ""


class VersionInfo(msgspec.Struct):
    name: str
    at: str
    by: ActorRef
    made: str
    note: str


class VersionList(msgspec.Struct):
    versions: list[VersionInfo]


@endpoints.add(
    "GET", "/projects/{project}/diff", role="viewer", scoped=True, query=DiffQuery, answer=Diff, errors=(400, 404, 413)
)
async def diff(call: Call[None, DiffQuery]) -> Diff:
    """What differs between two moments: of one file, or of all."""
    query = call.query
    if query.path is not None:
        path = paths.parse(query.path)
        call.check(path)
        row = await found(call, path)
        before, after = await file_at(call, row, path, query.since), await file_at(call, row, path, query.to)
        return Diff([await _file_diff(before, after, hunks=True)] if _differs(before, after) else [])
    prefix = paths.parse(query.prefix)
    pairs = _pairs(await files_at(call, prefix, query.since), await files_at(call, prefix, query.to))
    if len(pairs) > FILES_MOST:
        raise Invalid(f"{len(pairs):,} files differ: ask for one path, or below a prefix, at a time", field="prefix")
    return Diff([await _file_diff(before, after) for before, after in pairs])


@endpoints.add(
    "POST",
    "/projects/{project}/restore",
    role="editor",
    scoped=True,
    query=Saved,
    body=Restore,
    answer=Restored,
    errors=(400, 404, 409, 422),
)
async def restore(call: Call[Restore, Saved]) -> Restored:
    """Makes a file, some changes to it, a folder or the project as it was once.

    It is a turn: merged into the live text, and undone in one step."""
    body, store = call.body, call.services.store
    restoring = Restoring(store, call.services.workspace.contents)
    if body.path is None:
        if body.hunks is not None:
            raise Invalid("hunks are of one file: say which, as `path`", field="hunks")
        prefix = paths.parse(body.prefix)
        wishes = await restoring.of_folder(
            call.project.id, prefix, await files_at(call, prefix, body.at), among=call.among
        )
    else:
        path = paths.parse(body.path)
        call.check(path)
        row = await found(call, path)
        if body.hunks is not None and (await call.services.workspace.contents.exact(row)).sha != body.base:
            raise Conflict(
                "the changes were numbered against another version: ask for the difference again, and send its SHA as `base`",
                code="stale",
                field="base",
            )
        hunks = None if body.hunks is None else set(body.hunks)
        wishes = await restoring.of_file(row, await file_at(call, row, path, body.at), hunks)
    return await _take(
        call, wishes, body.message or f"Restore {body.path or body.prefix or 'everything'}", body.dry_run
    )


@endpoints.add(
    "POST",
    "/projects/{project}/undo",
    role="admin",
    query=Saved,
    body=UndoWork,
    answer=Undone,
    errors=(400, 404, 409),
)
async def undo_work(call: Call[UndoWork, Saved]) -> Undone:
    """Takes back what somebody wrote in a while, by turns or by keystrokes; what others wrote stays."""
    body, services = call.body, call.services
    since, until = (
        _time(body.since, "since"),
        services.identity.now() if body.until is None else _time(body.until, "until"),
    )
    actor = None if body.actor is None else ActorId(body.actor)
    work = Unwriting(services.store, services.workspace.contents)
    unwritten = await work.of(call.project, actor, since, until, paths.parse(body.prefix))
    taken = await _take(call, unwritten.wishes, "Undo of what was written", body.dry_run)
    return Undone(turn=taken.turn, files=taken.files, kept=[paths.show(each) for each in unwritten.kept])


@endpoints.add("GET", "/projects/{project}/versions", role="viewer", scoped=True, answer=VersionList, errors=(404,))
async def list_versions(call: Call[None, NoQuery]) -> VersionList:
    """The named versions, the newest first."""
    all_ = await versions.versions(call.services.store, call.project.id)
    names = await refs(call.services.store, (each.by for each in all_))
    return VersionList([_version(each, names[each.by]) for each in all_])


@endpoints.add(
    "POST",
    "/projects/{project}/versions",
    role="editor",
    body=NewVersion,
    answer=VersionInfo,
    status=201,
    errors=(400, 404, 409),
)
async def name_version(call: Call[NewVersion, NoQuery]) -> VersionInfo:
    """Gives this moment of the project a name, or one before; `version:NAME` then stands for it wherever a time does."""
    actor, store = call.access.actor, call.services.store
    at = None if call.body.at is None else _time(await moment(call, call.body.at) or "", "at")
    now = call.services.identity.now()
    made = await versions.name(store, call.project.id, call.body.name, actor.id, now, at=at, note=call.body.note)
    return _version(made, ActorRef(actor.id, actor.name))


@endpoints.add("DELETE", "/projects/{project}/versions/{name}", role="editor", answer=VersionInfo, errors=(404,))
async def forget_version(call: Call[None, NoQuery]) -> VersionInfo:
    """Takes the name away; the history stays."""
    gone = await versions.forget(call.services.store, call.project.id, call.param("name"))
    return _version(gone, (await refs(call.services.store, [gone.by]))[gone.by])


def _version(each: versions.Version, by: ActorRef) -> VersionInfo:
    return VersionInfo(each.name, rfc3339(each.at), by, rfc3339(each.made), each.note)


def _time(text: str, field: str) -> Millis:
    at = given.moment(text)
    if at is None:
        raise Invalid(f"{field} is {text[:60]!r}: give a time such as 2026-01-31T12:00:00Z", field=field)
    return Millis(int(at.timestamp() * 1000))


async def _take(
    call: Call[Restore, Saved] | Call[UndoWork, Saved], wishes: list[Wish], message: str, dry_run: bool
) -> Restored:
    if not wishes:
        return Restored(turn=None, files=[])
    taken = await call.services.workspace.turns.take(
        call.project,
        wishes,
        call.access.actor.id,
        on_behalf_of=call.access.on_behalf_of,
        message=message,
        dry_run=dry_run,
    )
    told = answer(taken)
    return Restored(turn=told.turn, files=told.files)


def _differs(before: Then, after: Then) -> bool:
    return (before.sha, before.mode, before.path) != (after.sha, after.mode, after.path)


def _pairs(before: list[Then], after: list[Then]) -> list[tuple[Then | None, Then | None]]:
    """What belongs together: the same document, else the same path. Only what differs."""
    by_document = {each.document: each for each in before if each.document is not None}
    by_path = {each.path: each for each in before}
    pairs: list[tuple[Then | None, Then | None]] = []
    seen: set[int] = set()
    for now in after:
        was = by_document.get(now.document) if now.document is not None else None
        was = was or by_path.get(now.path)
        if was is not None:
            seen.add(id(was))
        if was is None or _differs(was, now):
            pairs.append((was, now))
    return [*pairs, *((was, None) for was in before if id(was) not in seen)]


async def _file_diff(before: Then | None, after: Then | None, *, hunks: bool = False) -> FileDiff:
    one = after or before
    assert one is not None  # one of both is there
    old, new = await _text(before), await _text(after)
    both = before is not None and after is not None
    moved = both and before is not None and after is not None and before.path != after.path
    told = FileDiff(
        path=paths.show(one.path),
        was=paths.show(before.path) if moved and before is not None else None,
        change="renamed" if moved else "modified" if both else "added" if before is None else "deleted",
        from_sha=None if before is None else before.sha,
        to_sha=None if after is None else after.sha,
        diff="" if old is None or new is None else unified(old, new, paths.show(one.path)),
    )
    if hunks and old is not None and new is not None:
        told.hunks = _hunks(old, new)
    return told


async def _text(side: Then | None) -> str | None:
    """None for what is no text."""
    if side is None:
        return ""
    opened = open_bytes(await side.content())
    return None if opened is None else opened[0]


def _hunks(old: str, new: str) -> list[HunkInfo]:
    before, after = lines(old), lines(new)
    return [
        HunkInfo(n, each.a0 + 1, each.b0 + 1, "".join(before[each.a0 : each.a1]), "".join(after[each.b0 : each.b1]))
        for n, each in enumerate(changes(old, new))
    ]
