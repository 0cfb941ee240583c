"""A document as it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from collab import history
from collab.compaction import compact
from collab.document import Document, seed
from collab.errors import Invalid, NotFound, Quarantined
from collab.ids import ActorId, ClientId, DocumentId, Millis, Path, Position, ProjectId
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, Project, Row
from collab.store.memory import MemoryStore
from tests.collab.keystrokes import recording

pytestmark = pytest.mark.anyio

ALICE = ActorId("alice")
README = DocumentId("readme")
NOTES = ProjectId("notes")


def meta(**fields: object) -> Entry:
    return Entry(kind=EntryKind.META, actor=ALICE, payload=json.dumps(fields).encode())


def update(payload: bytes) -> Entry:
    return Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=payload)


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """With one empty document."""
    made = MemoryStore()
    await made.commit(
        changes=[
            CreateProject(Project(id=NOTES, name="notes", created_at=Millis(0), created_by=ALICE)),
            CreateDocument(Row(id=README, project=NOTES, path=Path("readme.md"))),
        ]
    )
    yield made
    await made.aclose()


async def add(store: MemoryStore, *entries: Entry) -> None:
    await store.commit([Append(document=README, entries=entries)])


async def test_the_text_is_found_at_any_position(store: MemoryStore) -> None:
    author = Document(ClientId(1))
    texts = [""]
    for text in ["a", "ab", "a😀b", "", "語\n", "語\nz"]:
        made = author.edit(text)
        assert made is not None
        await add(store, update(made))
        texts.append(text)
    author.close()
    for _ in range(2):
        assert [await history.text_at(store, README, Position(n)) for n in range(len(texts))] == texts
        document = await history.document_at(store, README, Position(3))
        assert document.text == texts[3]
        document.close()
        await compact(store, README)


async def test_entries_of_unknown_kinds_are_skipped(store: MemoryStore) -> None:
    await add(store, meta(path="a"), Entry(kind=99, actor=ALICE, payload=b"?"), update(seed("text", ClientId(1))))
    assert await history.text_at(store, README, Position(3)) == "text"


async def test_a_long_history_gives_way_to_others(store: MemoryStore) -> None:
    recorded = recording()
    await add(store, *map(update, recorded.updates))
    assert await history.text_at(store, README, Position(len(recorded.updates))) == recorded.text


async def test_what_cannot_be_decoded_is_quarantined(store: MemoryStore) -> None:
    await add(store, update(b"\xff\xff"))
    with pytest.raises(Quarantined):
        await history.text_at(store, README, Position(1))
    assert await history.text_at(store, README, Position(0)) == ""


async def test_what_does_not_exist_is_not_found(store: MemoryStore) -> None:
    with pytest.raises(NotFound):
        await history.text_at(store, DocumentId("nobody"), Position(0))
    with pytest.raises(NotFound):
        await history.meta_at(store, DocumentId("nobody"), Position(0))
    with pytest.raises(NotFound):
        await history.meta_at(store, README, Position(0))
    with pytest.raises(Invalid):
        await history.text_at(store, README, Position(1))


async def test_metadata_is_what_it_was(store: MemoryStore) -> None:
    await add(store, meta(path="a.md", kind="text", mode=0o100644, eol="crlf", bom=True, object=None))
    await add(store, update(seed("x", ClientId(1))), meta(path='"caf\\351"', mode=0o100755))
    await add(store, meta(kind="binary", object="ab" * 20), meta(deleted=True, note="later versions say more"))
    seen = [await history.meta_at(store, README, Position(position)) for position in range(1, 6)]
    assert seen[0] == seen[1] == history.Meta(path=Path("a.md"), eol="crlf", bom=True)
    assert seen[2] == history.Meta(path=Path("caf\udce9"), eol="crlf", bom=True, mode=0o100755)
    assert (seen[3].kind, seen[3].object, seen[3].deleted) == ("binary", "ab" * 20, False)
    assert seen[4].deleted


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"{}", b'{"path": 1, "mode": "x"}', b'{"path": "\\"open"}'])
async def test_metadata_that_cannot_be_read_is_quarantined(store: MemoryStore, payload: bytes) -> None:
    await add(store, Entry(kind=EntryKind.META, actor=ALICE, payload=payload))
    with pytest.raises(Quarantined):
        await history.meta_at(store, README, Position(1))
