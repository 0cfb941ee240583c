"""A process that commits and says what was acknowledged, until it is killed. For test_sqlite.

`python -m tests.collab.committer FOLDER` prints a line for every commit that has returned: the document, the number that
it wrote, and the position it got.
"""

from __future__ import annotations

import asyncio
import pathlib
import sys

from collab.ids import ActorId, DocumentId, Millis, Path, ProjectId
from collab.store.base import Append, Checkpoint, CreateDocument, CreateProject, Entry, Project, Row
from collab.store.sqlite import SqliteStore, open_store

NOTES = ProjectId("notes")
WRITERS = 8


def document(writer: int) -> DocumentId:
    return DocumentId(f"d{writer}")


async def begin(store: SqliteStore) -> None:
    rows = [Row(id=document(writer), project=NOTES, path=Path(f"{writer}.md")) for writer in range(WRITERS)]
    project = Project(id=NOTES, name="notes", created_at=Millis(0), created_by=ActorId("alice"))
    await store.commit(changes=[CreateProject(project), *(CreateDocument(row) for row in rows)])


async def write(store: SqliteStore, writer: int) -> None:
    """Goes on where the log ends. Every payload names its number, and is large enough that the log is checkpointed."""
    row = await store.document(document(writer))
    assert row is not None
    number = int(row.head)
    while True:
        number += 1
        entry = Entry(kind=1, actor=ActorId("alice"), payload=b"%d:" % number + b"x" * 3000, clients=())
        committed = await store.commit([Append(document=row.id, entries=(entry,))])
        print(row.id, number, committed.heads[row.id], flush=True)  # noqa: T201 - the acknowledgement
        if number % 50 == 0:
            await store.checkpoint(row.id, Checkpoint(committed.heads[row.id], b"state"))


async def main(folder: pathlib.Path) -> None:
    store = await open_store(folder)
    if await store.project("notes") is None:
        await begin(store)
    await asyncio.gather(*(write(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
