"""Snapshots, which are commits, and where a project stands with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

from collab import bases, paths
from collab.errors import NotFound, QuireError
from collab.ids import Path
from snapshots.polling import Watch
from snapshots.snapshot import Snapshot
from snapshots.snapshotter import Status
from web import background
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query, json_answer
from web.api.shapes import RefusedInfo, maybe_rfc3339, refused_info, rfc3339

endpoints = Endpoints()

ANSWER_WITHIN: Final = 20.0
"""Seconds; a round that takes longer goes on without anybody who waits."""


class NewSnapshot(Body):
    """`paths`: only these files, or what lies below these directories; absent: everything. `branch`: another branch than
    the project's own, which is begun where it is not there; the project's own by name: past any pull request, and begun
    again where it is gone. `pull_request`: by one of these, onto the project's own branch; its files are held back from
    other commits until it is merged."""

    message: str | None = None
    paths: list[str] | None = None
    branch: str | None = None
    pull_request: bool | None = None


class ListQuery(Query):
    """The newest `limit`."""

    limit: int = 100


class SnapshotFile(msgspec.Struct, omit_defaults=True, rename={"source": "from"}):
    path: str
    change: str
    source: str | None = None


class SnapshotAuthor(msgspec.Struct):
    name: str
    email: str | None


class PullRequestInfo(msgspec.Struct):
    number: int
    url: str


class SnapshotInfo(msgspec.Struct):
    """`number` is null for a round that has not begun, or had nothing to do: then `commit` is the branch's head. `objects`: the
    manifest of the first snapshot in the object store that holds it, while that is there. `detail`: why it failed. `branch`:
    where it went, if not to the project's own. `refused`: files that were not taken; without them it was made."""

    number: int | None
    at: str | None
    commit: str | None
    message: str
    files: list[SnapshotFile]
    authors: list[SnapshotAuthor]
    state: str
    detail: str
    objects: str | None = None
    branch: str | None = None
    pull_request: PullRequestInfo | None = None
    refused: list[RefusedInfo] = []


class SnapshotList(msgspec.Struct):
    snapshots: list[SnapshotInfo]


class ObjectsInfo(msgspec.Struct):
    """`where` the snapshots go besides git, and the number of the newest: null when none was looked for yet. `state`: idle,
    running or failed; `detail`: why, in words; `next_at`: when it goes on."""

    where: str
    snapshot: int | None
    state: str
    detail: str
    next_at: str | None


class WatchInfo(msgspec.Struct):
    """When the branch was looked at for what others pushed, and when it will be (null: only before a commit). `by_webhook`:
    a webhook tells of pushes, and looking is rare."""

    last_look: str | None
    next_look: str | None
    last_webhook: str | None
    by_webhook: bool


class BudgetInfo(msgspec.Struct):
    """What may still be asked of the host, with the credential that this and perhaps other projects have: requests, and how
    many of them may make content, until `resets_at`. `paused_until`: nothing is asked before. `seconds_between_commits`: how
    far automatic commits are apart, over all of them, so that it lasts."""

    requests: int
    content: int
    resets_at: str
    paused_until: str | None
    seconds_between_commits: float


class WaitingInfo(msgspec.Struct):
    """Files that another branch holds, and the project's own does not. `number` and `url` are null while there is no pull
    request; `closed`: somebody closed it without merging it."""

    branch: str
    files: int
    number: int | None
    url: str | None
    closed: bool


class StatusInfo(msgspec.Struct):
    """`uncommitted` is the number of files that no branch holds as they are, `conflicts` that of open conflicts, `outside` that
    of files that do not belong to what the project is connected to, and are not committed. `state`:
    idle, running, pulling, committing, failed or conflicts; `detail` says what is wrong, what waits for whom, and what to
    do. `budget`: null where the remote has none. `objects`: null where snapshots are git's alone. `git`: the address that
    git clients clone, fetch and push to; null where pushes go elsewhere."""

    remote: dict[str, Any] | None
    git: str | None
    head: str | None
    uncommitted: int
    conflicts: int
    outside: int
    state: str
    detail: str
    next_commit_at: str | None
    budget: BudgetInfo | None
    objects: ObjectsInfo | None = None
    watch: WatchInfo | None = None
    pull_requests: list[WaitingInfo] = []
    refused: list[RefusedInfo] = []


def _shape(each: Snapshot, objects: str | None = None) -> SnapshotInfo:
    return SnapshotInfo(
        number=each.number if each.nonce else None,
        at=rfc3339(each.at),
        commit=each.commit,
        message=each.message,
        files=[SnapshotFile(file.path, file.change, file.origin) for file in each.files],
        authors=[SnapshotAuthor(credit.name, credit.email) for credit in each.authors],
        state=each.state,
        detail=each.detail,
        branch=each.branch,
        pull_request=PullRequestInfo(each.pull_request, each.url) if each.pull_request is not None else None,
        refused=[refused_info(path, reason) for path, reason in each.refused],
        objects=objects,
    )


