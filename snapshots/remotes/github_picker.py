"""The repositories that a credential reaches, to choose from: page by page, searched by words. ADAPTER.

GitHub has no search within what an installation or a token reaches, so its list is read page by page and looked through,
a few pages for each answer; the cursor goes on from there. Pages are remembered for a minute: people type their search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio

from collab.errors import Invalid, NotFound
from collab.ids import Millis
from snapshots.remotes.github_calls import quoted
from snapshots.remotes.github_hub import Hub

A_PAGE: Final = 100
PAGES_AT_ONCE: Final = 5
"""Of GitHub's, for one answer of ours."""
REMEMBERED: Final = 60_000
"""Milliseconds."""
LIMIT: Final = 100

_CURSOR: Final = re.compile(r"([1-9]\d{0,5})\.(\d{1,2})")
_WHOLE: Final = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`may_commit`: the credential may push to it, and it takes commits (it is not archived)."""

    id: int
    name: str
    """`owner/name`."""
    private: bool
    archived: bool
    default_branch: str
    may_commit: bool
    pushed_at: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` None: there are no more."""

    found: tuple[Found, ...]
    cursor: str | None


class Picker:
    """`may_commit`: of an installation, which says so once for all that it reaches; None: a person's token, for which GitHub
    says it of each."""

    def __init__(self, hub: Hub, *, may_commit: bool | None) -> None:
        self._hub = hub
        self._may_commit = may_commit
        self._pages: dict[int, tuple[Millis, list[Found], bool]] = {}
        self._lock = anyio.Lock()

    async def find(self, search: str = "", *, cursor: str | None = None, limit: int = 30) -> Page:
        number, index = _position(cursor)
        words = search.lower().split()
        found: list[Found] = []
        known: set[int] = set()
        async with self._lock, self._hub.session():
            if cursor is None and (exact := await self._exact(search.strip())) is not None:
                found.append(exact)
                known.add(exact.id)
            for _ in range(PAGES_AT_ONCE):
                each, last = await self._page(number)
                for at in range(index, len(each)):
                    if each[at].id in known or not all(word in each[at].name.lower() for word in words):
                        continue
                    if len(found) >= limit:
                        return Page(tuple(found), f"{number}.{at}")
                    found.append(each[at])
                if last:
                    return Page(tuple(found), None)
                number, index = number + 1, 0
        return Page(tuple(found), f"{number}.0")

    async def _exact(self, name: str) -> Found | None:
        """A name in full is asked for by itself: it may be far down the list, or not in it (somebody's public one)."""
        if self._may_commit is not None or not _WHOLE.fullmatch(name) or name.endswith(("/.", "/..")):
            return None
        answer = await self._hub.send("GET", f"/repos/{quoted(name)}")
        return self._found(answer.body) if answer.ok else None

    async def _page(self, number: int) -> tuple[list[Found], bool]:
        now = self._hub.clock()
        known = self._pages.get(number)
        if known is not None and 0 <= now - known[0] < REMEMBERED:
            return known[1], known[2]
        asked = {"per_page": str(A_PAGE), "page": str(number)}
        if self._may_commit is None:
            answer = await self._hub.send("GET", "/user/repos", params={**asked, "sort": "pushed"})
            listed = answer.body
        else:
            answer = await self._hub.send("GET", "/installation/repositories", params=asked)
            listed = answer.body["repositories"] if answer.ok else []
        if not answer.ok:
            raise NotFound("GitHub does not list the repositories of this credential: give it access to metadata")
        made = [self._found(each) for each in listed]
        self._pages[number] = now, made, len(made) < A_PAGE
        return made, len(made) < A_PAGE

    def _found(self, body: Mapping[str, Any]) -> Found:
        archived = bool(body.get("archived"))
        may = self._may_commit
        if may is None:
            may = bool((body.get("permissions") or {}).get("push"))
        return Found(
            id=body["id"],
            name=body["full_name"],
            private=bool(body["private"]),
            archived=archived,
            default_branch=body["default_branch"],
            may_commit=may and not archived,
            pushed_at=body.get("pushed_at"),
        )


def _position(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 1, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise Invalid(f"{cursor!r} is no cursor of this list", field="cursor")
    return int(match[1]), int(match[2])
