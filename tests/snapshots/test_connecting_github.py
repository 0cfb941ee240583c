"""A project is connected to a repository on GitHub: with a credential that is kept sealed, and for that repository alone."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import anyio.to_thread
import pytest

from collab.errors import Forbidden, Invalid
from collab.ids import Path
from snapshots import connection as connections
from snapshots import secrets
from snapshots.connecting import Asker, Connected, Take
from snapshots.places import Wanted
from snapshots.remotes.connected import ConnectedRemotes
from snapshots.remotes.github_hub import Credential, Hub
from snapshots.remotes.refusals import RemoteForbidden, RemoteGone
from snapshots.scope import Scope
from snapshots.secrets import Sealer, SecretLost
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hubs import Time, hub_to
from tests.snapshots.house import ALICE, BOB, SEALER, House, house

pytestmark = pytest.mark.anyio

ROOT = Asker(ALICE, root=True)
ADMIN = Asker(BOB)


@dataclass
class Place:
    home: House
    server: GitHubServer
    theirs: GitHubRepository
    proxy: FaultProxy
    time: Time

    def wanted(self, repository: GitHubRepository | None = None, **more: Any) -> Wanted:
        there = repository or self.theirs
        given = {"token": there.token, **more}
        return Wanted(kind="github", repository=there.full_name, **given)

    async def connect(self, wanted: Wanted | None = None, take: Take | None = None, asker: Asker = ADMIN) -> Connected:
        return await self.home.connecting.connect(self.home.project, wanted or self.wanted(), take, asker)

    async def files(self) -> dict[str, str]:
        return {path: content.decode() for path, content in (await self.home.files()).items()}

    async def there(self, branch: str = "main") -> set[str]:
        def listed() -> set[str]:
            found = self.theirs.get(f"/git/trees/{self.theirs.head(branch)}?recursive=1")["tree"]
            return {each["path"] for each in found if each["type"] == "blob"}

        return await anyio.to_thread.run_sync(listed)

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: work(*arguments))

    def remotes(self, sealer: Sealer = SEALER, token: str | None = None) -> ConnectedRemotes:
        """As another process would have them."""
        return ConnectedRemotes(
            self.home.remotes.local,
            self.home.store,
            sealer,
            clock=self.time,
            api=self.proxy.url,
            token=token,
            make_hub=self.make_hub,
        )

    def make_hub(self, credential: Credential) -> Hub:
        return hub_to(self.proxy.url, credential, self.time)


@pytest.fixture
async def place(github: GitHubServer, tmp_path: pathlib.Path) -> AsyncIterator[Place]:
    time = Time()
    theirs = await anyio.to_thread.run_sync(github.make)
    async with (
        fault_proxy(github.url) as proxy,
        house(tmp_path, make_hub=lambda credential: hub_to(proxy.url, credential, time)) as home,
    ):
        yield Place(home, github, theirs, proxy, time)


async def test_an_empty_repository_is_filled_and_pulled_from(place: Place) -> None:
    await place.home.write("docs/a.md", "a\n")
    done = await place.connect()
    assert (done.pulled.state, done.connection and done.connection.branch) == ("nothing", "main")
    made = await place.home.snapshotter.snapshot(place.home.project)
    assert (made.state, await place.there()) == ("done", {"docs/a.md"})
    await place.do(place.theirs.push, "b.md", b"b\n")
    assert (await place.home.snapshotter.pull(place.home.project)).state == "done"
    assert await place.files() == {"docs/a.md": "a\n", "b.md": "b\n"}


async def test_a_part_of_a_repository_on_github(place: Place) -> None:
    for name in ("docs/a.md", "docs/b.txt", "src/c.c"):
        await place.do(place.theirs.push, name, b"theirs\n")
    await place.connect(place.wanted(scope=Scope("docs", ("*.md",))))
    assert await place.files() == {"a.md": "theirs\n"}
    await place.home.write("new.md", "new\n")
    await place.home.write("new.txt", "new\n")
    await place.home.workspace.delete(place.home.project, Path("a.md"), ALICE)
    assert (await place.home.snapshotter.snapshot(place.home.project)).state == "done"
    assert await place.there() == {"docs/new.md", "docs/b.txt", "src/c.c"}


async def test_from_the_local_repository_to_github_and_back(place: Place) -> None:
    await place.home.write("a.md", "ours\n")
    await place.home.snapshotter.snapshot(place.home.project)
    await place.do(place.theirs.push, "a.md", b"theirs\n")
    await place.connect(take="merge")
    [conflict] = await place.home.snapshotter.settling.conflicts(place.home.project)
    await place.home.snapshotter.settle(place.home.project, conflict.id, actor=ALICE, take="theirs")
    await place.home.write("b.md", "b\n")
    assert (await place.home.snapshotter.snapshot(place.home.project)).state == "done"
    assert await place.there() == {"a.md", "b.md"}
    await place.home.connecting.disconnect(place.home.project, ADMIN)
    made = await place.home.snapshotter.snapshot(place.home.project)
    assert sorted(each.path for each in made.files) == ["a.md", "b.md"]
    assert (await place.home.remotes.of(place.home.project)).described()["kind"] == "git"


async def test_what_an_earlier_connection_offered_does_not_stand_in_the_way_of_a_choice(place: Place) -> None:
    await place.do(place.theirs.push, "a.md", b"first\n")
    await place.connect(place.wanted(pull_request=True))
    await place.home.write("a.md", "offered\n")
    made = await place.home.snapshotter.snapshot(place.home.project)
    assert (made.state, await place.do(place.theirs.head)) != ("done", made.commit)
    [pull_request] = await place.do(place.theirs.get, "/pulls")
    url = f"/repos/{place.theirs.full_name}/pulls/{pull_request['number']}/merge"
    await place.do(place.theirs.request, "PUT", url, {})
    await place.home.connecting.disconnect(place.home.project, ADMIN)
    await place.home.write("a.md", "here\n")
    await place.connect(take="theirs")
    assert await place.files() == {"a.md": "offered\n"}


# -- credentials


async def test_a_token_is_kept_sealed_and_forgotten_with_the_connection(place: Place) -> None:
    await place.connect()
    kept = await place.home.store.record(secrets.CREDENTIALS, place.home.project.id, connections.TOKEN)
    assert kept is not None
    assert place.theirs.token.encode() not in kept
    assert (
        await secrets.secret(place.home.store, SEALER, place.home.project.id, connections.TOKEN) == place.theirs.token
    )
    told = [each.data for each in await place.home.workspace.events(place.home.project, 0)]
    assert place.theirs.token not in repr(told) + repr(place.wanted())
    await place.home.connecting.disconnect(place.home.project, ADMIN)
    assert await place.home.store.record(secrets.CREDENTIALS, place.home.project.id, connections.TOKEN) is None


async def test_a_token_is_for_the_repository_that_it_was_given_for(place: Place) -> None:
    """Bob administers the project; he may change the branch, and not look through Alice's other repositories."""
    await place.do(place.theirs.push, "a.md", b"a\n")
    await place.connect(asker=Asker(ALICE))
    other = await anyio.to_thread.run_sync(lambda: place.server.make(begun=True))
    for ask in (
        place.home.connecting.preview(place.home.project, place.wanted(other, token=None), ADMIN),
        place.connect(place.wanted(other, token=None)),
    ):
        with pytest.raises(Forbidden) as caught:
            await ask
        assert caught.value.name == "token_needed"
    done = await place.connect(place.wanted(token=None, branch="draft"))
    assert done.connection is not None
    assert await place.do(place.theirs.head, "draft") == await place.do(place.theirs.head)
    await place.connect(place.wanted(other, token=other.token), "theirs")
    assert await secrets.secret(place.home.store, SEALER, place.home.project.id, connections.TOKEN) == other.token


