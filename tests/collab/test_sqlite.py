"""What is the SQLite store's own: durability, the lock, the format, the size of its file, backups."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import closing

import anyio
import pytest
from anyio import to_thread
from sqlite_utils import Database

from collab.errors import LogFailed, NotFound, Unavailable
from collab.ids import ActorId, DocumentId, Millis, Path, Position, ProjectId
from collab.store import readers, schema
from collab.store.base import (
    Append,
    Checkpoint,
    CreateDocument,
    CreateProject,
    DeleteProject,
    Emit,
    Entry,
    Event,
    Project,
    PublishStaged,
    PutRecord,
    Row,
)
from collab.store.lock import DirectoryLock
from collab.store.sqlite import SqliteStore, connect, open_store
from tests.collab import committer
from tests.harness.until import until

pytestmark = pytest.mark.anyio

ALICE = ActorId("alice")
NOTES = ProjectId("notes")
README = DocumentId("readme")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


async def begin(store: SqliteStore) -> SqliteStore:
    await store.commit(
        changes=[
            CreateProject(Project(id=NOTES, name="notes", created_at=Millis(0), created_by=ALICE)),
            CreateDocument(Row(id=README, project=NOTES, path=Path("readme.md"), created_by=ALICE)),
        ]
    )
    return store


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
async def store(folder: pathlib.Path) -> AsyncIterator[SqliteStore]:
    made = await begin(await open_store(folder))
    yield made
    await made.aclose()


def append(*payloads: bytes, to: str = README) -> Append:
    entries = tuple(Entry(kind=1, actor=ALICE, payload=payload) for payload in payloads)
    return Append(document=DocumentId(to), entries=entries)


def plant(folder: pathlib.Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "quire.sqlite").write_bytes(content)


def places(folder: pathlib.Path) -> list[pathlib.Path]:
    return [folder, *folder.iterdir()]


def kill(process: subprocess.Popen[str]) -> str:
    """What it had said when it was killed."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    said = process.stdout.read()
    process.wait()
    process.stdout.close()
    return said


