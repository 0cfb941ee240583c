"""Mirrors of branches that lie behind a network, for git clients that clone them here.

One for each project, made when somebody asks for it first, and brought up to date whenever it is asked for and the branch
has moved: by git's own protocol, in a process of its own (snapshots.mirroring). A mirror holds one branch and nothing that is
not elsewhere too; it can be deleted at any time.
"""

from __future__ import annotations

import pathlib
import shutil
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from collab.errors import NotFound, Unavailable
from collab.ids import ProjectId
from collab.store.base import Project
from snapshots import child
from snapshots.remotes.base import GitRemote
from snapshots.serving import Repository

WITHIN: Final = 1800.0
"""Seconds that bringing one up to date may take."""


class Branch(msgspec.Struct, frozen=True):
    """What is to be mirrored. `password` goes with any user name; "": none is needed."""

    url: str
    password: str
    branch: str
    path: str


class Mirrors:
    """In `folder`; `make` makes the repository at a path, with a branch, if it is not there."""

    def __init__(self, folder: pathlib.Path, make: Callable[[pathlib.Path, str], Repository]) -> None:
        self._folder = folder
        self._make = make
        self._locks: defaultdict[ProjectId, anyio.Lock] = defaultdict(anyio.Lock)

    async def of(self, project: Project, remote: GitRemote) -> Repository:
        hosted = remote.hosted
        if hosted is None:
            raise NotFound(f"there is nothing behind a network to be mirrored of {project.name}")
        async with self._locks[project.id]:
            head = await remote.head()
            mirror = self._make(self._folder / f"{project.id}.git", remote.branch)
            if head is not None and head != await mirror.head():
                address = await hosted.fetched_from()
                await _bring(Branch(address.url, address.password, remote.branch, str(mirror.path)))
            return mirror

    async def forget(self, project: ProjectId) -> None:
        async with self._locks[project]:
            place = self._folder / f"{project}.git"
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(place, ignore_errors=True))
        del self._locks[project]


async def _bring(branch: Branch) -> None:
    async with child.running("snapshots.mirroring", msgspec.msgpack.encode(branch)) as process:
        said = b""
        with anyio.move_on_after(WITHIN) as scope:
            while True:
                try:
                    said += await process.receive()
                except anyio.EndOfStream:
                    break
        if scope.cancelled_caught:
            raise Unavailable(f"the repository could not be fetched within {WITHIN / 60:.0f} minutes; try again later")
        if said or await process.wait():
            raise Unavailable(said.decode("utf-8", "replace") or "the repository could not be fetched; try again later")
