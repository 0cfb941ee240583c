"""Reads a git repository: its history into a bare repository of ours, and the files of its HEAD.

Nothing of the source's configuration is carried out, so that no filter, hook or credential helper of it ever runs. Of a
repository on this machine packs are copied as they are and loose objects are packed, from its alternates too. A
repository that came in an archive has no alternates and no worktree.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from dulwich.client import HTTPUnauthorized, default_urllib3_manager, get_transport_and_path_from_url
from dulwich.config import ConfigFile
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.index import ConflictedIndexEntry, Index, IndexEntry
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag
from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from collab import paths
from collab.errors import Invalid, NotFound, Unavailable
from collab.ids import BlobSha
from snapshots import trees
from snapshots.readers import folder as folders
from snapshots.readers.batches import Batches
from snapshots.remotes.base import TreeEntry, TreeSha
from snapshots.remotes.local import DEFAULT_BRANCH, init, loose_objects, pack, sync_directory
from snapshots.sources import Done, Note, Phase, scrub

ALTERNATES_DEEP: Final = 5
NAMED: Final = 10
"""Uncommitted files that are named; of more than these only the number is told."""

SILENCE: Final = 120.0
"""Seconds without a byte after which a server is given up."""

SKIP_WORKTREE: Final = 0x4000
"""The flag in the index of a file that a sparse checkout leaves out."""

HEADS: Final = "refs/heads/"

_PLAINLY: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (NameResolutionError, "there is no host of that name, or no network"),
    (NewConnectionError, "nothing listens there"),
    (ConnectTimeoutError, "nobody answered in time"),
    (TimeoutError, "nobody answered in time"),
    (ReadTimeoutError, "the server stopped answering"),
    (SSLError, "its certificate is not one that this machine trusts"),
    (HTTPUnauthorized, "it wants a user name and a password, or is not there"),
    (ProtocolError, "the connection was lost"),
    (HangupException, "the server hung up"),
)
"""The narrower first."""


@dataclass(frozen=True)
class Repository:
    """Where the parts of a repository lie. `worktree` is None for a bare one."""

    control: pathlib.Path
    common: pathlib.Path
    worktree: pathlib.Path | None

    @property
    def objects(self) -> pathlib.Path:
        return self.common / "objects"


@dataclass(frozen=True)
class Head:
    branch: str
    commit: ObjectID | None


def read_folder(path: pathlib.Path, bare: pathlib.Path, batches: Batches, *, trusted: bool = True) -> Done:
    """`trusted`: somebody on this machine named the folder, so that its alternates are followed and its worktree is
    compared."""
    repository = opened(path) if trusted else Repository(path, path, None)
    _check_format(repository)
    head = head_of(DiskRefsContainer(str(repository.common), worktree_path=str(repository.control)))
    batches.tell(Phase("history"))
    init(bare, head.branch)
    copy_objects(repository, bare / "objects", follow=trusted)
    if (repository.common / "shallow").is_file():
        shutil.copyfile(repository.common / "shallow", bare / "shallow")
    done, held = _read_head(bare, head, batches)
    if repository.worktree is not None and (changed := uncommitted(repository, repository.worktree, held)):
        batches.tell(Note(_name(changed)))
    return done


def read_url(url: str, bare: pathlib.Path, batches: Batches) -> Done:
    batches.tell(Phase("history"))
    init(bare)
    store = DiskObjectStore(str(bare / "objects"), fsync_object_files=True)
    try:
        with Repo(str(bare), object_store=store) as repo:
            client, path = get_transport_and_path_from_url(url, quiet=True, pool_manager=connections(url))
            found = client.fetch(
                path, repo, lambda refs, depth=None: [sha for name, sha in refs.items() if name == b"HEAD"]
            )
    except NotGitRepository:
        raise NotFound(f"there is no git repository at {scrub(url)}", field="git") from None
    except (HTTPError, GitProtocolError, HangupException, OSError) as error:
        raise Unavailable(f"{scrub(url)} could not be fetched: {scrub(why(error))}", field="git") from error
    commit = found.refs.get(Ref(b"HEAD"))
    target = found.symrefs.get(Ref(b"HEAD"), b"")
    head = Head(_branch(target), ObjectID(commit) if commit else None)
    DiskRefsContainer(str(bare)).set_symbolic_ref(Ref(b"HEAD"), Ref(f"{HEADS}{head.branch}".encode()))
    return _read_head(bare, head, batches)[0]


def why(error: BaseException) -> str:
    """In plain words: what the libraries say of a connection is meant for their authors."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        return why(error.reason)
    wrapped = error.__cause__ or error.__context__
    if isinstance(error, GitProtocolError) and isinstance(wrapped, HTTPError):
        return why(wrapped)
    for kind, said in _PLAINLY:
        if isinstance(error, kind):
            return said
    if isinstance(error, ConnectionError):
        return "the connection was lost, or nothing listens there"
    # urllib3 puts the object that failed before what it has to say.
    return re.sub(r"^<[^>]*>:?\s*|^\w+\(host=[^)]*\):\s*", "", str(error)) or type(error).__name__