class TestDurability:
    def test_what_was_acknowledged_is_there_once_after_a_kill(self, folder: pathlib.Path) -> None:
        rng = random.Random(7)
        acknowledged: dict[str, list[int]] = defaultdict(list)
        for _ in range(5):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.collab.committer", str(folder)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            enough = rng.randrange(100, 1500)
            said = "".join(process.stdout.readline() for _ in range(enough)) + kill(process)
            for line in said.splitlines(keepends=True):
                if line.endswith("\n"):
                    document, number, position = line.split()
                    assert number == position
                    acknowledged[document].append(int(number))
            # A restart follows at once: the lock went with the process.
            anyio.run(self.check, folder, acknowledged)
        with closing(sqlite3.connect(folder / "quire.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    async def check(self, folder: pathlib.Path, acknowledged: dict[str, list[int]]) -> None:
        store = await open_store(folder)
        for writer in range(committer.WRITERS):
            document = committer.document(writer)
            entries = await store.entries(document, Position(0), Position(10**9))
            logged = [int(each.entry.payload.split(b":")[0]) for each in entries]
            assert logged == list(range(1, len(logged) + 1))
            assert set(acknowledged[document]) <= set(logged)
            row = await store.document(document)
            assert row is not None
            assert row.head == len(logged)
        await store.aclose()

    def test_the_writer_syncs_every_commit(self, folder: pathlib.Path) -> None:
        folder.mkdir()
        with closing(connect(folder / "quire.sqlite")) as connection:
            names = ("journal_mode", "synchronous", "mmap_size", "auto_vacuum")
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        assert found == ["wal", 2, 0, 2]

    def test_a_full_disk_fails_commits_and_nothing_else(self, folder: pathlib.Path) -> None:
        subprocess.run([sys.executable, "-m", "tests.collab.crowded_disk", str(folder)], cwd=ROOT, check=True)

    async def test_time_goes_on_after_a_restart(self, folder: pathlib.Path) -> None:
        store = await begin(await open_store(folder, clock=lambda: Millis(5000)))
        await store.commit([append(b"a")])
        await store.aclose()
        store = await open_store(folder, clock=lambda: Millis(4000))
        assert (await store.commit([append(b"b")])).at == 5000
        await store.commit(changes=[Emit(Event(project=NOTES, kind="late"))])
        (event,) = await store.events(NOTES, after=0, limit=1)
        assert event.at == 5000
        await store.aclose()


class TestGroups:
    async def test_a_job_with_impossible_values_fails_alone(self, store: SqliteStore) -> None:
        answers: list[object] = []

        async def attempt(job: Append) -> None:
            try:
                answers.append((await store.commit([job])).heads[README])
            except (LogFailed, OverflowError, TypeError) as error:
                answers.append(type(error))

        impossible = Append(document=README, entries=(Entry(kind=2**70, actor=ALICE, payload=b""),))
        worse = Append(document=README, entries=(Entry(kind=1, actor=ALICE, payload="text"),))  # type: ignore[arg-type]
        async with anyio.create_task_group() as group:
            for job in (append(b"a"), impossible, append(b"b"), worse, append(b"c")):
                group.start_soon(attempt, job)
        assert sorted(answer for answer in answers if isinstance(answer, int)) == [1, 2, 3]
        assert {answer for answer in answers if not isinstance(answer, int)} == {OverflowError, LogFailed}
        loaded = await store.load(README)
        assert loaded is not None
        assert [logged.entry.payload for logged in loaded.entries] == [b"a", b"b", b"c"]

    async def test_many_wait_for_one_sync(self, store: SqliteStore, folder: pathlib.Path) -> None:
        """A transaction writes at least one page ahead; a hundred commits that wait together are a few transactions."""
        log = folder / "quire.sqlite-wal"
        before = log.stat().st_size
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(store.commit, [append(b"%d" % number)])
        assert log.stat().st_size - before < 100 * 4096

    async def test_a_commit_with_much_in_it_is_one_transaction(self, store: SqliteStore) -> None:
        heavy = [append(*(b"x" * 1_000_000 for _ in range(20))) for _ in range(3)]
        await store.commit(heavy)
        committed = await store.commit([append(b"y" * 40_000_000), append(b"z")])
        assert committed.heads == {README: 62}
        with pytest.raises(NotFound):
            await store.commit([*heavy, append(b"x", to="nobody")])
        found = await store.entries(README, Position(59), Position(1000))
        assert [len(logged.entry.payload) for logged in found] == [1_000_000, 40_000_000, 1]


class TestSpeed:
    async def test_an_import_of_thousands_is_published_at_once(self, store: SqliteStore) -> None:
        ids = [f"d{number}" for number in range(5000)]
        await store.commit(
            [append(b"seed", to=id_) for id_ in ids],
            [
                CreateDocument(Row(id=DocumentId(id_), project=NOTES, path=Path(f"src/{id_}"), staged="j"))
                for id_ in ids
            ],
        )
        started = time.perf_counter()
        committed = await store.commit(changes=[PublishStaged(NOTES, "j")])
        assert time.perf_counter() - started < 0.5
        assert len(committed.events) == 5000
        started = time.perf_counter()
        assert len(await store.tree(NOTES)) == 5001
        assert time.perf_counter() - started < 0.5


class TestTheDirectory:
    async def test_a_second_process_is_told_who_serves(self, store: SqliteStore, folder: pathlib.Path) -> None:
        with pytest.raises(Unavailable, match=f"{folder} is in use: process {os.getpid()} serves it"):
            await open_store(folder)
        await store.aclose()
        again = await open_store(folder)
        await again.aclose()

    def test_a_lock_is_not_inherited(self, tmp_path: pathlib.Path) -> None:
        lock = DirectoryLock(tmp_path)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        lock.release()
        DirectoryLock(tmp_path).release()
        child.communicate(b"\n")

    async def test_it_is_its_owners_alone(self, store: SqliteStore, folder: pathlib.Path) -> None:
        assert [place.name for place in places(folder) if place.stat().st_mode & 0o077] == []

    async def test_a_file_that_cannot_be_opened_leaves_no_lock(self, folder: pathlib.Path) -> None:
        plant(folder, b"this is no database, however long it may be" * 100)
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be opened"):
                await open_store(folder)


class TestTheFormat:
    async def test_a_newer_format_is_refused(self, folder: pathlib.Path) -> None:
        await (await open_store(folder)).aclose()
        with closing(sqlite3.connect(folder / "quire.sqlite")) as connection:
            connection.execute("UPDATE meta SET value = 999 WHERE key = 'format'")
            connection.commit()
        with pytest.raises(Unavailable, match="format 999"):
            await open_store(folder)

    async def test_a_file_of_another_program_is_refused(self, folder: pathlib.Path) -> None:
        plant(folder, b"")
        with closing(sqlite3.connect(folder / "quire.sqlite")) as connection:
            connection.execute("CREATE TABLE songs(title)")
            connection.commit()
        with pytest.raises(Unavailable, match="not a file of Quire"):
            await open_store(folder)
        with closing(sqlite3.connect(folder / "quire.sqlite")) as connection:
            assert Database(connection).table_names() == ["songs"]

    async def test_an_older_format_is_brought_forward_and_keeps_everything(self, folder: pathlib.Path) -> None:
        store = await begin(await open_store(folder))
        await store.commit([append(b"a")])
        await store.aclose()

        def more(db: Database) -> None:
            db["documents"].add_column("colour", str)  # type: ignore[union-attr]

        with closing(sqlite3.connect(folder / "quire.sqlite", isolation_level=None)) as connection:
            schema.prepare(connection, (*schema.STEPS, more))
            assert schema.number(connection, "format") == len(schema.STEPS) + 1
            assert connection.execute("SELECT head, colour FROM documents").fetchall() == [(1, None)]
            schema.prepare(connection, (*schema.STEPS, more))

    async def test_a_step_that_fails_changes_nothing(self, folder: pathlib.Path) -> None:
        await (await open_store(folder)).aclose()

        def broken(db: Database) -> None:
            db["documents"].add_column("colour", str)  # type: ignore[union-attr]
            raise OSError("the disk is full")

        with closing(sqlite3.connect(folder / "quire.sqlite", isolation_level=None)) as connection:
            with pytest.raises(OSError, match="full"):
                schema.prepare(connection, (*schema.STEPS, broken))
            assert "colour" not in Database(connection)["documents"].columns_dict
            assert schema.number(connection, "format") == len(schema.STEPS)
        await (await open_store(folder)).aclose()


class TestSize:
    async def test_the_file_shrinks_when_a_project_goes(self, store: SqliteStore, folder: pathlib.Path) -> None:
        for number in range(16):
            await store.commit([append(*(os.urandom(50_000) for _ in range(10)))], [put(f"{number}")])
        await store.commit(changes=[DeleteProject(NOTES)])
        await store.aclose()
        again = await open_store(folder)
        await again.commit(changes=[PutRecord(collection="c", project=ProjectId(""), key="k", value=b"v")])
        await to_thread.run_sync(until, lambda: pages(folder) < 1000, "the file has shrunk")
        await again.aclose()
        assert (folder / "quire.sqlite").stat().st_size < 5_000_000

    async def test_the_write_ahead_log_does_not_grow_without_end(
        self, store: SqliteStore, folder: pathlib.Path
    ) -> None:
        for _ in range(300):
            await store.commit([append(b"x" * 100_000)])
        assert (folder / "quire.sqlite-wal").stat().st_size < 12_000_000
        await store.aclose()
        assert not (folder / "quire.sqlite-wal").exists()

    async def test_what_is_packed_makes_room_for_what_comes(self, store: SqliteStore, folder: pathlib.Path) -> None:
        sizes = []
        for number in range(1, 31):
            await store.commit([append(*(b"%d" % number * 10 for _ in range(2000)))])
            await store.checkpoint(README, Checkpoint(Position(number * 2000), b"state"))
            sizes.append(pages(folder))
        assert sizes[-1] < 1.5 * max(sizes[:5]), "how soon free pages are given back depends on who waits"


def put(key: str) -> PutRecord:
    return PutRecord(collection="c", project=NOTES, key=key, value=b"v")


def pages(folder: pathlib.Path) -> int:
    with closing(readers.connect(folder / "quire.sqlite")) as connection:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])


