"""Ours, put aside: on a branch of its own, so that theirs can be taken here.

What it promises
1. The branch begins at what was pushed, and one commit puts ours there: of lines those in conflict, with what was pushed
   elsewhere in the file. Where the host has pull requests, one asks for it.
2. Nothing is taken from the documents; that comes after, and only where ours is still what went to the branch.
3. Done again it makes no second commit and no second pull request.

What breaks it: somebody who deletes the branch before anybody looked. The bytes are among the objects in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from collab import actors, paths
from collab.actors import Actor
from collab.conflicts import Aside, FileConflict
from collab.contents import File
from collab.ids import BlobSha, DocumentId, Millis, Path
from collab.merge import choose
from collab.store.base import Project
from collab.text import blob_sha, open_bytes, to_bytes
from collab.workspace import Workspace
from snapshots.authorship import QUIRE
from snapshots.remotes.base import CommitSha, GitRemote, NewCommit, Remotes, TreeEntry
from snapshots.settling import LINES, Settling
from snapshots.snapshot import Credit, credit, message

NAMED: Final = 50
"""Files that the words of a pull request name."""

TRAILER: Final = "Quire-Conflict"


@dataclass(slots=True)
class _Ours:
    """What the branch shall hold, and which versions of our files that is."""

    writes: dict[Path, TreeEntry] = field(default_factory=dict)
    deletes: set[Path] = field(default_factory=set)
    contents: dict[BlobSha, bytes] = field(default_factory=dict)
    stood: dict[DocumentId, tuple[BlobSha, int]] = field(default_factory=dict)


class Asides:
    def __init__(
        self, workspace: Workspace, remotes: Remotes, settling: Settling, *, clock: Callable[[], Millis]
    ) -> None:
        self._workspace = workspace
        self._remotes = remotes
        self._settling = settling
        self._clock = clock

    async def put(
        self, project: Project, head: CommitSha, found: Sequence[FileConflict]
    ) -> tuple[Aside, Mapping[DocumentId, tuple[BlobSha, int]]]:
        """Where ours is now, and which version of each of our files that is (SHA and mode)."""
        ours = _Ours()
        for each in found:
            await self._gather(project, each, ours)
        remote = await self._remotes.of(project)
        branch = remote.on(f"quire/aside-{head[:10]}")
        await self._commit(project, branch, await branch.begin(head), ours, found)
        if remote.hosted is None:
            return Aside(branch=branch.branch), ours.stood
        request = await remote.hosted.ensure_pull_request(
            branch.branch, remote.branch, _subject(found), _words(found, head)
        )
        return Aside(branch=branch.branch, url=request.url), ours.stood

    async def _gather(self, project: Project, found: FileConflict, ours: _Ours) -> None:
        files = await self._settling.ours(project, found)
        if found.theirs is not None:
            ours.deletes.add(paths.parse(found.theirs.path))
        for file in files:
            ours.stood[file.row.id] = (file.row.sha, file.row.mode)
            if found.kind == "delete/modify":
                continue  # ours is that it was deleted
            content = await self._with_theirs(found, file) if found.kind in LINES else file.content
            sha = blob_sha(content) if file.row.kind != "submodule" else file.row.sha
            ours.contents[sha] = content
            ours.writes[file.row.path] = TreeEntry(sha, file.row.mode)

    async def _with_theirs(self, found: FileConflict, file: File) -> bytes:
        """Ours where the two overlap, and what was pushed everywhere else."""
        base, theirs = [await self._settling.kept(side) or b"" for side in (found.base, found.theirs)]
        opened = [open_bytes(each) for each in (base, file.content, theirs)]
        texts = [each[0] for each in opened if each is not None]
        if len(texts) != 3 or opened[1] is None:
            return file.content
        return to_bytes(choose(texts[0], texts[1], texts[2], "ours"), opened[1][1])

    async def _commit(
        self, project: Project, branch: GitRemote, at: CommitSha, ours: _Ours, found: Sequence[FileConflict]
    ) -> None:
        there = await branch.tree(at)
        writes = {path: entry for path, entry in ours.writes.items() if there.get(path) != entry}
        deletes = sorted(path for path in ours.deletes if path in there and path not in ours.writes)
        if not writes and not deletes:
            return

        async def blob(sha: BlobSha) -> bytes:
            return ours.contents[sha]

        ids = f"{TRAILER}: {', '.join(each.id for each in found)}"
        text = f"{_subject(found)}\n\n{_listed(found)}"
        authors = await self._authors(project, {each.path for each in found})
        new = NewCommit(
            parent=at,
            writes=writes,
            deletes=deletes,
            message=message(text, (), authors, ids, author=QUIRE),
            author=QUIRE,
            at=self._clock() // 1000,
        )
        await branch.commit(new, blob)

    async def _authors(self, project: Project, names: set[str]) -> list[Credit]:
        """Whoever typed what is put aside."""
        wrote: dict[Actor, int] = {}
        for each in await self._workspace.changes(project):
            if paths.show(each.path) in names:
                for actor in (await actors.actors(self._workspace.store, each.actors)).values():
                    wrote[actor] = wrote.get(actor, 0) + 1
        return credit(wrote)


def _subject(found: Sequence[FileConflict]) -> str:
    rest = len(found) - 1
    return f"What was written in {found[0].path}{f' and {rest:,} more' if rest else ''}"


def _listed(found: Sequence[FileConflict]) -> str:
    lines = [f"- {each.path} ({each.kind})" for each in found[:NAMED]]
    if len(found) > NAMED:
        lines.append(f"- and {len(found) - NAMED:,} more")
    return "\n".join(lines)


def _words(found: Sequence[FileConflict], head: CommitSha) -> str:
    return (
        f"These files were edited in Quire and changed by {head} at the same time. What was pushed is in Quire now; this "
        "branch holds what had been written there. Merge it to have that back, or close it to let it go; Quire keeps "
        f"both.\n\n{_listed(found)}\n"
    )
