"""Projects leave as folders, archives and project files, and come back the same."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from collections.abc import AsyncIterator

import pytest

from collab.document import Document
from collab.errors import Conflict, Invalid
from collab.ids import ClientId, Path
from collab.store.base import EntryKind
from snapshots.exporter import export
from snapshots.sources import GitFolder, locate
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, BOB, House, house
from tests.snapshots.test_importer import bring, odd_repository, recomputed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path / "house") as made:
        yield made


async def test_a_folder_is_what_git_would_check_out(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    await bring(home, GitFolder(str(source)))
    told: list[tuple[int, int]] = []
    exported = await export(home.workspace, home.project, tmp_path / "out", tell=lambda *each: told.append(each))
    assert told[-1] == (exported.files, exported.files)
    git(source, f"--work-tree={tmp_path}/out", "update-index", "--refresh")
    assert git(source, f"--work-tree={tmp_path}/out", "status", "--porcelain", "--untracked-files=no") == ""
    assert (tmp_path / "out/link").readlink() == pathlib.Path("deep/er")
    with pytest.raises(Conflict):
        await export(home.workspace, home.project, tmp_path / "out")
    with pytest.raises(Invalid):
        await export(home.workspace, home.project, tmp_path / "no/where")


@pytest.mark.parametrize("ending", [".zip", ".sqlite"])
async def test_what_leaves_comes_back(home: House, tmp_path: pathlib.Path, ending: str) -> None:
    await home.write("docs/a.md", "one\r\ntwo\r\n")
    await home.write("run.sh", b"\xef\xbb\xbf#!\n", mode=0o100755)
    await home.write("image.png", b"\x89PNG\xff")
    await home.write("empty", b"")
    await home.write("ä/漢字.md", "x")
    await export(home.workspace, home.project, tmp_path / f"notes{ending}")
    async with house(tmp_path / "other") as other:
        job = await bring(other, locate(str(tmp_path / f"notes{ending}")))
        assert job.state == "done", job.message
        assert await recomputed(other) == await recomputed(home)


async def test_a_project_file_holds_every_log(home: House, tmp_path: pathlib.Path) -> None:
    await home.write("a.md", "one\n")
    await home.write("a.md", "two\n", BOB)
    await home.write("gone.md", "gone\n")
    await home.workspace.delete(home.project, Path("gone.md"), ALICE)
    await home.snapshotter.snapshot(home.project)
    await export(home.workspace, home.project, tmp_path / "notes.sqlite")
    database = sqlite3.connect(tmp_path / "notes.sqlite")
    ((document, content),) = database.execute("SELECT id, content FROM documents WHERE path = ?", (b"a.md",))
    updates = [
        payload
        for (payload,) in database.execute(
            "SELECT payload FROM entries WHERE document = ? AND kind = ? ORDER BY position",
            (document, EntryKind.UPDATE),
        )
    ]
    assert Document.load(ClientId(1), updates).text == content.decode() == "two\n"
    assert database.execute("SELECT content FROM documents WHERE deleted_at IS NOT NULL").fetchall() == [(b"gone\n",)]
    assert ("Bob",) in database.execute("SELECT name FROM actors").fetchall()
    assert database.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
    database.close()
    assert hidden(tmp_path) == []


async def test_a_project_file_that_was_tampered_with_is_refused(home: House, tmp_path: pathlib.Path) -> None:
    await home.write("a.md", "one\n")
    for number, harm in enumerate(
        [
            "UPDATE documents SET content = x'00'",
            "UPDATE documents SET path = CAST('../x' AS BLOB)",
            "UPDATE meta SET value = '99' WHERE key = 'format'",
            "DROP TABLE documents; CREATE VIEW documents AS SELECT 1 AS path",
        ]
    ):
        path = tmp_path / f"{number}.sqlite"
        await export(home.workspace, home.project, path)
        database = sqlite3.connect(path)
        database.executescript(harm)
        database.close()
        async with house(tmp_path / str(number)) as other:
            assert (await bring(other, locate(str(path)))).state == "failed"
            assert await other.files() == {}


async def test_names_that_are_not_utf_8_reach_the_disk_as_they_are(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    await bring(home, GitFolder(str(source)))
    await export(home.workspace, home.project, tmp_path / "out.zip")
    await export(home.workspace, home.project, tmp_path / "out")
    assert len(list((tmp_path / "out" / os.fsdecode(b"caf\xe9")).glob("*"))) == 1


def hidden(folder: pathlib.Path) -> list[str]:
    """What was left half made."""
    return [each.name for each in folder.iterdir() if each.name.startswith(".")]
