"""Commits on GitHub, on its good days and on its bad ones.

The server is `emulate` in Node; what it does not have stands in `tests/harness/github.py`, and is played by the proxy.
"""

from __future__ import annotations

import base64
import dataclasses
import pathlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from collab.errors import Invalid, NotFound, Unavailable
from collab.ids import BlobSha, Path
from snapshots import trees
from snapshots.budget import Limits
from snapshots.remotes import github_repository
from snapshots.remotes.base import Author, Blobs, BranchMoved, CommitSha, Made, NewCommit, TreeEntry
from snapshots.remotes.github import BEGINNING, GitHubRemote
from snapshots.remotes.github_app import installation
from snapshots.remotes.github_hub import FetchedToken, Hub, PersonalToken, Token
from snapshots.remotes.refusals import (
    BranchProtected,
    FilesRefused,
    RemoteForbidden,
    RemoteGone,
    RemotePaused,
    RemoteUnreachable,
)
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hubs import GENEROUS, Time, hub_to
from tests.snapshots.git import blob_sha, git

pytestmark = pytest.mark.anyio

ALICE = Author("Alice", "alice@example.org")
FILE, SCRIPT = 0o100644, 0o100755
REF, COMMITS, TREES, BLOBS = "/git/refs/heads/main$", "/git/commits$", "/git/trees$", "/git/blobs$"


@dataclass
class Place:
    """A repository with one commit, `README.md`, and our remote for it behind a proxy."""

    server: GitHubServer
    theirs: GitHubRepository
    proxy: FaultProxy
    time: Time
    remote: GitHubRemote
    first: CommitSha

    async def another(
        self, token: str | None = None, branch: str = "main", *, limits: Limits = GENEROUS
    ) -> GitHubRemote:
        """The same repository, as a server that has just started sees it."""
        hub = hub_to(self.proxy.url, token or self.theirs.token, self.time, limits=limits)
        found = GitHubRemote(await github_repository.find(hub, self.theirs.full_name), branch)
        self.proxy.clear()
        return found

    def app(self, key: str | None = None, number: int | None = None) -> Hub:
        """The App's way there, by the clock that the server has: it says when a token ends."""
        server = self.server
        self.time.now = int(time.time() * 1000)
        credential = installation(
            server.app, key or server.key, number or server.installation, clock=self.time, api=self.proxy.url
        )
        return hub_to(self.proxy.url, credential, self.time)

    async def push(self, path: str = "theirs.txt", content: bytes = b"theirs\n") -> CommitSha:
        return CommitSha(await anyio.to_thread.run_sync(self.theirs.push, path, content))

    async def head(self) -> str:
        return await anyio.to_thread.run_sync(self.theirs.head)

    async def log(self) -> list[str]:
        """The subjects on the branch, newest first."""
        found = await anyio.to_thread.run_sync(self.theirs.get, "/commits?per_page=100")
        return [each["commit"]["message"].partition("\n")[0] for each in found]


@pytest.fixture
async def place(github: GitHubServer) -> AsyncIterator[Place]:
    theirs = github.make(begun=True)
    clock = Time()
    async with fault_proxy(github.url) as proxy:
        hub = hub_to(proxy.url, theirs.token, clock)
        remote = GitHubRemote(await github_repository.find(hub, theirs.full_name), "main")
        first = CommitSha(theirs.head())
        proxy.clear()
        yield Place(github, theirs, proxy, clock, remote, first)


@pytest.fixture
async def empty(github: GitHubServer) -> AsyncIterator[Place]:
    """A repository without a commit, where nothing can be made, as GitHub has it."""
    theirs = github.make()
    clock = Time()
    async with fault_proxy(github.url) as proxy:
        refuse = fault.status(409, {"message": "Git Repository is empty."})
        refused = (("GET", "/git/ref/"), ("GET", "/commits"), ("POST", "/git/"))
        rules = [proxy.on(*each, refuse, times=-1) for each in refused]

        async def begun(request: fault.Request, forward: fault.Forward) -> fault.Reply:
            for rule in rules:
                rule.times = 0
            return await forward()

        proxy.on("PUT", "/contents/", begun, times=-1)
        remote = GitHubRemote(
            await github_repository.find(hub_to(proxy.url, theirs.token, clock), theirs.full_name), "main"
        )
        proxy.clear()
        yield Place(github, theirs, proxy, clock, remote, CommitSha(""))


Files = Mapping[str, bytes | tuple[bytes, int]]


