"""Snapshots into the object store: what they cost follows what changed, not how large the project is; and they are streamed."""

from __future__ import annotations

import os
import pathlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio

from benchmarks import memory
from benchmarks.bench import Bench
from benchmarks.desk import desk, edit
from benchmarks.finding import Finding, goal, median
from collab.objects.base import ObjectStore
from collab.objects.folder import FolderObjects
from snapshots.materialiser import Materialiser
from tests.harness.s3 import make_bucket, objects_in, s3_server

SMALL, LARGE = 100, 10_000
CHANGED = 10
TIMES = 5
"""Snapshots of each project in a round."""

MANY_SIZE = 10_000


def objects(bench: Bench) -> Iterator[Finding]:
    """A snapshot of 10 changed documents in projects of 100 and of 10,000, into a folder and into S3 (moto)."""
    for kind in ("a folder", "S3 (moto)"):
        small, large = [median(anyio.run(_ten_changed, bench, kind, files)) * 1000 for files in (SMALL, LARGE)]
        bench.say(f"  snapshot of {CHANGED} into {kind}: of {SMALL} {small:.0f} ms, of {LARGE:,} {large:.0f} ms")
        yield Finding(
            row="objects", what=f"snapshot of {CHANGED} documents of {LARGE:,} into {kind}", measured=large, unit="ms",
            against=f"of {SMALL}", reference=small, allowed=2.0,
        )  # fmt: skip


async def _ten_changed(bench: Bench, kind: str, files: int) -> list[float]:
    times = []
    async with desk(bench.folder, files, size=1_000) as home, _store(bench, kind) as store:
        materialiser = Materialiser(home.store, store, clock=home.clock)
        await materialiser.round(home.project)
        for number in range(TIMES * bench.rounds):
            step = files // CHANGED
            await edit(home, range(number % step, files, step), f"{number}")
            begun = time.perf_counter()
            made = await materialiser.round(home.project)
            times.append(time.perf_counter() - begun)
            assert made.state == "done"
    return times


def streamed(bench: Bench) -> Iterator[Finding]:
    """The memory of a snapshot of 10,000 changed documents of 10 kB, against one of 1,000."""
    small, large = [anyio.run(_peak, bench, files) / 1e6 for files in (LARGE // 10, LARGE)]
    bench.say(f"  snapshot of {LARGE:,} documents: {large:.0f} MB more; of {LARGE // 10:,}: {small:.0f} MB")
    what = f"memory of a snapshot of {LARGE:,} changed documents of 10 kB, over what it was (peak)"
    yield goal("streamed", what, large, "MB", 50, f"of {LARGE // 10:,}: {small:.0f} MB")


async def _peak(bench: Bench, files: int) -> float:
    async with desk(bench.folder, files, size=MANY_SIZE) as home, _store(bench, "a folder") as store:
        materialiser = Materialiser(home.store, store, clock=home.clock)
        before = memory.resident(os.getpid())
        memory.forget_peak(os.getpid())
        await materialiser.round(home.project)
        return float(max(0, memory.peak(os.getpid()) - before))


@asynccontextmanager
async def _store(bench: Bench, kind: str) -> AsyncIterator[ObjectStore]:
    if kind == "a folder":
        folder = FolderObjects(pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "objects")
        yield folder
        await folder.aclose()
        return
    with s3_server() as address:
        name = f"bench-{secrets.token_hex(4)}"
        await anyio.to_thread.run_sync(make_bucket, address, name)
        bucket = objects_in(address, name)
        yield bucket
        await bucket.aclose()
