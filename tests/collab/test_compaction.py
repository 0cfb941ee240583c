"""When a log is worth a checkpoint, and that a checkpoint is the document."""

from __future__ import annotations

import pathlib
import statistics
import time
from collections.abc import AsyncIterator

import pytest

from collab import history
from collab.compaction import compact, due
from collab.document import Document, seed
from collab.errors import LogFailed, Quarantined
from collab.ids import ActorId, ClientId, DocumentId, Millis, Path, Position, ProjectId
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, LogSize, Project, Row, Store
from collab.store.memory import MemoryStore
from collab.store.sqlite import open_store
from tests.collab.keystrokes import CLIENT, recording

pytestmark = pytest.mark.anyio

ALICE = ActorId("alice")
README = DocumentId("readme")
NOTES = ProjectId("notes")


def size(loose: int, loose_bytes: int, checkpoint_bytes: int = 0) -> LogSize:
    return LogSize(
        head=Position(loose),
        checkpoint=Position(0),
        loose=loose,
        loose_bytes=loose_bytes,
        packed_bytes=0,
        checkpoint_bytes=checkpoint_bytes,
    )


async def begin(store: Store) -> Store:
    await store.commit(
        changes=[
            CreateProject(Project(id=NOTES, name="notes", created_at=Millis(0), created_by=ALICE)),
            CreateDocument(Row(id=README, project=NOTES, path=Path("readme.md"))),
        ]
    )
    return store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = await begin(MemoryStore())
    yield made
    await made.aclose()


def update(payload: bytes, client: int = CLIENT) -> Entry:
    return Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=payload, clients=(ClientId(client),))


async def add(store: Store, *payloads: bytes) -> None:
    await store.commit([Append(document=README, entries=tuple(map(update, payloads)))])


async def checkpoint(store: Store) -> tuple[int, bytes] | None:
    loaded = await store.load(README)
    assert loaded is not None
    return None if loaded.checkpoint is None else (loaded.checkpoint.position, loaded.checkpoint.state)


class TestDue:
    def test_a_short_log_is_left_alone(self) -> None:
        assert not due(size(499, 10_000_000))
        assert not due(size(4_999, 31_999))

    def test_a_heavy_log_is_due(self) -> None:
        assert due(size(500, 32_000))

    def test_a_large_document_waits_until_it_pays(self) -> None:
        assert not due(size(4_999, 99_999, checkpoint_bytes=200_000))
        assert due(size(500, 100_000, checkpoint_bytes=200_000))

    def test_a_long_log_is_due_whatever_it_weighs(self) -> None:
        assert due(size(5_000, 0, checkpoint_bytes=10_000_000))


class TestCompact:
    async def test_a_checkpoint_is_the_document(self, store: Store) -> None:
        recorded = recording(limit=3000)
        await add(store, *recorded.updates)
        await compact(store, README)
        found = await checkpoint(store)
        assert found is not None
        assert found[0] == 3000
        document = Document.load(ClientId(1), [found[1]])
        assert document.text == recorded.text
        document.close()
        after = await store.size(README)
        assert after is not None
        assert after.loose == 0

    async def test_a_second_checkpoint_begins_at_the_first(self, store: Store) -> None:
        recorded = recording(limit=3000)
        await add(store, *recorded.updates[:2000])
        await compact(store, README)
        await add(store, *recorded.updates[2000:])
        await compact(store, README)
        assert await history.text_at(store, README, Position(3000)) == recorded.text
        found = await checkpoint(store)
        assert found is not None
        assert found[0] == 3000

    async def test_nothing_new_makes_no_checkpoint(self, store: Store) -> None:
        await compact(store, README)
        assert await checkpoint(store) is None
        await compact(store, DocumentId("nobody"))
        await add(store, seed("text", ClientId(CLIENT)))
        await compact(store, README)
        before = await checkpoint(store)
        await compact(store, README)
        assert await checkpoint(store) == before

    async def test_metadata_alone_makes_an_empty_document(self, store: Store) -> None:
        entry = Entry(kind=EntryKind.META, actor=ALICE, payload=b"{}")
        await store.commit([Append(document=README, entries=(entry,))])
        await compact(store, README)
        assert await checkpoint(store) == (1, b"\0\0")

    async def test_a_log_that_cannot_be_decoded_gets_no_checkpoint(self, store: Store) -> None:
        await add(store, b"\xff\xff\xff")
        with pytest.raises(Quarantined):
            await compact(store, README)
        assert await checkpoint(store) is None

    async def test_a_log_that_misses_something_gets_no_checkpoint(self, store: Store) -> None:
        recorded = recording(limit=3)
        await add(store, recorded.updates[0], recorded.updates[2])
        with pytest.raises(LogFailed, match=f"it lacks entries of client {CLIENT}"):
            await compact(store, README)
        assert await checkpoint(store) is None
        after = await store.size(README)
        assert after is not None
        assert after.loose == 2


async def test_recorded_keystrokes_pack_small_load_fast_and_stay_reachable(tmp_path: pathlib.Path) -> None:
    """The whole recording has 259,778 keystrokes, and is to stay below 3 MB: below 12 bytes each, with all checkpoints.
    This is a short one, of which a file's empty tables and the room for entries that wait to be packed are the most."""
    recorded = recording()
    made = 0

    def clock() -> Millis:
        return Millis(1_700_000_000_000 + made * 150 + made * made % 97)

    folder = tmp_path / "data"
    store = await begin(await open_store(folder, clock=clock))
    for begin_at in range(0, len(recorded.updates), 20):
        await add(store, *recorded.updates[begin_at : begin_at + 20])
        made += 20
        if made % 500 == 0:
            found = await store.size(README)
            assert found is not None
            if due(found):
                await compact(store, README)
    await compact(store, README)
    logged = await store.size(README)
    assert logged is not None
    assert logged.checkpoint_bytes < 40_000
    assert logged.checkpoint_bytes + logged.packed_bytes < 6 * made
    times = []
    for _ in range(5):
        started = time.perf_counter()
        loaded = await store.load(README)
        assert loaded is not None
        document = history.rebuild(loaded)
        times.append(time.perf_counter() - started)
        assert document.text == recorded.text
        document.close()
    assert statistics.median(times) < 0.05
    entries = await store.entries(README, Position(0), Position(made))
    assert [each.entry.payload for each in entries] == list(recorded.updates)
    assert [each.position for each in entries] == list(range(1, made + 1))
    assert {(each.entry.actor, each.entry.clients) for each in entries} == {(ALICE, (CLIENT,))}
    assert len({each.at for each in entries}) == made // 20
    (one,) = await store.entries(README, Position(12_344), Position(12_345))
    assert one == entries[12_344]
    await store.aclose()
    assert (folder / "quire.sqlite").stat().st_size < 400_000
