"""Who wrote every range."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab.blame import Blame
from collab.edits import Replacement
from collab.errors import Overlap
from collab.ids import ActorId, ClientId, Millis, Path, Position, TurnId
from collab.store.base import Line
from collab.strokes import PAUSE, begins, gather
from collab.wish import Wish
from tests.collab.desk import ALICE, BOB, Desk, desk
from tests.collab.peers import Peer

pytestmark = pytest.mark.anyio

AGENT = ActorId("agent")


async def shares(there: Desk, path: str, position: int | None = None) -> list[tuple[str, str | None, bool]]:
    """The text of every range, who wrote it, and whether in a turn."""
    row = await there.workspace.stat(there.project, Path(path))
    at = Position(row.head if position is None else position)
    text = (await there.workspace.at(row, at)).content.decode()
    found = await Blame(there.workspace.store).of(row.id, at)
    assert [each.start for each in found] == [0, *(each.end for each in found)][: len(found)]
    assert "".join(text[each.start : each.end] for each in found) == text
    return [(text[each.start : each.end], each.actor, each.turn is not None) for each in found]


async def test_people_agents_and_turns_are_told_apart() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\ntwo 😀\n")
        async with there.peer("a.md", "bob") as bob:
            bob.type("BOB ", at=4)
            await bob.until_saved()
            wish = Wish(path=Path("a.md"), base=sha, edits=[Replacement("one", "eins")])
            with pytest.raises(Overlap):
                await there.workspace.turns.take(there.project, [wish], AGENT)
            now = await there.workspace.stat(there.project, Path("a.md"))
            wish = Wish(path=Path("a.md"), base=now.sha, edits=[Replacement("😀", "😀 agent")])
            await there.workspace.turns.take(there.project, [wish], AGENT)
        assert await shares(there, "a.md") == [
            ("one\n", "alice", False),
            ("BOB ", "bob", False),
            ("two 😀", "alice", False),
            (" agent", "agent", True),
            ("\n", "alice", False),
        ]


async def test_the_past_is_blamed_as_it_was() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        before = (await there.workspace.stat(there.project, Path("a.md"))).head
        async with there.peer("a.md", "bob") as bob:
            bob.type("BOB\n")
            await bob.until_saved()
        assert await shares(there, "a.md", before) == [("one\n", "alice", False)]
        assert await shares(there, "a.md") == [("one\n", "alice", False), ("BOB\n", "bob", False)]


async def test_what_was_read_once_is_not_read_again() -> None:
    async with desk() as there:
        await there.put("a.md", "one\n")
        blame = Blame(there.workspace.store)
        row = await there.workspace.stat(there.project, Path("a.md"))
        first = await blame.of(row.id, row.head)
        async with there.peer("a.md", "bob") as bob:
            bob.type("BOB\n")
            await bob.until_saved()
        row = await there.workspace.stat(there.project, Path("a.md"))
        second = await blame.of(row.id, row.head)
        assert second == await Blame(there.workspace.store).of(row.id, row.head)
        assert await blame.of(row.id, Position(first[0].last)) == first


async def holds(peer: Peer, text: str) -> None:
    await peer.until(lambda: peer.text == text)


STEPS = st.lists(
    st.tuples(st.sampled_from(["alice", "bob"]), st.floats(0, 1), st.sampled_from(["a", "é😀", "word ", "\n", None])),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_character_belongs_to_whoever_typed_it(steps: list[tuple[str, float, str | None]]) -> None:
    async def run() -> None:
        async with desk() as there:
            await there.put("a.md", "begun\n")
            model = [("begun\n"[n], "alice") for n in range(6)]
            async with there.peer("a.md", "alice") as alice, there.peer("a.md", "bob") as bob:
                for name, place, text in steps:
                    peer = alice if name == "alice" else bob
                    whole = "".join(char for char, _ in model)
                    await holds(peer, whole)
                    at = int(place * len(whole))
                    if text is None:
                        first = len(whole[:at].encode())
                        gone = whole[at : at + 3]
                        if gone:
                            del peer.content[first : first + len(gone.encode())]
                        del model[at : at + 3]
                    else:
                        peer.type(text, at=len(whole[:at].encode()))
                        model[at:at] = [(char, name) for char in text]
                    await peer.until_saved()
            found = await shares(there, "a.md")
            assert [(char, actor) for text, actor, _ in found for char in text] == model

    anyio.run(run)


def line(position: int, at: int, actor: ActorId, client: int, clock: int, turn: str | None = None) -> Line:
    payload = bytes((1, 1, client, clock)) + b"\x84\1\0\1x\0"
    return Position(position), Millis(at), 1, actor, None, None if turn is None else TurnId(turn), payload


def test_a_stroke_ends_where_another_begins_and_after_a_pause() -> None:
    lines = [
        line(1, 0, ALICE, 5, 0),
        line(2, 10, ALICE, 5, 1),
        line(3, 20, ALICE, 5, 2, "turn"),
        line(4, 30, BOB, 6, 0),
        line(5, 40 + PAUSE, BOB, 6, 1),
    ]
    found = gather(iter(lines))
    assert [(each.client, each.clock, each.turn, each.first, each.last) for each in found] == [
        (5, 0, None, 1, 2),
        (5, 2, "turn", 3, 3),
        (6, 0, None, 4, 4),
        (6, 1, None, 5, 5),
    ]


def test_where_an_update_begins_is_read_from_its_head() -> None:
    assert begins(b"\0\0") == []
    assert begins(b"\1\1\x85\1\x86\2\4\1\7content\1a\0") == [(ClientId(133), 262)]
