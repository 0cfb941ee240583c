"""A host of bare repositories, with real git behind it: protected branches, pull requests, files that it does not take.

What GitHub does with a pull request is done here by git itself: merged, squashed or rebased onto the branch. `tests/snapshots/test_github.py` shows that our way to GitHub behaves alike.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.to_thread
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from collab.ids import Millis, Path, ProjectId
from collab.store.base import Project
from snapshots.budget import Left
from snapshots.remotes.base import Blobs, CommitSha, FetchedFrom, GitRemote, Made, NewCommit, PullRequest
from snapshots.remotes.connected import ConnectedRemotes
from snapshots.remotes.local import LocalRemote, init, no_step
from snapshots.remotes.refusals import BranchProtected, FilesRefused, Reason
from tests.snapshots.git import git

How = Literal["merge", "squash", "rebase"]


@dataclass
class Pull:
    number: int
    branch: str
    onto: str
    title: str
    body: str
    state: Literal["open", "merged", "closed"] = "open"
    head: str = ""
    """What it ended with."""
    merged: str = ""
    """What brought it to the branch."""


@dataclass
class Host:
    """One repository on it. `refuses` says why a file is not taken; `trouble` is raised by everything that is asked."""

    path: pathlib.Path
    protected: set[str] = field(default_factory=set)
    refuses: Callable[[Path, bytes], Reason | None] = lambda path, content: None
    trouble: Exception | None = None
    no_pull_requests: Exception | None = None
    pulls: list[Pull] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    left: Left = field(default_factory=lambda: Left(5_000, 500, Millis(0), None))
    spacing: int = 0
    address: str = ""
    """Where git fetches it, with this `password`."""
    password: str = ""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    time: int = 1_700_000_000

    def git(self, *arguments: str) -> str:
        return git(self.path, *arguments)

    def push(self, files: Mapping[str, str | None], *, branch: str = "main", message: str = "By somebody else") -> str:
        """Somebody else commits; None takes a file away."""
        ref = f"refs/heads/{branch}"
        lines = [f"commit {ref}", f"committer bob <bob@example.org> {self._tick()} +0000", _data(message)]
        lines.append(f"from {ref}^0")
        for name, text in files.items():
            lines.append(f"D {name}" if text is None else f"M 100644 inline {name}\n{_data(text)}")
        git(self.path, "fast-import", "--quiet", stdin="\n".join([*lines, ""]).encode())
        return self.head(branch)

    def head(self, branch: str) -> str:
        return self.path.joinpath("refs", "heads", branch).read_text().strip()

    @property
    def open(self) -> list[Pull]:
        return [each for each in self.pulls if each.state == "open"]

    def merges(self, pull: Pull) -> bool:
        """Whether git finds no conflict."""
        return self._merged(pull.onto, pull.branch) is not None

    def merge(self, pull: Pull, how: How = "merge", *, delete: bool = False) -> bool:
        """As its button does it. False: git finds a conflict, and nothing has happened."""
        assert pull.state == "open"
        head = self._rebased(pull) if how == "rebase" else self._joined(pull, how)
        if head is None:
            return False
        pull.state, pull.head, pull.merged = "merged", self.head(pull.branch), head
        self.git("update-ref", f"refs/heads/{pull.onto}", head)
        if delete:
            self.git("update-ref", "-d", f"refs/heads/{pull.branch}")
        return True

    def update(self, pull: Pull) -> None:
        """The button that merges the branch into the pull request's."""
        tree = self._merged(pull.branch, pull.onto)
        if tree is not None:
            parents = ["-p", pull.branch, "-p", pull.onto]
            made = self.git("commit-tree", tree, *parents, "-m", f"Merge branch {pull.onto}")
            self.git("update-ref", f"refs/heads/{pull.branch}", made)

    def _joined(self, pull: Pull, how: How) -> str | None:
        tree = self._merged(pull.onto, pull.branch)
        if tree is None:
            return None
        parents = ["-p", pull.onto, *(["-p", pull.branch] if how == "merge" else [])]
        return self.git("commit-tree", tree, *parents, "-m", f"{pull.title} (#{pull.number})")

    def _rebased(self, pull: Pull) -> str | None:
        folder = self.path.with_name("clone")
        shutil.rmtree(folder, ignore_errors=True)
        git(self.path.parent, "clone", "--quiet", "--shared", "--branch", pull.branch, str(self.path), "clone")
        try:
            git(folder, "rebase", "--quiet", f"origin/{pull.onto}")
        except AssertionError:
            return None
        self.git("fetch", "--quiet", str(folder), "HEAD")
        return git(folder, "rev-parse", "HEAD")

    def _merged(self, ours: str, theirs: str) -> str | None:
        """The tree; None where git finds a conflict."""
        try:
            return self.git("merge-tree", "--write-tree", ours, theirs)
        except AssertionError:
            return None

    def _tick(self) -> int:
        self.time += 1
        return self.time

    def files(self, commit: str) -> dict[str, str]:
        """What a branch, a commit or a tree holds."""
        with Repo(str(self.path)) as repo:
            ref = Ref(f"refs/heads/{commit}".encode())
            sha = repo.refs[ref] if ref in repo.refs else ObjectID(commit.encode())
            found = repo[sha]
            tree = found.tree if isinstance(found, Commit) else sha
            blobs = {entry.path: repo[entry.sha] for entry in iter_tree_contents(repo.object_store, tree)}
            return {name.decode(): blob.as_raw_string().decode() for name, blob in blobs.items()}

    def preview(self, pull: Pull) -> dict[str, str] | None:
        """What the branch would hold if it were merged; None where git finds a conflict."""
        tree = self._merged(pull.onto, pull.branch)
        return None if tree is None else self.files(tree)

    def difference(self, pull: Pull) -> dict[str, str]:
        """What its page would show: path -> how it differs, from the branches' common ancestor."""
        found = self.git("diff", "--name-status", "--no-renames", f"{pull.onto}...{pull.branch}")
        return {line.split("\t")[1]: line.split("\t")[0] for line in found.splitlines()}

    def show(self, branch: str, path: str) -> str:
        return self.git("show", f"{branch}:{path}")


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


