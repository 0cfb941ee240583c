"""A process that dies, as by `kill -9`, while edits go elsewhere than onto the branch, or a push is accepted. Run by
test_kill_elsewhere.py.

    python -m tests.snapshots.dying_elsewhere FOLDER offer|aside|push STEP

`offer`: the branch is protected, a file is not taken, and the rest becomes a pull request, which is merged then. `aside`: a
conflict is decided by putting ours on a branch of its own. `push`: one that is merged into the live files.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Final

import anyio

from collab.objects.folder import FolderObjects
from collab.store.sqlite import open_store
from snapshots import policies
from snapshots.policies import Policies, Rule
from snapshots.puller import Pushed
from snapshots.remotes.base import CommitSha
from snapshots.remotes.local import LocalRemote
from tests.harness.hosting import Host, Pull, there
from tests.snapshots.dying import die
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import Clock, House, house

TEN: Final = "".join(f"line {line}\n" for line in range(10))


class Pulls(list[Pull]):
    """Pull requests that outlive the process, as a host's do."""

    def __init__(self, file: pathlib.Path) -> None:
        super().__init__(Pull(**each) for each in (json.loads(file.read_text()) if file.exists() else []))
        self._file = file

    def append(self, each: Pull) -> None:
        super().append(each)
        self.keep()

    def keep(self) -> None:
        self._file.write_text(json.dumps([asdict(each) for each in self]))


def host(root: pathlib.Path) -> Host:
    return Host(
        root / "host" / "notes.git",
        refuses=lambda path, content: "secret" if path == "secret.md" else None,
        pulls=Pulls(root / "pulls.json"),
    )


@contextlib.asynccontextmanager
async def durable(
    root: pathlib.Path, *, on: Host | None = None, step: Callable[[str], None] | None = None
) -> AsyncIterator[House]:
    """A house on real disks; with a host, that is where its branch is."""
    store = await open_store(root / "data", clock=Clock())
    try:
        objects = FolderObjects(root / "data" / "objects")
        if on is None:
            async with house(root, store=store, objects=objects, step=step) as home:
                yield home
        else:
            async with house(root, store=store, objects=objects, step=step, remotes_of=there(on)) as home:
                yield home
    finally:
        await store.aclose()


class Death:
    """Comes at a step, when it is armed."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.armed = False

    def __call__(self, name: str) -> None:
        if self.armed and name == self.at:
            die()


async def offer(root: pathlib.Path, at: str) -> None:
    death, place = Death(at), host(root)
    async with durable(root, on=place, step=death) as home:
        await home.write("a.md", TEN)
        await home.snapshotter.snapshot(home.project)
        place.protected.add("main")
        await home.write("a.md", TEN + "alice\n")
        await home.write("secret.md", "a secret\n")
        death.armed = True
        await home.snapshotter.snapshot(home.project)
        place.merge(place.open[0], "squash")
        Pulls.keep(place.pulls)  # type: ignore[arg-type]
        await home.snapshotter.snapshot(home.project)


async def aside(root: pathlib.Path, at: str) -> None:
    death = Death(at)
    async with durable(root, step=death) as home:
        rules = Policies((Rule("**", "branch"),))
        await home.store.commit(changes=[policies.put(home.project.id, rules)])
        await home.write("a.md", TEN)
        await home.snapshotter.snapshot(home.project)
        bob = clone(home)
        (bob / "a.md").write_text(TEN.replace("line 3", "bob"))
        commit_all(bob)
        git(bob, "push", "--quiet")
        await home.write("a.md", TEN.replace("line 3", "alice"))
        death.armed = True
        await home.snapshotter.pull(home.project)


async def push(root: pathlib.Path, at: str) -> None:
    death = Death(at)
    async with durable(root, step=death) as home:
        await home.write("a.md", TEN)
        await home.snapshotter.snapshot(home.project)
        bob = clone(home)
        (bob / "a.md").write_text(TEN.replace("line 3", "bob"))
        head = CommitSha(commit_all(bob))
        await home.write("a.md", TEN.replace("line 8", "alice"))

        async def land() -> None:
            git(bob, "push", "--quiet")

        death.armed = True
        await home.snapshotter.accept(home.project, Pushed(head=head, commits=LocalRemote(bob / ".git"), land=land))


def clone(home: House) -> pathlib.Path:
    git(home.root, "clone", "--quiet", str(home.repository), "bob")
    return home.root / "bob"


WAYS: Final[dict[str, Callable[[pathlib.Path, str], Awaitable[None]]]] = {"offer": offer, "aside": aside, "push": push}


def main() -> None:
    anyio.run(WAYS[sys.argv[2]], pathlib.Path(sys.argv[1]), sys.argv[3])


if __name__ == "__main__":
    main()
