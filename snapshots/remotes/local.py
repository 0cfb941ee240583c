"""GitRemote as a bare repository on this machine's disk, through dulwich. ADAPTER.

Durable by order: blobs and trees, then the commit, then their directories are fsynced, and only then is the branch moved,
by compare-and-swap under git's own lock file. All of it happens in worker threads, one operation of a repository at a
time; the repository is opened anew for each, so that a push from outside and a `git gc` are seen.

A few objects become loose files, many become a pack; when loose ones have piled up they are packed. What
a process that died left half-written is removed when a repository is first used; a lock file that nobody has touched for
`STALE_LOCK` seconds is broken (git holds one for milliseconds).
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import secrets
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
from dulwich.config import ConfigFile
from dulwich.diff_tree import TreeChange
from dulwich.errors import MissingCommitError
from dulwich.file import FileLocked
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.refs import DiskRefsContainer, Ref, check_ref_format
from dulwich.repo import Repo
from dulwich.walk import WalkEntry, Walker

from collab import paths
from collab.errors import Conflict, Invalid, NotFound, Unavailable
from collab.ids import BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import Project
from snapshots import trees
from snapshots.packs.refs import Refs, Update
from snapshots.packs.repository import read_refs
from snapshots.remotes.base import Author, Blobs, BranchMoved, CommitSha, Made, NewCommit, Placed, TreeEntry, TreeSha

DEFAULT_BRANCH: Final = "main"

QUARANTINE: Final = ".quarantine"
"""The folder, in a repository, of pushes that do not count yet."""

LOOSE_AT_MOST: Final = 100
"""Objects of one write that become loose files; more than that become a pack."""

PACK_LOOSE_ABOVE: Final = 3_000
"""Loose objects in a repository before they are packed."""

BATCH_BYTES: Final = 8 << 20
BATCH_BLOBS: Final = 1_000
"""What is held in memory of the blobs that a commit brings."""

AUTHORS_OF: Final = 1_000
"""Commits that are looked through for who wrote a file."""

LOCK_PATIENCE: Final = 5.0
STALE_LOCK: Final = 10.0
"""Seconds to wait for somebody else's lock on the branch; seconds after which nobody can be holding it any more."""

_SHA: Final = re.compile(rb"[0-9a-f]{40}")

Step = Callable[[str], None]
"""Called with the name of each step that is about to be passed; the tests die there."""

T = TypeVar("T")


Moved = Callable[[pathlib.Path], None]
"""Called, in any thread, with the repository whose branch is about to move, has moved, or is seen to have been moved."""


Writer = Callable[[pathlib.Path, NewCommit, Mapping[BlobSha, tuple[DocumentId, Position]]], Coroutine[Any, Any, Made]]
"""Writes what `LocalRemote.write` does into the repository, elsewhere: a large commit is work that would be felt here."""

BESIDE_FROM: Final = 50
"""Files of a commit from which on somebody else writes it, where there is somebody."""


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


def nobody_asks(path: pathlib.Path) -> None:
    """Nobody wants to know what has moved."""


