"""Conflicts that are looked at again although nothing was pushed: what was typed since may have ended them.

What it promises
1. A conflict ends when what is typed here agrees with what was pushed, or no longer overlaps with it; a policy that could
   not be followed is tried again.
2. Nobody elsewhere is asked: what was pushed is known here.
3. It costs nothing while nobody touches a file in conflict.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from collab import bases, conflicts, paths
from collab.conflicts import FileConflict
from collab.ids import ActorId, Path, ProjectId
from collab.store.base import Project, Row
from collab.workspace import Workspace
from snapshots import authors
from snapshots.look import Kept, Look, Rules, look_at
from snapshots.remotes.base import CommitSha

Until = Callable[[Callable[[], Awaitable[Look]]], Awaitable[None]]

Standing = tuple[object, ...]
"""Of every open conflict, where its files stand."""


class Reviewing:
    """`until_done` looks and carries out until nothing moves any more."""

    def __init__(self, workspace: Workspace, until_done: Until) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._until_done = until_done
        self._stood: dict[ProjectId, Standing] = {}

    async def review(self, project: Project, head: CommitSha, rules: Rules) -> tuple[Path, ...]:
        """The paths that changed by it."""
        waiting = await conflicts.still_open(self._store, project.id)
        owed = rules.given is not None or any(each.policy != "manual" for each in waiting)
        if not waiting or (not owed and self._stood.get(project.id) == await self._standing(project, waiting)):
            return ()
        merged: dict[Path, ActorId] = {}

        async def look() -> Look:
            held = (await bases.bases(self._store, project.id)).values()
            now = await conflicts.still_open(self._store, project.id)
            kept, wrote = Kept(self._workspace, held, now), authors.of_conflicts(now)
            return await look_at(self._workspace, project, kept, head, rules, merged, wrote)

        before = await self._standing(project, waiting)
        await self._until_done(look)
        after = await conflicts.still_open(self._store, project.id)
        # What was typed while it looked is looked at the next time.
        self._stood[project.id] = before if after == waiting else ()
        if not after:
            del self._stood[project.id]
        return tuple(merged)

    async def _standing(self, project: Project, waiting: Sequence[FileConflict]) -> Standing:
        return tuple([(each.id, *[_at(row) for row in await self._rows(project, each)]) for each in waiting])

    async def _rows(self, project: Project, each: FileConflict) -> list[Row | None]:
        documents = [side.document for side in (each.base, each.ours) if side is not None and side.document]
        names = [*each.blockers, *([each.theirs.path] if each.theirs is not None else [])]
        return [
            *[await self._store.document(document) for document in documents],
            *[await self._store.at_path(project.id, paths.parse(name)) for name in names],
        ]


def _at(row: Row | None) -> object:
    return None if row is None else (row.id, row.head, row.path, row.deleted_at)