def new(
    parent: CommitSha | None, writes: Files, deletes: tuple[str, ...] = (), message: str = "Edit\n"
) -> tuple[NewCommit, Blobs]:
    files = {Path(path): each if isinstance(each, tuple) else (each, FILE) for path, each in writes.items()}
    held = {blob_sha(content): content for content, _ in files.values()}

    async def blob(sha: BlobSha) -> bytes:
        await anyio.lowlevel.checkpoint()
        return held[sha]

    made = NewCommit(
        parent=parent,
        writes={path: TreeEntry(blob_sha(content), mode) for path, (content, mode) in files.items()},
        deletes=[Path(path) for path in deletes],
        message=message,
        author=ALICE,
        at=1_700_000_000,
    )
    return made, blob


async def commit(
    place: Place | GitHubRemote,
    parent: CommitSha | None,
    writes: Files,
    deletes: tuple[str, ...] = (),
    message: str = "Edit\n",
) -> Made:
    remote = place.remote if isinstance(place, Place) else place
    return await remote.commit(*new(parent, writes, deletes, message))


# What a commit costs.


async def test_a_commit_is_five_requests_and_the_next_one_four(place: Place) -> None:
    made = await commit(place, place.first, {"a.md": b"one\n"})
    assert place.proxy.clear() == [
        "GET /git/ref/heads/main",
        f"GET /git/commits/{place.first}",
        "POST /git/trees",
        "POST /git/commits",
        "PATCH /git/refs/heads/main",
    ]
    again = await commit(place, made.commit, {f"d/{n}.md": b"%d\n" % n for n in range(100)})
    assert place.proxy.clear() == [
        "GET /git/ref/heads/main",
        "POST /git/trees",
        "POST /git/commits",
        "PATCH /git/refs/heads/main",
    ]
    assert await place.head() == again.commit


async def test_many_files_are_chained_calls(place: Place, tmp_path: pathlib.Path) -> None:
    made = await commit(place, place.first, {f"d/{n}.md": b"%d\n" % n for n in range(250)})
    assert place.proxy.clear().count("POST /git/trees") == 3
    assert len(await place.remote.tree(made.commit)) == 251
    await commit(place, made.commit, {f"big/{n}.txt": b"x" * 400_000 for n in range(5)})
    assert place.proxy.clear().count("POST /git/trees") == 3
    copy = place.theirs.copied(tmp_path / "copy.git")
    assert git(copy, "fsck", "--strict", "--full") == ""


async def test_deleting_looks_first_what_is_there(place: Place) -> None:
    made = await commit(place, place.first, {"a.md": b"a", "b.md": b"b"})
    place.proxy.clear()
    after = await commit(place, made.commit, {"c.md": b"c"}, ("a.md", "never/was.md"))
    assert place.proxy.clear() == [
        "GET /git/ref/heads/main",
        f"GET /git/trees/{made.tree}?recursive=1",
        "POST /git/trees",
        "POST /git/commits",
        "PATCH /git/refs/heads/main",
    ]
    assert set(await place.remote.tree(after.commit)) == {"README.md", "b.md", "c.md"}


async def test_what_is_not_text_goes_as_a_blob_and_modes_stay(place: Place) -> None:
    writes: Files = {
        "logo.png": b"\x89PNG\r\n\0\xff",
        "nul.txt": b"a\0b",
        "long.txt": b"x" * 1_000_001,
        "run.sh": (b"#!/bin/sh\r\n", SCRIPT),
        "link": (b"run.sh", 0o120000),
        "bom.txt": b"\xef\xbb\xbfno end",
    }
    made = await commit(place, place.first, writes)
    assert place.proxy.clear().count("POST /git/blobs") == 3
    found = await place.remote.tree(made.commit)
    assert {path: each for path, each in found.items() if path != "README.md"} == new(None, writes)[0].writes


async def test_an_app_gives_no_author_and_a_person_does(place: Place) -> None:
    bodies: list[dict[str, object]] = []

    async def read(request: fault.Request, forward: fault.Forward) -> fault.Reply:
        bodies.append(request.json)
        return await forward()

    place.proxy.on("POST", COMMITS, read, times=2)
    made = await commit(place, place.first, {"a": b"a"})
    app = GitHubRemote(await github_repository.find(place.app(), place.theirs.full_name), "main")
    await commit(app, made.commit, {"a": b"b"})
    assert bodies[0]["author"] == {"name": "Alice", "email": "alice@example.org", "date": "2023-11-14T22:13:20Z"}
    assert bodies[1].keys() == {"message", "tree", "parents"}


# The branch, and who moves it.


async def test_somebody_who_pushes_in_between_wins(place: Place) -> None:
    async def bob() -> None:
        await place.push()

    place.proxy.on("PATCH", REF, fault.then(bob))
    with pytest.raises(BranchMoved) as caught:
        await commit(place, place.first, {"a": b"a"})
    assert caught.value.found == await place.head()
    assert await place.log() == ["Edit theirs.txt", "Initial commit"]


