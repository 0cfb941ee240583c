"""A backup is whole or not there, a restore is checked or not there, and nothing is ever overwritten."""

from __future__ import annotations

import json
import pathlib
import shutil
import tarfile

import anyio
import pytest

from collab.errors import Conflict, Invalid, NotFound, QuireError
from collab.objects.folder import FolderObjects
from collab.store import schema
from collab.text import blob_sha
from tests.cli.data import FILES, Data, opened, type_into
from web.archive import Manifest
from web.backup import backup
from web.restore import restore
from web.verify import Finding, Verifier

pytestmark = pytest.mark.anyio


def quiet(phase: str, done: int, total: int | None) -> None:
    """Nobody watches."""


async def back_up(data: Data, to: pathlib.Path) -> Manifest:
    return await backup(data.store, data.folder, to, quiet)


def put_back(source: pathlib.Path, to: pathlib.Path) -> Manifest:
    return restore(source, to, schema, quiet)


def left(folder: pathlib.Path, pattern: str) -> list[str]:
    return [each.name for each in folder.glob(pattern)]


async def differences(data: Data) -> list[Finding]:
    verifier = Verifier(data.store, data.objects, data.remotes.of)
    return [each async for each in verifier.run() if isinstance(each, Finding)]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["copy", "copy.tar.gz"])