async def test_the_servers_own_token_is_for_its_administrator(place: Place, tmp_path: pathlib.Path) -> None:
    async with house(tmp_path / "other", make_hub=place.make_hub, token=place.theirs.token) as home:
        other = replace(place, home=home)
        with pytest.raises(Forbidden, match="only its administrator"):
            await other.connect(place.wanted(token=None))
        await other.connect(place.wanted(token=None), asker=ROOT)
        assert await home.store.record(secrets.CREDENTIALS, home.project.id, connections.TOKEN) is None
        await home.write("a.md", "a\n")
        assert (await home.snapshotter.snapshot(home.project)).state == "done"
        assert await place.there() == {"a.md"}


async def test_without_any_token_the_message_says_what_to_do(place: Place) -> None:
    with pytest.raises(RemoteForbidden, match="QUIRE_GITHUB_TOKEN"):
        await place.connect(place.wanted(token=None), asker=ROOT)


async def test_a_remote_is_there_without_asking_anybody(place: Place) -> None:
    await place.connect()
    place.proxy.clear()
    again = place.remotes()
    remote = await again.of(place.home.project)
    assert await again.of(place.home.project) is remote
    assert remote.described()["repository"] == place.theirs.full_name
    assert place.proxy.requests == []
    assert await remote.head() is None


async def test_projects_with_one_token_share_one_way(place: Place) -> None:
    await place.connect()
    second = await place.home.workspace.create_project("second", ALICE)
    await place.home.connecting.connect(second, place.wanted(), None, ADMIN)
    third = await place.home.workspace.create_project("third", ALICE)
    other = await anyio.to_thread.run_sync(place.server.make)
    await place.home.connecting.connect(third, place.wanted(other), None, ADMIN)
    hosts = [(await place.home.remotes.of(each)).hosted for each in (place.home.project, second, third)]
    accounts = [host.account for host in hosts if host is not None]
    assert accounts[0] == accounts[1] != accounts[2]