@pytest.mark.parametrize("what", [fault.drop_answer, fault.after(502), fault.after(500)])
async def test_a_move_whose_answer_is_lost_is_found_on_the_branch(place: Place, what: fault.Action) -> None:
    place.proxy.on("PATCH", REF, what)
    made = await commit(place, place.first, {"a": b"a"})
    assert place.proxy.requests.count("PATCH /git/refs/heads/main") == 1
    assert await place.head() == made.commit == await place.remote.head()


@pytest.mark.parametrize("what", [fault.drop, fault.status(502)])
async def test_a_move_that_never_arrived_is_made_once_more(place: Place, what: fault.Action) -> None:
    place.proxy.on("PATCH", REF, what)
    made = await commit(place, place.first, {"a": b"a"})
    assert place.proxy.requests.count("PATCH /git/refs/heads/main") == 2
    assert await place.head() == made.commit
    assert await place.log() == ["Edit", "Initial commit"]


async def test_a_lost_answer_and_somebody_who_goes_on_from_our_commit(place: Place) -> None:
    async def lost(request: fault.Request, forward: fault.Forward) -> None:
        await forward()
        await place.push()

    place.proxy.on("PATCH", REF, lost)
    made = await commit(place, place.first, {"a": b"a"})
    assert await place.log() == ["Edit theirs.txt", "Edit", "Initial commit"]
    assert await place.head() != made.commit


async def test_a_move_that_never_arrives_fails_and_loses_nothing(place: Place) -> None:
    place.proxy.on("PATCH", REF, fault.status(503), times=-1)
    with pytest.raises(RemoteUnreachable):
        await commit(place, place.first, {"a": b"a"})
    assert await place.head() == place.first
    place.proxy.rules.clear()
    await commit(place, place.first, {"a": b"a"})
    assert await place.log() == ["Edit", "Initial commit"]


