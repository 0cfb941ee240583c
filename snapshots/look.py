"""One look at a project: what the branch held, what is live and what was pushed, held against each other.

What it promises: rows with exact SHAs, of one moment; what cannot be read counts as what was committed. What git would not
check out is not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import anyio.to_thread

from collab import actors, bases, conflicts, paths
from collab.bases import Base
from collab.conflicts import FileConflict, Policy
from collab.errors import NotFound, PathInvalid, Quarantined, Stale
from collab.ids import ActorId, BlobSha, DocumentId, Path
from collab.staging import Incoming
from collab.store.base import Project, Row
from collab.workspace import Workspace
from snapshots import finding, resolver
from snapshots.authors import Authors
from snapshots.policies import Policies
from snapshots.remotes.base import CommitSha, TreeEntry
from snapshots.resolver import Decision, Side
from snapshots.trees import SUBMODULE

ALIKE_AT_MOST: Final = 1_000
"""Files that are gone, or new, of which the content is compared to find renames."""

ALIKE_BYTES: Final = 1_000_000
"""Bytes of the largest file that is compared."""


class Commits(Protocol):
    """Commits, wherever their objects lie: in a remote, or in what a push has brought so far."""

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]: ...

    def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]: ...


class Kept:
    """What was pulled last, as it is known here: the bases, and what was pushed of what is in conflict. Asks nobody."""

    def __init__(self, workspace: Workspace, held: Iterable[Base], waiting: Iterable[FileConflict]) -> None:
        self._workspace = workspace
        self._tree = {each.path: TreeEntry(each.sha, each.mode) for each in held}
        undecided = [each for each in waiting if each.kind != "delete/modify"]
        for each in undecided:
            if each.base is not None:
                self._tree.pop(paths.parse(each.base.path), None)
        for each in undecided:
            if each.theirs is not None:
                self._tree[paths.parse(each.theirs.path)] = TreeEntry(each.theirs.sha, each.theirs.mode)

    async def tree(self, _: CommitSha) -> Mapping[Path, TreeEntry]:
        return self._tree

    async def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        for sha in shas:
            yield sha, await self._workspace.ingest.kept(sha)


async def nobody(_: Set[Path]) -> Mapping[Path, ActorId]:
    """It is not asked."""
    return {}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pull does with conflicts: `given` with every one, else what the project's policies say of those that it
    finds. Those that were found before keep what was said of them then."""

    policies: Policies
    given: Policy | None = None

    def of(self, path: Path) -> Policy:
        return self.given or self.policies.of(path)

    def of_known(self, known: FileConflict) -> Policy:
        return self.given or known.policy


