"""A project as it stood at a commit.

What it promises
1. A commit that Quire made is known by its document and position: the newest snapshot that names a path, and is not after
   the commit, says which. What no snapshot names is the import's, as the bases have it.
2. What Quire did not make, such as the commits that an import brought along, is read from the repository: path and bytes,
   without a document.
3. A commit that the project's repository does not have is `NotFound`.

What breaks it: nothing that is written later. A document that was erased since is read from the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from collab import bases, paths, text
from collab.contents import Stored
from collab.errors import NotFound
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position
from collab.store.base import DocumentKind, LineEnding, Project, Row, Store
from collab.workspace import Workspace
from snapshots import journal
from snapshots.remotes.base import CommitSha, GitRemote, Remotes, TreeEntry
from snapshots.snapshot import Change, Snapshot
from snapshots.trees import SUBMODULE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """A file as it stood. `document` and `position`, with who wrote it last and when, are None when only git knows it."""

    path: Path
    kind: DocumentKind
    mode: int
    sha: BlobSha
    size: int
    eol: LineEnding = "lf"
    bom: bool = False
    document: DocumentId | None = None
    position: Position | None = None
    at: Millis | None = None
    by: ActorId | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    document: DocumentId
    position: Position
    sha: BlobSha
    mode: int


class Past:
    def __init__(self, workspace: Workspace, remotes: Remotes) -> None:
        self._workspace, self._remotes = workspace, remotes
        self._store: Store = workspace.store

    async def tree(self, project: Project, commit: CommitSha, prefix: str = "") -> list[Stood]:
        """In the order of the paths' bytes."""
        remote = await self._remotes.of(project)
        entries = {path: each for path, each in (await _tree(remote, commit)).items() if path.startswith(prefix)}
        places = await self._places(project, commit)
        now = {row.path: row for row in await self._store.tree(project.id, prefix=prefix)}
        contents = await _blobs(
            remote,
            (each.sha for path, each in entries.items() if each.mode != SUBMODULE and not _same(now.get(path), each)),
        )
        found = []
        for path in sorted(entries, key=paths.to_bytes):
            entry, row = entries[path], now.get(path)
            known = _as_now(row, entry) if row is not None and _same(row, entry) else None
            stood = known or _from_git(path, entry, contents.get(entry.sha, b""))
            found.append(await self._placed(stood, places.get(path), row))
        return found

    async def file(self, project: Project, path: Path, commit: CommitSha) -> tuple[Stood, bytes | None]:
        """The journal is asked first, because it is near; then the repository. None for the bytes of a large file that lie
        among the objects (collab.contents)."""
        snapshots = await journal.snapshots(self._store, project.id)
        place = _named(snapshots, commit, path)
        if place is not None and (row := await self._store.document(place.document)) is not None:
            file = await self._workspace.contents.open_position(row, place.position)
            if isinstance(file, Stored):
                stood = Stood(path=path, kind=file.row.kind, mode=place.mode, sha=place.sha, size=file.row.size)
                return await self._placed(stood, place, row), None
            stood = _from_git(path, TreeEntry(place.sha, place.mode), file.content)
            return await self._placed(stood, place, row), file.content
        remote = await self._remotes.of(project)
        entry = (await _tree(remote, commit)).get(path)
        if entry is None:
            raise NotFound(f"the commit {commit} has no file {path!r}", field="path")
        content = b"" if entry.mode == SUBMODULE else (await _blobs(remote, [entry.sha])).get(entry.sha, b"")
        base = _place_of(await bases.base(self._store, project.id, path))
        return await self._placed(_from_git(path, entry, content), base, None), content

    async def _places(self, project: Project, commit: CommitSha) -> dict[Path, _Place]:
        """What the bases say, and over it, in their order, what the snapshots up to the commit say."""
        known = await bases.bases(self._store, project.id)
        found = {path: _Place(base.document, base.position, base.sha, base.mode) for path, base in known.items()}
        for snapshot in _upto(await journal.snapshots(self._store, project.id), commit):
            for each in snapshot.files:
                if each.origin is not None:
                    found.pop(paths.parse(each.origin), None)
                if (place := _place(each)) is not None:
                    found[paths.parse(each.path)] = place
        return found

    async def _placed(self, stood: Stood, place: _Place | None, row: Row | None) -> Stood:
        """With its document and position, if what is known of them is of these bytes."""
        if place is None or (place.sha, place.mode) != (stood.sha, stood.mode):
            return stood
        at, by = None, None
        if row is not None and (row.id, row.head) == (place.document, place.position):
            at, by = row.updated_at, row.updated_by
        else:
            before = Position(place.position - 1)
            for logged in await self._store.entries(place.document, before, place.position):
                at, by = logged.at, logged.entry.actor
        if at is None:
            return stood
        return replace(stood, document=place.document, position=place.position, at=at, by=by)


async def _tree(remote: GitRemote, commit: CommitSha) -> Mapping[Path, TreeEntry]:
    try:
        return await remote.tree(commit)
    except NotFound as error:
        raise NotFound(f"there is no commit {commit} in this project", field="at") from error


async def _blobs(remote: GitRemote, shas: Iterable[BlobSha]) -> dict[BlobSha, bytes]:
    return {sha: content async for sha, content in remote.blobs(list(dict.fromkeys(shas)))}


def _upto(snapshots: Iterable[Snapshot], commit: CommitSha) -> list[Snapshot]:
    """Those that the commit stands on, the oldest first, itself the last; none, if Quire did not make it."""
    by_commit = {each.commit: each for each in snapshots if each.state == "done" and each.commit is not None}
    found: list[Snapshot] = []
    at: str | None = commit
    while at is not None and (each := by_commit.pop(at, None)) is not None:
        found.append(each)
        # What merges another commit changed the tree of that one.
        at = each.merges or each.parent
    return found[::-1]


def _named(snapshots: Iterable[Snapshot], commit: CommitSha, path: Path) -> _Place | None:
    """None: nothing is known of the path, or it was not there."""
    shown = paths.show(path)
    for snapshot in reversed(_upto(snapshots, commit)):
        for each in snapshot.files:
            if each.path == shown:
                return _place(each)
            if each.origin == shown:
                return None
    return None


def _place(each: Change) -> _Place | None:
    return None if each.sha is None else _Place(each.document, each.position, each.sha, each.mode)


def _place_of(base: bases.Base | None) -> _Place | None:
    return None if base is None else _Place(base.document, base.position, base.sha, base.mode)


def _same(row: Row | None, entry: TreeEntry) -> bool:
    return row is not None and (row.sha, row.mode) == (entry.sha, entry.mode)


def _as_now(row: Row, entry: TreeEntry) -> Stood:
    return Stood(path=row.path, kind=row.kind, mode=entry.mode, sha=entry.sha, size=row.size, eol=row.eol, bom=row.bom)


def _from_git(path: Path, entry: TreeEntry, content: bytes) -> Stood:
    kind = text.classify(content, entry.mode)
    opened = text.open_bytes(content) if kind == "text" else None
    shape = text.Shape("lf", False) if opened is None else opened[1]
    return Stood(path=path, kind=kind, mode=entry.mode, sha=entry.sha, size=len(content), eol=shape.eol, bom=shape.bom)
