"""What differs from the last commit."""

from __future__ import annotations

import msgspec

from collab import paths
from web.api.endpoint import Call, Endpoints, NoQuery
from web.api.shapes import ActorRef, FileRow, refs, rfc3339, rows

endpoints = Endpoints()


class Change(msgspec.Struct, rename={"source": "from"}):
    """`change` is added, modified, deleted or renamed; `from` is where a renamed file stood. `outside`: it does not belong to
    what the project is connected to, and is not committed."""

    path: str
    change: str
    id: str
    actors: list[ActorRef]
    since: str
    source: str | msgspec.UnsetType = msgspec.UNSET
    outside: bool | msgspec.UnsetType = msgspec.UNSET


class Changes(msgspec.Struct):
    changes: list[Change]


class Discarded(msgspec.Struct):
    """`file` is null when the file did not exist in the last commit."""

    path: str
    file: FileRow | None


@endpoints.add("GET", "/projects/{project}/changes", role="viewer", answer=Changes, errors=(404,))
async def list_changes(call: Call[None, NoQuery]) -> Changes:
    """What is not yet committed: which files, by whom, since when."""
    found = await call.services.workspace.changes(call.project)
    covers = (await call.services.snapshotter.remotes.of(call.project)).covers
    names = await refs(call.services.store, (actor for each in found for actor in each.actors))
    return Changes(
        [
            Change(
                path=paths.show(each.path),
                change=each.change,
                id=each.document,
                actors=[names[actor] for actor in each.actors],
                since=rfc3339(each.since),
                source=msgspec.UNSET if each.from_path is None else paths.show(each.from_path),
                outside=not covers(each.path) or msgspec.UNSET,
            )
            for each in found
        ]
    )


@endpoints.add("DELETE", "/projects/{project}/changes/{path:file}", role="editor", answer=Discarded, errors=(404, 409))
async def discard_change(call: Call[None, NoQuery]) -> Discarded:
    """Back to the last commit, as an edit that can be undone."""
    found = await call.services.workspace.discard(call.project, call.path, call.access.actor.id)
    file = None if found is None else (await rows(call.services.store, [found]))[0]
    return Discarded(paths.show(call.path), file)
