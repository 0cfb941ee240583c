"""Bringing files in: from git, from an upload, from this machine."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
from typing import Final, Literal

import anyio.to_thread
import msgspec

from collab.errors import Forbidden, Invalid, NotFound
from snapshots import scope, sources
from snapshots.elsewhere import Elsewhere
from snapshots.importer import Existing, Job
from snapshots.places import Wanted
from snapshots.sources import Source
from web import uploads
from web.api.endpoint import JSON_LIMIT, Body, Call, Endpoints, NoQuery, Query, decode_json, peeked, read_body
from web.api.remote import asker_of, checked_token
from web.api.shapes import maybe_rfc3339, rfc3339
from web.outgoing import check_public
from web.roles import allows, require
from web.uploads import Received

endpoints = Endpoints()

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
ARCHIVES: Final = (
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/vnd.sqlite3",
    "application/x-sqlite3",
    "application/octet-stream",
)

OF_GITHUB: Final = ("branch", "folder", "patterns", "token", "installation", "connect")

Choice = Literal["fail", "refuse", "replace", "keep"]


class ImportQuery(Query):
    """As in the body, for an upload."""

    existing: Choice = "fail"
    strip: bool = False


class ImportSource(Body):
    """One of the three: `git`, a repository's address (for root also a path on the server's machine), with its history;
    `github`, a repository on GitHub as `owner/name`, through its API: its files alone; or `path`, whatever lies there (for
    root). `existing`: what becomes of files that are there already with other content. `strip`: leave out the one folder in
    which everything in an archive lies.

    With `github`: `branch`, `folder`, `patterns`, `token` and `installation` as for the project's remote; `connect`: the project
    is connected to it when the files are there."""

    git: str | None = None
    github: str | None = None
    path: str | None = None
    branch: str | None = None
    folder: str = ""
    patterns: tuple[str, ...] = ()
    token: str | None = None
    installation: int | None = None
    connect: bool = False
    existing: Choice = "fail"
    strip: bool = False


class JobInfo(msgspec.Struct):
    """`done` of `total` files. `skipped`: paths with the reason."""

    id: str
    state: str
    phase: str
    done: int
    total: int
    bytes: int
    message: str
    skipped: list[str]
    commit: str | None
    started_at: str
    ended_at: str | None


class ImportJob(msgspec.Struct):
    job: JobInfo


_DECODER: Final = msgspec.json.Decoder(ImportSource)


def _shape(job: Job) -> ImportJob:
    return ImportJob(
        JobInfo(
            id=job.id,
            state=job.state,
            phase=job.phase,
            done=job.done,
            total=job.total,
            bytes=job.bytes,
            message=job.message,
            skipped=list(job.skipped),
            commit=job.commit,
            started_at=rfc3339(job.started_at),
            ended_at=maybe_rfc3339(job.ended_at),
        )
    )


@endpoints.add(
    "POST",
    "/projects/{project}/import",
    role="editor",
    query=ImportQuery,
    takes=(MULTIPART, *ARCHIVES),
    takes_json=ImportSource,
    answer=ImportJob,
    status=202,
    errors=(400, 404, 409, 413),
)
async def start_import(call: Call[None, ImportQuery]) -> ImportJob:
    """Begins an import and answers with its job.

    The body is JSON with an address, or multipart with files in the field `files` (a part's filename is its path), or a
    `.zip`, `.tar.gz` or `.sqlite` as it is. All of it becomes visible at once, or nothing."""
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in (MULTIPART, *ARCHIVES):
        return await _from_upload(call)
    if kind != JSON:
        # `curl --data-binary` says that everything is a form.
        call.request, start = await peeked(call.request)
        if sources.magic(start) is not None:
            return await _from_upload(call)
        if kind not in ("", FORM) or start.lstrip()[:1] not in (b"", b"{"):
            raise Invalid(
                f"Content-Type is {kind or 'missing'}: give application/zip, application/gzip, application/vnd.sqlite3, "
                f"{MULTIPART} or {JSON}",
                field="Content-Type",
            )
    wanted = decode_json(_DECODER, await read_body(call.request, JSON_LIMIT))
    assert isinstance(wanted, ImportSource)
    if wanted.github is not None:
        return _shape(await _from_github(call, wanted, wanted.github))
    for name in OF_GITHUB:
        if getattr(wanted, name):
            raise Invalid(f"{name} goes with github, a repository on GitHub", field=name)
    source = await _source(call, wanted)
    call.services.metrics.imported(type(source).__name__)
    return _shape(await _start(call, source, wanted.existing))


@endpoints.add("GET", "/projects/{project}/import/{id}", role="viewer", answer=ImportJob, errors=(404,))
async def get_import(call: Call[None, NoQuery]) -> ImportJob:
    """How far an import is, and what came of it."""
    job = await call.services.importer.job(call.param("id"))
    if job.project != call.project.id:
        raise NotFound(f"there is no import {call.param('id')!r} in this project", field="id")
    return _shape(job)


async def _start(call: Call[None, ImportQuery], source: Source, existing: Choice) -> Job:
    choice: Existing = "refuse" if existing == "fail" else existing
    return await call.services.importer.start(call.project, source, call.access.actor.id, existing=choice)


async def _from_github(call: Call[None, ImportQuery], given: ImportSource, repository: str) -> Job:
    if given.git is not None or given.path is not None:
        raise Invalid("say where from, once: git, github or path", field="github")
    if given.token is None or given.connect:
        require(call.access, call.project.name, "admin")
    services, project, asker = call.services, call.project, asker_of(call)
    wanted = Wanted(
        kind="github",
        repository=repository,
        branch=given.branch,
        scope=scope.parse(given.folder, given.patterns),
        token=checked_token(given.token),
        installation=given.installation,
    )
    place = await services.connecting.reach(project, wanted, asker)

    async def connect() -> str:
        # What is here and not there stays, and goes out with the next commit.
        await services.connecting.connect(project, wanted, "merge", asker)
        return f"The project is connected to {place.remote.described()['repository']}, branch {place.remote.branch}."

    choice: Existing = "refuse" if given.existing == "fail" else given.existing
    services.metrics.imported("GitHub")
    return await services.importer.start(
        project,
        Elsewhere(place.remote),
        call.access.actor.id,
        existing=choice,
        connect=connect if given.connect else None,
    )


async def _source(call: Call[None, ImportQuery], wanted: ImportSource) -> Source:
    root = allows(call.access.role_in(call.project.name), "root")
    if (wanted.git is None) == (wanted.path is None):
        raise Invalid("say where from: git (an address), path (on the server's machine), or send files", field="git")
    if wanted.path is not None:
        if not root:
            raise Forbidden("a path on the server's machine may be imported by root alone", field="path")
        return await _locate(wanted.path, "path", wanted.strip)
    assert wanted.git is not None
    if not root:
        source = sources.git_url(wanted.git)
        await check_public(source.url, field="git")
        return source
    found = await _locate(wanted.git, "git", wanted.strip)
    if not isinstance(found, sources.GitUrl | sources.GitFolder):
        raise Invalid(f"{wanted.git} is no git repository: give it as path", field="git")
    return found


async def _locate(text: str, field: str, strip: bool) -> Source:
    if field == "path" and not pathlib.PurePath(text).is_absolute():
        raise Invalid(f"{text!r} is not an absolute path", field=field)
    return await anyio.to_thread.run_sync(functools.partial(sources.locate, text, strip=strip))


async def _from_upload(call: Call[None, ImportQuery]) -> ImportJob:
    settings = call.services.settings
    received = await uploads.receive(call.request, settings.data / "tmp", settings.max_upload)
    try:
        existing = _choice(received.fields.get("existing", call.query.existing))
        source = await anyio.to_thread.run_sync(_uploaded, received, call.query.strip)
        job = await _start(call, source, existing)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, received.folder)
        raise
    call.services.metrics.imported("Upload")
    call.services.tasks.start_soon(_remove_after, call, job, received.folder)
    return _shape(job)


def _choice(given: str) -> Choice:
    if given not in ("fail", "refuse", "replace", "keep"):
        raise Invalid(f"existing is {given!r}: give fail, replace or keep", field="existing")
    return given  # type: ignore[return-value]


def _uploaded(received: Received, strip: bool) -> Source:
    """One archive, or files that lie in a folder as they are to lie in the project."""
    if not received.files:
        raise Invalid(f"the upload holds no file: send them in the field {uploads.FIELD!r}", field=uploads.FIELD)
    only = received.folder / received.files[0] if len(received.files) == 1 else None
    if only is not None and (only.name == uploads.WHOLE or only.name.endswith((".zip", ".tar.gz", ".tgz", ".sqlite"))):
        path = os.fspath(only)
        return sources.Portable(path) if sources.sniff(only) == "sqlite" else sources.Archive(path, strip)
    return sources.Folder(os.fspath(received.folder))


async def _remove_after(call: Call[None, ImportQuery], job: Job, folder: pathlib.Path) -> None:
    """What a stop leaves behind, the next start removes with the rest of DATA/tmp."""
    await call.services.importer.wait(job.id)
    await anyio.to_thread.run_sync(functools.partial(shutil.rmtree, folder, ignore_errors=True))
