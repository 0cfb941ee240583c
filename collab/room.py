"""A document and its members: batch -> log -> broadcast.

What it promises
1. Nobody is shown an edit that is not in the log: a turn applies what waits, commits it, and only then tells.
2. While a commit is under way, edits gather; the next turn takes all of them with one commit and one frame.
3. Whoever looks at the document (a join, a read, an edit by HTTP) has the turn: then the document is exactly what the
   log holds at `position`.
4. A commit that fails shows nobody anything: the room closes its members with a code that may be retried, and is
   forgotten; the next one to come loads the document from the log.
5. What a peer did wrong costs that peer its socket, and leaves the document and the others as they were.
6. An update that lacks something waits, bounded in bytes and seconds, and is never logged, nor left in the document.
7. A slow reader costs bounded memory, and is whole when it wakes (collab.outbox).
8. A gap in positions (somebody else wrote to this log) is read from the log before anything else happens.

What breaks it: a store that says "durable" too early; a bug in here (then 4 applies, and it is reported).

States: a room is open, or it is gone (`gone` says why). Every change of state is one assignment of `gone`.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import msgspec

from collab import gate, protocol, text
from collab.actors import Actor, stamp
from collab.anchors import Place, to_json
from collab.announcements import Announcements
from collab.bell import Alarms, Bell
from collab.document import Document, merge_updates
from collab.encoding import Encoding
from collab.errors import (
    AnotherDocument,
    Lacking,
    NotFound,
    ProtocolError,
    Quarantined,
    QuireError,
    TooLarge,
    Unavailable,
)
from collab.ids import ActorId, ClientId, DocumentId, Position
from collab.member import CloseCode, Closing, Member
from collab.observer import Observer
from collab.outbox import EMPTY_VECTOR
from collab.presence import Presence
from collab.protocol import ClientState
from collab.session import News
from collab.store.base import (
    Announce,
    Append,
    DocumentKind,
    Entry,
    EntryKind,
    Event,
    Logged,
    Store,
)
from collab.turn import Turn

HELD_BYTES: Final = 4_000_000
"""Bytes of updates that a room holds back because they lack something."""

HELD_SECONDS: Final = 5.0
"""How long an update may lack something before its sender is asked to start over."""

ANNOUNCE_SECONDS: Final = 1.0
"""At most one `changed` event per document in this time."""

ANNOUNCE_SPREAD: Final = 0.1
"""It is told within this time, at random."""

PRESENCE_SECONDS: Final = 0.05
"""At most 20 frames of presence a second."""

PRESENCE_LOOK: Final = 10.0
"""Seconds between looks for presence that expired."""

SEEN: Final = 20.0
"""Seconds for which somebody who wrote without a socket is shown."""

TEXT_LIMIT: Final = 8_000_000
"""Bytes of a live document, encoded: beyond, updates that bring more are refused with 4413."""


@dataclass(slots=True)
class Waiting:
    """An update that waits for a turn; with `until`, for what it lacks."""

    member: Member
    news: News
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member asked for and gets at the end of a turn: entry into the room, a difference, or both again."""

    member: Member
    state_vector: bytes | None
    """None: it just came in, and is told where the document stands. `behind`: since its outbox was dropped."""


