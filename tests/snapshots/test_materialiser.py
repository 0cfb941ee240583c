"""Files become objects: what a stranger finds, what it costs, what two at once and a failing store make of it."""

from __future__ import annotations

import pathlib
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import pytest

from collab.errors import Quarantined, Unavailable
from collab.ids import DocumentId, Path, Position
from collab.objects.base import ObjectStore
from collab.objects.folder import FolderObjects
from collab.objects.memory import MemoryObjects
from collab.staging import Incoming
from collab.store.base import Loaded, Store
from collab.store.schema import begin_epoch
from collab.store.sqlite import open_store
from snapshots.manifest import Place, decode
from snapshots.materialiser import Made, Materialiser, no_step
from tests.faults import FaultyStore
from tests.faulty_objects import FaultyObjects
from tests.harness.s3 import objects_in
from tests.snapshots.bucket import look
from tests.snapshots.git import blob_sha
from tests.snapshots.house import ALICE, Clock, House, house

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "folder", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> AsyncIterator[ObjectStore]:
    made: ObjectStore
    if request.param == "memory":
        made = MemoryObjects()
    elif request.param == "folder":
        made = FolderObjects(tmp_path / "objects")
    else:
        made = objects_in(request.getfixturevalue("s3_address"), request.getfixturevalue("bucket_name"), "quire")
    yield made
    await made.aclose()


class Scene:
    """A house, its objects with faults, and a materialiser; `another` is that of a second process."""

    def __init__(self, home: House, objects: FaultyObjects) -> None:
        self.home = home
        self.objects = objects
        self.mine = self.another()

    def another(self, step: Callable[[str], None] = no_step) -> Materialiser:
        return Materialiser(self.home.store, self.objects, clock=self.home.clock, step=step)

    async def round(self) -> Made:
        return await self.mine.round(self.home.project)

    async def whole(self) -> int:
        """What is there is what the project holds, in every form; its number."""
        found = await look(self.objects.objects, self.home.project)
        assert found is not None
        files = await self.home.files()
        assert found.contents == files
        assert found.files == files
        return found.number


async def scene_on(stack: AsyncExitStack, root: pathlib.Path, store: ObjectStore) -> Scene:
    objects = FaultyObjects(store)
    return Scene(await stack.enter_async_context(house(root, objects=objects)), objects)


@pytest.fixture
async def scene(tmp_path: pathlib.Path, store: ObjectStore) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield await scene_on(stack, tmp_path, store)


@pytest.fixture
async def quick(tmp_path: pathlib.Path) -> AsyncIterator[Scene]:
    """In memory, for what does not depend on the store."""
    async with AsyncExitStack() as stack:
        yield await scene_on(stack, tmp_path, MemoryObjects())


async def test_what_is_written_is_found_by_whoever_reads_the_store(scene: Scene) -> None:
    home = scene.home
    await home.write("docs/a.md", "one\r\ntwo\r\n")
    await home.write("Meeting notes.md", "été 😀")
    await home.write("latin.txt", b"caf\xe9")
    await home.write("run.sh", b"\xef\xbb\xbf#!\n", mode=0o100755)
    await home.write("empty", "")
    assert await scene.round() == Made("done", 1, 5)
    assert await scene.whole() == 1
    await home.write("docs/a.md", "one\r\nmore\r\n")
    await home.workspace.move(home.project, Path("run.sh"), Path("bin/run.sh"), ALICE)
    await home.workspace.delete(home.project, Path("empty"), ALICE)
    await home.workspace.delete(home.project, Path("docs"), ALICE, recursive=True)
    await home.write("docs", "a file now")
    assert (await scene.round()).number == 2
    assert await scene.whole() == 2


async def test_the_manifest_says_what_and_where_it_came_from(quick: Scene) -> None:
    await quick.home.write("run.sh", "#!\n", mode=0o100755)
    await quick.round()
    place = Place(quick.home.project.id)
    (file,) = decode((await quick.objects.get(place.manifest(1))).content).files
    row = await quick.home.store.at_path(quick.home.project.id, Path("run.sh"))
    assert row is not None
    assert (file.path, file.mode, file.sha) == ("run.sh", "100755", blob_sha(b"#!\n"))
    assert (file.document, file.position) == (row.id, row.head)


