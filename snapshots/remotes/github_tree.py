"""Trees on GitHub: listed whole, and built from what changes. ADAPTER.

What it promises
1. A listing is checked against the tree's own SHA, and read directory by directory when it was cut short, or is not what
   its SHA says (GitHub's JSON cannot carry a name that is not UTF-8).
2. A tree is built in calls that are chained by `base_tree`. A call that times out is halved; one that is refused is
   halved too, down to the file that is the reason. That file is held back, and the others are tried, so that `FilesRefused`
   names all of them at once.
3. What is taken out is looked up first: taking out what is not there is an error. Then the result is compared with the
   tree that git would make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from collab.errors import Invalid, NotFound, TooLarge
from collab.ids import Path
from snapshots import trees
from snapshots.remotes import github_calls as calls
from snapshots.remotes.base import Blobs, NewCommit, TreeEntry, TreeSha
from snapshots.remotes.github_calls import Entry
from snapshots.remotes.github_hub import Answer
from snapshots.remotes.github_repository import Repository
from snapshots.remotes.refusals import FilesRefused, Reason, RemoteUnreachable


@dataclass(frozen=True, slots=True)
class Listing:
    files: Mapping[Path, TreeEntry]
    lossy: bool = False
    """Some name is not as git has it."""
    hollow: bool = False
    """Some directory is empty."""


class EmptyRepository(Exception):
    """GitHub makes no objects before there is a first commit."""


class Refused(Exception):
    """GitHub does not build a tree for us; why, is for the caller to find out."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


async def listing(repository: Repository, root: TreeSha) -> Listing:
    files: dict[Path, TreeEntry] = {}
    lossy = hollow = False
    waiting = [("", root)]
    while waiting:
        prefix, sha = waiting.pop()
        if sha == trees.EMPTY_TREE:
            hollow = hollow or bool(prefix)
            continue
        below = await _recursive(repository, sha)
        if below is not None:
            files.update((Path(prefix + path), each) for path, each in below.items())
            continue
        level = await _get(repository, sha, recursive=False)
        if level["truncated"]:
            raise TooLarge(f"the directory {prefix or '/'} has more files than GitHub lists")
        lossy = lossy or calls.level_sha(level["tree"]) != sha
        here, directories = calls.listed(level["tree"], prefix)
        files.update(here)
        waiting.extend((f"{path}/", each) for path, each in directories.items())
    return Listing(files, lossy, hollow)


async def below(repository: Repository, root: TreeSha, folder: str) -> Listing:
    """Of one folder, with whole paths; where a file stands at it or above it, that one."""
    at, sha = "", root
    for name in folder.split("/"):
        files, directories = calls.listed((await _get(repository, sha, recursive=False))["tree"])
        if (file := files.get(Path(name))) is not None:
            return Listing({Path(at + name): file})
        if name not in directories:
            return Listing({})
        at, sha = f"{at}{name}/", directories[name]
    found = await listing(repository, sha)
    return Listing({Path(at + path): each for path, each in found.files.items()}, found.lossy, found.hollow)


async def _recursive(repository: Repository, sha: TreeSha) -> Mapping[Path, TreeEntry] | None:
    """In one request; None when that did not bring all of it as it is."""
    found = await _get(repository, sha, recursive=True)
    if found["truncated"]:
        return None
    files, _ = calls.listed(found["tree"])
    return files if await anyio.to_thread.run_sync(trees.tree_of, files) == sha else None


async def _get(repository: Repository, sha: TreeSha, *, recursive: bool) -> Mapping[str, Any]:
    params = {"recursive": "1"} if recursive else None
    answer = await repository.send("GET", f"/git/trees/{sha}", params=params)
    if not answer.ok:
        raise NotFound(f"{repository.facts.name} has no tree {sha}")
    body: Mapping[str, Any] = answer.body
    return body