class LocalRemote:
    """See the module. `path` is the bare repository; it is made when it is not there."""

    def __init__(
        self,
        path: pathlib.Path,
        branch: str = DEFAULT_BRANCH,
        *,
        step: Step = no_step,
        lock: anyio.Lock | None = None,
        moved: Moved = nobody_asks,
        writer: Writer | None = None,
    ) -> None:
        if not check_ref_format(Ref(b"refs/heads/" + branch.encode())):
            raise Invalid(f"{branch!r} is no name for a branch", field="branch")
        self.path = path
        self.branch = branch
        self._step = step
        self._lock = lock or anyio.Lock()
        self._moved = moved
        self._writer = writer
        self._seen: bytes | None = None
        self.owner: ProjectId | None = None

    def on(self, branch: str) -> LocalRemote:
        other = LocalRemote(self.path, branch, step=self._step, lock=self._lock, moved=self._moved, writer=self._writer)
        other.owner = self.owner
        return other

    async def begin(self, at: CommitSha) -> CommitSha:
        return await self._run(lambda: self._begin(at))

    def covers(self, path: Path) -> bool:
        return True

    async def head(self) -> CommitSha | None:
        """Does not wait for a commit that is under way."""
        # Nothing there may mean that the repository is just being moved: only under the lock is it certain.
        return await anyio.to_thread.run_sync(self._peek) or await self._run(self._head)

    async def refs(self) -> Refs:
        """What others may see of all its branches and tags."""
        return await self._run(self._read_refs)

    async def update(self, change: Update) -> bool:
        """One ref, by compare-and-swap: whether it stood where the change says, and was moved. What it names is there."""
        old, new = (None if each is None else each.hex() for each in (change.old, change.new))
        return await self._run(lambda: self._swap(Ref(change.ref), old, new))

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        return await self._run(lambda: self._read_tree(commit))

    async def tree_below(self, commit: CommitSha, folder: str) -> Mapping[Path, TreeEntry]:
        return await self._run(lambda: self._read_below(commit, folder))

    async def tree_sha(self, commit: CommitSha) -> TreeSha:
        return await self._run(lambda: self._tree_sha(commit))

    async def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        for sha in shas:
            yield sha, await self._run(lambda sha=sha: self._blob(sha))  # type: ignore[misc]

    async def commit(self, new: NewCommit, blob: Blobs) -> Made:
        async with self._lock:
            await anyio.to_thread.run_sync(self._expect, new.parent)
            if self._writer is not None and isinstance(blob, Placed) and len(new.writes) >= BESIDE_FROM:
                made = await self._writer(self.path, new, blob.places)
            else:
                made = await self.write(new, blob)
            await anyio.to_thread.run_sync(self._move, new.parent, made.commit)
            return made

    async def write(self, new: NewCommit, blob: Blobs) -> Made:
        """Everything of a commit but that the branch moves to it. Under the lock."""
        await anyio.to_thread.run_sync(self._pack, PACK_LOOSE_ABOVE)
        missing = await anyio.to_thread.run_sync(self._missing, new)
        await self._write_blobs(missing, blob)
        return await anyio.to_thread.run_sync(self._write_trees, new)

    async def find(self, trailer: str, *, since: CommitSha | None) -> CommitSha | None:
        return await self._run(lambda: self._find(trailer.encode(), since))

    async def authors(self, wanted: Set[Path], *, since: CommitSha | None, until: CommitSha) -> Mapping[Path, Author]:
        return await self._run(lambda: self._authors(wanted, since, until))

    async def contains(self, head: CommitSha, commit: CommitSha) -> bool:
        return await self._run(lambda: self._contains(head, commit))

    async def pack(self, *, above: int = PACK_LOOSE_ABOVE) -> int:
        """Packs the loose objects when there are more than `above`; how many it packed."""
        return await self._run(lambda: self._pack(above))

    def clone_command(self) -> str:
        return f"git clone {shlex.quote(str(self.path.absolute()))}"

    def described(self) -> Mapping[str, object]:
        path = str(self.path.absolute())
        return {
            "kind": "git",
            "repository": path,
            "path": path,
            "branch": self.branch,
            "clone": self.clone_command(),
        }

    @property
    def hosted(self) -> None:
        """A repository on a disk has no host."""

    def held(self) -> AbstractAsyncContextManager[object]:
        """No operation runs inside."""
        return self._lock

    async def aclose(self) -> None:
        """Nothing is held open between operations; waits for the one that runs."""
        async with self._lock:
            return

    async def _run(self, work: Callable[[], T]) -> T:
        async with self._lock:
            return await anyio.to_thread.run_sync(work)

    async def _write_blobs(self, missing: Sequence[BlobSha], blob: Blobs) -> None:
        batch: list[ShaFile] = []
        held = 0
        for sha in missing:
            content = await blob(sha)
            made = Blob.from_string(content)
            if made.id.decode() != sha:
                raise Invalid(f"the content given for blob {sha} is {made.id.decode()}")
            batch.append(made)
            held += len(content)
            if held >= BATCH_BYTES or len(batch) >= BATCH_BLOBS:
                await anyio.to_thread.run_sync(self._write, batch)
                batch, held = [], 0
        await anyio.to_thread.run_sync(self._write, batch)
        self._step("blobs written")

    # What follows runs in worker threads, under the lock.

    @contextlib.contextmanager
    def _objects(self) -> Iterator[DiskObjectStore]:
        self._ensure()
        store = DiskObjectStore(str(self.path / "objects"), fsync_object_files=True)
        try:
            yield store
        finally:
            store.close()

    def _refs(self) -> DiskRefsContainer:
        return DiskRefsContainer(str(self.path))

    @property
    def _ref(self) -> Ref:
        return Ref(b"refs/heads/" + self.branch.encode())

    def _ensure(self) -> None:
        if not (self.path / "HEAD").exists():
            init(self.path, self.branch, owner=self.owner)

    def _read_refs(self) -> Refs:
        self._ensure()
        return read_refs(self.path)

    def _head(self) -> CommitSha | None:
        self._ensure()
        return self._peek()

    def _peek(self) -> CommitSha | None:
        found = self._refs().read_ref(self._ref)
        if found != self._seen:
            self._seen = found
            self._moved(self.path)
        if found and not _SHA.fullmatch(found):
            raise self._damaged(f"refs/heads/{self.branch} holds no commit's id")
        return CommitSha(found.decode()) if found else None

    def _damaged(self, how: str) -> Unavailable:
        return Unavailable(
            f"The repository {self.path} is damaged: {how}. Every edit is kept here: put the repository back from a backup, or "
            "move it away and connect the project to it again (quire connect); the next commit begins it anew."
        )

    def _begin(self, at: CommitSha) -> CommitSha:
        self._tree_sha(at)
        with contextlib.suppress(BranchMoved):
            self._move(None, at)
        found = self._head()
        assert found is not None  # it was made just now, or stood there
        return found

    def _expect(self, parent: CommitSha | None) -> None:
        if (found := self._head()) != parent:
            raise BranchMoved(self.branch, parent, found)

    def _missing(self, new: NewCommit) -> list[BlobSha]:
        wanted = {entry.sha for entry in new.writes.values() if entry.mode != trees.SUBMODULE}
        with self._objects() as store:
            return [sha for sha in sorted(wanted) if ObjectID(sha.encode()) not in store]

    def _write(self, objects: Sequence[ShaFile]) -> None:
        if not objects:
            return
        with self._objects() as store:
            write(store, objects)

    def _write_trees(self, new: NewCommit) -> Made:
        with self._objects() as store:
            onto = new.merges or new.parent
            root = tree_sha_in(store, onto) if onto is not None else None
            rebuilt = trees.rebuild(root, new.writes, new.deletes, lambda sha: raw_in(store, sha))
            made = _commit_object(new, rebuilt.root)
            fresh: list[ShaFile] = [
                Tree.from_string(content)
                for sha, content in rebuilt.objects.items()
                if ObjectID(sha.encode()) not in store
            ]
            self._step("trees made")
            write(store, [*fresh, made])
            self._step("objects written")
            sync_directory(self.path / "objects")
        return Made(CommitSha(made.id.decode()), rebuilt.root)

    def _move(self, parent: CommitSha | None, commit: CommitSha) -> None:
        """Moves the branch from `parent` to `commit`, or not at all."""
        if not self._swap(self._ref, parent, commit):
            raise BranchMoved(self.branch, parent, self._head())
        self._step("branch moved")

    def _swap(self, ref: Ref, old: str | None, new: str | None) -> bool:
        """Whether the ref stood at `old` and was moved."""
        self._moved(self.path)
        give_up = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                moved = swap(self._refs(), ref, old, new)
                break
            except FileLocked as locked:
                _break_stale(pathlib.Path(os.fsdecode(locked.lockfilename)))
                if time.monotonic() > give_up:
                    raise Unavailable(f"somebody else holds the lock of {os.fsdecode(ref)}") from locked
                time.sleep(0.02)
        self._moved(self.path)
        folder = (self.path / os.fsdecode(ref)).parent
        sync_directory(folder if folder.is_dir() else self.path)
        return moved

    def _read_tree(self, commit: CommitSha) -> dict[Path, TreeEntry]:
        with self._objects() as store:
            return tree_in(store, commit)

    def _read_below(self, commit: CommitSha, folder: str) -> dict[Path, TreeEntry]:
        with self._objects() as store:
            return dict(trees.below(tree_sha_in(store, commit), folder, lambda sha: raw_in(store, sha)))

    def _tree_sha(self, commit: CommitSha) -> TreeSha:
        with self._objects() as store:
            return tree_sha_in(store, commit)

    def _blob(self, sha: BlobSha) -> bytes:
        with self._objects() as store:
            return raw_in(store, sha)

    def _find(self, trailer: bytes, since: CommitSha | None) -> CommitSha | None:
        head = self._refs().read_ref(self._ref)
        if not head:
            return None
        with self._objects() as store:
            known = since is not None and ObjectID(since.encode()) in store
            exclude = [ObjectID(since.encode())] if since is not None and known else []
            try:
                for entry in Walker(store, [ObjectID(head)], exclude=exclude):
                    if trailer in entry.commit.message.splitlines():
                        return CommitSha(entry.commit.id.decode())
            except MissingCommitError as lost:
                raise self._damaged(f"it lacks a commit ({lost})") from lost
        return None

    def _authors(self, wanted: Set[Path], since: CommitSha | None, until: CommitSha) -> dict[Path, Author]:
        waiting = {paths.to_bytes(path): path for path in wanted}
        found: dict[Path, Author] = {}
        with self._objects() as store:
            exclude = [ObjectID(since.encode())] if since is not None and ObjectID(since.encode()) in store else []
            for entry in Walker(store, [ObjectID(until.encode())], exclude=exclude, max_entries=AUTHORS_OF):
                for change in _changes(entry):
                    for side in (change.new, change.old):
                        path = None if side is None or side.path is None else waiting.pop(side.path, None)
                        if path is not None:
                            found[path] = _author(entry.commit)
                if not waiting:
                    break
        return found

    def _contains(self, head: CommitSha, commit: CommitSha) -> bool:
        # Without looking at dates, which need not grow from parent to child.
        with self._objects() as store:
            wanted, waiting = ObjectID(commit.encode()), [ObjectID(head.encode())]
            known = set(waiting)
            while waiting:
                if (sha := waiting.pop()) == wanted:
                    return wanted in store
                parents = _parents(store, sha)
                waiting.extend(each for each in parents if each not in known)
                known.update(parents)
        return False

    def _pack(self, above: int) -> int:
        with self._objects() as store:
            if store.count_loose_objects() <= above:
                return 0
            loose = loose_objects(self.path / "objects")
            pack(store, loose)
            for sha in loose:
                store.delete_loose_object(sha)
            return len(loose)


