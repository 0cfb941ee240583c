"""GitHub beside projects: the App of this Quire, where it is installed, and the repositories to choose from.

Root makes the App and says which projects may use which of its installations; a project's admins see those, and no others.
The two addresses to which GitHub sends a browser back answer with pages of ours, never with an error's JSON.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import RedirectResponse, Response

from collab.errors import Conflict, Forbidden, Invalid, NotFound, QuireError
from collab.ids import ProjectId
from collab.store.base import Change, Project
from snapshots import registration
from web.api.endpoint import Body, Call, Endpoints, NoQuery, Query
from web.api.shapes import rfc3339
from web.roles import require, require_all

if TYPE_CHECKING:
    from snapshots.remotes.github_app import Installation
    from snapshots.remotes.github_picker import Page

endpoints = Endpoints()

STATE: Final = "quire.github.app"
STATE_SECONDS: Final = 3600
"""As long as GitHub's own code is good."""

TOKEN: Final = "x-github-token"
LIMIT: Final = 100

_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


class GitHubApp(msgspec.Struct):
    """`install` is where somebody lets it reach repositories; `webhook`: GitHub tells it of pushes."""

    name: str
    owner: str
    url: str
    install: str
    webhook: bool
    made_at: str


class GitHubInfo(msgspec.Struct):
    """`app`: null while there is none. `server_token`: the server has a token of its own, for root. `api`: where GitHub is."""

    app: GitHubApp | None
    server_token: bool
    api: str


class NewApp(Body):
    """`name`: one that nobody else on GitHub has; a likely one if it is not given. `organization`: whose it shall be, instead of
    whoever makes it. `project`: to whose settings the browser comes back."""

    name: str | None = None
    organization: str | None = None
    project: str | None = None


class AppManifest(msgspec.Struct):
    """`manifest`, as JSON in a form's field of that name, is posted to `action` by a browser."""

    action: str
    manifest: dict[str, Any]


class CreatedQuery(Query):
    """As GitHub sends the browser back."""

    code: str = ""
    state: str = ""


class InstalledQuery(Query):
    """As GitHub sends the browser back. What it says of the installation could be anybody's, and is not looked at."""

    state: str = ""
    installation_id: str = ""
    setup_action: str = ""
    code: str = ""


class ProjectQuery(Query):
    """`project`: for whose admins; root need not name one."""

    project: str | None = None


class InstallationInfo(msgspec.Struct):
    """`account`: whose repositories. `whole`: all of them, or only chosen ones. `may_commit`: and not only read. `projects`:
    whose admins may use it; null where somebody else than root asks."""

    id: int
    account: str
    whole: bool
    suspended: bool
    may_commit: bool
    url: str
    projects: list[str] | None


class InstallationList(msgspec.Struct):
    installations: list[InstallationInfo]


class Allowed(Body):
    """The projects whose admins may use it, by name."""

    projects: list[str]


class RepositoryQuery(Query):
    """`installation`: of the App; without one, and without X-GitHub-Token, root gets what the server's own token reaches.
    `search`: words of the name."""

    project: str | None = None
    installation: int | None = None
    search: str = ""
    cursor: str | None = None
    limit: int = 30


class RepositoryInfo(msgspec.Struct):
    """`may_commit` is false where it can be read alone, or is archived."""

    id: int
    name: str
    private: bool
    archived: bool
    default_branch: str
    may_commit: bool
    pushed_at: str | None


class RepositoryList(msgspec.Struct):
    """`cursor`: there may be more; a page may be empty and have one."""

    repositories: list[RepositoryInfo]
    cursor: str | None


# -- the App


@endpoints.add("GET", "/github/app", role="viewer", answer=GitHubInfo)
async def get_github_app(call: Call[None, NoQuery]) -> GitHubInfo:
    """The GitHub App of this Quire, and what else reaches GitHub."""
    accounts, settings = call.services.accounts, call.services.settings
    known = await accounts.registration()
    app = None
    if known is not None:
        app = GitHubApp(
            known.name, known.owner, known.url, accounts.install_address(known), known.webhook, rfc3339(known.at)
        )
    return GitHubInfo(app, settings.github_token is not None and call.access.everywhere(), settings.github_api)


@endpoints.add(
    "POST", "/github/app/manifest", role="root", body=NewApp, answer=AppManifest, status=200, errors=(400, 404, 409)
)
async def make_github_app(call: Call[NewApp, NoQuery]) -> AppManifest:
    """What GitHub is to be asked for, so that it makes an App for this Quire.

    A browser posts it to GitHub, which asks whoever sits there, and sends the browser back here with a code that is
    good once. Only the session that asked for this can come back with it."""
    services, body = call.services, call.body
    known = await services.accounts.registration()
    if known is not None:
        raise Conflict(f"there is an App already, {known.name}: remove it first", code="app_exists")
    if body.project is not None:
        await services.workspace.project(body.project)
    told = {"session": call.access.session, "project": body.project, "nonce": secrets.token_urlsafe(12)}
    state = services.identity.sign(STATE, told)
    base = services.identity.base_url(call.request)
    action, manifest = services.accounts.manifest(body.name, base, body.organization, state)
    return AppManifest(action, manifest)


@endpoints.add("GET", "/github/app/created", role=None, query=CreatedQuery, gives=("text/html",), status=303, root=True)
async def created_github_app(call: Call[None, CreatedQuery]) -> Response:
    """Where GitHub sends the browser after it has made the App."""
    services = call.services
    told: dict[str, Any] = {}
    try:
        told = services.identity.unsign(STATE, call.query.state, STATE_SECONDS)
        access = await services.identity.authenticate(call.request)
        require(access, None, "root")
        if told["session"] not in (None, access.session):
            raise Forbidden("this was begun in another browser", code="state_invalid")
        made = await services.accounts.register(call.query.code, access.actor.id)
    except QuireError as error:
        return _back(call, told.get("project"), error.name)
    address = services.accounts.install_address(made)
    project = told["project"]
    return RedirectResponse(f"{address}?state={project}" if project else address, 303)