class Room:
    def __init__(
        self, document: DocumentId, store: Store, observer: Observer, announcements: Announcements, alarms: Alarms
    ) -> None:
        self.id = document
        self.users = 0
        """Who has it open: it stays while there is one."""
        self.gone: QuireError | None = None
        self.members: dict[int, Member] = {}
        self._entering: dict[int, Member] = {}
        """Who has come in and has not been told anything yet."""
        self.presence = Presence()
        self.position = Position(0)
        self.loose = 0
        """Entries since the newest checkpoint, as far as this room knows."""
        self.idle_since = time.monotonic()
        self.written_at = time.monotonic()
        self._store = store
        self._observer = observer
        self._announcements = announcements
        self._document: Document
        self._clocks: dict[ClientId, int] = {}
        self._halves: dict[ClientId, set[int]] = {}
        """Where a character of the text must not be cut apart (collab.gate)."""
        self._bindings: dict[ClientId, ActorId] = {}
        self._own = ClientId(0)
        self._news: list[Waiting] = []
        self._wishes: dict[tuple[int, bool], Wish] = {}
        self._held: list[Waiting] = []
        self._evicted: Closing | None = None
        self._working = False
        self._deleted = False
        self._kind: DocumentKind = "text"
        self._lock = anyio.Lock(fast_acquire=True)
        self._bell = Bell()
        self._alarms = alarms
        self._alarm_at = float("inf")
        self._unannounced: dict[ActorId, None] = {}
        self._announce_at = 0.0
        self._encoding: Encoding | None = None
        self._presence_at = 0.0

    # -- opening and closing -------------------------------------------------------------------------------------

    async def load(self) -> None:
        """From the log; a document that cannot be decoded is quarantined, and nothing overwrites it."""
        row = await self._store.document(self.id)
        if row is None:
            raise NotFound("no such document")
        if row.quarantined is not None:
            raise Quarantined(f"this file's log cannot be read ({row.quarantined}); `quire verify` tells more")
        await self._read_log()
        row = await self._store.document(self.id)  # again: it may have been deleted while the log was read
        if row is None:
            raise NotFound("no such document")
        self.judge_row(deleted=row.deleted_at is not None, kind=row.kind)
        if row.announced < row.head:
            await self._own_up(row.announced)

    async def _read_log(self) -> None:
        loaded = await self._store.load(self.id)
        if loaded is None:
            raise NotFound("no such document")
        self._own = gate.reserved_id(self.id, self._store.node, self._store.epoch)
        states = [] if loaded.checkpoint is None else [loaded.checkpoint.state]
        states += [each.entry.payload for each in loaded.entries if each.entry.kind == EntryKind.UPDATE]
        try:
            self._document = Document.load(self._own, states)
        except Quarantined as error:
            await self._store.quarantine(self.id, error.message)
            raise
        self._clocks = dict(self._document.clocks())
        self._halves = {}
        if max(self._document.text, default="") > "\uffff":
            gate.add_halves(self._halves, gate.walk(self._document.encode()), {})
        self._bindings = dict(loaded.bindings)
        self.position = loaded.head
        self.loose = len(loaded.entries)
        self._encoding = None

    async def _own_up(self, announced: Position) -> None:
        """An event is owed: the process died before it was told."""
        for each in await self._store.entries(self.id, announced, self.position):
            self._unannounced[each.entry.actor] = None

    def fail(self, error: QuireError, code: CloseCode = CloseCode.LOG_FAILED) -> None:
        """Nobody is shown anything more."""
        if self.gone is None:
            self.gone = error
        self.send_home(code, error.message)
        self._bell.ring()

    async def drain(self) -> None:
        """What was submitted is committed, events that are owed are told; then the room is gone."""
        while self.gone is None and (self._news or self._unannounced):
            async with self._lock:
                self._announce_at = 0.0
                await self._work()
        self.fail(Unavailable("the server is shutting down"), CloseCode.RESTART)

    def evict(self, code: CloseCode, reason: str) -> None:
        """The file is no longer to be edited live: its members go, and others are not let in."""
        self._evicted = Closing(code, reason)
        self.send_home(code, reason)

    def send_home(self, code: CloseCode, reason: str) -> None:
        """Everybody goes; what they have sent is still taken."""
        for member in (*self.members.values(), *self._entering.values()):
            member.close(code, reason)

    def judge_row(self, *, deleted: bool | None, kind: DocumentKind | None) -> None:
        """What the catalog says of the document has changed (None: not that): whether it may be edited live."""
        self._deleted = self._deleted if deleted is None else deleted
        self._kind = kind or self._kind
        if self._deleted:
            self.evict(CloseCode.NO_SUCH_FILE, "the file was deleted")
        elif self._kind != "text":
            self.evict(CloseCode.NO_SUCH_FILE, "this file is not text (any more): it is served as bytes")
        else:
            self.readmit()

    def readmit(self) -> None:
        self._evicted = None

    @property
    def idle(self) -> bool:
        return not (self.users or self._working or self._news or self._wishes or self._unannounced)

    @property
    def waited_for(self) -> bool:
        """Edits came in that no turn has taken yet."""
        return bool(self._news or self._held)

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        cached = 0 if self._encoding is None else self._encoding.size
        return self._document.size + cached

    def dispose(self) -> None:
        self._document.close()

    # -- what members ask for ------------------------------------------------------------------------------------

    def enter(self, member: Member) -> None:
        """It is told where the document stands and who is here, and hears everything from then on."""
        if self.gone is not None:
            member.close(CloseCode.TRY_LATER, self.gone.message)
        self._entering[member.session.number] = member
        self._wish(Wish(member, None))

    def leave(self, member: Member) -> None:
        """Its presence goes; what it has sent is still taken."""
        member.left = True
        self.members.pop(member.session.number, None)
        self._entering.pop(member.session.number, None)
        self.presence.leave(member.session.number)
        self._bell.ring()

    def join(self, member: Member, state_vector: bytes) -> None:
        self._wish(Wish(member, state_vector))

    def catch_up(self, member: Member) -> None:
        """Its outbox was dropped, and is empty now."""
        member.owed_difference = True
        self._wish(Wish(member, member.outbox.behind))

    def _wish(self, wish: Wish) -> None:
        self._wishes[wish.member.session.number, wish.state_vector is None] = wish  # who asks twice is answered once
        self._bell.ring()

    def submit(self, member: Member, news: News) -> None:
        member.heard_later(len(news.update))
        self._news.append(Waiting(member, news))
        self._bell.ring()

    def tell_presence(self, member: Member, states: Sequence[ClientState]) -> None:
        session = member.session
        if self.presence.tell(session.number, session.actor, session.user, states, time.monotonic()):
            self._bell.ring()

    def appear(self, actor: Actor, cursor: Place | None, *, task: str | None = None, seconds: float = SEEN) -> None:
        """Shows somebody who writes without a socket to whoever is here, and for some seconds to whoever comes."""
        state: dict[str, Any] = {"user": stamp(actor, task)}
        if cursor is not None:
            state["cursor"] = {"anchor": to_json(cursor), "head": to_json(cursor)}
        self.presence.appear(actor.id, msgspec.json.encode(state).decode(), time.monotonic(), seconds)
        self._bell.ring()

    def answer_presence(self, member: Member) -> None:
        """Also what it may have missed: a state that was taken away while its outbox was full would stay for ever."""
        member.send(protocol.awareness(self.presence.everything_since()))

    # -- turns -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The room's own task: takes turns until the room is gone."""
        while self.gone is None:
            await self._bell.wait()
            self._show_presence()
            if self._work_waits():
                self._working = True
                async with self._lock:
                    if self.gone is None:
                        await self._work()
                self._working = False
            self._set_alarm()

    def _work_waits(self) -> bool:
        return bool(self._news or self._wishes or self._announce_due() or self._held)

    async def _work(self) -> None:
        if self._news or self._wishes:
            await self._take_turn()
        self._give_up_held()
        if self._announce_due():
            await self.announce()

    def _set_alarm(self) -> None:
        """For what is due later by itself."""
        due = min(self._due(), default=float("inf"))
        now = time.monotonic()
        if due < self._alarm_at or (self._alarm_at <= now and due < float("inf")):
            self._alarm_at = due
            self._alarms.at(due, self._bell.ring)

    def _due(self) -> Iterator[float]:
        if self._unannounced:
            yield self._announce_at
        if self.presence.pending:
            yield self._presence_at
        if len(self.presence):
            yield time.monotonic() + PRESENCE_LOOK
        for held in self._held:
            if held.until is not None:
                yield held.until

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The document, with nobody else touching it. `Unavailable` when the room is gone: open it again."""
        async with self._lock:
            self._check_open()
            row = await self._store.document(self.id)
            if row is None:
                raise NotFound("no such document")
            if row.head != self.position:
                await self._read_gap(row.head)
            turn = Turn(self, row)
            try:
                yield turn
            finally:
                with anyio.CancelScope(shield=True):
                    await turn.undo()

    def _check_open(self) -> None:
        if self.gone is not None:
            raise Unavailable(f"this file was closed meanwhile ({self.gone.message}); try again", code="room_gone")

    async def _take_turn(self) -> None:
        news, self._news = self._news, []
        wishes, self._wishes = self._wishes, {}
        before = self._document.state_vector()
        senders: dict[int, list[Waiting]] = {}
        for each in news:
            each.member.heard(len(each.news.update))
            senders.setdefault(each.member.session.number, []).append(each)
        entries: list[Entry] = []
        settled: list[Waiting] = []
        authors: list[Member] = []
        for of_one in senders.values():
            entry = await self._apply(of_one, entries, settled)
            if entry is not None:
                entries.append(entry)
                authors.append(of_one[0].member)
        if entries:
            await self._commit(entries)
            self._broadcast([entry.payload for entry in entries], before, authors[0] if len(authors) == 1 else None)
            self._retry_held()
        self._settle(settled)
        for wish in wishes.values():
            await self._check_held(wish)
            self._grant(wish)
            await anyio.lowlevel.checkpoint()

    async def _apply(self, news: list[Waiting], entries: list[Entry], settled: list[Waiting]) -> Entry | None:
        """One transaction for one sender. What it lacks is held; what it may not do closes it."""
        member = news[0].member
        accepted: list[Waiting] = []
        clients: dict[ClientId, None] = {}
        for each in news:
            if member.refused or self._evicted is not None:
                break
            try:
                brings = await self._judge(each)
            except Lacking:
                self._hold(each)
            except AnotherDocument as error:
                self._refuse(member, CloseCode.ANOTHER_DOCUMENT, error)
            except TooLarge as error:
                self._refuse(member, CloseCode.TOO_LARGE, error)
            except ProtocolError as error:
                self._refuse(member, CloseCode.BAD_MESSAGE, error)
            else:
                clients.update(dict.fromkeys(brings))
                accepted.append(each)
        if not accepted:
            return None
        try:
            novel = self._integrate([each.news.update for each in accepted], member, bool(clients))
        except ProtocolError as error:
            self._refuse(member, CloseCode.BAD_MESSAGE, error)
            await self._restore(entries)
            return None
        settled.extend(accepted)
        if novel is None:
            return None
        return Entry(kind=EntryKind.UPDATE, actor=member.session.actor, payload=novel, clients=tuple(clients))

    def _integrate(self, updates: Sequence[bytes], member: Member, brings: bool) -> bytes | None:
        novel = self._document.apply(updates, member.session.number)
        if brings and novel is None:
            raise ProtocolError("an update that passed every check brought nothing")
        return novel

    async def _judge(self, each: Waiting) -> tuple[ClientId, ...]:
        """The clients that it brings news of, from now on bound to its sender and known."""
        walk, actor = each.news.walk, each.member.session.actor
        brings = gate.judge(walk, self._clocks, self._bindings, actor, reserved=self._came_back, halves=self._halves)
        if brings and self._too_large(len(each.news.update)):
            raise TooLarge(f"a live file may have {TEXT_LIMIT:,} bytes")
        await self._bind(actor, brings)
        gate.add_halves(self._halves, walk, self._clocks)
        for client in brings:
            self._clocks[client] = max(self._clocks.get(client, 0), walk.news[client][-1][1])
        return brings

    def _too_large(self, more: int) -> bool:
        """The size is estimated, deleted text included, until the estimate is too large."""
        document = self._document
        return document.size + more > TEXT_LIMIT and document.measure() + more > TEXT_LIMIT

    def _came_back(self, client: ClientId) -> bool:
        """A reserved id of an epoch before this one: a peer brings back what a backup had lost."""
        return any(
            client == gate.reserved_id(self.id, self._store.node, epoch) for epoch in range(1, self._store.epoch)
        )

    async def _bind(self, actor: ActorId, clients: Sequence[ClientId]) -> None:
        fresh = [client for client in clients if client not in self._bindings and not gate.is_reserved(client)]
        if not fresh:
            return
        if await self._store.bound_before(self.id, fresh):
            raise AnotherDocument("this is an edit of a former file of this path; it is another document now")
        for client in fresh:
            self._bindings[client] = actor

    def _refuse(self, member: Member, code: CloseCode, error: QuireError) -> None:
        self._observer.refused(int(code))
        member.refused = True
        member.close(code, error.message)

    def _hold(self, each: Waiting) -> None:
        if sum(len(held.news.update) for held in self._held) + len(each.news.update) > HELD_BYTES:
            self._refuse(each.member, CloseCode.RESYNC, Lacking("too many updates lack what they build on; start over"))
            return
        each.until = each.until or time.monotonic() + HELD_SECONDS
        self._held.append(each)

    def _retry_held(self) -> None:
        """The text has moved: what waited may have what it lacked."""
        for each in self._held:
            each.member.heard_later(len(each.news.update))
        self._news[:0] = self._held
        self._held = []
        self._bell.ring()

    def _give_up_held(self) -> None:
        now = time.monotonic()
        for each in [each for each in self._held if each.until is not None and each.until <= now]:
            self._held.remove(each)
            self._refuse(each.member, CloseCode.RESYNC, Lacking("an update lacks what it builds on; start over"))

    @property
    def document(self) -> Document:
        """For whoever holds the turn."""
        return self._document

    async def adopt(self, entries: Sequence[Entry], head: Position, before: bytes | None) -> None:
        """Entries that were applied here and committed by a turn."""
        await self._advance(head, entries)
        updates = [entry.payload for entry in entries if entry.kind == EntryKind.UPDATE]
        if updates and before is not None:
            self._learn(updates)
            self._broadcast(updates, before, None)
            self._retry_held()
        self._bell.ring()

    async def reread(self) -> None:
        """The document anew, as the log has it."""
        self._document.close()
        await self._read_log()

    async def _restore(self, entries: Sequence[Entry]) -> None:
        """The document anew: what the log holds, and what this turn has accepted so far."""
        position = self.position
        self._document.close()
        await self._read_log()
        if self.position != position:
            raise Unavailable("the log has moved under a turn")
        for entry in entries:
            self._document.apply([entry.payload], 0)
            self._learn([entry.payload])
            self._bindings.update(dict.fromkeys(entry.clients, entry.actor))

    async def _commit(self, entries: Sequence[Entry]) -> None:
        started = time.perf_counter()
        committed = await self._store.commit([Append(document=self.id, entries=tuple(entries))])
        self._observer.committed(
            time.perf_counter() - started, len(entries), sum(len(entry.payload) for entry in entries)
        )
        await self._advance(committed.heads[self.id], entries)

    async def _advance(self, head: Position, entries: Sequence[Entry]) -> None:
        expected = self.position + len(entries)
        if head != expected:
            await self._read_gap(Position(head - len(entries)))
        self.position = head
        self.loose += len(entries)
        self.written_at = time.monotonic()
        if not self._unannounced:
            # Rooms that begin together must not all announce together, time and again.
            self._announce_at = max(self._announce_at, time.monotonic() + random.uniform(0.0, ANNOUNCE_SPREAD))
        for entry in entries:
            self._unannounced[entry.actor] = None

    async def _read_gap(self, upto: Position) -> None:
        """What others wrote to this log, applied and told."""
        missed = await self._store.entries(self.id, self.position, upto)
        before = self._document.state_vector()
        updates = [each.entry.payload for each in missed if each.entry.kind == EntryKind.UPDATE]
        novel = self._document.apply(updates) if updates else None
        self._learn(updates)
        self._own_actors(missed)
        self.position = upto
        self.loose += len(missed)
        if novel is not None:
            self._broadcast([novel], before, None)

    def _learn(self, updates: Sequence[bytes]) -> None:
        """Updates that came past the gate are in the document: what the gate must know of them."""
        for update in updates:
            gate.add_halves(self._halves, gate.walk(update), self._clocks)
        self._clocks = dict(self._document.clocks())

    def _own_actors(self, missed: Sequence[Logged]) -> None:
        for each in missed:
            self._bindings.update(dict.fromkeys(each.entry.clients, each.entry.actor))

    def _broadcast(self, updates: Sequence[bytes], before: bytes, sole: Member | None) -> None:
        started = time.perf_counter()
        frame = protocol.update(updates[0] if len(updates) == 1 else merge_updates(updates))
        if self._encoding is not None and not self._encoding.add(frame):
            self._encoding = None
        frames = 0
        for member in self.members.values():
            if member is not sole:
                frames += 1
                if not member.send(frame, before):
                    self._observer.dropped()
        self._observer.broadcast(time.perf_counter() - started, frames, frames * len(frame))

    def _settle(self, settled: Sequence[Waiting]) -> None:
        for each in settled:
            each.member.session.settle(each.news.number)
        for member in dict.fromkeys(each.member for each in settled):
            self._tell_saved(member)

    def _tell_saved(self, member: Member) -> None:
        saved = member.session.news_of_saved()
        if saved is not None:
            member.send(protocol.saved(self.position, saved))

    # -- answers -------------------------------------------------------------------------------------------------

    async def _check_held(self, wish: Wish) -> None:
        """A peer that has news of another document, by its state vector, is told so before it is told anything: two
        documents merged would hold both texts."""
        if wish.state_vector is None or wish.member.closing is not None:
            return
        unknown = [client for client in protocol.decode_state_vector(wish.state_vector) if client not in self._clocks]
        strange = [client for client in unknown if gate.is_reserved(client) and not self._came_back(client)]
        plain = [client for client in unknown if not gate.is_reserved(client)]
        if strange or (plain and await self._store.bound_before(self.id, plain)):
            error = AnotherDocument("this is another document than the one you hold, which is gone")
            self._refuse(wish.member, CloseCode.ANOTHER_DOCUMENT, error)

    def _grant(self, wish: Wish) -> None:
        member, vector = wish.member, wish.state_vector
        if member.left or member.closing is not None:
            return
        if self._evicted is not None:
            member.close(self._evicted.code, self._evicted.reason)
        elif vector is None:
            self.members[member.session.number] = member
            self._entering.pop(member.session.number, None)
            # y-protocols: the server speaks first, so that a peer's offline edits come at once.
            member.send(protocol.sync_step1(self._document.state_vector()))
            self._greet(member)
        elif member.owed_difference:
            member.answer([protocol.update(self._document.diff(vector))], vector)
            member.session.forget_told()
            self.answer_presence(member)
            self._tell_saved(member)
        elif member.outbox.answering:
            member.answer([], vector)  # not computed before the last one has left
        else:
            member.answer(self._difference(vector), vector)

    def _greet(self, member: Member) -> None:
        if self.presence.everything():
            member.send(protocol.awareness(self.presence.everything()))

    def _difference(self, state_vector: bytes) -> list[bytes]:
        if state_vector != EMPTY_VECTOR:
            return [protocol.sync_step2(self._document.diff(state_vector))]
        if self._encoding is None:
            self._encoding = Encoding(self._document.encode(), time.monotonic())
        return self._encoding.frames(time.monotonic())

    def release_stuck(self, since: float) -> None:
        """Members whose socket has not taken a frame since then are let go."""
        for member in list(self.members.values()):
            if member.sending_since is not None and member.sending_since < since:
                member.close(CloseCode.TRY_LATER, "this connection takes nothing; try again")
                member.abandon()

    def forget_encoding(self, unused_for: float) -> None:
        if self._encoding is not None and time.monotonic() - self._encoding.used > unused_for:
            self._encoding = None

    # -- presence ------------------------------------------------------------------------------------------------------

    def _show_presence(self) -> None:
        now = time.monotonic()
        self.presence.expire(now)
        if not self.presence.pending or now < self._presence_at:
            return
        self._presence_at = now + PRESENCE_SECONDS
        changes = self.presence.changes()
        frame = protocol.awareness(changes.states)
        for number, member in self.members.items():
            echo = changes.echoes.get(number)
            if echo is None:
                member.send(frame)
            else:
                others = tuple(state for state in changes.states if state.client != echo.client)
                member.send(protocol.awareness((*others, echo)))

    # -- events ------------------------------------------------------------------------------------------------------

    def _announce_due(self) -> bool:
        return bool(self._unannounced) and time.monotonic() >= self._announce_at

    async def announce(self) -> None:
        """The catalog is to learn the SHA of the text, the project that it changed: once a second at most."""
        actors, self._unannounced = tuple(self._unannounced), {}
        self._announce_at = time.monotonic() + ANNOUNCE_SECONDS
        row = await self._store.document(self.id)
        if row is None or row.deleted_at is not None or not actors:
            return
        sha, size = row.sha, row.size
        if row.kind == "text" and row.sha_position != self.position:
            content = text.to_bytes(self._document.text, text.Shape(row.eol, row.bom))
            sha, size = text.blob_sha(content), len(content)
        self._announcements.add(
            Announce(
                Event(
                    project=row.project,
                    kind="changed",
                    path=row.path,
                    document=row.id,
                    sha=sha,
                    position=self.position,
                    actors=actors,
                ),
                size,
            )
        )