@dataclass(slots=True, kw_only=True)
class Look:
    """`merged` are the paths that changed here, and whose edits those are; `again`: something moved under it, look again."""

    workspace: Workspace
    project: Project
    commits: Commits
    head: CommitSha
    rules: Rules
    held: dict[Path, Base]
    rows: Mapping[Path, Row]
    theirs: Mapping[Path, TreeEntry]
    open: dict[Path, FileConflict]
    merged: dict[Path, ActorId]
    authors: Authors
    pusher: ActorId | None
    again: bool = False
    aside: list[FileConflict] = field(default_factory=list)
    """Of which ours is to go to a branch."""
    wrote: dict[Path, ActorId] = field(default_factory=dict)
    arrived: dict[BlobSha, bytes] = field(default_factory=dict)

    async def decisions(self) -> list[Decision]:
        held = {
            path: Side(path, each.sha, each.mode, each.document, nowhere=each.commit == bases.NOWHERE)
            for path, each in self.held.items()
        }
        ours = {path: Side(path, row.sha, row.mode, row.id) for path, row in self.rows.items()}
        theirs = {path: Side(path, entry.sha, entry.mode) for path, entry in self.theirs.items()}
        known: dict[BlobSha, bytes] = {}
        wanted = resolver.lookalikes(held, theirs)
        if len(wanted) <= ALIKE_AT_MOST:
            for sha in wanted:
                content = await self.blob(sha)
                if content is not None and len(content) <= ALIKE_BYTES:
                    known[sha] = content
        return await anyio.to_thread.run_sync(resolver.resolve, held, ours, theirs, known.get)

    async def ask_who(self, decided: Iterable[Decision]) -> None:
        """Who wrote what these decisions bring."""
        wanted = {
            side.path for each in decided if each.do != "nothing" and (side := each.theirs or each.base) is not None
        }
        if wanted:
            self.wrote.update(await self.authors(wanted))

    def by(self, each: Decision) -> ActorId:
        """Who brings it: whoever pushed, if that is known, else whoever wrote it, as far as git says."""
        return self.pusher or self._author(each) or actors.QUIRE.id

    def for_(self, each: Decision) -> ActorId | None:
        """Whose work it is, when somebody else brings it."""
        return self._author(each) if self.pusher is not None else None

    def _author(self, each: Decision) -> ActorId | None:
        side = each.theirs or each.base
        return None if side is None else self.wrote.get(side.path)

    async def blob(self, sha: BlobSha) -> bytes | None:
        try:
            async for _, content in self.commits.blobs([sha]):
                return content
        except NotFound:
            pass  # rewritten history may have taken it along; then there is nothing to compare
        return None

    async def arriving(self, shas: Sequence[BlobSha]) -> AsyncGenerator[BlobSha, None]:
        """Their contents come, one after the other, in as few requests as the remote can make of it. `arrived` has each
        until somebody takes it away."""
        blobs = self.commits.blobs(shas)
        try:
            async for sha, content in blobs:
                self.arrived[sha] = content
                yield sha
        finally:
            if isinstance(blobs, AsyncGenerator):
                await blobs.aclose()

    async def pushed(self, side: Side) -> Incoming:
        """A file as theirs has it."""
        if side.mode == SUBMODULE:
            return Incoming(side.path, side.mode, b"", side.sha)
        if side.sha in self.arrived:
            return Incoming(side.path, side.mode, self.arrived[side.sha], side.sha)
        async for _, content in self.commits.blobs([side.sha]):
            return Incoming(side.path, side.mode, content, side.sha)
        raise NotFound(f"the repository has no object {side.sha}")

    async def committed(self, base: Base) -> Incoming:
        """A file as the branch held it: what we hold; else what the repository still has; else nothing, and then every
        line is in conflict."""
        content = b""
        if base.mode != SUBMODULE:
            try:
                content = await self.workspace.contents.committed(base)
            except NotFound:
                content = await self.blob(base.sha) or b""
        return Incoming(base.path, base.mode, content, base.sha)

    async def row(self, document: DocumentId) -> Row:
        row = await self.workspace.store.document(document)
        if row is None:
            raise Stale("the file is gone")
        return row


async def look_at(
    workspace: Workspace,
    project: Project,
    commits: Commits,
    head: CommitSha,
    rules: Rules,
    merged: dict[Path, ActorId],
    authors: Authors = nobody,
    pusher: ActorId | None = None,
) -> Look:
    store = workspace.store
    held = await bases.bases(store, project.id)
    rows = [await _as_it_is(workspace, row, held.get(row.path)) for row in await store.tree(project.id)]
    theirs = {path: entry for path, entry in (await commits.tree(head)).items() if can_be(path)}
    waiting = await conflicts.still_open(store, project.id)
    return Look(
        workspace=workspace,
        project=project,
        commits=commits,
        head=head,
        rules=rules,
        held=held,
        rows={row.path: row for row in rows},
        theirs=theirs,
        open={finding.about(each): each for each in waiting},
        merged=merged,
        authors=authors,
        pusher=pusher,
    )


async def _as_it_is(workspace: Workspace, row: Row, base: Base | None) -> Row:
    """What cannot be read counts as what was committed (collab.uncommitted)."""
    if row.quarantined is None:
        with suppress(Quarantined):
            return await workspace.contents.cut(row)
    return row if base is None else replace(row, sha=base.sha, mode=base.mode)


def can_be(path: Path) -> bool:
    """Whether git would check it out. What it would not stays in the repository, and nowhere else."""
    try:
        paths.check_carried(paths.to_bytes(path))
    except PathInvalid:
        return False
    return True
