"""Many blobs of a repository on GitHub: from its tarball, as far as that tells the truth, and one by one for the rest."""

from __future__ import annotations

import io
import pathlib
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from collab.ids import BlobSha
from snapshots import trees
from snapshots.puller import Puller
from snapshots.remotes import github_archive, github_repository
from snapshots.remotes.base import CommitSha
from snapshots.remotes.github import GitHubRemote
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubServer
from tests.harness.hubs import hub_to
from tests.harness.tarballs import MANY, TARBALL, Tarred, serve, tarred
from tests.snapshots.house import house
from tests.snapshots.test_github_rounds import OneRemote

pytestmark = pytest.mark.anyio

SCRIPT, LINK = 0o100755, 0o120000
BLOBS = "/git/blobs/"


@dataclass
class Place:
    proxy: FaultProxy
    remote: GitHubRemote
    contents: dict[BlobSha, bytes]
    packed: bytes
    asked: list[Request] = field(default_factory=list)

    def serve(self, location: str | None = None, answer: fault.Action | None = None) -> None:
        self.asked = serve(self.proxy, self.packed, location=location, answer=answer)

    async def fetch(self, *shas: BlobSha) -> dict[BlobSha, bytes]:
        head = await self.remote.head()
        assert head is not None
        await self.remote.tree(head)
        self.proxy.clear()
        found = [each async for each in self.remote.blobs(list(shas or self.contents))]
        assert len(found) == len({sha for sha, _ in found})
        return dict(found)

    def one_by_one(self) -> int:
        return len([each for each in self.proxy.requests if BLOBS in each])


@pytest.fixture(scope="module")
def made(github: GitHubServer, tmp_path_factory: pytest.TempPathFactory) -> Tarred:
    return tarred(github, tmp_path_factory.mktemp("tarball"))


@pytest.fixture
async def place(made: Tarred) -> AsyncIterator[Place]:
    async with fault_proxy(made.theirs.server.url) as proxy:
        found = await github_repository.find(hub_to(proxy.url, made.theirs.token), made.theirs.full_name)
        yield Place(proxy, GitHubRemote(found, "main"), made.contents, made.packed)


async def test_a_tarball_brings_most_and_what_it_lacks_or_rewrites_comes_by_itself(place: Place) -> None:
    place.serve()
    assert await place.fetch() == place.contents
    # What is export-ignored, and what is export-subst.
    assert place.one_by_one() == 2


async def test_the_credential_is_for_github_alone(place: Place) -> None:
    place.serve()
    await place.fetch()
    assert len(place.asked) == 1
    assert "authorization" not in place.asked[0].headers


async def test_a_few_blobs_are_no_reason_for_a_tarball(place: Place) -> None:
    place.serve()
    few = list(place.contents)[: MANY - 1]
    assert await place.fetch(*few) == {sha: place.contents[sha] for sha in few}
    assert place.asked == []


async def test_a_small_part_of_a_large_repository_is_no_reason_either() -> None:
    assert github_archive.worth(MANY, MANY * github_archive.PART)
    assert not github_archive.worth(MANY, MANY * github_archive.PART + 1)


async def test_an_address_that_is_not_githubs_is_not_asked(place: Place) -> None:
    place.serve("https://evil.example/alice-r.tar.gz")
    assert await place.fetch() == place.contents
    assert place.asked == []


def test_an_address_below_githubs_host_is_githubs() -> None:
    hub = hub_to("https://api.github.com", "token")
    assert github_archive._of_host("https://codeload.github.com/alice/r/legacy.tar.gz/0123?token=x", hub)
    assert not github_archive._of_host("http://codeload.github.com/alice/r/legacy.tar.gz/0123", hub)
    assert not github_archive._of_host("https://codeload.github.com.evil.example/x", hub)
    for other in (
        "https://evilgithub.com/x",
        "file:///etc/passwd",
        "",
        " ",
        "//github.com/x",
        "https://api.github.com@evil.example",
    ):
        assert not github_archive._of_host(other, hub), other


def cut(place: Place) -> fault.Action:
    async def act(request: Request, forward: Forward) -> Reply:
        return Reply(200, {}, place.packed[: len(place.packed) * 2 // 3])

    return act


def wrong(place: Place) -> fault.Action:
    """Every file is another than it is said to be."""

    async def act(request: Request, forward: Forward) -> Reply:
        into = io.BytesIO()
        with tarfile.open(fileobj=into, mode="w:gz") as archive:
            for number in range(100):
                info = tarfile.TarInfo(f"alice-r/d{number % 7}/f{number}.txt")
                info.size = 5
                archive.addfile(info, io.BytesIO(b"wrong"))
        return Reply(200, {}, into.getvalue())

    return act


def garbage(place: Place) -> fault.Action:
    async def act(request: Request, forward: Forward) -> Reply:
        return Reply(200, {}, b"\x1f\x8b" + b"\xff" * 5000)

    return act


def dropped(place: Place) -> fault.Action:
    return fault.drop


def refused(place: Place) -> fault.Action:
    return fault.status(404)


@pytest.mark.parametrize("answer", [cut, wrong, garbage, dropped, refused])
async def test_a_tarball_that_is_bad_costs_requests_and_nothing_else(
    place: Place, answer: Callable[[Place], fault.Action]
) -> None:
    place.serve(answer=answer(place))
    assert await place.fetch() == place.contents
    assert place.one_by_one() > 2


async def test_a_server_that_has_no_tarballs_is_asked_for_blobs(place: Place) -> None:
    place.proxy.on("GET", TARBALL, fault.status(404), times=-1)
    assert await place.fetch() == place.contents


async def test_whoever_wants_no_more_ends_the_download(place: Place) -> None:
    place.serve()
    head = await place.remote.head()
    assert isinstance(head, str)
    await place.remote.tree(CommitSha(head))
    found = place.remote.blobs(list(place.contents))
    async for _ in found:
        break
    await found.aclose()  # type: ignore[attr-defined]
    assert await place.remote.head() == head


async def test_a_pull_of_a_whole_repository_is_a_handful_of_requests(place: Place, tmp_path: pathlib.Path) -> None:
    place.serve()
    place.proxy.clear()
    async with house(tmp_path) as home:
        puller = Puller(
            home.workspace, OneRemote(place.remote), home.bus, clock=home.clock, scratch=tmp_path / "scratch"
        )
        pulled = await puller.pull(home.project)
        assert pulled.state == "done"
        found = await home.files()
        rows = {str(row.path): row.mode for row in (await home.workspace.tree(home.project)).rows}
    assert len(place.asked) == 1
    assert place.one_by_one() == 2
    assert len(place.proxy.requests) < 15
    assert (rows["run.sh"], rows["link"], rows["vendored"]) == (SCRIPT, LINK, trees.SUBMODULE)
    assert set(found.values()) >= set(place.contents.values())
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_what_is_pulled_is_fetched_together_even_without_a_tarball(place: Place, tmp_path: pathlib.Path) -> None:
    place.proxy.on("GET", TARBALL, fault.status(404), times=-1)
    place.proxy.clear()
    async with house(tmp_path) as home:
        puller = Puller(home.workspace, OneRemote(place.remote), home.bus, clock=home.clock)
        assert (await puller.pull(home.project)).state == "done"
    assert place.one_by_one() == len(place.contents) + 1, "each once, the README too"