async def test_links_and_submodules_are_in_the_manifest_alone(quick: Scene) -> None:
    home = quick.home
    commit = blob_sha(b"some commit")
    incoming = [
        Incoming(Path("link"), 0o120000, b"a.md", blob_sha(b"a.md")),
        Incoming(Path("module"), 0o160000, b"", commit),
        Incoming(Path("caf\udce9"), 0o100644, b"x", blob_sha(b"x")),
    ]
    await home.workspace.stage(home.project, "job", incoming, ALICE)
    await home.workspace.publish(home.project, "job")
    await quick.round()
    found = await look(quick.objects, home.project)
    assert found is not None
    assert found.contents == {"link": b"a.md", '"caf\\351"': b"x"}
    assert found.files == {"caf%E9": b"x"}


async def test_nothing_touched_is_no_request_and_nothing_changed_one(quick: Scene) -> None:
    home = quick.home
    await home.write("a.md", "a")
    await quick.round()
    quick.objects.requests.clear()
    assert await quick.round() == Made("nothing", 1)
    assert quick.objects.requests.total() == 0
    await home.write("a.md", "b")
    await home.write("a.md", "a")
    for _ in range(2):
        assert await quick.round() == Made("nothing", 1)
        assert quick.objects.requests == {"get": 1}


async def test_what_another_process_made_of_what_is_gone_again_is_not_overlooked(quick: Scene) -> None:
    home = quick.home
    await home.write("a.md", "one")
    await quick.round()
    await home.write("b.md", "one")
    await quick.another().round(home.project)
    await home.workspace.delete(home.project, Path("b.md"), ALICE)
    assert await quick.round() == Made("done", 3, 0)
    await quick.whole()


async def test_an_empty_project_has_no_objects(quick: Scene) -> None:
    assert await quick.round() == Made("nothing", 0)
    assert await look(quick.objects, quick.home.project) is None


@pytest.mark.parametrize("others", [10, 300])
async def test_what_it_costs_follows_what_changed(quick: Scene, others: int) -> None:
    for number in range(others):
        await quick.home.write(f"other/{number}.md", f"{number}\n")
    await quick.round()
    for number in range(5):
        await quick.home.write(f"other/{number}.md", f"new {number}\n")
    await quick.home.workspace.move(quick.home.project, Path("other/5.md"), Path("moved.md"), ALICE)
    quick.objects.requests.clear()
    assert (await quick.round()).files == 6
    assert quick.objects.requests == {"put": 5 + 3, "copy": 6, "delete": 1}


async def test_equal_contents_are_put_once(quick: Scene) -> None:
    await quick.home.write("a.md", "same")
    await quick.round()
    quick.objects.requests.clear()
    await quick.home.write("b.md", "same")
    await quick.round()
    assert quick.objects.requests == {"put": 3, "copy": 1}


async def test_what_is_not_text_does_not_pass_through_here_again(quick: Scene) -> None:
    await quick.home.write("big.bin", b"\xff" * 100_000)
    quick.objects.keys.clear()
    await quick.round()
    assert [method for method, key in quick.objects.keys if "/blobs/" in key] == ["copy"]
    assert await quick.whole() == 1


async def test_of_two_at_once_one_wins_and_nothing_is_torn(scene: Scene) -> None:
    home, other = scene.home, scene.another()
    await home.write("a.md", "one")
    await scene.round()
    for number in range(5):
        await home.write("a.md", f"{number}\n")
        await home.write(f"{number}.md", f"{number}\n")
        made: list[Made] = []

        async def go(who: Materialiser, made: list[Made] = made) -> None:
            made.append(await who.round(home.project))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go, scene.mine)
            tasks.start_soon(go, other)
        assert sorted(each.state for each in made) == ["done", "nothing"]
        await scene.whole()


