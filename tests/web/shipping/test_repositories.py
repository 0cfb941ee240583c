"""Repositories travel with the database: what is restored is whole for git, and never knows more or less than the database does."""

from __future__ import annotations

import pathlib
import random
import shutil
import sqlite3

import anyio
import pytest

from collab.ids import BlobSha, Millis, Path
from collab.objects.memory import MemoryObjects
from collab.store.base import Project, PutRecord
from snapshots.remotes.base import Author, NewCommit, TreeEntry
from tests.faulty_objects import FaultyObjects
from tests.harness.until import auntil
from tests.snapshots.git import blob_sha, commit_all, git, new_repository
from tests.web.shipping.office import NOTES, Office, numbers, office, restored
from web.shipping import layout, repositories, shipper
from web.shipping.copying import copies

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def objects() -> FaultyObjects:
    return FaultyObjects(MemoryObjects())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories that somebody else has moved are looked for often."""
    monkeypatch.setattr(shipper, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(shipper, "FIRST_WAIT", 0.01)


async def commit(alice: Office, number: int, project: Project = NOTES) -> str:
    """As a round of the snapshotter does it: journalled, committed, recorded."""
    content = f"{number}\n".encode() * 100

    async def blob(sha: BlobSha) -> bytes:
        return content

    remote = await alice.remotes.of(project)
    new = NewCommit(
        parent=await remote.head(),
        writes={Path(f"{number}.md"): TreeEntry(blob_sha(content), 0o100644)},
        deletes=(),
        message=f"{number}\n",
        author=Author("Quire", "q@q"),
        at=1,
    )
    alice.clock.tick()
    await record(alice, "intended", f"{number}")
    made = await remote.commit(new, blob)
    await record(alice, "committed", made.commit)
    return made.commit


async def record(alice: Office, key: str, value: str) -> None:
    await alice.store.commit(changes=[PutRecord(collection="test", project=NOTES.id, key=key, value=value.encode())])


def recorded(folder: pathlib.Path) -> dict[str, str]:
    connection = sqlite3.connect(folder / "quire.sqlite")
    try:
        found = connection.execute("SELECT key, value FROM records WHERE collection = 'test'").fetchall()
    finally:
        connection.close()
    return {key.decode(): value.decode() for key, value in found}


def head(folder: pathlib.Path, name: str = "notes.git") -> str:
    """And git finds nothing wrong with it."""
    git(folder / "git" / name, "fsck", "--strict", "--no-dangling")
    return git(folder / "git" / name, "rev-parse", "main")


async def test_a_repository_is_restored_with_its_commits(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await alice.shipped()
        first = await commit(alice, 1)
        await alice.shipped()
        between = Millis(alice.clock.now + 500)
        alice.clock.tick()
        second = await commit(alice, 2)
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert head(tmp_path / "again") == second
    await restored(objects, tmp_path / "before", between)
    assert head(tmp_path / "before") == first


async def test_at_every_moment_git_and_the_database_fit_together(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    """What the database has recorded is in git; what is in git was at least intended in the database."""
    moments: list[Millis] = []
    async with office(folder, objects) as alice:
        await commit(alice, 0)
        await alice.shipped()
        async with anyio.create_task_group() as tasks:

            async def typing() -> None:
                for number in range(60):
                    moments.append(await alice.write(number))
                    await anyio.sleep(0.005)

            tasks.start_soon(typing)
            for number in range(1, 25):
                await commit(alice, number)
        await alice.shipped()
    for count, at in enumerate([*moments[::7], None]):
        again = tmp_path / f"{count}"
        await restored(objects, again, at)
        said = recorded(again)
        found = int(git(again / "git" / "notes.git", "log", "-1", "--format=%s", head(again)))
        done = int(git(again / "git" / "notes.git", "log", "-1", "--format=%s", said["committed"]))
        assert done <= found <= int(said["intended"])


async def test_a_push_that_the_server_has_not_seen_is_shipped_too(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await commit(alice, 1)
        await alice.shipped()
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(folder / "git" / "notes.git"), str(clone))
        (clone / "mine.md").write_text("mine\n")
        pushed = commit_all(clone)
        git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/draft/mine")
        segments = alice.shipper.status().segment
        await auntil(lambda: alice.shipper.status().segment > segments, "it is noticed")
    await restored(objects, tmp_path / "again")
    assert git(tmp_path / "again" / "git" / "notes.git", "rev-parse", "draft/mine") == pushed


async def test_packs_travel_as_they_are_and_once(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        for number in range(5):
            await commit(alice, number)
        await alice.shipped()
        path = folder / "git" / "notes.git"
        await anyio.to_thread.run_sync(git, path, "gc", "--quiet", "--prune=now")
        made = await commit(alice, 5)
        await alice.shipped()
        pieces = {key async for key in objects.list(layout.GIT)}
        made = await commit(alice, 6)
        await alice.shipped()
        assert len({key async for key in objects.list(layout.GIT)} - pieces) == 1
        await alice.shipper.copy_now()
    await restored(objects, tmp_path / "again")
    assert head(tmp_path / "again") == made
    assert list((tmp_path / "again" / "git" / "notes.git" / "objects" / "pack").glob("*.pack"))


async def test_what_is_larger_than_a_piece_is_whole(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large loose object is a piece of its own, a large pack has many."""
    monkeypatch.setattr(repositories, "GIT_PIECE", 10_000)
    async with office(folder, objects) as alice:
        await commit(alice, 1)
        await alice.shipped()
        segments = alice.shipper.status().segment
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(folder / "git" / "notes.git"), str(clone))
        (clone / "large.bin").write_bytes(random.Random(1).randbytes(100_000))
        pushed = commit_all(clone)
        git(clone, "push", "--quiet", "origin", "HEAD:main")
        await auntil(lambda: alice.shipper.status().segment > segments, "the push is noticed")
        await alice.shipped()
        await restored(objects, tmp_path / "loose")
        assert head(tmp_path / "loose") == pushed
        await anyio.to_thread.run_sync(git, folder / "git" / "notes.git", "gc", "--quiet", "--prune=now")
        made = await commit(alice, 2)
        await alice.shipped()
    await restored(objects, tmp_path / "packed")
    assert head(tmp_path / "packed") == made


