"""What a repository on GitHub holds: blobs by their SHA, commits by a line of their message. ADAPTER."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio

from collab.errors import NotFound, QuireError, Unavailable
from collab.ids import BlobSha
from snapshots.remotes import github_calls as calls
from snapshots.remotes.base import CommitSha
from snapshots.remotes.github_reasons import why
from snapshots.remotes.github_repository import Repository

COMMITS_A_PAGE: Final = 100
PAGES_AT_MOST: Final = 50
"""How far back a trailer is looked for."""


async def contents(repository: Repository, shas: Sequence[BlobSha]) -> Mapping[BlobSha, bytes]:
    found: dict[BlobSha, bytes] = {}
    failures: list[QuireError] = []

    async def fetch(sha: BlobSha) -> None:
        try:
            found[sha] = await content(sha)
        except QuireError as failure:
            failures.append(failure)

    async def content(sha: BlobSha) -> bytes:
        answer = await repository.send("GET", f"/git/blobs/{sha}")
        if not answer.ok:
            raise NotFound(f"{repository.facts.name} has no blob {sha}")
        made = base64.b64decode(answer.body["content"])
        if calls.blob_sha(made) != sha:
            raise Unavailable(f"what GitHub gives for blob {sha} is {calls.blob_sha(made)}")
        return made

    async with repository.hub.session(), anyio.create_task_group() as group:
        for sha in dict.fromkeys(shas):
            group.start_soon(fetch, sha)
    if failures:
        raise failures[0]
    return found


async def find(repository: Repository, branch: str, trailer: str, since: CommitSha | None) -> CommitSha | None:
    """Newest first, until a page that holds `since`: what has `since` below it is listed, or was, by then."""
    seen: dict[str, Mapping[str, Any]] = {}
    for page in range(1, PAGES_AT_MOST + 1):
        asked = {"sha": branch, "per_page": str(COMMITS_A_PAGE), "page": str(page)}
        answer = await repository.send("GET", "/commits", params=asked)
        if answer.status in (404, 409):
            return None
        if not answer.ok:
            raise await why(repository, branch, answer)
        seen.update((each["sha"], each) for each in answer.body)
        if since in seen or len(answer.body) < COMMITS_A_PAGE:
            return _with_trailer(seen, trailer, since)
    raise Unavailable(f"commit {since} is not among the last {PAGES_AT_MOST * COMMITS_A_PAGE} of {branch}")


def _with_trailer(seen: Mapping[str, Mapping[str, Any]], trailer: str, since: CommitSha | None) -> CommitSha | None:
    """The newest with the trailer that is neither `since` nor below it."""
    known: set[str] = set()
    waiting: list[str] = [since] if since is not None else []
    while waiting:
        if (sha := waiting.pop()) in seen and sha not in known:
            known.add(sha)
            waiting.extend(parent["sha"] for parent in seen[sha]["parents"])
    for sha, each in seen.items():
        if sha not in known and trailer in each["commit"]["message"].splitlines():
            return CommitSha(sha)
    return None
