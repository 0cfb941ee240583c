"""A project's files: the tree, and one file's bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from collab import paths
from collab.contents import Stored, object_key
from collab.errors import Conflict, Invalid, NotFound
from collab.ids import BlobSha, DocumentId, Path, Position
from collab.store.base import DocumentKind, Row
from collab.tree import directories
from snapshots.remotes.base import CommitSha
from web import bodies, downloads, mime
from web.api import given
from web.api.endpoint import Call, Endpoints, Query, json_answer
from web.api.moments import moment, past
from web.api.shapes import Directory, FileRow, refs, rows, stood
from web.errors import PreconditionFailed

endpoints = Endpoints()

LISTED_MOST: Final = 100_000
"""Rows in one answer; more come with the cursor."""
CONTENT_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Files are data: whatever a browser is made to think of one, it runs nothing, in an origin of its own."""

MODES: Final = {"100644": 0o100644, "100755": 0o100755}


class TreeQuery(Query):
    """`prefix`: paths that begin so. `depth=1`: one directory. `at`: a commit or a time. `limit`, `cursor`: in pages."""

    prefix: str = ""
    depth: int | None = None
    limit: int | None = None
    cursor: str | None = None
    at: str | None = None


class ReadQuery(Query):
    """`at`: a position, a commit or a time. `v` means nothing: it makes the address change with the content."""

    at: str | None = None
    v: str | None = None


class WriteQuery(Query):
    """`force`: although somebody is typing, and without saying what was read. `mode`: 100644 or 100755."""

    force: bool = False
    mode: str | None = None


class DeleteQuery(Query):
    """`recursive`: a directory with everything below."""

    recursive: bool = False


class WrittenFile(msgspec.Struct):
    """`rebased`: somebody had changed the file since it was read, elsewhere in it; both changes are there."""

    path: str
    id: str
    sha: str
    position: int
    created: bool
    rebased: bool


class DeletedFiles(msgspec.Struct):
    deleted: list[FileRow]


@endpoints.add(
    "GET",
    "/projects/{project}/files",
    role="viewer",
    scoped=True,
    query=TreeQuery,
    answer=list[FileRow],
    headers=(("If-None-Match", "304 when nothing has changed"),),
    errors=(304, 400, 404),
)
async def list_files(call: Call[None, TreeQuery]) -> Response:
    """The tree: every file, or one directory.

    In the order of the paths' bytes; with `depth=1` the directories stand among the files as `{"path", "kind":
    "directory"}`. The answer has an `ETag`; with `If-None-Match` it is 304 while nothing has changed. When `limit` left
    some out, `X-Quire-Cursor` is the `cursor` to go on with, and `Link` the next page's address."""
    query = call.query
    if query.limit is not None and not 1 <= query.limit <= LISTED_MOST:
        raise Invalid(f"limit is {query.limit}: give 1 to {LISTED_MOST}", field="limit")
    if query.depth not in (None, 1):
        raise Invalid(f"depth is {query.depth}: give 1 for one directory", field="depth")
    at = await moment(call, query.at)
    commit = given.commit(at)
    page = await (_page(call, at) if commit is None else _page_of(call, commit))
    headers = {"etag": page.tag, "cache-control": "no-cache", **_next(call, page.last)}
    if matches(call.request.headers.get("if-none-match"), page.tag):
        return Response(status_code=304, headers=headers)
    # As `ls` shows them: directories among the files, in the order of names.
    listed: list[FileRow | Directory] = [*page.files, *(Directory(paths.show(each)) for each in page.directories)]
    if page.directories:
        listed.sort(key=lambda each: each.path)
    return json_answer(listed, headers=headers)


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is the last file's path, if more files follow."""

    files: list[FileRow]
    directories: Sequence[Path]
    last: Path | None
    tag: str


async def _page(call: Call[None, TreeQuery], at: str | None) -> Page:
    query = call.query
    after = _after(query.cursor)
    page = await call.services.workspace.tree(
        call.project,
        prefix=paths.parse(query.prefix),
        depth=query.depth,
        limit=query.limit,
        cursor=None if after is None else paths.show(after),
        at=at,
        among=call.among,
    )
    last = None if page.cursor is None else paths.parse(page.cursor)
    return Page(await rows(call.services.store, page.rows), page.directories, last, f'"{page.version}"')