def opened(path: pathlib.Path) -> Repository:
    """Finds the parts of the repository at `path`: with `.git` as a folder or as a file, a linked worktree, or bare."""
    dot = path / ".git"
    if dot.is_dir():
        control, worktree = dot, path
    elif dot.is_file():
        control, worktree = path / _pointer(dot, "gitdir: "), path
    else:
        control, worktree = path, None
    common = control / _pointer(control / "commondir") if (control / "commondir").is_file() else control
    if not (common / "objects").is_dir() or not (control / "HEAD").exists():
        raise Invalid(f"{path} is no git repository: it has no HEAD or no objects", field="source")
    return Repository(control, common, worktree)


def head_of(refs: DiskRefsContainer) -> Head:
    names, sha = refs.follow(Ref(b"HEAD"))
    return Head(_branch(names[-1]), ObjectID(sha) if sha else None)


def copy_objects(repository: Repository, target: pathlib.Path, *, follow: bool) -> None:
    """Packs as they are, loose objects packed; all of it durable."""
    for objects in _object_folders(repository.objects, follow):
        for index in sorted((objects / "pack").glob("pack-*.idx")):
            packed = index.with_suffix(".pack")
            if packed.is_file() and not (target / "pack" / packed.name).exists():
                _copy(packed, target / "pack" / packed.name)
                _copy(index, target / "pack" / index.name)
        _pack_loose(objects, target)
    sync_directory(target / "pack")


def uncommitted(repository: Repository, worktree: pathlib.Path, held: Mapping[bytes, TreeEntry]) -> list[bytes]:
    """The paths whose file in the worktree, or in the index, is not what HEAD holds; new files that nothing ignores too."""
    if not (repository.control / "index").is_file():
        return []
    index = dict(Index(str(repository.control / "index")).items())
    changed = {path for path in held if path not in index}
    changed.update(path for path, entry in index.items() if not _clean(worktree, path, entry, held.get(path)))
    found = folders.files(worktree, excludes=repository.common / "info" / "exclude")
    inside = tuple(path + b"/" for path, entry in held.items() if entry.mode == trees.SUBMODULE)
    names = (os.fsencode(name) for name, _ in found)
    changed.update(name for name in names if name not in index and not name.startswith(inside))
    return sorted(changed)


class SameHost(urllib3.PoolManager):
    """Follows redirects within the host of the first address only: whoever let that in has judged its host."""

    host: str | None = None

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        # The library calls this again for every redirect.
        host = urlsplit(url).hostname
        if self.host is not None and host != self.host:
            raise HTTPError(f"it redirects to {host}: give the address there")
        return super().urlopen(method, url, redirect, **options)


class SameHostByProxy(SameHost, urllib3.ProxyManager):
    """The same, where the environment names a proxy."""


def connections(url: str) -> urllib3.PoolManager:
    made = default_urllib3_manager(
        None, pool_manager_cls=SameHost, proxy_manager_cls=SameHostByProxy, base_url=url, timeout=SILENCE
    )
    assert isinstance(made, SameHost)
    made.host = urlsplit(url).hostname
    return made


def _read_head(bare: pathlib.Path, head: Head, batches: Batches) -> tuple[Done, dict[bytes, TreeEntry]]:
    if head.commit is None:
        batches.tell(Phase("files", 0))
        batches.tell(Note("The repository has no commits."))
        return Done(head.branch, None), {}
    store = DiskObjectStore(str(bare / "objects"))
    try:
        commit = _peel(store, head.commit)
        held = {
            paths.to_bytes(path): entry
            for path, entry in trees.walk(TreeSha(commit.tree.decode()), lambda sha: _raw(store, sha, "a folder"))
        }
        batches.tell(Phase("files", len(held)))
        for path, entry in sorted(held.items()):
            content = b"" if entry.mode == trees.SUBMODULE else _raw(store, entry.sha, os.fsdecode(path))
            batches.add(path, entry.mode, content, entry.sha)
    finally:
        store.close()
    _point(bare, head.branch, commit.id)
    return Done(head.branch, commit.id.decode()), held


