"""Which part of a repository a project is: a folder of it, and in that what patterns mean. PURE.

A file's path in the project is its path below the folder. Patterns are read as in a `.gitignore` (snapshots.patterns),
counted from the folder, and say what belongs: the last one that means a path decides, and one that begins with `!`
takes out again. None at all: everything belongs; the first one takes out: everything else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collab import paths
from collab.bases import Changed
from collab.errors import Invalid
from collab.ids import Path
from snapshots import patterns

PATTERNS_AT_MOST: Final = 100

Covers = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class Scope:
    """`folder` is "" or a path without a slash at either end."""

    folder: str = ""
    patterns: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Nothing of the repository is left out, or stands elsewhere."""
        return not self.folder and not self.patterns

    def covers(self, path: Path) -> bool:
        """Whether a file of the project belongs."""
        found = not self.patterns or self.patterns[0].startswith("!")
        for pattern in self.patterns:
            if patterns.matches(pattern.removeprefix("!"), path):
                found = not pattern.startswith("!")
        return found

    def there(self, path: Path) -> Path:
        """Where the repository has a file of the project."""
        return Path(f"{self.folder}/{path}") if self.folder else path

    def here(self, path: Path) -> Path | None:
        """Where the project has a file of the repository; None: it does not belong."""
        inside = self._inside(path)
        return inside if inside is not None and self.covers(inside) else None

    def _inside(self, path: Path) -> Path | None:
        if not self.folder:
            return path
        prefix = f"{self.folder}/"
        return Path(path.removeprefix(prefix)) if path.startswith(prefix) else None


def parse(folder: str, wanted: Iterable[str]) -> Scope:
    """`Invalid` for what is no folder, or no pattern, of the field it is about."""
    folder = folder.strip("/")
    if folder:
        try:
            paths.check_carried(folder.encode())
        except UnicodeEncodeError as error:
            raise Invalid("a folder's name is UTF-8, such as docs", field="folder") from error
        except Invalid as error:
            raise Invalid(f"{error.message}: give a folder of the repository, such as docs", field="folder") from error
    given = tuple(wanted)
    if len(given) > PATTERNS_AT_MOST:
        raise Invalid(f"{len(given)} patterns are too many: give {PATTERNS_AT_MOST} at most", field="patterns")
    for each in given:
        patterns.check(each.removeprefix("!"), field="patterns")
    return Scope(folder, given)


def within(changed: Iterable[Changed], covers: Covers) -> tuple[list[Changed], list[Path]]:
    """What is to be committed of what changed; and what is not, because it does not belong. What was moved out counts as
    deleted."""
    inside: list[Changed] = []
    outside: list[Path] = []
    for each in changed:
        if covers(each.path):
            inside.append(each)
            continue
        if each.base is not None:
            inside.append(Changed(each.base.path, "deleted", None, each.base))
        if each.row is not None:
            outside.append(each.path)
    return inside, outside


NAMED: Final = 10
"""Files that a sentence names."""


def left_out(outside: Sequence[Path]) -> str:
    """For people, of what is not committed because it does not belong."""
    if not outside:
        return ""
    names = ", ".join(map(paths.show, outside[:NAMED]))
    more = f" and {len(outside) - NAMED} more" if len(outside) > NAMED else ""
    return f"Not committed, because no pattern of the connection means it: {names}{more}"


def in_the_way(writes: Iterable[Path], outside: Mapping[Path, object]) -> dict[Path, Path]:
    """Of what is to be written, what would replace something that does not belong, and that: a file below which it would
    stand, or a directory of which it would take the name."""
    directories = {parent: path for path in outside for parent in paths.parents(path)}
    found: dict[Path, Path] = {}
    for path in writes:
        above = next((each for each in paths.parents(path) if each in outside), None)
        stands = above or directories.get(path)
        if stands is not None:
            found[path] = stands
    return found
