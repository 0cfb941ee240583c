"""Tasks: the record of what agents do."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from collab.ids import ActorId
from collab.tasks import Read, Task
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.shapes import ActorRef, refs, rfc3339

endpoints = Endpoints()

Status = Literal["open", "working", "done", "failed", "cancelled"]


class TasksQuery(Query):
    status: Literal["open", "working", "done", "failed", "cancelled", "all"] = "all"


class NewTask(Body):
    """`input`: what is to be done. `agent`: the id of the agent that is asked."""

    input: str
    agent: str | None = None


class TaskReport(Body):
    """`read`: what was read for it, added to what is known. `take`: whoever reports is the agent that does it."""

    status: Status | None = None
    outcome: str | None = None
    read: list[Read] = msgspec.field(default_factory=list)
    take: bool = False


class TaskInfo(msgspec.Struct, kw_only=True):
    """`turns`: those that named it, the newest first."""

    id: str
    asked_by: ActorRef
    agent: ActorRef | None
    at: str
    updated: str
    input: str
    status: Status
    turns: list[str]
    read: list[Read]
    outcome: str


class TaskList(msgspec.Struct):
    tasks: list[TaskInfo]


@endpoints.add("GET", "/projects/{project}/tasks", role="viewer", query=TasksQuery, answer=TaskList, errors=(400, 404))
async def list_tasks(call: Call[None, TasksQuery]) -> TaskList:
    """What was asked of agents, the newest first."""
    found = await call.services.workspace.tasks.all(call.project.id)
    return TaskList(await _infos(call, [each for each in found if call.query.status in ("all", each.status)]))


@endpoints.add(
    "POST", "/projects/{project}/tasks", role="suggester", body=NewTask, answer=TaskInfo, status=201, errors=(400, 404)
)
async def add_task(call: Call[NewTask, NoQuery]) -> TaskInfo:
    """Asks for something to be done."""
    agent = None if call.body.agent is None else ActorId(call.body.agent)
    made = await call.services.workspace.tasks.ask(call.project.id, call.body.input, call.access.actor.id, agent=agent)
    return (await _infos(call, [made]))[0]


@endpoints.add("GET", "/projects/{project}/tasks/{id}", role="viewer", answer=TaskInfo, errors=(404,))
async def show_task(call: Call[None, NoQuery]) -> TaskInfo:
    """One of them."""
    found = await call.services.workspace.tasks.one(call.project.id, call.param("id"))
    return (await _infos(call, [found]))[0]


@endpoints.add(
    "PATCH",
    "/projects/{project}/tasks/{id}",
    role="suggester",
    body=TaskReport,
    answer=TaskInfo,
    errors=(400, 404, 409),
)
async def report_task(call: Call[TaskReport, NoQuery]) -> TaskInfo:
    """Tells how far it is: what was read, what came of it, how it ended."""
    body = call.body
    changed = await call.services.workspace.tasks.report(
        call.project.id,
        call.param("id"),
        call.access.actor.id,
        status=body.status,
        outcome=body.outcome,
        read=body.read,
        takes=body.take,
    )
    return (await _infos(call, [changed]))[0]


async def _infos(call: Call[Any, Any], found: list[Task]) -> list[TaskInfo]:
    names = await refs(
        call.services.store, (who for each in found for who in (each.asked_by, each.agent) if who is not None)
    )
    records = await call.services.workspace.turns.records(call.project) if found else []
    return [
        TaskInfo(
            id=each.id,
            asked_by=names[each.asked_by],
            agent=None if each.agent is None else names[each.agent],
            at=rfc3339(each.at),
            updated=rfc3339(each.updated),
            input=each.input,
            status=each.status,
            turns=[record.id for record in records if record.task == each.id],
            read=list(each.read),
            outcome=each.outcome,
        )
        for each in found
    ]
