"""Where a project's git is, and connecting it elsewhere."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response

from collab import paths
from collab.errors import Invalid
from collab.ids import Path
from collab.store.base import Project
from snapshots import connection as connections
from snapshots import scope
from snapshots.connecting import Asker, Connected
from snapshots.connection import Connection
from snapshots.places import Wanted
from snapshots.secrets import CREDENTIALS
from web import background
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query, json_answer
from web.api.shapes import ActorRef, refs, rfc3339
from web.services import Services

endpoints = Endpoints()

ANSWER_WITHIN: Final = 20.0
"""Seconds; what takes longer goes on without anybody who waits."""


class NewRemote(Body):
    """`repository`: `owner/name`, or the absolute path of a repository on the server's disk; "" is the project's own. Without a
    `branch`: the repository's default one. `folder` of the repository is what the project is, and `patterns` (as in a .gitignore,
    counted from the folder) which files of it belong; without any: all. `token`: for GitHub, kept sealed and never given back;
    without one: that of the connection to the same repository, else the server's own. `take`: what counts where both sides have
    files. `pull_request`: automatic commits go to a branch of their own, with one pull request."""

    kind: Literal["github", "git"]
    repository: str
    branch: str | None = None
    folder: str = ""
    patterns: tuple[str, ...] = ()
    token: str | None = None
    installation: int | None = None
    pull_request: bool = False
    take: Literal["theirs", "ours", "merge"] | None = None


class RemoteInfo(msgspec.Struct, kw_only=True):
    """`local`: it is the project's own repository, in the data directory, as every project begins. `clone`: how to get a copy.
    `credential`: a `token` of the project's own, the `app` (its `installation`), or the `server`'s."""

    kind: str
    repository: str
    branch: str
    folder: str
    patterns: list[str]
    pull_request: bool
    local: bool
    clone: str
    credential: Literal["token", "app", "server"] | None
    installation: int | None
    connected_at: str | None
    connected_by: ActorRef | None


class ConnectedInfo(RemoteInfo, kw_only=True):
    """And what the pull that followed has done. `state`: done, nothing, conflicts (with their ids), failed (`detail` says why;
    it is tried again) or running."""

    head: str | None
    merged: list[str]
    conflicts: list[str]
    state: str
    detail: str


class PreviewInfo(msgspec.Struct, kw_only=True):
    """Paths of what belongs, as they are in the project. `equal` in content and mode. `choice`: connecting needs a `take`.
    `outside`: files here that do not belong, and are left alone and not committed. `uncommitted`: files that the remote which is
    left does not have yet. `new_branch`: the branch is made, where the present one stands."""

    new_here: list[str]
    new_there: list[str]
    equal: list[str]
    different: list[str]
    choice: bool
    outside: list[str]
    uncommitted: int
    repository: str
    branch: str
    head: str | None
    new_branch: bool


class TakeQuery(Query):
    """What counts where the project's own repository has files as well: what the project has, unless it says otherwise."""

    take: Literal["theirs", "ours", "merge"] = "ours"


@endpoints.add("GET", "/projects/{project}/remote", role="viewer", answer=RemoteInfo, errors=(404,))
async def show_remote(call: Call[None, NoQuery]) -> RemoteInfo:
    """Where the project's git is. Nobody is asked."""
    return await _info(call.services, call.project)


@endpoints.add(
    "POST",
    "/projects/{project}/remote/preview",
    role="admin",
    body=NewRemote,
    answer=PreviewInfo,
    errors=(400, 403, 404, 503),
)
async def preview_remote(call: Call[NewRemote, NoQuery]) -> PreviewInfo:
    """What connecting would bring together. Nothing is changed, here or there."""
    found = await call.services.connecting.preview(call.project, _wanted(call.body), asker_of(call))
    compared = found.compared
    return PreviewInfo(
        new_here=_shown(compared.new_here),
        new_there=_shown(compared.new_there),
        equal=_shown(compared.equal),
        different=_shown(compared.different),
        choice=found.choice,
        outside=_shown(found.outside),
        uncommitted=found.uncommitted,
        repository=str(found.place.remote.described()["repository"]),
        branch=found.place.remote.branch,
        head=found.place.head,
        new_branch=found.begins,
    )