async def test_an_old_head_after_our_push_is_not_a_force_push(place: Place) -> None:
    def stale(body: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {**body, "object": {**body["object"], "sha": place.first}}

    made = await commit(place, place.first, {"a": b"a"})
    old = place.proxy.on("GET", "/git/ref/", fault.changed(stale), times=-1)
    assert await place.remote.head() == made.commit
    again = await commit(place, made.commit, {"a": b"b"})
    assert await place.remote.head() == again.commit
    place.time.now += 60_000
    assert await place.remote.head() == place.first, "after a minute it is what it says"
    old.times = 0
    assert await place.remote.head() == again.commit


async def test_a_forced_branch_is_seen_and_never_forced_back(place: Place) -> None:
    made = await commit(place, place.first, {"a": b"a"})
    place.time.now += 60_000
    await anyio.to_thread.run_sync(place.theirs.reset, place.first)
    assert await place.remote.head() == place.first
    with pytest.raises(BranchMoved):
        await commit(place, made.commit, {"a": b"b"})
    assert await place.head() == place.first


async def test_asking_whether_the_branch_has_moved_is_conditional(place: Place) -> None:
    answers: list[int] = []

    async def told(request: fault.Request, forward: fault.Forward) -> fault.Reply | None:
        done = await fault.etags()(request, forward)
        assert done is not None
        answers.append(done.status)
        return done

    place.proxy.on("GET", "/git/ref/", told, times=-1)
    assert await place.remote.head() == place.first
    assert await place.remote.head() == place.first
    theirs = await place.push()
    assert await place.remote.head() == theirs
    made = await commit(place, theirs, {"a": b"a"})
    assert await place.remote.head() == made.commit
    assert answers == [200, 304, 200, 200], "what was read just now is not read again before a commit"


# A repository without a commit.


async def test_the_first_file_of_an_empty_repository_is_its_first_commit(empty: Place) -> None:
    assert await empty.remote.head() is None
    made = await commit(empty, None, {"a.md": b"a\n"}, message="Add a.md\n")
    assert await empty.head() == made.commit == await empty.remote.head()
    assert await empty.log() == ["Add a.md"]


async def test_many_first_files_of_an_empty_repository(empty: Place, tmp_path: pathlib.Path) -> None:
    writes: Files = {"run.sh": (b"#!/bin/sh\n", SCRIPT), "z.md": b"z\n", "b/c.bin": b"\xff\0"}
    made = await commit(empty, None, writes, message="Add three\n\nQuire-Snapshot: p/1/x\n")
    assert await empty.log() == ["Add three", BEGINNING]
    assert await empty.remote.tree(made.commit) == new(None, writes)[0].writes
    assert await empty.remote.find("Quire-Snapshot: p/1/x", since=None) == made.commit
    assert git(empty.theirs.copied(tmp_path / "copy.git"), "fsck", "--strict", "--full") == ""


async def test_a_first_commit_that_was_interrupted_is_taken_up_again(empty: Place) -> None:
    writes: Files = {"a.md": b"a\n", "b.md": b"b\n"}
    stop = empty.proxy.on("POST", COMMITS, fault.status(502), times=-1)
    with pytest.raises(RemoteUnreachable):
        await commit(empty, None, writes)
    assert stop.hits > 0
    assert await empty.log() == [BEGINNING]
    empty.proxy.rules.clear()
    with pytest.raises(BranchMoved):
        await commit(await empty.another(), None, {"other.md": b"nothing of this\n"})
    made = await commit(await empty.another(), None, writes)
    assert await empty.log() == ["Edit", BEGINNING]
    assert set(await empty.remote.tree(made.commit)) == {"a.md", "b.md"}


# What GitHub does not take.


@pytest.mark.parametrize("what", [fault.status(422), fault.status(502), fault.drop])
async def test_a_call_that_times_out_is_halved(place: Place, what: fault.Action) -> None:
    sizes: list[int] = []

    async def heavy(request: fault.Request, forward: fault.Forward) -> fault.Reply | None:
        sizes.append(len(request.json["tree"]))
        return await what(request, forward) if sizes[-1] > 30 else await forward()

    place.proxy.on("POST", TREES, heavy, times=-1)
    made = await commit(place, place.first, {f"{n:03}.md": b"%d\n" % n for n in range(100)})
    assert sizes == [100, 50, 25, 25, 50, 25, 25]
    assert len(await place.remote.tree(made.commit)) == 101


async def test_a_file_that_is_refused_is_named_and_the_rest_goes(place: Place) -> None:
    writes: dict[str, bytes] = {f"{n:03}.md": b"%d\n" % n for n in range(20)}
    with pytest.raises(FilesRefused) as caught:
        await commit(place, place.first, {**writes, "a/../b": b"x", "c/./d": b"y"})
    assert caught.value.files == {Path("a/../b"): "refused", Path("c/./d"): "refused"}
    assert await place.head() == place.first
    await commit(place, place.first, writes)


async def test_push_protection_holds_back_the_file_and_not_the_rest(place: Place) -> None:
    async def protect(request: fault.Request, forward: fault.Forward) -> fault.Reply:
        body = request.json
        texts = [each.get("content", "") for each in body["tree"]] if "tree" in body else [body["content"]]
        if any("AKIA" in text or "AKIA" in _decoded(text) for text in texts):
            return fault.reply(409, {"message": "Secret detected in content"})
        return await forward()

    for pattern in (TREES, BLOBS):
        place.proxy.on("POST", pattern, protect, times=-1)
    writes = {"a.md": b"fine\n", "keys.env": b"key=AKIA1\n", "raw.bin": b"\0AKIA2", "z.md": b"fine too\n"}
    with pytest.raises(FilesRefused) as caught:
        await commit(place, place.first, writes)
    assert caught.value.files == {Path("keys.env"): "secret", Path("raw.bin"): "secret"}
    assert "keys.env" in str(caught.value)
    held_back = {path: content for path, content in writes.items() if Path(path) not in caught.value.files}
    made = await commit(place, place.first, held_back)
    assert set(await place.remote.tree(made.commit)) == {"README.md", "a.md", "z.md"}


async def test_a_secret_on_a_branch_of_its_own_is_no_empty_repository(place: Place) -> None:
    place.proxy.on("POST", BLOBS, fault.status(409), times=2)
    with pytest.raises(FilesRefused) as caught:
        await commit(place.remote.on("side"), None, {"raw.bin": b"\0secret", "a": b"a"})
    assert caught.value.files == {Path("raw.bin"): "secret"}
    assert not any(each.startswith("PUT") for each in place.proxy.requests)


async def test_a_token_that_may_not_change_workflows(place: Place) -> None:
    place.proxy.on("POST", TREES, fault.status(404))
    with pytest.raises(FilesRefused) as caught:
        await commit(place, place.first, {".github/workflows/ci.yml": b"on: push\n", "a": b"a"})
    assert caught.value.files == {Path(".github/workflows/ci.yml"): "workflow"}


async def test_a_directory_is_replaced_beside_deletions(place: Place) -> None:
    made = await commit(place, place.first, {"a/b": b"b", "a/c/d": b"d", "e": b"e", "gone": b"x"})
    after = await commit(place, made.commit, {"a": b"file", "e/f": b"f"}, ("gone",))
    assert set(await place.remote.tree(after.commit)) == {"README.md", "a", "e/f"}


async def test_everything_is_deleted_and_something_comes_back(place: Place) -> None:
    made = await commit(place, place.first, {}, ("README.md",))
    assert made.tree == trees.EMPTY_TREE
    assert await place.remote.tree(made.commit) == {}
    after = await commit(place, made.commit, {"a/b": b"b"})
    assert set(await place.remote.tree(after.commit)) == {"a/b"}


async def test_a_tree_that_is_not_gits_is_not_committed(place: Place) -> None:
    made = await commit(place, place.first, {"a/b": b"b", "c": b"c"})
    place.proxy.on("POST", TREES, fault.changed(lambda body: {**body, "sha": made.tree}), times=-1)
    with pytest.raises(RemoteUnreachable, match="nothing was committed"):
        await commit(place, made.commit, {}, ("c",))
    assert await place.head() == made.commit


# Protected branches.


async def test_a_protected_branch_gets_a_pull_request(place: Place) -> None:
    protection = {
        "required_status_checks": None,
        "enforce_admins": True,
        "required_pull_request_reviews": {"required_approving_review_count": 1},
        "restrictions": None,
    }
    await anyio.to_thread.run_sync(
        place.theirs.request, "PUT", f"/repos/{place.theirs.full_name}/branches/main/protection", protection
    )
    with pytest.raises(BranchProtected) as caught:
        await commit(place, place.first, {"a": b"a"})
    assert "pull request" in str(caught.value)
    assert await place.head() == place.first
    side = place.remote.on("quire/edits")
    assert await side.head() is None
    host = place.remote.hosted
    assert await host.ensure_branch("quire/edits", place.first) == place.first
    assert await host.ensure_branch("quire/edits", place.first) == place.first
    made = await commit(side, place.first, {"a": b"a"})
    assert await host.ensure_branch("quire/edits", place.first) == made.commit
    opened = await host.ensure_pull_request("quire/edits", "main", "Edits", "By Alice.")
    assert opened.state == "open"
    assert await host.ensure_pull_request("quire/edits", "main", "More edits", "By Alice and Bob.") == opened
    found = await anyio.to_thread.run_sync(place.theirs.get, f"/pulls/{opened.number}")
    assert (found["title"], found["body"], found["head"]["sha"]) == ("Edits", "By Alice.", made.commit)


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
async def test_a_pull_request_is_open_until_it_is_merged_or_closed(place: Place, how: str) -> None:
    host = place.remote.hosted
    await host.ensure_branch("quire/edits", place.first)
    await commit(place.remote.on("quire/edits"), place.first, {"a": b"a"})
    opened = await host.ensure_pull_request("quire/edits", "main", "Edits", "By Alice.")
    url = f"/repos/{place.theirs.full_name}/pulls/{opened.number}"
    await anyio.to_thread.run_sync(place.theirs.request, "PUT", f"{url}/merge", {"merge_method": how})
    found = await host.pull_request(opened.number)
    assert found is not None
    assert (found.number, found.state) == (opened.number, "merged")
    assert found.merged == await place.head()
    assert found.head is not None
    assert await place.remote.tree_sha(found.head) == await place.remote.tree_sha(found.merged)
    await commit(place.remote.on("quire/edits"), await place.remote.on("quire/edits").head(), {"b": b"b"})
    again = await host.ensure_pull_request("quire/edits", "main", "Edits", "By Alice.")
    assert again.number != opened.number
    url = f"/repos/{place.theirs.full_name}/pulls/{again.number}"
    await anyio.to_thread.run_sync(place.theirs.request, "PATCH", url, {"state": "closed"})
    found = await host.pull_request(again.number)
    assert found is not None
    assert found.state == "closed"
    assert await host.pull_request(999) is None


async def test_rules_of_the_owner_protect_a_branch_too(place: Place) -> None:
    place.proxy.on("PATCH", REF, fault.status(422))
    place.proxy.on("GET", "/rules/branches/main", fault.status(200, [{"type": "pull_request"}]))  # type: ignore[arg-type]
    with pytest.raises(BranchProtected):
        await commit(place, place.first, {"a": b"a"})


async def test_a_refusal_that_nothing_explains_is_tried_again_later(place: Place) -> None:
    place.proxy.on("PATCH", REF, fault.status(422))
    with pytest.raises(Unavailable) as caught:
        await commit(place, place.first, {"a": b"a"})
    assert caught.value.name == "remote_refused"
    place.proxy.on("PATCH", REF, fault.status(403))
    with pytest.raises(RemotePaused) as paused:
        await commit(place, place.first, {"a": b"a"})
    assert paused.value.until == place.time.now + 60_000


# Who may, and how often.


async def test_a_refused_token_is_dropped_once(place: Place) -> None:
    tokens = iter(["old", place.theirs.token, "never asked for"])

    async def fetch() -> Token:
        await anyio.lowlevel.checkpoint()
        return Token(next(tokens))

    place.proxy.on("GET", "/git/ref/", fault.status(401))
    hub = hub_to(place.proxy.url, FetchedToken(fetch, clock=place.time, signs=False), place.time)
    remote = GitHubRemote(github_repository.Repository(hub, place.remote.repository.facts), "main")
    assert await remote.head() == place.first
    assert next(tokens) == "never asked for"


async def test_an_apps_token_is_made_once_and_again_before_it_ends(place: Place) -> None:
    remote = GitHubRemote(await github_repository.find(place.app(), place.theirs.full_name), "main")
    made = await commit(remote, place.first, {"a": b"a"})
    asked = f"POST /app/installations/{place.server.installation}/access_tokens"
    assert place.proxy.clear().count(asked) == 1
    place.time.now += 56 * 60_000
    await commit(remote, made.commit, {"a": b"b"})
    assert place.proxy.clear().count(asked) == 1
    place.proxy.on("GET", "/git/ref/", fault.status(401))
    assert await remote.head() == await place.head()
    assert place.proxy.clear().count(asked) == 1


async def test_an_app_that_is_not_installed_is_said_so(place: Place) -> None:
    hub = place.app(number=71)
    with pytest.raises(RemoteForbidden, match="not installed"):
        await github_repository.find(hub, place.theirs.full_name)
    with pytest.raises(Invalid, match="private key"):
        place.app(key="no key at all")
    place.proxy.on("POST", "/access_tokens$", fault.status(503), times=-1)
    with pytest.raises(RemoteUnreachable):
        await github_repository.find(place.app(), place.theirs.full_name)


async def test_a_revoked_token_is_said_so(place: Place) -> None:
    place.proxy.on("GET", "/git/ref/", fault.status(401), times=-1)
    with pytest.raises(RemoteForbidden) as caught:
        await place.remote.head()
    assert caught.value.name == "remote_unauthorized"
    assert place.proxy.requests == ["GET /git/ref/heads/main"]


async def test_a_token_that_may_only_read(place: Place) -> None:
    url = f"/repos/{place.theirs.full_name}/collaborators/bob"
    await anyio.to_thread.run_sync(place.theirs.request, "PUT", url, {"permission": "pull"})
    remote = await place.another("reader")
    may = fault.changed(lambda body: {**body, "permissions": {"pull": True, "push": False}})
    place.proxy.on("GET", f"^/repos/{place.theirs.full_name}$", may)
    with pytest.raises(RemoteForbidden, match="may not write"):
        await commit(remote, place.first, {"a": b"a"})


async def test_an_archived_repository(place: Place) -> None:
    await anyio.to_thread.run_sync(
        place.theirs.request, "PATCH", f"/repos/{place.theirs.full_name}", {"archived": True}
    )
    with pytest.raises(RemoteForbidden, match="archived"):
        await commit(place, place.first, {"a": b"a"})


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (fault.status(403, retry_after="90"), 90),
        (fault.status(429, retry_after="5"), 5),
        (fault.status(403, x_ratelimit_remaining="0", x_ratelimit_reset="1800000300"), 300),
        (fault.status(429), 60),
        (
            fault.status(
                403, x_ratelimit_remaining="0", x_ratelimit_reset="1000000100", date="Sun, 09 Sep 2001 01:46:40 GMT"
            ),
            100,
        ),
        (fault.status(403, retry_after="Fri, 20 Nov 2026 20:00:00 GMT"), 60),
    ],
)
async def test_a_limit_pauses_everybody_with_this_credential(place: Place, answer: fault.Action, seconds: int) -> None:
    begun = place.time.now
    place.proxy.on("POST", TREES, answer)
    with pytest.raises(RemotePaused) as caught:
        await commit(place, place.first, {"a": b"a"})
    assert caught.value.until == begun + seconds * 1000
    assert place.remote.repository.hub.left().paused_until == caught.value.until
    place.proxy.clear()
    place.time.now = begun + max(0, seconds * 1000 - 5_001)
    if seconds > 5:
        with pytest.raises(RemotePaused):
            await place.remote.on("other").head()
        assert place.proxy.requests == []
    place.time.now = caught.value.until
    await commit(place, place.first, {"a": b"a"})


