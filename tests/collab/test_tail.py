"""Whoever follows a store, page by page, has it at every mark, whatever the writer does meanwhile to keep its files small."""

from __future__ import annotations

import os
import pathlib
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest

from collab.ids import ActorId, DocumentId, Millis, Path, ProjectId
from collab.store import writer
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, Project, PutRecord, Row, Store
from collab.store.pages import Mark, Taken, Unfollowed
from collab.store.sqlite import SqliteStore, open_store

pytestmark = pytest.mark.anyio

ELSEWHERE = """
import sqlite3, sys
assert sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
"""
"""Another process does what it must not."""

ALICE = ActorId("alice")
PROJECT = ProjectId("p")


class Copy:
    """A file that is kept in step, as a backup elsewhere does it."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        self.waiting: dict[int, bytes] = {}
        self.mark: Mark | None = None

    async def begin(self, store: SqliteStore) -> None:
        pinned = await store.pages.pin()
        await pinned.copy(self.file)
        self.mark = pinned.mark
        await pinned.aclose()

    async def follow(self, store: SqliteStore) -> int:
        """How many takes there were."""
        takes = 0
        while True:
            taken = await store.pages.take()
            takes += 1
            self.put(taken, store.pages.page_size)
            if not taken.more:
                return takes

    def put(self, taken: Taken, page_size: int) -> None:
        self.waiting.update(taken.pages)
        if not taken.whole:
            return
        with self.file.open("r+b") as file:
            for number, content in self.waiting.items():
                file.seek((number - 1) * page_size)
                file.write(content)
            file.truncate(taken.mark.pages * page_size)
        self.waiting = {}
        self.mark = taken.mark

    def rows(self) -> Mapping[str, list[tuple[object, ...]]]:
        return rows(self.file)


def rows(file: pathlib.Path) -> Mapping[str, list[tuple[object, ...]]]:
    """All there is in all tables, by SQLite itself, and that the file is sound."""
    connection = sqlite3.connect(file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}
    finally:
        connection.close()


async def all_of(store: SqliteStore, at: pathlib.Path) -> Mapping[str, list[tuple[object, ...]]]:
    """The same of the store itself."""
    await store.backup(str(at))
    return rows(at)


@asynccontextmanager
async def opened(folder: pathlib.Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(folder, followed=True)
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> Copy:
    return Copy(tmp_path / "copy.sqlite")


async def make(store: Store, name: str = "a.md") -> DocumentId:
    document = DocumentId(f"d-{name}")
    if await store.project_by_id(PROJECT) is None:
        project = Project(id=PROJECT, name="notes", created_at=Millis(0), created_by=ALICE)
        await store.commit(changes=[CreateProject(project)])
    row = Row(id=document, project=PROJECT, path=Path(name), created_by=ALICE)
    await store.commit(changes=[CreateDocument(row)])
    return document


async def write(store: Store, document: DocumentId, size: int = 50) -> None:
    entry = Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=os.urandom(size))
    await store.commit([Append(document=document, entries=(entry,))])


async def test_a_copy_follows_every_commit(folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        for number in range(5):
            await write(store, document)
            await make(store, f"{number}.md")
            await copy.follow(store)
            assert copy.rows() == await all_of(store, tmp_path / "now")


@pytest.mark.parametrize("seed", range(4))
async def test_a_copy_follows_whatever_is_checkpointed_meanwhile(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Checkpoints after nearly every commit, large commits, much that goes again, and takes at random moments."""
    monkeypatch.setattr(writer, "WAL_QUIET", 20_000)
    monkeypatch.setattr(writer, "VACUUM", 8)
    chance = random.Random(seed)
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        for _ in range(60):
            match chance.randrange(8):
                case 0:
                    await write(store, document, chance.choice((100_000, 1_000_000)))
                case 1:
                    await store.commit(changes=[record(f"{chance.randrange(4)}", os.urandom(200_000))])
                case 2:
                    await store.commit(changes=[record(f"{number}", None) for number in range(4)])
                case 3:
                    await copy.follow(store)
                case _:
                    async with anyio.create_task_group() as tasks:
                        for _ in range(chance.randrange(1, 5)):
                            tasks.start_soon(write, store, document)
        await copy.follow(store)
        assert copy.rows() == await all_of(store, tmp_path / "now")
    log = folder / "quire.sqlite-wal"
    assert not log.exists() or log.stat().st_size == 0


def record(key: str, value: bytes | None) -> PutRecord:
    return PutRecord(collection="test", project=PROJECT, key=key, value=value)


