"""However a project is connected, edited, pushed to and interrupted: nothing is lost, nothing is forced, and it ends right."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab.errors import NotFound
from collab.ids import BlobSha, DocumentId, Path, Position
from snapshots.connecting import Asker, Take
from snapshots.places import Wanted
from snapshots.remotes.base import Author, CommitSha, NewCommit, TreeEntry
from snapshots.remotes.local import LocalRemote
from snapshots.scope import Scope
from tests.snapshots.git import blob_sha, git
from tests.snapshots.house import ALICE, House, house
from web.verify import Finding, Verifier

ROOT = Asker(ALICE, root=True)
FILE = 0o100644

PATHS = ("a.md", "b.md", "docs/a.md", "docs/b.md", "x.txt")
PLACES = (("one.git", "main"), ("one.git", "draft"), ("two.git", "main"), ("", "main"))
SCOPES = (Scope(), Scope("docs"), Scope("", ("docs", "b.md")))

paths = st.sampled_from(PATHS)
texts = st.sampled_from(["", "one\n", "two\n", "one\ntwo\nthree\n", "one\nTWO\nthree\n", "no end"])
trees = st.dictionaries(paths, texts, max_size=4)


class Died(Exception):
    """As if the process had."""


@dataclass(frozen=True)
class Connect:
    place: tuple[str, str]
    scope: Scope
    take: Take
    dies: str | None
    """At which step, if at one."""


@dataclass(frozen=True)
class Write:
    path: str
    text: str | None


@dataclass(frozen=True)
class Push:
    place: tuple[str, str]
    tree: dict[str, str]


@dataclass(frozen=True)
class Commit:
    pass


steps = st.sampled_from([None, None, None, "branch begun", "prepared", "switched", "path pulled", "every path pulled"])
takes = st.sampled_from(["theirs", "ours", "merge"])
connects = st.builds(Connect, st.sampled_from(PLACES), st.sampled_from(SCOPES), takes, steps)
operations = st.one_of(
    st.builds(Write, paths, st.one_of(st.none(), texts)),
    st.builds(Push, st.sampled_from(PLACES[:3]), trees),
    st.builds(Commit),
)


@dataclass
class World:
    home: House
    folder: pathlib.Path
    armed: str | None = None
    known: dict[DocumentId, tuple[Position, bytes]] = field(default_factory=dict)
    """What stood here at some time."""
    heads: dict[tuple[str, str], CommitSha] = field(default_factory=dict)

    def step(self, name: str) -> None:
        if name == self.armed:
            self.armed = None
            raise Died

    def remote(self, place: tuple[str, str]) -> LocalRemote:
        name, branch = place
        return LocalRemote(self.folder / name if name else self.home.repository, branch)

    async def remember(self) -> None:
        for row in (await self.home.workspace.tree(self.home.project)).rows:
            file = await self.home.workspace.contents.read(row)
            self.known[row.id] = file.row.head, file.content

    async def nothing_is_lost(self) -> None:
        for document, (position, content) in self.known.items():
            row = await self.home.store.document(document)
            assert row is not None
            assert (await self.home.workspace.at(row, position)).content == content

    async def nothing_was_forced(self) -> None:
        for place in PLACES:
            remote = self.remote(place)
            head = await remote.head() if remote.path.exists() else None
            if (before := self.heads.get(place)) is not None:
                assert head is not None
                git(remote.path, "merge-base", "--is-ancestor", before, head)
            if head is not None:
                self.heads[place] = head


async def write(world: World, each: Write) -> None:
    home = world.home
    if each.text is not None:
        await home.write(each.path, each.text)
        return
    try:
        await home.workspace.delete(home.project, Path(each.path), ALICE)
    except NotFound:
        return


async def push(world: World, each: Push) -> None:
    """Somebody makes the branch what he likes, on top of what it is."""
    remote = world.remote(each.place)
    head = await remote.head()
    before = await remote.tree(head) if head is not None else {}
    held = {blob_sha(text.encode()): text.encode() for text in each.tree.values()}

    async def blob(sha: BlobSha) -> bytes:
        return held[sha]

    new = NewCommit(
        parent=head,
        writes={Path(path): TreeEntry(blob_sha(text.encode()), FILE) for path, text in each.tree.items()},
        deletes=[path for path in before if path not in each.tree],
        message="Push\n",
        author=Author("Bob", "bob@example.org"),
        at=1_700_000_000,
    )
    await remote.commit(new, blob)


async def connect(world: World, each: Connect) -> None:
    home, (name, branch) = world.home, each.place
    repository = str(world.folder / name) if name else ""
    wanted = Wanted(kind="git", repository=repository, branch=branch, scope=each.scope)
    world.armed = each.dies
    chosen = False
    for _ in range(2):
        try:
            chosen = chosen or (await home.connecting.preview(home.project, wanted, ROOT)).choice
            done = await home.connecting.connect(home.project, wanted, each.take, ROOT)
            break
        except NotFound:
            return  # there is no such branch, and nothing was done
        except Died:
            continue
    world.armed = None
    assert done.pulled.state in ("done", "nothing", "conflicts"), done.pulled.detail
    if each.take == "theirs" and chosen:
        await is_as_there(world)


async def theirs(world: World) -> dict[str, str]:
    """What the project is connected to holds of what belongs."""
    remote = await world.home.remotes.of(world.home.project)
    head = await remote.head()
    if head is None:
        return {}
    tree = await remote.tree(head)
    contents = {sha: content.decode() async for sha, content in remote.blobs([each.sha for each in tree.values()])}
    return {path: contents[each.sha] for path, each in tree.items()}


async def ours(world: World) -> dict[str, str]:
    """What belongs of what is here."""
    remote = await world.home.remotes.of(world.home.project)
    files = await world.home.files()
    return {path: content.decode() for path, content in files.items() if remote.covers(Path(path))}


async def is_as_there(world: World) -> None:
    assert await ours(world) == await theirs(world)


async def commit(world: World) -> None:
    home = world.home
    made = await home.snapshotter.snapshot(home.project)
    assert made.state in ("done", "nothing"), made.detail
    if not await home.snapshotter.settling.conflicts(home.project):
        await is_as_there(world)


async def play(
    folder: pathlib.Path,
    here: dict[str, str],
    there: list[dict[str, str]],
    moves: list[Connect | Write | Push | Commit],
) -> None:
    world: World
    async with house(folder, step=lambda name: world.step(name)) as home:
        world = World(home, folder)
        for path, text in here.items():
            await home.write(path, text)
        for place, tree in zip(PLACES, there, strict=False):
            await push(world, Push(place, tree))
        for each in moves:
            await world.remember()
            match each:
                case Connect():
                    await connect(world, each)
                case Write():
                    await write(world, each)
                case Push():
                    await push(world, each)
                case Commit():
                    await commit(world)
            await world.nothing_was_forced()
        await commit(world)
        await world.nothing_is_lost()
        verifier = Verifier(home.store, home.objects, home.remotes.of)
        assert [each async for each in verifier.run() if isinstance(each, Finding)] == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    here=trees,
    there=st.lists(trees, min_size=3, max_size=3),
    moves=st.lists(st.one_of(connects, operations), min_size=1, max_size=9),
)
def test_however_a_project_is_connected_nothing_is_lost_and_nothing_is_forced(
    tmp_path_factory: pytest.TempPathFactory,
    here: dict[str, str],
    there: list[dict[str, str]],
    moves: list[Connect | Write | Push | Commit],
) -> None:
    anyio.run(play, tmp_path_factory.mktemp("anyhow"), here, there, moves)