def _point(bare: pathlib.Path, branch: str, commit: ObjectID) -> None:
    if not DiskRefsContainer(str(bare)).add_if_new(Ref(f"{HEADS}{branch}".encode()), commit):
        raise Invalid(f"the branch {branch} cannot be made", field="source")


def _peel(store: DiskObjectStore, sha: ObjectID) -> Commit:
    found: ShaFile | None = None
    if sha in store:
        found = store[sha]
    while isinstance(found, Tag):
        found = store[found.object[1]]
    if not isinstance(found, Commit):
        raise Invalid(f"HEAD names {sha.decode()}, which is no commit of this repository", field="source")
    return found


def _raw(store: DiskObjectStore, sha: str, name: str) -> bytes:
    try:
        return store.get_raw(ObjectID(sha.encode()))[1]
    except KeyError:
        raise Invalid(
            f"the repository lacks {sha}, which is {paths.show(name)}: fetch it whole (it may be a partial clone)",
            field="source",
        ) from None


def _check_format(repository: Repository) -> None:
    path = repository.common / "config"
    if not path.is_file():
        return
    config = ConfigFile.from_path(str(path))
    for key, taken in ((b"objectformat", b"sha1"), (b"refstorage", b"files")):
        try:
            value = config.get((b"extensions",), key)
        except KeyError:
            continue
        if value.lower() != taken:
            raise Invalid(
                f"the repository's {key.decode()} is {value.decode()}; Quire reads {taken.decode()}", field="source"
            )


def _branch(ref: bytes) -> str:
    name = ref.decode("utf-8", "replace")
    return name.removeprefix(HEADS) if name.startswith(HEADS) else DEFAULT_BRANCH


def _pointer(path: pathlib.Path, prefix: str = "") -> str:
    return path.read_text().strip().removeprefix(prefix.strip()).strip()


def _object_folders(objects: pathlib.Path, follow: bool, depth: int = ALTERNATES_DEEP) -> Iterator[pathlib.Path]:
    yield objects
    listed = objects / "info" / "alternates"
    if not follow or depth == 0 or not listed.is_file():
        return
    for line in listed.read_bytes().splitlines():
        if line and not line.startswith(b"#"):
            yield from _object_folders(objects / os.fsdecode(line), follow, depth - 1)


def _pack_loose(objects: pathlib.Path, target: pathlib.Path) -> None:
    loose = loose_objects(objects)
    if not loose:
        return
    source = DiskObjectStore(str(objects))
    store = DiskObjectStore(str(target), fsync_object_files=True)
    try:
        pack(store, loose, source=source)
    finally:
        source.close()
        store.close()


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.chmod(0o444)


def _clean(
    worktree: pathlib.Path, path: bytes, entry: IndexEntry | ConflictedIndexEntry, there: TreeEntry | None
) -> bool:
    if not isinstance(entry, IndexEntry) or there is None or there.sha != entry.sha.decode():
        return False
    if entry.mode == trees.SUBMODULE or entry.extended_flags & SKIP_WORKTREE:
        return True
    return _same(worktree / os.fsdecode(path), entry)


def _same(path: pathlib.Path, entry: IndexEntry) -> bool:
    """Like git: believes size and time where they match the index, else compares the content (CRLF counts as LF)."""
    try:
        info = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode) != (entry.mode == folders.LINK):
        return False
    if stat.S_ISREG(info.st_mode) and bool(info.st_mode & stat.S_IXUSR) != (entry.mode == folders.SCRIPT):
        return False
    if info.st_size == entry.size and int(info.st_mtime) == _seconds(entry.mtime):
        return True
    content = os.fsencode(path.readlink()) if stat.S_ISLNK(info.st_mode) else path.read_bytes()
    wanted = BlobSha(entry.sha.decode())
    return any(Blob.from_string(each).id.decode() == wanted for each in (content, content.replace(b"\r\n", b"\n")))


def _seconds(time: int | float | tuple[int, int]) -> int:
    return time[0] if isinstance(time, tuple) else int(time)


def _name(changed: list[bytes]) -> str:
    names = ", ".join(paths.show(paths.from_bytes(path)) for path in changed[:NAMED])
    more = f" and {len(changed) - NAMED:,} more" if len(changed) > NAMED else ""
    return f"Not taken, because not committed: {names}{more}."
