"""A process that is killed at any point of a snapshot in the object store, and the next one that finds what it left."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys

import anyio
import pytest

from collab.errors import Unavailable
from collab.objects.base import ObjectStore
from snapshots.manifest import DAY, Place
from snapshots.retention import NOBODY_FOR
from tests.snapshots.bucket import look
from tests.snapshots.dying_objects import durable
from tests.snapshots.house import Clock

pytestmark = pytest.mark.anyio

STEPS = (
    *("blobs written", "manifest written", "head moved", "files written", "files recorded"),
    *("fenced", "manifests swept", "blobs swept"),
)
REQUESTS = 30
"""Of the round that the process dies in, and of the sweep after it."""

BEFORE = {"d0/a.md": b"one\n", "d1/a.md": b"one\n", "d2/a.md": b"one\n", "d3/a.md": b"one\n", "old.bin": b"\xfe"}
AFTER = {"d0/a.md": b"two\n", "e/a.md": b"one\n", "d3/a.md": b"one\n", "new.bin": b"\xff"}


def run(root: pathlib.Path, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.snapshots.dying_objects", str(root), *arguments], check=False, timeout=60
    )
    return done.returncode


async def dies_and_is_made_good(root: pathlib.Path, address: str, bucket: str, at: str) -> None:
    assert await anyio.to_thread.run_sync(run, root, address, bucket, at) == -signal.SIGKILL
    clock = Clock()
    clock.now += 2 * DAY
    async with durable(root, address, bucket, clock=clock) as (home, objects, materialiser, sweeper):
        found = await look(objects, home.project)
        assert found is not None
        assert found.contents in (BEFORE, AFTER)
        try:
            await materialiser.round(home.project)
        except Unavailable:  # a sweep was under way
            clock.now += NOBODY_FOR
            await materialiser.round(home.project)
        found = await look(objects, home.project)
        assert found is not None
        assert found.contents == found.files == AFTER
        clock.now += DAY
        await sweeper.sweep(home.project, await sweeper.plan(home.project))
        await everything_is_named_and_there(objects, Place(home.project.id))


async def everything_is_named_and_there(objects: ObjectStore, place: Place) -> None:
    named = set()
    async for key in objects.list(place.manifests):
        named |= {file["sha"] for file in json.loads((await objects.get(key)).content)["files"]}
    blobs = {key.removeprefix(place.blobs) async for key in objects.list(place.blobs)}
    assert blobs == named


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_in_s3(tmp_path: pathlib.Path, s3_address: str, bucket_name: str, step: str) -> None:
    await dies_and_is_made_good(tmp_path, s3_address, bucket_name, step)


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
async def test_killed_before_any_request_in_a_folder(tmp_path: pathlib.Path, number: int) -> None:
    await dies_and_is_made_good(tmp_path, "-", "-", str(number))


async def test_who_is_not_killed_makes_that_many_requests(tmp_path: pathlib.Path) -> None:
    assert await anyio.to_thread.run_sync(run, tmp_path, "-", "-", str(REQUESTS + 1)) == 0
