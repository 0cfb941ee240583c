"""Two texts as a unified diff, as `git diff` prints one and `patch` reads it. PURE.

Aligned by `collab.align`: near linear, whatever the texts are. A line ends at LF; where the last one lacks it, the diff says
so in git's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from collab.align import Budget, Change, align
from collab.text import lines

CONTEXT: Final = 3
"""Lines around a change."""


def unified(before: str, after: str, path: str, *, context: int = CONTEXT) -> str:
    """Empty when nothing differs. `path` is for the two lines at the top."""
    if before == after:
        return ""
    old, new = lines(before), lines(after)
    changes = align(old, new, Budget.for_lines(before, after))
    head = f"--- a/{path}\n+++ b/{path}\n"
    return head + "".join(line for group in _groups(changes, context) for line in _hunk(old, new, group, context))


def _groups(changes: Sequence[Change], context: int) -> Iterator[list[Change]]:
    """Changes that share their context."""
    group: list[Change] = []
    for change in changes:
        if group and change.a0 - group[-1].a1 > 2 * context:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _hunk(old: Sequence[str], new: Sequence[str], group: Sequence[Change], context: int) -> Iterator[str]:
    a0, b0 = max(group[0].a0 - context, 0), max(group[0].b0 - context, 0)
    a1, b1 = min(group[-1].a1 + context, len(old)), min(group[-1].b1 + context, len(new))
    yield f"@@ -{_range(a0, a1)} +{_range(b0, b1)} @@\n"
    at = a0
    for change in group:
        yield from (_shown(" ", line) for line in old[at : change.a0])
        yield from (_shown("-", line) for line in old[change.a0 : change.a1])
        yield from (_shown("+", line) for line in new[change.b0 : change.b1])
        at = change.a1
    yield from (_shown(" ", line) for line in old[at:a1])


def _shown(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _range(start: int, end: int) -> str:
    """An empty one names the line before."""
    size = end - start
    if size == 1:
        return str(start + 1)
    return f"{start + 1 if size else start},{size}"