class TestBackup:
    async def test_a_backup_is_a_consistent_copy_while_commits_go_on(
        self, store: SqliteStore, tmp_path: pathlib.Path
    ) -> None:
        await store.commit([append(*(os.urandom(1000) for _ in range(20_000)))], [put("before")])
        copied = anyio.Event()
        copy = tmp_path / "copy" / "quire.sqlite"
        copy.parent.mkdir()

        async def keep_committing() -> None:
            while not copied.is_set():
                await store.commit([append(b"x", b"y")])

        async with anyio.create_task_group() as group:
            group.start_soon(keep_committing)
            with anyio.fail_after(30):
                await store.backup(str(copy))
            copied.set()
        again = await open_store(copy.parent)
        loaded = await again.load(README)
        assert loaded is not None
        assert loaded.head >= 20_000
        assert loaded.head % 2 == 0
        assert [logged.position for logged in loaded.entries] == list(range(1, loaded.head + 1))
        assert await again.record("c", NOTES, "before") == b"v"
        await again.commit([append(b"goes on")])
        await again.aclose()

    async def test_a_later_backup_takes_the_place_of_an_earlier(
        self, store: SqliteStore, tmp_path: pathlib.Path
    ) -> None:
        copy = tmp_path / "copy.sqlite"
        for number in range(1, 3):
            await store.commit([append(b"x")])
            await store.backup(str(copy))
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("SELECT head FROM documents").fetchone() == (number,)
        assert not [place.name for place in places(tmp_path) if place.name.endswith("partial")]

    async def test_a_restore_begins_an_epoch(
        self, store: SqliteStore, folder: pathlib.Path, tmp_path: pathlib.Path
    ) -> None:
        assert (store.epoch, store.node) == (1, 0)
        await store.backup(str(tmp_path / "quire.sqlite"))
        assert schema.begin_epoch(tmp_path) == 2
        again = await open_store(tmp_path)
        assert again.epoch == 2
        await again.aclose()
        with pytest.raises(Unavailable, match="holds no"):
            schema.begin_epoch(tmp_path / "nowhere")
        with pytest.raises(Unavailable, match="is in use"):
            schema.begin_epoch(folder)


class TestTheEnd:
    async def test_reads_that_were_asked_for_are_answered(self, store: SqliteStore) -> None:
        await store.commit([append(*(b"x" for _ in range(10_000)))])
        answers: list[int] = []

        async def read() -> None:
            answers.append(len(await store.entries(README, Position(0), Position(10_000))))

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(read)
            await anyio.lowlevel.checkpoint()
            await store.aclose()
        assert answers == [10_000] * 6

    async def test_a_cancelled_end_still_ends(self, folder: pathlib.Path) -> None:
        store = await begin(await open_store(folder))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.aclose()
        again = await open_store(folder)
        assert await again.project("notes") is not None
        await again.aclose()
