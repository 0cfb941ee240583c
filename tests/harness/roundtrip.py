"""A tree of files on its way through Quire: imported from git, held as live documents, and committed anew from those.

After the import the branch is forgotten, the repository and everything that Quire knows of it: so every blob and every tree
of the commit that follows is made of what is live. Git itself says whether it is the same tree.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

import anyio.to_thread

from collab import bases
from collab.store.base import PutRecord
from snapshots import journal
from snapshots.sources import GitFolder
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, House


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """SHAs of trees, as git gives them."""

    before: str
    after: str
    files: int
    documents: int
    """Files that are held as text."""


def repository(folder: pathlib.Path) -> str:
    """The folder as a repository with everything in it committed, byte for byte; the SHA of its tree."""
    git(folder, "-c", "init.defaultBranch=main", "init", "--quiet")
    git(folder, "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Everything")
    return git(folder, "rev-parse", "HEAD^{tree}")


async def round_trip(home: House, folder: pathlib.Path) -> RoundTrip:
    """Of a folder that is a repository."""
    before = await anyio.to_thread.run_sync(git, folder, "rev-parse", "HEAD^{tree}")
    job = await home.importer.start(home.project, GitFolder(str(folder)), ALICE)
    done = await home.importer.wait(job.id)
    assert done.state == "done", done.message
    await _forget_the_branch(home)
    made = await home.snapshotter.snapshot(home.project)
    assert made.state == "done", made.detail
    rows = await home.store.tree(home.project.id)
    after = await anyio.to_thread.run_sync(git, home.repository, "rev-parse", "main^{tree}")
    return RoundTrip(before, after, len(rows), sum(row.kind == "text" for row in rows))


async def _forget_the_branch(home: House) -> None:
    project = home.project.id
    held = (await bases.bases(home.store, project)).values()
    branch = PutRecord(collection=journal.BRANCHES, project=project, key=journal.GIT, value=None)
    await home.store.commit(changes=[branch, *(bases.drop(project, each) for each in held)])
    await home.remotes.remove(project)
