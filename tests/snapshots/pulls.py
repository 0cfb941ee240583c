"""What tests of pulls have in common: bob's clone, and the looks at what became of a pull."""

from __future__ import annotations

import pathlib

from collab import conflicts
from collab.conflicts import FileConflict
from snapshots.puller import Pulled
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, House

TEN = "".join(f"line {number}\n" for number in range(10))


class Copy:
    """A clone in which bob works with git."""

    def __init__(self, home: House, folder: pathlib.Path) -> None:
        self.home = home
        self.folder = folder

    def fresh(self) -> Copy:
        if self.folder.exists():
            git(self.folder, "fetch", "--quiet", "--prune")
            git(self.folder, "reset", "--quiet", "--hard", "origin/main")
        else:
            git(self.folder.parent, "clone", "--quiet", str(self.home.repository), self.folder.name)
        return self

    def write(self, path: str, content: str | bytes) -> Copy:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def run(self, *arguments: str) -> Copy:
        git(self.folder, *arguments)
        return self

    def commit(self, author: str) -> Copy:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "-m", "edit", f"--author={author}")
        return self

    def push(self, *options: str) -> str:
        sha = commit_all(self.folder)
        git(self.folder, "push", "--quiet", *options, "origin", "HEAD:main")
        return sha


async def committed(home: House, **files: str | bytes) -> None:
    for path, content in files.items():
        await home.write(path.replace("__", "/").replace("_", "."), content)
    made = await home.snapshotter.snapshot(home.project)
    assert made.state == "done", made.detail


async def pull(home: House) -> Pulled:
    """And once more, which changes nothing."""
    pulled = await home.snapshotter.pull(home.project)
    before = await everything(home)
    again = await home.snapshotter.pull(home.project)
    assert again.merged == ()
    assert again.conflicts == pulled.conflicts
    assert await everything(home) == before
    return pulled


async def everything(home: House) -> object:
    rows = await home.store.tree_with_deleted(home.project.id)
    collections = ("bases", "conflicts", "conflicts-ended", "branches")
    records = [await home.store.records(each, home.project.id) for each in collections]
    return sorted((row.id, row.path, row.head, row.sha, row.deleted_at) for row in rows), records


async def conflict(home: House) -> FileConflict:
    (found,) = await conflicts.still_open(home.store, home.project.id)
    return found


async def all_of(home: House) -> list[FileConflict]:
    open_ = await conflicts.still_open(home.store, home.project.id)
    return [*open_, *await conflicts.ended(home.store, home.project.id)]


async def ended(home: House, found: FileConflict) -> tuple[str, str]:
    known = await conflicts.conflict(home.store, home.project.id, found.id)
    assert known is not None
    assert known.ended_at == home.clock.now
    return known.state, known.taken


async def settle(home: House, take: str) -> None:
    await home.snapshotter.settling.settle(home.project, (await conflict(home)).id, take=take, actor=ALICE)  # type: ignore[arg-type]


async def goes_out(home: House) -> None:
    """The next commit is a fast-forward of what was pushed, holds what is live, and then nothing is left."""
    before = git(home.repository, "rev-parse", "main")
    await home.snapshotter.snapshot(home.project)
    git(home.repository, "merge-base", "--is-ancestor", before, "main")
    assert git(home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""
    names = git(home.repository, "ls-tree", "-rz", "--name-only", "main").split("\0")
    assert sorted(filter(None, names)) == sorted(await home.files())
    assert await home.workspace.changed(home.project) == []
