"""The loop behind commits and objects: who is due has a round, and nobody holds up another."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from collab.bus.local import LocalBus
from collab.errors import NotFound, Unavailable
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import CreateProject, Emit, Event, Project
from collab.store.memory import MemoryStore
from snapshots.remotes.refusals import RemotePaused
from snapshots.rounds import Rounds, at_any_time, told
from snapshots.schedule import Pace
from tests.faults import FaultyStore
from tests.snapshots.house import Clock

pytestmark = pytest.mark.anyio

PACE = Pace(quiet=10_000, max_age=60_000, first_wait=5_000, longest_wait=600_000)
NOTES, PAPERS = ProjectId("notes"), ProjectId("papers")


class DeafStore(FaultyStore):
    """Cannot read its events while `deaf`."""

    deaf = False

    async def events(self, project: ProjectId, *, after: int, limit: int) -> list[Event]:
        if self.deaf:
            raise Unavailable("the disk does not answer")
        return list(await super().events(project, after=after, limit=limit))


@dataclass
class Stage:
    """Rounds that do nothing but say so; each waits until it is let go."""

    clock: Clock
    store: DeafStore
    bus: LocalBus
    clear_at: Callable[[ProjectId], Millis] = at_any_time
    worked: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self.rounds = Rounds(
            self.store,
            self.bus,
            self.work,
            clock=self.clock,
            pace=PACE,
            ignored=frozenset({"snapshot"}),
            clear_at=lambda project: self.clear_at(project),
            chance=lambda: 0.0,
        )

    async def work(self, project: Project) -> None:
        async with self.rounds.round(project.id) as watched:
            self.worked.append(project.name)
            if self.trouble is not None:
                raise self.trouble
            self.rounds.succeeded(watched)

    async def type(self, project: ProjectId, kind: str = "changed") -> None:
        event = Event(project=project, kind=kind, actors=(ActorId("alice"),))
        done = await self.store.commit(changes=[Emit(event)])
        self.bus.publish(project, done.events[0].n)
        await self.settle()

    async def passes(self, seconds: float) -> None:
        """Time; the loop looks at its clock."""
        self.clock.advance(seconds)
        self.bus.publish(NOTES, 0)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def take_up(project: Project) -> None:
            await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.rounds.run, take_up)
            await self.settle()
            yield
            tasks.cancel_scope.cancel()


@pytest.fixture
async def stage() -> Stage:
    clock = Clock()
    made = Stage(clock, DeafStore(MemoryStore(clock=clock)), LocalBus())
    await made.store.commit(
        changes=[
            CreateProject(Project(id=each, name=each, created_at=clock(), created_by=ActorId("alice")))
            for each in (NOTES, PAPERS)
        ]
    )
    return made


async def test_whoever_is_quiet_has_a_round_and_then_none(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        assert stage.rounds.due_at(NOTES) == stage.clock.now + 10_000
        await stage.passes(9)
        assert stage.worked == []
        await stage.passes(1)
        assert stage.worked == ["notes"]
        assert stage.rounds.due_at(NOTES) is None
        await stage.passes(10_000)
        assert stage.worked == ["notes"]


async def test_what_is_no_edit_makes_nobody_due(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES, "snapshot")
        assert stage.rounds.due_at(NOTES) is None


async def test_whoever_has_a_project_for_himself_holds_up_no_other(stage: Stage) -> None:
    async with stage.running():
        for project in (NOTES, PAPERS):
            await stage.type(project)
        async with stage.rounds.alone(NOTES):
            await stage.passes(10)
            assert stage.worked == ["papers"]
            await stage.passes(1_000)
            assert stage.worked == ["papers"]
        await stage.settle()
        assert stage.worked == ["papers", "notes"]


async def test_a_round_that_was_interrupted_by_an_error_is_due_again(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        stage.trouble = NotFound("the repository is gone")
        await stage.passes(10)
        assert stage.rounds[NOTES].failure == "the repository is gone"
        waits = []
        for _ in range(4):
            due = stage.rounds.due_at(NOTES)
            assert due is not None
            waits.append((due - stage.clock.now) // 1000)
            await stage.passes(waits[-1])
        assert waits == [5, 10, 20, 40]
        stage.trouble = None
        await stage.passes(80)
        assert stage.rounds[NOTES].failure == ""
        assert stage.rounds.due_at(NOTES) is None


async def test_a_pause_is_no_failure_and_makes_the_next_wait_no_longer(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        wait = 10
        for _ in range(3):
            until = Millis(stage.clock.now + (wait + 90) * 1_000)
            stage.trouble = RemotePaused("edits go out when it ends", until=until)
            await stage.passes(wait)
            assert stage.rounds.due_at(NOTES) == until == stage.clock.now + 90_000
            assert (stage.rounds[NOTES].failure, stage.rounds[NOTES].pause) == ("", "edits go out when it ends")
            wait = 90
        stage.trouble = None
        await stage.passes(90)
        assert stage.rounds[NOTES].pause == ""
        assert stage.worked == ["notes"] * 4


async def test_a_pause_that_is_already_over_is_not_asked_about_without_end(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        stage.trouble = RemotePaused("its clock is another", until=Millis(0))
        await stage.passes(10)
        assert stage.rounds.due_at(NOTES) == stage.clock.now + 1_000
        assert stage.worked == ["notes"]


async def test_nothing_begins_before_the_world_is_clear(stage: Stage) -> None:
    clear = Millis(stage.clock.now + 50_000)
    stage.clear_at = lambda project: clear if project == NOTES else Millis(0)
    async with stage.running():
        for project in (NOTES, PAPERS):
            await stage.type(project)
        assert stage.rounds.due_at(NOTES) == clear
        await stage.passes(40)
        assert stage.worked == ["papers"]
        await stage.passes(10)
        assert stage.worked == ["papers", "notes"]


@pytest.mark.parametrize("hours", [1, 24 * 365])
async def test_a_clock_that_goes_backwards_makes_nobody_wait_longer(stage: Stage, hours: int) -> None:
    async with stage.running():
        await stage.type(NOTES)
        await stage.passes(-3600 * hours)
        due = stage.rounds.due_at(NOTES)
        assert due is not None
        assert due - stage.clock.now <= 10_000
        # The log's times never decrease: what is typed now has a time that is still to come.
        await stage.type(PAPERS)
        due = stage.rounds.due_at(PAPERS)
        assert due is not None
        assert due - stage.clock.now <= 10_000
        await stage.passes(10)
        assert sorted(stage.worked) == ["notes", "papers"]


async def test_a_failure_before_the_clock_went_backwards_is_tried_again_within_the_hour(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        stage.trouble = NotFound("gone")
        await stage.passes(10)
        await stage.passes(-3600 * 24)
        due = stage.rounds.due_at(NOTES)
        assert due is not None
        assert due - stage.clock.now <= 3_600_000


async def test_events_that_cannot_be_read_count_as_an_edit(stage: Stage) -> None:
    async with stage.running():
        stage.store.deaf = True
        await stage.type(NOTES)
        stage.store.deaf = False
        assert stage.rounds.due_at(NOTES) is not None
        await stage.passes(10)
        assert stage.worked == ["notes"]


async def test_whoever_keeps_the_time_himself_ticks(stage: Stage) -> None:
    await stage.rounds.hear(NOTES)
    stage.rounds.edited(NOTES, stage.clock(), stage.clock())
    assert await stage.rounds.tick() == []
    assert stage.rounds.next_at() == stage.clock.now + 10_000
    stage.clock.advance(10)
    assert await stage.rounds.tick() == [NOTES]
    assert (stage.worked, stage.rounds.next_at()) == (["notes"], None)


async def test_a_round_can_be_wanted_at_a_time(stage: Stage) -> None:
    async with stage.running():
        stage.rounds.again(stage.rounds[NOTES], Millis(stage.clock.now + 3_600_000))
        await stage.type(NOTES)
        await stage.passes(10)
        assert stage.worked == ["notes"], "what is typed does not wait for it"
        stage.rounds.again(stage.rounds[NOTES], Millis(stage.clock.now + 3_600_000))
        await stage.passes(3_600)
        assert stage.worked == ["notes"] * 2


async def test_closing_gives_everybody_with_news_a_last_round(stage: Stage) -> None:
    async with stage.running():
        await stage.type(NOTES)
        await stage.rounds.aclose(5)
    assert stage.worked == ["notes"]


def test_a_full_disk_is_said_in_words() -> None:
    assert "disk is full" in told(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert "Permission denied (/data/git)" in told(PermissionError(errno.EACCES, "Permission denied", "/data/git"))