async def test_a_key_that_is_lost_is_said_and_a_new_token_goes_on(place: Place) -> None:
    await place.connect()
    remote = await place.remotes(Sealer("another key " * 4)).of(place.home.project)
    assert remote.described()["repository"] == place.theirs.full_name
    with pytest.raises(SecretLost, match="Give the credential again"):
        await remote.head()


# -- what is refused


async def test_a_token_that_github_does_not_know(place: Place) -> None:
    place.proxy.on("GET", f"{place.theirs.name}$", fault.status(401), times=-1)
    with pytest.raises(RemoteForbidden, match="does not accept the token") as caught:
        await place.connect()
    assert caught.value.name == "remote_unauthorized"
    assert await connections.connection(place.home.store, place.home.project.id) is None


@pytest.mark.parametrize("repository", ["alice", "alice/a/b", "alice/..", "../x", "alice/x.git", "-a/x", "a b/c"])
async def test_what_is_no_name_of_a_repository(place: Place, repository: str) -> None:
    place.proxy.clear()
    with pytest.raises(Invalid, match="owner/name"):
        await place.connect(Wanted(kind="github", repository=repository, token="x"))
    assert place.proxy.requests == []


async def test_a_repository_that_is_not_there(place: Place) -> None:
    with pytest.raises(RemoteGone, match="no repository alice/nowhere"):
        await place.connect(Wanted(kind="github", repository="alice/nowhere", token=place.theirs.token))


async def test_an_archived_repository(place: Place) -> None:
    await place.do(place.theirs.request, "PATCH", f"/repos/{place.theirs.full_name}", {"archived": True})
    with pytest.raises(RemoteForbidden, match="archived"):
        await place.connect()


async def test_a_token_that_may_only_read_by_what_github_says(place: Place) -> None:
    may = fault.changed(lambda body: {**body, "permissions": {"pull": True, "push": False}})
    place.proxy.on("GET", f"{place.theirs.name}$", may, times=-1)
    with pytest.raises(RemoteForbidden, match="may not write"):
        await place.connect()


async def test_a_token_that_may_only_read_by_what_it_cannot_do(place: Place) -> None:
    await place.do(place.theirs.push, "a.md", b"a\n")
    place.proxy.on("POST", "/git/blobs$", fault.status(403), times=-1)
    with pytest.raises(RemoteForbidden, match="may not write"):
        await place.connect()
    assert await connections.connection(place.home.store, place.home.project.id) is None
    assert await place.files() == {}


async def test_a_preview_only_reads(place: Place) -> None:
    await place.do(place.theirs.push, "a.md", b"a\n")
    place.proxy.clear()
    await place.home.connecting.preview(place.home.project, place.wanted(), ADMIN)
    assert {each.partition(" ")[0] for each in place.proxy.requests} == {"GET"}


# -- what becomes of a repository


async def test_a_renamed_repository_is_followed_and_remembered(place: Place) -> None:
    await place.connect()
    await place.do(place.theirs.push, "a.md", b"a\n")
    await place.do(place.theirs.rename, f"{place.theirs.name}-renamed")
    assert (await place.home.snapshotter.pull(place.home.project)).state == "done"
    await place.home.remotes.of(place.home.project)
    known = await connections.connection(place.home.store, place.home.project.id)
    assert known is not None
    assert (known.repository, known.clone.endswith(f"{place.theirs.name}.git")) == (place.theirs.full_name, True)
    place.proxy.clear()
    assert await (await place.remotes().of(place.home.project)).head() == place.theirs.head()


async def test_a_project_that_is_deleted_leaves_the_repository_alone(place: Place) -> None:
    await place.home.write("a.md", "a\n")
    await place.connect()
    await place.home.snapshotter.snapshot(place.home.project)
    await place.home.workspace.delete_project("notes")
    await place.home.snapshotter.forget(place.home.project.id)
    assert await place.there() == {"a.md"}
    assert await connections.connections(place.home.store) == {}


async def test_a_folder_of_a_large_repository_costs_what_the_folder_does(place: Place) -> None:
    """What lies beside it is never listed, however often somebody pushes there."""
    for name in ("docs/en/a.md", "src/deep/c.c"):
        await place.do(place.theirs.push, name, b"theirs\n")
    await place.connect(place.wanted(scope=Scope("docs/en")))
    place.proxy.clear()
    await place.do(place.theirs.push, "src/deep/d.c", b"theirs\n")
    await place.home.snapshotter.pull(place.home.project)
    await place.home.write("b.md", "b\n")
    assert (await place.home.snapshotter.snapshot(place.home.project)).state == "done"
    listed = [each for each in place.proxy.requests if each.startswith("GET /git/trees/") and "recursive" in each]
    whole = [place.theirs.get(f"/git/commits/{sha}")["tree"]["sha"] for sha in await commits(place)]
    assert not any(tree in each for each in listed for tree in whole)


async def commits(place: Place) -> list[str]:
    found = await place.do(place.theirs.get, "/commits")
    return [each["sha"] for each in found]
