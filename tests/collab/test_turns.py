"""Turns: several files or one, all or none, undone in one step."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from itertools import count

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab.actors import Actor
from collab.actors import put as put_actor
from collab.anchors import from_json
from collab.edits import Ambiguous, NoMatch, Replacement
from collab.errors import Conflict, Invalid, NotFound, Overlap, PathTaken
from collab.ids import ActorId, Millis, Path, TurnId
from collab.order import Order, order
from collab.store.sqlite import open_store
from collab.text import blob_sha
from collab.wish import Taken, Wish
from tests.collab.desk import BOB, Desk, desk

pytestmark = pytest.mark.anyio

AGENT = ActorId("agent")


def edit(path: str, base: str, *edits: tuple[str, str], **more: object) -> Wish:
    replacements = [Replacement(old, new) for old, new in edits]
    return Wish(path=Path(path), base=base, edits=replacements, **more)  # type: ignore[arg-type]


async def take(there: Desk, *wishes: Wish, **more: object) -> Taken:
    return await there.workspace.turns.take(there.project, wishes, AGENT, **more)  # type: ignore[arg-type]


async def undo(there: Desk, taken: Taken, actor: ActorId = AGENT, **more: object) -> Taken:
    assert taken.turn is not None
    return await there.workspace.turns.undo(there.project, taken.turn, actor, **more)  # type: ignore[arg-type]


async def test_an_edit_is_applied_to_what_was_read_and_answers_with_the_difference() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\n", AGENT)
        taken = await take(there, edit("a.md", sha, ("two", "2")))
        [file] = taken.files
        assert (file.change, file.rebased, file.row.sha) == ("edited", False, blob_sha(b"one\n2\n"))
        assert file.diff == "--- a/a.md\n+++ b/a.md\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        assert await there.text("a.md") == "one\n2\n"


async def test_an_edit_finds_its_way_around_what_somebody_typed_since() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("zero\n", at=0)
            await bob.until_saved()
            [file] = (await take(there, edit("a.md", sha, ("three", "3")))).files
            assert file.rebased
            await bob.until(lambda: bob.text == "zero\none\ntwo\n3\n")


async def test_lines_that_somebody_changed_since_are_refused_with_what_is_there_now() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("2 ", at=4)
            await bob.until_saved()
            with pytest.raises(Overlap) as refused:
                await take(there, edit("a.md", sha, ("two", "TWO")))
        details = refused.value.details
        assert details["hunks"][0]["ours"] == "2 two\n"
        assert details["sha"] == blob_sha(b"one\n2 two\nthree\n")
        assert "-two\n+2 two\n" in details["diff"]
        assert await there.text("a.md") == "one\n2 two\nthree\n"


async def test_the_agent_itself_is_no_exception() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\n", AGENT)
        await take(there, edit("a.md", sha, ("two", "2")))
        with pytest.raises(Overlap):
            await take(there, edit("a.md", sha, ("two", "zwei")))
        assert await there.text("a.md") == "one\n2\n"


async def test_a_base_may_be_a_position() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n", AGENT)
        row = await there.workspace.stat(there.project, Path("a.md"))
        await take(there, edit("a.md", str(row.head), ("one", "1")))
        assert await there.text("a.md") == "1\n"


async def test_a_base_that_is_not_known_answers_with_what_is_there() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        with pytest.raises(Conflict) as refused:
            await take(there, edit("a.md", "0" * 40, ("one", "1")))
        assert refused.value.name == "base_unknown"
        assert refused.value.details["text"] == "one\n"


async def test_what_does_not_match_once_changes_nothing() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\none\n")
        with pytest.raises(Ambiguous):
            await take(there, edit("a.md", sha, ("one", "1")))
        with pytest.raises(NoMatch):
            await take(there, edit("a.md", sha, ("two", "2")))
        assert await there.text("a.md") == "one\none\n"


async def test_crlf_and_bom_stay_as_they_are() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "\ufeffone\r\ntwo\r\n", AGENT)
        await take(there, edit("a.md", sha, ("one\ntwo", "1\n2")))
        assert await there.text("a.md") == "\ufeff1\r\n2\r\n"


async def test_a_turn_over_several_files_is_all_or_nothing_and_names_whatever_stands_in_its_way() -> None:
    async with desk() as there:
        shas = {name: await there.put(name, f"{name}\n", AGENT) for name in ("a.md", "b.md", "c.md")}
        await there.put("taken.md", "here\n")
        before = await there.kinds()
        wishes = [
            edit("a.md", shas["a.md"], ("a.md", "A")),
            edit("b.md", shas["b.md"], ("nothing", "B")),
            edit("gone.md", shas["c.md"], ("c", "C")),
            Wish(path=Path("taken.md"), content=b"mine\n", create=True),
        ]
        with pytest.raises(Conflict) as refused:
            await take(there, *wishes)
        named = {each["path"]: each["code"] for each in refused.value.details["files"]}
        assert named == {"b.md": "no_match", "gone.md": "not_found", "taken.md": "exists"}
        assert await there.text("a.md") == "a.md\n"
        assert await there.kinds() == before


async def test_a_turn_edits_makes_moves_and_deletes_in_one_step() -> None:
    async with desk() as there:
        shas = {name: await there.put(name, f"{name}\n", AGENT) for name in ("a.md", "b.md", "c.md")}
        taken = await take(
            there,
            edit("a.md", shas["a.md"], ("a.md", "A")),
            Wish(path=Path("b.md"), to=Path("docs/b.md")),
            Wish(path=Path("c.md"), base=shas["c.md"], delete=True),
            Wish(path=Path("b.md/new.md"), content=b"new\n"),
            message="Tidy up",
        )
        assert [file.change for file in taken.files] == ["edited", "moved", "deleted", "created"]
        assert await there.paths() == ["a.md", "b.md/new.md", "docs/b.md"]
        events = await there.workspace.events(there.project, 0)
        [told] = [event for event in events if event.kind == "turn"]
        assert told.data == {"turn": taken.turn, "message": "Tidy up", "files": 4, "undoes": None}


async def test_a_turn_is_undone_in_one_step_and_done_again() -> None:
    async with desk() as there:
        shas = {name: await there.put(name, f"{name}\n", AGENT) for name in ("a.md", "b.md", "c.md")}
        taken = await take(
            there,
            edit("a.md", shas["a.md"], ("a.md", "A")),
            edit("b.md", shas["b.md"], ("b.md", "B"), to=Path("docs/b.md")),
            Wish(path=Path("c.md"), delete=True),
            Wish(path=Path("new.md"), content=b"new\n"),
        )
        rows = {row.path: row.id for row in (await there.workspace.tree(there.project)).rows}
        undone = await undo(there, taken)
        assert await there.paths() == ["a.md", "b.md", "c.md"]
        assert [await there.text(name) for name in ("a.md", "b.md", "c.md")] == ["a.md\n", "b.md\n", "c.md\n"]
        again = await there.workspace.turns.redo(there.project, taken.turn or TurnId(""), AGENT)
        assert await there.paths() == ["a.md", "docs/b.md", "new.md"]
        assert (await there.text("docs/b.md"), await there.text("new.md")) == ("B\n", "new\n")
        assert {row.path: row.id for row in (await there.workspace.tree(there.project)).rows} == rows
        record = await there.workspace.turns.record(there.project, undone.turn or TurnId(""))
        assert (record.undoes, record.undone_by) == (taken.turn, again.turn)


async def test_an_undo_spares_what_others_wrote_since() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            taken = await take(there, edit("a.md", sha, ("one", "1"), ("three", "3")))
            await bob.until(lambda: bob.text == "1\ntwo\n3\n")
            bob.type("bob\n", at=2)
            await bob.until_saved()
            with pytest.raises(Overlap):
                await undo(there, taken)
            assert bob.text == "1\nbob\ntwo\n3\n"
        sha = await there.put("b.md", "one\ntwo\nthree\nfour\n")
        async with there.peer("b.md", "bob") as bob:
            taken = await take(there, edit("b.md", sha, ("one", "1")))
            bob.type("bob\n", at=len(bob.text))
            await bob.until_saved()
            await undo(there, taken, BOB)
            await bob.until(lambda: bob.text == "one\ntwo\nthree\nfour\nbob\n")


async def test_a_file_that_somebody_edited_since_it_was_made_is_not_undone_away() -> None:
    async with desk() as there:
        taken = await take(there, Wish(path=Path("new.md"), content=b"new\n"))
        async with there.peer("new.md", "bob") as bob:
            bob.type("bob\n")
            await bob.until_saved()
        with pytest.raises(Overlap, match=r"new.md was edited since"):
            await undo(there, taken)
        assert "bob" in await there.text("new.md")


async def test_a_turn_is_undone_once() -> None:
    async with desk() as there:
        taken = await take(there, Wish(path=Path("new.md"), content=b"new\n"))
        await undo(there, taken)
        with pytest.raises(Conflict, match="undone already"):
            await undo(there, taken)
        with pytest.raises(NotFound, match="no turn 'nothing'"):
            await there.workspace.turns.undo(there.project, TurnId("nothing"), AGENT)


async def test_a_dry_run_says_what_would_be_and_changes_nothing() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\n", AGENT)
        before = await there.kinds()
        wishes = [edit("a.md", sha, ("one", "1")), Wish(path=Path("new.md"), content=b"new\n")]
        foreseen = await take(there, *wishes, dry_run=True)
        assert (foreseen.turn, await there.text("a.md"), await there.paths()) == (None, "one\n", ["a.md"])
        assert await there.kinds() == before
        taken = await take(there, *wishes)
        assert [(f.row.sha, f.change, f.diff) for f in taken.files] == [
            (f.row.sha, f.change, f.diff) for f in foreseen.files
        ]


async def test_content_without_a_base_does_not_overwrite_somebody() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n", BOB)
        with pytest.raises(Conflict) as refused:
            await take(there, Wish(path=Path("a.md"), content=b"mine\n"))
        assert refused.value.name == "blind_write"
        await take(there, Wish(path=Path("a.md"), content=b"mine\n", force=True))
        assert await there.text("a.md") == "mine\n"


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ([], "at least one file"),
        ([Wish(path=Path("a"), delete=True), Wish(path=Path("a"), content=b"")], "there twice"),
        ([Wish(path=Path("a"))], "nothing is asked"),
        ([Wish(path=Path("a"), edits=[Replacement("a", "b")])], "which version"),
        ([Wish(path=Path("a"), content=b"", delete=True)], "cannot both"),
        ([Wish(path=Path("a"), delete=True, to=Path("b"))], "cannot move"),
        ([Wish(path=Path("a"), create=True, to=Path("b"))], "has a content"),
    ],
)
async def test_a_turn_that_makes_no_sense_is_refused(wishes: Sequence[Wish], message: str) -> None:
    async with desk() as there:
        with pytest.raises(Invalid, match=message):
            await take(there, *wishes)


async def test_new_files_of_one_turn_do_not_stand_in_each_others_way() -> None:
    async with desk() as there:
        for paths in (("a", "a/b"), ("Docs/a", "docs/b"), ("x.md", "X.md")):
            with pytest.raises(PathTaken):
                await take(there, *(Wish(path=Path(path), content=b"") for path in paths))
        assert await there.paths() == []


async def test_turns_survive_a_restart_and_are_undone_after_it(tmp_path: pathlib.Path) -> None:
    ticks = count(1_000)
    store = await open_store(tmp_path, clock=lambda: Millis(next(ticks)))
    async with desk(store) as there:
        sha = await there.put("a.md", "one\ntwo\n", AGENT)
        taken = await take(there, edit("a.md", sha, ("two", "2")), message="Digits")
        project = there.project
    await store.aclose()
    store = await open_store(tmp_path, clock=lambda: Millis(next(ticks)))
    async with desk(store, project) as there:
        await undo(there, taken)
        assert await there.text("a.md") == "one\ntwo\n"
        messages = {record.message for record in await there.workspace.turns.records(project)}
        assert messages == {"Undo: Digits", "Digits"}
    await store.aclose()


MARKS = "甲乙丙丁戊己"
LINES = st.lists(st.sampled_from(["alpha\n", "beta\n", "gamma\n", "delta\n"]), min_size=1, max_size=8)
TYPED = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["{}", "{}\n", "\n{}", "é{}😀"])), max_size=6)


@settings(max_examples=60, deadline=None)
@given(LINES, TYPED, st.integers(0, 7), st.integers(0, 7))
def test_an_accepted_edit_removes_nothing_that_was_not_seen_and_a_refused_one_changes_nothing(
    lines: list[str], typed: list[tuple[float, str]], first: int, last: int
) -> None:
    first, last = sorted((first % len(lines), last % len(lines)))
    before = "".join(f"{n} {line}" for n, line in enumerate(lines))
    old = "".join(f"{n} {line}" for n, line in enumerate(lines) if first <= n <= last)

    async def run() -> None:
        async with desk() as there:
            sha = await there.put("a.md", before)
            async with there.peer("a.md", "bob") as bob:
                for n, (place, text) in enumerate(typed):
                    bob.type(text.format(MARKS[n]), at=len(bob.text[: int(place * len(bob.text))].encode()))
                await bob.until_saved()
                live = bob.text
                try:
                    await take(there, edit("a.md", sha, (old, "AGENT\n")))
                except Overlap:
                    assert await there.text("a.md") == live
                else:
                    after = await there.text("a.md")
                    assert [after.count(mark) for mark in MARKS[: len(typed)]] == [1] * len(typed)
                    assert "AGENT\n" in after
                    await bob.until(lambda: bob.text == after)

    anyio.run(run)


async def test_an_agent_that_edits_is_seen_where_it_wrote(tmp_path: pathlib.Path) -> None:
    async with desk() as there:
        agent = Actor(id=AGENT, name="Scribe", kind="agent")
        await there.workspace.store.commit(changes=[put_actor(agent)])
        sha = await there.put("a.md", "one\ntwo 😀 x\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            await take(there, edit("a.md", sha, ("😀 x", "zwei 😀")), task="7")
            await bob.until(lambda: bool(bob.states))
            [seen] = [json.loads(each.state) for each in bob.states.values()]
            assert (seen["user"]["name"], seen["user"]["kind"], seen["user"]["task"]) == ("Scribe", "agent", "7")
            await bob.until(lambda: "zwei" in bob.text)
            order_now = Order(order(bob.doc.get_update()))
            place = from_json(seen["cursor"]["head"], "head")
            assert place.client is not None
            assert order_now.place_of(place.client, place.clock) == (bob.text.index("😀"), True)


async def test_the_sha_that_a_refusal_tells_is_a_base_at_once() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo\nthree\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("2 ", at=4)
            await bob.until_saved()
            with pytest.raises(Overlap) as refused:
                await take(there, edit("a.md", sha, ("two", "TWO")))
            bob.type("four\n")
            await bob.until_saved()
        await take(there, edit("a.md", refused.value.details["sha"], ("2 two", "TWO")))
        assert await there.text("a.md") == "one\nTWO\nthree\nfour\n"