@endpoints.add(
    "GET", "/github/app/installed", role=None, query=InstalledQuery, gives=("text/html",), status=303, root=True
)
async def installed_github_app(call: Call[None, InstalledQuery]) -> Response:
    """Where GitHub sends the browser after somebody has installed the App, or changed what it may reach."""
    return _back(call, call.query.state or None, "installed")


def _back(call: Call[Any, Any], project: str | None, said: str) -> Response:
    prefix = call.services.settings.prefix
    if project is None or not _PROJECT.fullmatch(project):
        return RedirectResponse(f"{prefix}/?github={said}", 303)
    return RedirectResponse(f"{prefix}/p/{project}/-/settings?github={said}", 303)


@endpoints.add("DELETE", "/github/app", role="root", status=204, errors=(404,))
async def forget_github_app(call: Call[None, NoQuery]) -> Response:
    """The App is used no more: its keys are forgotten here.

    Its owner deletes it on GitHub. Projects that are connected through it say so in their status, and go on when there is an App
    again that reaches their repository."""
    await call.services.accounts.forget()
    return Response(status_code=204)


# -- installations and repositories


@endpoints.add(
    "GET",
    "/github/installations",
    role="admin",
    query=ProjectQuery,
    answer=InstallationList,
    errors=(403, 404, 503),
)
async def list_installations(call: Call[None, ProjectQuery]) -> InstallationList:
    """Where the App is installed: all of it for root, for a project's admins what root has allowed to the project."""
    services, project = call.services, await _project(call, call.query.project)
    found = await services.accounts.installations()
    if not call.access.everywhere():
        assert project is not None
        mine = await registration.allowed(services.store, project.id)
        return InstallationList([_shape(each, None) for each in found if each.id in mine])
    names = {each.id: each.name for each in await services.store.projects()}
    using = await registration.allowed_everywhere(services.store)
    return InstallationList(
        [_shape(each, sorted(names[id_] for id_, held in using.items() if each.id in held)) for each in found]
    )


@endpoints.add(
    "PUT", "/github/installations/{id}", role="root", body=Allowed, answer=InstallationInfo, errors=(400, 404, 503)
)
async def allow_installation(call: Call[Allowed, NoQuery]) -> InstallationInfo:
    """Says whose admins may connect their project to the repositories of this installation, to any of them."""
    services = call.services
    number = call.param("id")
    there = [each for each in await services.accounts.installations() if str(each.id) == number]
    if not there:
        raise NotFound(f"the App has no installation {number}", field="id")
    wanted = {(await services.workspace.project(name)).id for name in call.body.projects}
    before = await registration.allowed_everywhere(services.store)
    changes = [_allow(project, before, there[0].id, project in wanted) for project in {*before, *wanted}]
    await services.store.commit(changes=changes)
    return _shape(there[0], sorted(call.body.projects))


@endpoints.add(
    "GET",
    "/github/repositories",
    role="admin",
    query=RepositoryQuery,
    answer=RepositoryList,
    errors=(400, 403, 404, 503),
    headers=(("X-GitHub-Token", "a token of GitHub's: what it reaches; it is not kept"),),
)
async def list_repositories(call: Call[None, RepositoryQuery]) -> RepositoryList:
    """The repositories to choose from: of an installation of the App, or of a token."""
    services, query = call.services, call.query
    limit = min(max(query.limit, 1), LIMIT)
    project = await _project(call, query.project, needed=TOKEN not in call.request.headers)
    if (token := call.request.headers.get(TOKEN)) is not None:
        if not re.fullmatch(r"[!-~]{1,500}", token):
            raise Invalid("this is no token of GitHub's", field="X-GitHub-Token")
        return _listed(await services.accounts.of_token(token, query.search, query.cursor, limit))
    if query.installation is None:
        if not call.access.everywhere() or services.settings.github_token is None:
            raise Invalid("say of which installation of the App, or send a token", field="installation")
        return _listed(await services.accounts.of_server(query.search, query.cursor, limit))
    if project is not None and not call.access.everywhere():
        mine = await registration.allowed(services.store, project.id)
        if query.installation not in mine:
            raise NotFound(f"{project.name} may not use an installation {query.installation}", field="installation")
    return _listed(await services.accounts.of_installation(query.installation, query.search, query.cursor, limit))


async def _project(call: Call[Any, Any], name: str | None, *, needed: bool = True) -> Project | None:
    """The project for which somebody asks, who must be its admin."""
    if name is None:
        if needed and not call.access.everywhere():
            raise Invalid("say for which project", field="project")
        return None
    require(call.access, name, "admin")
    require_all(call.access, name)
    return await call.services.workspace.project(name)


def _allow(project: ProjectId, before: Mapping[ProjectId, frozenset[int]], number: int, wanted: bool) -> Change:
    others = before.get(project, frozenset()) - {number}
    return registration.allow(project, others | {number} if wanted else others)


def _shape(each: Installation, projects: list[str] | None) -> InstallationInfo:
    return InstallationInfo(each.id, each.account, each.whole, each.suspended, each.may_commit, each.url, projects)


def _listed(page: Page) -> RepositoryList:
    return RepositoryList(
        [
            RepositoryInfo(
                each.id,
                each.name,
                each.private,
                each.archived,
                each.default_branch,
                each.may_commit,
                each.pushed_at,
            )
            for each in page.found
        ],
        page.cursor,
    )
