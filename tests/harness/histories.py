"""Three versions of a file, as merges meet them: of releases whose branches parted, and made of real changes taken in part.

PURE but for reading archives and folders.
"""

from __future__ import annotations

import io
import lzma
import pathlib
import random
import tarfile
from collections.abc import Iterator
from typing import Final, NamedTuple

from pycrdt import Doc, Text

from collab.align import Budget, align
from collab.text import lines
from tests.harness.traces import trace

FOLDER: Final = pathlib.Path(__file__).parent.parent / "data" / "histories"


class History(NamedTuple):
    """`ours` and `theirs` were both made of `base`."""

    name: str
    base: str
    ours: str
    theirs: str


def vendored() -> list[History]:
    """The files in tests/data/histories, in the order of their names."""
    texts: dict[str, dict[str, str]] = {}
    unpacked = lzma.decompress((FOLDER / "histories.tar.xz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        for member in archive:
            name, _, side = member.name.rpartition("/")
            held = archive.extractfile(member)
            if side != "LICENSE" and held is not None:
                texts.setdefault(name, {})[side] = held.read().decode()
    return [History(name, **texts[name]) for name in sorted(texts)]


def of_releases(base: pathlib.Path, ours: pathlib.Path, theirs: pathlib.Path) -> Iterator[History]:
    """Every text file that three unpacked releases have, each with another content."""
    for file in sorted(base.rglob("*")):
        path = file.relative_to(base)
        sides = [folder / path for folder in (base, ours, theirs)]
        if not all(each.is_file() for each in sides):
            continue
        try:
            texts = [each.read_bytes().decode() for each in sides]
        except UnicodeDecodeError:
            continue
        if len(set(texts)) == len(sides):
            yield History(str(path), *texts)


def typed(name: str, *, every: int) -> Iterator[History]:
    """A recording of people who typed at once: what two of them had before each saw the other's latest keystrokes, and what
    both had seen. Every so many of the places where they met again."""
    recorded = trace(name)
    known: list[int] = []
    common: Doc[Text] = Doc()
    common.get("content", type=Text)
    held = met = 0
    for number, made in enumerate(recorded.transactions):
        author = recorded.authors[made["agent"]]
        author.sees([recorded.updates[at] for at in author.news(recorded, number)])
        author.type(recorded, number)
        heads = [known[parent] for parent in made["parents"]] or [0]
        known.append(1 << number | heads[0] | heads[-1])
        both = heads[0] & heads[-1]
        if both not in heads and both & held == held:
            met += 1
            if met % every == 0:
                _see(common, recorded.updates, both & ~held)
                held = both
                sides = [_with(common, recorded.updates, head & ~both) for head in (both, *heads)]
                yield History(f"{name}, keystroke {number}", *sides)


def _see(doc: Doc[Text], updates: list[bytes], which: int) -> None:
    with doc.transaction():
        for at, bit in enumerate(reversed(f"{which:b}")):
            if bit == "1":
                doc.apply_update(updates[at])


def _with(common: Doc[Text], updates: list[bytes], which: int) -> str:
    doc: Doc[Text] = Doc()
    text = doc.get("content", type=Text)
    doc.apply_update(common.get_update())
    _see(doc, updates, which)
    return str(text)


def in_part(history: History, dice: random.Random) -> History:
    """Each side with only some of its changes, and some of the other's as well, as cherry-picks are."""
    base = lines(history.base)
    changed = [_changed(base, lines(side)) for side in (history.ours, history.theirs)]
    share = dice.choice([0.2, 0.5, 0.8])
    foreign = dice.choice([0, 0, 0.3])
    ours = _taken(base, _chosen(dice, share, changed[0]) + _chosen(dice, foreign, changed[1]))
    theirs = _taken(base, _chosen(dice, share, changed[1]) + _chosen(dice, foreign, changed[0]))
    return History(history.name, history.base, ours, theirs)


Replaced = tuple[int, int, tuple[str, ...]]


def _changed(base: list[str], side: list[str]) -> list[Replaced]:
    found = align(base, side, Budget(10**9))
    return [(change.a0, change.a1, tuple(side[change.b0 : change.b1])) for change in found]


def _chosen(dice: random.Random, share: float, changes: list[Replaced]) -> list[Replaced]:
    return [each for each in changes if dice.random() < share]


def _taken(base: list[str], changes: list[Replaced]) -> str:
    """Those of the changes that do not overlap with an earlier one."""
    taken: list[str] = []
    at, last = 0, -1
    for start, end, new in sorted(set(changes)):
        if start >= at and start != last:
            taken += [*base[at:start], *new]
            at, last = end, start
    return "".join([*taken, *base[at:]])