async def test_files_that_lie_elsewhere_come_along(folder: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    async with opened(folder) as data:
        await backup(data.store, folder, tmp_path / name, quiet, objects=data.objects)
        there = {key async for key in data.objects.list("objects/")}
    put_back(tmp_path / name, tmp_path / "again")
    objects = FolderObjects(tmp_path / "again" / "objects")
    assert {key async for key in objects.list("objects/")} == there
    content, _ = FILES["logo.png"]
    assert (await objects.get(f"objects/{blob_sha(content)}")).content == content


async def test_a_backup_says_what_it_lacks(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data:
        await backup(data.store, folder, tmp_path / "copy", quiet, lacks="the files in s3://bucket")
    assert put_back(tmp_path / "copy", tmp_path / "again").lacks == "the files in s3://bucket"


@pytest.mark.parametrize("name", ["copy", "copy.tar.gz"])
async def test_what_is_restored_is_what_was_backed_up(folder: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    async with opened(folder) as data:
        await type_into(data, "README.md", 20, checkpoint=True)
        (folder / "secret").write_text("s3cret")
        (folder / "secret").chmod(0o600)
        epoch, before = data.store.epoch, await data.row("README.md")
        manifest = await back_up(data, tmp_path / name)
    assert put_back(tmp_path / name, tmp_path / "again") == manifest
    async with opened(tmp_path / "again") as data:
        assert await data.row("README.md") == before
        assert data.store.epoch == epoch + 1
        assert await differences(data) == []
    assert (tmp_path / "again" / "secret").read_text() == "s3cret"
    assert (tmp_path / "again" / "secret").stat().st_mode & 0o777 == 0o600


async def test_what_opens_credentials_is_not_kept_beside_them(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data:
        (folder / "secret-key").write_text("what seals")
        manifest = await back_up(data, tmp_path / "copy")
    assert "secret-key" not in manifest.files
    assert not (tmp_path / "copy" / "secret-key").exists()


async def test_what_belongs_to_the_running_process_stays_behind(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data:
        (folder / "server.json").write_text("{}")
        (folder / "tmp").mkdir()
        (folder / "tmp" / "upload").write_text("half")
        manifest = await back_up(data, tmp_path / "copy")
    kept = set(manifest.files)
    assert not kept & {"server.json", "lock", "tmp/upload", "quire.sqlite-wal", "quire.sqlite-shm"}
    assert {name for name in kept if not name.startswith("git/")} == {"quire.sqlite"}


async def test_a_backup_made_while_alice_types_is_one_moment(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data, anyio.create_task_group() as tasks:

        async def typing() -> None:
            while True:
                await type_into(data, "README.md", 3)

        tasks.start_soon(typing)
        for number in range(3):
            await back_up(data, tmp_path / f"copy{number}")
        tasks.cancel_scope.cancel()
    for number in range(3):
        put_back(tmp_path / f"copy{number}", tmp_path / f"again{number}")
        async with opened(tmp_path / f"again{number}") as data:
            assert await differences(data) == []


async def test_objects_packed_meanwhile_are_in_the_copy(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data:
        remote = await data.remotes.of(data.project)
        packed: list[int] = []

        def pack(phase: str, done: int, total: int | None) -> None:
            if phase == "files" and not packed:
                packed.append(anyio.from_thread.run(lambda: remote.pack(above=0)))

        await backup(data.store, folder, tmp_path / "copy", pack)
        assert packed[0] > 0
    put_back(tmp_path / "copy", tmp_path / "again")
    async with opened(tmp_path / "again") as data:
        assert await differences(data) == []


async def test_nothing_is_overwritten(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("mine")
    async with opened(folder) as data:
        with pytest.raises(Conflict, match="is there already"):
            await back_up(data, taken)
        with pytest.raises(NotFound, match="no folder"):
            await back_up(data, tmp_path / "nowhere" / "copy")
        await back_up(data, tmp_path / "copy")
    with pytest.raises(Conflict, match="not empty"):
        put_back(tmp_path / "copy", taken)
    assert left(taken, "*") == ["mine"]


async def test_a_backup_that_fails_leaves_nothing(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "backups"
    target.mkdir()

    def fail(phase: str, done: int, total: int | None) -> None:
        if done == 3:
            raise OSError(28, "No space left on device")

    async with opened(folder) as data:
        for name in ("copy", "copy.tar.gz"):
            with pytest.raises(OSError, match="No space"):
                await backup(data.store, folder, target / name, fail)
    assert left(folder, ".backup*") == left(target, "*") == []


def _flip(copy: pathlib.Path) -> None:
    database = copy / "quire.sqlite"
    content = bytearray(database.read_bytes())
    content[-1] ^= 1
    database.write_bytes(content)


def _lose(copy: pathlib.Path) -> None:
    next(copy.glob("git/notes.git/objects/??/*")).unlink()


def _add(copy: pathlib.Path) -> None:
    (copy / "stranger").write_text("?")


def _unname(copy: pathlib.Path) -> None:
    (copy / "backup.json").unlink()


def _age(copy: pathlib.Path) -> None:
    manifest = json.loads((copy / "backup.json").read_text())
    (copy / "backup.json").write_text(json.dumps({**manifest, "format": 99}))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_flip, "SHA-256 differs"),
        (_lose, "lacks git/notes.git/objects"),
        (_add, "stranger"),
        (_unname, "no backup.json"),
        (_age, "format 99"),
    ],
)
async def test_a_backup_that_is_not_whole_is_refused(
    folder: pathlib.Path, tmp_path: pathlib.Path, harm: object, says: str
) -> None:
    async with opened(folder) as data:
        await back_up(data, tmp_path / "copy")
    assert callable(harm)
    harm(tmp_path / "copy")
    with pytest.raises(Invalid, match=says):
        put_back(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert left(tmp_path, "*restoring*") == []


async def test_half_an_archive_and_a_stranger_s_are_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    async with opened(folder) as data:
        await back_up(data, tmp_path / "copy.tar.gz")
    whole = (tmp_path / "copy.tar.gz").read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar.gz").write_text("no archive at all")
    for name in ("half.tar.gz", "text.tar.gz"):
        with pytest.raises(Invalid, match="no backup of Quire"):
            put_back(tmp_path / name, tmp_path / "again")
    shutil.copytree(folder, tmp_path / "tree")
    with tarfile.open(tmp_path / "out.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree" / "quire.sqlite", arcname="../quire.sqlite")
    with pytest.raises(QuireError, match="no data directory does"):
        put_back(tmp_path / "out.tar.gz", tmp_path / "again")
    assert len(FILES) == 6