async def test_writes_keep_their_distance(place: Place) -> None:
    remote = await place.another(limits=Limits())
    made = await commit(remote, place.first, {"a": b"a"})
    assert place.time.waited == [1.0, 1.0]
    await commit(remote, made.commit, {"a": b"b"})
    assert place.time.waited == [1.0] * 5


async def test_the_seventh_push_of_a_minute_waits(place: Place) -> None:
    remote = await place.another(limits=dataclasses.replace(GENEROUS, pushes_a_minute=6))
    head = place.first
    for n in range(6):
        head = (await commit(remote, head, {"a": b"%d" % n})).commit
    with pytest.raises(RemotePaused) as caught:
        await commit(remote, head, {"a": b"more"})
    assert caught.value.until == place.time.now + 60_000
    place.time.now = caught.value.until
    await commit(remote, head, {"a": b"more"})


async def test_a_commit_that_a_limit_interrupts_goes_on_where_it_was(place: Place) -> None:
    remote = await place.another(limits=dataclasses.replace(GENEROUS, content_an_hour=8))
    writes = {f"{n}.bin": b"\0%d" % n for n in range(14)}
    sent: list[int] = []
    for _ in range(2):
        with pytest.raises(RemotePaused) as caught:
            await commit(remote, place.first, writes)
        sent.append(place.proxy.clear().count("POST /git/blobs"))
        place.time.now = caught.value.until + 3_600_000
    made = await commit(remote, place.first, writes)
    assert (sent, place.proxy.clear().count("POST /git/blobs")) == ([8, 6], 0)
    assert len(await remote.tree(made.commit)) == 15


