"""Random edits here, random commits there, pulls, commits and kills in between: nothing is lost, and in the end both hold the
same. Real git makes and judges the other side."""

from __future__ import annotations

import asyncio
import pathlib
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from collab import bases, conflicts
from collab.errors import Conflict, Invalid, PathInvalid, PathTaken, Unavailable
from collab.ids import Path
from collab.objects.memory import MemoryObjects
from collab.rooms import Rooms
from collab.store.base import Append, Change, Committed
from collab.store.memory import MemoryStore
from collab.workspace import Workspace
from snapshots import journal
from snapshots.puller import Puller
from snapshots.remotes.local import LocalRemotes
from snapshots.snapshot import Snapshot
from tests.faults import FaultyStore
from tests.snapshots.branch import FILE, LINK, MODULE, SCRIPT, Branch, Held, Tree
from tests.snapshots.git import blob_sha, git
from tests.snapshots.house import ALICE, Clock, House, house

LFS: Final = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n"

PLACES: Final = ("a.md", "b.md", "c.txt", "docs/a.md", "docs/b.md", "docs/deep/x.md", "docs", "A.md", "Docs/c.md",
                 "caf\xe9.md", "cafe\u0301.md", "bytes-\udcff.md")  # fmt: skip

STORIES: Final = 15
STEPS: Final = 15

COLLECTIONS: Final = ("bases", "branches", "conflicts", "conflicts-ended")

T = TypeVar("T")

TOKEN: Final = re.compile(rb"(?:alice|bob) \d+|sha256:\d+")

seeds = st.integers(0, 2**32 - 1)


class Killed(Exception):
    """The process is no more: whatever it still does, nobody hears of."""


class Mortal(FaultyStore):
    """A store whose process dies before or after a commit, or at a step; from then on it hears nothing from it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.left: int | None = None
        """Moments until death."""
        self.dead = False

    def moment(self, name: str = "") -> None:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.dead = True
        if self.dead:
            raise Killed

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed:
        self.moment()
        committed = await super().commit(appends, changes)
        self.moment()
        return committed


class Writer:
    """Makes contents in which every line is its own, so that none is lost unseen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._made = 0

    def line(self) -> str:
        self._made += 1
        return f"{self.name} {self._made}, and some more words of {self.name}\n"

    def new(self, dice: random.Random) -> bytes:
        text = "".join(self.line() for _ in range(dice.choice([0, 1, 6, 12])))
        match dice.randrange(9):
            case 0:
                return text.replace("\n", "\r\n").encode()
            case 1:
                return b"\xef\xbb\xbf" + text.encode()
            case 2:
                return text.replace("\n", "\r\n", 1).encode()
            case 3:
                return text.removesuffix("\n").encode()
            case 4:
                return self.line().encode() + b"caf\xe9\n"
            case 5:
                return self.line().encode() + b"\0\xff"
            case 6:
                self._made += 1
                return LFS % self._made
            case _:
                return text.encode()

    def changed(self, content: bytes, dice: random.Random) -> bytes:
        """A line or two; now and then line endings, the byte order mark, the last line break."""
        lines = content.splitlines(keepends=True)
        for _ in range(dice.randrange(1, 3)):
            at = dice.randrange(len(lines) + 1)
            line = self.line().encode()
            if lines and lines[0].endswith(b"\r\n"):
                line = line.replace(b"\n", b"\r\n")
            match dice.randrange(4):
                case 0:
                    lines[at : at + 1] = [line]
                case 1 if at < len(lines):
                    del lines[at]
                case _ if at < len(lines) or content.endswith(b"\n") or not content:
                    lines.insert(at, line)
                case _:
                    lines[-1:] = [line]
        text = b"".join(lines)
        match dice.randrange(12):
            case 0:
                return text.replace(b"\r\n", b"\n") if b"\r\n" in text else text.replace(b"\n", b"\r\n")
            case 1:
                return text.removeprefix(b"\xef\xbb\xbf") if text[:3] == b"\xef\xbb\xbf" else b"\xef\xbb\xbf" + text
            case 2:
                return text.removesuffix(b"\n").removesuffix(b"\r")
            case _:
                return text