async def test_the_log_is_checkpointed_while_somebody_follows(
    folder: pathlib.Path, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAL_QUIET", 20_000)
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        for _ in range(300):
            await write(store, document)
        assert (folder / "quire.sqlite-wal").stat().st_size < 1_000_000
        await copy.follow(store)


async def test_a_commit_that_is_larger_than_a_take_is_whole_at_its_end(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document, 40_000_000)
        assert await copy.follow(store) > 3
        assert copy.rows() == await all_of(store, tmp_path / "now")


async def test_a_pin_holds_still_what_was_taken_before_it(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document)
        pinned = await store.pages.pin()
        copy.put(pinned.taken, store.pages.page_size)
        await write(store, document)
        await pinned.copy(tmp_path / "pinned")
        await pinned.aclose()
        assert copy.rows() == rows(tmp_path / "pinned")
        await copy.follow(store)
        assert copy.rows() == await all_of(store, tmp_path / "now")


async def test_who_waits_for_changes_is_woken_by_the_first(folder: pathlib.Path, copy: Copy) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        assert store.pages.behind().since is None
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.pages.changed)
                await anyio.wait_all_tasks_blocked()
                await write(store, document)
            await store.pages.changed()
        assert store.pages.behind().since is not None
        assert store.pages.behind().bytes > 0
        await copy.follow(store)
        assert store.pages.behind().since is None


async def test_after_an_orderly_end_the_next_process_goes_on(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document)
        await copy.follow(store)
    assert copy.mark is not None
    async with opened(folder) as store:
        assert await store.pages.resume(copy.mark)
        await write(store, document)
        await copy.follow(store)
        assert copy.rows() == await all_of(store, tmp_path / "now")


async def test_an_orderly_end_with_something_left_to_take_is_the_end_of_following(
    folder: pathlib.Path, copy: Copy
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document)
    assert copy.mark is not None
    async with opened(folder) as store:
        assert not await store.pages.resume(copy.mark)
        with pytest.raises(Unfollowed):
            await store.pages.take()


async def test_a_file_that_somebody_has_touched_is_not_followed_on(folder: pathlib.Path, copy: Copy) -> None:
    async with opened(folder) as store:
        await make(store)
        await copy.begin(store)
    connection = sqlite3.connect(folder / "quire.sqlite")
    connection.execute("UPDATE meta SET value = 7 WHERE key = 'node'")
    connection.commit()
    connection.close()
    assert copy.mark is not None
    async with opened(folder) as store:
        assert not await store.pages.resume(copy.mark)


async def test_the_note_of_an_orderly_end_counts_once(folder: pathlib.Path, copy: Copy) -> None:
    async with opened(folder) as store:
        await make(store)
        await copy.begin(store)
    assert copy.mark is not None
    connection = await open_store(folder)
    await connection.aclose()
    async with opened(folder) as store:
        assert not await store.pages.resume(copy.mark)


@pytest.mark.parametrize("typed_after", [False, True])
async def test_after_a_crash_the_next_process_goes_on(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path, *, typed_after: bool
) -> None:
    crashed = tmp_path / "crashed"
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document)
        await copy.follow(store)
        if typed_after:
            await write(store, document, 20_000)
        take_away(folder, crashed)
    assert copy.mark is not None
    async with opened(crashed) as store:
        assert await store.pages.resume(copy.mark)
        assert (store.pages.behind().since is not None) is typed_after
        await write(store, document)
        await copy.follow(store)
        assert copy.rows() == await all_of(store, tmp_path / "now")


async def test_after_a_crash_behind_a_log_that_began_anew_nobody_goes_on(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        monkeypatch.setattr(writer, "WAL_QUIET", 1)
        began = generation(folder)
        with anyio.fail_after(20):
            while generation(folder) == began:
                await write(store, document)
        take_away(folder, tmp_path / "crashed")
    assert copy.mark is not None
    async with opened(tmp_path / "crashed") as store:
        assert not await store.pages.resume(copy.mark)


def generation(folder: pathlib.Path) -> bytes:
    """The salts of SQLite's log, which are others when it begins anew."""
    return folder.joinpath("quire.sqlite-wal").read_bytes()[16:24]


def take_away(folder: pathlib.Path, to: pathlib.Path) -> None:
    """What lies on the disk at this moment, as a crash leaves it."""
    to.mkdir()
    for name in ("quire.sqlite", "quire.sqlite-wal"):
        to.joinpath(name).write_bytes(folder.joinpath(name).read_bytes())


async def test_a_log_that_somebody_else_has_cut_off_is_noticed(folder: pathlib.Path, copy: Copy) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)
        await write(store, document)
        await anyio.run_process([sys.executable, "-c", ELSEWHERE, str(folder / "quire.sqlite")])
        await write(store, document)
        with pytest.raises(Unfollowed, match="began anew"):
            await store.pages.take()
        await copy.begin(store)
        await write(store, document)
        await copy.follow(store)


async def test_a_group_that_was_rolled_back_is_in_no_copy(
    folder: pathlib.Path, copy: Copy, tmp_path: pathlib.Path
) -> None:
    async with opened(folder) as store:
        document = await make(store)
        await copy.begin(store)

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO records VALUES ('test', '', x'00', ?)", (bytes(30_000_000),))
            raise RuntimeError("in the middle of it")

        with pytest.raises(RuntimeError):
            await store._writer.carry_out(fail)
        await write(store, document)
        await copy.follow(store)
        assert copy.rows() == await all_of(store, tmp_path / "now")
