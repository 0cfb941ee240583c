"""The contract GitRemote: one branch of one repository. PLUG.

1. `commit` builds a commit whose parent is `parent` (None: the branch does not exist yet) and whose tree is the
   parent's tree with `writes` put and `deletes` removed, makes it durable, and moves the branch to it by
   compare-and-swap from `parent`. `BranchMoved` when the branch stands elsewhere: nothing is lost, nothing is moved.
2. It is never forced. A crash anywhere inside leaves the branch at the old commit or the new one; `find` tells which.
3. Blobs are named by git's SHA-1. Modes are git's (0o100644, 0o100755, 0o120000, 0o160000).
4. `BranchMoved` is decided by what the branch holds, never by the text of a message.
5. `described` and `clone_command` ask nobody. What a host can do beside git (other branches with pull requests, a budget) is
   in `hosted`.
"""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, NewType, Protocol

from collab.errors import Conflict
from collab.ids import BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import Project
from snapshots.budget import Left

CommitSha = NewType("CommitSha", str)
TreeSha = NewType("TreeSha", str)


class BranchMoved(Conflict):
    code = "branch_moved"

    def __init__(self, branch: str, expected: CommitSha | None, found: CommitSha | None) -> None:
        super().__init__(f"branch {branch} stands at {found or 'nothing'}, not at {expected or 'nothing'}")
        self.branch, self.expected, self.found = branch, expected, found


@dataclass(frozen=True, slots=True)
class TreeEntry:
    sha: BlobSha
    mode: int


@dataclass(frozen=True, slots=True)
class Author:
    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommit:
    """`writes`: path -> what shall stand there. Blobs that the repository may lack are asked for by SHA (`blob`)."""

    parent: CommitSha | None
    writes: Mapping[Path, TreeEntry]
    deletes: Sequence[Path]
    message: str
    author: Author
    at: int
    """Seconds since the epoch: the same intent makes the same commit."""
    merges: CommitSha | None = None
    """A second parent, which the repository has. Then it is its tree that `writes` and `deletes` change."""


@dataclass(frozen=True, slots=True)
class Made:
    commit: CommitSha
    tree: TreeSha


@dataclass(frozen=True, slots=True)
class PullRequest:
    """`url` is for people. `state`: open, merged, or closed without that; `head`: the commit that it ends with, or ended;
    `merged`: the one that brought it to the branch."""

    number: int
    url: str
    state: Literal["open", "merged", "closed"] = "open"
    head: CommitSha | None = None
    merged: CommitSha | None = None


class Blobs(Protocol):
    async def __call__(self, sha: BlobSha) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """Blobs of which it is known where they come from: so somebody else can read them, too."""

    places: Mapping[BlobSha, tuple[DocumentId, Position]]
    read: Blobs

    async def __call__(self, sha: BlobSha) -> bytes:
        return await self.read(sha)


class GitRemote(Protocol):
    @property
    def branch(self) -> str: ...

    def covers(self, path: Path) -> bool:
        """Whether a file at this path belongs here. What does not is never committed, and nothing of it is touched."""

    def on(self, branch: str) -> GitRemote:
        """Another branch of the same repository, limited to the same files."""

    async def begin(self, at: CommitSha) -> CommitSha:
        """The branch exists: made at `at`, a commit that the repository has, when it does not. Where it stands."""

    async def head(self) -> CommitSha | None:
        """None: the branch does not exist (an empty repository)."""

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        """Every file of a commit, recursively, submodules and symlinks included."""

    async def tree_below(self, commit: CommitSha, folder: str) -> Mapping[Path, TreeEntry]:
        """Those of `tree` that stand below a folder; where a file stands at it or above it, that one. What it costs follows
        what lies there, and not the whole repository."""

    async def tree_sha(self, commit: CommitSha) -> TreeSha: ...

    def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        """Each once, in any order. Many at once cost less than one by one, the more so where they are of the commit whose
        tree was listed last."""

    async def commit(self, new: NewCommit, blob: Blobs) -> Made: ...

    async def find(self, trailer: str, *, since: CommitSha | None) -> CommitSha | None:
        """The commit on the branch, newer than `since`, whose message has this line."""

    async def authors(self, wanted: Set[Path], *, since: CommitSha | None, until: CommitSha) -> Mapping[Path, Author]:
        """Who changed each of these paths last, in the commits that `until` reaches and `since` does not. Those of whom it
        cannot be said, or not at a fair price, are left out."""

    async def contains(self, head: CommitSha, commit: CommitSha) -> bool:
        """Whether `commit` is `head` or one that it stands on; False for what the repository does not have."""

    def clone_command(self) -> str:
        """What a person types to get a copy."""

    def described(self) -> Mapping[str, object]:
        """What a status says of it: `kind` (git or github), `repository` (`owner/name`, or a path), `branch`, `clone` (a
        command), and what else there is to say."""

    @property
    def hosted(self) -> Hosted | None:
        """What its host can do beside git; None for a repository that is only that."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FetchedFrom:
    """What git itself fetches: an address, and the password that goes with any user name ("": none is needed)."""

    url: str
    password: str = field(repr=False)


class Hosted(Protocol):
    """A host of repositories: other branches of this one, pull requests, and how much may be asked for. Done twice,
    whatever is ensured is done once."""

    @property
    def account(self) -> int:
        """The same for all that share one budget."""

    def on(self, branch: str) -> GitRemote:
        """As `GitRemote.on`."""

    async def ensure_branch(self, name: str, at: CommitSha) -> CommitSha:
        """As `GitRemote.begin` of that branch."""

    async def ensure_pull_request(self, branch: str, onto: str, title: str, body: str) -> PullRequest:
        """The open pull request of `branch` onto `onto`. One that is there keeps its words: people may have changed them."""

    async def pull_request(self, number: int) -> PullRequest | None:
        """As it is now; None: there is none of that number."""

    async def refresh(self) -> None:
        """Asks what the repository is called by now, and whether it takes commits."""

    def obstacle(self) -> str:
        """Why it takes none, by what its host said last; "" when nothing is in the way. Asks nobody."""

    async def fetched_from(self) -> FetchedFrom:
        """Where git itself gets the repository."""

    def left(self) -> Left:
        """What may still be asked for, and whether all of it waits."""

    def spacing(self) -> int:
        """Milliseconds from one automatic commit to the next, over all that share the budget, so that it lasts."""


class Remotes(Protocol):
    """Which remote each project has."""

    async def of(self, project: Project) -> GitRemote: ...

    def incoming(self, job: str) -> pathlib.Path:
        """Where an import puts the repository that it brings."""

    async def adopt(self, project: Project, job: str) -> GitRemote:
        """What `incoming(job)` holds becomes the project's repository; `Conflict` if the project has commits. Done twice
        it is done once."""

    async def discard(self, job: str) -> None:
        """What `incoming(job)` holds is not wanted."""

    async def remove(self, project: ProjectId) -> None:
        """The project is gone, and so is what Quire kept of its git on this machine."""

    async def aclose(self) -> None: ...
