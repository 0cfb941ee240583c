"""A process that is killed at any point of shipping: what it was told to be shipped can be restored, and the next one goes on."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import anyio
import pytest

from collab.errors import NotFound
from tests.web.shipping.dying import WRITTEN, open_objects
from tests.web.shipping.office import Clock, numbers, office, restored

pytestmark = pytest.mark.anyio

IN_S3 = ("spooled", "segment put", "copy put")
STEPS = (
    *(("begun", 1), ("owner moved", 1), ("file copied", 1), ("pieces put", 1), ("copy recorded", 1), ("swept", 1)),
    *(("spooled", 3), ("segment put", 4), ("segment shipped", 4), ("file copied", 2), ("copy put", 2)),
)
REQUESTS = 32
"""Some of what the process asks for when it is not killed; how many there are depends on how fast it is."""


def run(root: pathlib.Path, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.web.shipping.dying", str(root), *arguments], check=False, timeout=60
    )
    return done.returncode


async def dies_and_is_made_good(root: pathlib.Path, address: str, bucket: str, at: str, number: int) -> None:
    assert await anyio.to_thread.run_sync(run, root, address, bucket, at, str(number)) == -signal.SIGKILL
    told = root / "shipped"
    shipped = [int(line) for line in told.read_text().split()] if told.exists() else []
    objects = open_objects(root, address, bucket)
    try:
        try:
            await restored(objects, root / "at once")
            found = numbers(root / "at once")
        except NotFound:
            found = []
        assert found[: len(shipped)] == shipped
        assert found == list(range(len(found)))
        clock = Clock()
        clock.now += 1_000_000
        async with office(root / "data", objects, clock=clock) as alice:
            await alice.write(WRITTEN)
            await alice.shipped()
        await restored(objects, root / "again")
        assert numbers(root / "again") == numbers(root / "data")
        assert numbers(root / "again")[-1] == WRITTEN
    finally:
        await objects.aclose()


@pytest.mark.parametrize("step", IN_S3)
async def test_killed_at_a_step_in_s3(tmp_path: pathlib.Path, s3_address: str, bucket_name: str, step: str) -> None:
    await dies_and_is_made_good(tmp_path, s3_address, bucket_name, step, 1)


@pytest.mark.parametrize(("step", "time"), STEPS)
async def test_killed_at_any_step_in_a_folder(tmp_path: pathlib.Path, step: str, time: int) -> None:
    await dies_and_is_made_good(tmp_path, "-", "-", step, time)


@pytest.mark.parametrize("number", range(2, REQUESTS, 5))
async def test_killed_before_any_request(tmp_path: pathlib.Path, number: int) -> None:
    await dies_and_is_made_good(tmp_path, "-", "-", "request", number)
