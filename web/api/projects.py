"""Projects: list, make, look at, rename, delete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from collab.errors import Conflict, PathTaken
from collab.store.base import Project
from snapshots import importer, journal
from web import example
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.shapes import rfc3339
from web.services import Services

endpoints = Endpoints()


class ImportedFrom(msgspec.Struct):
    commit: str
    at: str


class ProjectInfo(msgspec.Struct):
    """`events` is the number of the newest event. `commit`: the newest that Quire made or imported; `imported_from`: the
    one that the newest import of a repository brought, and when. Both are null when there is none."""

    name: str
    files: int
    created_at: str
    updated_at: str
    events: int
    commit: str | None = None
    imported_from: ImportedFrom | None = None


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
        commit=journal.known(await journal.branch(services.store, project.id)),
        imported_from=await _imported(services, project),
    )


async def _imported(services: Services, project: Project) -> ImportedFrom | None:
    records = await services.store.records(importer.COLLECTION, project.id)
    jobs = (msgspec.json.decode(value, type=importer.Job) for value in records.values())
    brought = [job for job in jobs if job.state == "done" and job.commit is not None]
    newest = max(brought, key=lambda job: job.started_at, default=None)
    return None if newest is None or newest.commit is None else ImportedFrom(newest.commit, rfc3339(newest.started_at))


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except PathTaken as error:
        raise Conflict(f"there is a project {name!r} already", code="name_taken", field="name") from error


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
    with _naming(call.body.name):
        project = await call.services.workspace.create_project(call.body.name, call.access.actor.id)
    if call.body.example:
        await example.fill(call.services, project, call.access.actor)
        project = await call.services.workspace.project(project.name)
    return await info(call.services, project)


@endpoints.add("GET", "/projects/{project}", role="viewer", scoped=True, answer=ProjectInfo, errors=(404,))
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
        with _naming(call.body.name):
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
    await call.services.serving.forget(project.id)
    if call.services.follower is not None:
        await call.services.follower.forget(project.id)
    call.services.counts.pop(project.id, None)
    return ProjectGone(project.name)
