"""The schedule of commits and pulls, for a process that keeps the time instead of the server (`quire snapshotter`)."""

from __future__ import annotations

from typing import Final

import msgspec

from collab.errors import Invalid
from collab.ids import ProjectId
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import maybe_rfc3339

endpoints = Endpoints()

LONGEST: Final = 55.0
"""Seconds: proxies give up after a minute."""


class Tick(Body):
    """`wait`: seconds until the answer, at the latest, when nothing is due before."""

    wait: float = 0.0


class RoundInfo(msgspec.Struct):
    """What came of a round: `state` and `detail` are those of the project's status."""

    project: str
    state: str
    detail: str
    head: str | None


class Ticked(msgspec.Struct):
    """`rounds`: what was due and is done now; `next_at`: when something else will be, null when nothing is typed. `by_server`:
    the server keeps the time itself, and leaves nothing to do."""

    rounds: list[RoundInfo]
    next_at: str | None
    by_server: bool


@endpoints.add("POST", "/schedule", role="root", body=Tick, answer=Ticked, errors=(400, 503))
async def tick(call: Call[Tick, NoQuery]) -> Ticked:
    """Has every round that is due: commits, and pulls of what was pushed.

    Waits for the first one to be due, `wait` seconds at most; then for all of them to be done."""
    if not 0 <= call.body.wait <= LONGEST:
        raise Invalid(f"wait is {call.body.wait:g}: give seconds from 0 to {LONGEST:.0f}", field="wait")
    snapshotter = call.services.snapshotter
    begun = await snapshotter.tick(call.body.wait)
    found = [await _told(call, project) for project in begun]
    return Ticked(
        [each for each in found if each is not None], maybe_rfc3339(snapshotter.next_at), snapshotter.by_schedule
    )


async def _told(call: Call[Tick, NoQuery], project_id: ProjectId) -> RoundInfo | None:
    project = await call.services.store.project_by_id(project_id)
    if project is None:
        return None
    status = await call.services.snapshotter.status(project)
    return RoundInfo(project.name, status.state, status.detail, status.head)
