"""What a command says: results on stdout, everything else on stderr.

Long work has one line that is rewritten in place on a terminal; in a pipe each phase has a plain line of its own, and one
more every few seconds while it lasts. No colours, so `NO_COLOR` is always honoured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TextIO

import click

PLAIN_EVERY: Final = 5.0
"""Seconds between two plain lines about one phase."""
REDRAW_EVERY: Final = 0.05


def say(message: str) -> None:
    """A result, for people and pipes."""
    click.echo(message)


def note(message: str) -> None:
    """What is going on, apart from the result."""
    click.echo(message, err=True)


class Progress:
    """How far long work is. `update` may be called as often as one likes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._rewrites = self._stream.isatty()
        self._phase = ""
        self._shown = ""
        self._shown_at = 0.0

    def update(self, phase: str, done: int = 0, total: int | None = None, *, unit: str = "") -> None:
        now = time.monotonic()
        begins = phase != self._phase
        pause = REDRAW_EVERY if self._rewrites else PLAIN_EVERY
        if not begins and now - self._shown_at < pause:
            return
        self._phase, self._shown_at = phase, now
        self._show(f"{phase} {_count(done, total, unit)}".rstrip(), begins=begins)

    def close(self) -> None:
        """Leaves the terminal at the beginning of an empty line."""
        if self._rewrites and self._shown:
            self._write("\r\x1b[K")
        self._shown = ""

    def _show(self, line: str, *, begins: bool) -> None:
        if line == self._shown and not begins:
            return
        self._shown = line
        self._write(f"\r\x1b[K{line}" if self._rewrites else f"{line}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _count(done: int, total: int | None, unit: str) -> str:
    if not done and not total:
        return ""
    of = "" if total is None else f" of {total:,}"
    if (done if total is None else total) == 1:
        unit = unit.removesuffix("s")
    return f"{done:,}{of}{' ' + unit if unit else ''}"


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns side by side, as wide as they must be."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def size(count: int) -> str:
    """Bytes, for people: `12 kB`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "bytes" else f"{amount:.1f} {unit}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
