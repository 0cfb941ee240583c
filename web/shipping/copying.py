"""A copy of the whole database into a backup, and what is no longer needed out of it.

A copy is put together from pieces; those that are there already, from earlier copies, are not put again. Its own description comes
last, when everything that it names is there. So a copy that was interrupted is no copy, and what it has brought is found again.

Retention: every moment of the last `keep` milliseconds can be restored, so the newest copy before them stays, and everything after
it. Older copies go first, then the segments before the oldest that stays, then the pieces that no copy names. Pieces of repositories
may be named by segments too: they go when no copy has named them for `keep`.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from anyio import to_thread

from collab.crowd import each
from collab.errors import NotFound
from collab.ids import Millis
from collab.objects.base import ObjectStore
from web.shipping import layout
from web.shipping.layout import COPIES, COPY_PIECE, GIT, PAGES, SEGMENTS, Copy

AT_ONCE: Final = 4
"""Pieces on their way side by side: each is held in memory."""
DELETES_AT_ONCE: Final = 8

UNNAMED: Final = "backup/UNNAMED"
"""The pieces of repositories that no copy names, and since when."""


Progress = Callable[[str, int, int | None], None]
"""Phase, how many done, how many in all (None: not known)."""


def silently(phase: str, done: int, total: int | None) -> None:
    """Nobody watches."""


async def put_pieces(objects: ObjectStore, file: pathlib.Path, progress: Progress = silently) -> tuple[str, ...]:
    """All of `file` in pieces; their names, in order."""
    there = {key.removeprefix(PAGES) async for key in objects.list(PAGES)}
    size = (await to_thread.run_sync(file.stat)).st_size
    names: dict[int, str] = {}

    async def put(start: int) -> None:
        name, content = await to_thread.run_sync(_piece, file, start, there)
        names[start] = name
        if content is not None:
            await objects.put(PAGES + name, content)
            there.add(name)
        progress("database", len(names), len(starts))

    starts = range(0, size, COPY_PIECE)
    await each(starts, put, at_once=AT_ONCE)
    return tuple(names[start] for start in starts)


def _piece(file: pathlib.Path, start: int, there: set[str]) -> tuple[str, bytes | None]:
    """Its name, and its content if that is not there."""
    with file.open("rb") as content:
        content.seek(start)
        piece = content.read(COPY_PIECE)
    name = layout.name_of(piece)
    return name, None if name in there else layout.pack(piece)


async def copies(objects: ObjectStore) -> list[Copy]:
    """All of them, oldest first."""
    found: list[Copy] = []

    async def read(key: str) -> None:
        try:
            content = (await objects.get(key)).content
        except NotFound:  # swept since it was listed
            return
        found.append(layout.decode_copy(content, key))

    keys = [key async for key in objects.list(COPIES) if layout.copy_of(key)]
    await each(keys, read, at_once=AT_ONCE)
    return sorted(found, key=lambda copy: (copy.generation, copy.number))


@dataclass(frozen=True, slots=True)
class Swept:
    copies: int = 0
    segments: int = 0
    pieces: int = 0


async def sweep(objects: ObjectStore, *, keep: int, now: Millis) -> Swept:
    """By whoever ships here, and not while a copy is made."""
    found = await copies(objects)
    if not found:
        return Swept()
    oldest = to_begin_with(found, Millis(now - keep)) or found[0]
    stays = [copy for copy in found if _place(copy) >= _place(oldest)]
    gone = [layout.copy_key(*_place(copy)) for copy in found if _place(copy) < _place(oldest)]
    await each(gone, objects.delete, at_once=DELETES_AT_ONCE)
    segments = [key async for key in _segments_before(objects, oldest)]
    await each(segments, objects.delete, at_once=DELETES_AT_ONCE)
    named = {piece for copy in stays for piece in copy.pieces}
    pieces = [key async for key in objects.list(PAGES) if key.removeprefix(PAGES) not in named]
    pieces += await _long_unnamed(objects, stays, keep=keep, now=now)
    await each(pieces, objects.delete, at_once=DELETES_AT_ONCE)
    return Swept(len(gone), len(segments), len(pieces))


def to_begin_with(found: Sequence[Copy], at: Millis) -> Copy | None:
    """Of all copies, oldest first, the one from which the moment `at` is restored; None when all of them are later.

    A generation counts from when it began: after a restore, the first copy of a new one may hold an old state, and what was there at
    `at` stands in the one before."""
    before = [copy for copy in found if copy.at <= at]
    began: dict[int, Millis] = {}
    for copy in found:
        began[copy.generation] = min(copy.made_at, began.get(copy.generation, copy.made_at))
    counting = [copy for copy in before if began[copy.generation] <= at]
    if counting:
        return counting[-1]
    # Between the last commit before the first copy and that copy, nothing was committed.
    return next((copy for copy in reversed(before) if copy.generation == before[0].generation), None)


def _place(copy: Copy) -> tuple[int, int]:
    return copy.generation, copy.number


async def _segments_before(objects: ObjectStore, oldest: Copy) -> AsyncIterator[str]:
    """Up to the one that `oldest` holds; listed in order, so that those that stay are not looked at."""
    async for key in objects.list(SEGMENTS):
        place = layout.segment_of(key)
        if place is None:
            continue
        if place > _place(oldest):
            return
        yield key


async def _long_unnamed(objects: ObjectStore, stays: Iterable[Copy], *, keep: int, now: Millis) -> list[str]:
    named = {piece for copy in stays for repository in copy.repositories for piece in repository.pieces()}
    unnamed = [piece async for key in objects.list(GIT) if (piece := key.removeprefix(GIT)) not in named]
    try:
        since = msgspec.json.decode((await objects.get(UNNAMED)).content, type=dict[str, int])
    except (NotFound, msgspec.DecodeError):
        since = {}
    gone = {piece for piece in unnamed if now - since.get(piece, now) > keep}
    left = {piece: since.get(piece, now) for piece in unnamed if piece not in gone}
    if left != since:
        await objects.put(UNNAMED, msgspec.json.encode(left))
    return [GIT + piece for piece in gone]
