"""Reads a plain folder, without what its .gitignore and .quireignore files ignore."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Final

from dulwich.file import open_nofollow_read
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

from snapshots.readers.batches import Batches
from snapshots.sources import Phase

FILE: Final = 0o100644
SCRIPT: Final = 0o100755
LINK: Final = 0o120000

IGNORE_FILES: Final = (".gitignore", ".quireignore")
"""The second one wins."""

Stack = tuple[tuple[str, IgnoreFilter], ...]
"""The filters that apply, each with the directory (ending in a slash) that it is about; the last one decides first."""


def read(folder: pathlib.Path, batches: Batches) -> None:
    found = list(files(folder))
    batches.tell(Phase("files", len(found)))
    for name, info in found:
        raw = os.fsencode(name)
        path = folder / name
        if stat.S_ISLNK(info.st_mode):
            batches.add(raw, LINK, os.fsencode(path.readlink()))
        elif stat.S_ISREG(info.st_mode):
            batches.check_size(raw, info.st_size)
            with path.open("rb") as content:
                # As large as it is by now: somebody may be writing to it.
                size = os.fstat(content.fileno()).st_size
                batches.copy(raw, SCRIPT if info.st_mode & stat.S_IXUSR else FILE, content, size)
        else:
            batches.skip(raw, "is neither a file nor a link")


def files(folder: pathlib.Path, *, excludes: pathlib.Path | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below `folder` that nothing ignores and that is not git's own, by relative path. `excludes` is one more
    file of patterns, about the whole folder."""
    stack: Stack = ()
    if excludes is not None and (patterns := _patterns(excludes)) is not None:
        stack = (("", patterns),)
    yield from _below(folder, "", stack)


def _below(folder: pathlib.Path, prefix: str, above: Stack) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [(prefix, above)]
    while waiting:
        prefix, stack = waiting.pop()
        for name in IGNORE_FILES:
            if (patterns := _patterns(folder / prefix / name)) is not None:
                stack = (*stack, (prefix, patterns))
        directories = []
        with os.scandir(folder / prefix) as entries:
            for entry in sorted(entries, key=lambda each: os.fsencode(each.name)):
                if entry.name.lower() == ".git":
                    continue
                is_directory = entry.is_dir(follow_symlinks=False)
                path = prefix + entry.name + ("/" if is_directory else "")
                if _ignored(path, stack):
                    continue
                if is_directory:
                    directories.append((path, stack))
                else:
                    yield path, entry.stat(follow_symlinks=False)
        waiting.extend(reversed(directories))


def _ignored(path: str, stack: Stack) -> bool:
    for prefix, patterns in reversed(stack):
        verdict = patterns.is_ignored(path.removeprefix(prefix))
        if verdict is not None:
            return verdict
    return False


def _patterns(path: pathlib.Path) -> IgnoreFilter | None:
    try:
        with open_nofollow_read(path) as file:
            return IgnoreFilter(read_ignore_patterns(file))
    except OSError:
        # Absent, a link or a folder: git takes no patterns from it either.
        return None
