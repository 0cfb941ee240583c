"""A process that ships a backup and dies, as by `kill -9`, at one moment. Run by test_kill.py.

    python -m tests.web.shipping.dying FOLDER ADDRESS BUCKET STEP TIME
    python -m tests.web.shipping.dying FOLDER ADDRESS BUCKET request NUMBER

It dies when it passes that step for that time, or right before its request of that number. ADDRESS `-` is a folder instead of S3. What
it was told to be shipped stands in FOLDER/shipped.
"""

from __future__ import annotations

import pathlib
import sys

import anyio

from collab.objects.base import ObjectStore
from collab.objects.folder import FolderObjects
from tests.faulty_objects import FaultyObjects, Order
from tests.harness.s3 import objects_in
from tests.snapshots.dying import die
from tests.web.shipping.office import office
from web.shipping import shipper
from web.shipping.shipper import Pace

WRITTEN = 6
PACE = Pace(lag=0.02, renew=0.02, keep=1)


def open_objects(root: pathlib.Path, address: str, bucket: str) -> ObjectStore:
    return FolderObjects(root / "objects") if address == "-" else objects_in(address, bucket)


class DyingObjects(FaultyObjects):
    """Dies right before a request of a number."""

    number = 0

    async def _before(self, method: str, key: str) -> Order | None:
        order = await super()._before(method, key)
        if self.requests.total() == self.number:
            die()
        return order


async def run(root: pathlib.Path, address: str, bucket: str, at: str, number: int) -> None:
    left = number

    def step(name: str) -> None:
        nonlocal left
        left -= name == at
        if not left:
            die()

    shipper.FIRST_WAIT = 0.01  # type: ignore[misc]
    objects = DyingObjects(open_objects(root, address, bucket))
    objects.number = number if at == "request" else 0
    async with office(root / "data", objects, pace=PACE, step=step) as alice:
        with (root / "shipped").open("w") as told:
            for each in range(WRITTEN):
                await alice.write(each)
                await alice.shipped()
                told.write(f"{each}\n")
                told.flush()
                if each == WRITTEN // 2:
                    await alice.shipper.copy_now()
    await objects.aclose()


if __name__ == "__main__":
    _, folder, given_address, given_bucket, given_at, given_number = sys.argv
    anyio.run(run, pathlib.Path(folder), given_address, given_bucket, given_at, int(given_number))