class LocalRemotes:
    """The bare repositories of all projects, as `{name}.git` in one folder.

    Which project a repository belongs to stands in its own config (`quire.project`), so that it follows its project to
    another name, and a new project never adopts the repository of an old one: that is set aside as `{name}.{id}.git`.

    `moves` counts, for each folder, how often its branches were moved, or seen to be, before the move and after it: equal counts at
    two moments say that nothing moved in between that was not under way at both.
    """

    def __init__(self, root: pathlib.Path, *, step: Step = no_step, writer: Writer | None = None) -> None:
        self.root = root
        self._step = step
        self._writer = writer
        self._started = time.time()
        self.moves: dict[str, int] = {}
        self._open: dict[ProjectId, LocalRemote] = {}
        self._lock = anyio.Lock()

    async def of(self, project: Project) -> LocalRemote:
        """The project's repository; made when there is none, moved when the project has another name."""
        path = self.root / f"{project.name}.git"
        found = self._open.get(project.id)
        if found is not None and found.path == path:
            return found
        async with self._lock:
            if found is not None and self._open.get(project.id) is found:
                # Whoever holds it goes on with it, at its new place.
                async with found.held():
                    await anyio.to_thread.run_sync(self._place, project, path)
                    found.path = path
                return found
            await anyio.to_thread.run_sync(self._place, project, path)
            branch = await anyio.to_thread.run_sync(head_branch, path)
            made = LocalRemote(path, branch, step=self._step, moved=self._moved, writer=self._writer)
            made.owner = project.id  # also when it has to be made anew
            self._open[project.id] = made
            return made

    def incoming(self, job: str) -> pathlib.Path:
        """Where the repository of an import is put together."""
        return self.root / f".import-{job}"

    async def adopt(self, project: Project, job: str) -> LocalRemote:
        """What `incoming(job)` holds becomes the project's repository, if that has no commits. Done twice it is done once."""
        async with self._lock:
            await anyio.to_thread.run_sync(self._adopt, project, self.incoming(job))
            self._open.pop(project.id, None)
        return await self.of(project)

    async def discard(self, job: str) -> None:
        """What `incoming(job)` holds is not wanted."""
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(self.incoming(job), ignore_errors=True))

    async def remove(self, project: ProjectId) -> None:
        """The repository of a project that is gone."""
        async with self._lock:
            self._open.pop(project, None)
            await anyio.to_thread.run_sync(self._remove, project)

    async def aclose(self) -> None:
        for remote in self._open.values():
            await remote.aclose()

    def _moved(self, path: pathlib.Path) -> None:
        self.moves[path.name] = self.moves.get(path.name, 0) + 1

    def _place(self, project: Project, path: pathlib.Path) -> None:
        self._moved(path)
        if path.exists() and (owner := owner_of(path)) != project.id:
            aside = path.with_name(f"{project.name}.{owner or 'unknown'}.git")
            while aside.exists():
                aside = aside.with_name(f"{project.name}.{owner or 'unknown'}-{secrets.token_hex(4)}.git")
            path.rename(aside)
        if not path.exists() and (known := self._find(project.id)) is not None:
            known.rename(path)
            self._moved(known)
        if not path.exists():
            init(path, owner=project.id)
        sweep(path, before=self._started)
        sync_directory(self.root)

    def _adopt(self, project: Project, incoming: pathlib.Path) -> None:
        if not incoming.exists():
            return
        path = self.root / f"{project.name}.git"
        self._place(project, path)
        if DiskRefsContainer(str(path)).allkeys() - {b"HEAD"}:
            raise Conflict(f"project {project.name} has commits of its own")
        shutil.rmtree(path)
        own(incoming, project.id)
        incoming.rename(path)
        self._moved(path)
        sync_directory(self.root)

    def _find(self, project: ProjectId) -> pathlib.Path | None:
        found = (each for each in self.root.glob("*.git") if not each.name.startswith("."))
        return next((each for each in found if owner_of(each) == project), None)

    def _remove(self, project: ProjectId) -> None:
        if (known := self._find(project)) is not None:
            going = known.with_name(f".{known.name}.removed")
            shutil.rmtree(going, ignore_errors=True)
            known.rename(going)
            self._moved(known)
            shutil.rmtree(going)


