"""Announcements, over every adapter of the store."""

from __future__ import annotations

import pytest

from collab.ids import ActorId, BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import Announce, CreateDocument, Emit, Event, SetDocument, Store
from tests.contracts.conftest import NOTES, README, append, row

pytestmark = pytest.mark.anyio

OTHER = DocumentId("other")


def announce(position: int, sha: str, document: DocumentId = README, project: ProjectId = NOTES) -> Announce:
    event = Event(
        project=project,
        kind="changed",
        path=Path("as the room knew it"),
        document=document,
        sha=BlobSha(sha),
        position=Position(position),
        actors=(ActorId("alice"), ActorId("bob")),
    )
    return Announce(event, size=len(sha))


async def test_an_announcement_moves_the_row_and_tells_the_project(store: Store, notes: ProjectId) -> None:
    await store.commit([append(b"a", b"b")])
    committed = await store.commit(changes=[announce(2, "abc")])
    found = await store.document(README)
    assert found is not None
    assert (found.announced, found.sha, found.sha_position, found.size) == (2, "abc", 2, 3)
    [event] = await store.events(NOTES, after=committed.events[0].n - 1, limit=10)
    assert (event.kind, event.path, event.document, event.sha, event.position, event.actors, event.at) == (
        "changed", found.path, README, "abc", 2, ("alice", "bob"), committed.at,
    )  # fmt: skip


async def test_an_announcement_that_is_late_moves_nothing_back(store: Store, notes: ProjectId) -> None:
    await store.commit([append(b"a", b"b", b"c")])
    newer = SetDocument(
        id=README, fields={"sha": BlobSha("new"), "sha_position": Position(3), "size": 9, "announced": Position(3)}
    )
    await store.commit(changes=[newer])
    await store.commit(changes=[announce(2, "old")])
    found = await store.document(README)
    assert found is not None
    assert (found.announced, found.sha, found.sha_position, found.size) == (3, "new", 3, 9)


async def test_many_are_told_at_once_with_gapless_numbers(store: Store, notes: ProjectId) -> None:
    await store.commit([append(b"a")])
    await store.commit(changes=[CreateDocument(row(OTHER, "other.md"))])
    before = (await store.commit(changes=[Emit(Event(project=NOTES, kind="snapshot"))])).events[0].n
    committed = await store.commit(changes=[announce(1, "abc"), announce(0, "def", OTHER), announce(1, "abc")])
    assert [event.n for event in committed.events] == [before + 1, before + 2, before + 3]
    told = await store.events(NOTES, after=before, limit=10)
    assert [(event.n, event.document) for event in told] == [
        (before + 1, README), (before + 2, OTHER), (before + 3, README),
    ]  # fmt: skip


async def test_a_document_or_project_that_is_gone_is_passed_over(store: Store, notes: ProjectId) -> None:
    await store.commit([append(b"a")])
    gone = announce(1, "x", DocumentId("nowhere"))
    elsewhere = announce(1, "x", README, ProjectId("no such project"))
    committed = await store.commit(changes=[gone, announce(1, "abc"), elsewhere])
    assert [event.document for event in committed.events] == [README]
    assert (await store.commit(changes=[gone])).events == ()


async def test_a_sha_that_was_told_names_its_position(store: Store, notes: ProjectId) -> None:
    await store.commit([append(b"a", b"b")])
    await store.commit(changes=[announce(1, "abc")])
    await store.commit(changes=[announce(2, "def")])
    assert await store.named(README, BlobSha("abc")) == 1
    assert await store.named(README, BlobSha("def")) == 2
    assert await store.named(README, BlobSha("never told")) is None
    assert await store.named(OTHER, BlobSha("abc")) is None


async def test_the_names_in_a_directory_are_those_of_files_and_of_directories(store: Store, notes: ProjectId) -> None:
    files = ["docs/a.md", "docs/deep/b.md", "docs/deep/c.md", "docs.md", "docs2/x", "caf\udce9/y"]
    await store.commit(changes=[CreateDocument(row(f"d{n}", path)) for n, path in enumerate(files)])
    found = await store.document(README)
    assert found is not None
    assert await store.names(NOTES, "") == {found.path, "docs", "docs.md", "docs2", "caf\udce9"}
    assert await store.names(NOTES, "docs") == {"a.md", "deep"}
    assert await store.names(NOTES, "docs/deep") == {"b.md", "c.md"}
    assert await store.names(NOTES, "nowhere") == set()
