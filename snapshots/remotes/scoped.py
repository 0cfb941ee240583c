"""GitRemote over another one: a folder of its repository, or what patterns mean in it (snapshots.scope).

What it promises
1. What does not belong is never touched: the tree of a commit holds it byte for byte as its parent does.
2. Nobody sees it either: `tree` has what belongs, by its path in the project.
3. A file that does not belong, or whose place is taken by something that does not, is not committed and is named
   (`FilesRefused`); `covers` says so before.

Everything else is the other remote's: the branch, its commits, their trailers, its refusals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from dataclasses import replace

import anyio.to_thread

from collab import paths
from collab.errors import Invalid
from collab.ids import BlobSha, Path
from snapshots import scope as scopes
from snapshots.budget import Left
from snapshots.remotes.base import (
    Author,
    Blobs,
    CommitSha,
    FetchedFrom,
    GitRemote,
    Hosted,
    Made,
    NewCommit,
    PullRequest,
    TreeEntry,
    TreeSha,
)
from snapshots.remotes.refusals import FilesRefused, Reason
from snapshots.scope import Scope


class ScopedRemote:
    """See the module."""

    def __init__(self, inner: GitRemote, scope: Scope) -> None:
        self.inner = inner
        self.scope = scope
        self._outside: tuple[CommitSha, Mapping[Path, TreeEntry]] | None = None
        self._places: Mapping[Path, Path | None] = {}
        """Of the last tree: where the project has each file."""
        self._branches = {inner.branch: self}

    def on(self, branch: str) -> ScopedRemote:
        """The same each time, since it knows what does not belong."""
        if (found := self._branches.get(branch)) is None:
            found = self._branches[branch] = ScopedRemote(self.inner.on(branch), self.scope)
            found._branches = self._branches
        return found

    async def begin(self, at: CommitSha) -> CommitSha:
        return await self.inner.begin(at)

    @property
    def branch(self) -> str:
        return self.inner.branch

    def covers(self, path: Path) -> bool:
        return self.scope.covers(path) and self.inner.covers(self.scope.there(path))

    async def head(self) -> CommitSha | None:
        return await self.inner.head()

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        inside, outside = await anyio.to_thread.run_sync(self._divided, await self._all(commit))
        if (file := self._in_place_of_the_folder(outside)) is not None:
            raise Invalid(
                f"{paths.show(file)} is no folder of {self.described()['repository']} (any more): connect to another one",
                field="folder",
            )
        self._outside = commit, outside
        return inside

    def _divided(self, found: Mapping[Path, TreeEntry]) -> tuple[dict[Path, TreeEntry], dict[Path, TreeEntry]]:
        """What belongs, by its path in the project, and the rest. Of what was there before it is known."""
        inside: dict[Path, TreeEntry] = {}
        outside: dict[Path, TreeEntry] = {}
        places: dict[Path, Path | None] = {}
        for path, entry in found.items():
            here = places[path] = self._places[path] if path in self._places else self.scope.here(path)
            if here is None:
                outside[path] = entry
            else:
                inside[here] = entry
        self._places = places
        return inside, outside

    async def tree_below(self, commit: CommitSha, folder: str) -> Mapping[Path, TreeEntry]:
        found = await self.inner.tree_below(commit, self.scope.there(Path(folder)))
        return {here: each for path, each in found.items() if (here := self.scope.here(path)) is not None}

    async def _all(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        """Nothing outside of the folder can be in the way of anything but what stands above it."""
        if not self.scope.folder:
            return await self.inner.tree(commit)
        return await self.inner.tree_below(commit, self.scope.folder)

    def _in_place_of_the_folder(self, outside: Mapping[Path, TreeEntry]) -> Path | None:
        if not self.scope.folder:
            return None
        folder = Path(self.scope.folder)
        return next((path for path in (folder, *paths.parents(folder)) if path in outside), None)

    async def tree_sha(self, commit: CommitSha) -> TreeSha:
        """Of the whole repository: what git calls the commit's."""
        return await self.inner.tree_sha(commit)

    def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        return self.inner.blobs(shas)

    async def commit(self, new: NewCommit, blob: Blobs) -> Made:
        onto = new.merges or new.parent
        outside = await self._left_alone(onto) if onto is not None else {}
        self._check(new, outside)
        moved = replace(
            new,
            writes={self.scope.there(path): entry for path, entry in new.writes.items()},
            deletes=[self.scope.there(path) for path in new.deletes],
        )
        try:
            made = await self.inner.commit(moved, blob)
        except FilesRefused as refused:
            raise FilesRefused({self.scope.here(path) or path: why for path, why in refused.files.items()}) from refused
        self._outside = made.commit, outside
        return made

    async def find(self, trailer: str, *, since: CommitSha | None) -> CommitSha | None:
        return await self.inner.find(trailer, since=since)

    async def authors(self, wanted: Set[Path], *, since: CommitSha | None, until: CommitSha) -> Mapping[Path, Author]:
        there = {self.scope.there(path): path for path in wanted}
        found = await self.inner.authors(there.keys(), since=since, until=until)
        return {there[path]: author for path, author in found.items()}

    async def contains(self, head: CommitSha, commit: CommitSha) -> bool:
        return await self.inner.contains(head, commit)

    def clone_command(self) -> str:
        return self.inner.clone_command()

    def described(self) -> Mapping[str, object]:
        told = dict(self.inner.described())
        if self.scope.folder:
            told["folder"] = self.scope.folder
        if self.scope.patterns:
            told["patterns"] = list(self.scope.patterns)
        return told

    @property
    def hosted(self) -> Hosted | None:
        hosted = self.inner.hosted
        return None if hosted is None else _ScopedHost(hosted, self)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _left_alone(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        """What does not belong, as the commit has it. Our own commits do not change it."""
        if self._outside is None or self._outside[0] != commit:
            await self.tree(commit)
        assert self._outside is not None  # `tree` has just found it
        return self._outside[1]

    def _check(self, new: NewCommit, outside: Mapping[Path, TreeEntry]) -> None:
        refused: dict[Path, Reason] = {
            path: "outside" for path in (*new.writes, *new.deletes) if not self.scope.covers(path)
        }
        places = {self.scope.there(path): path for path in new.writes}
        refused.update((places[path], "in_the_way") for path in scopes.in_the_way(places, outside))
        if refused:
            raise FilesRefused(refused)


class _ScopedHost:
    """The same host, of which every branch is limited alike."""

    def __init__(self, hosted: Hosted, remote: ScopedRemote) -> None:
        self._hosted = hosted
        self._remote = remote

    @property
    def account(self) -> int:
        return self._hosted.account

    def on(self, branch: str) -> GitRemote:
        return self._remote.on(branch)

    async def ensure_branch(self, name: str, at: CommitSha) -> CommitSha:
        return await self._hosted.ensure_branch(name, at)

    async def ensure_pull_request(self, branch: str, onto: str, title: str, body: str) -> PullRequest:
        return await self._hosted.ensure_pull_request(branch, onto, title, body)

    async def fetched_from(self) -> FetchedFrom:
        return await self._hosted.fetched_from()

    async def pull_request(self, number: int) -> PullRequest | None:
        return await self._hosted.pull_request(number)

    async def refresh(self) -> None:
        await self._hosted.refresh()

    def obstacle(self) -> str:
        return self._hosted.obstacle()

    def left(self) -> Left:
        return self._hosted.left()

    def spacing(self) -> int:
        return self._hosted.spacing()