def _changes(entry: WalkEntry) -> Iterator[TreeChange]:
    """Of a merge what is none of its parents'."""
    for each in entry.changes():
        yield from (change for change in (each if isinstance(each, list) else [each]) if change is not None)


def _author(commit: Commit) -> Author:
    name, _, rest = commit.author.decode("utf-8", "replace").partition(" <")
    return Author(name, rest.rstrip(">"))


def init(path: pathlib.Path, branch: str = DEFAULT_BRANCH, *, owner: ProjectId | None = None) -> None:
    """A bare repository whose HEAD points at `branch`; it appears whole or not at all."""
    making = path.with_name(f".{path.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    Repo.init_bare(str(making), default_branch=branch.encode()).close()
    if owner is not None:
        own(making, owner)
    making.rename(path)
    sync_directory(path.parent)


def own(path: pathlib.Path, project: ProjectId) -> None:
    config = ConfigFile.from_path(str(path / "config"))
    config.set((b"quire",), b"project", project.encode())
    config.write_to_path(str(path / "config"))


def owner_of(path: pathlib.Path) -> ProjectId | None:
    try:
        return ProjectId(ConfigFile.from_path(str(path / "config")).get((b"quire",), b"project").decode())
    except (KeyError, FileNotFoundError):
        return None


def sweep(path: pathlib.Path, *, before: float) -> None:
    """Removes what a process that died was writing: half a pack, a push that did not count yet, and the lock files of dulwich,
    which would stand in the way of the same object for ever. `before`: when this process began (seconds since the epoch); nobody holds a lock so long."""
    left = [
        *(path / "objects" / "pack").glob("tmp*.pack"),
        *(path / "objects").glob("*/*.lock"),
        *(path / "refs").rglob("*.lock"),
    ]
    for each in left:
        with contextlib.suppress(FileNotFoundError):
            if each.stat().st_mtime < before:
                each.unlink()
    for each in (path / QUARANTINE).glob("*"):
        if each.stat().st_mtime < before:
            shutil.rmtree(each, ignore_errors=True)


def loose_objects(objects: pathlib.Path) -> list[ObjectID]:
    found = (each for folder in objects.glob("[0-9a-f][0-9a-f]") for each in folder.iterdir())
    return [ObjectID((each.parent.name + each.name).encode()) for each in found if len(each.name) == 38]


def head_branch(path: pathlib.Path) -> str:
    """The branch that HEAD of the repository at `path` points at; the default one when HEAD is detached."""
    found = DiskRefsContainer(str(path)).read_loose_ref(Ref(b"HEAD")) or b""
    prefix = b"ref: refs/heads/"
    return found.removeprefix(prefix).decode() if found.startswith(prefix) else DEFAULT_BRANCH


def swap(refs: DiskRefsContainer, ref: Ref, old: str | None, new: str | None) -> bool:
    """Whether the ref stood at `old` and was moved to `new` (None: it is not there); a move that has already happened is
    no move."""
    if new is None:
        return (
            old is not None
            and refs.read_ref(ref) == old.encode()
            and refs.remove_if_equals(ref, ObjectID(old.encode()))
        )
    if old is None:
        return refs.add_if_new(ref, ObjectID(new.encode()))
    return refs.set_if_equals(ref, ObjectID(old.encode()), ObjectID(new.encode()))


def write(store: DiskObjectStore, objects: Sequence[ShaFile]) -> None:
    """Makes `objects` durable, their directories included."""
    root = pathlib.Path(os.fspath(store.path))
    if len(objects) > LOOSE_AT_MOST:
        store.add_objects([(each, None) for each in objects])
        sync_directory(root / "pack")
        return
    for each in objects:
        store.add_object(each)
    for folder in {each.id[:2].decode() for each in objects}:
        sync_directory(root / folder)


def pack(
    store: DiskObjectStore,
    shas: Sequence[ObjectID],
    *,
    source: DiskObjectStore | None = None,
    bytes_at_most: int = 32 << 20,
) -> None:
    """Copies objects of `source` (else of the store itself) into packs of bounded size."""
    found = source or store
    batch: list[ShaFile] = []
    held = 0
    for sha in shas:
        batch.append(found[sha])
        held += batch[-1].raw_length()
        if held >= bytes_at_most or len(batch) >= 10_000:
            store.add_objects([(each, None) for each in batch])
            batch, held = [], 0
    if batch:
        store.add_objects([(each, None) for each in batch])
    sync_directory(pathlib.Path(os.fspath(store.path)) / "pack")


def _commit_object(new: NewCommit, root: TreeSha) -> Commit:
    made = Commit()
    made.tree = ObjectID(root.encode())
    made.parents = [ObjectID(each.encode()) for each in (new.parent, new.merges) if each is not None]
    made.author = made.committer = f"{new.author.name} <{new.author.email}>".encode()
    made.author_time = made.commit_time = new.at
    made.author_timezone = made.commit_timezone = 0
    made.message = new.message.encode("utf-8", "surrogateescape")
    return made


def tree_sha_in(store: DiskObjectStore, commit: CommitSha) -> TreeSha:
    found = _object(store, commit)
    if not isinstance(found, Commit):
        raise NotFound(f"{commit} is no commit of this repository")
    return TreeSha(found.tree.decode())


def tree_in(store: DiskObjectStore, commit: CommitSha) -> dict[Path, TreeEntry]:
    """Every file of a commit."""
    return dict(trees.walk(tree_sha_in(store, commit), lambda sha: raw_in(store, sha)))


def _object(store: DiskObjectStore, sha: str) -> ShaFile:
    try:
        return store[ObjectID(sha.encode())]
    except KeyError:
        raise NotFound(f"the repository has no object {sha}") from None


def _parents(store: DiskObjectStore, sha: ObjectID) -> list[ObjectID]:
    """None of what the repository does not have."""
    try:
        found = store[sha]
    except KeyError:
        return []
    return found.parents if isinstance(found, Commit) else []


def raw_in(store: DiskObjectStore, sha: str) -> bytes:
    try:
        return store.get_raw(ObjectID(sha.encode()))[1]
    except KeyError:
        raise NotFound(f"the repository has no object {sha}") from None


def sync_directory(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _break_stale(lock: pathlib.Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > STALE_LOCK:
            lock.unlink()
