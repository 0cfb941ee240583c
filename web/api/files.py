"""A project's files: the tree, and one file's bytes."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

import msgspec
from starlette.responses import Response

from collab import paths
from collab.errors import Invalid, NotFound
from collab.ids import BlobSha
from collab.store.base import Row
from web import mime
from web.api.endpoint import Call, Endpoints, Query, json_answer, read_body
from web.api.shapes import Directory, FileRow, refs, row, rows
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


class Tree(msgspec.Struct):
    """With `depth=1`, a directory stands among the files as `{"path", "kind": "directory"}`."""

    files: list[FileRow]
    cursor: str | None


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


@endpoints.add("GET", "/projects/{project}/files", role="viewer", query=TreeQuery, answer=Tree, errors=(400, 404))
async def list_files(call: Call[None, TreeQuery]) -> Response:
    """The tree: every file, or one directory.

    In the order of the paths' bytes; with `depth=1` the directories stand among the files as `{"path", "kind":
    "directory"}`. The answer has an `ETag`; with `If-None-Match` it is 304 while nothing has changed."""
    query = call.query
    if query.limit is not None and not 1 <= query.limit <= LISTED_MOST:
        raise Invalid(f"limit is {query.limit}: give 1 to {LISTED_MOST}", field="limit")
    if query.depth is not None and query.depth < 1:
        raise Invalid(f"depth is {query.depth}: give 1 for one directory", field="depth")
    page = await call.services.workspace.tree(
        call.project,
        prefix=paths.parse(query.prefix),
        depth=query.depth,
        limit=query.limit,
        cursor=query.cursor,
        at=query.at,
    )
    tag = f'"{page.version}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if matches(call.request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    names = await refs(call.services.store, (each.updated_by for each in page.rows))
    files: list[FileRow | Directory] = [row(each, names) for each in page.rows]
    if page.directories:
        # As `ls` shows them: among the files, in the order of names.
        files += [Directory(paths.show(each)) for each in page.directories]
        files.sort(key=lambda each: each.path)
    return json_answer({"files": files, "cursor": page.cursor}, headers=headers)


@endpoints.add(
    "GET",
    "/projects/{project}/files/{path:file}",
    role="viewer",
    query=ReadQuery,
    gives=("text/plain", "application/octet-stream"),
    headers=(("Range", "part of the bytes"), ("If-None-Match", "304 when it is still this one")),
    errors=(304, 400, 404, 416),
)
async def read_file(call: Call[None, ReadQuery]) -> Response:
    """The bytes of a file.

    `ETag` is git's name for them, `X-Quire-Position` where the file's log stands."""
    file = await call.services.workspace.read(call.project, call.path, at=call.query.at)
    serving = mime.serving(file.row.path, file.row.kind)
    tag = f'"{file.row.sha}"'
    headers = {
        "etag": tag,
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        "content-type": serving.content_type,
        "content-disposition": mime.disposition(file.row.path, inline=serving.inline),
        "content-security-policy": CONTENT_POLICY,
        "x-quire-position": str(file.row.head),
        "x-quire-document": file.row.id,
    }
    if matches(call.request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return ranged(file.content, headers, call.request.headers.get("range"), call.request.headers.get("if-range"))


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
    if_match, must_exist = parse_if_match(headers.get("if-match"))
    create_only = _create_only(headers.get("if-none-match"))
    mode = _mode(call.query.mode)
    content = await read_body(call.request, call.services.settings.max_file)
    check_digest(headers.get("content-digest"), content)
    there = await _there(call) if must_exist or create_only else None
    if must_exist and there is None:
        raise PreconditionFailed("there is no such file, so nothing matches If-Match", field="If-Match")
    if create_only and there is not None:
        raise PreconditionFailed("there is a file already", field="If-None-Match")
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


_DIGEST: Final = re.compile(r"\s*([a-z0-9-]+)=:([A-Za-z0-9+/=]*):\s*")


def check_digest(header: str | None, content: bytes) -> None:
    """Content-Digest (RFC 9530): a dictionary of byte sequences; algorithms that we do not know are ignored."""
    for item in header.split(",") if header else ():
        match = _DIGEST.fullmatch(item)
        if match is None:
            raise Invalid(f"Content-Digest is {header!r}: give sha-256=:BASE64:", field="Content-Digest")
        name, value = match.groups()
        if name not in ("sha-256", "sha-512"):
            continue
        found = base64.b64encode(hashlib.new(name.replace("-", ""), content).digest()).decode()
        if found != value:
            raise Invalid(
                f"the body's {name} is {found}, not {value}: it was changed on its way",
                code="digest_mismatch",
                field="Content-Digest",
            )


_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


def ranged(content: bytes, headers: dict[str, str], wanted: str | None, unless_changed: str | None) -> Response:
    """One range (RFC 9110, 14.2); anything else that is asked for gets everything."""
    match = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or match.groups() == ("", "") or unless_changed not in (None, headers["etag"]):
        return Response(content, headers=headers)
    size, (first, last) = len(content), match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size or start >= end:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    return Response(content[start:end], 206, {**headers, "content-range": f"bytes {start}-{end - 1}/{size}"})
