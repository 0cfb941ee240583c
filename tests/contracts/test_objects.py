"""The contract ObjectStore, over every adapter; and what is the folder's own."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import AsyncIterator

import anyio
import pytest

from collab.crowd import each
from collab.errors import Invalid, NotFound, Stale, Unavailable
from collab.objects.base import CHUNK, ObjectStore
from collab.objects.earlier import WithEarlier
from collab.objects.folder import FolderObjects
from collab.objects.memory import MemoryObjects
from tests.harness.s3 import objects_in

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "folder", "s3", "s3 with a prefix", "moved"])
async def objects(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> AsyncIterator[ObjectStore]:
    made: ObjectStore
    if request.param == "memory":
        made = MemoryObjects()
    elif request.param == "folder":
        made = FolderObjects(tmp_path / "objects")
    elif request.param == "moved":
        made = WithEarlier(MemoryObjects(), FolderObjects(tmp_path / "objects"))
    else:
        name, address = request.getfixturevalue("bucket_name"), request.getfixturevalue("s3_address")
        made = objects_in(address, name, "" if request.param == "s3" else "some/where")
    yield made
    await made.aclose()


async def keys(objects: ObjectStore, prefix: str = "") -> list[str]:
    return [key async for key in objects.list(prefix)]


async def test_what_is_put_is_got(objects: ObjectStore) -> None:
    tag = await objects.put("objects/abc", b"\x00\xff")
    found = await objects.get("objects/abc")
    assert (found.content, found.tag) == (b"\x00\xff", tag)
    assert await objects.exists("objects/abc")


async def test_what_is_absent_is_not_found(objects: ObjectStore) -> None:
    with pytest.raises(NotFound):
        await objects.get("objects/abc")
    assert not await objects.exists("objects/abc")
    await objects.put("objects/abc/def", b"")
    with pytest.raises(NotFound):
        await objects.get("objects/abc")
    assert not await objects.exists("objects")


async def test_a_put_replaces_what_was_there(objects: ObjectStore) -> None:
    first, second, third = [await objects.put("k", content) for content in (b"one", b"two", b"one")]
    assert second not in (first, third)
    assert (await objects.get("k")).content == b"one"


async def test_creating_only_never_replaces(objects: ObjectStore) -> None:
    await objects.put("k", b"one", if_none_match=True)
    with pytest.raises(Stale):
        await objects.put("k", b"two", if_none_match=True)
    assert (await objects.get("k")).content == b"one"


async def test_replacing_needs_the_tag_that_one_has_seen(objects: ObjectStore) -> None:
    with pytest.raises(Stale):
        await objects.put("k", b"one", if_match="whatever")
    first = await objects.put("k", b"one")
    await objects.put("k", b"two", if_match=first)
    with pytest.raises(Stale):
        await objects.put("k", b"three", if_match=first)
    assert (await objects.get("k")).content == b"two"


async def test_of_many_writers_at_once_one_wins(objects: ObjectStore) -> None:
    tag = await objects.put("k", b"start")
    won = []

    async def attempt(number: int) -> None:
        try:
            await objects.put("k", b"%d" % number, if_match=tag)
        except Stale:
            return
        won.append(b"%d" % number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(attempt, number)
    assert [(await objects.get("k")).content] == won


async def test_of_many_creators_at_once_one_wins(objects: ObjectStore) -> None:
    won = []

    async def attempt(number: int) -> None:
        try:
            await objects.put("deep/er/k", b"%d" % number, if_none_match=True)
        except Stale:
            return
        won.append(b"%d" % number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(attempt, number)
    assert [(await objects.get("deep/er/k")).content] == won


async def test_keys_are_listed_in_order(objects: ObjectStore) -> None:
    names = ["b", "a/2", "a/1", "a", "a-b/c", "objects/00ff", "objects/00fe", ".hidden", "a/1/x"]
    for name in names:
        await objects.put(name, name.encode())
    assert await keys(objects) == sorted(names)
    assert await keys(objects, "a/") == ["a/1", "a/1/x", "a/2"]
    assert await keys(objects, "objects/00f") == ["objects/00fe", "objects/00ff"]
    assert await keys(objects, "nothing") == []


async def test_what_is_deleted_is_gone(objects: ObjectStore) -> None:
    await objects.put("k", b"")
    await objects.put("k/l", b"")
    await objects.delete("k")
    await objects.delete("k")
    assert await keys(objects) == ["k/l"]
    await objects.put("k", b"again", if_none_match=True)
    assert (await objects.get("k")).content == b"again"


async def test_a_copy_is_an_object_of_its_own(objects: ObjectStore) -> None:
    await objects.put("a", b"one")
    await objects.copy("a", "deep/b")
    await objects.put("a", b"two")
    assert (await objects.get("deep/b")).content == b"one"
    await objects.copy("a", "deep/b")
    await objects.delete("a")
    assert (await objects.get("deep/b")).content == b"two"
    with pytest.raises(NotFound):
        await objects.copy("a", "deep/b")


LARGE = b"".join(number.to_bytes(4, "big") for number in range((2 * CHUNK + 100) // 4))


async def pieces(objects: ObjectStore, key: str, start: int = 0, stop: int | None = None) -> tuple[int, list[bytes]]:
    async with objects.read(key, start, stop) as reading:
        return reading.size, [chunk async for chunk in reading.chunks]


async def test_what_is_in_a_file_is_put_and_read_a_piece_at_a_time(
    objects: ObjectStore, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    tag = await objects.put_file("k", file)
    file.unlink()
    found = await objects.get("k")
    assert (found.content, found.tag) == (LARGE, tag)
    assert await objects.size("k") == len(LARGE)
    size, chunks = await pieces(objects, "k")
    assert (size, b"".join(chunks)) == (len(LARGE), LARGE)
    assert max(map(len, chunks)) <= CHUNK


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (CHUNK - 1, CHUNK + 1), (5, None), (7, 10**9), (len(LARGE), None)])
async def test_a_part_of_an_object_is_read(objects: ObjectStore, start: int, stop: int | None) -> None:
    await objects.put("k", LARGE)
    size, chunks = await pieces(objects, "k", start, stop)
    assert (size, b"".join(chunks)) == (len(LARGE), LARGE[start:stop])


async def test_an_empty_file_is_an_object_too(objects: ObjectStore, tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").touch()
    await objects.put_file("k", tmp_path / "empty")
    assert await pieces(objects, "k") == (0, [])
    assert await objects.size("k") == 0


async def test_nothing_is_read_of_what_is_absent(objects: ObjectStore) -> None:
    await objects.put("k/l", b"")
    with pytest.raises(NotFound):
        await pieces(objects, "k")
    with pytest.raises(NotFound):
        await objects.size("k")


async def test_a_reader_never_sees_a_mixture_of_two_versions(objects: ObjectStore) -> None:
    await objects.put("k", LARGE)
    seen = b""
    try:
        async with objects.read("k") as reading:
            async for chunk in reading.chunks:
                seen += chunk
                await objects.put("k", b"\0" * len(LARGE))
    except Unavailable:
        assert LARGE.startswith(seen)
    else:
        assert seen == LARGE


async def test_names_that_people_give_are_keys_too(objects: ObjectStore) -> None:
    names = ["files/Meeting notes (2).md", "files/été.md", "files/100%25.md", "files/a=b+c&d?e#f", "files/日本/😀", "~"]
    for name in names:
        await objects.put(name, name.encode())
    await objects.copy("files/日本/😀", "files/a copy +%2B")
    assert await keys(objects) == sorted([*names, "files/a copy +%2B"])
    assert await keys(objects, "files/日") == ["files/日本/😀"]
    for name in names:
        assert (await objects.get(name)).content == name.encode()


async def test_more_keys_than_a_page_are_listed(objects: ObjectStore) -> None:
    names = [f"k/{number:04}" for number in range(1_050)]
    await each(names, lambda name: put_empty(objects, name), at_once=8)
    assert await keys(objects, "k/") == names


async def put_empty(objects: ObjectStore, name: str) -> None:
    await objects.put(name, b"")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\n",
        "=ab",
        "b/=ab",
        "a" * 201,
        "é" * 101,
        "a/" * 500 + "a",
        "a\0",
        "\udce9",
    ],
)
async def test_a_key_that_cannot_be_is_refused(objects: ObjectStore, key: str) -> None:
    for attempt in (objects.get(key), objects.put(key, b""), objects.exists(key), objects.delete(key)):
        with pytest.raises(Invalid):
            await attempt
    assert await keys(objects) == []


async def test_a_folder_is_there_for_the_next_process(tmp_path: pathlib.Path) -> None:
    tag = await FolderObjects(tmp_path / "objects").put("objects/abc", b"kept")
    found = await FolderObjects(tmp_path / "objects").get("objects/abc")
    assert (found.content, found.tag) == (b"kept", tag)


async def test_a_folder_sweeps_away_what_a_crash_left(tmp_path: pathlib.Path) -> None:
    left_over = tmp_path / "objects" / "=new" / "abc"
    left_over.parent.mkdir(parents=True)
    left_over.write_bytes(b"half")
    objects = FolderObjects(tmp_path / "objects")
    assert not left_over.exists()
    await objects.put("k", b"")
    with pytest.raises(Stale):
        await objects.put("k", b"", if_none_match=True)
    assert list(left_over.parent.iterdir()) == []


async def test_a_folder_that_has_vanished_is_trouble_and_not_absence(tmp_path: pathlib.Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    await objects.put("k", b"")
    shutil.rmtree(tmp_path / "objects")
    attempts = (
        objects.get("k"), objects.exists("k"), objects.put("k", b""), keys(objects), objects.size("k"), pieces(objects, "k")
    )  # fmt: skip
    for attempt in attempts:
        with pytest.raises(Unavailable):
            await attempt


async def test_a_folder_is_its_owners_alone(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "objects"
    await FolderObjects(root).put("objects/abc", b"")
    for place in (root, *root.rglob("*")):
        assert place.stat().st_mode & 0o077 == 0


async def test_what_lay_elsewhere_before_is_found_there_until_it_is_replaced(tmp_path: pathlib.Path) -> None:
    earlier, now = FolderObjects(tmp_path), MemoryObjects()
    old = await earlier.put("old", b"old")
    await earlier.put("both", b"old")
    objects = WithEarlier(now, earlier)
    await objects.put("both", b"new")
    await objects.put("new", b"new")
    assert [(await objects.get(key)).content for key in ("old", "both", "new")] == [b"old", b"new", b"new"]
    assert await keys(objects) == ["both", "new", "old"]
    assert [await pieces(objects, key) for key in ("old", "new")] == [(3, [b"old"]), (3, [b"new"])]
    assert [await objects.size(key) for key in ("old", "new")] == [3, 3]
    await objects.copy("old", "copied")
    assert await now.exists("copied")
    with pytest.raises(Stale):
        await objects.put("old", b"", if_none_match=True)
    with pytest.raises(Stale):
        await objects.put("old", b"", if_match="whatever")
    tag = await objects.put("old", b"replaced", if_match=old)
    with pytest.raises(Stale):
        await objects.put("old", b"", if_match=old)
    assert await now.exists("old")
    await objects.put("old", b"again", if_match=tag)
    await objects.delete("old")
    assert not await objects.exists("old")
    assert (await earlier.get("both")).content == b"old"
