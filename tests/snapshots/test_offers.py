"""Edits that reach the branch through a pull request: one at a time, kept up to date, and nothing is doubled in the end."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from collab import conflicts
from collab.ids import Path
from snapshots import connection, offers
from snapshots.committer import BranchTaken, WishInvalid
from snapshots.past import Past
from snapshots.refused import Refused
from snapshots.remotes.base import CommitSha
from snapshots.remotes.refusals import RemoteForbidden
from snapshots.snapshot import Snapshot
from snapshots.snapshotter import Status
from tests.harness.hosting import Host, How, Pull, there
from tests.snapshots.git import blob_sha
from tests.snapshots.house import ALICE, BOT, House, house

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


@dataclass
class Desk:
    house: House
    host: Host

    async def write(self, path: str, text: str) -> None:
        await self.house.write(path, text)

    async def commit(self, **wish: object) -> Snapshot:
        return await self.house.snapshotter.snapshot(self.house.project, **wish)  # type: ignore[arg-type]

    async def automatic(self) -> Snapshot:
        return await self.house.snapshotter._automatic(self.house.project)

    async def status(self) -> Status:
        return await self.house.snapshotter.status(self.house.project)

    async def open_conflicts(self) -> list[str]:
        return [each.path for each in await conflicts.still_open(self.house.store, self.house.project.id)]

    async def known(self) -> list[offers.Offer]:
        found = await self.house.store.records(offers.COLLECTION, self.house.project.id)
        return [await self._offer(key) for key in found]

    async def _offer(self, branch: str) -> offers.Offer:
        found = await offers.offer(self.house.store, self.house.project.id, branch)
        assert found is not None
        return found

    @property
    def pull(self) -> Pull:
        (found,) = self.host.open
        return found


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """A project with two files on a branch that is protected from then on."""
    host = Host(tmp_path / "host" / "notes.git")
    async with house(tmp_path, remotes_of=there(host)) as home:
        made = Desk(home, host)
        await made.write("a.md", TEN)
        await made.write("b.md", "b\n")
        assert (await made.commit()).state == "done"
        host.protected.add("main")
        yield made


# A protected branch


async def test_where_the_branch_takes_no_commits_they_go_by_a_pull_request(desk: Desk) -> None:
    first = desk.host.git("rev-parse", "main")
    await desk.write("a.md", TEN + "more\n")
    made = await desk.commit()
    assert (made.state, made.branch, made.pull_request) == ("done", "quire/notes", 1)
    assert desk.host.git("rev-parse", "main") == first
    assert desk.host.difference(desk.pull) == {"a.md": "M"}
    assert desk.host.show("quire/notes", "a.md") == (TEN + "more").strip()
    status = await desk.status()
    assert (status.state, status.uncommitted, status.next_commit_at) == ("idle", 0, None)
    assert "1 file waits in pull request 1" in status.detail
    assert "https://host.example/notes/pull/1" in status.detail
    assert [(each.branch, each.files, each.number) for each in status.pull_requests] == [("quire/notes", 1, 1)]


async def test_it_is_kept_up_to_date_and_there_is_one(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    await desk.write("b.md", "b, too\n")
    await desk.write("c.md", "c\n")
    again = await desk.commit()
    assert {each.path for each in again.files} == {"b.md", "c.md"}, "only what changed since is in it"
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "M", "c.md": "A"}
    assert desk.host.git("rev-list", "--count", "main..quire/notes") == "2"
    assert len(desk.host.pulls) == 1
    desk.host.asked.clear()
    assert (await desk.commit()).state == "nothing"
    assert desk.host.asked.count("commit quire/notes") == 0


async def test_what_is_taken_back_is_not_offered_any_more(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.write("c.md", "c\n")
    await desk.house.workspace.delete(desk.house.project, Path("b.md"), ALICE)
    await desk.commit()
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "D", "c.md": "A"}
    await desk.write("a.md", TEN)
    await desk.house.workspace.delete(desk.house.project, Path("c.md"), ALICE)
    await desk.write("b.md", "b\n")
    await desk.commit()
    assert desk.host.difference(desk.pull) == {}
    assert (await desk.status()).pull_requests == []


async def test_renames_go_along(desk: Desk) -> None:
    await desk.house.workspace.move(desk.house.project, Path("b.md"), Path("docs/b.md"), ALICE)
    made = await desk.commit()
    assert [(each.change, each.origin) for each in made.files] == [("renamed", "b.md")]
    await desk.write("docs/b.md", "b, there\n")
    again = await desk.commit()
    assert [(each.change, each.origin) for each in again.files] == [("modified", None)]
    assert desk.host.difference(desk.pull) == {"b.md": "D", "docs/b.md": "A"}
    assert desk.host.merge(desk.pull, "squash")
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []
    assert await desk.house.files() == {"a.md": TEN.encode(), "docs/b.md": b"b, there\n"}


@pytest.mark.parametrize("delete", [True, False], ids=["branch deleted", "branch kept"])
@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
async def test_when_it_is_merged_the_next_pull_adopts_and_what_was_typed_since_goes_on(
    desk: Desk, how: How, delete: bool
) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.write("c.md", "c\n")
    await desk.commit()
    # Typed on, in the very lines that are offered.
    await desk.write("a.md", TEN + "more and more\n")
    assert desk.host.merge(desk.pull, how, delete=delete)
    pulled = await desk.house.snapshotter.pull(desk.house.project)
    assert (pulled.state, pulled.merged, await desk.open_conflicts()) == ("done", (), [])
    assert (await desk.house.files())["a.md"] == (TEN + "more and more\n").encode()
    made = await desk.commit()
    assert (made.state, made.pull_request) == ("done", 2)
    assert [each.path for each in made.files] == ["a.md"]
    assert desk.host.difference(desk.pull) == {"a.md": "M"}
    assert len(desk.host.git("log", "--format=%h", f"main..{desk.pull.branch}").split()) == 1, "no commit comes again"
    assert desk.host.merge(desk.pull, how)
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []
    assert desk.host.show("main", "a.md") == (TEN + "more and more").strip()
    assert (await desk.status()).detail == ""
    assert (await desk.commit()).state == "nothing"
    assert await desk.known() == []


async def test_others_push_meanwhile_and_the_pull_request_still_shows_ours_alone(desk: Desk) -> None:
    await desk.write("a.md", TEN.replace("line 2", "line two"))
    await desk.commit()
    desk.host.push({"a.md": TEN.replace("line 2", "line 2").replace("line 8", "line eight"), "theirs.md": "theirs\n"})
    await desk.write("b.md", "b, by us\n")
    await desk.commit()
    assert await desk.open_conflicts() == []
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "M"}
    merged = TEN.replace("line 2", "line two").replace("line 8", "line eight")
    assert desk.host.show(desk.pull.branch, "a.md") == merged.strip()
    assert len(desk.host.pulls) == 1
    # What was merged on the other side of our words goes through, too: git finds no conflict.
    assert desk.host.merge(desk.pull, "squash")
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []
    assert (await desk.house.files())["a.md"].decode() == merged


async def test_what_others_push_elsewhere_makes_no_commit_of_ours(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    before = desk.host.git("rev-parse", "quire/notes")
    desk.host.push({"theirs.md": "theirs\n"})
    assert (await desk.commit()).state == "nothing"
    assert desk.host.git("rev-parse", "quire/notes") == before


async def test_an_updated_branch_is_gone_on_with(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    desk.host.push({"theirs.md": "theirs\n"})
    desk.host.update(desk.pull)
    await desk.write("b.md", "b, too\n")
    made = await desk.commit()
    assert (made.branch, made.pull_request) == ("quire/notes", 1)
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "M"}


async def test_what_somebody_commits_to_our_branch_is_his_and_comes_with_its_pull_request(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    reviewed = desk.pull
    desk.host.push({"a.md": TEN + "more, and better\n"}, branch="quire/notes")
    his = desk.host.git("rev-parse", "quire/notes")
    await desk.write("b.md", "b, too\n")
    made = await desk.commit()
    assert (made.state, made.branch, made.pull_request) == ("done", "quire/notes-3", 2)
    assert desk.host.git("rev-parse", "quire/notes") == his
    assert desk.host.merge(reviewed)
    await desk.house.snapshotter.pull(desk.house.project)
    assert (await desk.house.files())["a.md"] == (TEN + "more, and better\n").encode()
    await desk.commit()
    assert desk.host.difference(desk.pull) == {"b.md": "M"}
    assert desk.host.merge(desk.pull)
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []


async def test_a_branch_of_that_name_that_is_somebody_elses_is_left_alone(desk: Desk) -> None:
    desk.host.git("update-ref", "refs/heads/quire/notes", desk.host.push({"x.md": "x\n"}))
    desk.host.push({"y.md": "y\n"}, branch="quire/notes")
    await desk.write("a.md", TEN + "more\n")
    made = await desk.commit()
    assert made.state == "done"
    assert made.branch is not None
    assert made.branch.startswith("quire/notes-2")
    assert desk.host.difference(desk.pull) == {"a.md": "M"}


async def test_a_closed_pull_request_is_not_fought_over(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    desk.pull.state = "closed"
    assert (await desk.automatic()).state == "nothing", "nothing new: it stays closed"
    desk.host.push({"theirs.md": "theirs\n"})
    assert (await desk.automatic()).state == "nothing"
    assert "was closed without being merged" in (await desk.status()).detail
    await desk.write("a.md", TEN + "more and more\n")
    made = await desk.automatic()
    assert made.pull_request == 2
    assert desk.host.difference(desk.pull) == {"a.md": "M"}


async def test_once_the_protection_is_gone_and_the_pull_request_is_merged_commits_go_straight_again(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    desk.host.protected.clear()
    await desk.write("b.md", "b, too\n")
    assert (await desk.commit()).pull_request == 1, "what is under way is finished"
    assert desk.host.merge(desk.pull)
    await desk.write("b.md", "b, three\n")
    made = await desk.commit()
    assert (made.state, made.branch) == ("done", None)
    assert desk.host.show("main", "b.md") == "b, three"


async def test_a_merge_that_happens_in_the_middle_of_a_round_is_pulled_first(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    await desk.write("a.md", TEN + "more and more\n")
    state = desk.host.asked

    class Merging(list[str]):
        def append(self, what: str) -> None:
            super().append(what)
            if what == "pull request 1" and desk.host.open:
                desk.host.merge(desk.pull, "squash")

    desk.host.asked = Merging(state)
    made = await desk.commit()
    assert (made.state, await desk.open_conflicts()) == ("done", [])
    assert made.pull_request == 2
    assert desk.host.difference(desk.pull) == {"a.md": "M"}


async def test_a_pull_request_that_cannot_be_opened_is_said_and_opened_later(desk: Desk) -> None:
    desk.host.no_pull_requests = RemoteForbidden("The token may not open pull requests: give it that permission.")
    await desk.write("a.md", TEN + "more\n")
    with pytest.raises(RemoteForbidden):
        await desk.commit()
    status = await desk.status()
    assert status.state == "failed"
    assert "on the branch quire/notes" in status.detail
    assert "give it that permission" in status.detail
    await desk.write("b.md", "b, too\n")
    with pytest.raises(RemoteForbidden):
        await desk.commit()
    assert desk.host.show("quire/notes", "b.md") == "b, too", "commits go on"
    desk.host.no_pull_requests = None
    assert (await desk.automatic()).pull_request == 1
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "M"}
    assert (await desk.status()).state == "idle"


async def test_a_conflict_leaves_what_the_pull_request_has_until_it_is_decided(desk: Desk) -> None:
    await desk.write("a.md", TEN.replace("line 2", "ours"))
    await desk.write("b.md", "b, too\n")
    await desk.commit()
    desk.host.push({"a.md": TEN.replace("line 2", "theirs")})
    await desk.write("b.md", "b, three\n")
    await desk.commit()
    assert await desk.open_conflicts() == ["a.md"]
    assert desk.host.difference(desk.pull) == {"b.md": "M"}
    (found,) = await conflicts.still_open(desk.house.store, desk.house.project.id)
    await desk.house.snapshotter.settle(desk.house.project, found.id, actor=ALICE, take="ours")
    await desk.commit()
    assert desk.host.difference(desk.pull) == {"a.md": "M", "b.md": "M"}
    assert desk.host.merge(desk.pull)
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []


# By choice


async def test_automatic_commits_go_by_a_pull_request_where_that_was_chosen(desk: Desk) -> None:
    desk.host.protected.clear()
    chosen = connection.Connection(
        kind="github", repository="a/b", branch="main", pull_request=True, at=desk.house.clock(), by=ALICE
    )
    await desk.house.store.commit(changes=[connection.put(desk.house.project.id, chosen)])
    first = desk.host.git("rev-parse", "main")
    for number in range(3):
        await desk.write("a.md", TEN + f"{number}\n")
        made = await desk.automatic()
        assert (made.state, made.pull_request) == ("done", 1)
    assert desk.host.git("rev-parse", "main") == first
    assert desk.host.merge(desk.pull, "squash")
    await desk.write("a.md", TEN + "and more\n")
    assert (await desk.automatic()).pull_request == 2
    # Whoever names the branch itself gets past it.
    await desk.write("b.md", "now\n")
    made = await desk.commit(branch="main", paths=[Path("b.md")])
    assert (made.state, made.branch) == ("done", None)
    assert desk.host.show("main", "b.md") == "now"


# On request


async def test_a_branch_on_request_holds_what_was_chosen(desk: Desk) -> None:
    desk.host.protected.clear()
    await desk.write("a.md", TEN + "more\n")
    await desk.write("b.md", "b, too\n")
    made = await desk.commit(branch="draft", paths=[Path("a.md")], message="A draft")
    assert (made.state, made.branch, made.pull_request) == ("done", "draft", None)
    assert desk.host.git("log", "-1", "--format=%s", "draft") == "A draft"
    assert desk.host.git("diff", "--name-only", "main", "draft") == "a.md"
    # It is a copy: the project's own branch gets everything as before.
    await desk.automatic()
    assert desk.host.show("main", "a.md") == (TEN + "more").strip()
    assert desk.host.show("main", "b.md") == "b, too"


async def test_a_pull_request_on_request_holds_its_files_back_until_it_is_merged(desk: Desk) -> None:
    desk.host.protected.clear()
    await desk.write("a.md", TEN + "more\n")
    await desk.write("b.md", "b, too\n")
    made = await desk.commit(pull_request=True, paths=[Path("a.md")], message="Look at this\n\nPlease.")
    assert (made.state, made.branch, made.pull_request) == ("done", "quire/notes-2", 1)
    assert desk.pull.title == "Look at this"
    assert desk.host.difference(desk.pull) == {"a.md": "M"}
    await desk.write("a.md", TEN + "more and more\n")
    await desk.automatic()
    assert desk.host.show("main", "b.md") == "b, too"
    assert desk.host.show("main", "a.md") == TEN.strip()
    # The same branch again brings it up to date.
    again = await desk.commit(branch="quire/notes-2")
    assert (again.state, again.pull_request) == ("done", 1)
    assert desk.host.show("quire/notes-2", "a.md") == (TEN + "more and more").strip()
    assert desk.host.difference(desk.pull) == {"a.md": "M"}
    assert desk.host.merge(desk.pull, "squash")
    await desk.house.snapshotter.pull(desk.house.project)
    assert await desk.house.workspace.changed(desk.house.project) == []
    await desk.write("a.md", TEN)
    assert (await desk.automatic()).branch is None


async def test_files_of_a_pull_request_that_was_closed_wait_for_somebody_to_say(desk: Desk) -> None:
    desk.host.protected.clear()
    await desk.write("a.md", TEN + "more\n")
    await desk.commit(pull_request=True)
    desk.pull.state = "closed"
    desk.host.push({"theirs.md": "theirs\n"})
    assert (await desk.automatic()).state == "nothing"
    status = await desk.status()
    assert "was closed without being merged" in status.detail
    assert status.pull_requests[0].closed
    made = await desk.commit(paths=[Path("a.md")])
    assert (made.state, made.branch) == ("done", None)
    assert desk.host.show("main", "a.md") == (TEN + "more").strip()
    desk.host.push({"theirs.md": "theirs, again\n"})
    await desk.automatic()
    assert (await desk.status()).detail == ""


async def test_somebody_elses_branch_is_not_written_to(desk: Desk) -> None:
    desk.host.git("update-ref", "refs/heads/draft", desk.host.push({"x.md": "x\n"}))
    desk.host.push({"y.md": "y\n"}, branch="draft")
    his = desk.host.git("rev-parse", "draft")
    await desk.write("a.md", TEN + "more\n")
    with pytest.raises(BranchTaken):
        await desk.commit(branch="draft")
    assert desk.host.git("rev-parse", "draft") == his
    status = await desk.status()
    assert (status.state, status.uncommitted) == ("idle", 1), "nothing has failed"


async def test_a_branch_that_is_gone_is_begun_again_when_it_is_asked_for_by_its_name(desk: Desk) -> None:
    desk.host.protected.clear()
    head = desk.host.git("rev-parse", "main")
    desk.host.git("update-ref", "-d", "refs/heads/main")
    await desk.write("a.md", TEN + "more\n")
    failed = await desk.commit()
    assert failed.state == "failed"
    assert "--branch main" in failed.detail
    made = await desk.commit(branch="main")
    assert made.state == "done"
    assert desk.host.git("rev-parse", "main~1") == head


async def test_what_cannot_be_asked_for_is_said(desk: Desk, tmp_path: pathlib.Path) -> None:
    with pytest.raises(WishInvalid, match="the project's own branch"):
        await desk.commit(branch="main", pull_request=True)
    async with house(tmp_path / "local") as home:
        await home.write("a.md", "a\n")
        with pytest.raises(WishInvalid, match="no commit yet"):
            await home.snapshotter.snapshot(home.project, branch="draft")
        await home.snapshotter.snapshot(home.project)
        with pytest.raises(WishInvalid, match="needs a host"):
            await home.snapshotter.snapshot(home.project, pull_request=True)
        await home.write("a.md", "b\n", BOT)
        made = await home.snapshotter.snapshot(home.project, branch="draft")
        assert (made.state, made.branch) == ("done", "draft")
        assert (await home.snapshotter.status(home.project)).state == "idle"


# Names


@pytest.mark.parametrize("name", ["draft", "alice/draft-2", "a.b", "ä", "quire/notes"])
def test_a_branch_may_have_a_name_that_git_takes(name: str) -> None:
    assert offers.is_branch(name)


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a..b", "a.lock", "a/.b", "a//b", "/a", "a/", "a.", "@", "a@{1}", "a:b", "a\\b", "a\x7f"]
)
def test_and_no_other(name: str) -> None:
    assert not offers.is_branch(name)


@pytest.mark.parametrize("project", ["notes", "a..b", "x.lock", "v1.2", "_", "9-9"])
def test_every_project_has_branches_of_its_own(project: str) -> None:
    for attempt in range(4):
        assert offers.is_branch(offers.branch_name(project, 12, "ab12cd", attempt))


# What else knows of commits


async def test_a_project_can_be_read_as_it_stood_at_an_offered_commit(desk: Desk) -> None:
    past = Past(desk.house.workspace, desk.house.remotes)
    await desk.write("a.md", TEN + "more\n")
    first = await desk.commit()
    desk.host.push({"b.md": "b, by somebody else\n"})
    await desk.write("a.md", TEN + "more and more\n")
    second = await desk.commit()
    wanted = {first: (TEN + "more\n", "b\n"), second: (TEN + "more and more\n", "b, by somebody else\n")}
    for made, (a, b) in wanted.items():
        assert made.commit is not None
        commit = CommitSha(made.commit)
        for path, text in (("a.md", a), ("b.md", b)):
            assert (await past.file(desk.house.project, Path(path), commit))[1] == text.encode()
        tree = {each.path: each.sha for each in await past.tree(desk.house.project, commit)}
        assert tree == {Path("a.md"): blob_sha(a.encode()), Path("b.md"): blob_sha(b.encode())}


async def test_changes_say_where_they_are_and_what_is_refused(desk: Desk) -> None:
    await desk.write("a.md", TEN + "more\n")
    await desk.commit()
    desk.host.refuses = lambda path, content: "secret" if b"password" in content else None
    await desk.write("secret.md", "password\n")
    await desk.commit()
    held = await desk.house.snapshotter.held(desk.house.project)
    offered, refused = held[Path("a.md")], held[Path("secret.md")]
    assert isinstance(offered, offers.Offer)
    assert (offered.branch, offered.number) == ("quire/notes", 1)
    assert isinstance(refused, Refused)
    assert refused.reason == "secret"
