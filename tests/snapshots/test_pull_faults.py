"""A pull among people who type, beside another pull, and in a process that is killed: nothing is lost, nothing is doubled."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycrdt import Assoc, UndoManager

from collab import bases, conflicts
from collab.ids import DocumentId, Path, ProjectId
from collab.objects.memory import MemoryObjects
from collab.rooms import Rooms
from collab.store.base import Append, Change, Committed, Row, Store
from collab.store.memory import MemoryStore
from collab.workspace import Workspace
from snapshots.puller import Puller
from snapshots.remotes.local import LocalRemotes
from tests.collab.peers import Peer
from tests.faults import FaultyStore
from tests.snapshots.dying import durable
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, Clock, House, house

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


def clone(home: House, folder: pathlib.Path) -> pathlib.Path:
    git(folder, "clone", "--quiet", str(home.repository), "bob")
    return folder / "bob"


def push(copy: pathlib.Path, **files: str) -> str:
    for name, text in files.items():
        (copy / name.replace("_", ".")).write_text(text)
    sha = commit_all(copy)
    git(copy, "push", "--quiet", "--force", "origin", "HEAD:main")
    return sha


@asynccontextmanager
async def peer(home: House, path: str, name: str = "alice") -> AsyncIterator[Peer]:
    row = await home.workspace.resolve(home.project, Path(path))
    async with home.workspace.rooms.use(row.id) as room:
        made = Peer(name)
        made.connect(room)
        await made.until(lambda: made.synced)
        yield made
        room.leave(made.member)
        made.close()


# people who type


class Interrupted(FaultyStore):
    """Before and after everything that is asked of the store, somebody else does something, and it is their turn."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.meanwhile: Callable[[], None] | None = None
        self.asked = 0

    async def _others(self) -> None:
        self.asked += 1
        if self.meanwhile is not None:
            self.meanwhile()
        await anyio.lowlevel.checkpoint()

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        await self._others()
        committed = await super().commit(appends, changes)
        await self._others()
        return committed

    async def document(self, document: DocumentId) -> Row | None:
        await self._others()
        return await super().document(document)

    async def record(self, collection: str, project: ProjectId, key: str) -> bytes | None:
        await self._others()
        return await super().record(collection, project, key)

    async def tree(self, project: ProjectId, **rest: Any) -> Sequence[Row]:
        await self._others()
        return await super().tree(project, **rest)


@pytest.mark.parametrize("line", ["line 2", "line 8"])
async def test_whoever_types_at_every_await_of_a_pull_loses_nothing(tmp_path: pathlib.Path, line: str) -> None:
    """`line 8` is what bob changes: typed there first, it is a conflict; elsewhere, or later, it is merged."""
    store = Interrupted(MemoryStore(clock=Clock()))
    async with house(tmp_path, store=store) as home:
        await home.write("a.md", TEN)
        await home.write("gone.md", "gone\n")
        await home.snapshotter.snapshot(home.project)
        copy = clone(home, tmp_path)
        (copy / "gone.md").unlink()
        push(copy, a_md=TEN.replace("line 8", "line 8, by bob"), new_md="new\n")
        async with peer(home, "a.md") as alice, peer(home, "gone.md", "carol") as carol:
            typed: list[str] = []

            def type_something() -> None:
                word = f"<{len(typed)}>"
                typed.append(word)
                alice.type(word, at=str(alice.content).index(line) + len(line))
                if len(typed) == 3:
                    carol.type("more\n")

            store.meanwhile = type_something
            pulled = await home.snapshotter.pull(home.project)
            store.meanwhile = None
            assert len(typed) > 10
            await alice.until_saved()
            found = await home.files()
            text = found["a.md"].decode()
            assert all(text.count(word) == 1 for word in typed), text
            assert found["gone.md"] == b"gone\nmore\n"
            assert found["new.md"] == b"new\n"
            kinds = {each.path: each.kind for each in await conflicts.still_open(store, home.project.id)}
            assert kinds.pop("gone.md") == "modify/delete"
            if line == "line 2":
                assert kinds == {}
                assert "line 8, by bob" in text
            else:
                assert kinds == {"a.md": "modify/modify"} or "by bob" in text
            assert len(pulled.conflicts) == len(kinds) + 1
            await alice.until(lambda: alice.text == text)


