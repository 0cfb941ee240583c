"""A project's files, as HTTP, the command line and the snapshotter use them."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest

from collab.bases import Changed
from collab.errors import Conflict, Invalid, NotFound, Overlap, PathInvalid, PathTaken, Quarantined
from collab.ids import Path
from collab.member import CloseCode
from collab.store.base import Append, Entry, EntryKind
from collab.text import blob_sha
from collab.workspace import Incoming
from tests.collab.desk import ALICE, BOB, desk
from tests.collab.peers import Peer

pytestmark = pytest.mark.anyio


async def test_what_is_written_is_read_and_listed_with_its_blob_sha() -> None:
    async with desk() as there:
        sha = await there.put("docs/a.md", "hello\r\nworld\r\n")
        assert sha == blob_sha(b"hello\r\nworld\r\n")
        assert await there.text("docs/a.md") == "hello\r\nworld\r\n"
        [row] = (await there.workspace.tree(there.project)).rows
        assert (row.path, row.kind, row.eol, row.sha, row.size) == ("docs/a.md", "text", "crlf", sha, 14)
        assert await there.kinds() == ["created"]


async def test_a_write_against_what_was_read_is_merged_with_what_others_typed_since() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("zero\n", at=0)
            await bob.until_saved()
            written = await there.workspace.write(
                there.project,
                Path("a.md"),
                b"one\ntwo\nTHREE\n",
                ALICE,
                if_match=sha,  # type: ignore[arg-type]
            )
            assert (written.rebased, written.created) == (True, False)
            await bob.until(lambda: bob.text == "zero\none\ntwo\nTHREE\n")
        assert written.row.sha == blob_sha(b"zero\none\ntwo\nTHREE\n")


async def test_a_write_that_overlaps_changes_nothing_and_answers_with_the_hunks() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("2 ", at=4)
            await bob.until_saved()
            with pytest.raises(Overlap) as refused:
                await there.workspace.write(there.project, Path("a.md"), b"one\nTWO\nthree\n", ALICE, if_match=sha)  # type: ignore[arg-type]
        [hunk] = refused.value.details["hunks"]
        assert (hunk["base"], hunk["ours"], hunk["theirs"]) == ("two\n", "2 two\n", "TWO\n")
        assert await there.text("a.md") == "one\n2 two\nthree\n"


async def test_a_blind_write_is_refused_where_somebody_else_edits() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        async with there.peer("a.md", "bob"):
            with pytest.raises(Conflict, match="If-Match"):
                await there.put("a.md", "two\n")
        await there.put("a.md", "three\n")
        with pytest.raises(Conflict):
            await there.put("a.md", "four\n", BOB)
        await there.workspace.write(there.project, Path("a.md"), b"four\n", BOB, force=True)
        assert await there.text("a.md") == "four\n"


async def test_a_version_that_is_not_known_is_said_to_be_so() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        with pytest.raises(Conflict) as refused:
            await there.workspace.write(there.project, Path("a.md"), b"two\n", ALICE, if_match=blob_sha(b"other"))
        assert refused.value.name == "base_unknown"


async def test_create_only_never_touches_what_is_there() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        with pytest.raises(PathTaken):
            await there.workspace.write(there.project, Path("a.md"), b"two\n", ALICE, create_only=True)
        assert await there.text("a.md") == "one\n"


@pytest.mark.parametrize("path", ["../up", "/absolute", "a//b", ".git/config", "nul", "a\u202eb", "x" * 300])
async def test_a_path_that_could_not_stand_everywhere_is_refused_by_name(path: str) -> None:
    async with desk() as there:
        with pytest.raises(PathInvalid) as refused:
            await there.put(path, "x")
        assert refused.value.field == "path"


async def test_a_file_is_never_a_directory_and_has_no_twin() -> None:
    async with desk() as there:
        await there.put("docs/a.md", "x")
        for path in ["docs", "docs/a.md/b", "docs/A.md", "DOCS/b.md"]:
            with pytest.raises(PathTaken):
                await there.put(path, "y")
        await there.put("docs/b.md", "z")
        assert await there.paths() == ["docs/a.md", "docs/b.md"]


async def test_a_moved_file_keeps_its_document_and_the_old_path_leads_to_it() -> None:
    async with desk() as there:
        await there.put("a.md", "text")
        async with there.peer("a.md") as alice:
            before = await there.workspace.resolve(there.project, Path("a.md"))
            [row] = await there.workspace.move(there.project, Path("a.md"), Path("docs/b.md"), BOB)
            alice.type("!")
            await alice.until_saved()
            assert (row.id, row.path) == (before.id, "docs/b.md")
            assert await there.text("a.md") == await there.text("docs/b.md") == "text!"
        await there.put("a.md", "another")
        assert (await there.text("a.md"), await there.text("docs/b.md")) == ("another", "text!")
        moved = next(event for event in await there.workspace.events(there.project, 0) if event.kind == "moved")
        assert (moved.path, moved.data) == ("docs/b.md", {"from": "a.md"})


async def test_a_directory_moves_as_a_whole_open_files_included() -> None:
    async with desk() as there:
        for name in ("a", "b", "deep/c"):
            await there.put(f"src/{name}", name)
        async with there.peer("src/a") as alice:
            await there.workspace.move(there.project, Path("src"), Path("lib"), ALICE)
            alice.type("!")
            await alice.until_saved()
        assert await there.paths() == ["lib/a", "lib/b", "lib/deep/c"]
        assert await there.text("lib/a") == "a!"
        with pytest.raises(PathTaken):
            await there.workspace.move(there.project, Path("lib"), Path("lib/deep/lib"), ALICE)


async def test_a_move_may_change_the_case_of_a_name_alone() -> None:
    async with desk() as there:
        await there.put("readme.md", "x")
        await there.workspace.move(there.project, Path("readme.md"), Path("README.md"), ALICE)
        assert await there.paths() == ["README.md"]


async def test_a_deleted_file_is_gone_for_its_peers_and_can_be_brought_back() -> None:
    async with desk() as there:
        await there.put("a.md", "text")
        async with there.peer("a.md") as alice:
            [row] = await there.workspace.delete(there.project, Path("a.md"), BOB)
            assert await alice.until_closed() == CloseCode.NO_SUCH_FILE
        with pytest.raises(NotFound):
            await there.text("a.md")
        back = await there.workspace.undelete(there.project, Path("a.md"), None, BOB)
        assert (back.id, await there.text("a.md")) == (row.id, "text")
        async with there.peer("a.md") as again:
            await again.until(lambda: again.text == "text")


async def test_what_took_the_path_of_a_deleted_file_stands_in_the_way_of_its_return() -> None:
    async with desk() as there:
        await there.put("a.md", "old")
        [row] = await there.workspace.delete(there.project, Path("a.md"), ALICE)
        await there.put("a.md", "new")
        with pytest.raises(PathTaken):
            await there.workspace.undelete(there.project, None, row.id, ALICE)
        assert await there.text("a.md") == "new"


async def test_a_directory_is_deleted_only_when_that_is_said() -> None:
    async with desk() as there:
        await there.put("src/a", "a")
        await there.put("src/b", "b")
        with pytest.raises(PathTaken, match="recursive"):
            await there.workspace.delete(there.project, Path("src"), ALICE)
        await there.workspace.delete(there.project, Path("src"), ALICE, recursive=True)
        assert await there.paths() == []


async def test_a_file_may_stop_being_text_and_become_text_again_and_keeps_its_id() -> None:
    async with desk() as there:
        await there.put("a", "text\n")
        before = await there.workspace.resolve(there.project, Path("a"))
        async with there.peer("a") as alice:
            await there.put("a", b"\xff\x00binary")
            assert await alice.until_closed() == CloseCode.NO_SUCH_FILE
        binary = await there.workspace.stat(there.project, Path("a"))
        assert (binary.id, binary.kind, binary.sha) == (before.id, "binary", blob_sha(b"\xff\x00binary"))
        await there.put("a", "text again\n")
        async with there.peer("a") as alice:
            await alice.until(lambda: alice.text == "text again\n")
        assert (await there.workspace.stat(there.project, Path("a"))).id == before.id


async def test_the_past_is_read_by_position_and_by_time() -> None:
    async with desk() as there:
        await there.put("a", "one")
        first = await there.workspace.stat(there.project, Path("a"))
        await there.put("a", "two")
        past = await there.workspace.read(there.project, Path("a"), at=str(first.head))
        assert past.content == b"one"
        with pytest.raises(Invalid):
            await there.workspace.read(there.project, Path("a"), at="999")
        with pytest.raises(Invalid):
            await there.workspace.read(there.project, Path("a"), at="yesterday")
        for neither in ("²", "0001-01-01T00:00:00+02:00"):
            with pytest.raises(Invalid, match="neither a position nor a time"):
                await there.workspace.read(there.project, Path("a"), at=neither)
            with pytest.raises(Invalid, match="neither a position nor a time"):
                await there.workspace.tree(there.project, at=neither)
        with pytest.raises(NotFound):
            await there.workspace.read(there.project, Path("a"), at="1970-01-01T00:00:00Z")
        assert (await there.workspace.read(there.project, Path("a"), at="2100-01-01T00:00:00Z")).content == b"two"


async def test_many_files_are_read_in_one_go_in_the_order_asked_for() -> None:
    async with desk() as there:
        for name in "abc":
            await there.put(name, name * 3)
        found = await there.workspace.read_many(there.project, [Path("c"), Path("missing"), Path("a")])
        assert [each and each.content for each in found] == [b"ccc", None, b"aaa"]


async def test_a_directory_is_listed_by_itself_and_page_by_page() -> None:
    async with desk() as there:
        for name in ("a", "src/b", "src/deep/c", "z"):
            await there.put(name, name)
        page = await there.workspace.tree(there.project, depth=1)
        assert ([row.path for row in page.rows], page.directories) == (["a", "z"], ["src"])
        page = await there.workspace.tree(there.project, prefix="src/", depth=1)
        assert ([row.path for row in page.rows], page.directories) == (["src/b"], ["src/deep"])
        first = await there.workspace.tree(there.project, limit=3)
        second = await there.workspace.tree(there.project, limit=3, cursor=first.cursor)
        assert ([len(first.rows), len(second.rows)], second.cursor) == ([3, 1], None)


async def test_the_version_of_a_listing_changes_with_every_text() -> None:
    async with desk() as there:
        await there.put("a", "one")
        versions = {(await there.workspace.tree(there.project)).version}
        async with there.peer("a") as alice:
            for number in range(5):
                alice.type(str(number))
                await alice.until_saved()
                versions.add((await there.workspace.tree(there.project)).version)
        assert len(versions) == 6


async def test_changes_against_the_last_commit_say_what_who_and_since_when() -> None:
    async with desk() as there:
        for name in ("same", "edited", "moved", "gone"):
            await there.put(name, name)
        await there.commit_everything()
        async with there.peer("edited", "bob") as bob:
            bob.type("!")
            await bob.until_saved()
        await there.workspace.move(there.project, Path("moved"), Path("renamed"), ALICE)
        await there.workspace.delete(there.project, Path("gone"), BOB)
        await there.put("new", "new")
        found = {each.path: each for each in await there.workspace.changes(there.project)}
        assert {path: each.change for path, each in found.items()} == {
            "edited": "modified",
            "gone": "deleted",
            "new": "added",
            "renamed": "renamed",
        }
        assert (found[Path("edited")].actors, found[Path("renamed")].from_path) == (("bob",), "moved")


async def test_a_file_whose_log_cannot_be_read_is_held_back_and_the_rest_goes_on() -> None:
    async with desk() as there:
        await there.put("good", "x")
        await there.put("bad", "x")
        await there.commit_everything()
        bad = await there.workspace.resolve(there.project, Path("bad"))
        broken = Entry(kind=EntryKind.UPDATE, actor=ALICE, payload=b"not an update")
        await there.workspace.store.commit([Append(document=bad.id, entries=(broken,))])
        with pytest.raises(Quarantined):
            async with there.rooms.turn(bad.id):
                raise AssertionError("nobody gets a turn of what cannot be read")
        await there.put("good", "y")
        assert [each.path for each in await there.workspace.changes(there.project)] == ["good"]
        assert await there.paths() == ["bad", "good"]


async def test_what_differs_is_one_cut_however_long_it_takes_to_read() -> None:
    """Somebody writes to a, waits until it is saved, and writes to z: no cut holds z newer than a."""
    async with desk() as there, AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for name in ("a", "m", "z"):
            await there.put(name, "")
            peers[name] = await stack.enter_async_context(there.peer(name))

        async def type_into(name: str) -> None:
            peers[name].type("x")
            await peers[name].until_saved()

        for name in (*peers, *peers):  # the first is announced at once, and the catalog knows its SHA
            await type_into(name)
        found: list[Changed] = []

        async def look() -> None:
            found.extend(await there.workspace.changed(there.project))

        between = await there.workspace.resolve(there.project, Path("m"))
        async with anyio.create_task_group() as tasks, there.rooms.turn(between.id) as turn:
            tasks.start_soon(look)
            with anyio.fail_after(5):
                while turn.room.users < 3:  # the peer, this turn, and whoever looks
                    await anyio.lowlevel.checkpoint()
            await type_into("a")
            await type_into("z")
        rows = [each.row for each in found if each.row is not None]
        files = [await there.workspace.at(row, row.head) for row in rows]
        assert [(each.row.path, each.content) for each in files] == [("a", b"xx"), ("m", b"xx"), ("z", b"xx")]
        assert [each.row.sha for each in files] == [row.sha for row in rows]


@pytest.mark.parametrize("how", ["edited", "moved", "gone", "new"])
async def test_a_discarded_change_is_as_the_branch_has_it(how: str) -> None:
    async with desk() as there:
        for name in ("edited", "moved", "gone"):
            await there.put(name, name)
        await there.commit_everything()
        before = {row.path: row.sha for row in (await there.workspace.tree(there.project)).rows}
        path = how
        match how:
            case "edited":
                await there.put("edited", "something else")
            case "moved":
                await there.workspace.move(there.project, Path("moved"), Path("renamed"), ALICE)
                path = "renamed"
            case "gone":
                await there.workspace.delete(there.project, Path("gone"), ALICE)
            case "new":
                await there.put("new", "new")
        await there.workspace.discard(there.project, Path(path), BOB)
        assert {row.path: row.sha for row in (await there.workspace.tree(there.project)).rows} == before
        assert await there.workspace.changes(there.project) == []
        with pytest.raises(NotFound):
            await there.workspace.discard(there.project, Path(path), BOB)


async def test_an_import_is_there_as_a_whole_or_not_at_all() -> None:
    async with desk() as there:
        files = [Incoming(Path(name), 0o100644, name.encode(), blob_sha(name.encode())) for name in ("a", "b")]
        await there.workspace.stage(there.project, "job", files, ALICE)
        assert (await there.paths(), await there.kinds()) == ([], [])
        await there.put("b", "in the way")
        with pytest.raises(PathTaken):
            await there.workspace.publish(there.project, "job")
        assert await there.paths() == ["b"]
        await there.workspace.drop("job")
        await there.workspace.stage(there.project, "again", files[:1], ALICE)
        await there.workspace.publish(there.project, "again")
        assert await there.paths() == ["a", "b"]


async def test_events_are_followed_in_order_from_where_one_stopped() -> None:
    async with desk() as there:
        await there.put("a", "x")
        seen: list[tuple[int, str]] = []
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                async for event in there.workspace.follow(there.project, 0):
                    seen.append((event.n, str(event.path)))
                    if len(seen) == 3:
                        return

            tasks.start_soon(follow)
            await anyio.lowlevel.checkpoint()
            await there.put("b", "x")
            await there.put("c", "x")
            with anyio.fail_after(5):
                while len(seen) < 3:
                    await anyio.lowlevel.checkpoint()
        assert seen == [(1, "a"), (2, "b"), (3, "c")]


async def test_projects_are_made_renamed_and_deleted() -> None:
    async with desk() as there:
        with pytest.raises(PathTaken):
            await there.workspace.create_project("notes", ALICE)
        with pytest.raises(Invalid):
            await there.workspace.create_project("Not A Name", ALICE)
        await there.put("a", "x")
        await there.workspace.rename_project("notes", "texts", ALICE)
        assert [project.name for project in await there.workspace.projects()] == ["texts"]
        async with there.peer("a") as alice:
            await there.workspace.delete_project("texts")
            assert await alice.until_closed() == CloseCode.NO_SUCH_FILE
        with pytest.raises(NotFound):
            await there.workspace.project("texts")
