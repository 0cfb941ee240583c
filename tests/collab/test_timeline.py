"""What happened to a document, in sessions of work."""

from __future__ import annotations

import pytest

from collab.edits import Replacement
from collab.ids import ActorId, Millis, Path, Position, TurnId
from collab.store.base import EntryKind, Line
from collab.timeline import PAUSE, sessions
from collab.wish import Wish
from tests.collab.desk import ALICE, BOB, desk

pytestmark = pytest.mark.anyio

AGENT = ActorId("agent")


def typed(position: int, at: int, actor: ActorId, turn: str | None = None) -> Line:
    return (
        Position(position),
        Millis(at),
        EntryKind.UPDATE,
        actor,
        None,
        None if turn is None else TurnId(turn),
        b"\0\0",
    )


def test_a_session_ends_with_a_pause_and_a_turn_stands_by_itself() -> None:
    lines = [
        typed(1, 0, ALICE),
        typed(2, PAUSE, BOB),
        typed(3, PAUSE + 1, ALICE, "t"),
        typed(4, PAUSE + 2, ALICE, "t"),
        typed(5, PAUSE + 3, ALICE),
        typed(6, 2 * PAUSE + 4, ALICE),
    ]
    found = sessions(iter(lines))
    assert [(each.first, each.last, each.turn, dict(each.authors)) for each in found] == [
        (1, 2, None, {(ALICE, None): 1, (BOB, None): 1}),
        (3, 4, "t", {(ALICE, None): 2}),
        (5, 5, None, {(ALICE, None): 1}),
        (6, 6, None, {(ALICE, None): 1}),
    ]


async def test_what_happened_is_said_in_words() -> None:
    async with desk() as there:
        sha = await there.put("a.md", "one\n")
        wish = Wish(path=Path("a.md"), base=sha, edits=[Replacement("one", "1")], to=Path("b.md"))
        await there.workspace.turns.take(there.project, [wish], AGENT)
        await there.workspace.delete(there.project, Path("b.md"), BOB)
        row = await there.workspace.undelete(there.project, Path("b.md"), None, ALICE)
        found = await there.workspace.store.gather(row.id, Position(0), row.head, sessions)
        assert [(list(each.happened), each.turn is not None) for each in found] == [
            (["created", "edited"], False),
            (["edited", "moved"], True),
            (["deleted", "undeleted"], False),
        ]
