"""Every adapter of every plug point, for the suites here."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from collab.ids import ActorId, DocumentId, Millis, Path, ProjectId
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, Project, Row, Store
from collab.store.memory import MemoryStore
from collab.store.sqlite import open_store

ALICE = ActorId("alice")
BOB = ActorId("bob")
NOTES = ProjectId("p-notes")
README = DocumentId("d-readme")


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = Millis(1_700_000_000_000)

    def __call__(self) -> Millis:
        return self.now

    def advance(self, millis: int) -> None:
        self.now = Millis(self.now + millis)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: Clock) -> AsyncIterator[Store]:
    """An empty store."""
    async with AsyncExitStack() as stack:
        made: Store
        if request.param == "memory":
            made = MemoryStore(clock=clock)
        else:
            made = await open_store(tmp_path / "data", clock=clock)
        stack.push_async_callback(made.aclose)
        yield made


@pytest.fixture
async def notes(store: Store) -> ProjectId:
    """A project with one empty document, README at `readme.md`."""
    await store.commit(
        changes=[
            CreateProject(Project(id=NOTES, name="notes", created_at=Millis(0), created_by=ALICE)),
            CreateDocument(row(README, "readme.md")),
        ]
    )
    return NOTES


def row(id_: str, path: str, *, project: ProjectId = NOTES, by: ActorId = ALICE, staged: str | None = None) -> Row:
    return Row(id=DocumentId(id_), project=project, path=Path(path), created_by=by, staged=staged)


def update(payload: bytes, *, actor: ActorId = ALICE, clients: tuple[int, ...] = ()) -> Entry:
    return Entry(kind=EntryKind.UPDATE, actor=actor, payload=payload, clients=clients)  # type: ignore[arg-type]


def append(*payloads: bytes, to: str = README, actor: ActorId = ALICE, expect: int | None = None) -> Append:
    return Append(
        document=DocumentId(to),
        entries=tuple(update(payload, actor=actor) for payload in payloads),
        expect=expect,  # type: ignore[arg-type]
    )
