"""The continuous backup of one data directory, put together.

Below the data directory, `backup/` holds what waits to be shipped (web.shipping.spool), `backup/holder` says who this data directory
is, and `backup/succeeds` whom it was restored from.
"""

from __future__ import annotations

import os
import pathlib
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from anyio import to_thread

from collab.ids import Millis
from collab.objects.base import ObjectStore
from collab.store.pages import Pages
from web.private import read_or_make, write_private
from web.shipping import layout
from web.shipping.carrier import OBJECTS as CARRIED
from web.shipping.carrier import Carrier
from web.shipping.collector import Collector, Cut, Step, no_step
from web.shipping.layout import Copy
from web.shipping.lease import LAPSE, LOOK, Lease, Me
from web.shipping.repositories import Moves, Repositories
from web.shipping.shipper import Observer, Pace, Shipper
from web.shipping.spool import Spool

FOLDER: Final = "backup"
HOLDER: Final = "holder"
SUCCEEDS: Final = "succeeds"
KEYS: Final = ("secret", "secret-key", "root-token")
"""Files of the data directory that open doors: they go along only when they are asked for."""


class Told:
    """Passes on what a folder tells of, once there is somebody who listens."""

    def __init__(self) -> None:
        self.listener: Callable[[str], None] | None = None

    def __call__(self, key: str) -> None:
        if self.listener is not None:
            self.listener(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a backup goes. Files that are not text lie there below `prefix`: anyway, or because they are brought `from_folder`; or
    they lie in another place, `elsewhere`, which keeps them. `told`: of what is new in the folder."""

    objects: ObjectStore
    name: str
    prefix: str = CARRIED
    from_folder: ObjectStore | None = None
    told: Told | None = None
    elsewhere: str = ""


async def assemble(
    data: pathlib.Path,
    pages: Pages,
    place: Place,
    *,
    epoch: int,
    moves: Callable[[], Moves],
    clock: Callable[[], Millis],
    pace: Pace,
    with_keys: bool = False,
    online: bool = True,
    observer: Observer | None = None,
    lapse: float = LAPSE,
    look: float = LOOK,
    step: Step = no_step,
) -> Shipper:
    folder = data / FOLDER
    spool = await to_thread.run_sync(Spool, folder)
    repositories = Repositories(data / "git", spool, moves)
    holder = await to_thread.run_sync(me, data, epoch)
    carrier = Carrier(place.from_folder, place.objects, place.prefix, folder) if place.from_folder else None
    if carrier is not None and place.told is not None:
        place.told.listener = carrier.noticed

    def describe(cut: Cut, pieces: Sequence[str], size: int) -> Copy:
        return Copy(
            format=layout.FORMAT,
            version=version("quire-server"),
            generation=cut.generation,
            number=cut.number,
            at=cut.at,
            made_at=clock(),
            epoch=epoch,
            size=size,
            pieces=tuple(pieces),
            repositories=tuple(cut.repositories),
            objects="" if place.elsewhere else place.prefix,
            objects_place=place.elsewhere,
            files=dict(_keys(data)) if with_keys else {},
        )

    return Shipper(
        pages,
        Collector(pages, repositories, spool, clock=clock, step=step),
        spool,
        repositories,
        place.objects,
        Lease(place.objects, holder, lapse=lapse, look=look),
        where=place.name,
        describe=describe,
        clock=clock,
        pace=pace,
        carrier=carrier,
        observer=observer,
        online=online,
        step=step,
    )


def me(data: pathlib.Path, epoch: int) -> Me:
    """Who this data directory is, in this process. Blocks."""
    folder = data / FOLDER
    succeeds = folder / SUCCEEDS
    return Me(
        holder=read_or_make(folder / HOLDER, lambda: secrets.token_hex(16)),
        run=f"{os.getpid()}-{secrets.token_hex(4)}",
        host=socket.gethostname(),
        epoch=epoch,
        succeeds=succeeds.read_text().strip() if succeeds.exists() else None,
    )


def note_predecessor(data: pathlib.Path, holder: str) -> None:
    """`data` was restored from what `holder` had shipped, and takes its place."""
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / SUCCEEDS, holder + "\n")


def _keys(data: pathlib.Path) -> Mapping[str, bytes]:
    found = (data / name for name in KEYS)
    return {path.name: path.read_bytes() for path in found if path.exists()}