async def test_what_a_message_says_of_odd_names_can_be_sent(place: Place) -> None:
    made = await commit(place, place.first, {"a": b"a"}, message="Edit caf\udce9\n")
    assert await place.head() == made.commit
    assert (await place.log())[0] == "Edit caf?"


async def test_what_is_left_is_what_the_server_says(place: Place) -> None:
    told = fault.changed(lambda body: body, x_ratelimit_remaining="7", x_ratelimit_reset="1800000300")
    place.proxy.on("GET", "/git/ref/", told)
    await place.remote.head()
    left = place.remote.repository.hub.left()
    assert (left.requests, left.resets_at) == (6, 1_800_000_300_000), "one more went out since: whose name it is"


# Reading.


@pytest.mark.parametrize("what", [fault.drop, fault.status(502), fault.drop_answer])
async def test_reads_are_tried_again(place: Place, what: fault.Action) -> None:
    place.proxy.on("GET", "/git/ref/", what, times=2)
    assert await place.remote.head() == place.first
    assert place.time.waited == [0.5, 1.0]
    place.proxy.on("GET", "/git/ref/", what, times=3)
    with pytest.raises(RemoteUnreachable):
        await place.remote.head()


async def test_an_answer_that_does_not_come(place: Place) -> None:
    hub = hub_to(place.proxy.url, place.theirs.token, place.time, timeout=0.2)
    remote = GitHubRemote(github_repository.Repository(hub, place.remote.repository.facts), "main")
    never = anyio.Event()
    place.proxy.on("PATCH", REF, fault.delay(never))
    made = await commit(remote, place.first, {"a": b"a"})
    never.set()
    assert await place.head() == made.commit
    assert place.proxy.requests.count("PATCH /git/refs/heads/main") == 1


