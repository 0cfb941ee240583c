"""What a webhook has said becomes pulls: real pushes to a real repository, told of as GitHub tells."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import msgspec
import pytest

from collab.actors import QUIRE
from collab.ids import Millis, ProjectId
from snapshots import connection
from snapshots.connection import Connection
from snapshots.listener import KEPT, LOOKS_AFTER, Listener
from snapshots.remotes import github_hook
from snapshots.remotes.base import CommitSha
from tests.harness import hooks
from tests.harness.hooks import Delivery
from tests.snapshots.git import git
from tests.snapshots.house import House, Unconnected, house

pytestmark = pytest.mark.anyio

REPOSITORY = 7
NAME = "alice/notes"


CONNECTED = Connection(
    kind="github", repository=NAME, branch="main", id=REPOSITORY, installation=3, at=Millis(1), by=QUIRE.id
)


@dataclass
class Ear:
    house: House
    listener: Listener
    tasks: anyio.abc.TaskGroup
    waited: list[float] = field(default_factory=list)
    pulls: list[str | None] = field(default_factory=list)
    """The heads that pulls have found, in order."""

    async def hear(self, delivery: Delivery) -> int | None:
        """What it said has been done when this returns."""
        found = await self.listener.hear(delivery.id, github_hook.understood(delivery.event, delivery.body))
        await self.idle()
        return found

    async def idle(self) -> None:
        with anyio.fail_after(20):
            await self.listener.idle()

    def push(self, path: str, content: str, *, branch: str = "main") -> tuple[str, str]:
        """Somebody pushes with git: where the branch stood, and stands."""
        desk = self.house.root / "desk"
        if not desk.exists():
            git(self.house.root, "clone", "--quiet", str(self.house.repository), "desk")
        git(desk, "fetch", "--quiet")
        before = git(desk, "rev-parse", "origin/main").strip()
        git(desk, "checkout", "--quiet", "-B", "work", "origin/main")
        (desk / path).write_text(content)
        git(desk, "add", "--all")
        git(desk, "-c", "user.name=Bob", "-c", "user.email=bob@example.org", "commit", "--quiet", "-m", "Edit")
        git(desk, "push", "--quiet", "--force", "origin", f"HEAD:{branch}")
        return before, git(desk, "rev-parse", "HEAD").strip()


@pytest.fixture
async def ear(tmp_path: pathlib.Path) -> AsyncIterator[Ear]:
    async with house(tmp_path, remotes_of=Unconnected) as at, anyio.create_task_group() as tasks:
        await at.write("a.txt", "one\n")
        await at.snapshotter.snapshot(at.project)
        await at.store.commit(changes=[connection.put(at.project.id, CONNECTED)])
        waited: list[float] = []

        async def pause(seconds: float) -> None:
            waited.append(seconds)
            await anyio.lowlevel.checkpoint()

        listener = Listener(at.store, at.snapshotter, tasks, clock=at.clock, pause=pause)
        made = Ear(at, listener, tasks, waited)
        _count_pulls(made)
        yield made
        tasks.cancel_scope.cancel()


def _count_pulls(ear: Ear) -> None:
    pull = ear.house.snapshotter.pull

    async def counted(*args: object, **rest: object) -> object:
        found = await pull(*args, **rest)  # type: ignore[arg-type]
        ear.pulls.append(found.head)
        return found

    ear.house.snapshotter.pull = counted  # type: ignore[method-assign, assignment]


async def test_what_was_pushed_is_pulled(ear: Ear) -> None:
    before, after = ear.push("a.txt", "one\ntwo\n")
    assert await ear.hear(hooks.push(REPOSITORY, NAME, before, after)) == 1
    assert await ear.house.files() == {"a.txt": b"one\ntwo\n"}
    assert ear.house.snapshotter.polling.watch(ear.house.project.id).by_webhook


async def test_a_delivery_counts_once_even_after_a_restart(ear: Ear) -> None:
    told = hooks.push(REPOSITORY, NAME, *ear.push("a.txt", "one\ntwo\n"))
    assert await ear.hear(told) == 1
    assert await ear.hear(told) is None
    again = Listener(ear.house.store, ear.house.snapshotter, ear.tasks, clock=ear.house.clock)
    assert await again.hear(told.id, github_hook.understood(told.event, told.body)) is None
    assert len(ear.pulls) == 1


async def test_a_push_of_ours_is_not_pulled(ear: Ear) -> None:
    before = await (await ear.house.remotes.of(ear.house.project)).head()
    await ear.house.write("a.txt", "ours\n")
    made = await ear.house.snapshotter.snapshot(ear.house.project)
    assert await ear.hear(hooks.push(REPOSITORY, NAME, before, made.commit)) == 1
    assert ear.pulls == []


async def test_a_push_of_ours_that_is_told_of_before_its_round_has_ended_is_not_pulled(ear: Ear) -> None:
    before = await (await ear.house.remotes.of(ear.house.project)).head()
    await ear.house.write("a.txt", "ours\n")
    async with ear.house.snapshotter.paused(ear.house.project.id):
        # As in a round: the branch has moved, and the journal does not say so yet.
        made = await ear.house.snapshotter._committer.round(ear.house.project)
        told = hooks.push(REPOSITORY, NAME, before, made.commit)
        await ear.listener.hear(told.id, github_hook.understood(told.event, told.body))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
    await ear.idle()
    assert ear.pulls == []


async def test_a_branch_that_github_still_shows_as_it_was_is_looked_at_again(ear: Ear) -> None:
    before, after = ear.push("a.txt", "one\ntwo\n")
    remote = await ear.house.remotes.of(ear.house.project)
    head, looks = remote.head, 0

    async def late() -> CommitSha | None:
        nonlocal looks
        looks += 1
        return CommitSha(before) if looks < 4 else await head()

    remote.head = late  # type: ignore[method-assign]
    await ear.hear(hooks.push(REPOSITORY, NAME, before, after))
    assert await ear.house.files() == {"a.txt": b"one\ntwo\n"}
    assert ear.waited == list(LOOKS_AFTER[:4])


async def test_a_branch_that_stays_as_it_was_is_given_up(ear: Ear) -> None:
    before = await (await ear.house.remotes.of(ear.house.project)).head()
    await ear.hear(hooks.push(REPOSITORY, NAME, before, "c" * 40))
    assert ear.waited == list(LOOKS_AFTER)


async def test_pushes_that_come_while_one_is_pulled_are_one_more_pull(ear: Ear) -> None:
    async with ear.house.snapshotter.paused(ear.house.project.id):
        for number in range(10):
            told = hooks.push(REPOSITORY, NAME, *ear.push("a.txt", f"{number}\n"))
            assert await ear.listener.hear(told.id, github_hook.understood(told.event, told.body)) == 1
            await anyio.lowlevel.checkpoint()
    await ear.idle()
    assert await ear.house.files() == {"a.txt": b"9\n"}
    assert len(ear.pulls) <= 2


async def test_a_branch_that_is_gone_is_said(ear: Ear) -> None:
    before = await (await ear.house.remotes.of(ear.house.project)).head()
    git(ear.house.repository, "update-ref", "-d", "refs/heads/main")
    await ear.hear(hooks.push(REPOSITORY, NAME, before, None))
    status = await ear.house.snapshotter.status(ear.house.project)
    assert status.state == "failed"
    assert "main" in status.detail


@pytest.mark.parametrize(
    "told",
    [
        hooks.push(8, NAME, "a" * 40, "b" * 40),
        hooks.push(REPOSITORY, NAME, "a" * 40, "b" * 40, branch="other"),
        hooks.delivery("installation", {"action": "created", "installation": {"id": 4}, "repositories": []}),
    ],
    ids=["another repository of that name", "another branch", "another installation"],
)
async def test_what_no_project_follows_is_not_even_remembered(ear: Ear, told: Delivery) -> None:
    assert await ear.hear(told) == 0
    assert await ear.house.store.records("deliveries", ProjectId("")) == {}
    assert ear.pulls == []


async def test_a_connection_that_knows_no_id_is_found_by_its_name(ear: Ear) -> None:
    await ear.house.store.commit(
        changes=[connection.put(ear.house.project.id, msgspec.structs.replace(CONNECTED, id=None))]
    )
    assert await ear.hear(hooks.push(REPOSITORY, "Alice/Notes", *ear.push("a.txt", "two\n"))) == 1
    assert await ear.house.files() == {"a.txt": b"two\n"}


async def test_a_repository_that_was_renamed_is_called_by_its_new_name(ear: Ear) -> None:
    payload = {"action": "renamed", "repository": hooks.repository(REPOSITORY, "alice/papers")}
    assert await ear.hear(hooks.delivery("repository", payload)) == 1
    found = await connection.connection(ear.house.store, ear.house.project.id)
    assert found == msgspec.structs.replace(CONNECTED, repository="alice/papers")


@pytest.mark.parametrize(
    "told",
    [
        hooks.delivery("installation", {"action": "deleted", "installation": {"id": 3}, "repositories": []}),
        hooks.delivery(
            "installation_repositories",
            {
                "action": "removed",
                "installation": {"id": 3},
                "repositories_removed": [{"id": REPOSITORY, "full_name": NAME}],
            },
        ),
        hooks.delivery("repository", {"action": "archived", "repository": hooks.repository(REPOSITORY, NAME)}),
        hooks.delivery("repository", {"action": "deleted", "repository": hooks.repository(REPOSITORY, NAME)}),
    ],
    ids=["the App is gone", "the App may not see it", "archived", "deleted"],
)
async def test_what_happens_to_the_repository_makes_us_look_so_that_the_status_follows(
    ear: Ear, told: Delivery
) -> None:
    assert await ear.hear(told) == 1
    assert len(ear.pulls) == 1


async def test_a_pull_that_fails_is_in_the_status_and_ends_nothing(ear: Ear) -> None:
    told = hooks.push(REPOSITORY, NAME, *ear.push("a.txt", "two\n"))
    remote = await ear.house.remotes.of(ear.house.project)
    tree = remote.tree

    async def broken(commit: CommitSha) -> object:
        raise OSError("the disk is gone")

    remote.tree = broken  # type: ignore[method-assign, assignment]
    await ear.hear(told)
    assert "the disk is gone" in (await ear.house.snapshotter.status(ear.house.project)).detail
    remote.tree = tree  # type: ignore[method-assign]
    assert await ear.hear(hooks.push(REPOSITORY, NAME, *ear.push("a.txt", "three\n"))) == 1
    assert await ear.house.files() == {"a.txt": b"three\n"}


async def test_deliveries_are_forgotten_when_github_sends_them_no_more(ear: Ear) -> None:
    old = hooks.push(REPOSITORY, NAME, *ear.push("a.txt", "two\n"))
    await ear.hear(old)
    ear.house.clock.advance(KEPT / 1000)
    new = hooks.push(REPOSITORY, NAME, *ear.push("a.txt", "three\n"))
    await ear.hear(new)
    await ear.listener.forget_old()
    assert list(await ear.house.store.records("deliveries", ProjectId(""))) == [new.id]