class Builder:
    """Builds the tree of one commit on `base` (None: on nothing). `begun`: the repository is known to have commits."""

    def __init__(self, repository: Repository, base: TreeSha | None, *, begun: bool) -> None:
        self._repository = repository
        self._begun = begun
        # Nothing is not a tree that GitHub must know.
        self._tree = base if base != trees.EMPTY_TREE else None
        self._listing: Listing | None = None
        self._refused: dict[Path, Reason] = {}

    async def build(self, new: NewCommit, blob: Blobs) -> TreeSha:
        gone = await self._take_out_first(new) if new.deletes and self._tree is not None else {}
        await self._put([calls.nothing(path, mode) for path, mode in gone.items()], new, blob)
        if self._refused:
            raise FilesRefused(self._refused)
        if self._tree is None:
            raise Invalid("a commit on nothing has to hold a file")
        if new.deletes and self._listing is not None:
            await self._compare(self._listing, new)
        return self._tree

    async def _take_out_first(self, new: NewCommit) -> Mapping[Path, int]:
        """What remains to be taken out, beside the writes, after what stands in their way is gone."""
        files = (await self._listed()).files
        gone = {path: files[path].mode for path in new.deletes if path in files and path not in new.writes}
        first = calls.clashing(gone, new.writes)
        for part in _parts([calls.nothing(path, gone[path]) for path in sorted(first)]):
            await self._post(part)
        return {path: mode for path, mode in gone.items() if path not in first}

    async def _put(self, entries: list[Entry], new: NewCommit, blob: Blobs) -> None:
        """`entries`, then every write, in calls of bounded size; contents are held for one call at a time."""
        waiting, held = entries, 0
        while len(waiting) >= calls.ENTRIES:
            await self._post(waiting[: calls.ENTRIES])
            waiting = waiting[calls.ENTRIES :]
        for path, at in sorted(new.writes.items()):
            made = await self._entry(path, at, blob)
            if made is None:
                continue
            size = calls.inline_bytes(made)
            if len(waiting) == calls.ENTRIES or held + size > calls.INLINE_BYTES:
                await self._post(waiting)
                waiting, held = [], 0
            waiting.append(made)
            held += size
        if waiting:
            await self._post(waiting)

    async def _entry(self, path: Path, at: TreeEntry, blob: Blobs) -> Entry | None:
        if not calls.expressible(path):
            self._refused[path] = "name"
            return None
        if at.mode == trees.SUBMODULE:
            return calls.entry(path, at)
        content = await blob(at.sha)
        if calls.blob_sha(content) != at.sha:
            raise Invalid(f"the content given for blob {at.sha} is {calls.blob_sha(content)}")
        if (text := calls.text(content)) is not None:
            return calls.entry(path, at, text)
        return calls.entry(path, at) if await self._blob(path, content) else None

    async def _blob(self, path: Path, content: bytes) -> bool:
        """Makes a blob; whether GitHub took it. One that was made lately is there: what a pause has interrupted goes on
        where it was, and does not begin again until the next pause."""
        sha = calls.blob_sha(content)
        if self._repository.has(sha):
            return True
        if len(content) > calls.BLOB_BYTES:
            self._refused[path] = "too_large"
            return False
        answer = await self._send("/git/blobs", calls.blob(content))
        if answer.ok:
            self._repository.made(sha)
            return True
        reasons: Mapping[int, Reason] = {409: "secret", 413: "too_large", 422: "refused"}
        if answer.status not in reasons:
            raise Refused(answer)
        if answer.status == 409 and not self._begun:
            raise EmptyRepository
        self._refused[path] = reasons[answer.status]
        return False

    async def _post(self, entries: Sequence[Entry], *, blobs_made: bool = False) -> None:
        """One call, or as many as it takes."""
        waiting = [entries]
        while waiting:
            part = waiting.pop()
            if not part:
                continue
            try:
                answer = await self._send("/git/trees", self._body(part), again=len(part) == 1)
            except RemoteUnreachable:
                if len(part) == 1:
                    raise
                waiting.extend(reversed(calls.halves(part)))
                continue
            if answer.ok:
                self._tree = TreeSha(answer.body["sha"])
            elif answer.status == 409 and not blobs_made:
                if not self._begun:
                    raise EmptyRepository
                await self._post(await self._as_blobs(part), blobs_made=True)
            elif answer.status != 422:
                raise Refused(answer)
            elif len(part) > 1:
                waiting.extend(reversed(calls.halves(part)))
            elif not await self._made_room(part[0]):
                self._refused[Path(part[0]["path"])] = "refused"
            else:
                waiting.append(part)

    def _body(self, part: Sequence[Entry]) -> Mapping[str, object]:
        return {"tree": list(part)} if self._tree is None else {"base_tree": self._tree, "tree": list(part)}

    async def _as_blobs(self, part: Sequence[Entry]) -> list[Entry]:
        """Something in the call is refused: each text goes as a blob of its own, so that GitHub says which."""
        made: list[Entry] = []
        for each in part:
            if "content" not in each:
                made.append(each)
                continue
            content = each["content"].encode()
            if await self._blob(Path(each["path"]), content):
                rest = {name: value for name, value in each.items() if name != "content"}
                made.append({**rest, "sha": calls.blob_sha(content)})
        return made

    async def _made_room(self, each: Entry) -> bool:
        """Takes out what stands where one entry shall stand; False: there is nothing like that."""
        if self._tree is None or each.get("sha", "") is None:
            return False
        files = (await listing(self._repository, self._tree)).files
        obstacles = calls.in_the_way(files, Path(each["path"]), int(each["mode"], 8))
        for part in _parts([calls.nothing(path, files[path].mode) for path in obstacles]):
            await self._post(part)
        return bool(obstacles)

    async def _listed(self) -> Listing:
        if self._listing is None:
            assert self._tree is not None  # there is nothing to list on nothing
            self._listing = await listing(self._repository, self._tree)
        return self._listing

    async def _compare(self, before: Listing, new: NewCommit) -> None:
        """The tree must be git's own; a server that leaves empty directories behind is told to take them out."""
        if before.lossy or before.hollow:
            return
        gone = {path for path in new.deletes if path in before.files and path not in new.writes}
        rest = calls.outcome(before.files, gone, new.writes)
        wanted = await anyio.to_thread.run_sync(trees.tree_of, rest)
        if self._tree != wanted and (empty := calls.emptied(gone, rest)):
            await self._post([calls.nothing(path, trees.DIRECTORY) for path in empty])
        if self._tree != wanted:
            raise RemoteUnreachable(f"GitHub made tree {self._tree} where git makes {wanted}: nothing was committed.")

    async def _send(self, tail: str, body: Mapping[str, object], *, again: bool = True) -> Answer:
        return await self._repository.send("POST", tail, kind="content", json=body, again=again)


def _parts(entries: Sequence[Entry]) -> Iterable[Sequence[Entry]]:
    return (entries[n : n + calls.ENTRIES] for n in range(0, len(entries), calls.ENTRIES))