async def test_an_answer_that_is_no_json(place: Place) -> None:
    async def page(request: fault.Request, forward: fault.Forward) -> fault.Reply:
        return fault.Reply(200, {"content-type": "text/html"}, b"<html>Sign in to the network</html>")

    place.proxy.on("GET", "/git/ref/", page, times=-1)
    with pytest.raises(RemoteUnreachable):
        await place.remote.head()


async def test_a_listing_that_is_cut_short_is_read_directory_by_directory(place: Place) -> None:
    writes: Files = {"a/b/c": b"c", "a/d": b"d", "e/f/g": b"g", "h": (b"h", SCRIPT)}
    made = await commit(place, place.first, writes)
    root = place.proxy.on(
        "GET",
        f"/git/trees/{made.tree}.recursive=1",
        fault.changed(lambda body: {**body, "tree": body["tree"][:2], "truncated": True}),
        times=-1,
    )
    found = await place.remote.tree(made.commit)
    assert root.hits == 1
    assert {path: each for path, each in found.items() if path != "README.md"} == new(None, writes)[0].writes
    await commit(place, made.commit, {}, ("a/b/c",))


async def test_a_listing_with_a_name_that_json_cannot_carry(place: Place) -> None:
    def replaced(body: dict[str, list[dict[str, str]]]) -> dict[str, list[dict[str, str]]]:
        return {**body, "tree": [{**each, "path": each["path"].replace("é", "\ufffd")} for each in body["tree"]]}

    made = await commit(place, place.first, {"café.txt": b"x", "a": b"a"})
    place.proxy.on("GET", "/git/trees/", fault.changed(replaced), times=-1)
    with pytest.raises(Invalid, match="not UTF-8"):
        await place.remote.tree(made.commit)
    after = await commit(place, made.commit, {}, ("a",))
    place.proxy.rules.clear()
    assert set(await place.remote.tree(after.commit)) == {"README.md", "café.txt"}