@endpoints.add(
    "PUT",
    "/projects/{project}/remote",
    role="admin",
    body=NewRemote,
    answer=ConnectedInfo,
    errors=(202, 400, 403, 404, 409, 503),
)
async def connect_remote(call: Call[NewRemote, NoQuery]) -> Response:
    """Connects the project to a repository, a branch, or a part of one; and pulls.

    Where both sides have files and they are not the same, `take` says what counts; without it 409 `take_needed`, and nothing is
    changed. `theirs`: the files here become theirs, and those that are only here are deleted, to be brought back from history.
    `ours`: the next commit makes theirs what is here. `merge`: equal ones are adopted, different ones become conflicts.

    A repository that is not there, is archived, or cannot be written to is refused. 202 when it is not done after 20 seconds; it
    goes on then, and the status tells."""
    wanted, take, asker = _wanted(call.body), call.body.take, asker_of(call)
    services, project = call.services, call.project

    async def work() -> Connected:
        return await services.connecting.connect(project, wanted, take, asker)

    return await _answered(services, project, work)


@endpoints.add(
    "DELETE",
    "/projects/{project}/remote",
    role="admin",
    query=TakeQuery,
    answer=ConnectedInfo,
    errors=(202, 400, 404, 409, 503),
)
async def disconnect_remote(call: Call[None, TakeQuery]) -> Response:
    """Back to the project's own repository, in the data directory.

    What it is connected to is neither asked nor changed, and its token is forgotten. The files stay as they are, and the next
    commit makes the repository what they are; with `take` it can be the other way round."""
    services, project, take, asker = call.services, call.project, call.query.take, asker_of(call)

    async def work() -> Connected:
        return await services.connecting.disconnect(project, asker, take)

    return await _answered(services, project, work)


async def _answered(services: Services, project: Project, work: Callable[[], Awaitable[Connected]]) -> Response:
    done = await background.start(services.tasks, work).result(ANSWER_WITHIN)
    known = msgspec.structs.asdict(await _info(services, project))
    if done is None:
        running = ConnectedInfo(
            **known, head=None, merged=[], conflicts=[], state="running", detail="it is still being connected"
        )
        return json_answer(running, 202)
    pulled = done.pulled
    made = ConnectedInfo(
        **known,
        head=pulled.head,
        merged=_shown(sorted(pulled.merged)),
        conflicts=list(pulled.conflicts),
        state=pulled.state,
        detail=pulled.detail,
    )
    return json_answer(made)


async def _info(services: Services, project: Project) -> RemoteInfo:
    known = await connections.connection(services.store, project.id)
    described = (await services.snapshotter.remotes.of(project)).described()
    by = None if known is None else (await refs(services.store, [known.by]))[known.by]
    return RemoteInfo(
        kind=str(described["kind"]),
        repository=str(described["repository"]),
        branch=str(described["branch"]),
        folder="" if known is None else known.folder,
        patterns=[] if known is None else list(known.patterns),
        pull_request=known is not None and known.pull_request,
        local=known is None or (known.kind == "git" and not known.repository),
        clone=str(described["clone"]),
        credential=await _credential(services, project, known),
        installation=None if known is None else known.installation,
        connected_at=None if known is None else rfc3339(known.at),
        connected_by=by,
    )


async def _credential(
    services: Services, project: Project, known: Connection | None
) -> Literal["token", "app", "server"] | None:
    if known is None or known.kind != "github":
        return None
    if known.installation is not None:
        return "app"
    kept = await services.store.record(CREDENTIALS, project.id, connections.TOKEN)
    return "token" if kept is not None else "server"


def _wanted(body: NewRemote) -> Wanted:
    return Wanted(
        kind=body.kind,
        repository=body.repository,
        branch=body.branch,
        scope=scope.parse(body.folder, body.patterns),
        pull_request=body.pull_request,
        token=checked_token(body.token),
        installation=body.installation,
    )


def checked_token(token: str | None) -> str | None:
    if token is not None and not re.fullmatch(r"[!-~]{1,1000}", token):
        raise Invalid("a token is printable ASCII without spaces, of at most 1,000 characters", field="token")
    return token


def asker_of(call: Call[Any, Any]) -> Asker:
    return Asker(call.access.actor.id, root=call.access.role_in(call.project.name) == "root")


def _shown(found: Iterable[Path]) -> list[str]:
    return [paths.show(path) for path in found]
