"""Search in the texts of a project."""

from __future__ import annotations

import msgspec

from collab import paths
from collab.errors import Invalid
from collab.ids import Path
from collab.search import Hit, Search
from snapshots import patterns
from web.api.endpoint import Call, Endpoints, Query

endpoints = Endpoints()

LISTED_MOST = 1_000


class SearchQuery(Query):
    """`q` is looked for in every line, as it is or as a regular expression (`regex`); `case`: capitals count; `path`: only
    files that this pattern means, as in a `.gitignore`; `cursor` goes on."""

    q: str
    regex: bool = False
    case: bool = False
    path: str | None = None
    limit: int = 200
    cursor: str | None = None


class HitInfo(msgspec.Struct):
    """`line` and `column` count from 1, in code points. `sha` and `position` say of which version."""

    path: str
    sha: str
    position: int
    line: int
    column: int
    text: str


class SearchAnswer(msgspec.Struct):
    """`files` were looked at; `cursor`: not all of them, go on from here."""

    hits: list[HitInfo]
    files: int
    cursor: str | None


@endpoints.add(
    "GET",
    "/projects/{project}/search",
    role="viewer",
    scoped=True,
    query=SearchQuery,
    answer=SearchAnswer,
    errors=(400, 404),
)
async def search(call: Call[None, SearchQuery]) -> SearchAnswer:
    """Lines that hold something, in the texts as they are now."""
    query = call.query
    if not 1 <= query.limit <= LISTED_MOST:
        raise Invalid(f"limit is {query.limit}: give 1 to {LISTED_MOST}", field="limit")
    pattern = None if query.path is None else patterns.check(query.path, field="path")

    def among(path: Path) -> bool:
        return call.covers(path) and (pattern is None or patterns.matches(pattern, path))

    services = call.services
    found = await Search(services.store, services.workspace.contents).find(
        call.project.id,
        query.q,
        as_regex=query.regex,
        case=query.case,
        among=among,
        after=None if query.cursor is None else paths.parse(query.cursor),
        limit=query.limit,
    )
    cursor = None if found.cursor is None else paths.show(found.cursor)
    return SearchAnswer([_shape(each) for each in found.hits], found.files, cursor)


def _shape(each: Hit) -> HitInfo:
    return HitInfo(paths.show(each.path), each.sha, each.position, each.line, each.column, each.text)