@pytest.mark.parametrize(("method", "key"), [("put", "/snapshots/"), ("put", "/HEAD")])
async def test_who_was_overtaken_begins_again_and_leaves_no_snapshot_of_its_own(
    quick: Scene, method: str, key: str
) -> None:
    home, other = quick.home, quick.another()
    await home.write("a.md", "one")
    await quick.round()

    async def overtake() -> None:
        await home.write("a.md", "two")
        await other.round(home.project)
        await home.write("b.md", "three")

    await home.write("a.md", "a cut that is old when it arrives")
    quick.objects.meanwhile(method, key, overtake)
    await quick.round()
    number = await quick.whole()
    place = Place(home.project.id)
    numbers = [place.number(each) async for each in quick.objects.list(place.manifests)]
    assert len(numbers) == 3
    assert max(each for each in numbers if each is not None) == number


async def test_a_slow_winner_does_not_leave_old_bytes_among_the_plain_files(quick: Scene) -> None:
    """Its copy is made after that of the next winner; it finds that out, and makes it good."""
    home, other = quick.home, quick.another()
    await home.write("a.md", "one")
    await home.write("b.md", "one")
    await quick.round()

    async def overtake() -> None:
        await home.write("a.md", "three")
        await home.workspace.delete(home.project, Path("b.md"), ALICE)
        await other.round(home.project)

    await home.write("a.md", "two")
    await home.write("b.md", "two")
    quick.objects.meanwhile("copy", "/files/a.md", overtake)
    await quick.round()
    await quick.whole()
    assert await quick.round() == Made("nothing", 3)


ANYWHERE = [
    ("put", "/blobs/"), ("copy", "/blobs/"), ("put", "/snapshots/"), ("put", "/HEAD"), ("delete", "/files/"),
    ("copy", "/files/"), ("put", "/FILES"),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("method", "key"), ANYWHERE, ids=lambda each: each.strip("/"))
async def test_trouble_anywhere_tears_nothing_and_the_next_round_makes_it_good(
    scene: Scene, method: str, key: str, after: bool
) -> None:
    home = scene.home
    await home.write("a.md", "one")
    await home.write("gone.md", "one")
    await scene.round()
    before = await scene.whole()
    await home.write("a.md", "two")
    await home.write("b.bin", b"\xff")
    await home.workspace.delete(home.project, Path("gone.md"), ALICE)
    scene.objects.fail(method, key, after=after)
    with pytest.raises(Unavailable):
        await scene.round()
    found = await look(scene.objects.objects, home.project)
    assert found is not None
    assert found.contents in ({"a.md": b"one", "gone.md": b"one"}, await home.files())
    assert (await scene.round()).number > before
    await scene.whole()


async def test_the_files_of_a_winner_that_died_are_brought_up_by_the_next(quick: Scene) -> None:
    """What it had half shown is undone too, though the next snapshot is as the one before."""
    home = quick.home
    await home.write("a.md", "one")
    await quick.round()
    await home.write("a.md", "two")
    quick.objects.fail("put", "/FILES")
    with pytest.raises(Unavailable):
        await quick.round()
    await home.write("a.md", "one")
    quick.mine = quick.another()
    await quick.round()
    await quick.whole()


async def test_whoever_reads_while_it_is_written_sees_whole_snapshots(scene: Scene) -> None:
    """Every file says the same number: a reader that finds two numbers has found a torn snapshot."""
    home, seen = scene.home, set()
    names = [f"{number}.md" for number in range(6)]

    async def write() -> None:
        for number in range(8):
            for name in names:
                await home.write(name, f"{number}")
            await scene.round()

    async def read() -> None:
        while True:
            found = await look(scene.objects.objects, home.project)
            if found is not None:
                assert len(set(found.contents.values())) == 1
                seen.add(found.number)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await write()
        tasks.cancel_scope.cancel()
    assert seen <= set(range(1, 9))
    assert seen