class HostedRemote(LocalRemote):
    """A branch there."""

    def __init__(self, host: Host, branch: str) -> None:
        super().__init__(host.path, branch, step=no_step, lock=host.lock)
        self.host = host

    def on(self, branch: str) -> HostedRemote:
        return HostedRemote(self.host, branch)

    async def head(self) -> CommitSha | None:
        self._ask(f"head {self.branch}")
        return await super().head()

    async def commit(self, new: NewCommit, blob: Blobs) -> Made:
        self._ask(f"commit {self.branch}")
        refused: dict[Path, Reason] = {}
        for path, entry in new.writes.items():
            reason = self.host.refuses(path, await blob(entry.sha))
            if reason is not None:
                refused[path] = reason
        if refused:
            raise FilesRefused(refused)
        if self.branch in self.host.protected and await super().head() == new.parent:
            raise BranchProtected(self.branch)
        return await super().commit(new, blob)

    def described(self) -> Mapping[str, object]:
        return {**super().described(), "kind": "hosted"}

    @property
    def hosted(self) -> Account:  # type: ignore[override]
        return Account(self)

    def _ask(self, what: str) -> None:
        self.host.asked.append(what)
        if self.host.trouble is not None:
            raise self.host.trouble


class Account:
    """What the host can do."""

    def __init__(self, remote: HostedRemote) -> None:
        self._remote = remote
        self._host = remote.host

    @property
    def account(self) -> int:
        return id(self._host)

    def on(self, branch: str) -> GitRemote:
        return self._remote.on(branch)

    async def ensure_branch(self, name: str, at: CommitSha) -> CommitSha:
        return await self._remote.on(name).begin(at)

    async def ensure_pull_request(self, branch: str, onto: str, title: str, body: str) -> PullRequest:
        self._remote._ask(f"ensure {branch}")
        if self._host.no_pull_requests is not None:
            raise self._host.no_pull_requests
        await anyio.lowlevel.checkpoint()
        for each in self._host.open:
            if (each.branch, each.onto) == (branch, onto):
                return self._told(each)
        made = Pull(len(self._host.pulls) + 1, branch, onto, title, body)
        self._host.pulls.append(made)
        return self._told(made)

    async def refresh(self) -> None:
        self._remote._ask("refresh")

    def obstacle(self) -> str:
        return ""

    async def pull_request(self, number: int) -> PullRequest | None:
        self._remote._ask(f"pull request {number}")
        await anyio.lowlevel.checkpoint()
        return next((self._told(each) for each in self._host.pulls if each.number == number), None)

    async def fetched_from(self) -> FetchedFrom:
        self._remote._ask("fetch")
        await anyio.lowlevel.checkpoint()
        return FetchedFrom(self._host.address, self._host.password)

    def left(self) -> Left:
        return self._host.left

    def spacing(self) -> int:
        return self._host.spacing

    def _told(self, each: Pull) -> PullRequest:
        head = each.head or self._host.head(each.branch)
        url, merged = f"https://host.example/notes/pull/{each.number}", CommitSha(each.merged) if each.merged else None
        return PullRequest(each.number, url, each.state, CommitSha(head), merged)


class HostRemotes(ConnectedRemotes):
    """Every project's remote is the branch `main` there: `house(..., remotes_of=there(host))`."""

    host: Host

    async def of(self, project: Project) -> HostedRemote:
        await anyio.lowlevel.checkpoint()
        return HostedRemote(self.host, "main")

    async def remove(self, project: ProjectId) -> None:
        """It stays: it is the host's."""


def there(host: Host) -> Callable[..., HostRemotes]:
    if not host.path.exists():
        init(host.path)

    def make(*arguments: Any, **more: Any) -> HostRemotes:
        made = HostRemotes(*arguments, **more)
        made.host = host
        return made

    return make
