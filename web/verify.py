"""Checks the data against itself: log, checkpoints, catalog, objects and git. It may run while the server serves.

What it checks
1. log: positions without gaps, every entry can be decoded.
2. checkpoint: each holds exactly what the entries up to it make.
3. catalog: what the log says last about path, kind, mode, line ending, BOM; SHA and size of the bytes; that nothing is a
   file and a directory at once.
4. object: what is not text is there, under the SHA of its bytes.
5. git: the branch's tree can be read whole, every blob has the SHA that it is named by; every base stands in that tree, and
   is what its document held at the base's position.

What it repairs, when asked to: a wrong SHA or size (made again from the log), a wrong checkpoint (replaced by one that the
entries make), an object that git still has; a log that cannot be decoded is quarantined, so that nothing overwrites it.
Nothing else is changed. Everything that somebody edits meanwhile is checked as it stood when the check came to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from collab import conflicts, paths
from collab.bases import Base, bases
from collab.errors import NotFound, QuireError, Stale
from collab.ids import BlobSha, DocumentId, Path, Position
from collab.objects.base import ObjectStore
from collab.store.base import Checkpoint, Project, Row, SetDocument, Store
from collab.text import blob_sha
from collab.tree import file_and_directory
from snapshots.remotes.base import CommitSha, GitRemote, TreeEntry
from web.examine import Check, Examined, Fault, Version, examine

SUBMODULE: Final = 0o160000
TRIES: Final = 4
"""How often git and its bases are read again because a commit came in between."""
TRY_AGAIN_AFTER: Final = 0.5

Remotes = Callable[[Project], Awaitable[GitRemote]]


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that differs. `repaired` says what was done about it."""

    check: Check
    project: str
    path: str | None = None
    document: DocumentId | None = None
    message: str
    repaired: str | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: of this project, so many of its documents."""

    project: str
    done: int
    total: int


class Verifier:
    def __init__(self, store: Store, objects: ObjectStore, remotes: Remotes, *, repair: bool = False) -> None:
        self._store, self._objects, self._remotes, self._repair = store, objects, remotes, repair

    async def run(self) -> AsyncIterator[Finding | Checked]:
        """Findings as they are made, and how far it is."""
        for project in await self._store.projects():
            async for each in self._project(project):
                yield each

    async def _project(self, project: Project) -> AsyncIterator[Finding | Checked]:
        git = await self._remotes(project)
        held, found = await self._git(project, git)
        for finding in found:
            yield finding
        by_document: defaultdict[DocumentId, list[Base]] = defaultdict(list)
        for base in held.values():
            by_document[base.document].append(base)
        rows = await self._store.tree_with_deleted(project.id)
        for clash in file_and_directory(frozenset(), {row.path for row in rows if row.deleted_at is None}):
            message = "is a file and a directory at once, which git cannot hold: move one of them"
            yield self._found(project, "catalog", message, path=clash)
        yield Checked(project=project.name, done=0, total=len(rows))
        for done, row in enumerate(rows, start=1):
            for finding in await self._document(project, row, by_document.pop(row.id, []), git):
                yield finding
            yield Checked(project=project.name, done=done, total=len(rows))
        for orphans in by_document.values():
            for base in orphans:
                yield self._found(project, "git", f"its document {base.document} does not exist", path=base.path)

    # -- one document

    async def _document(self, project: Project, row: Row, held: list[Base], git: GitRemote) -> list[Finding]:
        # As it stands now, not as it stood when the tree was listed.
        row = await self._store.document(row.id) or row
        faults: list[Fault] = []
        checkpoints = await self._checkpoints(row, faults)
        try:
            entries = await self._store.entries(row.id, Position(0), row.head)
        except QuireError as error:
            faults.append(Fault("log", error.message))
            examined = Examined(faults=[], broken=True)
        else:
            positions = {row.sha_position, *(base.position for base in held if base.position <= row.head)}
            examined = await anyio.to_thread.run_sync(examine, row, entries, checkpoints, positions)
        faults += examined.faults
        found = [await self._mended(project, row, fault, examined) for fault in faults]
        if not examined.broken:
            found += await self._catalog(project, row, examined)
            found += self._bases(project, row, held, examined.versions)
        return [*found, *await self._object(project, row, git)]

    async def _checkpoints(self, row: Row, faults: list[Fault]) -> list[Checkpoint]:
        """Every one, newest first."""
        size = await self._store.size(row.id)
        position = size.checkpoint if size is not None else Position(0)
        found: list[Checkpoint] = []
        while position > 0:
            try:
                loaded = await self._store.load(row.id, position)
            except QuireError as error:
                faults.append(Fault("checkpoint", f"the checkpoint at position {position}: {error.message}", position))
                break
            if loaded is None or loaded.checkpoint is None:
                break
            found.append(loaded.checkpoint)
            position = Position(loaded.checkpoint.position - 1)
        return found

    async def _mended(self, project: Project, row: Row, fault: Fault, examined: Examined) -> Finding:
        repaired = None
        if self._repair and fault.check == "checkpoint" and fault.position in examined.states:
            state = examined.states[fault.position]
            await self._store.checkpoint(row.id, Checkpoint(fault.position, state))
            repaired = "replaced by one that the log makes"
        elif self._repair and fault.check == "log" and examined.broken and row.quarantined is None:
            await self._store.quarantine(row.id, fault.message)
            repaired = "quarantined: nobody can open or overwrite it"
        return self._found(project, fault.check, fault.message, row=row, repaired=repaired)

    async def _catalog(self, project: Project, row: Row, examined: Examined) -> list[Finding]:
        right = examined.versions.get(row.sha_position)
        if row.kind != "text" or right is None or right == Version(row.sha, row.size):
            return []
        message = (
            f"the catalog says {row.size:,} bytes of SHA {row.sha}, and the log makes {right.size:,} of {right.sha}"
        )
        repaired = await self._set(row, right) if self._repair else None
        return [self._found(project, "catalog", message, row=row, repaired=repaired)]

    async def _set(self, row: Row, right: Version) -> str | None:
        fix = SetDocument(id=row.id, fields={"sha": right.sha, "size": right.size}, expect_head=row.head)
        try:
            await self._store.commit(changes=[fix])
        except Stale:
            return None  # somebody is writing, which sets both anew
        return "SHA and size made again from the log"

    def _bases(
        self, project: Project, row: Row, held: list[Base], versions: Mapping[Position, Version]
    ) -> list[Finding]:
        found = []
        for base in held:
            version = versions.get(base.position)
            if base.position > row.head:
                message = f"git holds position {base.position} of a document that ends at {row.head}"
            elif version is not None and version.sha != base.sha and not base.apart:
                message = f"git holds {base.sha} for position {base.position}, which was {version.sha}"
            else:
                continue
            found.append(self._found(project, "git", message, row=row, path=base.path))
        return found

    # -- objects

    async def _object(self, project: Project, row: Row, git: GitRemote) -> list[Finding]:
        if row.object is None or row.kind in ("text", "submodule"):
            return []
        key = f"objects/{row.object}"
        try:
            content = (await self._objects.get(key)).content
        except NotFound:
            message = f"the object {row.object} is missing"
        else:
            if blob_sha(content) == row.object:
                return []
            message = f"the object {row.object} holds other bytes: their SHA is {blob_sha(content)}"
        repaired = await self._from_git(key, row.object, git) if self._repair else None
        return [self._found(project, "object", message, row=row, repaired=repaired)]

    async def _from_git(self, key: str, sha: BlobSha, git: GitRemote) -> str | None:
        content = await _blob(git, sha)
        if content is None or blob_sha(content) != sha:
            return None
        await self._objects.put(key, content)
        return "brought back from git"

    # -- git

    async def _git(self, project: Project, git: GitRemote) -> tuple[Mapping[Path, Base], list[Finding]]:
        """The bases, and what is wrong about them and the branch."""
        for last in (*(False,) * (TRIES - 1), True):
            held, head = await bases(self._store, project.id), None
            try:
                head = await git.head()
                tree = {} if head is None else dict(await git.tree(head))
            except Exception as error:  # noqa: BLE001 - a broken repository breaks in many ways; all are one finding
                return held, [
                    self._found(project, "git", f"the tree of {head or 'the branch'} cannot be read: {error!r}")
                ]
            waiting = conflicts.held_back(await conflicts.still_open(self._store, project.id))
            wrong = [
                path
                for path, base in held.items()
                if tree.get(path) != TreeEntry(base.sha, base.mode) and path not in waiting
            ]
            if not wrong or last:
                break
            await anyio.sleep(TRY_AGAIN_AFTER)  # a commit may be under way
        found = [self._found(project, "git", _misplaced(held[path], tree.get(path), head), path=path) for path in wrong]
        if git.hosted is not None:
            return held, found  # each blob is a request there, and what its host keeps is for the host to verify
        return held, [*found, *await self._blobs(project, git, tree)]

    async def _blobs(self, project: Project, git: GitRemote, tree: Mapping[Path, TreeEntry]) -> list[Finding]:
        found = []
        good: set[BlobSha] = set()
        for path, entry in tree.items():
            if entry.mode == SUBMODULE or entry.sha in good:
                continue
            content = await _blob(git, entry.sha)
            if content is not None and blob_sha(content) == entry.sha:
                good.add(entry.sha)
                continue
            what = "is missing, or cannot be read" if content is None else "holds other bytes"
            found.append(self._found(project, "git", f"the blob {entry.sha} {what}", path=path))
        return found

    @staticmethod
    def _found(
        project: Project,
        check: Check,
        message: str,
        *,
        row: Row | None = None,
        path: Path | None = None,
        repaired: str | None = None,
    ) -> Finding:
        path = path if path is not None or row is None else row.path
        return Finding(
            check=check,
            project=project.name,
            path=None if path is None else paths.show(path),
            document=None if row is None else row.id,
            message=message,
            repaired=repaired,
        )


async def _blob(git: GitRemote, sha: BlobSha) -> bytes | None:
    """None when it is missing or cannot be read."""
    try:
        contents = [content async for _, content in git.blobs([sha])]
    except Exception:  # noqa: BLE001 - a broken repository breaks in many ways; all are one finding
        return None
    return contents[0] if contents else None


def _misplaced(base: Base, entry: TreeEntry | None, head: CommitSha | None) -> str:
    there = "nothing" if entry is None else f"{entry.sha} with mode {entry.mode:o}"
    return f"the branch should hold {base.sha} with mode {base.mode:o}, and holds {there} (at {head or 'no commit'})"
