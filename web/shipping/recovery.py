"""A data directory out of a continuous backup: the newest copy not later than the wanted moment, and the segments after it.

What it promises
1. The database is as it was at the end of a segment: every commit up to some moment, and none after it. That moment is the last one
   shipped, or the last not later than `at`; the repositories are those that belong to it.
2. Every piece is checked against its SHA-256, every page against its CRC-32. What should be there and is not is an error, never
   passed over: a backup that lacks a segment in the middle says so, and up to which moment it goes.
3. Nothing in the backup is changed.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from anyio import from_thread, to_thread

from collab.crowd import each
from collab.errors import Invalid, NotFound
from collab.ids import Millis
from collab.objects.base import ObjectStore
from web.shipping import copying, layout, repositories, segment
from web.shipping.copying import Progress
from web.shipping.layout import COPY_PIECE, GIT, OWNER, PAGES, Copy, Owner, Repository
from web.shipping.segment import Head

AT_ONCE: Final = 8
"""Pieces or segments on their way side by side."""

DATABASE: Final = "quire.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """`at`: the time of the newest commit in it. `owner`: who shipped last, if anybody knows."""

    copy: Copy
    number: int
    at: Millis
    segments: int
    repositories: int
    owner: Owner | None


async def recover(objects: ObjectStore, folder: pathlib.Path, at: Millis | None, progress: Progress) -> Recovered:
    """Into `folder`, which is there and empty."""
    owner = await read_owner(objects)
    copy, later = _chosen(await copying.copies(objects), at)
    file = folder / DATABASE
    await _put_together(objects, copy, file, progress)
    reached = await _follow(objects, copy, file, at, progress)
    _demand_complete(reached, at, later, owner)
    state = {each.name: each for each in (*copy.repositories, *reached.repositories)}
    there = [each for each in state.values() if each.there]
    for done, repository in enumerate(there, start=1):
        await _put_back(objects, repository, folder / "git")
        progress("repositories", done, len(there))
    await to_thread.run_sync(_put_files, copy, folder)
    return Recovered(
        copy=copy,
        number=reached.number,
        at=reached.at,
        segments=reached.number - copy.number,
        repositories=len(there),
        owner=owner,
    )


async def read_owner(objects: ObjectStore) -> Owner | None:
    try:
        return layout.decode_owner((await objects.get(OWNER)).content)
    except NotFound:
        return None


def _chosen(copies: Sequence[Copy], at: Millis | None) -> tuple[Copy, Sequence[Copy]]:
    """The one to begin with, and those made after it."""
    if not copies:
        raise NotFound("there is no backup here, or its first copy was never complete")
    chosen = copies[-1] if at is None else copying.to_begin_with(copies, at)
    if chosen is None:
        raise NotFound(f"the backup begins at {layout.shown(copies[0].at)}: there is nothing earlier to restore")
    return chosen, copies[copies.index(chosen) + 1 :]


def _demand_complete(reached: _Reached, at: Millis | None, later: Sequence[Copy], owner: Owner | None) -> None:
    if reached.next_is_later or (at is not None and at <= reached.at):
        return
    known = [copy.number for copy in later if copy.generation == reached.generation]
    if owner is not None and owner.generation == reached.generation:
        known.append(owner.number)
    if reached.more or max(known, default=0) > reached.number:
        raise Invalid(
            f"segment {reached.number + 1} of generation {reached.generation} is missing from the backup, which goes on after it. "
            f"What comes before can be restored: give --at {layout.shown(reached.at)}"
        )


# -- the database


async def _put_together(objects: ObjectStore, copy: Copy, file: pathlib.Path, progress: Progress) -> None:
    done = 0
    with file.open("xb", buffering=0) as database:

        async def bring(item: tuple[int, str]) -> None:
            nonlocal done
            position, name = item
            piece = await _piece(objects, PAGES, name)
            await to_thread.run_sync(os.pwrite, database.fileno(), piece, position * COPY_PIECE)
            done += 1
            progress("database", done, len(copy.pieces))

        await each(enumerate(copy.pieces), bring, at_once=AT_ONCE)
        if os.fstat(database.fileno()).st_size != copy.size:
            raise Invalid(f"the copy {copy.generation}/{copy.number} in the backup is not of the size that it says")


async def _piece(objects: ObjectStore, prefix: str, name: str) -> bytes:
    try:
        content = (await objects.get(prefix + name)).content
    except NotFound as error:
        raise Invalid(f"the piece {prefix}{name} is missing from the backup") from error
    return await to_thread.run_sync(layout.unpack, content, name)


@dataclass(slots=True)
class _Reached:
    """How far the segments went. `next_is_later` than the wanted moment; or it is not there, and there are `more` behind it."""

    generation: int
    number: int
    at: Millis
    next_is_later: bool = False
    more: bool = False
    repositories: list[Repository] = field(default_factory=list)


async def _follow(
    objects: ObjectStore, copy: Copy, file: pathlib.Path, at: Millis | None, progress: Progress
) -> _Reached:
    """Puts the segments after the copy into the database."""
    reached = _Reached(copy.generation, copy.number, copy.at)
    with file.open("r+b", buffering=0) as database:
        async for head, content in _segments(objects, reached):
            if at is not None and head.at > at:
                reached.next_is_later = True
                break
            for part in range(1, head.parts + 1):
                await _apply(database, await _part(objects, head, part))
            await _apply(database, content)
            await to_thread.run_sync(os.ftruncate, database.fileno(), head.mark.pages * head.page_size)
            reached.repositories += head.repositories
            reached.number, reached.at = head.number, head.at
            progress("segments", reached.number - copy.number, None)
        await to_thread.run_sync(os.fsync, database.fileno())
    return reached


async def _segments(objects: ObjectStore, reached: _Reached) -> AsyncIterator[tuple[Head, bytes]]:
    """In order, until there is no next one."""
    generation, first = reached.generation, reached.number + 1
    while True:
        found: dict[int, bytes] = {}

        async def bring(number: int, found: dict[int, bytes] = found) -> None:
            content = await _segment(objects, generation, number)
            if content is not None:
                found[number] = content

        await each(range(first, first + AT_ONCE), bring, at_once=AT_ONCE)
        for number in range(first, first + AT_ONCE):
            content = found.pop(number, None)
            if content is None and found:  # put after it was asked for, and before the next one was?
                content = await _segment(objects, generation, number)
                reached.more = content is None
            if content is None:
                return
            head = segment.read_head(content)
            if (head.generation, head.number) != (generation, number):
                raise Invalid(f"what lies at segment {generation}/{number} is {head.generation}/{head.number}")
            yield head, content
        first += AT_ONCE


async def _segment(objects: ObjectStore, generation: int, number: int) -> bytes | None:
    try:
        return (await objects.get(layout.segment_key(generation, number))).content
    except NotFound:
        return None


async def _part(objects: ObjectStore, head: Head, part: int) -> bytes:
    try:
        return (await objects.get(layout.segment_key(head.generation, head.number, part))).content
    except NotFound as error:
        raise Invalid(f"part {part} of segment {head.generation}/{head.number} is missing from the backup") from error


async def _apply(database: BinaryIO, content: bytes) -> None:
    def apply() -> None:
        size = segment.read_head(content).page_size

        def before(number: int) -> bytes:
            return os.pread(database.fileno(), size, (number - 1) * size)

        _, pages = segment.decode(content, before)
        for number, page in pages:
            os.pwrite(database.fileno(), page, (number - 1) * size)

    await to_thread.run_sync(apply)


# -- the rest


async def _put_back(objects: ObjectStore, repository: Repository, root: pathlib.Path) -> None:
    def piece(name: str) -> bytes:
        return from_thread.run(_piece, objects, GIT, name)

    await to_thread.run_sync(repositories.restore, repository, root, piece)


def _put_files(copy: Copy, folder: pathlib.Path) -> None:
    for name, content in copy.files.items():
        path = folder / pathlib.PurePosixPath(name).name
        path.touch(mode=0o600)
        path.write_bytes(content)
