"""The whole table of a pull, for everything that a file can be, from a real repository to live files and back: every row with every
kind, in one pull."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import pytest

from collab import conflicts, paths
from collab.ids import Path
from tests.snapshots.branch import FILE, LINK, MODULE, SCRIPT, Branch, Held, Tree
from tests.snapshots.git import git
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

Side = Literal["A", "B", "C"] | None


@dataclass(frozen=True)
class Kind:
    """What such a file is in three versions."""

    sides: tuple[Held, ...]
    conflict: str
    """Of B against C, made of A."""
    added: str
    """Of B against C, made of nothing."""

    def __getitem__(self, side: Side) -> Held | None:
        return None if side is None else self.sides["ABC".index(side)]


Make = Callable[[str], Kind]
"""Of a word that no other file has, in every line: none is taken for another that was renamed."""


def lines(word: str, changed: str, *, end: str = "\n", start: bytes = b"", encoding: str = "utf-8") -> bytes:
    text = ["one", "naïve", changed, "three", "four"]
    return start + "".join(f"{line} {word}{end}" for line in text).encode(encoding)


def text(mode: int = FILE, **how: Any) -> Make:
    return lambda word: Kind(
        tuple(Held(mode, lines(word, changed, **how)) for changed in ("two", "alice's", "bob's")),
        conflict="modify/modify",
        added="add/add",
    )


def bytes_(template: bytes, mode: int = FILE) -> Make:
    return lambda word: Kind(
        tuple(Held(mode, template % (word.encode(), changed)) for changed in (b"A", b"B", b"C")),
        conflict="binary",
        added="binary",
    )


def becomes(theirs: Held, conflict: str) -> Make:
    """Text, of which theirs is something else."""
    return lambda word: Kind(
        (
            Held(FILE, f"text {word}\n".encode()),
            Held(FILE, f"alice's {word}\n".encode()),
            Held(theirs.mode, theirs.content + hashlib.sha1(word.encode()).hexdigest().encode()),
        ),
        conflict=conflict,
        added=conflict,
    )


def module(word: str) -> Kind:
    sides = [Held(MODULE, hashlib.sha1(f"{word} {side}".encode()).hexdigest().encode()) for side in "ABC"]
    return Kind(tuple(sides), conflict="binary", added="binary")


def mixed(word: str) -> Kind:
    sides = [Held(FILE, f"one {word}\r\n{side} {word}\nthree {word}".encode()) for side in ("two", "alice", "bob")]
    return Kind(tuple(sides), conflict="modify/modify", added="add/add")


def latin(word: str) -> Kind:
    sides = [Held(FILE, lines(word, side, encoding="latin-1")) for side in ("two", "alice's", "bob's")]
    return Kind(tuple(sides), conflict="binary", added="binary")


def pointer(word: str) -> Kind:
    oids = [hashlib.sha256(f"{word} {side}".encode()).hexdigest() for side in "ABC"]
    head = "version https://git-lfs.github.com/spec/v1\noid sha256:"
    sides = [Held(FILE, f"{head}{oid}\nsize 12345\n".encode()) for oid in oids]
    return Kind(tuple(sides), conflict="binary", added="binary")


KINDS: Final[dict[str, Make]] = {
    "text": text(),
    "crlf": text(end="\r\n"),
    "bom": text(start=b"\xef\xbb\xbf"),
    "bom-crlf": text(start=b"\xef\xbb\xbf", end="\r\n"),
    "script": text(mode=SCRIPT),
    "mixed": mixed,
    "latin": latin,
    "binary": bytes_(b"\0\xff %b %b"),
    "lfs": pointer,
    "symlink": bytes_(b"to-%b-%b", mode=LINK),
    "submodule": module,
    "to-symlink": becomes(Held(LINK, b""), "type"),
    "to-binary": becomes(Held(FILE, b"\0\xff"), "binary"),
    "to-submodule": becomes(Held(MODULE, b""), "type"),
    "nfd-cafe\u0301": text(),
    "bytes-\udce9": bytes_(b"\xff %b %b"),
}


@dataclass(frozen=True)
class Row:
    base: Side
    ours: Side
    theirs: Side
    live: Side
    conflict: str | None = None
    """`both` and `added` stand for what the kind says."""


ROWS: Final = {
    "theirs": Row("A", "A", "C", "C"),
    "ours": Row("A", "B", "A", "B"),
    "alike": Row("A", "B", "B", "B"),
    "both": Row("A", "B", "C", "B", "both"),
    "created": Row(None, None, "C", "C"),
    "created-here": Row(None, "B", None, "B"),
    "both-created": Row(None, "B", "C", "B", "added"),
    "created-alike": Row(None, "B", "B", "B"),
    "deleted": Row("A", "A", None, None),
    "deleted-here": Row("A", None, "A", None),
    "changed-deleted": Row("A", "B", None, "B", "modify/delete"),
    "deleted-changed": Row("A", None, "C", "C", "delete/modify"),
    "both-deleted": Row("A", None, None, None),
    "untouched": Row("A", "A", "A", "A"),
}


def possible(name: str, kind: Kind, row: Row) -> bool:
    """Nobody makes a submodule here, nor a name that is no text; such files are moved and deleted."""
    held = kind[row.ours]
    made_here = held is not None and row.ours != row.base
    return not (made_here and ((held is not None and held.mode == MODULE) or "\udce9" in name or "e\u0301" in name))


def cases() -> Iterator[tuple[str, Kind, Row]]:
    for row in ROWS:
        for name, make in KINDS.items():
            kind = make(f"{row}-{ascii(name)[1:-1]}")
            if possible(name, kind, ROWS[row]):
                yield f"{row}/{name}", kind, ROWS[row]


CASES: Final = {path: (kind, row) for path, kind, row in cases()}


def tree(side: Literal["base", "ours", "theirs", "live"]) -> Tree:
    held = {path: kind[getattr(row, side)] for path, (kind, row) in CASES.items()}
    return {path: each for path, each in held.items() if each is not None}


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    """Everything as it is when bob has pushed, and alice has not yet committed."""
    async with house(tmp_path) as made:
        await made.write("first.md", "first\n")
        await made.snapshotter.snapshot(made.project)
        branch = Branch(made.repository)
        first = branch.tree()
        branch.commit({**first, **tree("base")}, onto=branch.head())
        assert (await made.snapshotter.pull(made.project)).state == "done"
        assert await live(made) == {**first, **tree("base")}
        for path, (kind, row) in CASES.items():
            ours = kind[row.ours]
            if ours is None and row.base is not None:
                await made.workspace.delete(made.project, Path(path), ALICE)
            elif ours is not None and row.ours != row.base:
                await made.write(path, ours.content, mode=ours.mode)
        assert await live(made) == {**first, **tree("ours")}
        branch.commit({**first, **tree("theirs")}, onto=branch.head())
        yield made


async def live(home: House) -> Tree:
    made: Tree = {}
    for row in (await home.workspace.tree(home.project)).rows:
        content = (
            str(row.object).encode()
            if row.mode == MODULE
            else (await home.workspace.read(home.project, row.path)).content
        )
        made[row.path] = Held(row.mode, content)
    return made


def expected(kind: Kind, row: Row) -> str | None:
    return {"both": kind.conflict, "added": kind.added}.get(str(row.conflict), row.conflict)


async def test_every_row_with_every_kind_of_file(home: House) -> None:
    assert len(CASES) > 180
    first = {"first.md": Held(FILE, b"first\n")}
    await home.snapshotter.pull(home.project)
    assert await live(home) == {**first, **tree("live")}
    found = {each.path: each.kind for each in await conflicts.still_open(home.store, home.project.id)}
    named = {paths.show(Path(path)): expected(kind, row) for path, (kind, row) in CASES.items()}
    assert found == {path: kind for path, kind in named.items() if kind is not None}


@pytest.mark.parametrize("take", ["ours", "theirs"])
async def test_every_conflict_is_decided_and_goes_out(home: House, take: Literal["ours", "theirs"]) -> None:
    await home.snapshotter.pull(home.project)
    for each in await conflicts.still_open(home.store, home.project.id):
        await home.snapshotter.settle(home.project, each.id, take=take, actor=ALICE)
    decided = {path: kind[getattr(row, take) if row.conflict else row.live] for path, (kind, row) in CASES.items()}
    wanted = {"first.md": Held(FILE, b"first\n"), **{path: held for path, held in decided.items() if held is not None}}
    assert await live(home) == wanted
    assert (await home.snapshotter.snapshot(home.project)).state == "done"
    assert Branch(home.repository).tree() == wanted
    assert await home.workspace.changed(home.project) == []
    assert git(home.repository, "fsck", "--strict", "--full", "--no-dangling") == ""
