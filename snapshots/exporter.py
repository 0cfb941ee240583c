"""A project's files as a folder, a .zip, or one .sqlite with documents, logs and who made them (snapshots.portable).

What it promises
1. Every file is exported byte for byte, with its mode, as it stood at one position; symlinks become symlinks, submodules
   empty folders (a .sqlite keeps their commits).
2. The destination appears whole or not at all: it is made beside it and moved into place. What is there is not overwritten,
   but for an empty folder.
3. Nothing is written outside the destination: no path of a project leads out of it, and no symlink is followed.

Writing happens in worker threads; one file is held in memory at a time.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import anyio.to_thread
import msgspec

from collab import actors, paths
from collab.actors import Actor
from collab.errors import Conflict, Invalid
from collab.ids import ActorId, Position
from collab.store.base import Logged, Project, Row
from collab.workspace import Workspace
from snapshots import journal
from snapshots.portable import FORMAT, SCHEMA
from snapshots.snapshot import Snapshot

LINK: Final = 0o120000
SUBMODULE: Final = 0o160000

LOG_AT_ONCE: Final = 2_000
"""Entries of a log that are held at once."""

ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every entry of a .zip, so that the same files make the same archive."""

Tell = Callable[[int, int], None]
"""Called with how many files are done, of how many."""


class Sink(Protocol):
    """Where files go. Its methods block: they are called in worker threads, one at a time."""

    def add(self, row: Row, content: bytes) -> None: ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Exported:
    files: int
    bytes: int


def quiet(done: int, total: int) -> None:
    """Tells nobody."""


async def export(workspace: Workspace, project: Project, destination: pathlib.Path, *, tell: Tell = quiet) -> Exported:
    """To a folder, a `.zip` or a `.sqlite`, by the destination's ending."""
    sink = await anyio.to_thread.run_sync(_sink, destination, project)
    try:
        files = await _files(workspace, project, sink, tell)
        if isinstance(sink, Database):
            await _histories(workspace, project, sink)
        await anyio.to_thread.run_sync(sink.finish)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(sink.abandon)
        raise
    return files


async def _files(workspace: Workspace, project: Project, sink: Sink, tell: Tell) -> Exported:
    rows = (await workspace.tree(project)).rows
    size = 0
    for number, row in enumerate(rows, 1):
        file = await workspace.at(row, row.head)
        size += len(file.content)
        await anyio.to_thread.run_sync(sink.add, file.row, file.content)
        tell(number, len(rows))
    return Exported(len(rows), size)


async def _histories(workspace: Workspace, project: Project, sink: Database) -> None:
    """What is deleted, every log, every snapshot, and everybody who is named."""
    store = workspace.store
    named: set[ActorId] = {project.created_by}
    for row in await store.tree_with_deleted(project.id):
        named |= {row.created_by, row.updated_by, *([row.deleted_by] if row.deleted_by is not None else [])}
        if row.deleted_at is not None:
            content = (await workspace.at(row, row.head)).content
            await anyio.to_thread.run_sync(sink.add, row, content)
        upto = await anyio.to_thread.run_sync(sink.position, row)
        after = Position(0)
        while after < upto:
            stop = Position(min(upto, after + LOG_AT_ONCE))
            entries = await store.entries(row.id, after, stop)
            named |= {each.entry.actor for each in entries}
            named |= {each.entry.on_behalf_of for each in entries if each.entry.on_behalf_of is not None}
            await anyio.to_thread.run_sync(sink.add_entries, row, entries)
            after = stop
    found = await actors.actors(store, sorted(named))
    made = await journal.snapshots(store, project.id)
    await anyio.to_thread.run_sync(sink.add_rest, list(found.values()), made)


def _sink(destination: pathlib.Path, project: Project) -> Sink:
    making = destination.with_name(f".{destination.name}.making")
    if destination.is_dir() and not any(destination.iterdir()) and destination.suffix not in (".zip", ".sqlite"):
        destination.rmdir()
    if destination.exists() or destination.is_symlink():
        raise Conflict(f"{destination} is there already: name another place", field="destination")
    if not destination.parent.is_dir():
        raise Invalid(f"there is no folder {destination.parent}", field="destination")
    shutil.rmtree(making, ignore_errors=True)
    making.unlink(missing_ok=True)
    match destination.suffix:
        case ".zip":
            return Zip(making, destination)
        case ".sqlite":
            return Database(making, destination, project)
        case _:
            return Folder(making, destination)


