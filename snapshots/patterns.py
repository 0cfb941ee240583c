"""Which paths a pattern means, as in a `.gitignore`. PURE.

`*` is anything within a name, `?` one character, `**` any number of folders. A pattern with a slash at its beginning or in
its middle counts from the top (`docs/*.md`); one without is a name in any folder (`*.png`). Whatever lies below a folder
that a pattern means is meant too (`vendor`, `vendor/`).

What it promises: the time grows with the lengths of pattern and path, multiplied, whatever the pattern is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from collab.errors import Invalid

LONGEST: Final = 500
"""Characters of a pattern."""

T = TypeVar("T")


def check(pattern: str, *, field: str) -> str:
    """The pattern, if it is one; else `Invalid`."""
    if not pattern.strip("/") or len(pattern) > LONGEST or not pattern.isprintable():
        raise Invalid(
            f"{pattern[:80]!r} is no pattern of paths; one is like docs/**/*.md, *.png or vendor/, with at most "
            f"{LONGEST} characters",
            field=field,
        )
    return pattern


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Taken apart. `names`: of the folders and the file, the outermost first; `anywhere`: it is a name in any folder."""

    names: tuple[str, ...]
    anywhere: bool
    folders: bool


@functools.lru_cache(maxsize=1024)
def _parsed(pattern: str) -> _Pattern:
    names = tuple(pattern.strip("/").split("/"))
    if names[-1] == "**":
        names = (*names, "*")  # what is in a folder, not the folder
    return _Pattern(names, "/" not in pattern.rstrip("/") and len(names) == 1, pattern.endswith("/"))


def matches(pattern: str, path: str) -> bool:
    wanted = _parsed(pattern)
    names = path.split("/")
    if wanted.folders:
        names.pop()
    if wanted.anywhere:
        return any(_name(wanted.names[0], name) for name in names)
    if names and wanted.names[0] != "**" and not _name(wanted.names[0], names[0]):
        return False
    return any(_along(wanted.names, names[:depth], _name, "**") for depth in range(len(names), 0, -1))


def _name(wanted: str, name: str) -> bool:
    if "*" not in wanted and "?" not in wanted:
        return wanted == name
    if wanted[0] == "*" and "*" not in wanted[1:] and "?" not in wanted:
        return name.endswith(wanted[1:])
    return _along(wanted, name, lambda one, other: one in ("?", other), "*")


def _along(wanted: Sequence[T], found: Sequence[T], same: Callable[[T, T], bool], star: T) -> bool:
    """Whether all of `found` is what `wanted` says, where `star` is any number of them. Only the latest star is ever
    stretched."""
    at = here = 0
    back: tuple[int, int] | None = None
    while here < len(found):
        if at < len(wanted) and wanted[at] == star:
            at += 1
            back = (at, here)
        elif at < len(wanted) and same(wanted[at], found[here]):
            at, here = at + 1, here + 1
        elif back is not None:
            at, here = back[0], back[1] + 1
            back = (at, here)
        else:
            return False
    return all(each == star for each in wanted[at:])
