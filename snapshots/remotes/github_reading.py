"""What a repository on GitHub holds: blobs by their SHA, commits by a line of their message. ADAPTER."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import anyio

from collab.errors import NotFound, QuireError, Unavailable
from collab.ids import BlobSha, Path
from snapshots.remotes import github_calls as calls
from snapshots.remotes.base import Author, CommitSha
from snapshots.remotes.github_reasons import why
from snapshots.remotes.github_repository import Repository

COMMITS_A_PAGE: Final = 100
PAGES_AT_MOST: Final = 50
"""How far back a trailer is looked for."""
AUTHORS_OF: Final = 20
"""Commits of which the files are asked for, to know who wrote them."""


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
    for each in _news(seen, since):
        if trailer in each["commit"]["message"].splitlines():
            return CommitSha(each["sha"])
    return None


def _news(seen: Mapping[str, Mapping[str, Any]], since: CommitSha | None) -> list[Mapping[str, Any]]:
    """What is neither `since` nor below it, the newest first."""
    known: set[str] = set()
    waiting: list[str] = [since] if since is not None else []
    while waiting:
        if (sha := waiting.pop()) in seen and sha not in known:
            known.add(sha)
            waiting.extend(parent["sha"] for parent in seen[sha]["parents"])
    return [each for sha, each in seen.items() if sha not in known]


async def authors(
    repository: Repository, wanted: Set[Path], since: CommitSha | None, until: CommitSha
) -> Mapping[Path, Author]:
    """One request when one person made all of it; else one more for each commit, of the newest few."""
    answer = await repository.send("GET", "/commits", params={"sha": until, "per_page": str(COMMITS_A_PAGE)})
    if answer.status in (404, 409):
        return {}
    if not answer.ok:
        raise await why(repository, until, answer)
    news = _news({each["sha"]: each for each in answer.body}, since)
    people = {_author(each) for each in news}
    whole = any(each["sha"] == since for each in answer.body) or len(answer.body) < COMMITS_A_PAGE
    if len(people) == 1 and whole:
        return dict.fromkeys(wanted, people.pop())
    found: dict[Path, Author] = {}
    for each in [each for each in news if len(each["parents"]) < 2][:AUTHORS_OF]:
        if len(found) == len(wanted):
            break
        answer = await repository.send("GET", f"/commits/{each['sha']}")
        if not answer.ok:
            raise await why(repository, until, answer)
        for file in answer.body["files"]:
            for name in (file["filename"], file.get("previous_filename")):
                if name in wanted:
                    found.setdefault(Path(name), _author(each))
    return found


def _author(commit: Mapping[str, Any]) -> Author:
    author = commit["commit"]["author"]
    return Author(author["name"], author["email"])
