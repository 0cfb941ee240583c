"""The contract Store, over every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from collab.errors import Invalid, LogFailed, NotFound, PathTaken, Stale, Unavailable
from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId, TurnId
from collab.paths import show
from collab.store.base import (
    Append,
    Checkpoint,
    CreateDocument,
    CreateProject,
    DeleteProject,
    DropStaged,
    Emit,
    Entry,
    EntryKind,
    Event,
    Line,
    Project,
    PublishStaged,
    PutRecord,
    RenameProject,
    SetDocument,
    Store,
)
from tests.contracts.conftest import ALICE, BOB, NOTES, README, Clock, append, row, update

pytestmark = pytest.mark.anyio


def put(key: str, value: bytes | None, project: ProjectId = NOTES, **swap: bytes | None) -> PutRecord:
    return PutRecord(collection="things", project=project, key=key, value=value, **swap)


async def positions(store: Store, document: DocumentId = README) -> list[int]:
    loaded = await store.load(document)
    assert loaded is not None
    return [logged.position for logged in loaded.entries]


async def payloads(store: Store, position: int | None = None, document: DocumentId = README) -> list[bytes]:
    loaded = await store.load(document, None if position is None else Position(position))
    assert loaded is not None
    start = [loaded.checkpoint.state] if loaded.checkpoint else []
    return start + [logged.entry.payload for logged in loaded.entries]


class TestTheLog:
    async def test_positions_count_from_one_without_gaps(self, store: Store, notes: ProjectId) -> None:
        first = await store.commit([append(b"a", b"b")])
        second = await store.commit([append(b"c")])
        assert first.heads == {README: 2}
        assert second.heads == {README: 3}
        assert await positions(store) == [1, 2, 3]

    async def test_an_entry_comes_back_as_it_went_in(self, store: Store, notes: ProjectId) -> None:
        entry = Entry(
            kind=77,
            actor=BOB,
            payload=b"\x00\xff",
            on_behalf_of=ALICE,
            turn=TurnId("t"),
            clients=(ClientId(1), ClientId(2**53 - 1)),
        )
        committed = await store.commit([Append(document=README, entries=(entry,))])
        loaded = await store.load(README)
        assert loaded is not None
        (logged,) = loaded.entries
        assert logged.entry == entry
        assert logged.at == committed.at
        assert (loaded.head, loaded.position) == (1, 1)

    async def test_an_append_moves_the_row(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        clock.advance(5)
        await store.commit([append(b"a", actor=BOB)])
        found = await store.document(README)
        assert found is not None
        assert (found.head, found.updated_at, found.updated_by) == (1, clock.now, BOB)
        assert found.created_at == clock.now - 5

    async def test_a_document_that_is_not_there_loads_as_none(self, store: Store) -> None:
        assert await store.load(DocumentId("nobody")) is None
        assert await store.size(DocumentId("nobody")) is None

    async def test_an_append_to_a_document_that_is_not_there_is_refused(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.commit([append(b"a", to="nobody")])

    async def test_an_append_that_expects_another_head_is_stale(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a", expect=0)])
        with pytest.raises(Stale):
            await store.commit([append(b"b", expect=0)])
        with pytest.raises(Stale):
            await store.commit([append(expect=0)])
        assert (await store.commit([append(expect=1)])).heads == {README: 1}
        assert await payloads(store) == [b"a"]

    async def test_one_refusal_undoes_the_whole_commit(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(NotFound):
            await store.commit(
                [append(b"a"), append(b"b", to="nobody")], [CreateDocument(row("d2", "b.md")), put("k", b"v")]
            )
        assert await positions(store) == []
        assert await store.document(DocumentId("d2")) is None
        assert await store.at_path(NOTES, Path("b.md")) is None
        assert await store.record("things", NOTES, "k") is None
        assert (await store.commit([append(b"c")])).heads == {README: 1}

    async def test_a_refused_commit_does_not_fail_its_neighbours(self, store: Store, notes: ProjectId) -> None:
        refused: list[Exception] = []

        async def attempt(*job: Append) -> None:
            try:
                await store.commit(job)
            except (NotFound, Stale) as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(attempt, append(b"%d" % number))
                group.start_soon(attempt, append(b"x", to="nobody"))
                group.start_soon(attempt, append(b"x", expect=1000))
                group.start_soon(attempt, append(b"x"), append(b"x", to="nobody"))
        assert len(refused) == 90
        assert await payloads(store) == [b"%d" % number for number in range(30)]
        assert await positions(store) == list(range(1, 31))

    async def test_a_cancelled_caller_leaves_the_store_working(self, store: Store, notes: ProjectId) -> None:
        for _ in range(20):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.commit([append(b"perhaps")])
        await store.commit([append(b"surely")])
        logged = await payloads(store)
        assert logged[-1] == b"surely"
        assert await positions(store) == list(range(1, len(logged) + 1))

    async def test_time_never_goes_backwards(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        first = await store.commit([append(b"a")])
        clock.advance(-60_000)
        second = await store.commit([append(b"b")])
        assert second.at == first.at

    async def test_a_document_is_found_at_any_position(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a", b"b", b"c")])
        assert [await payloads(store, position) for position in range(4)] == [
            [],
            [b"a"],
            [b"a", b"b"],
            [b"a", b"b", b"c"],
        ]

    async def test_a_position_beyond_the_head_is_invalid(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(Invalid):
            await store.load(README, Position(1))
        with pytest.raises(Invalid):
            await store.load(README, Position(-1))

    async def test_entries_gives_a_range(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(*(b"%d" % n for n in range(1, 11)))])
        found = await store.entries(README, Position(3), Position(6))
        assert [logged.entry.payload for logged in found] == [b"4", b"5", b"6"]
        assert [logged.position for logged in found] == [4, 5, 6]
        assert list(await store.entries(DocumentId("nobody"), Position(0), Position(9))) == []

    async def test_entries_of_one_kind_are_found_among_others(self, store: Store, notes: ProjectId) -> None:
        kinds = [EntryKind.META, 1, 1, 77, EntryKind.META, 1, 63, 62, 1]
        made = tuple(Entry(kind=kind, actor=ALICE, payload=b"%d" % n) for n, kind in enumerate(kinds, start=1))
        await store.commit([Append(document=README, entries=made)])
        for position in (3, 4, 9):
            found = await store.entries(README, Position(0), Position(9), kind=EntryKind.META)
            assert [logged.position for logged in found] == [1, 5]
            found = await store.entries(README, Position(1), Position(8), kind=62)
            assert [logged.entry.payload for logged in found] == [b"8"]
            assert list(await store.entries(README, Position(4), Position(9), kind=77)) == []
            await store.checkpoint(README, Checkpoint(Position(position), b"state"))

    async def test_a_position_is_found_by_time(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        begin = clock.now
        for number in range(10):
            clock.advance(10)
            await store.commit([append(b"%d" % number)])
        for _ in range(2):
            found = [await store.position_at(README, Millis(begin + offset)) for offset in (0, 9, 10, 55, 100, 5000)]
            assert found == [0, 0, 1, 5, 10, 10]
            await store.checkpoint(README, Checkpoint(Position(8), b"state"))
        assert await store.position_at(DocumentId("nobody"), clock.now) == 0


class TestBindings:
    async def test_a_client_belongs_to_whoever_used_it_first(self, store: Store, notes: ProjectId) -> None:
        mine = ClientId(2**53 - 1)
        await store.commit([Append(document=README, entries=(update(b"a", clients=(mine, 7)),))])
        await store.commit([Append(document=README, entries=(update(b"b", actor=BOB, clients=(mine, 8)),))])
        loaded = await store.load(README)
        assert loaded is not None
        assert loaded.bindings == {mine: ALICE, 7: ALICE, 8: BOB}

    async def test_bindings_stay_when_entries_are_packed(self, store: Store, notes: ProjectId) -> None:
        await store.commit([Append(document=README, entries=(update(b"a", clients=(7,)),))])
        await store.checkpoint(README, Checkpoint(Position(1), b"state"))
        loaded = await store.load(README)
        assert loaded is not None
        assert loaded.bindings == {7: ALICE}

    async def test_a_client_of_a_former_document_of_the_path_is_known(self, store: Store, notes: ProjectId) -> None:
        await store.commit([Append(document=README, entries=(update(b"a", clients=(7,)),))])
        await store.commit(changes=[SetDocument(id=README, fields={"deleted_at": Millis(1), "deleted_by": ALICE})])
        moved = DocumentId("moved")
        new = DocumentId("new")
        await store.commit(changes=[CreateDocument(row(moved, "readme.md"))])
        await store.commit([Append(document=moved, entries=(update(b"a", clients=(8,)),))])
        await store.commit(changes=[SetDocument(id=moved, fields={"path": Path("b.md")})])
        await store.commit(changes=[CreateDocument(row(new, "readme.md"))])
        await store.commit([Append(document=new, entries=(update(b"a", clients=(9,)),))])
        clients = [ClientId(client) for client in (6, 7, 8, 9)]
        assert await store.bound_before(new, clients) == {7, 8}
        assert await store.bound_before(README, clients) == {8}
        assert await store.bound_before(moved, clients) == frozenset()
        assert await store.bound_before(DocumentId("nobody"), clients) == frozenset()


class TestCheckpoints:
    async def test_a_load_begins_at_the_newest_checkpoint_before_it(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(*(b"%d" % n for n in range(1, 11)))])
        await store.checkpoint(README, Checkpoint(Position(6), b"six" * 100))
        assert await payloads(store) == [b"six" * 100, b"7", b"8", b"9", b"10"]
        assert await payloads(store, 6) == [b"six" * 100]
        assert await payloads(store, 5) == [b"1", b"2", b"3", b"4", b"5"]

    async def test_packed_entries_are_still_there(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        before = []
        for number in range(40):
            clock.advance(number)
            entry = Entry(
                kind=1 + number % 3,
                actor=ActorId(f"a{number % 4}"),
                payload=b"%d" % number * number,
                on_behalf_of=ALICE if number % 2 else None,
                turn=TurnId(f"t{number}") if number % 5 else None,
                clients=tuple(ClientId(client) for client in range(number % 3)),
            )
            await store.commit([Append(document=README, entries=(entry,))])
        before = list(await store.entries(README, Position(0), Position(40)))
        for position in (10, 11, 30, 40):
            await store.checkpoint(README, Checkpoint(Position(position), b"state"))
            assert list(await store.entries(README, Position(0), Position(40))) == before
            assert list(await store.entries(README, Position(9), Position(31))) == before[9:31]

    async def test_checkpoints_made_at_once_lose_nothing(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(*(b"%d" % n for n in range(1, 101)))])
        before = list(await store.entries(README, Position(0), Position(100)))
        for rounds in ([90, 50, 10], [20, 60, 40, 95], [100, 99]):
            async with anyio.create_task_group() as group:
                for position in rounds:
                    group.start_soon(store.checkpoint, README, Checkpoint(Position(position), b"state"))
            assert list(await store.entries(README, Position(0), Position(100))) == before

    async def test_a_checkpoint_beyond_the_head_is_invalid(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(Invalid):
            await store.checkpoint(README, Checkpoint(Position(1), b"state"))
        with pytest.raises(NotFound):
            await store.checkpoint(DocumentId("nobody"), Checkpoint(Position(1), b"state"))

    async def test_size_tells_what_is_not_packed(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"12345", b"678")])
        size = await store.size(README)
        assert size is not None
        assert (size.head, size.checkpoint, size.loose, size.loose_bytes) == (2, 0, 2, 8)
        await store.checkpoint(README, Checkpoint(Position(1), b"state"))
        size = await store.size(README)
        assert size is not None
        assert (size.head, size.checkpoint, size.loose, size.loose_bytes) == (2, 1, 1, 3)
        assert size.checkpoint_bytes == 5
        assert size.packed_bytes > 0

    async def test_quarantine_marks_the_row_and_touches_nothing(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a")])
        await store.quarantine(README, "broken")
        found = await store.document(README)
        assert found is not None
        assert found.quarantined == "broken"
        assert await payloads(store) == [b"a"]
        await store.quarantine(README, None)
        found = await store.document(README)
        assert found is not None
        assert found.quarantined is None
        with pytest.raises(NotFound):
            await store.quarantine(DocumentId("nobody"), "broken")


class TestProjects:
    async def test_a_project_is_found_by_name_and_by_id(self, store: Store, notes: ProjectId) -> None:
        found = await store.project("notes")
        assert found is not None
        assert found.id == NOTES
        assert await store.project_by_id(NOTES) == found
        assert await store.project("other") is None
        assert await store.project_by_id(ProjectId("other")) is None

    async def test_projects_come_by_name(self, store: Store, notes: ProjectId) -> None:
        other = Project(id=ProjectId("p2"), name="alpha", created_at=Millis(3), created_by=BOB)
        await store.commit(changes=[CreateProject(other)])
        assert [project.name for project in await store.projects()] == ["alpha", "notes"]
        assert (await store.projects())[0] == other

    async def test_a_name_is_taken_once(self, store: Store, notes: ProjectId) -> None:
        other = Project(id=ProjectId("p2"), name="notes", created_at=Millis(0), created_by=BOB)
        with pytest.raises(PathTaken):
            await store.commit(changes=[CreateProject(other)])
        assert await store.project_by_id(ProjectId("p2")) is None

    async def test_a_project_is_renamed(self, store: Store, notes: ProjectId) -> None:
        other = Project(id=ProjectId("p2"), name="other", created_at=Millis(0), created_by=BOB)
        await store.commit(changes=[CreateProject(other)])
        with pytest.raises(PathTaken):
            await store.commit(changes=[RenameProject(NOTES, "other")])
        await store.commit(changes=[RenameProject(NOTES, "notes"), RenameProject(NOTES, "diary")])
        assert await store.project("notes") is None
        assert await store.project("diary") is not None
        with pytest.raises(NotFound):
            await store.commit(changes=[RenameProject(ProjectId("nobody"), "x")])

    async def test_a_deleted_project_is_gone_with_everything(self, store: Store, notes: ProjectId) -> None:
        await store.commit(
            [append(b"a", b"b")],
            [Emit(Event(project=NOTES, kind="changed")), put("k", b"v"), put("k", b"w", ProjectId(""))],
        )
        await store.checkpoint(README, Checkpoint(Position(1), b"state"))
        await store.commit(changes=[DeleteProject(NOTES)])
        assert await store.project("notes") is None
        assert await store.document(README) is None
        assert await store.load(README) is None
        assert list(await store.entries(README, Position(0), Position(2))) == []
        assert list(await store.tree(NOTES)) == []
        assert list(await store.events(NOTES, after=0, limit=10)) == []
        assert await store.record("things", NOTES, "k") is None
        assert await store.record("things", ProjectId(""), "k") == b"w"
        with pytest.raises(NotFound):
            await store.commit([append(b"late")])
        with pytest.raises(NotFound):
            await store.commit(changes=[DeleteProject(NOTES)])

    async def test_a_deletion_that_is_undone_leaves_everything(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a")], [Emit(Event(project=NOTES, kind="changed")), put("k", b"v")])
        with pytest.raises(NotFound):
            await store.commit([append(b"b", to="nobody")], [DeleteProject(NOTES)])
        assert await payloads(store) == [b"a"]
        assert await store.at_path(NOTES, Path("readme.md")) is not None
        assert len(await store.events(NOTES, after=0, limit=9)) == 1
        assert await store.record("things", NOTES, "k") == b"v"


class TestTheCatalog:
    async def test_a_row_comes_back_as_it_went_in(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        await store.commit(
            [append(b"a", to="d2", actor=BOB)],
            [
                CreateDocument(row("d2", "bin/\udce9\udcff.sh")),
                SetDocument(
                    id=DocumentId("d2"),
                    fields={
                        "kind": "symlink",
                        "mode": 0o120000,
                        "eol": "crlf",
                        "bom": True,
                        "object": BlobSha("1" * 40),
                        "sha": BlobSha("2" * 40),
                        "sha_position": Position(1),
                        "size": 12,
                        "announced": Position(1),
                    },
                ),
            ],
        )
        found = await store.at_path(NOTES, Path("bin/\udce9\udcff.sh"))
        assert found is not None
        assert found == await store.document(DocumentId("d2"))
        assert (found.path, found.kind, found.mode, found.eol) == ("bin/\udce9\udcff.sh", "symlink", 0o120000, "crlf")
        assert found.bom is True
        assert (found.object, found.sha, found.sha_position, found.size) == ("1" * 40, "2" * 40, 1, 12)
        assert (found.announced, found.head) == (1, 1)
        assert (found.created_at, found.created_by, found.updated_by) == (clock.now, ALICE, BOB)

    async def test_two_live_documents_never_share_a_path(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(PathTaken):
            await store.commit(changes=[CreateDocument(row("d2", "readme.md"))])
        with pytest.raises(PathTaken):
            await store.commit(
                changes=[
                    CreateDocument(row("d2", "b.md")),
                    SetDocument(id=DocumentId("d2"), fields={"path": Path("readme.md")}),
                ]
            )
        assert await store.document(DocumentId("d2")) is None

    async def test_the_same_path_is_free_in_another_project(self, store: Store, notes: ProjectId) -> None:
        other = ProjectId("p2")
        await store.commit(
            changes=[
                CreateProject(Project(id=other, name="other", created_at=Millis(0), created_by=BOB)),
                CreateDocument(row("d2", "readme.md", project=other)),
            ]
        )
        found = await store.at_path(other, Path("readme.md"))
        assert found is not None
        assert found.id == "d2"

    async def test_a_document_needs_its_project_and_an_id_of_its_own(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(NotFound):
            await store.commit(changes=[CreateDocument(row("d2", "b.md", project=ProjectId("nobody")))])
        with pytest.raises(Stale):
            await store.commit(changes=[CreateDocument(row(README, "b.md"))])
        with pytest.raises(NotFound):
            await store.commit(changes=[SetDocument(id=DocumentId("nobody"), fields={"size": 1})])

    async def test_what_is_the_stores_own_cannot_be_set(self, store: Store, notes: ProjectId) -> None:
        with pytest.raises(ValueError, match="head"):
            await store.commit(changes=[SetDocument(id=README, fields={"head": 9})])  # type: ignore[typeddict-unknown-key]
        await store.commit([append(b"a")])
        assert await positions(store) == [1]

    async def test_a_row_that_moved_on_is_stale(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a")])
        with pytest.raises(Stale):
            await store.commit(changes=[SetDocument(id=README, fields={"size": 1}, expect_head=Position(0))])
        await store.commit([append(b"b")], [SetDocument(id=README, fields={"size": 1}, expect_head=Position(1))])
        found = await store.document(README)
        assert found is not None
        assert (found.size, found.head) == (1, 2)

    async def test_several_documents_are_found_at_once(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[CreateDocument(row("d2", "b.md"))])
        by_id = await store.documents([README, DocumentId("nobody"), DocumentId("d2")])
        assert {id_: found.path for id_, found in by_id.items()} == {README: "readme.md", "d2": "b.md"}
        by_path = await store.at_paths(NOTES, [Path("b.md"), Path("nothing"), Path("readme.md")])
        assert {path: found.id for path, found in by_path.items()} == {"readme.md": README, "b.md": "d2"}

    async def test_the_tree_is_in_the_order_of_bytes(self, store: Store, notes: ProjectId) -> None:
        paths = ["b/x", "b-", "b.md", "a", "é", "\udcff", "\U0001f600", "\uff5e", "Z", "b/\udce9", "b/\uffff"]
        await store.commit(changes=[CreateDocument(row(f"d{n}", path)) for n, path in enumerate(paths)])
        await store.commit(
            changes=[SetDocument(id=DocumentId("d3"), fields={"deleted_at": Millis(1), "deleted_by": BOB})]
        )
        live = sorted([path for path in [*paths, "readme.md"] if path != "a"], key=_bytes)
        assert [found.path for found in await store.tree(NOTES)] == live
        assert [found.path for found in await store.tree(NOTES, prefix="b")] == [p for p in live if p.startswith("b")]
        assert [found.path for found in await store.tree(NOTES, prefix="b/")] == [p for p in live if p.startswith("b/")]
        assert [found.path for found in await store.tree(NOTES, prefix="\udcff")] == ["\udcff"]
        assert [found.path for found in await store.tree(NOTES, after=Path(live[2]), limit=3)] == live[3:6]
        assert list(await store.tree(NOTES, limit=0)) == []
        with_deleted = [found.path for found in await store.tree_with_deleted(NOTES)]
        assert with_deleted == sorted([*live, "a"], key=_bytes)

    async def test_owed_are_those_whose_news_no_event_tells(self, store: Store, notes: ProjectId) -> None:
        assert list(await store.owed()) == []
        await store.commit([append(b"a", b"b")])
        assert [found.id for found in await store.owed()] == [README]
        await store.commit(changes=[SetDocument(id=README, fields={"announced": Position(2)})])
        assert list(await store.owed()) == []


class TestMovesAndDeletions:
    async def move(self, store: Store, document: str, path: str) -> None:
        await store.commit(changes=[SetDocument(id=DocumentId(document), fields={"path": Path(path)})])

    async def delete(self, store: Store, document: str, at: int = 1) -> None:
        await store.commit(
            changes=[SetDocument(id=DocumentId(document), fields={"deleted_at": Millis(at), "deleted_by": BOB})]
        )

    async def led_to(self, store: Store, path: str) -> str | None:
        found = await store.led_from(NOTES, Path(path))
        return found.id if found else None

    async def test_the_old_path_leads_to_where_a_document_went(self, store: Store, notes: ProjectId) -> None:
        await self.move(store, README, "b.md")
        await self.move(store, README, "c.md")
        assert await store.at_path(NOTES, Path("readme.md")) is None
        assert await self.led_to(store, "readme.md") == README
        assert await self.led_to(store, "b.md") == README
        assert await self.led_to(store, "c.md") is None
        assert await self.led_to(store, "d.md") is None

    async def test_it_leads_nowhere_once_something_else_has_stood_there(self, store: Store, notes: ProjectId) -> None:
        await self.move(store, README, "b.md")
        await store.commit(changes=[CreateDocument(row("d2", "readme.md"))])
        assert await self.led_to(store, "readme.md") is None
        await self.delete(store, "d2")
        assert await self.led_to(store, "readme.md") is None

    async def test_it_leads_to_the_last_that_stood_there(self, store: Store, notes: ProjectId) -> None:
        await self.move(store, README, "b.md")
        await store.commit(changes=[CreateDocument(row("d2", "readme.md"))])
        await self.move(store, "d2", "c.md")
        assert await self.led_to(store, "readme.md") == "d2"
        await self.delete(store, "d2")
        assert await self.led_to(store, "readme.md") is None

    async def test_a_document_that_comes_back_is_no_longer_led_to(self, store: Store, notes: ProjectId) -> None:
        await self.move(store, README, "b.md")
        await self.move(store, README, "readme.md")
        assert await self.led_to(store, "readme.md") is None
        assert await self.led_to(store, "b.md") == README

    async def test_a_refused_move_leaves_no_trace(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[CreateDocument(row("d2", "b.md"))])
        with pytest.raises(PathTaken):
            await self.move(store, README, "b.md")
        assert await self.led_to(store, "readme.md") is None
        found = await store.document(README)
        assert found is not None
        assert found.path == "readme.md"

    async def test_a_deleted_document_frees_its_path_and_can_come_back(self, store: Store, notes: ProjectId) -> None:
        await store.commit([append(b"a")])
        await self.delete(store, README)
        assert await store.at_path(NOTES, Path("readme.md")) is None
        assert list(await store.tree(NOTES)) == []
        tombstone = await store.deleted_at_path(NOTES, Path("readme.md"))
        assert tombstone is not None
        assert (tombstone.id, tombstone.deleted_at, tombstone.deleted_by) == (README, 1, BOB)
        assert await payloads(store) == [b"a"]
        await store.commit([append(b"b")], [SetDocument(id=README, fields={"deleted_at": None, "deleted_by": None})])
        assert await payloads(store) == [b"a", b"b"]
        assert await store.at_path(NOTES, Path("readme.md")) is not None
        assert await store.deleted_at_path(NOTES, Path("readme.md")) is None

    async def test_a_deleted_document_cannot_come_back_to_a_taken_path(self, store: Store, notes: ProjectId) -> None:
        await self.delete(store, README)
        await store.commit(changes=[CreateDocument(row("d2", "readme.md"))])
        with pytest.raises(PathTaken):
            await store.commit(changes=[SetDocument(id=README, fields={"deleted_at": None})])
        await store.commit(changes=[SetDocument(id=README, fields={"deleted_at": None, "path": Path("old.md")})])
        assert [found.path for found in await store.tree(NOTES)] == ["old.md", "readme.md"]

    async def test_of_several_tombstones_the_last_is_found(self, store: Store, notes: ProjectId) -> None:
        await self.delete(store, README, at=10)
        for name, at in (("d2", 30), ("d3", 20), ("d4", 30)):
            await store.commit(changes=[CreateDocument(row(name, "readme.md"))])
            await self.delete(store, name, at)
        found = await store.deleted_at_path(NOTES, Path("readme.md"))
        assert found is not None
        assert found.id == "d4"


class TestStaging:
    async def stage(self, store: Store, *paths: str, job: str = "j") -> None:
        for path in paths:
            await store.commit([append(b"seed", to=f"s-{path}")], [CreateDocument(row(f"s-{path}", path, staged=job))])

    async def test_nobody_sees_what_is_staged(self, store: Store, notes: ProjectId) -> None:
        await self.stage(store, "a.md", "readme.md")
        assert await store.at_path(NOTES, Path("a.md")) is None
        assert [found.path for found in await store.tree(NOTES)] == ["readme.md"]
        assert [found.path for found in await store.tree_with_deleted(NOTES)] == ["readme.md"]
        assert list(await store.owed()) == []
        staged = await store.document(DocumentId("s-a.md"))
        assert staged is not None
        assert staged.staged == "j"

    async def test_publishing_shows_everything_with_its_events(
        self, store: Store, notes: ProjectId, clock: Clock
    ) -> None:
        await self.stage(store, "b.md", "a.md")
        await self.stage(store, "c.md", job="another")
        committed = await store.commit(changes=[PublishStaged(NOTES, "j")])
        assert [found.path for found in await store.tree(NOTES)] == ["a.md", "b.md", "readme.md"]
        expected = [
            Event(
                project=NOTES,
                kind="created",
                path=Path(path),
                document=DocumentId(f"s-{path}"),
                sha=row("x", "x").sha,
                position=Position(1),
                actors=(ALICE,),
                n=n,
                at=clock.now,
            )
            for n, path in enumerate(["b.md", "a.md"], start=1)
        ]
        assert list(committed.events) == expected
        assert list(await store.events(NOTES, after=0, limit=10)) == expected
        assert list(await store.owed()) == []
        assert (await store.commit(changes=[PublishStaged(NOTES, "j")])).events == ()

    async def test_publishing_onto_a_taken_path_publishes_nothing(self, store: Store, notes: ProjectId) -> None:
        await self.stage(store, "a.md", "readme.md")
        with pytest.raises(PathTaken, match=r"readme\.md"):
            await store.commit(changes=[PublishStaged(NOTES, "j")])
        assert [found.id for found in await store.tree(NOTES)] == [README]
        assert list(await store.events(NOTES, after=0, limit=10)) == []

    async def test_what_is_published_takes_the_path(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[SetDocument(id=README, fields={"path": Path("b.md")})])
        await self.stage(store, "readme.md")
        assert await store.led_from(NOTES, Path("readme.md")) is not None
        await store.commit(changes=[PublishStaged(NOTES, "j")])
        assert await store.led_from(NOTES, Path("readme.md")) is None

    async def test_dropping_leaves_nothing(self, store: Store, notes: ProjectId) -> None:
        await self.stage(store, "a.md", "b.md")
        await store.commit(changes=[DropStaged("j")])
        assert await store.document(DocumentId("s-a.md")) is None
        assert await store.load(DocumentId("s-b.md")) is None
        assert [found.path for found in await store.tree_with_deleted(NOTES)] == ["readme.md"]
        assert (await store.commit(changes=[PublishStaged(NOTES, "j")])).events == ()


class TestEvents:
    async def test_events_are_numbered_without_gaps(self, store: Store, notes: ProjectId, clock: Clock) -> None:
        event = Event(
            project=NOTES,
            kind="changed",
            path=Path("caf\udce9"),
            document=README,
            sha=BlobSha("0" * 40),
            position=Position(4),
            actors=(ALICE, BOB),
            data={"from": "x", "deep": {"list": [1, None]}},
        )
        first = await store.commit(changes=[Emit(event), Emit(Event(project=NOTES, kind="bare"))])
        with pytest.raises(NotFound):
            await store.commit([append(b"a", to="nobody")], [Emit(event)])
        second = await store.commit(changes=[Emit(event)])
        assert [made.n for made in (*first.events, *second.events)] == [1, 2, 3]
        found = await store.events(NOTES, after=0, limit=10)
        assert list(found) == [*first.events, *second.events]
        assert (found[0].at, found[0].path, found[0].data) == (clock.now, event.path, event.data)
        project = await store.project_by_id(NOTES)
        assert project is not None
        assert project.events == 3

    async def test_events_are_read_from_where_one_stopped(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[Emit(Event(project=NOTES, kind=f"k{n}")) for n in range(1, 8)])
        assert [event.kind for event in await store.events(NOTES, after=2, limit=3)] == ["k3", "k4", "k5"]
        assert list(await store.events(NOTES, after=7, limit=3)) == []
        assert list(await store.events(ProjectId("nobody"), after=0, limit=3)) == []

    async def test_an_event_needs_its_project(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.commit(changes=[Emit(Event(project=ProjectId("nobody"), kind="changed"))])


class TestRecords:
    async def test_a_record_is_put_read_and_deleted(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[put("k", b"v")])
        assert await store.record("things", NOTES, "k") == b"v"
        assert await store.record("other", NOTES, "k") is None
        await store.commit(changes=[put("k", b"")])
        assert await store.record("things", NOTES, "k") == b""
        await store.commit(changes=[put("k", None), put("never", None)])
        assert await store.record("things", NOTES, "k") is None

    async def test_a_record_moves_by_compare_and_swap(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[put("k", b"1", expect=None)])
        for wrong in (None, b"0", b""):
            with pytest.raises(Stale):
                await store.commit([append(b"a")], [put("k", b"2", expect=wrong)])
        await store.commit(changes=[put("k", b"2", expect=b"1")])
        with pytest.raises(Stale):
            await store.commit(changes=[put("k", None, expect=b"1")])
        await store.commit(changes=[put("k", None, expect=b"2")])
        with pytest.raises(Stale):
            await store.commit(changes=[put("k", b"3", expect=b"2")])
        assert await positions(store) == []

    async def test_of_many_swaps_at_once_one_wins(self, store: Store, notes: ProjectId) -> None:
        won = []

        async def attempt(number: int) -> None:
            try:
                await store.commit(changes=[put("k", b"%d" % number, expect=None)])
            except Stale:
                return
            won.append(b"%d" % number)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(attempt, number)
        assert len(won) == 1
        assert await store.record("things", NOTES, "k") == won[0]

    async def test_records_are_listed_by_key(self, store: Store, notes: ProjectId) -> None:
        keys = ["b", "a/2", "a/1", "a", "a/\U0001f600", "a/\uffff", "á"]
        await store.commit(changes=[put(key, key.encode()) for key in keys])
        await store.commit(changes=[put("a/9", b"elsewhere", ProjectId(""))])
        assert list(await store.records("things", NOTES)) == sorted(keys, key=_bytes)
        assert list(await store.records("things", NOTES, prefix="a/")) == ["a/1", "a/2", "a/\uffff", "a/\U0001f600"]
        assert (await store.records("things", NOTES, prefix="b")) == {"b": b"b"}
        assert (await store.records("nothing", NOTES)) == {}

    async def test_a_record_is_found_in_every_project(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[put("k", b"1"), put("k", b"2", ProjectId("")), put("l", b"3")])
        assert await store.record_everywhere("things", "k") == {"": b"2", NOTES: b"1"}
        assert await store.record_everywhere("things", "m") == {}


class TestTheEnd:
    async def test_what_was_accepted_is_finished(self, store: Store, notes: ProjectId) -> None:
        heads: list[int] = []

        async def commit() -> None:
            heads.append((await store.commit([append(b"a")])).heads[README])

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(commit)
            await anyio.wait_all_tasks_blocked()
            await store.aclose()
        assert sorted(heads) == list(range(1, 21))

    async def test_a_closed_store_says_so(self, store: Store, notes: ProjectId) -> None:
        await store.aclose()
        await store.aclose()
        with pytest.raises(LogFailed):
            await store.commit([append(b"a")])
        with pytest.raises(Unavailable):
            await store.load(README)
        with pytest.raises(Unavailable):
            await store.document(README)


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


class TestWhoeverLeavesMakesWay:
    @pytest.fixture(autouse=True)
    async def files(self, store: Store, notes: ProjectId) -> None:
        await store.commit(changes=[CreateDocument(row(name, name)) for name in ("a", "b", "c")])

    async def at(self, store: Store) -> dict[str, str]:
        return {found.path: found.id for found in await store.tree(NOTES) if found.id != README}

    async def test_files_change_places(self, store: Store) -> None:
        await store.commit(changes=[moving("a", "b"), moving("b", "c"), moving("c", "a")])
        assert await self.at(store) == {"a": "c", "b": "a", "c": "b"}
        assert [await store.led_from(NOTES, Path(path)) for path in "abc"] == [None] * 3
        await store.commit(changes=[moving("a", "d")])
        led = await store.led_from(NOTES, Path("b"))
        assert led is not None
        assert led.id == "a"

    async def test_where_somebody_stood_who_went_nobody_is_led_to_who_stood_there_before(self, store: Store) -> None:
        await store.commit(changes=[moving("a", "b"), moving("b", "a")])
        await store.commit(changes=[gone("a")])
        assert await store.led_from(NOTES, Path("b")) is None

    async def test_a_new_file_takes_the_place_of_one_that_goes_in_the_same_commit(self, store: Store) -> None:
        await store.commit(changes=[CreateDocument(row("new", "a")), moving("a", "d"), moving("b", "c"), gone("c")])
        assert await self.at(store) == {"a": "new", "d": "a", "c": "b"}
        found = await store.deleted_at_path(NOTES, Path("c"))
        assert found is not None
        assert found.id == "c"

    async def test_what_is_published_takes_the_place_of_one_that_goes(self, store: Store) -> None:
        await store.commit(changes=[CreateDocument(row("new", "a", staged="job"))])
        await store.commit(changes=[PublishStaged(NOTES, "job"), moving("a", "d")])
        assert await self.at(store) == {"a": "new", "b": "b", "c": "c", "d": "a"}

    @pytest.mark.parametrize("last", ["b", "c"])
    async def test_who_does_not_go_in_the_end_stands_in_the_way_and_nothing_has_changed(
        self, store: Store, last: str
    ) -> None:
        with pytest.raises(PathTaken):
            await store.commit(changes=[moving("a", "b"), moving("b", last)])
        assert await self.at(store) == {"a": "a", "b": "b", "c": "c"}


def moving(id_: str, path: str) -> SetDocument:
    return SetDocument(id=DocumentId(id_), fields={"path": Path(path)})


def gone(id_: str) -> SetDocument:
    return SetDocument(id=DocumentId(id_), fields={"deleted_at": Millis(1), "deleted_by": ALICE})


async def test_who_wrote_between_two_positions_is_told_once_each(store: Store, notes: ProjectId) -> None:
    for actor in (BOB, ALICE, BOB, ALICE):
        await store.commit([append(b"x", actor=actor)])
    await store.checkpoint(README, Checkpoint(Position(2), b"state"))
    for after, upto, actors in ((0, 4, [BOB, ALICE]), (1, 4, [ALICE, BOB]), (3, 4, [ALICE]), (0, 1, [BOB]), (4, 4, [])):
        assert await store.actors(README, Position(after), Position(upto)) == actors
    assert await store.actors(DocumentId("none"), Position(0), Position(9)) == []


async def test_entries_are_gathered_in_their_order_packed_or_not(store: Store, notes: ProjectId) -> None:
    for n, actor in enumerate((ALICE, ALICE, BOB, BOB), 1):
        entry = replace(update(b"%d" % n, actor=actor), turn=TurnId("t") if n == 2 else None)
        await store.commit([Append(document=README, entries=(entry,))])
    await store.checkpoint(README, Checkpoint(Position(3), b"state"))

    def over(lines: Iterator[Line]) -> list[Any]:
        return [(position, actor, turn, payload) for position, _, _, actor, _, turn, payload in lines]

    everything = [(1, ALICE, None, b"1"), (2, ALICE, "t", b"2"), (3, BOB, None, b"3"), (4, BOB, None, b"4")]
    assert await store.gather(README, Position(0), Position(4), over) == everything
    assert await store.gather(README, Position(1), Position(3), over) == everything[1:3]
    assert await store.gather(DocumentId("none"), Position(0), Position(9), over) == []


class TestWhatChanged:
    async def test_what_is_as_recorded_is_left_out_with_its_record(self, store: Store, notes: ProjectId) -> None:
        names = ["alike", "another sha", "another mode", "unsettled", "unknown", "quarantined"]
        documents = [CreateDocument(row(f"d-{name}", name)) for name in names]
        sha, mode = documents[0].row.sha, documents[0].row.mode
        kept = {name: f'["d","{sha}",{mode},1,"c"]' for name in names if name != "unknown"}
        kept |= {
            "another sha": f'["d","{"1" * 40}",{mode},1,"c"]',
            "another mode": f'["d","{sha}",1,1,"c"]',
            "gone": "[]",
        }
        records = [PutRecord(collection="k", project=notes, key=key, value=text.encode()) for key, text in kept.items()]
        await store.commit([append(b"typed", to="d-unsettled")], [*documents, *records])
        await store.quarantine(DocumentId("d-quarantined"), "broken")
        rows, found = await store.unlike(notes, "k")
        assert [each.path for each in rows] == [
            "another mode",
            "another sha",
            "quarantined",
            "readme.md",
            "unknown",
            "unsettled",
        ]
        assert found == {key: text.encode() for key, text in kept.items() if key != "alike"}

    async def test_a_record_is_not_taken_for_that_of_a_file_that_is_named_as_it_is_written(
        self, store: Store, notes: ProjectId
    ) -> None:
        odd, literal = row("d-odd", "\udcff"), row("d-literal", '"\\377"')
        value = f'["d","{odd.sha}",{odd.mode},1,"c"]'.encode()
        record = PutRecord(collection="k", project=notes, key=show(odd.path), value=value)
        await store.commit([], [CreateDocument(odd), CreateDocument(literal), record])
        rows, found = await store.unlike(notes, "k")
        assert {each.id for each in rows} == {README, odd.id, literal.id}
        assert found == {literal.path: value}

    async def test_what_was_touched_is_what_events_name_and_what_is_owed(self, store: Store, notes: ProjectId) -> None:
        made = [row("d-a", "a"), row("d-b", "b"), row("d-c", "c"), row("d-s", "s", staged="job")]
        told = [Emit(Event(project=notes, kind="created", document=each.id)) for each in made]
        await store.commit([], [*(CreateDocument(each) for each in made), *told[:2]])
        assert {each.id for each in (await store.touched(notes, 1)).rows} == {"d-b"}
        await store.commit(
            [append(b"typed", to="d-c")], [Emit(Event(project=notes, kind="deleted", document=made[0].id))]
        )
        await store.commit(changes=[SetDocument(id=made[0].id, fields={"deleted_at": Millis(5)})])
        found = await store.touched(notes, 2)
        assert (found.events, {each.id for each in found.rows}) == (3, {"d-a", "d-c"})
        assert {each.id for each in (await store.touched(notes, 3)).rows} == {"d-c"}
        await store.commit(changes=[PublishStaged(notes, "job")])
        assert {each.id for each in (await store.touched(notes, 3)).rows} == {"d-c", "d-s"}
