"""GitRemote as one branch of a repository on GitHub, through its API. ADAPTER.

A commit is four or five requests, for one file or a hundred: read the branch, read its commit (unless it is ours), make the
tree (`github_tree.py`), make the commit, move the branch without force. Deleting costs one more, a listing.

Where it keeps to the contract in its own way
1. Compare-and-swap: the branch is read (or was just now), and then moved from where it stood to a commit whose parent that is,
   which GitHub does only as a fast-forward. What an unclear answer did is read from the branch.
2. For `LAG` after a push of ours GitHub may still show the branch where it stood before: that is the past, and not
   somebody else's doing.
3. In a repository without a first commit GitHub makes no objects. One file is put there by itself, as the commit if it is
   all there is, else as a beginning (`BEGINNING`) on which the commit then stands; a crash in between is taken up again.
4. Paths that are not UTF-8 cannot be told to GitHub (`FilesRefused`); where they stand they stay.
5. A refusal is explained by what GitHub says of the repository and the branch, never by the text of its message.

What breaks it: two `Hub`s with one credential pace themselves apart, and are paused by the server.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import anyio

from collab.errors import Invalid, NotFound, QuireError
from collab.ids import BlobSha, Millis, Path
from snapshots import trees
from snapshots.budget import Left
from snapshots.remotes import github_archive, github_reading
from snapshots.remotes import github_calls as calls
from snapshots.remotes.base import (
    Author,
    Blobs,
    BranchMoved,
    CommitSha,
    FetchedFrom,
    Made,
    NewCommit,
    PullRequest,
    TreeEntry,
    TreeSha,
)
from snapshots.remotes.github_calls import quoted
from snapshots.remotes.github_hub import Answer
from snapshots.remotes.github_reasons import why
from snapshots.remotes.github_repository import Repository, archived
from snapshots.remotes.github_tree import Builder, EmptyRepository, Listing, Refused, below, listing
from snapshots.remotes.refusals import FilesRefused, RemoteUnreachable

FRESH: Final = 2_000
"""Milliseconds for which a head that was just asked for need not be asked for again before the branch is moved from there."""

LAG: Final = 60_000
"""Milliseconds for which reads may be older than our own push."""

BEGINNING: Final = "Begin this repository"
"""The message of a first commit that only makes room for the next one."""

BLOBS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Push:
    before: CommitSha | None
    commit: CommitSha
    at: Millis


class GitHubRemote:
    """See the module."""

    def __init__(self, repository: Repository, branch: str) -> None:
        self.repository = repository
        self.branch = branch
        self._hub = repository.hub
        self._lock = anyio.Lock()
        self._pushes: list[Push] = []
        self._seen: CommitSha | None = None
        self._trees: dict[CommitSha, TreeSha] = {}
        self._held: tuple[str, CommitSha] | None = None
        self._read: tuple[CommitSha | None, Millis] | None = None
        """The head as it was told to whoever asked last, and when."""
        self._listed: tuple[CommitSha, int] | None = None
        """The commit whose files were listed last, and how many they are."""
        self._branches = {branch: self}

    def described(self) -> Mapping[str, object]:
        facts = self.repository.facts
        return {
            "kind": "github",
            "repository": facts.name,
            "id": facts.id,
            "branch": self.branch,
            "clone": self.clone_command(),
            "archived": facts.archived,
        }

    # What the host can do.

    @property
    def hosted(self) -> GitHubRemote:
        return self

    @property
    def account(self) -> int:
        return id(self._hub)

    async def refresh(self) -> None:
        async with self._hub.session():
            await self.repository.verify()

    def obstacle(self) -> str:
        facts = self.repository.facts
        return archived(facts.name).message if facts.archived else ""

    async def fetched_from(self) -> FetchedFrom:
        return FetchedFrom(self.repository.facts.clone_url, await self._hub.credential.token())

    def left(self) -> Left:
        return self._hub.left()

    def spacing(self) -> int:
        return self._hub.spacing()

    def on(self, branch: str) -> GitHubRemote:
        """The same each time, since it knows what it pushed lately."""
        if (found := self._branches.get(branch)) is None:
            found = self._branches[branch] = GitHubRemote(self.repository, branch)
            found._branches = self._branches
        return found

    async def ensure_branch(self, name: str, at: CommitSha) -> CommitSha:
        return await self.on(name).begin(at)

    async def ensure_pull_request(self, branch: str, onto: str, title: str, body: str) -> PullRequest:
        async with self._lock, self._hub.session():
            if (found := await self._open(branch, onto)) is not None:
                return found
            # Not twice: the second would be refused, and looks like a failure. The next round finds the first.
            asked = {"title": title, "body": body, "head": branch, "base": onto}
            answer = await self.repository.send("POST", "/pulls", kind="content", json=asked, again=False)
            if answer.ok:
                return _pull_request(answer.body)
            if (found := await self._open(branch, onto)) is not None:
                return found
            raise await self._why(answer)

    async def pull_request(self, number: int) -> PullRequest | None:
        async with self._hub.session():
            answer = await self.repository.send("GET", f"/pulls/{number}")
            if answer.ok:
                return _pull_request(answer.body)
            if answer.status == 404:
                return None
            raise await self._why(answer)

    async def _open(self, branch: str, onto: str) -> PullRequest | None:
        owner = self.repository.facts.name.partition("/")[0]
        asked = {"head": f"{owner}:{branch}", "base": onto, "state": "open"}
        found = await self.repository.send("GET", "/pulls", params=asked)
        mine = [each for each in found.body if each["head"]["ref"] == branch] if found.ok else []
        return _pull_request(mine[0]) if mine else None

    # The contract.

    def covers(self, path: Path) -> bool:
        return True

    async def head(self) -> CommitSha | None:
        async with self._hub.session():
            found = await self._head()
        self._read = found, self._hub.clock()
        return found

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        async with self._hub.session():
            found = await listing(self.repository, await self._tree_sha(commit))
            self._listed = commit, len(found.files)
            return self._exact(found)

    async def tree_below(self, commit: CommitSha, folder: str) -> Mapping[Path, TreeEntry]:
        async with self._hub.session():
            return self._exact(await below(self.repository, await self._tree_sha(commit), folder))

    async def tree_sha(self, commit: CommitSha) -> TreeSha:
        async with self._hub.session():
            return await self._tree_sha(commit)

    async def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        wanted = dict.fromkeys(shas)
        if self._listed is not None and github_archive.worth(len(wanted), self._listed[1]):
            async with aclosing(
                github_archive.contents(self.repository, self._listed[0], tuple(wanted))
            ) as found_there:
                async for sha, content in found_there:
                    del wanted[sha]
                    yield sha, content
        rest = list(wanted)
        for n in range(0, len(rest), BLOBS_AT_ONCE):
            batch = rest[n : n + BLOBS_AT_ONCE]
            # The client is entered and left between two yields: what a generator enters, its consumer is in as well.
            found = await github_reading.contents(self.repository, batch)
            for sha in batch:
                yield sha, found[sha]

    async def commit(self, new: NewCommit, blob: Blobs) -> Made:
        async with self._lock, self._hub.session():
            parent, base = await self._base(new)
            try:
                tree = await self._build(base, new, blob)
            except EmptyRepository:
                if await self._is_empty():
                    begun = await self._begin(new, blob)
                    if isinstance(begun, Made):
                        return begun
                    parent, base = begun
                tree = await self._build(base, new, blob, begun=True)
            commit = await self._make_commit(new, tree, parent)
            await self._move(parent, commit, new)
            return self._pushed(parent, Made(commit, tree))

    async def find(self, trailer: str, *, since: CommitSha | None) -> CommitSha | None:
        async with self._hub.session():
            return await github_reading.find(self.repository, self.branch, trailer, since)

    async def authors(self, wanted: Set[Path], *, since: CommitSha | None, until: CommitSha) -> Mapping[Path, Author]:
        async with self._hub.session():
            return await github_reading.authors(self.repository, wanted, since, until)

    async def contains(self, head: CommitSha, commit: CommitSha) -> bool:
        async with self._hub.session():
            return await self._stands_on(head, commit)

    async def begin(self, at: CommitSha) -> CommitSha:
        async with self._lock, self._hub.session():
            if (found := await self._ref()) is not None:
                return found
            answer = await self._create(at)
            found = at if answer.ok else await self._ref()
            if found is None:
                raise await self._why(answer)
            return found

    def clone_command(self) -> str:
        return f"git clone {self.repository.facts.clone_url}"

    async def aclose(self) -> None:
        """Nothing is held open between operations; waits for the commit that runs."""
        async with self._lock:
            return

    def _exact(self, found: Listing) -> Mapping[Path, TreeEntry]:
        if found.lossy:
            raise Invalid(
                f"{self.repository.facts.name} has files whose names are not UTF-8, which GitHub's API cannot carry: "
                "rename them, or connect to it as a plain git repository"
            )
        return found.files

    # Where the branch stands.

    async def _head(self, expected: CommitSha | None = None) -> CommitSha | None:
        found = self._now(await self._ref())
        if found != expected and found != self._seen and not await self.repository.verify():
            found = self._now(await self._ref())
        self._seen = found
        return found

    async def _ref(self) -> CommitSha | None:
        """What GitHub says of it; None: there is no such branch, or nothing at all, in a repository that is there."""
        asked = {"If-None-Match": self._held[0]} if self._held is not None else None
        answer = await self.repository.send("GET", f"/git/ref/heads/{quoted(self.branch)}", headers=asked)
        if answer.status == 304 and self._held is not None:
            return self._held[1]
        self._held = None
        if answer.ok:
            found = CommitSha(answer.body["object"]["sha"])
            if (etag := answer.headers.get("etag")) is not None:
                self._held = etag, found
            return found
        if answer.status in (404, 409):
            return None
        raise await self._why(answer)

    def _now(self, found: CommitSha | None) -> CommitSha | None:
        """What a read means that may be older than our own pushes."""
        now = self._hub.clock()
        self._pushes = [each for each in self._pushes if 0 <= now - each.at < LAG]
        if any(each.before == found for each in self._pushes):
            return self._pushes[-1].commit
        return found

    async def _tree_sha(self, commit: CommitSha) -> TreeSha:
        if (known := self._trees.get(commit)) is None:
            answer = await self.repository.send("GET", f"/git/commits/{commit}")
            if not answer.ok:
                raise NotFound(f"{self.repository.facts.name} has no commit {commit}")
            known = TreeSha(answer.body["tree"]["sha"])
            self._remember(commit, known)
        return known

    def _remember(self, commit: CommitSha, tree: TreeSha) -> None:
        self._trees[commit] = tree
        while len(self._trees) > 16:
            del self._trees[next(iter(self._trees))]

    # A commit.

    async def _base(self, new: NewCommit) -> tuple[CommitSha | None, TreeSha | None]:
        """The parent, if the branch stands there, and the tree to build upon."""
        read, self._read = self._read, None
        fresh = read is not None and read[0] == new.parent and 0 <= self._hub.clock() - read[1] < FRESH
        found = new.parent if fresh else await self._head(new.parent)
        if found == new.parent:
            onto = new.merges or found
            return found, await self._tree_sha(onto) if onto is not None else None
        if new.parent is None and found is not None and (tree := await self._beginning(found, new)) is not None:
            return found, tree
        raise BranchMoved(self.branch, new.parent, found)

    async def _beginning(self, found: CommitSha, new: NewCommit) -> TreeSha | None:
        """The tree of `found` when it is the beginning that an interrupted first commit of this kind has left."""
        answer = await self.repository.send("GET", f"/git/commits/{found}")
        if not answer.ok or answer.body["parents"] or answer.body["message"].rstrip("\n") != BEGINNING:
            return None
        tree = TreeSha(answer.body["tree"]["sha"])
        files = (await listing(self.repository, tree)).files
        known = all(path in new.writes and new.writes[path].sha == each.sha for path, each in files.items())
        return tree if known else None

    async def _begin(self, new: NewCommit, blob: Blobs) -> Made | tuple[CommitSha, TreeSha]:
        """The first commit of a repository: all of the new one, or a beginning for it."""
        path = _first_file(new)
        content = await blob(new.writes[path].sha)
        if calls.blob_sha(content) != new.writes[path].sha:
            raise Invalid(f"the content given for blob {new.writes[path].sha} is {calls.blob_sha(content)}")
        whole = len(new.writes) == 1 and new.writes[path].mode == 0o100644
        who = {} if self._hub.credential.signs else {"author": calls.author(new), "committer": calls.author(new)}
        answer = await self.repository.send(
            "PUT",
            f"/contents/{quoted(path)}",
            kind="push",
            again=False,
            json={
                "message": calls.message(new) if whole else BEGINNING,
                "content": base64.b64encode(content).decode(),
                "branch": self.branch,
                **who,
            },
        )
        if answer.status == 409:
            raise FilesRefused({path: "secret"})
        if not answer.ok:
            raise await self._why(answer, new)
        made = Made(CommitSha(answer.body["commit"]["sha"]), TreeSha(answer.body["commit"]["tree"]["sha"]))
        return self._pushed(None, made) if whole else (made.commit, made.tree)

    async def _is_empty(self) -> bool:
        """Whether there is no commit at all; a 409 for an object may also be push protection's."""
        answer = await self.repository.send("GET", "/commits", params={"per_page": "1"})
        return answer.status == 409

    async def _build(self, base: TreeSha | None, new: NewCommit, blob: Blobs, *, begun: bool = False) -> TreeSha:
        try:
            return await Builder(self.repository, base, begun=begun or base is not None).build(new, blob)
        except Refused as refused:
            raise await self._why(refused.answer, new) from None

    async def _make_commit(self, new: NewCommit, tree: TreeSha, parent: CommitSha | None) -> CommitSha:
        parents = [each for each in (parent, new.merges) if each is not None]
        body = calls.commit_body(new, tree, parents, signed=self._hub.credential.signs)
        answer = await self.repository.send("POST", "/git/commits", kind="content", json=body)
        if not answer.ok:
            raise await self._why(answer, new)
        return CommitSha(answer.body["sha"])

    async def _move(self, parent: CommitSha | None, commit: CommitSha, new: NewCommit) -> None:
        """Moves the branch, or finds that it was moved; what an unclear answer did, the branch tells."""
        unclear: RemoteUnreachable | None = None
        for _ in range(2):
            try:
                answer = await (self._create(commit) if parent is None else self._patch(commit))
            except RemoteUnreachable as lost:
                unclear = lost
                if (found := await self._ref()) == parent:
                    continue  # The same move once more: it is none if it was made.
            else:
                if answer.ok or (found := await self._ref()) == commit:
                    return
                if found == parent:
                    raise await self._why(answer, new, moving=True)
            if found == commit or (unclear is not None and await self._stands_on(found, commit)):
                return
            raise BranchMoved(self.branch, new.parent, found)
        assert unclear is not None  # every other way out of the loop is above
        raise unclear

    async def _patch(self, commit: CommitSha) -> Answer:
        tail = f"/git/refs/heads/{quoted(self.branch)}"
        body = {"sha": commit, "force": False}
        return await self.repository.send("PATCH", tail, kind="push", again=False, json=body)

    async def _create(self, commit: CommitSha) -> Answer:
        body = {"ref": f"refs/heads/{self.branch}", "sha": commit}
        return await self.repository.send("POST", "/git/refs", kind="push", again=False, json=body)

    async def _stands_on(self, head: CommitSha | None, commit: CommitSha) -> bool:
        if head is None or head == commit:
            return head is not None
        answer = await self.repository.send("GET", f"/compare/{commit}...{head}", params={"per_page": "1"})
        return answer.ok and answer.body["status"] in ("ahead", "identical")

    def _pushed(self, before: CommitSha | None, made: Made) -> Made:
        self._pushes.append(Push(before, made.commit, self._hub.clock()))
        self._remember(made.commit, made.tree)
        self._seen = made.commit
        self.repository.takes_commits()
        return made

    async def _why(self, answer: Answer, new: NewCommit | None = None, *, moving: bool = False) -> QuireError:
        return await why(self.repository, self.branch, answer, new, moving=moving)


def _first_file(new: NewCommit) -> Path:
    """A plain one if there is one: `PUT contents` makes no other mode, and the commit after it puts that right."""
    files = [path for path, each in new.writes.items() if each.mode != trees.SUBMODULE and calls.expressible(path)]
    if not files:
        raise Invalid("the first commit of a repository on GitHub has to hold a file")
    return min(files, key=lambda path: (new.writes[path].mode != 0o100644, path))


def _pull_request(body: Mapping[str, Any]) -> PullRequest:
    number, url, head = body["number"], body["html_url"], CommitSha(body["head"]["sha"])
    if body.get("merged_at"):
        merged = body.get("merge_commit_sha")
        return PullRequest(number, url, "merged", head, CommitSha(merged) if merged else None)
    return PullRequest(number, url, "open" if body["state"] == "open" else "closed", head)