class Folder:
    def __init__(self, making: pathlib.Path, destination: pathlib.Path) -> None:
        self._making = making
        self._destination = destination
        making.mkdir()

    def add(self, row: Row, content: bytes) -> None:
        target = self._making / os.fsdecode(paths.to_bytes(row.path))
        target.parent.mkdir(parents=True, exist_ok=True)
        if row.mode == SUBMODULE:
            target.mkdir()
        elif row.mode == LINK:
            target.symlink_to(os.fsdecode(content))
        else:
            with target.open("xb") as file:
                file.write(content)
            if row.mode & stat.S_IXUSR:
                target.chmod(target.stat().st_mode | 0o111)

    def finish(self) -> None:
        self._making.rename(self._destination)

    def abandon(self) -> None:
        shutil.rmtree(self._making, ignore_errors=True)


class Zip:
    """Its names are UTF-8: one that is not is read as code page 437, so that no two names become one."""

    def __init__(self, making: pathlib.Path, destination: pathlib.Path) -> None:
        self._making = making
        self._destination = destination
        self._archive = zipfile.ZipFile(making, "x", zipfile.ZIP_DEFLATED)

    def add(self, row: Row, content: bytes) -> None:
        if row.mode == SUBMODULE:
            self._archive.writestr(self._info(row, stat.S_IFDIR | 0o755, "/"), b"")
        else:
            self._archive.writestr(self._info(row, stat.S_IFLNK | 0o777 if row.mode == LINK else row.mode), content)

    def finish(self) -> None:
        self._archive.close()
        self._making.rename(self._destination)

    def abandon(self) -> None:
        self._archive.close()
        self._making.unlink(missing_ok=True)

    def _info(self, row: Row, mode: int, ending: str = "") -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(_zip_name(row.path) + ending, ZIP_EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3
        info.external_attr = mode << 16
        return info


class Database:
    def __init__(self, making: pathlib.Path, destination: pathlib.Path, project: Project) -> None:
        self._making = making
        self._destination = destination
        self._database = sqlite3.connect(making, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.executescript(SCHEMA)
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("format", str(FORMAT)), ("project", project.name), ("created_at", str(project.created_at))],
        )

    def add(self, row: Row, content: bytes) -> None:
        self._database.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                paths.to_bytes(row.path),
                row.kind,
                row.mode,
                row.eol,
                row.bom,
                row.sha,
                len(content),
                row.head,
                content,
                row.created_at,
                row.created_by,
                row.updated_at,
                row.updated_by,
                row.deleted_at,
                row.deleted_by,
            ),
        )

    def position(self, row: Row) -> Position:
        """Where the document stood when its content was exported: its log goes up to there; 0 if it was not."""
        found = self._database.execute("SELECT position FROM documents WHERE id = ?", (row.id,)).fetchone()
        return Position(found[0]) if found is not None else Position(0)

    def add_entries(self, row: Row, entries: Sequence[Logged]) -> None:
        self._database.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row.id,
                    each.position,
                    each.at,
                    each.entry.kind,
                    each.entry.actor,
                    each.entry.on_behalf_of,
                    each.entry.turn,
                    msgspec.json.encode(each.entry.clients).decode(),
                    each.entry.payload,
                )
                for each in entries
            ],
        )

    def add_rest(self, named: list[Actor], made: list[Snapshot]) -> None:
        self._database.executemany(
            "INSERT INTO actors VALUES (?, ?, ?, ?)", [(each.id, each.name, each.kind, each.email) for each in named]
        )
        self._database.executemany(
            "INSERT INTO snapshots VALUES (?, ?)",
            [(each.number, msgspec.json.encode(each).decode()) for each in made],
        )

    def finish(self) -> None:
        self._database.execute("COMMIT")
        self._database.close()
        self._making.rename(self._destination)

    def abandon(self) -> None:
        self._database.close()
        self._making.unlink(missing_ok=True)


def _zip_name(path: str) -> str:
    raw = paths.to_bytes(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp437")
