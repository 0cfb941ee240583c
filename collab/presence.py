"""The awareness states of one room: whose they are, what the others may see, when they expire. PURE.

What it promises
1. A session speaks for one client id: the first that it states and that nobody else in the room speaks for. States of
   others that it repeats (stock peers do) change nothing.
2. `user` in a state is the server's word about who that is; whatever the peer wrote there is replaced.
3. To everyone but its owner, the clock of a client id only ever grows, over reconnects too, so that no peer takes a
   fresh state for an old one (y-protocols ignores a clock that it has seen). The owner is echoed its own clock: an echo
   with a greater one would overwrite what it has stated meanwhile.
4. A state that its owner has not renewed for `ttl` seconds, or whose session left, is taken away (state `null`).
5. Who writes without a socket (an agent by HTTP) can be shown for some seconds, under a client id of the server's own.

What breaks it: states that are too large, too deep, or no JSON object (refused with an error, nothing changed).
Source: y-protocols 1.0.7, awareness.js.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from collab.errors import ProtocolError, TooLarge
from collab.gate import RESERVED_FLOOR, is_reserved
from collab.ids import ActorId, ClientId
from collab.protocol import MAX_CLOCK, ClientState

STATE_LIMIT: Final = 2_048
"""Bytes of JSON in one state."""

BRACKETS_LIMIT: Final = 64
"""Brackets in one state: bounds its depth before it is parsed."""

TTL: Final = 30.0
"""Seconds; y-protocols' `outdatedTimeout`. Stock peers renew at half of it."""

REMEMBERED: Final = 256
"""Clocks kept of client ids that left."""

GONE: Final = "null"

NO_SESSION: Final = -1


@dataclass(slots=True)
class _State:
    session: int
    actor: ActorId
    clock: int
    """As its owner stated it."""
    shown: int
    """As the others were shown it."""
    state: str
    renewed: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What to tell the room: `states` for everybody; a session in `echoes` gets its own state with its own clock."""

    states: tuple[ClientState, ...]
    echoes: Mapping[int, ClientState]


class Presence:
    def __init__(self, *, ttl: float = TTL) -> None:
        self._ttl = ttl
        self._states: dict[ClientId, _State] = {}
        self._own: dict[int, ClientId] = {}
        self._left: dict[ClientId, int] = {}
        self._changed: dict[ClientId, None] = {}

    def __len__(self) -> int:
        return len(self._states)

    @property
    def pending(self) -> bool:
        """The room has not been told everything yet."""
        return bool(self._changed)

    def tell(
        self, session: int, actor: ActorId, user: Mapping[str, Any], states: Iterable[ClientState], now: float
    ) -> bool:
        """Takes what a session states; True when there is something to tell the room."""
        for each in states:
            if self._speaks_for(session, actor, each):
                self._take(session, actor, user, each, now)
        return bool(self._changed)

    def appear(self, actor: ActorId, state: str, now: float, seconds: float) -> None:
        """Shows somebody who has no session, for so long. One state for each actor: a later one replaces it."""
        client = stand_in(actor)
        known = self._states.get(client)
        shown = known.shown if known is not None else self._left.pop(client, 0)
        self._states[client] = _State(NO_SESSION, actor, shown + 1, shown + 1, state, now + seconds - self._ttl)
        self._changed[client] = None

    def leave(self, session: int) -> bool:
        client = self._own.pop(session, None)
        if client is not None:
            self._remove(client)
        return bool(self._changed)

    def expire(self, now: float) -> bool:
        for client in [client for client, state in self._states.items() if now - state.renewed > self._ttl]:
            self._own.pop(self._states[client].session, None)
            self._remove(client)
        return bool(self._changed)

    def changes(self) -> Changes:
        """What changed since the last call."""
        changed, self._changed = self._changed, {}
        states = tuple(self._show(client) for client in changed)
        echoes = {
            state.session: ClientState(client, state.clock, state.state)
            for client in changed
            if (state := self._states.get(client)) is not None and state.clock != state.shown
        }
        return Changes(states, echoes)

    def everything(self) -> tuple[ClientState, ...]:
        """For somebody who joins."""
        return tuple(self._show(client) for client in self._states)

    def everything_since(self) -> tuple[ClientState, ...]:
        """For somebody who missed some of it: also who has left."""
        gone = tuple(self._show(client) for client in self._left if client not in self._states)
        return (*self.everything(), *gone)

    def _show(self, client: ClientId) -> ClientState:
        state = self._states.get(client)
        if state is None:
            return ClientState(client, self._left.get(client, 0), GONE)
        return ClientState(client, state.shown, state.state)

    def _speaks_for(self, session: int, actor: ActorId, each: ClientState) -> bool:
        own = self._own.get(session)
        known = self._states.get(each.client)
        if own is not None:
            return own == each.client and known is not None and each.clock >= known.clock
        if each.state == GONE or is_reserved(each.client):
            return False
        # The same actor may take over from a socket that died unnoticed: it reconnects with the id it had.
        return known is None or (known.actor == actor and each.clock >= known.clock)

    def _take(self, session: int, actor: ActorId, user: Mapping[str, Any], each: ClientState, now: float) -> None:
        if each.clock > MAX_CLOCK:
            raise ProtocolError(f"a presence clock is {each.clock}; the largest is {MAX_CLOCK}", field="presence")
        if each.state == GONE:
            self._own.pop(session, None)
            self._remove(each.client)
            return
        state = stamped(each.state, user)
        known = self._states.get(each.client)
        shown_last = known.shown if known is not None else self._left.pop(each.client, -1)
        if known is not None and known.session != session:
            self._own.pop(known.session, None)
        self._own[session] = each.client
        self._states[each.client] = _State(session, actor, each.clock, max(each.clock, shown_last + 1), state, now)
        self._changed[each.client] = None

    def _remove(self, client: ClientId) -> None:
        state = self._states.pop(client)
        self._left[client] = state.shown
        while len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]
        self._changed[client] = None


def stand_in(actor: ActorId) -> ClientId:
    """The client id of somebody without a session: reserved, so that no peer states anything for it."""
    digest = hashlib.sha256(f"presence/{actor}".encode()).digest()
    return ClientId(RESERVED_FLOOR + int.from_bytes(digest[:4]))


def stamped(state: str, user: Mapping[str, Any]) -> str:
    """The state with the server's `user` in it."""
    if len(state.encode()) > STATE_LIMIT:
        raise TooLarge(
            f"a presence state has {len(state.encode())} bytes; the limit is {STATE_LIMIT}", field="presence"
        )
    if state.count("[") + state.count("{") > BRACKETS_LIMIT:
        raise ProtocolError(f"a presence state has more than {BRACKETS_LIMIT} brackets", field="presence")
    try:
        content = msgspec.json.decode(state, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a presence state must be a JSON object: {error}", field="presence") from error
    content["user"] = user
    return msgspec.json.encode(content).decode()