words = st.sampled_from(["x", "two words", "\n", "é😀", ""])
edits = st.lists(st.tuples(st.integers(0, 9), words), max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(ours=edits, theirs=edits, every=st.integers(1, 7))
async def test_any_edits_on_both_sides_end_merged_or_in_conflict(
    tmp_path_factory: pytest.TempPathFactory,
    ours: list[tuple[int, str]],
    theirs: list[tuple[int, str]],
    every: int,
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    store = Interrupted(MemoryStore(clock=Clock()))
    async with house(tmp_path, store=store) as home:
        await home.write("a.md", TEN)
        await home.snapshotter.snapshot(home.project)
        copy = clone(home, tmp_path)
        lines = TEN.splitlines(keepends=True)
        for place, word in theirs:
            lines[place] = f"bob {word} {place}\n"
        pushed = "".join(lines)
        push(copy, a_md=pushed, always_md="\n")
        async with peer(home, "a.md") as alice:
            waiting = [f"[{number}{word}]" for number, (_, word) in enumerate(ours)]
            places = [place for place, _ in ours]

            def type_something() -> None:
                if waiting and store.asked % every == 0:
                    raw = str(alice.content)
                    at = min(places[len(places) - len(waiting)] * 7, len(raw))
                    alice.type(waiting.pop(0), at=len(raw[:at].encode()))

            store.meanwhile = type_something
            await home.snapshotter.pull(home.project)
            store.meanwhile = None
            typed = [f"[{number}{word}]" for number, (_, word) in enumerate(ours)][: len(ours) - len(waiting)]
            if typed:
                await alice.until_saved()
            text = (await home.files())["a.md"].decode()
            assert all(text.count(word[:2]) >= 1 for word in typed)
            held = await bases.base(store, home.project.id, Path("a.md"))
            assert held is not None
            waiting_conflicts = await conflicts.still_open(store, home.project.id)
            if waiting_conflicts:
                assert await home.snapshotter.settling.kept(waiting_conflicts[0].theirs) == pushed.encode()
            else:
                assert await home.workspace.contents.committed(held) == pushed.encode()
                for place, word in theirs[-1:]:
                    assert f"bob {word} {place}" in text or typed
            before = text
            await home.snapshotter.pull(home.project)
            assert (await home.files())["a.md"].decode() == before


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ours=st.lists(st.tuples(st.integers(0, 200), words), min_size=1, max_size=60), theirs=edits, pause=st.integers(0, 3)
)
async def test_whoever_types_whenever_the_pull_awaits_anything_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, ours: list[tuple[int, str]], theirs: list[tuple[int, str]], pause: int
) -> None:
    """Whatever the pull waits for, somebody else has the loop: she types then, every time, or every few times."""
    tmp_path = tmp_path_factory.mktemp("awaits")
    async with house(tmp_path) as home:
        for name in ("a.md", "moved.md", "gone.md"):
            await home.write(name, f"{name}\n" + TEN)
        await home.snapshotter.snapshot(home.project)
        copy = clone(home, tmp_path)
        lines = TEN.splitlines(keepends=True)
        for place, word in theirs:
            lines[place] = f"bob {word} {place}\n"
        (copy / "gone.md").unlink()
        (copy / "moved.md").rename(copy / "there.md")
        push(copy, a_md="a.md\n" + "".join(lines), always_md="\n")
        names = ("a.md", "moved.md", "gone.md")
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            people = [await stack.enter_async_context(peer(home, name, f"p{name}")) for name in names]
            typed: list[tuple[str, str]] = []

            async def typist() -> None:
                for number, (place, word) in enumerate(ours):
                    who = number % len(people)
                    raw = str(people[who].content)
                    # A character that there is once, and that nobody can type into.
                    typed.append((names[who], chr(0xE000 + number)))
                    people[who].type(typed[-1][1] + word, at=len(raw[: place % (len(raw) + 1)].encode()))
                    for _ in range(pause + 1):
                        await anyio.lowlevel.checkpoint()

            tasks.start_soon(typist)
            await home.snapshotter.pull(home.project)
            tasks.cancel_scope.cancel()
        found = {name: content.decode() for name, content in (await home.files()).items()}
        assert typed
        assert {"a.md", "always.md"} <= set(found)
        for name, mark in typed:
            where = "there.md" if name == "moved.md" and "there.md" in found else name
            # A file that was gone before she typed is a tombstone; whoever typed before that kept it.
            assert where in found or where == "gone.md"
            assert where not in found or found[where].count(mark) == 1, (where, found)


