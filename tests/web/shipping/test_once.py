"""A copy of everything into a place, once: whole, alone there, and cheap the second time."""

from __future__ import annotations

import pathlib

import anyio
import pytest

from collab.errors import Conflict
from collab.objects.memory import MemoryObjects
from tests.web.shipping.office import Office, numbers, office, restored
from web.shipping import layout
from web.shipping.assembly import Place
from web.shipping.copying import silently
from web.shipping.layout import Copy
from web.shipping.once import copy_once

pytestmark = pytest.mark.anyio


@pytest.fixture
def place() -> MemoryObjects:
    return MemoryObjects()


async def copy(alice: Office, place: MemoryObjects, files: MemoryObjects | None = None) -> Copy:
    prefix = layout.OBJECTS if files is not None else "objects/"
    to = Place(objects=place, name="there", prefix=prefix, from_folder=files)
    return await copy_once(alice.store, alice.folder, to, clock=alice.clock, progress=silently)


async def test_every_copy_can_be_restored_and_shares_what_has_not_changed(
    tmp_path: pathlib.Path, place: MemoryObjects
) -> None:
    async with office(tmp_path / "data", MemoryObjects()) as alice:
        await alice.write(0, size=3_000_000)
        first = await copy(alice, place)
        await alice.write(1)
        second = await copy(alice, place)
        assert len(set(second.pieces) - set(first.pieces)) <= 2
        await alice.write(2)
    await restored(place, tmp_path / "newest")
    assert numbers(tmp_path / "newest") == [0, 1]
    await restored(place, tmp_path / "before", first.at)
    assert numbers(tmp_path / "before") == [0]


async def test_files_that_are_not_text_come_along(tmp_path: pathlib.Path, place: MemoryObjects) -> None:
    files = MemoryObjects()
    await files.put("objects/ab", b"picture")
    async with office(tmp_path / "data", MemoryObjects()) as alice:
        await copy(alice, place, files)
    assert (await place.get("backup/objects/ab")).content == b"picture"


async def test_a_place_that_another_server_ships_to_is_refused(tmp_path: pathlib.Path, place: MemoryObjects) -> None:
    async with office(tmp_path / "data", MemoryObjects()) as alice, office(tmp_path / "other", place) as bob:
        await bob.shipped()
        with pytest.raises(Conflict, match="ships its backup there"):
            await copy(alice, place)
        await bob.write(1)
        await bob.shipped()
    async with office(tmp_path / "data", MemoryObjects()) as alice:
        with anyio.fail_after(20):
            await copy(alice, place)