async def test_a_file_that_cannot_be_read_is_held_back_and_the_others_go(quick: Scene) -> None:
    home = quick.home
    await home.write("a.md", "one")
    await home.write("b.md", "one")
    await quick.round()
    await home.write("a.md", "two")
    await home.write("b.md", "another")
    row = await home.store.at_path(home.project.id, Path("a.md"))
    assert row is not None
    broken = Broken(home.store, row.id)
    quick.mine = Materialiser(broken, quick.objects, clock=home.clock)
    assert await quick.round() == Made("done", 2, 1, held=("a.md",))
    found = await look(quick.objects, home.project)
    assert found is not None
    assert found.contents == {"a.md": b"one", "b.md": b"another"}
    assert await quick.round() == Made("nothing", 2, held=("a.md",))
    broken.mended = True
    assert await quick.round() == Made("done", 3, 1)
    assert await quick.round() == Made("nothing", 3)
    await quick.whole()


class Broken(FaultyStore):
    """One document's log cannot be decoded, until it is `mended`."""

    mended = False

    def __init__(self, store: Store, document: DocumentId) -> None:
        super().__init__(store)
        self._document = document

    async def load(self, document: DocumentId, position: Position | None = None) -> Loaded | None:
        if document == self._document and not self.mended:
            raise Quarantined("its log cannot be decoded")
        return await super().load(document, position)


async def test_positions_of_another_epoch_are_not_believed(tmp_path: pathlib.Path) -> None:
    """After a restore from backup a document comes to the same position with another content."""
    objects, clock = MemoryObjects(), Clock()
    store = await open_store(tmp_path / "data", clock=clock)
    async with house(tmp_path / "one", store=store, objects=objects, clock=clock) as home:
        await home.write("a.md", "one")
        await store.backup(str(tmp_path / "backup.sqlite"))
        await home.write("a.md", "lost by the restore")
        await Materialiser(home.store, objects, clock=clock).round(home.project)
    await store.aclose()
    (tmp_path / "again").mkdir()
    (tmp_path / "backup.sqlite").rename(tmp_path / "again" / "quire.sqlite")
    await anyio.to_thread.run_sync(begin_epoch, tmp_path / "again")
    store = await open_store(tmp_path / "again", clock=clock)
    async with house(tmp_path / "two", store=store, objects=objects, clock=clock) as home:
        await home.write("a.md", "made after the restore")
        mine = Materialiser(home.store, objects, clock=clock)
        assert (await mine.round(home.project)).state == "done"
        found = await look(objects, home.project)
        assert found is not None
        assert found.contents == {"a.md": b"made after the restore"}
        assert (await mine.round(home.project)).state == "nothing"
    await store.aclose()


async def test_a_manifest_that_somebody_deleted_is_made_again(quick: Scene) -> None:
    await quick.home.write("a.md", "one")
    await quick.round()
    place = Place(quick.home.project.id)
    await quick.objects.delete(place.manifest(1))
    quick.mine = quick.another()
    assert (await quick.round()).number == 2
    await quick.whole()


@pytest.mark.serial
async def test_memory_stays_flat_however_many_files_changed(tmp_path: pathlib.Path) -> None:
    async def peak(count: int) -> int:
        objects, clock = FolderObjects(tmp_path / f"objects{count}"), Clock()
        store = await open_store(tmp_path / f"data{count}", clock=clock)
        async with house(tmp_path / f"house{count}", store=store, objects=objects, clock=clock) as home:
            for start in range(0, count, 50):
                contents = [(f"{number:05}.md", f"{number} " * 4_000) for number in range(start, start + 50)]
                files = [
                    Incoming(Path(name), 0o100644, text.encode(), blob_sha(text.encode())) for name, text in contents
                ]
                await home.workspace.stage(home.project, "job", files, ALICE)
            await home.workspace.publish(home.project, "job")
            mine = Materialiser(home.store, objects, clock=clock)
            tracemalloc.start()
            try:
                assert (await mine.round(home.project)).files == count
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
                await store.aclose()

    few, many = await peak(100), await peak(1_000)
    assert many < few + 4_000_000, (few, many)
