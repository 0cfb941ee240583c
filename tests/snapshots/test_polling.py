"""When a branch is looked at for what others pushed."""

from __future__ import annotations

import pytest

from collab.ids import ProjectId
from snapshots.polling import RELAXED, Polling
from tests.snapshots.house import Clock

NOTES, PAPERS = ProjectId("notes"), ProjectId("papers")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def polling(clock: Clock) -> Polling:
    return Polling(here=5_000, elsewhere=30_000, clock=clock)


def test_a_branch_that_was_never_looked_at_is_due(polling: Polling) -> None:
    assert polling.due(NOTES)
    assert polling.watch(NOTES).last_look is None


def test_a_branch_elsewhere_is_looked_at_less_often_than_one_here(polling: Polling, clock: Clock) -> None:
    polling.looked(NOTES, elsewhere=False, news=False)
    polling.looked(PAPERS, elsewhere=True, news=False)
    clock.advance(5)
    assert (polling.due(NOTES), polling.due(PAPERS)) == (True, False)
    clock.advance(25)
    assert polling.due(PAPERS)


def test_the_watch_tells_when_it_was_and_when_it_will_be_looked_at(polling: Polling, clock: Clock) -> None:
    polling.looked(PAPERS, elsewhere=True, news=False)
    watch = polling.watch(PAPERS)
    assert (watch.last_look, watch.next_look) == (clock.now, clock.now + 30_000)
    assert (watch.last_webhook, watch.by_webhook) == (None, False)


def test_where_webhooks_arrive_looks_are_rare(polling: Polling, clock: Clock) -> None:
    polling.looked(PAPERS, elsewhere=True, news=False)
    polling.heard(PAPERS)
    assert polling.watch(PAPERS).by_webhook
    clock.advance(30 * RELAXED - 1)
    assert not polling.due(PAPERS)
    clock.advance(1)
    assert polling.due(PAPERS)


def test_a_look_that_finds_what_no_webhook_told_of_ends_the_rest(polling: Polling, clock: Clock) -> None:
    polling.heard(PAPERS)
    polling.looked(PAPERS, elsewhere=True, news=False)
    assert polling.watch(PAPERS).by_webhook
    polling.looked(PAPERS, elsewhere=True, news=True)
    assert not polling.watch(PAPERS).by_webhook
    clock.advance(30)
    assert polling.due(PAPERS)
    polling.heard(PAPERS)
    assert polling.watch(PAPERS).by_webhook


def test_what_is_not_to_be_looked_at_is_not(clock: Clock) -> None:
    never = Polling(here=None, elsewhere=None, clock=clock)
    assert (never.shortest, never.due(NOTES), never.watch(NOTES).next_look) == (None, False, None)
    elsewhere = Polling(here=None, elsewhere=30_000, clock=clock)
    elsewhere.looked(NOTES, elsewhere=False, news=False)
    clock.advance(3600)
    assert not elsewhere.due(NOTES)
    assert elsewhere.watch(NOTES).next_look is None


def test_a_clock_that_goes_back_puts_nothing_off(polling: Polling, clock: Clock) -> None:
    polling.looked(PAPERS, elsewhere=True, news=False)
    clock.advance(-3600)
    assert polling.due(PAPERS)


def test_a_project_that_is_gone_is_forgotten(polling: Polling) -> None:
    polling.looked(NOTES, elsewhere=True, news=False)
    polling.forget(NOTES)
    assert polling.watch(NOTES).last_look is None


def test_one_waits_until_the_next_branch_is_due_and_no_longer(polling: Polling, clock: Clock) -> None:
    assert polling.pause() == 5
    polling.looked(NOTES, elsewhere=False, news=False)
    clock.advance(1)
    polling.looked(PAPERS, elsewhere=False, news=False)
    clock.advance(1)
    assert polling.pause() == 3
    clock.advance(3)
    assert polling.due(NOTES)
    # It is being looked at, or somebody has its lock: it is asked for again soon, and not all the time.
    assert polling.pause() == 0.5
