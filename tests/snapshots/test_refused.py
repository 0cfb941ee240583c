"""What a remote refuses: files are held back and the rest goes out, pauses are waited for, budgets are spread."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import pytest

from collab.bus.base import Bus
from collab.errors import QuireError
from collab.ids import Millis, Path
from collab.store.base import Project
from snapshots.budget import Left
from snapshots.refused import AGAIN
from snapshots.remotes.refusals import (
    Reason,
    RemoteForbidden,
    RemoteGone,
    RemotePaused,
    RemoteUnreachable,
)
from snapshots.schedule import Pace
from snapshots.snapshot import Snapshot
from snapshots.snapshotter import Status
from tests.harness.hosting import Host, there
from tests.harness.until import auntil
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

PACE = Pace(quiet=60_000, max_age=600_000, first_wait=5_000, longest_wait=600_000)


@dataclass
class Desk:
    house: House
    host: Host

    async def commit(self, **wish: object) -> Snapshot:
        return await self.house.snapshotter.snapshot(self.house.project, **wish)  # type: ignore[arg-type]

    async def automatic(self) -> Snapshot:
        return await self.house.snapshotter._automatic(self.house.project)

    async def status(self, project: Project | None = None) -> Status:
        return await self.house.snapshotter.status(project or self.house.project)

    @property
    def bus(self) -> Bus:
        return self.house.bus

    async def passes(self, seconds: float) -> None:
        """Time; the loop looks at its clock, and does what is due."""
        self.house.clock.advance(seconds)
        self.bus.publish(self.house.project.id, 0)
        await anyio.sleep(0.01)
        rounds = self.house.snapshotter._rounds
        await auntil(lambda: not any(each.started or each.lock.locked() for each in rounds._watched.values()), "rest")

    async def until_committed(self, path: str, *, step: float = 5) -> None:
        with anyio.fail_after(30):
            while path not in self.host.files("main"):
                await self.passes(step)


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    host = Host(tmp_path / "host" / "notes.git")
    async with house(tmp_path, remotes_of=there(host), pace=PACE) as home:
        await home.write("readme.md", "readme\n")
        await home.snapshotter.snapshot(home.project)
        host.asked.clear()
        yield Desk(home, host)


def secrets(path: Path, content: bytes) -> Reason | None:
    return "secret" if b"password" in content else None


# Files


async def test_a_file_that_is_refused_is_held_back_and_the_rest_goes_out_in_the_same_round(desk: Desk) -> None:
    desk.host.refuses = secrets
    await desk.house.write("a.md", "a\n")
    await desk.house.write("key.txt", "password\n")
    await desk.house.workspace.move(desk.house.project, Path("readme.md"), Path("docs/readme.md"), ALICE)
    made = await desk.commit()
    assert (made.state, made.number) == ("done", 2)
    assert {each.path for each in made.files} == {"a.md", "docs/readme.md"}
    assert made.refused == (("key.txt", "secret"),)
    assert desk.host.files("main") == {"a.md": "a\n", "docs/readme.md": "readme\n"}
    assert desk.host.git("log", "-1", "--format=%s", "main") == "Edit a.md and 1 more"
    status = await desk.status()
    assert (status.state, status.uncommitted, [each.path for each in status.refused]) == ("failed", 1, ["key.txt"])
    assert "key.txt: GitHub found a secret in it: take it out, or allow it on GitHub" in status.detail
    assert "Everything else goes out" in status.detail


async def test_it_is_not_tried_again_before_it_has_changed(desk: Desk) -> None:
    desk.host.refuses = secrets
    await desk.house.write("key.txt", "password\n")
    failed = await desk.commit()
    assert failed.state == "failed"
    assert "key.txt" in failed.detail
    desk.host.asked.clear()
    assert (await desk.automatic()).state == "nothing"
    await desk.house.write("b.md", "b\n")
    assert (await desk.automatic()).state == "done"
    assert desk.host.asked.count("commit main") == 1, "it was not offered again"
    await desk.house.write("key.txt", "another password\n")
    await desk.automatic()
    assert (await desk.status()).state == "failed"
    await desk.house.write("key.txt", "none\n")
    assert (await desk.automatic()).state == "done"
    assert desk.host.files("main")["key.txt"] == "none\n"
    status = await desk.status()
    assert (status.state, status.detail, status.refused) == ("idle", "", [])


async def test_it_is_tried_again_on_demand(desk: Desk) -> None:
    desk.host.refuses = secrets
    await desk.house.write("key.txt", "password\n")
    assert (await desk.automatic()).state == "failed"
    desk.host.refuses = lambda path, content: None
    assert (await desk.automatic()).state == "nothing"
    assert (await desk.commit()).state == "done"
    assert (await desk.status()).state == "idle"


async def test_it_is_tried_again_by_itself_after_some_hours(desk: Desk) -> None:
    desk.host.refuses = secrets
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.house.snapshotter.run)
        await desk.house.write("key.txt", "password\n")
        await desk.house.write("b.md", "b\n")
        await desk.until_committed("b.md")
        desk.host.refuses = lambda path, content: None
        await desk.passes(3600)
        assert "key.txt" not in desk.host.files("main")
        await desk.passes(AGAIN / 1000)
        await desk.until_committed("key.txt")
        assert (await desk.status()).state == "idle"
        tasks.cancel_scope.cancel()


async def test_a_file_that_is_discarded_is_held_back_no_more(desk: Desk) -> None:
    desk.host.refuses = secrets
    await desk.house.write("readme.md", "password\n")
    await desk.automatic()
    assert (await desk.status()).state == "failed"
    await desk.house.workspace.discard(desk.house.project, Path("readme.md"), ALICE)
    assert (await desk.status()).state == "idle"
    await desk.house.write("a.md", "a\n")
    made = await desk.automatic()
    assert (made.state, made.refused) == ("done", ())


async def test_a_branch_that_is_protected_may_refuse_a_file_besides(desk: Desk) -> None:
    desk.host.refuses = secrets
    desk.host.protected.add("main")
    await desk.house.write("key.txt", "password\n")
    await desk.house.write("a.md", "a\n")
    made = await desk.automatic()
    assert (made.state, made.pull_request, made.refused) == ("done", 1, (("key.txt", "secret"),))
    assert desk.host.difference(desk.host.open[0]) == {"a.md": "A"}
    assert [each.state for each in await desk.house.snapshotter.snapshots(desk.house.project)] == ["done", "done"]


# Pauses


async def test_a_pause_is_waited_for_by_every_project_of_that_credential(desk: Desk) -> None:
    other = await desk.house.workspace.create_project("papers", ALICE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.house.snapshotter.run)
        await desk.status(other)
        await desk.house.write("a.md", "a\n")
        await desk.house.workspace.write(other, Path("b.md"), b"b\n", ALICE, force=True)
        await desk.passes(1)
        until = Millis(desk.house.clock.now + 1_000_000)
        desk.host.trouble = RemotePaused("GitHub's rate limit is reached: edits go out when it ends.", until=until)
        desk.host.left = Left(0, 500, until, until)
        await desk.passes(60)
        desk.host.asked.clear()
        for _ in range(15):
            await desk.passes(60)
        assert desk.host.asked == [], "nobody asks before the end"
        status = await desk.status()
        assert (status.state, status.next_commit_at, status.uncommitted) == ("idle", until, 1)
        assert "rate limit is reached" in status.detail
        assert "It ends at " in status.detail
        assert status.left is not None
        assert status.left.paused_until == until
        assert (await desk.status(other)).next_commit_at == until
        desk.host.trouble, desk.host.left = None, Left(5_000, 500, until, None)
        await desk.until_committed("a.md")
        assert desk.house.clock.now - until < 20_000, "no longer wait than it was told"
        assert (await desk.status()).detail == ""
        tasks.cancel_scope.cancel()


async def test_whoever_asks_by_hand_is_told_of_the_pause(desk: Desk) -> None:
    until = Millis(desk.house.clock.now + 60_000)
    desk.host.trouble = RemotePaused("GitHub asks for a pause: edits go out after it.", until=until)
    await desk.house.write("a.md", "a\n")
    with pytest.raises(RemotePaused):
        await desk.commit()
    assert (await desk.status()).next_commit_at == until
    desk.host.trouble = None
    assert (await desk.commit()).state == "done"


async def test_automatic_commits_are_spread_so_that_the_budget_lasts(desk: Desk) -> None:
    """Two projects of one credential that are due at the same time."""
    other = await desk.house.workspace.create_project("papers", ALICE)
    desk.host.spacing = 300_000
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.house.snapshotter.run)
        await desk.status(other)
        await desk.house.write("a.md", "a\n")
        await desk.until_committed("a.md")
        first = desk.house.clock.now
        await desk.passes(0)
        await desk.house.write("a2.md", "a2\n")
        await desk.house.workspace.write(other, Path("b.md"), b"b\n", ALICE, force=True)
        await desk.passes(1)
        due = (await desk.status()).next_commit_at
        assert due is not None
        assert first + 290_000 <= due <= first + 300_000
        await desk.passes((due - desk.house.clock.now) / 1000 - 5)
        assert "a2.md" not in desk.host.files("main")
        await desk.passes(10)
        assert len(desk.host.files("main")) == 3, "the other one waits its turn"
        assert (await desk.status()).spacing == 300_000
        # Whoever asks by hand does not wait.
        await desk.commit()
        await desk.house.snapshotter.snapshot(other)
        assert desk.host.files("main").keys() >= {"a.md", "a2.md", "b.md"}
        tasks.cancel_scope.cancel()


# Trouble


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (RemoteForbidden("GitHub does not accept the token (any more): connect again with a new one."), "new one"),
        (RemoteForbidden("a/b is archived, and takes no commits: unarchive it."), "unarchive"),
        (RemoteGone("There is no repository a/b on GitHub, or the token may not see it."), "no repository"),
        (RemoteUnreachable("GitHub did not answer (ConnectError): it is tried again."), "did not answer"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk is full"),
    ],
)
async def test_trouble_is_said_in_words_waits_longer_each_time_and_ends_by_itself(
    desk: Desk, trouble: Exception, said: str
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.house.snapshotter.run)
        await desk.house.write("a.md", "a\n")
        desk.host.trouble = trouble
        await desk.passes(1)
        for _ in range(20):
            await desk.passes(60)
        status = await desk.status()
        assert (status.state, status.uncommitted) == ("failed", 1)
        assert said in status.detail
        assert status.remote is not None, "the status itself asks nobody"
        assert status.next_commit_at is not None
        assert status.next_commit_at - desk.house.clock.now <= 600_000
        asked = len(desk.host.asked)
        assert asked < 12, "it is not asked without end"
        desk.host.trouble = None
        await desk.until_committed("a.md", step=30)
        status = await desk.status()
        assert (status.state, status.detail, status.uncommitted) == ("idle", "", 0)
        assert desk.host.git("rev-list", "--count", "main") == "2"
        tasks.cancel_scope.cancel()


async def test_a_branch_that_is_gone_is_said_and_goes_on_when_it_is_back(desk: Desk) -> None:
    head = desk.host.head("main")
    desk.host.git("update-ref", "-d", "refs/heads/main")
    await desk.house.write("a.md", "a\n")
    assert (await desk.automatic()).state == "failed"
    status = await desk.status()
    assert status.state == "failed"
    assert "The branch main is gone" in status.detail
    desk.host.git("update-ref", "refs/heads/main", head)
    assert (await desk.automatic()).state == "done"
    assert (await desk.status()).state == "idle"


async def test_a_branch_that_is_forced_elsewhere_is_merged_with_and_never_forced_back(desk: Desk) -> None:
    await desk.house.write("a.md", "a\n")
    await desk.commit()
    desk.host.git("update-ref", "refs/heads/main", desk.host.git("rev-parse", "main~1"))
    theirs = desk.host.push({"theirs.md": "theirs\n"})
    await desk.house.write("b.md", "b\n")
    made = await desk.automatic()
    assert made.state == "done"
    assert desk.host.git("rev-parse", "main~1") == theirs
    assert (await desk.house.files()).keys() >= {Path("b.md"), Path("theirs.md"), Path("readme.md")}


async def test_a_remote_that_cannot_even_be_named_still_has_a_status(desk: Desk) -> None:
    class Nameless(QuireError):
        """As when the key that opens its credential is gone."""

    class Broken(type(desk.house.remotes)):  # type: ignore[misc]
        async def of(self, project: Project) -> object:
            raise Nameless("The credential cannot be opened: connect again.")

    await desk.house.write("a.md", "a\n")
    await desk.status()
    desk.house.remotes.__class__ = Broken
    with pytest.raises(Nameless):
        await desk.commit()
    status = await desk.status()
    assert (status.state, status.uncommitted) == ("failed", 1)
    assert "connect again" in status.detail
    assert status.remote is not None