async def _page_of(call: Call[None, TreeQuery], commit: CommitSha) -> Page:
    """As it stood at a commit."""
    query, prefix = call.query, paths.parse(call.query.prefix)
    after = _after(query.cursor)
    found = [each for each in await past(call).tree(call.project, commit, prefix) if call.covers(each.path)]
    if query.depth is not None:
        below = directories((each.path for each in found), prefix)
        found = [each for each in found if "/" not in each.path[len(prefix) :]]
    else:
        below = []
    if after is not None:
        found = [each for each in found if paths.to_bytes(each.path) > paths.to_bytes(after)]
    chosen = found if query.limit is None else found[: query.limit]
    names = await refs(call.services.store, (each.by for each in chosen if each.by is not None))
    last = chosen[-1].path if len(chosen) < len(found) else None
    return Page([stood(each, names) for each in chosen], below, last, f'"{commit}"')


def _after(cursor: str | None) -> Path | None:
    if cursor is None:
        return None
    try:
        return paths.from_bytes(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except ValueError as error:
        raise Invalid("cursor is not one that an answer gave", field="cursor") from error


def _next(call: Call[None, TreeQuery], last: Path | None) -> dict[str, str]:
    """A cursor is a path that headers can carry; the address is relative, because a proxy may have put a prefix before."""
    if last is None:
        return {}
    cursor = base64.urlsafe_b64encode(paths.to_bytes(last)).decode()
    rest = [(name, value) for name, value in call.request.query_params.multi_items() if name != "cursor"]
    return {"x-quire-cursor": cursor, "link": f'<?{urlencode([*rest, ("cursor", cursor)])}>; rel="next"'}


@endpoints.add(
    "GET",
    "/projects/{project}/files/{path:file}",
    role="viewer",
    query=ReadQuery,
    gives=("text/plain", "application/octet-stream"),
    headers=(("Range", "part of the bytes"), ("If-None-Match", "304 when it is still this one")),
    errors=(304, 307, 400, 404, 416),
)
async def read_file(call: Call[None, ReadQuery]) -> Response:
    """The bytes of a file.

    `ETag` is git's name for them; `X-Quire-Document` and `X-Quire-Position` say where in which log they stand, unless
    they are of a commit that an import brought along. With `QUIRE_S3_REDIRECT`, what is large and no picture, sound or film
    is answered with 307 and an address in the bucket."""
    await call.reach(call.path)
    at = await moment(call, call.query.at)
    commit = given.commit(at)
    if commit is not None:
        then, content = await past(call).file(call.project, call.path, commit)
        return await _answer(call, then.path, then.kind, then.sha, then.size, content, then.document, then.position)
    found = await call.services.workspace.open(call.project, call.path, at=at)
    row, content = found.row, None if isinstance(found, Stored) else found.content
    return await _answer(call, row.path, row.kind, row.sha, row.size, content, row.id, row.head)


async def _answer(
    call: Call[None, ReadQuery],
    path: Path,
    kind: DocumentKind,
    sha: BlobSha,
    size: int,
    content: bytes | None,
    document: DocumentId | None,
    position: Position | None,
) -> Response:
    """`content` None: it lies among the objects, under its SHA."""
    serving = mime.serving(path, kind)
    tag = f'"{sha}"'
    headers = {
        "etag": tag,
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        "content-type": serving.content_type,
        "content-disposition": mime.disposition(path, inline=serving.inline),
        "content-security-policy": CONTENT_POLICY,
    }
    if document is not None:
        headers |= {"x-quire-document": document, "x-quire-position": str(position)}
    asked = call.request.headers
    if matches(asked.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if content is not None:
        return downloads.held(content, headers, asked)
    least = call.services.settings.s3_redirect
    if least and size >= least and not serving.inline and call.request.method == "GET":
        elsewhere = await downloads.redirected(call.services.objects, object_key(sha), headers)
        if elsewhere is not None:
            return elsewhere
    return downloads.streamed(call.services.objects, object_key(sha), size, headers, asked)


@endpoints.add(
    "PUT",
    "/projects/{project}/files/{path:file}",
    role="editor",
    query=WriteQuery,
    takes=("application/octet-stream",),
    answer=WrittenFile,
    headers=(
        ("If-Match", 'what was read ("sha"): the change is merged into what the file is now'),
        ("If-None-Match", "`*`: only if there is no such file"),
        ("Content-Digest", "sha-256 or sha-512 of the body (RFC 9530), checked"),
    ),
    errors=(400, 404, 409, 412, 413),
)
async def write_file(call: Call[None, WriteQuery]) -> Response:
    """New content for a file, or a new file (201).

    409 `overlap` when somebody changed the same lines: `details.hunks` has them, and nothing was changed."""
    headers, workspace = call.request.headers, call.services.workspace
    await call.reach(call.path)
    if_match, must_exist = parse_if_match(headers.get("if-match"))
    create_only = _create_only(headers.get("if-none-match"))
    mode = _mode(call.query.mode)
    settings = call.services.settings
    async with bodies.received(call.request, settings.data / "tmp", settings.max_file) as content:
        there = await _there(call) if must_exist or create_only else None
        if must_exist and there is None:
            raise PreconditionFailed("there is no such file, so nothing matches If-Match", field="If-Match")
        if create_only and there is not None:
            raise PreconditionFailed("there is a file already", field="If-None-Match")
        try:
            written = await workspace.write(
                call.project,
                call.path,
                content,
                call.access.actor.id,
                if_match=if_match,
                create_only=create_only,
                mode=mode,
                force=call.query.force,
            )
        except Conflict as error:
            if create_only and await _there(call) is not None:
                # Somebody else made it first, a moment ago.
                raise PreconditionFailed("there is a file already", field="If-None-Match") from error
            raise
    answer = WrittenFile(
        path=paths.show(written.row.path),
        id=written.row.id,
        sha=written.row.sha,
        position=written.row.head,
        created=written.created,
        rebased=written.rebased,
    )
    return json_answer(answer, 201 if written.created else 200, {"etag": f'"{written.row.sha}"'})


async def _there(call: Call[None, WriteQuery]) -> Row | None:
    try:
        return await call.services.workspace.stat(call.project, call.path)
    except NotFound:
        return None


@endpoints.add(
    "DELETE",
    "/projects/{project}/files/{path:file}",
    role="editor",
    query=DeleteQuery,
    answer=DeletedFiles,
    errors=(400, 404, 409),
)
async def delete_file(call: Call[None, DeleteQuery]) -> DeletedFiles:
    """Deletes a file, or with `recursive` a directory; `undelete` brings it back."""
    gone = await call.services.workspace.delete(
        call.project, call.path, call.access.actor.id, recursive=call.query.recursive
    )
    return DeletedFiles(await rows(call.services.store, gone))


def matches(header: str | None, tag: str) -> bool:
    """If-None-Match (RFC 9110, 13.1.2): weak comparison."""
    if header is None:
        return False
    return header.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in header.split(",")]


_SHA_TAG: Final = re.compile(r'"([0-9a-f]{40})"')


def parse_if_match(header: str | None) -> tuple[BlobSha | None, bool]:
    """The SHA that the writer had read, and whether the file must be there."""
    if header is None:
        return None, False
    if header.strip() == "*":
        return None, True
    match = _SHA_TAG.fullmatch(header.strip())
    if match is None:
        raise Invalid(f'If-Match is {header!r}: give one "sha", the ETag of what was read', field="If-Match")
    return BlobSha(match[1]), True


def _create_only(header: str | None) -> bool:
    if header is None:
        return False
    if header.strip() != "*":
        raise Invalid(f"If-None-Match is {header!r}: only * makes sense when writing", field="If-None-Match")
    return True


def _mode(given: str | None) -> int | None:
    if given is None:
        return None
    if given not in MODES:
        raise Invalid(f"mode is {given!r}: give 100644 or 100755", field="mode")
    return MODES[given]
