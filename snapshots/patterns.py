"""Which paths a pattern means, as in a `.gitignore`. PURE.

`*` is anything within a name, `?` one character, `**` any number of folders. A pattern with a slash at its beginning or in
its middle counts from the top (`docs/*.md`); one without is a name in any folder (`*.png`). Whatever lies below a folder
that a pattern means is meant too (`vendor`, `vendor/`).

What it promises: the time grows with the lengths of pattern and path, multiplied, whatever the pattern is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def matches(pattern: str, path: str) -> bool:
    names = path.split("/")
    wanted = pattern.strip("/").split("/")
    if "/" not in pattern.rstrip("/"):
        wanted = ["**", *wanted]
    if wanted[-1] == "**":
        wanted = [*wanted, "*"]  # what is in a folder, not the folder
    if pattern.endswith("/"):
        names = names[:-1]
    return any(_along(wanted, names[:depth], _name, "**") for depth in range(len(names), 0, -1))


def _name(wanted: str, name: str) -> bool:
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
