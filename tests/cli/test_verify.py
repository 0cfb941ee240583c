"""Whatever is broken in a data directory is found, and named; what can be repaired is, and nothing else is touched."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from collab.ids import START, DocumentId, Path
from collab.store.base import Checkpoint, CreateDocument, SetDocument
from collab.text import blob_sha
from tests.cli.data import FILES, Data, opened, type_into
from web.verify import Finding, Verifier

pytestmark = pytest.mark.anyio


async def findings(data: Data, *, repair: bool = False) -> list[Finding]:
    verifier = Verifier(data.store, data.objects, data.remotes.of, repair=repair)
    return [each async for each in verifier.run() if isinstance(each, Finding)]


def damage(folder: pathlib.Path, statement: str, *values: object) -> None:
    """Behind the store's back, which is closed."""
    with sqlite3.connect(folder / "quire.sqlite") as connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def document(path: str) -> str:
    return f"(SELECT n FROM documents WHERE path = CAST('{path}' AS BLOB))"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


async def test_whole_data_has_nothing_to_find(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        await type_into(data, "README.md", 30, checkpoint=True)
        await type_into(data, "README.md", 5)
        assert await findings(data) == []


async def test_an_entry_that_is_missing_is_found_and_the_document_quarantined(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        await type_into(data, "README.md", 5)
    damage(folder, f"DELETE FROM entries WHERE position = 4 AND document = {document('README.md')}")
    async with opened(folder) as data:
        found = await findings(data)
        assert (found[0].check, found[0].path) == ("log", "README.md")
        assert "position 4 is missing" in found[0].message
        await findings(data, repair=True)
        assert (await data.row("README.md")).quarantined is not None


async def test_an_entry_that_cannot_be_decoded_is_quarantined_and_its_log_stays(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        await type_into(data, "README.md", 5)
    damage(folder, f"UPDATE entries SET payload = x'ff00' WHERE position = 4 AND document = {document('README.md')}")
    async with opened(folder) as data:
        (found,) = [each for each in await findings(data, repair=True) if each.check == "log"]
        assert "position 4" in found.message
        assert found.repaired is not None
        row = await data.row("README.md")
        assert len(await data.store.entries(row.id, START, row.head)) == row.head


async def test_a_checkpoint_with_another_text_is_replaced(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        await type_into(data, "README.md", 5, checkpoint=True)
        row = await data.row("README.md")
        other = await data.store.load(data.rows["run.sh"].id)
        assert other is not None
        await data.store.checkpoint(row.id, Checkpoint(row.head, other.entries[1].entry.payload))

        (found,) = await findings(data)
        assert (found.check, found.path, found.repaired) == ("checkpoint", "README.md", None)
        (found,) = await findings(data, repair=True)
        assert found.repaired is not None
        assert await findings(data) == []


async def test_what_is_a_file_and_a_directory_at_once_is_found(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        row = data.rows["run.sh"]
        await data.store.commit(changes=[CreateDocument(replace(row, id=DocumentId("x"), path=Path("run.sh/below")))])
        found = [each for each in await findings(data) if "a file and a directory at once" in each.message]
        assert [(each.check, each.path, each.repaired) for each in found] == [("catalog", "run.sh", None)]


async def test_a_wrong_sha_or_size_is_made_again_from_the_log(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        row = data.rows["docs/windows.txt"]
        await data.store.commit(changes=[SetDocument(id=row.id, fields={"sha": blob_sha(b"other"), "size": 5})])
        (found,) = await findings(data)
        assert (found.check, found.path) == ("catalog", "docs/windows.txt")
        await findings(data, repair=True)
        assert await findings(data) == []
        assert (await data.row("docs/windows.txt")).sha == blob_sha(FILES["docs/windows.txt"][0])


async def test_what_the_catalog_says_of_a_file_must_be_what_the_log_says_last(folder: pathlib.Path) -> None:
    async with opened(folder):
        pass
    damage(folder, "UPDATE documents SET mode = ? WHERE path = CAST('run.sh' AS BLOB)", 0o100644)
    async with opened(folder) as data:
        (found,) = await findings(data)
        assert (found.check, found.path) == ("catalog", "run.sh")
        assert "mode" in found.message


async def test_an_object_that_is_missing_or_changed_comes_back_from_git(folder: pathlib.Path) -> None:
    logo, link = (f"objects/{blob_sha(FILES[path][0])}" for path in ("logo.png", "link"))
    async with opened(folder) as data:
        await data.objects.delete(logo)
        await data.objects.put(link, b"elsewhere")
        found = await findings(data)
        assert {(each.check, each.path) for each in found} == {("object", "logo.png"), ("object", "link")}
        assert all(each.repaired for each in await findings(data, repair=True))
        assert await findings(data) == []
        assert (await data.objects.get(logo)).content == FILES["logo.png"][0]


@pytest.mark.parametrize(
    "harm",
    [
        lambda blob: blob.unlink(),
        lambda blob: (blob.chmod(0o600), blob.write_bytes(b"nonsense")),
    ],
    ids=["missing", "changed"],
)
async def test_a_blob_that_git_lost_is_found(folder: pathlib.Path, harm: Callable[[pathlib.Path], object]) -> None:
    sha = blob_sha(FILES["run.sh"][0])
    async with opened(folder) as data:
        blob = (await data.remotes.of(data.project)).path / "objects" / sha[:2] / sha[2:]
        harm(blob)
        (found,) = await findings(data)
        assert (found.check, found.path) == ("git", "run.sh")


async def test_a_branch_that_lacks_what_was_committed_is_found(folder: pathlib.Path) -> None:
    async with opened(folder) as data:
        branch = (await data.remotes.of(data.project)).path / "refs" / "heads" / "main"
        branch.unlink()
        found = await findings(data)
        assert {each.check for each in found} == {"git"}
        assert {each.path for each in found} == set(FILES)
