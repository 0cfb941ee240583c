"""The policy `branch`: theirs is taken, and ours goes to a branch of its own."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import anyio.to_thread
import pytest

from collab import conflicts
from collab.ids import Path
from snapshots import policies
from snapshots.policies import Policies, Rule
from snapshots.puller import Puller
from snapshots.remotes import github_repository
from snapshots.remotes.github import GitHubRemote
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import fault_proxy
from tests.harness.github import GitHubServer
from tests.harness.hubs import Time, hub_to
from tests.snapshots.dying import durable
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, House, house
from tests.snapshots.pulls import TEN, Copy, committed, goes_out
from tests.snapshots.test_github_rounds import OneRemote
from tests.snapshots.test_pull_faults import peer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await rules(made, ("manual.md", "manual"), ("**", "branch"))
        yield made


@pytest.fixture
def bob(home: House, tmp_path: pathlib.Path) -> Copy:
    return Copy(home, tmp_path / "bob")


async def rules(home: House, *given: tuple[str, conflicts.Policy]) -> None:
    made = Policies(tuple(Rule(pattern, policy) for pattern, policy in given))
    await home.store.commit(changes=[policies.put(home.project.id, made)])


async def test_ours_goes_to_a_branch_and_theirs_is_taken(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN, manual_md="one\n")
    pushed = TEN.replace("line 2", "bob").replace("line 9", "line 9, bob")
    head = bob.fresh().write("a.md", pushed).write("manual.md", "bob\n").push()
    await home.write("a.md", TEN.replace("line 2", "alice").replace("line 5", "line 5, alice"))
    await home.write("manual.md", "alice\n")
    pulled = await home.snapshotter.pull(home.project)
    (waiting,) = await conflicts.still_open(home.store, home.project.id)
    assert (pulled.conflicts, waiting.path, waiting.policy) == ((waiting.id,), "manual.md", "manual")
    (decided,) = await conflicts.ended(home.store, home.project.id)
    assert (decided.state, decided.taken, decided.policy) == ("resolved", "branch", "branch")
    assert decided.aside is not None
    aside = decided.aside.branch
    # Theirs where the two overlap; what alice wrote elsewhere stays.
    assert (await home.files())["a.md"].decode() == pushed.replace("line 5", "line 5, alice")
    assert git(home.repository, "show", f"{aside}:a.md") == pushed.replace("bob\n", "alice\n", 1).replace(
        "line 5", "line 5, alice"
    ).rstrip("\n")
    assert git(home.repository, "rev-parse", f"{aside}~1") == head
    assert git(home.repository, "diff", "--name-only", "main", aside) == "a.md"
    said = git(home.repository, "log", "-1", "--format=%B", aside)
    assert said.startswith("What was written in a.md")
    assert "Co-authored-by: Alice" in said
    assert "manual.md" not in said
    assert await home.snapshotter.settling.kept(decided.ours) is not None


async def test_every_kind_goes_to_one_branch(home: House, bob: Copy) -> None:
    await committed(home, a_md=TEN, b_md="b\n", c_md="c\n", d_md="d\n" + TEN, e_bin=b"\xff")
    bob.fresh().run("rm", "-q", "b.md").run("mv", "d.md", "bob.md")
    bob.write("a.md", "bob\n").write("c.md", "bob\n").write("e.bin", b"\xff\x01").write("dir", "file\n").push()
    await home.write("a.md", "alice\n")
    await home.write("b.md", "alice\n")
    await home.workspace.delete(home.project, Path("c.md"), ALICE)
    await home.workspace.move(home.project, Path("d.md"), Path("alice.md"), ALICE)
    await home.write("e.bin", b"\xff\x02")
    await home.write("dir/f.md", "alice\n")
    assert (await home.snapshotter.pull(home.project)).state == "done"
    found = await home.files()
    assert sorted(found) == ["a.md", "bob.md", "c.md", "dir", "e.bin"]
    assert (found["a.md"], found["e.bin"]) == (b"bob\n", b"\xff\x01")
    (aside,) = {each.aside.branch for each in await conflicts.ended(home.store, home.project.id) if each.aside}
    names = git(home.repository, "ls-tree", "-r", "--name-only", aside).split()
    assert names == ["a.md", "alice.md", "b.md", "dir/f.md", "e.bin"]
    assert git(home.repository, "rev-list", "--count", f"main..{aside}") == "1"
    assert len(await conflicts.ended(home.store, home.project.id)) == 6
    await home.write("a.md", "bob and alice\n")
    await goes_out(home)


async def test_what_is_typed_while_ours_goes_to_the_branch_goes_there_too(home: House, bob: Copy) -> None:
    await committed(home, a_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    async with peer(home, "a.md") as alice:

        def step(name: str) -> None:
            if name == "put aside" and alice.text == "alice\n":
                alice.type("again, ", at=0)

        await Puller(home.workspace, home.remotes, home.bus, clock=home.clock, step=step).pull(home.project)
        await alice.until(lambda: alice.text == "bob\n")
    (decided,) = await conflicts.ended(home.store, home.project.id)
    assert decided.aside is not None
    assert git(home.repository, "show", f"{decided.aside.branch}:a.md") == "again, alice"
    assert git(home.repository, "rev-list", "--count", f"main..{decided.aside.branch}") == "2"


async def test_a_policy_is_for_what_is_found_from_then_on(home: House, bob: Copy) -> None:
    await rules(home)
    await committed(home, a_md="one\n", b_md="one\n")
    bob.fresh().write("a.md", "bob\n").push()
    await home.write("a.md", "alice\n")
    (first,) = (await home.snapshotter.pull(home.project)).conflicts
    await rules(home, ("*.md", "theirs"))
    await home.write("b.md", "alice\n")
    bob.fresh().write("b.md", "bob\n").push()
    assert (await home.snapshotter.pull(home.project)).conflicts == (first,)
    assert await home.files() == {"a.md": b"alice\n", "b.md": b"bob\n"}
    assert (await home.snapshotter.pull(home.project, policy="ours")).conflicts == ()
    assert await home.files() == {"a.md": b"alice\n", "b.md": b"bob\n"}


async def test_on_github_there_is_a_pull_request(github: GitHubServer, tmp_path: pathlib.Path) -> None:
    """While there cannot be one, the conflict stays open and says why; later it is decided by itself."""
    theirs = github.make(begun=True)
    theirs.push("a.md", TEN.encode())
    async with fault_proxy(github.url) as proxy, house(tmp_path) as home:
        await rules(home, ("**", "branch"))
        remote = GitHubRemote(
            await github_repository.find(hub_to(proxy.url, theirs.token, Time()), theirs.full_name), "main"
        )
        puller = Puller(home.workspace, OneRemote(remote), home.bus, clock=home.clock)
        await puller.pull(home.project)
        await home.write("a.md", TEN.replace("line 2", "alice"))
        await anyio.to_thread.run_sync(theirs.push, "a.md", TEN.replace("line 2", "bob").encode())
        proxy.on("POST", "/pulls$", fault.drop)
        pulled = await puller.pull(home.project)
        (waiting,) = await conflicts.still_open(home.store, home.project.id)
        assert pulled.conflicts == (waiting.id,)
        assert waiting.detail.startswith("Ours could not be put on a branch: ")
        assert b"alice" in (await home.files())["a.md"]
        assert (await puller.pull(home.project)).conflicts == ()
        (decided,) = await conflicts.ended(home.store, home.project.id)
        assert decided.aside is not None
        request = (await anyio.to_thread.run_sync(theirs.get, "/pulls?state=open"))[0]
        assert request["html_url"] == decided.aside.url
        assert (request["head"]["ref"], request["base"]["ref"]) == (decided.aside.branch, "main")
        assert "a.md" in request["body"]
        assert b"bob" in (await home.files())["a.md"]


def run(root: pathlib.Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "tests.snapshots.dying", str(root), *arguments]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.parametrize(("step", "number"), [("put aside", 0), *(("commit", number) for number in range(1, 7))])
async def test_killed_while_ours_goes_to_a_branch_it_is_there_once_in_the_end(
    tmp_path: pathlib.Path, step: str, number: int
) -> None:
    """The six commits: who wrote, two conflicts, two that end, what was pulled."""
    assert await anyio.to_thread.run_sync(run, tmp_path, "aside", step, str(number)) == -signal.SIGKILL
    async with durable(tmp_path) as (home, _):
        await home.snapshotter.pull(home.project)
        assert await home.files() == {"a.md": b"bob\n", "b.md": b"bob\n"}
        found = await conflicts.ended(home.store, home.project.id)
        assert sorted((each.path, each.taken) for each in found) == [("a.md", "branch"), ("b.md", "branch")]
        assert await conflicts.still_open(home.store, home.project.id) == []
        (aside,) = {each.aside.branch for each in found if each.aside is not None}
        assert git(home.repository, "rev-list", "--count", f"main..{aside}") == "1"
        assert {git(home.repository, "show", f"{aside}:{name}") for name in ("a.md", "b.md")} == {"alice"}