_NOT_BEGUN: Final = SnapshotInfo(None, None, None, "", [], [], "running", "a round before this one is still running")


@endpoints.add(
    "GET", "/projects/{project}/snapshots", role="viewer", query=ListQuery, answer=SnapshotList, errors=(400, 404)
)
async def list_snapshots(call: Call[None, ListQuery]) -> SnapshotList:
    """The snapshots that were made, the newest first."""
    found = await call.services.snapshotter.snapshots(call.project)
    newest = sorted(found, key=lambda each: each.number, reverse=True)
    follower = call.services.follower
    holding = {} if follower is None else await follower.holding(call.project.id)
    return SnapshotList([_shape(each, holding.get(each.number)) for each in newest[: max(call.query.limit, 0)]])


@endpoints.add(
    "POST",
    "/projects/{project}/snapshots",
    role="editor",
    body=NewSnapshot,
    answer=SnapshotInfo,
    status=201,
    errors=(202, 400, 404, 503),
)
async def create_snapshot(call: Call[NewSnapshot, NoQuery]) -> Response:
    """Commits now: what is not yet committed, or some of it.

    Waits for a round that is running. 202 when it is not done after 20 seconds; it goes on then, and the status tells.
    200 with the state `nothing`, no number and the head as `commit` when there was nothing to commit."""
    services, project, body = call.services, call.project, call.body
    wanted = None if body.paths is None else [paths.parse(each) for each in body.paths]
    if wanted is not None:
        await _check_there(call, wanted)
    actor = call.access.actor.id

    async def work() -> Snapshot:
        return await services.snapshotter.snapshot(
            project,
            message=body.message,
            paths=wanted,
            branch=body.branch,
            pull_request=bool(body.pull_request),
            actor=actor,
        )

    made = await background.start(services.tasks, work).result(ANSWER_WITHIN)
    if made is None:
        latest = await services.snapshotter.snapshots(project)
        running = [each for each in latest if each.state == "running"]
        return json_answer(_shape(running[-1]) if running else _NOT_BEGUN, 202)
    services.metrics.snapshot(made.state)
    return json_answer(_shape(made), 201 if made.state == "done" else 200)


async def _check_there(call: Call[NewSnapshot, NoQuery], wanted: Sequence[Path]) -> None:
    """Each path is a file or a directory, or was one when the project was committed last."""
    store, project = call.services.store, call.project.id
    known = await bases.bases(store, project)
    for path in wanted:
        there = await store.at_path(project, path) or await store.tree(project, prefix=f"{path}/", limit=1)
        if not there and path not in known and not any(each.startswith(f"{path}/") for each in known):
            raise NotFound(f"there is no file or directory {paths.show(path)!r}", field="paths")


@endpoints.add("GET", "/projects/{project}/status", role="viewer", answer=StatusInfo, errors=(404,))
async def get_status(call: Call[None, NoQuery]) -> StatusInfo:
    """Where the project stands: its branch, what is not yet committed, when it will be."""
    status = await call.services.snapshotter.status(call.project)
    return StatusInfo(
        remote=dict(status.remote) if status.remote else None,
        git=await _git(call),
        head=status.head,
        uncommitted=status.uncommitted,
        conflicts=status.conflicts,
        outside=status.outside,
        state=status.state,
        detail=status.detail,
        next_commit_at=maybe_rfc3339(status.next_commit_at),
        budget=_budget(status),
        objects=_objects(call),
        watch=_watch(status.watch),
        pull_requests=[
            WaitingInfo(each.branch, each.files, each.number, each.url or None, each.closed)
            for each in status.pull_requests
        ],
        refused=[refused_info(each.path, each.reason) for each in status.refused],
    )


async def _git(call: Call[None, NoQuery]) -> str | None:
    try:
        if await call.services.serving.own(call.project) is None:
            return None
    except (QuireError, OSError):  # what it is connected to cannot even be named; the status says why
        return None
    return f"{call.services.identity.base_url(call.request)}/git/{call.project.name}.git"


def _budget(status: Status) -> BudgetInfo | None:
    if (left := status.left) is None:
        return None
    return BudgetInfo(
        requests=left.requests,
        content=left.content,
        resets_at=rfc3339(left.resets_at),
        paused_until=maybe_rfc3339(left.paused_until),
        seconds_between_commits=status.spacing / 1000,
    )


def _watch(watch: Watch) -> WatchInfo:
    last, following, heard = (maybe_rfc3339(each) for each in (watch.last_look, watch.next_look, watch.last_webhook))
    return WatchInfo(last, following, heard, watch.by_webhook)


def _objects(call: Call[None, NoQuery]) -> ObjectsInfo | None:
    if call.services.follower is None:
        return None
    status = call.services.follower.status(call.project.id)
    return ObjectsInfo(status.where, status.snapshot, status.state, status.detail, maybe_rfc3339(status.next_at))
