"""What a tree may hold that somebody pushes. PURE.

As git's own fsck has it where a mistake, or malice, would do harm in a checkout: names that mean git's own directory on some
system, names that lead out of the tree, two files of one name, an order in which files are not found, modes that there
are not. What is already in a repository is not judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collab import paths
from snapshots.packs.entries import DIRECTORY, SUBMODULE, Entry, Kind, Oid

SYMLINK: Final = 0o120000
MODES: Final = frozenset({0o100644, 0o100755, 0o100664, SYMLINK, DIRECTORY, SUBMODULE})
"""100664 is what some old versions of git wrote."""

_INVISIBLE: Final = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
"""What HFS+ does not see in a name."""


def disguised(name: bytes, what: str) -> bool:
    """Whether some file system takes `name` for `what` (small letters): by case, by what it does not see, by what it cuts
    off, or by the short name that it makes of it."""
    if name.isascii() and b"git" not in name.lower():
        return False
    seen = name.decode("utf-8", "replace").translate(_INVISIBLE).lower()
    if seen == what:
        return True
    cut = name.decode("utf-8", "replace").lower().partition(":")[0].partition("\\")[0].rstrip(". ")
    short = what.lstrip(".")[:6]
    return cut in (what, *(f"{short}~{number}" for number in (range(1, 2) if what == ".git" else range(1, 5))))


def problem(entries: Iterable[Entry]) -> str | None:
    """What is wrong with a tree, in words; None when nothing is."""
    before = b""
    names: set[bytes] = set()
    for each in entries:
        wrong = _wrong(each)
        if wrong is not None:
            return wrong
        if each.name in names:
            return f"{_shown(each)} twice in one directory"
        order = each.name + b"/" if each.mode == DIRECTORY else each.name
        if order < before:
            return f"{_shown(each)} out of order in its directory"
        names.add(each.name)
        before = order
    return None


def _wrong(each: Entry) -> str | None:
    if each.name in (b"", b".", b"..") or b"/" in each.name:
        return f"the name {_shown(each)} in a directory, which names no file"
    if disguised(each.name, ".git"):
        return f"the name {_shown(each)}, which is git's own on some system"
    if each.mode == SYMLINK and disguised(each.name, ".gitmodules"):
        return f"{_shown(each)} as a symlink, which git does not follow for good reason"
    if each.mode not in MODES:
        return f"the mode {each.mode:o} of {_shown(each)}, which there is not"
    return None


def _shown(each: Entry) -> str:
    return repr(paths.show(paths.from_bytes(each.name)))


def expected(entry: Entry) -> Kind:
    return Kind.TREE if entry.mode == DIRECTORY else Kind.BLOB


@dataclass(frozen=True, slots=True)
class Extent:
    """Of everything below a tree: how many files, and the bytes of the longest path."""

    files: int
    longest: int


def extent(root: Oid, read: Callable[[Oid], Sequence[Entry]]) -> Extent:
    """Each tree is read once, however often it occurs: what unfolds to more files than there are atoms is counted all the
    same."""
    known: dict[Oid, Extent] = {}
    held: dict[Oid, Sequence[Entry]] = {}
    waiting = [root]
    while waiting:
        oid = waiting[-1]
        if oid in known:
            waiting.pop()
            continue
        entries = held[oid] = held[oid] if oid in held else read(oid)
        missing = [each.oid for each in entries if each.mode == DIRECTORY and each.oid not in known]
        if missing:
            waiting.extend(missing)
            continue
        known[oid] = _sum(held.pop(oid), known)
    return known[root]


def _sum(entries: Sequence[Entry], known: Mapping[Oid, Extent]) -> Extent:
    files, longest = 0, 0
    for each in entries:
        below = known[each.oid] if each.mode == DIRECTORY else None
        files += 1 if below is None else below.files
        longest = max(longest, len(each.name) + (0 if below is None else below.longest + 1))
    return Extent(files, longest)
