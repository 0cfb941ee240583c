"""A branch behind a network is mirrored for whoever clones it here: real git serves it over HTTP."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import pytest

from collab.errors import NotFound, Unavailable
from snapshots.mirrors import Mirrors
from snapshots.remotes.local import LocalRemote
from snapshots.remotes.quarantine import Quarantine
from snapshots.serving import Serving
from tests.harness.hosting import Host, there
from tests.snapshots.git import git
from tests.snapshots.house import House, house
from tests.snapshots.test_importer import git_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[Host]:
    made = Host(tmp_path / "there" / "notes.git")
    made.path.parent.mkdir()
    async with git_server(made.path.parent, "http") as address:
        made.address = f"{address}/notes.git"
        yield made


@pytest.fixture
async def home(host: Host, tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path, remotes_of=there(host)) as made:
        await made.write("b.md", "b\n")
        assert (await made.snapshotter.snapshot(made.project)).state == "done"
        yield made


@pytest.fixture
def serving(home: House) -> Serving:
    return Serving(home.remotes.local, home.remotes, Mirrors(home.root / "mirrors", LocalRemote), Quarantine.begin)


async def test_what_the_branch_holds_is_served_and_where_to_push_is_known(
    home: House, host: Host, serving: Serving
) -> None:
    assert await serving.own(home.project) is None
    for number in range(3):
        sha = host.push({"a.md": f"{number}\n"})
        host.git("branch", "--force", "other", "main")
        served = await serving.of(home.project)
        assert {name: oid.hex() for name, oid in (await served.refs()).all.items()} == {b"refs/heads/main": sha}
        assert served.elsewhere is not None
        assert served.elsewhere.branch == "main"
        assert git(served.repository.path, "fsck", "--full", "--strict") == ""
        assert git(served.repository.path, "rev-list", "--count", "main") == str(number + 2)


async def test_nothing_is_fetched_when_nothing_has_moved(home: House, host: Host, serving: Serving) -> None:
    host.push({"a.md": "a\n"})
    for _ in range(3):
        await serving.of(home.project)
    assert host.asked.count("fetch") == 1


async def test_a_mirror_that_cannot_be_brought_up_to_date_says_why_and_is_not_served(
    home: House, host: Host, serving: Serving
) -> None:
    host.push({"a.md": "a\n"})
    await serving.of(home.project)
    host.push({"a.md": "b\n"})
    address, host.address = host.address, "http://127.0.0.1:1/notes.git"
    with pytest.raises(Unavailable, match="nothing listens there"):
        await serving.of(home.project)
    host.address = address
    assert git((await serving.of(home.project)).repository.path, "show", "main:a.md") == "b"


async def test_history_that_was_rewritten_there_is_rewritten_in_the_mirror(
    home: House, host: Host, serving: Serving
) -> None:
    host.push({"a.md": "a\n"})
    await serving.of(home.project)
    git(home.root, "clone", "--quiet", str(host.path), "bob")
    git(home.root / "bob", "commit", "--quiet", "--amend", "--message", "Another")
    git(home.root / "bob", "push", "--quiet", "--force", "origin", "main")
    served = await serving.of(home.project)
    assert git(served.repository.path, "rev-parse", "main") == git(host.path, "rev-parse", "main")


async def test_a_project_that_is_gone_has_no_mirror(home: House, host: Host, serving: Serving) -> None:
    host.push({"a.md": "a\n"})
    place = (await serving.of(home.project)).repository.path
    await serving.forget(home.project.id)
    assert not place.exists()


async def test_what_is_not_behind_a_network_is_not_mirrored(home: House) -> None:
    mirrors = Mirrors(home.root / "mirrors", LocalRemote)
    with pytest.raises(NotFound):
        await mirrors.of(home.project, await home.remotes.local.of(home.project))
