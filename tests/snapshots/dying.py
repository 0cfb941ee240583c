"""A process that dies, as by `kill -9`, at one moment of a snapshot or of an import. Run by test_kill.py.

    python -m tests.snapshots.dying FOLDER snapshot STEP SOURCE
    python -m tests.snapshots.dying FOLDER import SOURCE NUMBER
    python -m tests.snapshots.dying FOLDER pull STEP NUMBER
    python -m tests.snapshots.dying FOLDER aside STEP NUMBER
    python -m tests.snapshots.dying FOLDER connect TAKE NUMBER
    python -m tests.snapshots.dying FOLDER push STEP NUMBER

The snapshot dies at a step of the committer or of the remote, while a worker process of its own reads SOURCE, whose number is in
`FOLDER/worker`; the import and the connecting before their commit of that number;
the pull when it passes that step for that time, and so does the push, of which `commit` is a step too: the process dies before it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import cast

import anyio
import psutil

from collab.ids import Path
from collab.objects.folder import FolderObjects
from collab.store.base import Append, Change, Committed, Store
from collab.store.sqlite import open_store
from snapshots import policies
from snapshots.connecting import Asker, Take
from snapshots.places import Wanted
from snapshots.policies import Policies, Rule
from snapshots.sources import Folder, Request, locate
from snapshots.worker import reading
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, Clock, House, house
from tests.snapshots.pushes import pushed


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore:
    """A real store, and a process that dies before a commit."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._number = number
        self._counter = itertools.count(1)
        self.armed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        if self.armed and next(self._counter) == self._number:
            die()
        return await self._store.commit(appends, changes)


@contextlib.asynccontextmanager
async def durable(
    root: pathlib.Path, *, step: Callable[[str], None] | None = None, number: int = 0
) -> AsyncIterator[tuple[House, DyingStore]]:
    """A house on real disks."""
    store = await open_store(root / "data", clock=Clock())
    dying = DyingStore(store, number)
    try:
        objects = FolderObjects(root / "data" / "objects")
        async with house(root, store=dying, objects=objects, step=step) as home:  # type: ignore[arg-type]
            yield home, dying
    finally:
        await store.aclose()


async def snapshot(root: pathlib.Path, at: str, source: str) -> None:
    armed = False

    def step(name: str) -> None:
        if armed and name == at:
            die()

    async with durable(root, step=step) as (home, _):
        for number in range(5):
            await home.write(f"d{number}/a.md", "one\n")
        await home.write("latin.txt", b"caf\xe9")
        await home.snapshotter.snapshot(home.project)
        await home.write("d0/a.md", "two\n")
        await home.workspace.move(home.project, Path("d1/a.md"), Path("e/a.md"), ALICE)
        await home.workspace.delete(home.project, Path("d2/a.md"), ALICE)
        await home.write("new.bin", b"\xff")
        scratch = str(root / "scratch")
        async with reading(Request(source=Folder(source), bare=scratch, scratch=scratch)) as messages:
            await anext(messages)
            (worker,) = psutil.Process().children()
            (root / "worker").write_text(str(worker.pid))
            armed = True
            await home.snapshotter.snapshot(home.project)


async def bring(root: pathlib.Path, source: str, number: int) -> None:
    async with durable(root, number=number) as (home, dying):
        dying.armed = True
        job = await home.importer.start(home.project, locate(source), ALICE)
        await home.importer.wait(job.id)


async def pull(root: pathlib.Path, at: str, number: int) -> None:
    counter = itertools.count(1)
    armed = False

    def step(name: str) -> None:
        if armed and name == at and next(counter) == number:
            die()

    ten = "".join(f"line {line}\n" for line in range(10))
    async with durable(root, step=step) as (home, _):
        for name, content in {"a.md": ten, "c.md": "c\n", "gone.md": "gone\n", "moved.md": "moved\n" + ten}.items():
            await home.write(name, content)
        await home.snapshotter.snapshot(home.project)
        await anyio.to_thread.run_sync(git, root, "clone", "--quiet", str(home.repository), "bob")
        bob = root / "bob"
        (bob / "gone.md").unlink()
        (bob / "moved.md").rename(bob / "there.md")
        for name, content in {"a.md": ten + "bob\n", "c.md": "bob\n", "new.md": "new\n"}.items():
            (bob / name).write_text(content)
        commit_all(bob)
        git(bob, "push", "--quiet")
        await home.write("a.md", "alice\n" + ten)
        await home.write("c.md", "alice\n")
        armed = True
        await home.snapshotter.pull(home.project)


