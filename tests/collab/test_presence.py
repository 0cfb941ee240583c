"""Presence: whose states they are, what the others see, when they go."""

from __future__ import annotations

import json

import pytest

from collab.errors import ProtocolError, TooLarge
from collab.ids import ActorId, ClientId
from collab.presence import BRACKETS_LIMIT, STATE_LIMIT, TTL, Presence
from collab.protocol import MAX_CLOCK, ClientState

ALICE, BOB = ActorId("alice"), ActorId("bob")
USER = {"name": "Alice"}


def state(client: int, clock: int, text: str = "{}") -> ClientState:
    return ClientState(ClientId(client), clock, text)


def shown(presence: Presence) -> dict[int, tuple[int, str]]:
    return {each.client: (each.clock, each.state) for each in presence.changes().states}


def test_the_server_says_who_a_state_belongs_to_whatever_the_peer_wrote() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1, '{"user":{"name":"Mallory"},"cursor":3}')], 0.0)
    [(clock, text)] = shown(presence).values()
    assert clock == 1
    assert json.loads(text) == {"user": USER, "cursor": 3}


def test_a_session_speaks_for_the_first_client_id_that_it_states_and_for_no_other() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1), state(8, 1)], 0.0)
    assert list(shown(presence)) == [7]


def test_what_a_peer_repeats_of_others_changes_nothing() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1)], 0.0)
    shown(presence)
    presence.tell(2, BOB, {"name": "Bob"}, [state(7, 1, "null")], 0.0)
    assert not presence.tell(2, BOB, {"name": "Bob"}, [state(7, 2)], 0.0)
    assert shown(presence) == {}


def test_a_session_that_leaves_takes_its_state_along() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 4)], 0.0)
    shown(presence)
    assert presence.leave(1)
    assert shown(presence) == {7: (4, "null")}
    assert presence.everything() == ()
    assert not presence.leave(1)


def test_a_peer_that_comes_back_with_an_old_clock_is_shown_with_a_newer_one() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 4)], 0.0)
    presence.leave(1)
    presence.changes()
    presence.tell(2, ALICE, USER, [state(7, 4)], 0.0)
    changes = presence.changes()
    assert changes.states[0].clock == 5
    assert changes.echoes[2].clock == 4


def test_the_same_actor_takes_its_client_id_over_from_a_socket_that_died_unnoticed() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1)], 0.0)
    presence.tell(2, ALICE, USER, [state(7, 1)], 0.0)
    presence.changes()
    presence.leave(1)
    assert [each.client for each in presence.everything()] == [7]


def test_another_actor_cannot_take_a_client_id_over() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1)], 0.0)
    presence.tell(2, BOB, {"name": "Bob"}, [state(7, 9)], 0.0)
    assert "Alice" in presence.everything()[0].state


def test_a_state_that_nobody_renews_expires() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 1)], 0.0)
    presence.tell(1, ALICE, USER, [state(7, 2)], TTL)
    presence.changes()
    assert not presence.expire(2 * TTL)
    assert presence.expire(2 * TTL + 1)
    assert shown(presence) == {7: (2, "null")}
    presence.tell(1, ALICE, USER, [state(7, 3)], 2 * TTL + 2)
    assert shown(presence)[7][0] == 3


def test_an_old_clock_is_ignored() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 5, '{"cursor":5}')], 0.0)
    presence.changes()
    assert not presence.tell(1, ALICE, USER, [state(7, 4, '{"cursor":4}')], 0.0)


def test_a_clock_at_the_end_of_the_numbers_is_refused_so_that_the_next_one_still_is_a_number() -> None:
    presence = Presence()
    for session in (1, 2):
        with pytest.raises(ProtocolError, match="clock"):
            presence.tell(session, ALICE, USER, [state(7, 2**53 - 1)], 0.0)
        presence.tell(session, ALICE, USER, [state(7, MAX_CLOCK)], 0.0)
        presence.leave(session)
    assert shown(presence)[7][1] == "null"


def test_whoever_missed_something_is_told_who_has_left_too() -> None:
    presence = Presence()
    presence.tell(1, ALICE, USER, [state(7, 4)], 0.0)
    presence.tell(2, BOB, USER, [state(8, 1)], 0.0)
    presence.leave(1)
    assert {each.client: each.state == "null" for each in presence.everything_since()} == {7: True, 8: False}


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "{", "{]", "[" * (BRACKETS_LIMIT + 1)])
def test_a_state_that_is_no_small_json_object_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Presence().tell(1, ALICE, USER, [state(7, 1, text)], 0.0)


def test_a_state_that_is_too_large_is_refused_by_name() -> None:
    text = json.dumps({"note": "x" * STATE_LIMIT})
    with pytest.raises(TooLarge, match=str(STATE_LIMIT)):
        Presence().tell(1, ALICE, USER, [state(7, 1, text)], 0.0)


def test_somebody_without_a_session_is_shown_for_some_seconds() -> None:
    presence = Presence()
    presence.appear(BOB, '{"user":{"name":"Bob"}}', 100.0, 20.0)
    [(client, (first, text))] = shown(presence).items()
    assert (text, presence.everything()[0].client) == ('{"user":{"name":"Bob"}}', client)
    presence.appear(BOB, '{"cursor":1}', 110.0, 20.0)
    [(again, (second, _))] = shown(presence).items()
    assert again == client
    assert second > first
    presence.expire(129.9)
    assert shown(presence) == {}
    presence.expire(130.1)
    assert shown(presence) == {client: (second, "null")}
    presence.appear(BOB, "{}", 140.0, 20.0)
    assert shown(presence)[client][0] > second


def test_nobody_else_speaks_for_him() -> None:
    presence = Presence()
    presence.appear(BOB, "{}", 0.0, 20.0)
    [client] = shown(presence)
    presence.tell(1, BOB, USER, [state(client, 99, '{"cursor":9}')], 1.0)
    assert shown(presence) == {}
