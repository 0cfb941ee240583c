"""A room: batch -> log -> broadcast; and what it does when something goes wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from collab import gate, protocol
from collab import room as room_module
from collab.bus.local import LocalBus
from collab.document import Document, seed
from collab.errors import LogFailed, ProtocolError, Unavailable
from collab.ids import ActorId, DocumentId, Millis, Path, ProjectId
from collab.member import CloseCode
from collab.room import Room
from collab.rooms import Rooms
from collab.store.base import CreateDocument, CreateProject, EntryKind, Project, Row, SetDocument
from collab.store.memory import MemoryStore
from collab.tree import new_document
from tests.collab.peers import Peer
from tests.faults import FaultyStore

pytestmark = pytest.mark.anyio

PROJECT = ProjectId("p")
ALICE = ActorId("alice")


class House:
    """Rooms over a store that can be made to fail, with one document in it."""

    def __init__(self, store: FaultyStore, rooms: Rooms, document: DocumentId) -> None:
        self.store = store
        self.rooms = rooms
        self.document = document
        self._stack = AsyncExitStack()

    async def room(self) -> Room:
        return await self._stack.enter_async_context(self.rooms.use(self.document))

    async def enter(self, *peers: Peer) -> Room:
        room = await self.room()
        for peer in peers:
            peer.connect(room)
        for peer in peers:
            if peer.writes:
                await peer.until_saved()
            else:
                await peer.until(lambda peer=peer: peer.synced)  # type: ignore[misc]
        return room

    async def logged(self) -> str:
        """The text that a fresh load from the log gives."""
        loaded = await self.store.load(self.document)
        assert loaded is not None
        states = [] if loaded.checkpoint is None else [loaded.checkpoint.state]
        states += [each.entry.payload for each in loaded.entries if each.entry.kind == EntryKind.UPDATE]
        document = Document.load(gate.reserved_id(self.document, 0, 1), states)
        try:
            return document.text
        finally:
            document.close()

    async def leave(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def house(text: str = "") -> AsyncIterator[House]:
    store = FaultyStore(MemoryStore())
    project = Project(id=PROJECT, name="notes", created_at=Millis(0), created_by=ALICE)
    row, append = new_document(store, PROJECT, Path("a.md"), text.encode(), 0o100644, ALICE)
    await store.commit([append], [CreateProject(project), CreateDocument(row)])
    async with Rooms(store, LocalBus()) as rooms:
        there = House(store, rooms, row.id)
        try:
            yield there
        finally:
            await there.leave()


async def test_what_one_types_the_others_see_and_the_log_has() -> None:
    async with house("hello") as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        alice.type(" world 😀")
        await bob.until(lambda: bob.text == "hello world 😀")
        await alice.until_saved()
        assert await there.logged() == "hello world 😀"


async def test_nobody_is_shown_an_edit_before_the_log_has_it() -> None:
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        room = await there.enter(alice, bob)
        there.store.hold()
        alice.type("secret")
        await there.store.held()
        bob.take_all()
        assert (bob.text, alice.saved < alice.sent) == ("", True)
        carol = Peer("carol")
        carol.connect(room)
        there.store.release()
        await bob.until(lambda: bob.text == "secret")
        await carol.until(lambda: carol.text == "secret")


async def test_edits_that_gather_during_a_commit_go_with_one_commit_and_one_frame() -> None:
    async with house() as there:
        alice, bob, carol = Peer("alice"), Peer("bob"), Peer("carol")
        await there.enter(alice, bob, carol)
        there.store.hold()
        alice.type("1")
        await there.store.held()
        carol.take_all()
        frames, commits = carol.frames, len(there.store.commits)
        for _ in range(20):
            alice.type("a")
            bob.type("b")
        there.store.release()
        await carol.until(lambda: len(carol.text) == 41)
        edits = [appends for appends, _ in there.store.commits[commits:] if appends]
        assert len(edits) == 2
        assert [entry.actor for entry in edits[1][0].entries] == ["alice", "bob"]
        assert carol.frames == frames + 2


async def test_a_sole_sender_gets_no_echo_of_what_it_typed() -> None:
    async with house() as there:
        alice = Peer("alice")
        await there.enter(alice)
        alice.type("x")
        await alice.until_saved()
        frames = alice.frames
        alice.type("y")
        await alice.until_saved()
        assert alice.frames == frames + 1  # `saved`, and nothing else


async def test_a_commit_that_fails_shows_nobody_anything_and_the_peers_bring_it_again() -> None:
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        there.store.fail_next_commit(LogFailed("the disk is full"))
        alice.type("not lost")
        assert await alice.until_closed() == CloseCode.LOG_FAILED
        assert await bob.until_closed() == CloseCode.LOG_FAILED
        assert (bob.text, await there.logged()) == ("", "")
        for peer in (alice, bob):
            peer.disconnect()
        await there.enter(alice, bob)
        await bob.until(lambda: bob.text == "not lost")
        assert await there.logged() == "not lost"


async def test_a_commit_that_happened_though_it_was_reported_as_failed_doubles_nothing() -> None:
    async with house() as there:
        alice = Peer("alice")
        await there.enter(alice)
        there.store.fail_next_commit(LogFailed("no answer"), after=True)
        alice.type("once")
        await alice.until_closed()
        alice.disconnect()
        await there.enter(alice)
        await alice.until_saved()
        assert (alice.text, await there.logged()) == ("once", "once")


async def test_two_who_come_first_at_the_same_time_share_one_load() -> None:
    async with house("text") as there:
        rooms: list[Room] = []

        async def come() -> None:
            rooms.append(await there.room())

        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(come)
        assert len(set(map(id, rooms))) == 1


async def test_a_load_that_fails_refuses_everybody_and_starts_no_empty_document() -> None:
    async with house("text") as there:
        there.store.fail_next_load()
        with pytest.raises(LogFailed):
            await there.room()
        alice = Peer("alice")
        await there.enter(alice)
        await alice.until(lambda: alice.text == "text")


async def test_an_update_that_lacks_something_is_held_until_it_comes() -> None:
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        room = await there.enter(alice, bob)
        late: list[bytes] = []
        alice.doc.unobserve(alice._subscription)
        alice.doc.observe(lambda event: late.append(protocol.update(event.update)))
        alice.type("1")
        alice.type("2")
        for frame in reversed(late):
            alice.send(frame)
        await bob.until(lambda: bob.text == "12")
        await alice.until_saved()
        assert (await there.logged(), room._held) == ("12", [])


async def test_an_update_that_keeps_lacking_something_is_never_logged_nor_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "HELD_SECONDS", 0.05)
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        late: list[bytes] = []
        alice.doc.unobserve(alice._subscription)
        alice.doc.observe(lambda event: late.append(protocol.update(event.update)))
        alice.type("1")
        alice.type("2")
        saved = alice.saved
        alice.send(late[1])
        assert await alice.until_closed() == CloseCode.RESYNC
        assert (alice.saved, await there.logged()) == (saved, "")
        alice.disconnect()
        await there.enter(alice)
        await bob.until(lambda: bob.text == "12")


async def test_news_under_anothers_client_id_cost_the_sender_its_socket_and_nobody_else_anything() -> None:
    async with house() as there:
        alice, mallory = Peer("alice"), Peer("mallory")
        await there.enter(alice, mallory)
        alice.type("mine")
        await mallory.until(lambda: mallory.text == "mine")
        forged = Peer("mallory", client=alice.doc.client_id)
        forged.doc.apply_update(alice.doc.get_update())
        room = await there.room()
        forged.connect(room)
        forged.type(" forged")
        assert await forged.until_closed() == CloseCode.ANOTHER_DOCUMENT
        alice.type("!")
        await mallory.until(lambda: mallory.text == "mine!")
        assert await there.logged() == "mine!"


async def test_what_is_known_may_be_repeated_by_anybody() -> None:
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        alice.type("mine")
        await bob.until(lambda: bob.text == "mine")
        bob.send(protocol.update(bob.doc.get_update()))
        await bob.until_saved()
        assert await there.logged() == "mine"


async def test_news_under_a_reserved_id_come_from_a_document_that_is_gone() -> None:
    async with house("seed") as there:
        stale = Peer("alice")
        stale.doc.apply_update(seed("of another document", gate.reserved_id(DocumentId("other"), 0, 1)))
        stale.connect(await there.room())
        assert await stale.until_closed() == CloseCode.ANOTHER_DOCUMENT
        assert await there.logged() == "seed"


async def test_a_file_has_a_largest_size_in_which_what_was_deleted_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "TEXT_LIMIT", 10_000)
    async with house() as there:
        alice = Peer("alice")
        await there.enter(alice)
        for _ in range(20):
            alice.type("x" * 4_000)
            await alice.until_saved()
            alice.content.clear()
            await alice.until_saved()
        alice.type("y" * 9_000)
        await alice.until_saved()
        alice.type("z" * 2_000)
        assert await alice.until_closed() == CloseCode.TOO_LARGE
        assert await there.logged() == "y" * 9_000


@pytest.mark.parametrize("writes", [True, False])
async def test_whoever_holds_a_document_that_is_gone_is_told_so_before_it_could_hold_both_texts(writes: bool) -> None:
    async with house("the new text") as there:
        stale = Peer("alice", writes=writes)
        stale.doc.apply_update(seed("the old text", gate.reserved_id(DocumentId("other"), 0, 1)))
        stale.connect(await there.room())
        assert await stale.until_closed() == CloseCode.ANOTHER_DOCUMENT
        assert stale.text == "the old text"


async def test_asking_a_thousand_times_for_everything_is_answered_once_at_a_time() -> None:
    async with house("text " * 1000) as there:
        alice = Peer("alice")
        room = await there.enter(alice)
        vector = protocol.sync_step1(alice.doc.get_state()[:-1] + b"\x00")
        encoded = []
        diff = room.document.diff
        room.document.diff = lambda state: encoded.append(state) or diff(state)  # type: ignore[method-assign, assignment, func-returns-value]
        for _ in range(1000):
            alice.send(vector)
        bob = Peer("bob")
        await there.enter(bob)
        assert len(encoded) <= 2


async def test_a_file_that_is_deleted_while_its_room_opens_lets_nobody_in() -> None:
    async with house("text") as there:
        async with anyio.create_task_group() as tasks:
            rooms: list[Room] = []

            async def come() -> None:
                rooms.append(await there.room())

            tasks.start_soon(come)
            await anyio.lowlevel.checkpoint()
            await there.rooms.commit([], [SetDocument(id=there.document, fields={"deleted_at": Millis(1)})])
        alice = Peer("alice")
        alice.connect(rooms[0])
        assert await alice.until_closed() == CloseCode.NO_SUCH_FILE
        await there.rooms.commit([], [SetDocument(id=there.document, fields={"deleted_at": None})])
        alice.disconnect()
        await there.enter(alice)
        await alice.until(lambda: alice.text == "text")


async def test_more_updates_that_lack_something_than_the_room_may_hold_cost_their_sender_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "HELD_BYTES", 1_000)
    async with house() as there:
        alice = Peer("alice")
        room = await there.enter(alice)
        late: list[bytes] = []
        alice.doc.unobserve(alice._subscription)
        alice.doc.observe(lambda event: late.append(protocol.update(event.update)))
        for _ in range(4):
            alice.type("x" * 400)
        for frame in late[1:]:
            alice.send(frame)
        assert await alice.until_closed() == CloseCode.RESYNC
        assert sum(len(held.news.update) for held in room._held) <= 1_000


async def test_a_member_whose_socket_takes_nothing_for_long_is_let_go() -> None:
    async with house() as there:
        alice = Peer("alice")
        room = await there.enter(alice)
        abandoned = anyio.Event()
        alice.member.abandon = abandoned.set
        alice.member.sending_since = 1.0
        room.release_stuck(0.5)
        assert not abandoned.is_set()
        room.release_stuck(2.0)
        assert await alice.until_closed() == CloseCode.TRY_LATER
        assert abandoned.is_set()


async def test_beyond_the_memory_budget_idle_rooms_go_first_and_then_nobody_is_let_in() -> None:
    async with house("text " * 1000) as there:
        other, append = new_document(there.store, PROJECT, Path("b.md"), b"other " * 1000, 0o100644, ALICE)
        await there.store.commit([append], [CreateDocument(other)])
        there.rooms._budget = 5_000
        alice = Peer("alice")
        await there.enter(alice)
        with pytest.raises(Unavailable, match="too many files"):
            async with there.rooms.use(other.id):
                raise AssertionError("there is no memory for this room")
        alice.disconnect()
        await there.leave()
        async with there.rooms.use(other.id):
            assert there.rooms.peek(there.document) is None


async def test_what_one_peer_poisons_is_undone_and_what_the_others_brought_in_the_same_turn_stays() -> None:
    async with house() as there:
        alice, mallory = Peer("alice"), Peer("mallory")
        room = await there.enter(alice, mallory)
        there.store.hold()
        alice.type("1")
        await there.store.held()
        alice.type("2 😀")
        mallory.type("poison")
        apply = room.document.apply

        def refuse(updates: list[bytes], origin: int = 0) -> bytes | None:
            if origin == mallory.member.session.number:
                raise ProtocolError("the decoder panicked")
            return apply(updates, origin)

        room.document.apply = refuse  # type: ignore[method-assign, assignment]
        there.store.release()
        assert await mallory.until_closed() == CloseCode.BAD_MESSAGE
        await alice.until_saved()
        alice.type("!")
        await alice.until_saved()
        assert await there.logged() == alice.text == "12 😀!"


async def test_a_viewer_cannot_write_a_byte() -> None:
    async with house("text") as there:
        viewer = Peer("viewer", writes=False)
        await there.enter(viewer)
        commits = len(there.store.commits)
        viewer.type("graffiti")
        await viewer.until(lambda: "read" in viewer.denied)
        assert (await there.logged(), len(there.store.commits)) == ("text", commits)
        assert viewer.member.closing is None


async def test_a_peer_with_offline_edits_is_asked_for_them_at_once() -> None:
    async with house("base") as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        await alice.until(lambda: alice.text == "base")
        alice.disconnect()
        alice.type(" offline")
        await there.enter(alice)
        await bob.until(lambda: bob.text == "base offline")


async def test_a_slow_reader_is_dropped_from_the_queue_and_whole_when_it_wakes() -> None:
    async with house() as there:
        alice, slow = Peer("alice"), Peer("slow")
        room = await there.enter(alice)
        slow.connect(room, limit=2_000)
        await slow.until_saved()
        for number in range(200):
            alice.type(f"line {number} of a text that is long enough\n")
            await alice.until_saved()
            assert slow.member.outbox.waiting <= 2_000
        alice.here(1)
        await slow.until(lambda: slow.text == alice.text and alice.doc.client_id in slow.states)


async def test_presence_is_given_at_join_shown_to_all_and_removed_at_disconnect() -> None:
    async with house() as there:
        alice, bob = Peer("alice"), Peer("bob")
        room = await there.enter(alice)
        alice.here()
        await alice.until(lambda: alice.doc.client_id in alice.states)  # its own echo keeps a stock peer connected
        bob.connect(room)
        await bob.until(lambda: alice.doc.client_id in bob.states)
        shown = json.loads(bob.states[alice.doc.client_id].state)  # type: ignore[index]
        assert shown == {"cursor": 1, "user": {"name": "alice"}}
        alice.disconnect()
        await bob.until(lambda: bob.states[alice.doc.client_id].state == "null")  # type: ignore[index]


async def test_many_who_join_an_unchanged_document_cost_one_encoding() -> None:
    async with house("large " * 1000) as there:
        room = await there.enter()
        peers = [Peer(f"p{number}") for number in range(20)]
        for peer in peers:
            peer.connect(room)
        for peer in peers:
            await peer.until(lambda peer=peer: len(peer.text) == 6000)  # type: ignore[misc]
        encoding = room._encoding
        assert encoding is not None
        peers[0].type("x")
        await peers[1].until(lambda: len(peers[1].text) == 6001)
        late = Peer("late")
        late.connect(room)
        await late.until(lambda: late.synced)
        assert len(late.text) == 6001, "the first SyncStep2 comes when everything else has"
        assert room._encoding is encoding


async def test_a_turn_that_is_not_committed_leaves_the_document_as_it_was() -> None:
    async with house("text") as there:
        alice = Peer("alice")
        await there.enter(alice)
        async with there.rooms.turn(there.document) as turn:
            turn.stage(actor=ALICE, target="something else")
        alice.type("!")
        await alice.until_saved()
        assert (alice.text, await there.logged()) == ("text!", "text!")


async def test_an_edit_by_a_turn_reaches_the_peers_under_its_actor() -> None:
    async with house("one two") as there:
        alice = Peer("alice")
        await there.enter(alice)
        async with there.rooms.turn(there.document) as turn:
            turn.stage(actor=ActorId("agent"), target="one 2 two")
            await there.rooms.commit([turn])
        await alice.until(lambda: alice.text == "one 2 two")
        logged = await there.store.entries(there.document, turn.position - 1, turn.position)  # type: ignore[arg-type]
        assert [each.entry.actor for each in logged] == ["agent"]


async def test_a_room_that_is_gone_says_so_to_whoever_waits_for_a_turn() -> None:
    async with house("text") as there:
        room = await there.room()
        room.fail(LogFailed("the disk is full"))
        with pytest.raises(Unavailable):
            async with room.turn():
                raise AssertionError("nobody gets a turn of a room that is gone")


async def test_a_turn_that_waited_for_a_room_which_failed_gets_a_fresh_one() -> None:
    async with house("text") as there:
        alice = Peer("alice")
        await there.enter(alice)
        there.store.hold()
        alice.type("!")
        await there.store.held()
        texts: list[str] = []

        async def look() -> None:
            async with there.rooms.turn(there.document) as turn:
                texts.append(turn.document.text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await anyio.lowlevel.checkpoint()
            there.rooms._give_up(await there.room(), LogFailed("the disk is full"))
            there.store.release()
        assert texts == ["text!"]


async def test_whoever_comes_to_a_document_that_was_deleted_meanwhile_is_told_so() -> None:
    async with house("text") as there:
        await there.store.commit(changes=[SetDocument(id=there.document, fields={"deleted_at": Millis(1)})])
        alice = Peer("alice")
        alice.connect(await there.room())
        assert await alice.until_closed() == CloseCode.NO_SUCH_FILE


async def test_an_idle_room_is_closed_and_opened_again_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house("text") as there:
        there.rooms._grace = 0.01
        alice = Peer("alice")
        await there.enter(alice)
        alice.type("!")
        await alice.until_saved()
        alice.disconnect()
        await there.leave()
        await until(lambda: there.rooms.stats().rooms == 0)
        await there.enter(alice)
        await alice.until(lambda: alice.text == "text!")


async def test_at_shutdown_peers_are_told_to_come_back_and_what_they_sent_is_committed() -> None:
    async with house() as there:
        alice = Peer("alice")
        await there.enter(alice)
        alice.type("last words")
        await there.rooms.aclose()
        assert await alice.until_closed() == CloseCode.RESTART
        assert await there.logged() == "last words"
        with pytest.raises(Unavailable):
            await there.room()


async def test_edits_are_announced_with_the_sha_of_the_text_and_their_actors() -> None:
    async with house("x") as there:
        alice, bob = Peer("alice"), Peer("bob")
        await there.enter(alice, bob)
        alice.type("y")
        await alice.until_saved()

        async def announced() -> bool:
            row = await there.store.document(there.document)
            return row is not None and row.announced == row.head

        with anyio.fail_after(5):
            while not await announced():
                await anyio.lowlevel.checkpoint()
        [event] = await there.store.events(PROJECT, after=0, limit=10)
        row = await there.store.document(there.document)
        assert isinstance(row, Row)
        assert (event.kind, event.actors, event.sha, event.position) == ("changed", ("alice",), row.sha, row.head)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()
