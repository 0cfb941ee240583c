"""GitRemote as a git repository that somebody else keeps on this machine's disk, through dulwich. ADAPTER.

As `LocalRemote`, but it is not ours: it is never made, never packed, and what a process that died left in it is left alone.
A repository with a working tree keeps the branches that are checked out for those who work there (git itself refuses such a
push): commits go to another branch, unless the repository's own `receive.denyCurrentBranch` says `ignore` or `warn`.

What breaks it: hooks of that repository do not run.
"""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import anyio
from dulwich.config import ConfigFile
from dulwich.refs import DiskRefsContainer

from collab.errors import Invalid
from snapshots.remotes.base import CommitSha
from snapshots.remotes.local import LocalRemote, Step, head_branch, no_step
from snapshots.remotes.refusals import RemoteForbidden, RemoteGone

HEADS: Final = b"refs/heads/"


@dataclass(frozen=True, slots=True)
class Located:
    """A repository, as it is now. `shown` is what people call it, `path` where its objects and refs lie; `checked_out`: the
    branches that its working trees have."""

    shown: pathlib.Path
    path: pathlib.Path
    default: str
    branches: frozenset[str]
    checked_out: frozenset[str]


def locate(given: pathlib.Path) -> Located:
    """`RemoteGone` when there is no repository, `Invalid` when it is of a kind that cannot be used."""
    if not given.is_absolute():
        raise Invalid(f"{given} is no absolute path: give one that begins with /", field="repository")
    shown = pathlib.Path(os.path.realpath(given))
    inside = shown / ".git"
    if inside.is_file():
        raise Invalid(
            f"{shown} is a working tree of a repository that lies elsewhere: give that repository", field="repository"
        )
    path = inside if inside.is_dir() else shown
    if not ((path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()):
        raise RemoteGone(
            f"There is no git repository at {shown}: make one with `git init --bare`, or give another path."
        )
    config = ConfigFile.from_path(str(path / "config")) if (path / "config").is_file() else ConfigFile()
    _check(shown, config)
    branches = frozenset(
        ref.removeprefix(HEADS).decode("utf-8", "replace")
        for ref in DiskRefsContainer(str(path)).allkeys()
        if ref.startswith(HEADS)
    )
    checked_out = frozenset(_checked_out(path, config))
    return Located(pathlib.Path(shown), path, head_branch(path), branches, checked_out)


def _check(shown: pathlib.Path, config: ConfigFile) -> None:
    for name, good in ((b"objectformat", b"sha1"), (b"refstorage", b"files")):
        if (found := _get(config, b"extensions", name)) not in (None, good):
            raise Invalid(
                f"{shown} keeps its {name.decode()} as {(found or b'').decode(errors='replace')}, which Quire cannot read: "
                f"give a repository with {good.decode()}",
                field="repository",
            )


def _checked_out(path: pathlib.Path, config: ConfigFile) -> Iterator[str]:
    if (_get(config, b"receive", b"denycurrentbranch") or b"").lower() in (b"ignore", b"warn", b"false"):
        return
    if (_get(config, b"core", b"bare") or b"").lower() not in (b"true", b"yes", b"on", b"1"):
        yield head_branch(path)
    for tree in path.glob("worktrees/*/HEAD"):
        yield head_branch(tree.parent)


def _get(config: ConfigFile, section: bytes, name: bytes) -> bytes | None:
    try:
        return config.get((section,), name)
    except KeyError:
        return None


class NeighbourRemote(LocalRemote):
    """See the module. `shown` is where people see it."""

    def __init__(
        self, shown: pathlib.Path, branch: str, *, step: Step = no_step, lock: anyio.Lock | None = None
    ) -> None:
        super().__init__(_objects_of(shown), branch, step=step, lock=lock)
        self.shown = shown

    def on(self, branch: str) -> NeighbourRemote:
        return NeighbourRemote(self.shown, branch, step=self._step, lock=self._lock)

    def clone_command(self) -> str:
        return f"git clone {shlex.quote(str(self.shown))}"

    def described(self) -> Mapping[str, object]:
        return {**super().described(), "repository": str(self.shown), "path": str(self.shown)}

    # In worker threads, under the lock.

    def _ensure(self) -> None:
        if not (self.path / "HEAD").exists():
            raise RemoteGone(
                f"The repository {self.shown} is not there (any more): put it back, or connect to another one."
            )

    def _peek(self) -> CommitSha | None:
        self._ensure()
        return super()._peek()

    def _find(self, trailer: bytes, since: CommitSha | None) -> CommitSha | None:
        self._ensure()
        return super()._find(trailer, since)

    def _expect(self, parent: CommitSha | None) -> None:
        super()._expect(parent)
        check_writable(locate(self.shown), self.branch)

    def _pack(self, above: int) -> int:
        return 0


def check_writable(found: Located, branch: str) -> None:
    """`RemoteForbidden` when commits cannot go there."""
    if branch in found.checked_out:
        raise RemoteForbidden(
            f"The branch {branch} is checked out in {found.shown}, where a commit would change it under the files of whoever "
            "works there: connect to another branch or to a bare repository, or check out another branch there.",
            code="branch_checked_out",
        )
    for folder in (found.path / "objects", found.path / "refs"):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise RemoteForbidden(f"Quire may not write to {folder}: give the user that runs it the permission.")


def _objects_of(shown: pathlib.Path) -> pathlib.Path:
    inside = shown / ".git"
    return inside if inside.is_dir() else shown