async def test_many_small_commits_do_not_pile_up(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repositories, "CONTAINERS", 3)
    async with office(folder, objects) as alice:
        for number in range(12):
            made = await commit(alice, number)
            await alice.shipped()
        await alice.shipper.copy_now()
    copy = (await copies(objects))[-1]
    assert len(copy.repositories[0].loose) <= 5
    await restored(objects, tmp_path / "again")
    assert head(tmp_path / "again") == made


async def test_a_repository_that_is_gone_does_not_come_back(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await commit(alice, 1)
        await alice.shipped()
        before = Millis(alice.clock.now)
        alice.clock.tick()
        await alice.remotes.remove(NOTES.id)
        await alice.write(1)
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert not (tmp_path / "again" / "git" / "notes.git").exists()
    await restored(objects, tmp_path / "before", before)
    assert head(tmp_path / "before")


async def test_a_repository_that_was_renamed_has_its_new_name(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        made = await commit(alice, 1)
        await alice.shipped()
        renamed = Project(id=NOTES.id, name="other", created_at=NOTES.created_at, created_by=NOTES.created_by)
        await alice.remotes.of(renamed)
        await alice.write(1)
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert head(tmp_path / "again", "other.git") == made
    assert not (tmp_path / "again" / "git" / "notes.git").exists()


async def test_a_repository_that_cannot_be_read_is_named_and_holds_up_nobody(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        await commit(alice, 1)
        broken = folder / "git" / "broken.git"
        new_repository(broken)
        git(broken, "config", "core.bare", "true")
        shutil.copytree(broken / ".git", broken, dirs_exist_ok=True)
        shutil.rmtree(broken / "objects")
        (broken / "objects").write_text("this is no folder")
        await auntil(lambda: "broken.git" in alice.shipper.status().detail, "it is named")
        await alice.write(7)
        await alice.shipped()
    await restored(objects, tmp_path / "again")
    assert numbers(tmp_path / "again") == [7]
    assert head(tmp_path / "again")


async def test_pieces_that_are_gone_from_the_store_are_put_there_again(
    folder: pathlib.Path, objects: FaultyObjects, tmp_path: pathlib.Path
) -> None:
    async with office(folder, objects) as alice:
        made = await commit(alice, 1)
        await alice.shipped()
        async for key in objects.objects.list(layout.GIT):
            await objects.objects.delete(key)
        alice.clock.now += 2 * 86_400_000
        await alice.write(1)
        await auntil(lambda: alice.shipper.status().copied_at == alice.clock.now, "another copy")
    await restored(objects, tmp_path / "again")
    assert head(tmp_path / "again") == made
