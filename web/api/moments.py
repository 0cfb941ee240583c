"""A project at a moment: now, a time, a named version, a commit; and a file also at a position of its log."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from collab import versions
from collab.contents import is_position
from collab.errors import Invalid, TooLarge
from collab.ids import Path
from collab.restoring import Then
from collab.store.base import Row
from snapshots.past import Past
from snapshots.remotes.base import CommitSha
from web.api import given
from web.api.endpoint import Call
from web.api.shapes import rfc3339

NAMED: Final = "version:"


async def moment(call: Call[Any, Any], at: str | None) -> str | None:
    """`version:NAME` is the time of that version; anything else is what it is."""
    if at is None or not at.startswith(NAMED):
        return at
    return rfc3339((await versions.version(call.services.store, call.project.id, at.removeprefix(NAMED))).at)


def past(call: Call[Any, Any]) -> Past:
    return Past(call.services.workspace, call.services.snapshotter.remotes)


async def files_at(call: Call[Any, Any], prefix: str, at: str | None) -> list[Then]:
    """The files below a prefix, those alone that whoever asks reaches."""
    at = await moment(call, at)
    commit = given.commit(at)
    if at is not None and is_position(at):
        raise Invalid("a position is of one file; a folder or a project is asked for at a time or a commit", field="at")
    if commit is not None:
        stood = await past(call).tree(call.project, commit, prefix)
        return [
            Then(
                path=each.path,
                sha=each.sha,
                mode=each.mode,
                document=each.document,
                content=partial(_of_commit, call, each.path, commit),
            )
            for each in stood
            if call.covers(each.path)
        ]
    page = await call.services.workspace.tree(call.project, prefix=prefix, at=at, among=call.among)
    return [then_of(call, row) for row in page.rows]


async def file_at(call: Call[Any, Any], row: Row, path: Path, at: str | None) -> Then:
    """One file. Its document is known; in a commit it is looked for at `path`."""
    at = await moment(call, at)
    commit = given.commit(at)
    if commit is not None:
        stood, _ = await past(call).file(call.project, path, commit)
        content = partial(_of_commit, call, path, commit)
        return Then(path=path, sha=stood.sha, mode=stood.mode, document=row.id, content=content)
    if at is None:
        return then_of(call, await call.services.workspace.contents.exact(row))
    return then_of(call, (await call.services.workspace.contents.read_at(row, at)).row)


def then_of(call: Call[Any, Any], row: Row) -> Then:
    async def content() -> bytes:
        return (await call.services.workspace.at(row, row.head)).content

    return Then(path=row.path, sha=row.sha, mode=row.mode, document=row.id, content=content)


async def _of_commit(call: Call[Any, Any], path: Path, commit: CommitSha) -> bytes:
    _, content = await past(call).file(call.project, path, commit)
    if content is None:
        raise TooLarge(f"{path} is too large for this: fetch it as a file", field="path")
    return content