async def test_blobs_are_checked_and_a_missing_one_is_missing(place: Place) -> None:
    contents = [b"%d" % n for n in range(20)]
    await commit(place, place.first, {f"f{n}": content for n, content in enumerate(contents)})
    shas = [blob_sha(content) for content in contents]
    async for sha, content in place.remote.blobs([*shas, shas[0]]):
        assert blob_sha(content) == sha
        assert await place.remote.head() is not None, "another operation may run between two blobs"
    with pytest.raises(NotFound):
        _ = [each async for each in place.remote.blobs([BlobSha("1" * 40)])]
    wrong = fault.changed(lambda body: {**body, "content": base64.b64encode(b"wrong").decode()})
    place.proxy.on("GET", "/git/blobs/", wrong)
    with pytest.raises(Unavailable):
        _ = [each async for each in place.remote.blobs(shas[:1])]


async def test_a_trailer_is_found_beyond_the_first_page(place: Place) -> None:
    head = (await commit(place, place.first, {"a": b"first"}, message="One\n\nQuire-Snapshot: p/1/x\n")).commit
    early = head
    for n in range(101):
        head = (await commit(place, head, {"a": b"%d" % n})).commit
    assert await place.remote.find("Quire-Snapshot: p/1/x", since=place.first) == early
    assert await place.remote.find("Quire-Snapshot: p/1/x", since=early) is None


# Where the repository is.


async def test_a_renamed_repository_is_followed(place: Place) -> None:
    await anyio.to_thread.run_sync(place.theirs.rename, place.theirs.name + "-renamed")
    made = await commit(place, place.first, {"a": b"a"})
    assert await place.head() == made.commit
    assert place.theirs.full_name in place.remote.clone_command()


@pytest.mark.parametrize("code", [301, 307])
async def test_a_redirect_is_followed_by_the_id(place: Place, code: int) -> None:
    old = place.theirs.full_name
    await anyio.to_thread.run_sync(place.theirs.rename, place.theirs.name + "-moved")
    elsewhere = fault.status(code, location=f"{place.proxy.url}/repositories/1")
    place.proxy.on("GET", f"^/repos/{old}/", elsewhere, times=-1)
    place.proxy.on("POST", f"^/repos/{old}/", elsewhere, times=-1)
    made = await commit(place, place.first, {"a": b"a"})
    assert await place.head() == made.commit


async def test_another_repository_that_took_the_old_name_is_left_alone(place: Place) -> None:
    old = place.theirs.name
    assert await place.remote.head() == place.first
    await anyio.to_thread.run_sync(place.theirs.rename, f"{old}-renamed")
    body = {"name": old, "private": True, "auto_init": False}
    await anyio.to_thread.run_sync(place.theirs.post, "/user/repos", body)
    impostor = GitHubRepository(place.server, old, place.theirs.token)
    theirs = await anyio.to_thread.run_sync(impostor.push, "x", b"x")
    made = await commit(place, place.first, {"a": b"a"})
    assert await place.head() == made.commit
    assert await anyio.to_thread.run_sync(impostor.head) == theirs


async def test_a_repository_that_is_gone_and_comes_back(place: Place) -> None:
    gone = [place.proxy.on("GET", pattern, fault.status(404), times=-1) for pattern in ("^/repos/", "^/repositories/")]
    with pytest.raises(RemoteGone) as caught:
        await place.remote.head()
    assert place.theirs.full_name in str(caught.value)
    for rule in gone:
        rule.times = 0
    assert await place.remote.head() == place.first
    await commit(place, place.first, {"a": b"a"})


async def test_a_branch_that_is_not_there_is_no_failure(place: Place) -> None:
    other = place.remote.on("not/there")
    assert await other.head() is None
    assert await other.find("x", since=None) is None
    made = await commit(other, None, {"a": b"a"})
    assert await other.head() == made.commit
    with pytest.raises(NotFound):
        await other.tree(CommitSha("1" * 40))


async def test_no_repository_of_that_name(place: Place) -> None:
    hub = Hub(PersonalToken(place.theirs.token), clock=place.time, api=place.proxy.url)
    with pytest.raises(RemoteGone):
        await github_repository.find(hub, "alice/nothing-of-that-name")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("latin-1")
    except ValueError:
        return ""
