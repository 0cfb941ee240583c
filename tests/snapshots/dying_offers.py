"""A process that dies, as by `kill -9`, while edits go to a pull request. Run by test_kill_offers.py.

    python -m tests.snapshots.dying_offers FOLDER STEP

The branch is protected, a file is not taken, and the rest becomes a pull request, which is merged then.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Final

import anyio

from collab.objects.folder import FolderObjects
from collab.store.sqlite import open_store
from tests.harness.hosting import Host, Pull, there
from tests.snapshots.dying import die
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
async def durable(root: pathlib.Path, on: Host, *, step: Callable[[str], None] | None = None) -> AsyncIterator[House]:
    """A house on real disks, whose branch is there."""
    store = await open_store(root / "data", clock=Clock())
    try:
        objects = FolderObjects(root / "data" / "objects")
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
    async with durable(root, place, step=death) as home:
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


def main() -> None:
    anyio.run(offer, pathlib.Path(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
