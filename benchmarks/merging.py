"""The merge of one file: its curve over the number of lines, what hostile texts cost, and git's opinion of thousands of them."""

from __future__ import annotations

import pathlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.finding import Finding, goal, median, told
from collab.merge import Conflicted, merge
from tests.harness.histories import History, in_part, of_releases, vendored
from tests.harness.oracle import CLEANER, Oracle

LINES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
CHANGED = 200
"""Hunks that each side changes, of a text however long."""

MEGABYTE = 30_000
"""Lines of the text that is held against the goal; about a megabyte."""

HOSTILE = 500_000

Texts = tuple[str, str, str]

BRANCHES = (
    ("urllib3", "1.26.0", "1.26.20", "2.2.3"),
    ("werkzeug", "2.2.0", "2.2.3", "2.3.0"),
    ("click", "8.0.0", "8.0.4", "8.1.0"),
    ("jinja2", "3.0.0", "3.0.3", "3.1.0"),
    ("django", "4.2", "4.2.20", "5.1"),
)
"""On PyPI: where two branches parted, the last of the one that was maintained, one of the other."""

PARTS = 15
"""How often each history is taken in part, at random."""


def merging(bench: Bench) -> Iterator[Finding]:
    """A merge with 200 changed hunks a side, from a thousand lines to a million; and texts that mean harm."""
    curve = {size: median([_milliseconds(*_changed(size)) for _ in range(bench.rounds)]) for size in LINES}
    for size, taken in curve.items():
        bench.say(f"  merge of {size:,} lines: {taken:.1f} ms")
        note = f"{taken * 1000 / size:.2f} µs a line"
        if size == MEGABYTE:
            yield goal("merging", f"merge of {size:,} lines (1 MB), {CHANGED} hunks a side", taken, "ms", 200, note)
        else:
            yield told("merging", f"merge of {size:,} lines, {CHANGED} hunks a side", taken, "ms", note)
    # Ten times the lines, at most fifteen times the time: near linear, with room for caches that are too small.
    growth = curve[1_000_000] / curve[100_000]
    yield goal("merging", "a million lines, against a hundred thousand", growth, "times", 15)
    for name, make in _hostile().items():
        taken = _milliseconds(*make())
        bench.say(f"  {name}: {taken:.0f} ms")
        yield told("merging", f"{HOSTILE:,} characters, {name}", taken, "ms")


def _milliseconds(base: str, ours: str, theirs: str) -> float:
    begun = time.perf_counter()
    merge(base, ours, theirs)
    return (time.perf_counter() - begun) * 1000


def _changed(size: int) -> Texts:
    dice = random.Random(size)
    words = ("room", "document", "update", "vector", "peer", "merge", "hunk", "base")
    base = [" ".join(dice.choices(words, k=5)) + "\n" for _ in range(size)]
    sides = [list(base), list(base)]
    for number, at in enumerate(sorted(dice.sample(range(size), 2 * CHANGED))):
        side = sides[number % 2]
        side[at] = dice.choice([f"changed {number}\n", "", side[at] + f"new {number}\n"])
    return "".join(base), "".join(sides[0]), "".join(sides[1])


def _hostile() -> dict[str, Callable[[], Texts]]:
    dice = random.Random(1)

    def dotted(line: str) -> str:
        lines = ["\n"] * HOSTILE
        for at in dice.sample(range(HOSTILE), 500):
            lines[at] = line
        return "".join(lines)

    def two() -> str:
        return "".join(dice.choices(["a\n", "b\n"], k=HOSTILE // 2))

    def shuffled() -> str:
        return "".join(dice.sample(numbered, len(numbered)))

    numbered = [f"{number}\n" for number in range(HOSTILE // 7)]
    return {
        "blank lines, 500 changed a side": lambda: ("\n" * HOSTILE, dotted("a\n"), dotted("b\n")),
        "two kinds of lines, nothing in common": lambda: (two(), two(), two()),
        "the same lines, shuffled": lambda: ("".join(numbered), shuffled(), shuffled()),
        "the same lines, reversed": lambda: ("".join(numbered), "".join(numbered[::-1]), shuffled()),
        "all on one line": lambda: ("a" * HOSTILE, "a" * HOSTILE + "b", "c" + "a" * HOSTILE),
    }


def histories(bench: Bench) -> Iterator[Finding]:
    """Merges of whole releases whose branches parted, taken whole and in part, held against `git merge-file`."""
    found: Counter[str] = Counter()
    clean = 0
    dice = random.Random(1)
    oracle = Oracle(pathlib.Path(tempfile.mkdtemp(dir=bench.folder)))
    whole = [*vendored(), *_released(bench)]
    for each in [*whole, *(in_part(history, dice) for history in whole for _ in range(PARTS))]:
        found[oracle.verdict(each.base, each.ours, each.theirs)] += 1
        clean += not isinstance(merge(each.base, each.ours, each.theirs), Conflicted)
    total = found.total()
    bench.say(f"  {total:,} merges, {clean:,} clean: {dict(found)}")
    kinds = "; ".join(f"{count:,} {verdict}" for verdict, count in found.most_common())
    worse = total - sum(found[verdict] for verdict in CLEANER)
    yield told(
        "histories", "merges of real histories that are git's, to the byte", 100 * found["same"] / total, "%", kinds
    )
    yield goal(
        "histories",
        "merges of 1,000 in which git sees fewer conflicts",
        1000 * worse / total,
        "",
        5,
        f"{clean:,} clean",
    )
    yield goal("histories", "differences that another alignment does not explain", float(found["unexplained"]), "", 0.5)


def _released(bench: Bench) -> Iterator[History]:
    for name, *versions in BRANCHES:
        folders = [_wheel(bench.folder / "wheels", name, version) for version in versions]
        yield from of_releases(*folders)


def _wheel(folder: pathlib.Path, name: str, version: str) -> pathlib.Path:
    """The files of a wheel, downloaded once."""
    target = folder / f"{name}-{version}"
    if not target.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", str(target), f"{name}=={version}"], check=True)
        [wheel] = target.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return target