def tokens(tree: Tree) -> list[str]:
    """The lines that somebody wrote, as often as they are there; of what has none, its bytes."""
    return [token.decode() for held in tree.values() for token in TOKEN.findall(held.content)]


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="quire-machine-"))
        self.clock = Clock()
        self.store = Mortal(MemoryStore(clock=self.clock))
        self.objects = MemoryObjects()
        self.alice, self.bob = Writer("alice"), Writer("bob")
        self.open()
        self.branch = Branch(self.home.repository)

    # -- the process -------------------------------------------------------------------------------------------------

    def call(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return self.loop.run_until_complete(work(*arguments))

    def open(self) -> None:
        ready = self.loop.create_future()
        self.over = asyncio.Event()
        self.process = self.loop.create_task(self.serve(ready))
        self.home: House = self.loop.run_until_complete(ready)

    async def serve(self, ready: asyncio.Future[House]) -> None:
        store, objects, clock, step = self.store, self.objects, self.clock, self.store.moment
        async with house(self.root, store=store, objects=objects, clock=clock, step=step) as home:
            ready.set_result(home)
            await self.over.wait()

    def reopen(self) -> None:
        """What a killed process left is the store, the objects and the repository."""
        self.process.cancel()
        self.loop.run_until_complete(asyncio.gather(self.process, return_exceptions=True))
        self.store.left, self.store.dead = None, False
        self.open()

    def mortal(self, work: Callable[[], Coroutine[Any, Any, T]], moments: int | None) -> T:
        """Done, or killed in the midst of it and done again by the next process."""
        self.store.left = moments
        try:
            return self.call(work)
        except Exception:
            if not self.store.dead:
                raise
        finally:
            self.store.left = None
            if self.store.dead:
                self.reopen()
        return self.call(work)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.agree()
        finally:
            self.over.set()
            self.loop.run_until_complete(self.process)
            self.loop.close()
            shutil.rmtree(self.root)

    # -- what there is -----------------------------------------------------------------------------------------------

    def live(self) -> Tree:
        return self.call(self._live)

    async def _live(self) -> Tree:
        made: Tree = {}
        for row in (await self.home.workspace.tree(self.home.project)).rows:
            if row.mode == MODULE:
                made[row.path] = Held(MODULE, str(row.object).encode())
            else:
                file = await self.home.workspace.read(self.home.project, row.path)
                made[row.path] = Held(file.row.mode, file.content)
        return made

    def known(self) -> str | None:
        return journal.known(self.call(journal.branch, self.store, self.home.project.id))

    def conflicts(self) -> list[conflicts.FileConflict]:
        return self.call(conflicts.still_open, self.store, self.home.project.id)

    def kept(self) -> list[str]:
        """What conflicts hold, decided ones included."""
        return self.call(self._kept)

    async def _kept(self) -> list[str]:
        project = self.home.project.id
        found = [*await conflicts.still_open(self.store, project), *await conflicts.ended(self.store, project)]
        sides = [side for each in found for side in (each.base, each.ours, each.theirs) if side is not None]
        contents = [await self.home.snapshotter.settling.kept(side) for side in sides]
        return [token.decode() for content in contents for token in TOKEN.findall(content or b"")]

    async def everything(self) -> object:
        rows = await self.store.tree_with_deleted(self.home.project.id)
        records = [await self.store.records(each, self.home.project.id) for each in COLLECTIONS]
        return sorted((row.id, row.path, row.head, row.sha, row.deleted_at or 0) for row in rows), records

    # -- alice, here -------------------------------------------------------------------------------------------------

    @initialize(seed=seeds, size=st.integers(1, 6))
    def there_is_something(self, seed: int, size: int) -> None:
        dice = random.Random(seed)
        for place in dice.sample(PLACES, size):
            self.alice_does(partial(self.home.write, place, self.alice.new(dice)))
        self.alice_does(lambda: self.home.write("first.md", self.alice.new(dice)))
        self.commit(None)

    @rule(seed=seeds, place=st.sampled_from(PLACES))
    def alice_writes(self, seed: int, place: str) -> None:
        dice = random.Random(seed)
        before = self.live().get(place)
        fresh = before is None or dice.random() < 0.1
        content = self.alice.new(dice) if fresh or before is None else self.alice.changed(before.content, dice)
        mode = None if before is None or before.mode == MODULE else dice.choice([None, None, FILE, SCRIPT, LINK])
        if mode == LINK or (mode is None and before is not None and before.mode == LINK):
            content = self.alice.line().strip().encode()
        self.alice_does(lambda: self.home.write(place, content, mode=mode))

    @rule(seed=seeds, place=st.sampled_from(PLACES))
    def alice_moves(self, seed: int, place: str) -> None:
        if source := self.some(self.live(), seed):
            self.alice_does(lambda: self.home.workspace.move(self.home.project, Path(source), Path(place), ALICE))

    @rule(seed=seeds)
    def alice_deletes(self, seed: int) -> None:
        if path := self.some(self.live(), seed):
            self.alice_does(lambda: self.home.workspace.delete(self.home.project, Path(path), ALICE))

    def alice_does(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Unless there is something in her way."""
        with suppress(PathTaken, PathInvalid, Conflict):
            self.call(work)

    @staticmethod
    def some(tree: Tree, seed: int) -> str | None:
        return sorted(tree)[seed % len(tree)] if tree else None

    # -- bob, there --------------------------------------------------------------------------------------------------

    @rule(seed=seeds, size=st.integers(1, 3), rewrites=st.integers(0, 9))
    def bob_pushes(self, seed: int, size: int, rewrites: int) -> None:
        dice = random.Random(seed)
        head = self.branch.head()
        tree = self.branch.tree() if head else {}
        for _ in range(size):
            self.bob_changes(tree, dice)
        if head is None:
            return
        # Now and then he rewrites history: nothing of it is left.
        self.branch.commit(tree, onto=None if rewrites == 0 else head)

    def bob_changes(self, tree: Tree, dice: random.Random) -> None:
        path = dice.choice(sorted(tree) or ["a.md"])
        held = tree.get(path, Held(FILE, b""))
        target = dice.choice(PLACES)
        match dice.randrange(10):
            case 0 | 1 | 2 | 3 if held.mode in (FILE, SCRIPT):
                tree[path] = Held(held.mode, self.bob.changed(held.content, dice))
            case 4:
                tree.pop(path, None)
            case 5 if held.mode in (FILE, SCRIPT):
                tree[path] = Held(FILE + SCRIPT - held.mode, held.content)
            case 6:
                tree.pop(path, None)
                changed = held.mode in (FILE, SCRIPT) and dice.random() < 0.3
                self.bob_puts(tree, target, Held(held.mode, self.bob.changed(held.content, dice)) if changed else held)
            case 7:
                self.bob_puts(tree, path, Held(LINK, self.bob.line().strip().encode()))
            case 8 if dice.random() < 0.3:
                self.bob_puts(tree, target, Held(MODULE, b"%040x" % dice.randrange(1, 2**80)))
            case _:
                self.bob_puts(tree, target, Held(FILE, self.bob.new(dice)))

    @staticmethod
    def bob_puts(tree: Tree, path: str, held: Held) -> None:
        """Git has no file that is a directory as well."""
        for other in list(tree):
            if other.startswith(path + "/") or path.startswith(other + "/"):
                del tree[other]
        tree[path] = held

    # -- between them ------------------------------------------------------------------------------------------------

    @rule(killed=st.none() | st.integers(1, 25), beside=st.none() | st.integers(0, 8))
    def pull(self, killed: int | None, beside: int | None) -> None:
        known, head, ours = self.known(), self.branch.head(), self.live()
        clean = not self.conflicts()
        base = self.branch.tree(known) if known else {}
        theirs = self.branch.tree() if head else {}
        if clean and known:
            held = self.call(bases.bases, self.store, self.home.project.id)
            assert {path: (each.sha, each.mode) for path, each in held.items()} == shas(base)

        async def work() -> None:
            if beside is None:
                await self.home.snapshotter.pull(self.home.project)
            else:
                await self.two_pulls(beside)

        self.mortal(work, killed)
        after = self.live()
        found = self.conflicts()
        self.nothing_is_lost(base, ours, theirs, after)
        if clean and not found and head and known:
            expected = self.branch.merged(base, ours, theirs)
            if expected is not None:
                assert after == expected
        before = self.call(self.everything)
        self.call(self.home.snapshotter.pull, self.home.project)
        again = self.call(self.everything)
        assert again == before

    async def two_pulls(self, hurry: int) -> None:
        """Another process on the same store and the same repository."""
        async with AsyncExitStack() as stack:
            rooms = await stack.enter_async_context(Rooms(self.store, self.home.bus))
            workspace = Workspace(self.store, self.objects, rooms, self.home.bus, self.clock)
            remotes = LocalRemotes(self.root / "git")
            other = Puller(workspace, remotes, self.home.bus, clock=self.clock, step=self.store.moment)

            async def later() -> None:
                for _ in range(hurry * 3):
                    await anyio.lowlevel.checkpoint()
                with suppress(Unavailable):
                    await other.pull(self.home.project)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(later)
                await self.home.snapshotter.pull(self.home.project)

    def nothing_is_lost(self, base: Tree, ours: Tree, theirs: Tree, after: Tree) -> None:
        """What either side wrote since the base is in the live files, or in a conflict. Nothing is there twice, but for
        what stays here though they have it elsewhere now: that is a conflict."""
        live, before = Counter(tokens(after)), set(tokens(base))
        kept = {*live, *self.kept()}
        for side in (ours, theirs):
            assert set(tokens(side)) - before <= kept
        here, there = Counter(tokens(ours)), Counter(tokens(theirs))
        most = here + there if self.conflicts() else here | there
        assert all(count <= most[token] for token, count in live.items())

    @rule(killed=st.none() | st.integers(1, 12))
    def commit(self, killed: int | None) -> None:
        async def work() -> Snapshot:
            return await self.home.snapshotter.snapshot(self.home.project)

        made = self.mortal(work, killed)
        assert made.state in ("done", "nothing"), made.detail
        if not self.conflicts():
            assert (self.branch.tree() if self.branch.head() else {}) == self.live()

    @precondition(lambda self: self.conflicts())
    @rule(seed=seeds, take=st.sampled_from(["ours", "theirs", "both"]), killed=st.none() | st.integers(1, 4))
    def somebody_decides(self, seed: int, take: Any, killed: int | None) -> None:
        waiting = self.conflicts()
        self.decide(waiting[seed % len(waiting)].id, take, killed)

    def decide(self, id_: str, take: Any, killed: int | None = None) -> bool:
        async def work() -> None:
            if any(each.id == id_ for each in await self.home.snapshotter.settling.conflicts(self.home.project)):
                await self.home.snapshotter.settle(self.home.project, id_, take=take, actor=ALICE)

        try:
            self.mortal(work, killed)
        except (Conflict, Invalid, PathTaken):
            return False
        return True

    def agree(self) -> None:
        """All is decided, and goes out: both hold the same, to the byte."""
        for _ in range(6):
            self.call(self.home.snapshotter.pull, self.home.project)
            for each in self.conflicts():
                assert self.decide(each.id, "ours") or self.decide(each.id, "theirs"), each
            self.commit(None)
            if not self.conflicts():
                break
        assert not self.conflicts()
        assert self.call(self.home.workspace.changed, self.home.project) == []
        assert (self.branch.tree() if self.branch.head() else {}) == self.live()
        assert git(self.home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""


def shas(tree: Tree) -> dict[str, tuple[str, int]]:
    return {
        path: (held.content.decode() if held.mode == MODULE else blob_sha(held.content), held.mode)
        for path, held in tree.items()
    }


# A process that is killed in here leaves its streams to the garbage collector, which finds them in whatever runs then.
@pytest.mark.filterwarnings("ignore:.*MemoryObject:pytest.PytestUnraisableExceptionWarning")
def test_random_edits_pushes_pulls_commits_and_kills_lose_nothing(request: pytest.FixtureRequest) -> None:
    """The same stories every time; `--stories 500` tells so many new ones."""
    stories: int | None = request.config.getoption("--stories")
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=stories or STORIES,
            stateful_step_count=STEPS,
            derandomize=stories is None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