async def aside(root: pathlib.Path, at: str, number: int) -> None:
    """Dies at that step, or before that commit (`commit`)."""
    armed = False

    def step(name: str) -> None:
        if armed and name == at:
            die()

    async with durable(root, step=step, number=number if at == "commit" else 0) as (home, dying):
        rules = Policies((Rule("**", "branch"),))
        await home.store.commit(changes=[policies.put(home.project.id, rules)])
        bob = await clone(home, root, {"a.md": "one\n", "b.md": "one\n"})
        for name in ("a.md", "b.md"):
            (bob / name).write_text("bob\n")
            await home.write(name, "alice\n")
        commit_all(bob)
        git(bob, "push", "--quiet")
        armed = dying.armed = True
        await home.snapshotter.pull(home.project)


async def clone(home: House, root: pathlib.Path, files: Mapping[str, str]) -> pathlib.Path:
    """Bob's, of these files."""
    for name, content in files.items():
        await home.write(name, content)
    await home.snapshotter.snapshot(home.project)
    await anyio.to_thread.run_sync(git, root, "clone", "--quiet", str(home.repository), "bob")
    return root / "bob"


HERE = {"same.md": "same\n", "other.md": "ours\n", "here.md": "here\n"}


async def connect(root: pathlib.Path, take: str, number: int) -> None:
    """To `theirs.git`, which is there."""
    async with durable(root, number=number) as (home, dying):
        for name, content in HERE.items():
            await home.write(name, content)
        await home.snapshotter.snapshot(home.project)
        dying.armed = True
        wanted = Wanted(kind="git", repository=str(root / "theirs.git"))
        await home.connecting.connect(home.project, wanted, cast(Take, take), Asker(ALICE, root=True))


async def push(root: pathlib.Path, at: str, number: int) -> None:
    counter = itertools.count(1)
    armed = False

    def step(name: str) -> None:
        if armed and name == at and next(counter) == number:
            die()

    ten = "".join(f"line {line}\n" for line in range(10))
    async with durable(root, step=step, number=number if at == "commit" else 0) as (home, dying):
        for name, content in {"a.md": ten, "b.md": "b\n"}.items():
            await home.write(name, content)
        await home.snapshotter.snapshot(home.project)
        await anyio.to_thread.run_sync(git, root, "clone", "--quiet", str(home.repository), "bob")
        for name, content in {
            "a.md": ten + "bob\n",
            "new.md": "new\n",
            **{f"f{each}.md": "f\n" for each in range(3)},
        }.items():
            (root / "bob" / name).write_text(content)
        commit_all(root / "bob")
        await home.write("a.md", "alice\n" + ten)
        armed = dying.armed = True
        await pushed(home, root / "bob", step=step)


def main() -> None:
    root = pathlib.Path(sys.argv[1])
    if sys.argv[2] == "snapshot":
        anyio.run(snapshot, root, sys.argv[3], sys.argv[4])
    elif sys.argv[2] == "connect":
        anyio.run(connect, root, sys.argv[3], int(sys.argv[4]))
    elif sys.argv[2] == "push":
        anyio.run(push, root, sys.argv[3], int(sys.argv[4]))
    elif sys.argv[2] == "aside":
        anyio.run(aside, root, sys.argv[3], int(sys.argv[4]))
    elif sys.argv[2] == "pull":
        anyio.run(pull, root, sys.argv[3], int(sys.argv[4]))
    else:
        anyio.run(bring, root, sys.argv[3], int(sys.argv[4]))


if __name__ == "__main__":
    main()
