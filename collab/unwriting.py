"""What somebody wrote in a while, taken back: an agent's work, or an hour's.

What it promises
1. Whatever was written by this actor in this time, in turns or by keystrokes, is merged back out, the latest first; what
   others wrote stays. Where they have changed the same lines since, the file is named and left out of the turn.
2. Files that the actor made, and nobody else has touched, go; files that it deleted come back; files that it moved go back.
3. It is one turn, and undone as one.

What breaks it: much that was written by turns on the same lines: each change of hands is a merge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import anyio.to_thread

from collab import history, text
from collab.contents import Contents, File
from collab.document import Document
from collab.history import READER
from collab.ids import ActorId, Millis, Path, Position
from collab.merge import Conflicted, merge
from collab.store.base import EntryKind, Line, Project, Row, Store
from collab.wish import Wish

CHANGES_OF_HANDS: Final = 2_000
"""Of one file: more than so many are not taken apart."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """`kept`: files in which others have changed the same since."""

    wishes: list[Wish]
    kept: list[Path]


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive entries of the actor."""

    first: Position
    last: Position


class Unwriting:
    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents

    async def of(
        self, project: Project, actor: ActorId | None, since: Millis, until: Millis, prefix: str = ""
    ) -> Unwritten:
        """`actor` None: everybody's."""
        found = Unwritten([], [])
        for row in await self._store.tree_with_deleted(project.id):
            if row.updated_at < since or not row.path.startswith(prefix):
                continue
            first = await self._store.position_at(row.id, Millis(since - 1))
            last = await self._store.position_at(row.id, until)
            spans = await self._store.gather(row.id, first, last, lambda lines: _spans(lines, actor))
            if spans:
                await self._one(row, spans, found)
        return found

    async def _one(self, row: Row, spans: list[Span], found: Unwritten) -> None:
        alone = spans == [Span(Position(1), row.head)]
        if row.deleted_at is None and spans[0].first == 1:
            # What somebody made goes only as long as it is nobody else's.
            if alone:
                found.wishes.append(Wish(path=row.path, base=(await self._contents.exact(row)).sha, delete=True))
            else:
                found.kept.append(row.path)
            return
        before, after = await self._before(row, spans[0]), await self._contents.at(row, spans[-1].last)
        if row.deleted_at is not None:
            if row.deleted_by is not None and after.row.head == row.head and spans[0].first > 1:
                found.wishes.append(
                    Wish(path=before.row.path, back=row.id, content=before.content, mode=before.row.mode)
                )
            return
        wish = await self._edited(row, spans, before)
        if wish is None:
            found.kept.append(row.path)
        elif wish.content is not None or wish.to is not None:
            found.wishes.append(wish)

    async def _before(self, row: Row, span: Span) -> File:
        return await self._contents.at(row, Position(max(span.first - 1, 1)))

    async def _edited(self, row: Row, spans: list[Span], before: File) -> Wish | None:
        now = await self._contents.read(row)
        last = await self._contents.at(row, spans[-1].last)
        to = before.row.path if last.row.path == row.path != before.row.path else None
        wish = Wish(path=row.path, base=now.row.sha, to=to)
        if last.row.sha == now.row.sha and len(spans) == 1:
            same = before.row.sha == now.row.sha
            return wish if same else replace(wish, content=before.content, mode=before.row.mode)
        opened = text.open_bytes(now.content) if now.row.kind == before.row.kind == "text" else None
        if opened is None or len(spans) > CHANGES_OF_HANDS:
            return None
        texts = await self._texts(row, spans)
        target = await anyio.to_thread.run_sync(_taken_back, opened[0], texts)
        if target is None:
            return None
        return wish if target == opened[0] else replace(wish, content=text.to_bytes(target, opened[1]))

    async def _texts(self, row: Row, spans: list[Span]) -> list[tuple[str, str]]:
        """Of every span, the text before it and the text after it; the log is read once."""
        wanted = {position for span in spans for position in (span.first - 1, span.last)}
        begin = Position(min(wanted))
        start = await self._store.load(row.id, begin)
        states = [] if start is None else list(history.updates(start))
        texts = await self._store.gather(
            row.id, begin, spans[-1].last, lambda lines: _stops(states, begin, lines, wanted)
        )
        return [(texts[span.first - 1], texts[span.last]) for span in spans]


def _spans(lines: Iterator[Line], actor: ActorId | None) -> list[Span]:
    found: list[Span] = []
    for position, _, _, who, _, _, _ in lines:
        if actor is None or who == actor:
            if found and found[-1].last == position - 1:
                found[-1] = Span(found[-1].first, position)
            else:
                found.append(Span(position, position))
    return found


def _stops(states: list[bytes], begin: Position, lines: Iterator[Line], wanted: set[int]) -> dict[int, str]:
    document = Document.load(READER, states)
    try:
        texts = {int(begin): document.text} if begin in wanted else {}
        for position, _, kind, _, _, _, payload in lines:
            if kind == EntryKind.UPDATE:
                document.apply([payload])
            if position in wanted:
                texts[position] = document.text
        return texts
    finally:
        document.close()


def _taken_back(live: str, texts: list[tuple[str, str]]) -> str | None:
    for before, after in reversed(texts):
        merged = merge(after, live, before)
        if isinstance(merged, Conflicted):
            return None
        live = merged.text
    return live