async def test_cursors_selections_and_undo_survive(tmp_path: pathlib.Path) -> None:
    async with house(tmp_path) as home:
        await home.write("a.md", TEN)
        await home.snapshotter.snapshot(home.project)
        copy = clone(home, tmp_path)
        push(copy, a_md="bob's first line\n" + TEN.replace("line 8", "line eight"))
        async with peer(home, "a.md") as alice:
            undo = UndoManager(scopes=[alice.content], capture_timeout_millis=0)
            undo.include_origin("alice")
            at = TEN.index("line 5")
            with alice.doc.transaction(origin="alice"):
                alice.type("alice's ", at=at)
            cursor = alice.content.sticky_index(at + len("alice's li"), Assoc.AFTER)
            await alice.until_saved()
            assert (await home.snapshotter.pull(home.project)).state == "done"
            merged = "bob's first line\n" + TEN.replace("line 8", "line eight").replace("line 5", "alice's line 5")
            await alice.until(lambda: alice.text == merged)
            place = cursor.get_index()
            assert merged[place - len("alice's li") : place] == "alice's li"
            assert undo.undo()
            await alice.until_saved()
            assert alice.text == merged.replace("alice's ", "")
            assert (await home.files())["a.md"].decode() == alice.text


# beside another


@asynccontextmanager
async def second(home: House, objects: MemoryObjects) -> AsyncIterator[Puller]:
    """Another process on the same store and the same repository."""
    async with AsyncExitStack() as stack:
        rooms = await stack.enter_async_context(Rooms(home.store, home.bus))
        workspace = Workspace(home.store, objects, rooms, home.bus, home.clock)
        yield Puller(workspace, LocalRemotes(home.root / "git"), home.bus, clock=home.clock)


@pytest.mark.parametrize("hurry", range(6))
async def test_two_pulls_at_once_change_nothing_more_than_one(tmp_path: pathlib.Path, hurry: int) -> None:
    store = Interrupted(MemoryStore(clock=Clock()))
    objects = MemoryObjects()
    async with house(tmp_path, store=store, objects=objects) as home, second(home, objects) as other:
        for name in ("a.md", "b.md", "gone.md", "moved.md"):
            await home.write(name, f"{name}\n" + TEN)
        await home.snapshotter.snapshot(home.project)
        copy = clone(home, tmp_path)
        (copy / "gone.md").unlink()
        (copy / "moved.md").rename(copy / "there.md")
        bob = "a.md\n" + TEN.replace("line 8", "bob")
        push(copy, a_md=bob, b_md="bob\n" + TEN, new_md="new\n")
        await home.write("a.md", "a.md\n" + TEN.replace("line 2", "alice"))
        await home.write("b.md", "alice\n" + TEN)

        async def later() -> None:
            for _ in range(hurry * 3):
                await anyio.lowlevel.checkpoint()
            await other.pull(home.project)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(home.snapshotter.pull, home.project)
            tasks.start_soon(later)
        assert await home.files() == {
            "a.md": bob.replace("line 2", "alice").encode(),
            "b.md": ("alice\n" + TEN).encode(),
            "new.md": b"new\n",
            "there.md": ("moved.md\n" + TEN).encode(),
        }
        (found,) = await conflicts.still_open(store, home.project.id)
        assert (found.path, found.state) == ("b.md", "open")
        rows = await store.tree_with_deleted(home.project.id)
        assert len(rows) == 5
        events = [event.kind for event in await home.workspace.events(home.project, 0)]
        for kind in ("pulled", "conflict", "deleted", "moved"):
            assert events.count(kind) == 1, (kind, events)


# killed

STEPS = ("path moved", "path pulled", "every path pulled", "pull recorded")


def run(root: pathlib.Path, step: str, times: int) -> int:
    command = [sys.executable, "-m", "tests.snapshots.dying", str(root), "pull", step, str(times)]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.parametrize(
    ("step", "times"),
    [("path moved", 1), *(("path pulled", number) for number in range(1, 6)), *((s, 1) for s in STEPS[2:])],
)
async def test_a_pull_killed_anywhere_is_done_once_in_the_end(tmp_path: pathlib.Path, step: str, times: int) -> None:
    assert await anyio.to_thread.run_sync(run, tmp_path, step, times) == -signal.SIGKILL
    async with durable(tmp_path) as (home, _):
        pushed = git(home.repository, "rev-parse", "main")
        made = await home.snapshotter.snapshot(home.project)
        assert (made.state, made.parent) == ("done", pushed)
        assert await home.files() == {
            "a.md": ("alice\n" + TEN + "bob\n").encode(),
            "c.md": b"alice\n",
            "new.md": b"new\n",
            "there.md": b"moved\n" + TEN.encode(),
        }
        (found,) = await conflicts.still_open(home.store, home.project.id)
        assert (found.path, found.kind) == ("c.md", "modify/modify")
        assert len(await home.store.tree_with_deleted(home.project.id)) == 5
        await home.snapshotter.settle(home.project, found.id, take="theirs", actor=ALICE)
        assert (await home.files())["c.md"] == b"bob\n"
        assert await home.workspace.changed(home.project) == []
        assert git(home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""
