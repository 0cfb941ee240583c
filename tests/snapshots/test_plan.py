"""A push that asks first: what would become of it, and that it is merged as a whole or refused as a whole."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from collab import conflicts
from collab.ids import Path
from snapshots import journal, policies
from snapshots.plan import PushRefused
from snapshots.policies import Policies, Rule
from snapshots.puller import Puller, Pushed
from snapshots.remotes.base import CommitSha
from snapshots.remotes.local import LocalRemote
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


@dataclass
class Bob:
    """Works in a clone; its objects stand for those that a push has brought and the repository does not have yet."""

    home: House
    folder: pathlib.Path

    def pushing(self, **files: str | None) -> Pushed:
        for name, text in files.items():
            place = self.folder / name.replace("_", ".")
            place.unlink() if text is None else place.write_text(text)
        head = commit_all(self.folder)

        async def land() -> None:
            git(self.folder, "push", "--quiet", "origin", "HEAD:main")

        return Pushed(head=CommitSha(head), commits=LocalRemote(self.folder / ".git"), land=land)


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        for name in ("a.md", "b.md", "c.md", "gone.md"):
            await made.write(name, TEN)
        await made.snapshotter.snapshot(made.project)
        yield made


@pytest.fixture
def bob(home: House, tmp_path: pathlib.Path) -> Bob:
    git(tmp_path, "clone", "--quiet", str(home.repository), "bob")
    return Bob(home, tmp_path / "bob")


@pytest.fixture
def puller(home: House) -> Puller:
    return Puller(home.workspace, home.remotes, home.bus, clock=home.clock)


async def everything(home: House) -> object:
    rows = await home.store.tree_with_deleted(home.project.id)
    records = [await home.store.records(each, home.project.id) for each in ("bases", "conflicts", "branches")]
    # What was typed is announced a moment later.
    told = [each for each in await home.workspace.events(home.project, 0) if each.kind != "changed"]
    return [(row.id, row.path, row.head, row.deleted_at) for row in rows], records, told


async def test_a_plan_says_of_every_path_what_would_become_of_it(home: House, bob: Bob, puller: Puller) -> None:
    pushed = bob.pushing(
        a_md=TEN.replace("line 2", "bob").replace("line 7", "bob"),
        b_md=TEN.replace("line 2", "bob"),
        c_md=None,
        gone_md=TEN + "bob\n",
        new_md="bob\n",
    )
    await home.write("a.md", "first\n" + TEN.replace("line 2", "alice").replace("line 7", "alice"))
    await home.write("b.md", TEN.replace("line 7", "alice"))
    await home.write("c.md", "alice\n")
    await home.workspace.delete(home.project, Path("gone.md"), ALICE)
    before = await everything(home)
    plan = await puller.plan(home.project, pushed)
    assert await everything(home) == before
    assert {each.path: each.kind for each in plan.paths} == {
        "a.md": "modify/modify", "b.md": None, "c.md": "modify/delete", "gone.md": "delete/modify", "new.md": None,
    }  # fmt: skip
    (clash, *_) = plan.conflicts
    assert [(each.ours_line, each.theirs_line, each.theirs) for each in clash.hunks] == [
        (4, 3, "bob\n"),
        (9, 8, "bob\n"),
    ]
    assert str(clash) == "a.md: lines 3 and 8"
    with pytest.raises(PushRefused, match=r"a\.md: lines 3 and 8; c\.md: modify/delete; gone\.md: delete/modify"):
        await home.snapshotter.accept(home.project, pushed)
    assert await everything(home) == before
    assert git(home.repository, "rev-parse", "main") != pushed.head
    assert (await home.snapshotter.status(home.project)).state == "idle"


async def test_a_clean_push_is_merged_and_the_branch_moves_first(home: House, bob: Bob) -> None:
    pushed = bob.pushing(a_md=TEN.replace("line 2", "bob"), new_md="bob\n")
    await home.write("a.md", TEN.replace("line 7", "alice"))
    seen: list[object] = []

    async def land() -> None:
        seen.append((await home.files())["a.md"])
        await pushed.land()

    pulled = await home.snapshotter.accept(home.project, replace(pushed, land=land))
    assert (pulled.state, pulled.head, sorted(pulled.merged)) == ("done", pushed.head, ["a.md", "new.md"])
    assert seen == [TEN.replace("line 7", "alice").encode()]
    both = TEN.replace("line 2", "bob").replace("line 7", "alice")
    assert (await home.files())["a.md"] == both.encode()
    branch = await journal.branch(home.store, home.project.id)
    assert branch is not None
    assert branch.commit == pushed.head == git(home.repository, "rev-parse", "main")
    assert (await home.snapshotter.pull(home.project)).state == "nothing"


async def test_what_is_typed_while_a_push_lands_is_a_conflict_as_after_any_push(home: House, bob: Bob) -> None:
    pushed = bob.pushing(a_md=TEN.replace("line 2", "bob"))

    async def land() -> None:
        await pushed.land()
        await home.write("a.md", TEN.replace("line 2", "alice"))

    pulled = await home.snapshotter.accept(home.project, replace(pushed, land=land))
    assert pulled.state == "conflicts"
    assert (await home.files())["a.md"] == TEN.replace("line 2", "alice").encode()


async def test_a_push_that_cannot_land_changes_nothing(home: House, bob: Bob) -> None:
    pushed = bob.pushing(a_md="bob\n")
    before = await everything(home)

    async def land() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await home.snapshotter.accept(home.project, replace(pushed, land=land))
    assert await everything(home) == before


async def test_a_conflict_that_is_known_refuses_only_what_touches_it(home: House, bob: Bob) -> None:
    await bob.pushing(a_md="bob\n").land()
    await home.write("a.md", "alice\n")
    (known,) = (await home.snapshotter.pull(home.project)).conflicts
    other = bob.pushing(b_md="bob\n")
    pulled = await home.snapshotter.accept(home.project, other)
    assert (pulled.merged, pulled.conflicts) == (("b.md",), (known,))
    with pytest.raises(PushRefused, match=r"a\.md"):
        await home.snapshotter.accept(home.project, bob.pushing(a_md="bob again\n"))
    ends = bob.pushing(a_md="alice\n")
    assert (await home.snapshotter.accept(home.project, ends)).conflicts == ()
    assert await conflicts.still_open(home.store, home.project.id) == []


async def test_what_a_policy_decides_refuses_nothing(home: House, bob: Bob, puller: Puller) -> None:
    rules = Policies((Rule("b.md", "manual"), Rule("*.md", "theirs")))
    await home.store.commit(changes=[policies.put(home.project.id, rules)])
    await home.write("a.md", "alice\n")
    await home.write("b.md", "alice\n")
    both = bob.pushing(a_md="bob\n", b_md="bob\n")
    plan = await puller.plan(home.project, both)
    assert {each.path: each.policy for each in plan.paths} == {"a.md": "theirs", "b.md": "manual"}
    with pytest.raises(PushRefused, match=r"^in conflict with what is written here: b\.md: line 1$"):
        await home.snapshotter.accept(home.project, both)
    pulled = await home.snapshotter.accept(home.project, bob.pushing(b_md=TEN))
    assert pulled.state == "done"
    assert (await home.files())["a.md"] == b"bob\n"


async def test_a_plan_of_the_branch_itself(home: House, bob: Bob, puller: Puller) -> None:
    assert (await puller.plan(home.project)).paths == ()
    await bob.pushing(a_md="bob\n").land()
    assert [each.path for each in (await puller.plan(home.project)).paths] == ["a.md"]
    await home.snapshotter.pull(home.project)
    assert (await puller.plan(home.project)).paths == ()
