"""What differs from the last commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from collab import paths
from collab.ids import Path
from snapshots.offers import Offer
from snapshots.refused import Refused
from web.api.endpoint import Call, Endpoints, NoQuery
from web.api.shapes import ActorRef, FileRow, RefusedInfo, refs, refused_info, rfc3339, rows

endpoints = Endpoints()


class Change(msgspec.Struct, rename={"source": "from"}):
    """`change` is added, modified, deleted or renamed; `from` is where a renamed file stood. `refused`: the remote does not
    take it as it is; `branch`: another branch than the project's own has it as it is, and where there is one its
    `pull_request`; `outside`: it does not belong to what the project is connected to, and is not committed."""

    path: str
    change: str
    id: str
    actors: list[ActorRef]
    since: str
    source: str | msgspec.UnsetType = msgspec.UNSET
    refused: RefusedInfo | msgspec.UnsetType = msgspec.UNSET
    branch: str | msgspec.UnsetType = msgspec.UNSET
    pull_request: str | msgspec.UnsetType = msgspec.UNSET
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
    names = await refs(call.services.store, (actor for each in found for actor in each.actors))
    held = await call.services.snapshotter.held(call.project)
    return Changes(
        [
            Change(
                path=paths.show(each.path),
                change=each.change,
                id=each.document,
                actors=[names[actor] for actor in each.actors],
                since=rfc3339(each.since),
                source=msgspec.UNSET if each.from_path is None else paths.show(each.from_path),
                **_elsewhere(held, each.path),
            )
            for each in found
        ]
    )


def _elsewhere(held: Mapping[Path, Refused | Offer | None], path: Path) -> dict[str, Any]:
    if path not in held:
        return {}
    match held[path]:
        case Refused() as refused:
            return {"refused": refused_info(refused.path, refused.reason)}
        case Offer() as offer:
            return {"branch": offer.branch, **({"pull_request": offer.url} if offer.url else {})}
        case None:
            return {"outside": True}


@endpoints.add("DELETE", "/projects/{project}/changes/{path:file}", role="editor", answer=Discarded, errors=(404, 409))
async def discard_change(call: Call[None, NoQuery]) -> Discarded:
    """Back to the last commit, as an edit that can be undone."""
    found = await call.services.workspace.discard(call.project, call.path, call.access.actor.id)
    file = None if found is None else (await rows(call.services.store, [found]))[0]
    return Discarded(paths.show(call.path), file)
