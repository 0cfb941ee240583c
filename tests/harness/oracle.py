"""`git merge-file` as the judge of our merge: what it makes of three texts, and why ours differs where it does.

A merge by lines has two parts: which lines of two texts are the same ones (the alignment), and what follows from the
changes of both sides (the weaving). The second has one right answer: woven from git's own alignments, our merge must be
what git prints, to the byte. The first is a choice where lines repeat, and git's search for it stops early as ours does, at
other places. So a difference is either explained by the alignments, or it is a fault.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from collab.align import Change
from collab.merge import Conflicted, Hunk, choose, merge, weave
from collab.text import lines

Verdict = Literal[
    "same",
    "another hunk",
    "fewer conflicts",
    "more conflicts",
    "clean where git sees a conflict",
    "a conflict where git is clean",
    "another clean text",
    "unexplained",
]
"""All between the first and the last are explained: another alignment."""

MARKER: Final = 40
"""Characters of git's conflict markers: no text here has such lines."""

SIDES: Final[tuple[Literal["ours", "theirs"], ...]] = ("ours", "theirs")

Sides = tuple[str, str, str]
"""Ours, base, theirs."""

CLEANER: Final = ("same", "another hunk", "fewer conflicts", "clean where git sees a conflict")
"""The same clean result; the same conflicts, or fewer."""


class Printed(NamedTuple):
    """What git says (`--diff3`), taken apart: what is clean, and of every conflict ours, base, theirs."""

    pieces: tuple[str | Sides, ...]

    @property
    def conflicts(self) -> list[Sides]:
        return [each for each in self.pieces if not isinstance(each, str)]

    def chosen(self, side: int) -> str:
        return "".join(each if isinstance(each, str) else each[side] for each in self.pieces)


class Oracle:
    """Works in a folder of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def _git(self, *arguments: str, fine: Sequence[int]) -> tuple[int, str]:
        done = subprocess.run(["git", *arguments], cwd=self._folder, capture_output=True, check=False)
        assert done.returncode in fine, done.stderr
        return done.returncode, done.stdout.decode()

    def _write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self._folder / name).write_bytes(text.encode())

    def merge(self, base: str, ours: str, theirs: str) -> Printed:
        self._write(base=base, ours=ours, theirs=theirs)
        command = "merge-file", "-p", "--diff3", f"--marker-size={MARKER}"
        count, shown = self._git(*command, "ours", "base", "theirs", fine=range(128))
        printed = Printed(tuple(_taken_apart(shown)))
        assert min(len(printed.conflicts), 127) == count
        # With --diff3 git leaves a conflict whose sides became the same in the end; without, it is clean, as it is for us.
        # At the end of a file they may differ in the line break that git adds.
        pieces = list(printed.pieces)
        last = len(pieces) if ours.endswith("\n") == theirs.endswith("\n") else len(pieces) - 2
        for at, each in enumerate(pieces[:last]):
            if not isinstance(each, str) and each[0] == each[2]:
                pieces[at] = each[0]
        return Printed(tuple(pieces))

    def changes(self, before: str, after: str) -> list[Change]:
        """The alignment that git's merge is made of."""
        self._write(before=before, after=after)
        # With a line of context, git does not trim common ends first, nor does its merge.
        command = "diff", "--no-index", "--no-indent-heuristic", "--diff-algorithm=myers", "--text", "-U1"
        _, shown = self._git(*command, "before", "after", fine=(0, 1))
        return _parsed(shown)

    def verdict(self, base: str, ours: str, theirs: str) -> Verdict:
        found = merge(base, ours, theirs)
        hunks = found.hunks if isinstance(found, Conflicted) else ()
        texts = [choose(base, ours, theirs, side) for side in SIDES]
        verdict = _compared(hunks, texts, self.merge(base, ours, theirs))
        if verdict == "same" or self.woven(base, ours, theirs) == "same":
            return verdict
        return "unexplained"

    def woven(self, base: str, ours: str, theirs: str) -> Verdict:
        """Of the merge that we make of git's alignments."""
        changes = self.changes(base, ours), self.changes(base, theirs)
        pieces = list(weave(lines(base), lines(ours), lines(theirs), *changes))
        hunks = [each for each in pieces if isinstance(each, Hunk)]
        texts = ["".join(each if isinstance(each, str) else getattr(each, side) for each in pieces) for side in SIDES]
        return _compared(hunks, texts, self.merge(base, ours, theirs))


def _compared(hunks: Sequence[Hunk], chosen: Sequence[str], printed: Printed) -> Verdict:
    """`chosen`: the whole text with our sides of the conflicts, and with theirs."""
    if not hunks or not printed.conflicts:
        if hunks:
            return "a conflict where git is clean"
        if printed.conflicts:
            return "clean where git sees a conflict"
        return "same" if _plain(chosen[0]) == _plain(printed.chosen(0)) else "another clean text"
    if len(hunks) != len(printed.conflicts):
        return "fewer conflicts" if len(hunks) < len(printed.conflicts) else "more conflicts"
    ours = [[_plain(each.ours), _plain(each.base), _plain(each.theirs)] for each in hunks]
    same = ours == [[_plain(part) for part in each] for each in printed.conflicts]
    same = same and _plain(chosen[0]) == _plain(printed.chosen(0))
    return "same" if same and _plain(chosen[1]) == _plain(printed.chosen(2)) else "another hunk"


def _plain(part: str) -> str:
    """Git ends every part of a conflict with a line break, a CRLF where the files have those."""
    plain = part.replace("\r\n", "\n")
    return plain if not plain or plain.endswith("\n") else plain + "\n"


def _taken_apart(shown: str) -> Iterator[str | Sides]:
    parts = [""]
    for line in lines(shown):
        mark = line[:MARKER]
        if mark == "<" * MARKER:
            yield parts[0]
            parts = [""]
        elif mark in ("|" * MARKER, "=" * MARKER):
            parts.append("")
        elif mark == ">" * MARKER:
            yield parts[0], parts[1], parts[2]
            parts = [""]
        else:
            parts[-1] += line
    yield parts[0]


def _parsed(shown: str) -> list[Change]:
    changes: list[Change] = []
    a = b = 0
    _, _, body = ("\n" + shown).partition("\n@@ ")
    for line in ("@@ " + body).removesuffix("\n").split("\n") if body else ():
        match line[0]:
            case "@":
                old, new = line.split(" ")[1:3]
                a, b = _first(old), _first(new)
            case "-" | "+" as sign:
                after = (a + 1, b) if sign == "-" else (a, b + 1)
                if changes and (changes[-1].a1, changes[-1].b1) == (a, b):
                    changes[-1] = changes[-1]._replace(a1=after[0], b1=after[1])
                else:
                    changes.append(Change(a, after[0], b, after[1]))
                a, b = after
            case " ":
                a, b = a + 1, b + 1
            case _:
                pass  # No newline at end of file: it stands in the line itself, here
    return changes


def _first(range_: str) -> int:
    """`-3,2`: the third line is the first; `-0,0` where there is none."""
    return max(0, int(range_[1:].partition(",")[0]) - 1)
