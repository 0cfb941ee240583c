"""What others pushed, brought in now."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from starlette.responses import Response

from collab import conflicts, paths
from snapshots.puller import Pulled
from web import background
from web.api.endpoint import Body, Call, Endpoints, NoQuery, json_answer

endpoints = Endpoints()

ANSWER_WITHIN: Final = 20.0
"""Seconds; a pull that takes longer goes on without anybody who waits."""


class NewPull(Body):
    """`policy`: what becomes of what both sides changed: a conflict (`manual`), or one side; the other is kept. Without it
    the project's policies say."""

    policy: Literal["manual", "ours", "theirs"] | None = None


class PullInfo(msgspec.Struct):
    """`merged`: the paths that changed here. `conflicts`: the ids of all that are open. `state`: done, nothing, conflicts,
    failed (`detail` says why) or running."""

    head: str | None
    merged: list[str]
    conflicts: list[str]
    state: str
    detail: str


@endpoints.add(
    "POST", "/projects/{project}/pull", role="editor", body=NewPull, answer=PullInfo, errors=(202, 400, 404, 409, 503)
)
async def pull(call: Call[NewPull, NoQuery]) -> Response:
    """Brings what others pushed into the live files, now.

    Waits for a round that is running. 202 when it is not done after 20 seconds; it goes on then, and the status tells."""
    services, project, policy = call.services, call.project, call.body.policy

    async def work() -> Pulled:
        return await services.snapshotter.pull(project, policy=policy)

    done = await background.start(services.tasks, work).result(ANSWER_WITHIN)
    if done is None:
        waiting = [each.id for each in await conflicts.still_open(services.store, project.id)]
        return json_answer(PullInfo(None, [], waiting, "running", "a round is still running"), 202)
    merged = sorted(paths.show(path) for path in done.merged)
    return json_answer(PullInfo(done.head, merged, list(done.conflicts), done.state, done.detail))
