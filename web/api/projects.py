"""Projects: list, make, look at, rename, delete."""

from __future__ import annotations

import msgspec

from collab.store.base import Project
from web import example
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import rfc3339
from web.services import Services

endpoints = Endpoints()


class ProjectInfo(msgspec.Struct):
    """`events` is the number of the newest event."""

    name: str
    files: int
    created_at: str
    updated_at: str
    events: int


class ProjectList(msgspec.Struct):
    projects: list[ProjectInfo]


class NewProject(Body):
    """`example`: with a few files to try things on."""

    name: str
    example: bool = False


class ProjectChange(Body):
    name: str | None = None


class ProjectGone(msgspec.Struct):
    deleted: str


async def info(services: Services, project: Project) -> ProjectInfo:
    """Counted again only when the project has news."""
    known = services.counts.get(project.id)
    if known is None or known[0] != project.events:
        rows = await services.store.tree(project.id)
        updated = max((row.updated_at for row in rows), default=project.created_at)
        known = services.counts[project.id] = (project.events, len(rows), updated)
    return ProjectInfo(
        name=project.name,
        files=known[1],
        created_at=rfc3339(project.created_at),
        updated_at=rfc3339(known[2]),
        events=project.events,
    )


@endpoints.add("GET", "/projects", role="viewer", answer=ProjectList)
async def list_projects(call: Call[None, NoQuery]) -> ProjectList:
    """The projects that one may see."""
    found = await call.services.workspace.projects()
    return ProjectList(
        [await info(call.services, project) for project in found if call.access.role_in(project.name) is not None]
    )


@endpoints.add("POST", "/projects", role="root", body=NewProject, answer=ProjectInfo, status=201, errors=(400, 409))
async def create_project(call: Call[NewProject, NoQuery]) -> ProjectInfo:
    """Makes a project."""
    project = await call.services.workspace.create_project(call.body.name, call.access.actor.id)
    if call.body.example:
        await example.fill(call.services, project, call.access.actor)
        project = await call.services.workspace.project(project.name)
    return await info(call.services, project)


@endpoints.add("GET", "/projects/{project}", role="viewer", answer=ProjectInfo, errors=(404,))
async def get_project(call: Call[None, NoQuery]) -> ProjectInfo:
    """One project."""
    return await info(call.services, call.project)


@endpoints.add(
    "PATCH", "/projects/{project}", role="admin", body=ProjectChange, answer=ProjectInfo, errors=(400, 404, 409)
)
async def change_project(call: Call[ProjectChange, NoQuery]) -> ProjectInfo:
    """Renames a project."""
    project = call.project
    if call.body.name is not None and call.body.name != project.name:
        await call.services.workspace.rename_project(project.name, call.body.name, call.access.actor.id)
        call.services.identity.forget(await call.services.identity.project_grants(project.id))
        project = await call.services.workspace.project(call.body.name)
    return await info(call.services, project)


@endpoints.add("DELETE", "/projects/{project}", role="admin", answer=ProjectGone, errors=(404,))
async def delete_project(call: Call[None, NoQuery]) -> ProjectGone:
    """Deletes a project with its files, their history, its tokens and invitations. There is no way back."""
    identity, project = call.services.identity, call.project
    gone = await identity.project_grants(project.id)
    await call.services.workspace.delete_project(project.name)
    identity.ended(gone)
    await call.services.snapshotter.forget(project.id)
    call.services.counts.pop(project.id, None)
    return ProjectGone(project.name)
