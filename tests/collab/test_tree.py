"""What stands at which path: moves, returns, discards, and who stands in whose way."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from collab.errors import Conflict, Invalid, NotFound, PathTaken, QuireError
from collab.ids import Path
from collab.store.base import Append, Change, Committed, Entry, EntryKind, Event, Row
from collab.store.memory import MemoryStore
from collab.text import blob_sha
from collab.workspace import Incoming, Written
from tests.collab.desk import ALICE, BOB, Desk, desk

pytestmark = pytest.mark.anyio

LINK, COMMIT = 0o120000, "c0ffee" + "0" * 34


async def bring(there: Desk, *files: Incoming) -> None:
    """As if git had brought it."""
    await there.workspace.stage(there.project, "job", files, ALICE)
    await there.workspace.publish(there.project, "job")


def submodule(path: str) -> Incoming:
    return Incoming(Path(path), 0o160000, b"", COMMIT)  # type: ignore[arg-type]


def carried(path: str, content: bytes = b"x", mode: int = 0o100644) -> Incoming:
    return Incoming(Path(path), mode, content, blob_sha(content))


async def move(there: Desk, source: str, target: str) -> list[Row]:
    return await there.workspace.move(there.project, Path(source), Path(target), ALICE)


async def events(there: Desk, kind: str) -> list[Event]:
    return [event for event in await there.workspace.events(there.project, 0) if event.kind == kind]


async def test_a_directory_moves_onto_its_parent_whatever_order_its_files_have() -> None:
    async with desk() as there:
        for name in ("d/d/x", "d/d/d/x", "d/d/d/d/x"):
            await there.put(name, name)
        await move(there, "d/d", "d")
        assert await there.paths() == ["d/d/d/x", "d/d/x", "d/x"]
        assert await there.text("d/d/x") == "d/d/d/x"
        await there.put("e/e", "file")
        await move(there, "e/e", "e")
        assert await there.text("e") == "file"


async def test_a_directory_enters_another_only_where_they_have_nothing_in_common() -> None:
    async with desk() as there:
        for name in ("src/a", "src/sub/b", "lib/c"):
            await there.put(name, name)
        await bring(there, carried("odd/Sub"), carried("odd/sub/b"), carried("odd/c"))
        await move(there, "src", "lib")
        assert await there.paths(prefix="lib/") == ["lib/a", "lib/c", "lib/sub/b"]
        for target in ("lib", "lib/c", "lib/c/under", "LIB"):
            with pytest.raises(PathTaken):
                await move(there, "odd", target)
        await move(there, "odd", "even")
        assert await there.paths(prefix="even/") == ["even/Sub", "even/c", "even/sub/b"]


async def test_a_name_that_git_brought_moves_along_with_its_directory() -> None:
    async with desk() as there:
        await bring(there, carried("src/aux.c"))
        await move(there, "src", "lib")
        assert await there.paths() == ["lib/aux.c"]
        with pytest.raises(Invalid):
            await move(there, "lib/aux.c", "lib/nul.c")


async def test_a_twin_is_found_below_directories_that_are_there_and_beside_what_stays() -> None:
    async with desk() as there:
        for name in ("a/B/x", "Docs/a", "Docs/b", "Readme.md", "other"):
            await there.put(name, "x")
        with pytest.raises(PathTaken, match="case"):
            await there.put("a/b/c", "y")
        for source, target in (("Docs/a", "docs/a"), ("other", "README.md")):
            with pytest.raises(PathTaken, match="case"):
                await move(there, source, target)
        await move(there, "Docs", "docs")
        assert await there.paths(prefix="docs/") == ["docs/a", "docs/b"]


@pytest.mark.parametrize("kind", ["moved", "deleted", "undeleted"])
async def test_an_event_tells_the_sha_of_what_was_typed_just_before(kind: str) -> None:
    async with desk() as there:
        await there.put("a", "one\r\ntwo\r\n")
        async with there.peer("a") as alice:
            for _ in range(3):
                alice.type("x\n")
                await alice.until_saved()
            if kind == "moved":
                [row] = await move(there, "a", "b")
            else:
                [row] = await there.workspace.delete(there.project, Path("a"), ALICE)
        if kind == "undeleted":
            row = await there.workspace.undelete(there.project, Path("a"), None, ALICE)
        content = b"one\r\ntwo\r\nx\r\nx\r\nx\r\n"
        assert (row.sha, row.size, row.sha_position) == (blob_sha(content), len(content), row.head)
        [told] = await events(there, kind)
        assert (told.sha, told.position) == (row.sha, row.head)
        stored = await there.workspace.store.document(row.id)
        assert stored is not None
        assert (stored.sha, stored.size, stored.sha_position) == (row.sha, row.size, told.position)
        assert (await there.workspace.at(row, row.head)).content == content


async def test_what_one_act_deleted_of_a_directory_comes_back_as_a_whole() -> None:
    async with desk() as there:
        for name in ("src/a", "src/b", "src/deep/c", "src/early"):
            await there.put(name, name)
        await there.workspace.delete(there.project, Path("src/early"), ALICE)
        await there.workspace.delete(there.project, Path("src"), BOB, recursive=True)
        await there.put("src/deep", "in the way")
        with pytest.raises(PathTaken):
            await there.workspace.undelete(there.project, Path("src"), None, ALICE)
        assert await there.paths() == ["src/deep"]
        await move(there, "src/deep", "elsewhere")
        await there.workspace.undelete(there.project, Path("src"), None, ALICE)
        assert await there.paths() == ["elsewhere", "src/a", "src/b", "src/deep/c"]
        assert await there.text("src/deep/c") == "src/deep/c"
        await there.workspace.undelete(there.project, Path("src"), None, ALICE)
        assert "src/early" in await there.paths()
        with pytest.raises(NotFound):
            await there.workspace.undelete(there.project, Path("src"), None, ALICE)


async def test_what_was_renamed_and_then_deleted_is_discarded_to_where_the_branch_has_it() -> None:
    async with desk() as there:
        await bring(there, carried("aux.c", b"text\n"), carried("con.c", b"other\n"))
        await there.commit_everything()
        await move(there, "aux.c", "ok.c")
        await move(there, "con.c", "good.c")
        await there.workspace.delete(there.project, Path("ok.c"), ALICE)
        await there.workspace.discard(there.project, Path("aux.c"), BOB)
        await there.workspace.discard(there.project, Path("good.c"), BOB)
        assert await there.paths() == ["aux.c", "con.c"]
        assert await there.workspace.changes(there.project) == []
        [back] = await events(there, "undeleted")
        assert (back.path, back.data) == ("aux.c", {"from": "ok.c"})


async def test_a_discard_does_not_put_a_file_below_one_that_took_the_place_of_its_tombstone() -> None:
    async with desk() as there:
        await there.put("x/y", "text")
        await there.commit_everything()
        await move(there, "x/y", "x")
        await there.workspace.delete(there.project, Path("x"), ALICE)
        await there.put("x", "another")
        with pytest.raises(PathTaken):
            await there.workspace.discard(there.project, Path("x/y"), ALICE)
        assert await there.paths() == ["x"]


async def test_a_discard_whose_place_is_a_directory_now_says_what_to_do() -> None:
    async with desk() as there:
        await there.put("x", "x")
        await there.commit_everything()
        await move(there, "x", "y")
        await there.put("x/inner", "i")
        with pytest.raises(PathTaken, match="move or delete what is in it first"):
            await there.workspace.discard(there.project, Path("y"), ALICE)
        await there.workspace.delete(there.project, Path("x"), ALICE, recursive=True)
        await there.workspace.discard(there.project, Path("y"), ALICE)
        assert await there.paths() == ["x"]


@pytest.mark.parametrize(
    "file",
    [
        submodule("it"),
        carried("it", b"target", LINK),
        carried("it", b"#!/bin/sh\n", 0o100755),
        carried("it", b"\xff\x00\x01"),
        carried("it", b"\xff\x00\x01", 0o100755),
    ],
    ids=["submodule", "symlink", "executable", "binary", "binary executable"],
)
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
async def test_a_discard_brings_back_the_very_same_thing(file: Incoming, how: str) -> None:
    async with desk() as there:
        await bring(there, file)
        await there.commit_everything()
        before = await there.workspace.stat(there.project, Path("it"))
        path = Path("it")
        if how == "moved":
            await move(there, "it", "that")
            path = Path("that")
        else:
            await there.workspace.delete(there.project, Path("it"), ALICE)
        if how == "replaced":
            await there.put("it", "something else\n")
        await there.workspace.discard(there.project, path, BOB)
        after = await there.workspace.stat(there.project, Path("it"))
        assert (after.kind, after.mode, after.object, after.sha, after.size) == (
            before.kind,
            before.mode,
            before.object,
            before.sha,
            before.size,
        )
        assert (await there.workspace.read(there.project, Path("it"))).content == file.content
        past = await there.workspace.at(after, after.head)
        assert (past.row.sha, past.row.mode, past.content) == (file.sha, file.mode, file.content)
        assert await there.workspace.changes(there.project) == []


async def test_nothing_is_written_through_a_submodule() -> None:
    async with desk() as there:
        await bring(there, submodule("vendor/lib"))
        for mode in (None, 0o100644, LINK):
            with pytest.raises(Conflict) as refused:
                await there.workspace.write(there.project, Path("vendor/lib"), b"text", ALICE, mode=mode, force=True)
            assert refused.value.name == "submodule"
        with pytest.raises(Conflict):
            await there.workspace.write(there.project, Path("new"), b"", ALICE, mode=0o160000)
        row = await there.workspace.stat(there.project, Path("vendor/lib"))
        assert (row.kind, row.sha, row.object) == ("submodule", COMMIT, COMMIT)


async def test_a_symlink_is_written_only_where_the_mode_says_what_is_meant() -> None:
    async with desk() as there:
        await bring(there, carried("link", b"target", LINK))

        async def write(content: bytes, mode: int | None) -> Written:
            return await there.workspace.write(there.project, Path("link"), content, ALICE, mode=mode, force=True)

        with pytest.raises(Conflict) as refused:
            await write(b"I am a file\n", None)
        assert refused.value.name == "symlink"
        with pytest.raises(Invalid):
            await write(b"", LINK)
        assert (await write(b"other", LINK)).row.kind == "symlink"
        assert await there.text("link") == "other"
        row = (await write(b"I am a file\n", 0o100644)).row
        assert (row.kind, row.mode, row.sha) == ("text", 0o100644, blob_sha(b"I am a file\n"))


async def test_an_import_never_makes_a_file_and_a_directory_of_one_path() -> None:
    async with desk() as there:
        for mine, theirs in (("src", "src/a"), ("lib/a", "lib")):
            await there.workspace.stage(there.project, theirs, [carried(theirs)], ALICE)
            await there.put(mine, "made here meanwhile")
            with pytest.raises(PathTaken, match="a file and a directory at once"):
                await there.workspace.publish(there.project, theirs)
            await there.workspace.drop(theirs)
        assert await there.paths() == ["lib/a", "src"]
        await there.workspace.stage(there.project, "twin", [carried("SRC")], ALICE)
        await there.workspace.publish(there.project, "twin")
        assert await there.paths() == ["SRC", "lib/a", "src"]


@pytest.mark.parametrize("create_only", [True, False])
async def test_of_two_that_make_one_path_at_once_one_makes_it(create_only: bool) -> None:
    async with desk() as there:
        made: list[bool | str] = []

        async def write(content: bytes) -> None:
            try:
                written = await there.workspace.write(there.project, Path("a"), content, ALICE, create_only=create_only)
            except QuireError as error:
                made.append(error.name)
            else:
                made.append(written.created)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, b"one")
            tasks.start_soon(write, b"two")
        assert made == [True, "exists"] if create_only else [True, "path_taken"]
        assert await there.text("a") == "one"


class Shared(MemoryStore):
    """Another process writes to it as well: `late` just before the next commit that appends."""

    late: Append | None = None

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        if appends and self.late is not None:
            late, self.late = self.late, None
            await super().commit([late])
        return await super().commit(appends, changes)


@pytest.mark.parametrize("change", ["move", "delete", "write"])
async def test_an_edit_that_came_in_between_is_nobodys_error(change: str) -> None:
    store = Shared()
    async with desk(store) as there:
        await there.put("a", "text")
        row = await there.workspace.resolve(there.project, Path("a"))
        store.late = Append(document=row.id, entries=(Entry(kind=EntryKind.META, actor=BOB, payload=b"{}"),))
        match change:
            case "move":
                await move(there, "a", "b")
            case "delete":
                await there.workspace.delete(there.project, Path("a"), ALICE)
            case "write":
                await there.workspace.write(there.project, Path("a"), b"new", ALICE, force=True)
        found = await store.document(row.id)
        assert found is not None
        assert (found.path, found.deleted_at is None) == ("b" if change == "move" else "a", change != "delete")
        assert found.head == row.head + 2
        assert store.late is None
