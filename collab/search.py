"""Lines of a project's texts that hold something.

What it promises
1. What is found is in the file as the log holds it now: an open room is asked, a closed document is loaded.
2. Nobody waits: it runs a file at a time, stops at `limit` lines or after `seconds`, and says from which path on it has not
   looked (`cursor`).
3. A regular expression cannot stop the world: it is matched line by line in a thread that does not hold the interpreter, for
   `PATIENCE` seconds at most.

What breaks it: nothing is indexed; a project of many thousand closed files takes several questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio.to_thread
import regex

from collab.contents import Contents
from collab.errors import Invalid, Quarantined
from collab.ids import BlobSha, Path, Position, ProjectId
from collab.store.base import Row, Store

LINE_LONGEST: Final = 2_000
"""Characters of a line that are looked at."""

SHOWN: Final = 300
"""Characters of a line that are shown."""

QUERY_LONGEST: Final = 500

BATCH: Final = 32
"""Files read at a time."""

PATIENCE: Final = 1.0
"""Seconds that an expression may take for one line."""


@dataclass(frozen=True, slots=True)
class Hit:
    path: Path
    sha: BlobSha
    position: Position
    line: int
    column: int
    """Both from 1; the column counts code points."""
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """`cursor` goes on behind the last file that was looked at; None: all were. `files` were looked at."""

    hits: tuple[Hit, ...]
    files: int
    cursor: Path | None


class Search:
    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents

    async def find(
        self,
        project: ProjectId,
        query: str,
        *,
        as_regex: bool = False,
        case: bool = False,
        among: Callable[[Path], bool] | None = None,
        after: Path | None = None,
        limit: int = 200,
        seconds: float = 5.0,
    ) -> Found:
        """Texts alone. `Invalid` for a query that is none."""
        pattern = compiled(query, as_regex=as_regex, case=case)
        until = time.monotonic() + seconds
        rows = [row for row in await self._store.tree(project, after=after) if row.kind == "text"]
        rows = [row for row in rows if among is None or among(row.path)]
        hits: list[Hit] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            hits += await self._in(batch, pattern, limit - len(hits))
            done = start + len(batch)
            if done < len(rows) and (len(hits) >= limit or time.monotonic() >= until):
                return Found(tuple(hits), done, batch[-1].path)
        return Found(tuple(hits), len(rows), None)

    async def _in(self, rows: Sequence[Row], pattern: regex.Pattern[str], limit: int) -> list[Hit]:
        files = await self._contents.read_rows([row for row in rows if await self._is_readable(row)])
        texts = [(each.row, each.content.decode(errors="replace")) for each in files if each is not None]
        return await anyio.to_thread.run_sync(_hits, texts, pattern, limit)

    async def _is_readable(self, row: Row) -> bool:
        try:
            return row.quarantined is None and (await self._contents.exact(row)).quarantined is None
        except Quarantined:
            return False


def compiled(query: str, *, as_regex: bool, case: bool) -> regex.Pattern[str]:
    if not query or len(query) > QUERY_LONGEST:
        raise Invalid(f"give 1 to {QUERY_LONGEST} characters to look for", field="q")
    if not as_regex and "\n" in query:
        raise Invalid("lines are looked at one by one: look for what is on one of them", field="q")
    try:
        return regex.compile(query if as_regex else regex.escape(query), 0 if case else regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError) as error:
        raise Invalid(f"this is no regular expression: {error}", field="q") from error


def _hits(texts: Sequence[tuple[Row, str]], pattern: regex.Pattern[str], limit: int) -> list[Hit]:
    found: list[Hit] = []
    for row, text in texts:
        for number, column, line in _lines(text, pattern):
            if len(found) >= limit:
                return found
            found.append(Hit(row.path, row.sha, row.head, number, column, line))
    return found


def _lines(text: str, pattern: regex.Pattern[str]) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            found = pattern.search(line[:LINE_LONGEST], timeout=PATIENCE, concurrent=True)
        except TimeoutError as error:
            raise Invalid("this expression takes too long; simplify it", field="q") from error
        if found is not None:
            begin = max(found.start() - SHOWN // 3, 0) if len(line) > SHOWN else 0
            yield number, found.start() + 1, line[begin : begin + SHOWN].rstrip("\r")
