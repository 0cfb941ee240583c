"""Whole rounds of the committer on GitHub: what was typed becomes exactly one commit, whatever happens on the way."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio.to_thread
import pytest

from collab.ids import ProjectId
from collab.store.base import Project
from snapshots.committer import Committer
from snapshots.remotes import github_repository
from snapshots.remotes.github import GitHubRemote
from snapshots.remotes.refusals import RemotePaused, RemoteUnreachable
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hubs import Time, hub_to
from tests.snapshots.house import House, house

pytestmark = pytest.mark.anyio


class OneRemote:
    """Every project's remote is this one."""

    def __init__(self, remote: GitHubRemote) -> None:
        self._remote = remote

    async def of(self, project: Project) -> GitHubRemote:
        return self._remote

    def incoming(self, job: str) -> pathlib.Path:
        raise NotImplementedError

    async def adopt(self, project: Project, job: str) -> GitHubRemote:
        raise NotImplementedError

    async def discard(self, job: str) -> None:
        raise NotImplementedError

    async def remove(self, project: ProjectId) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._remote.aclose()


@dataclass
class Desk:
    house: House
    theirs: GitHubRepository
    proxy: FaultProxy
    time: Time
    committer: Committer

    async def log(self) -> list[str]:
        found = await anyio.to_thread.run_sync(self.theirs.get, "/commits")
        return [each["commit"]["message"].partition("\n")[0] for each in found]


@pytest.fixture
async def desk(github: GitHubServer, tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    theirs = github.make()
    clock = Time()
    async with fault_proxy(github.url) as proxy, house(tmp_path) as made:
        hub = hub_to(proxy.url, theirs.token, clock)
        remote = GitHubRemote(await github_repository.find(hub, theirs.full_name), "main")
        committer = Committer(made.workspace, OneRemote(remote), made.bus, clock=made.clock)
        proxy.clear()
        yield Desk(made, theirs, proxy, clock, committer)


async def test_a_round_commits_what_was_typed_and_the_next_one_asks_once(desk: Desk, tmp_path: pathlib.Path) -> None:
    await desk.house.write("docs/a.md", "one\n")
    await desk.house.write("run.sh", b"#!/bin/sh\r\n")
    done = await desk.committer.round(desk.house.project)
    assert done.state == "done"
    assert desk.theirs.head() == done.commit
    assert done.commit is not None
    found = {each["path"] for each in desk.theirs.get(f"/git/trees/{done.commit}?recursive=1")["tree"]}
    assert found == {"docs", "docs/a.md", "run.sh"}
    desk.proxy.clear()
    assert (await desk.committer.round(desk.house.project)).state == "nothing"
    assert desk.proxy.requests == ["GET /git/ref/heads/main"]


async def test_a_round_whose_outcome_nobody_heard_is_found_again(desk: Desk) -> None:
    await desk.house.write("a.md", "one\n")
    await desk.committer.round(desk.house.project)
    await desk.house.write("a.md", "two\n")
    desk.proxy.on("PATCH", "/git/refs/", fault.drop_answer)
    silent = desk.proxy.on("GET", "/git/ref/", fault.drop, times=-1, skip=1)
    with pytest.raises(RemoteUnreachable):
        await desk.committer.round(desk.house.project)
    silent.times = 0
    assert (await desk.committer.round(desk.house.project)).state == "nothing"
    assert await desk.log() == ["Edit a.md", "Add a.md"]


@pytest.mark.parametrize("where", ["/git/trees$", "/git/commits$", "/git/refs"])
async def test_a_round_that_a_limit_stops_goes_out_after_the_pause(desk: Desk, where: str) -> None:
    await desk.house.write("a.md", "one\n")
    desk.proxy.on("POST", where, fault.status(403, retry_after="60"))
    with pytest.raises(RemotePaused) as caught:
        await desk.committer.round(desk.house.project)
    desk.time.now = caught.value.until
    assert (await desk.committer.round(desk.house.project)).state == "done"
    assert await desk.log() == ["Add a.md"]
