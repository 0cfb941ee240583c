"""A data directory as a server leaves it, made without one: a project, files of every kind, a commit of all of it."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collab.bases import Base, put
from collab.compaction import compact
from collab.document import Document
from collab.ids import ActorId, BlobSha, ClientId, Millis, Path, Position, ProjectId, fresh
from collab.objects.memory import MemoryObjects
from collab.store.base import (
    Append,
    CreateDocument,
    CreateProject,
    Entry,
    EntryKind,
    Project,
    Row,
    SetDocument,
    Store,
)
from collab.store.sqlite import open_store
from collab.text import blob_sha
from collab.tree import new_document
from snapshots.remotes.base import Author, NewCommit, TreeEntry
from snapshots.remotes.local import LocalRemotes

ALICE = ActorId("alice")
FILES: Mapping[str, tuple[bytes, int]] = {
    "README.md": ("# Notes\n\nTwo 😀 lines\n".encode(), 0o100644),
    "docs/windows.txt": (b"\xef\xbb\xbfone\r\ntwo\r\n", 0o100644),
    "empty": (b"", 0o100644),
    "logo.png": (b"\x89PNG\r\n\x1a\n\xff\x00", 0o100644),
    "run.sh": (b"#!/bin/sh\n", 0o100755),
    "link": (b"docs/windows.txt", 0o120000),
}


@dataclass(slots=True)
class Data:
    folder: pathlib.Path
    store: Store
    objects: MemoryObjects
    remotes: LocalRemotes
    project: Project
    rows: dict[str, Row]

    async def row(self, path: str) -> Row:
        found = await self.store.document(self.rows[path].id)
        assert found is not None
        return found


@asynccontextmanager
async def opened(folder: pathlib.Path) -> AsyncIterator[Data]:
    """The data of `folder`; made when there is none."""
    store = await open_store(folder)
    remotes = LocalRemotes(folder / "git")
    try:
        yield await _data(folder, store, remotes)
    finally:
        await remotes.aclose()
        await store.aclose()


async def _data(folder: pathlib.Path, store: Store, remotes: LocalRemotes) -> Data:
    found = await store.project("notes")
    fresh_one = Project(id=ProjectId(fresh()), name="notes", created_at=Millis(0), created_by=ALICE)
    data = Data(folder, store, MemoryObjects(), remotes, found or fresh_one, {})
    for content, _ in FILES.values():
        await data.objects.put(f"objects/{blob_sha(content)}", content)
    if found is None:
        await store.commit(changes=[CreateProject(data.project)])
        await _fill(data)
        await commit(data)
    data.rows = {row.path: row for row in await store.tree(data.project.id)}
    return data


async def _fill(data: Data) -> None:
    for path, (content, mode) in FILES.items():
        row, append = new_document(data.store, data.project.id, Path(path), content, mode, ALICE)
        await data.store.commit([append], [CreateDocument(row)])


async def commit(data: Data) -> None:
    """Everything goes into one commit, as a round of the snapshotter leaves it."""
    rows = await data.store.tree(data.project.id)
    contents = {blob_sha(content): content for content, _ in FILES.values()}

    async def blob(sha: BlobSha) -> bytes:
        return contents[sha]

    remote = await data.remotes.of(data.project)
    writes = {row.path: TreeEntry(row.sha, row.mode) for row in rows}
    made = await remote.commit(
        NewCommit(parent=None, writes=writes, deletes=(), message="Import\n", author=Author("Quire", "q@q"), at=1), blob
    )
    held = [Base(row.path, row.id, row.sha, row.mode, row.head, made.commit) for row in rows]
    await data.store.commit(changes=[put(data.project.id, base) for base in held])


async def type_into(data: Data, path: str, strokes: int, *, checkpoint: bool = False) -> None:
    """Alice types, a keystroke an entry; the catalog says what the file then is."""
    row = await data.row(path)
    loaded = await data.store.load(row.id)
    assert loaded is not None
    states = [each.entry.payload for each in loaded.entries if each.entry.kind == EntryKind.UPDATE]
    held = [loaded.checkpoint.state] if loaded.checkpoint else []
    document = Document.load(ClientId(7), [*held, *states])
    entries = []
    for number in range(strokes):
        update = document.edit(document.text + f"{number} ")
        assert update is not None
        entries.append(Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=update, clients=(ClientId(7),)))
    content = document.text.encode()
    document.close()
    head = Position(row.head + strokes)
    await data.store.commit(
        [Append(document=row.id, entries=tuple(entries))],
        [SetDocument(id=row.id, fields={"sha": blob_sha(content), "size": len(content), "sha_position": head})],
    )
    if checkpoint:
        await compact(data.store, row.id)
