"""What is to be done with every path of a pull: base, ours and theirs, compared. PURE.

A *base* is what the branch held when Quire last knew it, *ours* is what is live, *theirs* what the branch holds now. A
`Track` follows one file through the three, renames included: ours by its document, theirs by content (`renames`: the same
blob first, then blobs that are alike). `decide` is the table of a pull, for content and mode; `resolve` adds where things
stand, and finds what stands in the way.

What it promises
1. Total: every path of base, ours or theirs belongs to exactly one side of one decision.
2. Deterministic: it depends on what it is given, and on nothing else, not even on the order of mappings.
3. Done twice it is done once: after what it said is done, it says `nothing` about everything but the conflicts, which
   it finds again.
4. It never lets one side win where both have changed something: that is `merge` (lines decide) or `conflict`.

What breaks it: rows without exact SHAs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from collab import paths
from collab.conflicts import ConflictKind
from collab.ids import BlobSha, DocumentId, Path

Do = Literal["nothing", "forget", "adopt", "ingest", "merge", "create", "delete", "restore", "conflict"]
"""`forget`: both sides have deleted it. `adopt`: both hold the same. `merge`: by lines. `restore`: ours had deleted it, and
theirs comes back, as a conflict that says so."""

ALIKE: Final = 0.5
"""The share of common bytes from which two files are one that was renamed, as in git."""

COMMON_LINE: Final = 50
"""A line that so many files have says nothing about which of them was renamed."""

_TYPE: Final = 0o170000
_REGULAR: Final = 0o100000
_SUBMODULE: Final = 0o160000


@dataclass(frozen=True, slots=True)
class Side:
    """A file as one of the three has it. Theirs has no document. `nowhere`: a base that no commit held (`bases.NOWHERE`): it
    was not renamed when it is gone."""

    path: Path
    sha: BlobSha
    mode: int
    document: DocumentId | None = None
    nowhere: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`path` is where people find it: ours, else theirs, else the base's. `move`: ours goes there (theirs renamed it).
    `kind` is that of the conflict, or of the one that a `merge` would end in. `blockers`: our files in the way of theirs."""

    path: Path
    do: Do
    base: Side | None = None
    ours: Side | None = None
    theirs: Side | None = None
    move: Path | None = None
    kind: ConflictKind | None = None
    blockers: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Track:
    base: Side | None
    ours: Side | None
    theirs: Side | None


Content = Callable[[BlobSha], bytes | None]
"""The bytes of a blob; None when they are not worth looking at (too large, or not there)."""


def decide(base: Side | None, ours: Side | None, theirs: Side | None) -> tuple[Do, ConflictKind | None]:
    """The table of a pull, by content and mode alone."""
    if same(ours, theirs):
        if same(base, theirs):
            return "nothing", None
        return ("forget" if theirs is None else "adopt"), None
    if same(base, theirs):
        return "nothing", None
    if same(base, ours):
        if theirs is None:
            return "delete", None
        return ("create" if ours is None else "ingest"), None
    if theirs is None:
        return "conflict", "modify/delete"
    if ours is None:
        return "restore", "delete/modify"
    if ours.mode & _TYPE != theirs.mode & _TYPE:
        return "conflict", "type"
    if ours.mode & _TYPE != _REGULAR:
        return "conflict", "binary"
    regular = base is not None and base.mode & _TYPE == _REGULAR
    return "merge", "modify/modify" if regular else "add/add"


def same(one: Side | None, other: Side | None) -> bool:
    """In content and mode, wherever they stand."""
    if one is None or other is None:
        return one is other
    return one.sha == other.sha and one.mode == other.mode


def picked(base: int | str | bool | None, ours: int | str | bool, theirs: int | str | bool) -> bool:
    """Of something with no lines (a mode, a line ending, the bytes of an image): whether theirs is to be taken. Only where
    `clash` says no."""
    return ours != theirs and ours == base


def clash(base: object, ours: object, theirs: object) -> bool:
    """Both sides have changed it, and not alike."""
    return ours not in (base, theirs) and theirs != base


def resolve(
    bases: Mapping[Path, Side],
    ours: Mapping[Path, Side],
    theirs: Mapping[Path, Side],
    content: Content = lambda sha: None,
) -> list[Decision]:
    """In the order in which they are to be carried out: what goes makes room first, then what moves, then the rest."""
    tracks = follow(bases, ours, theirs, renames(bases, theirs, content))
    decided = [_decide(track, ours, theirs) for track in tracks]
    return sorted(_blocked(decided, ours, theirs), key=_order)


def renames(bases: Mapping[Path, Side], theirs: Mapping[Path, Side], content: Content) -> dict[Path, Path]:
    """Base path -> where theirs has it now: only of what is gone there, and only to where nothing was."""
    gone = [bases[path] for path in sorted(bases) if path not in theirs and not bases[path].nowhere]
    new = [theirs[path] for path in sorted(theirs) if path not in bases]
    found = _identical(gone, new)
    taken = set(found.values())
    rest = [each for each in gone if each.path not in found and each.mode & _TYPE == _REGULAR]
    left = [each for each in new if each.path not in taken and each.mode & _TYPE == _REGULAR]
    found.update(_alike(rest, left, content))
    return found


def _identical(gone: Sequence[Side], new: Sequence[Side]) -> dict[Path, Path]:
    """Of several with the same blob, those go together whose names stayed; then in the order of paths."""
    found: dict[Path, Path] = {}
    waiting: defaultdict[tuple[BlobSha, int], list[Path]] = defaultdict(list)
    for each in new:
        waiting[each.sha, each.mode & _TYPE].append(each.path)
    for named_alike in (True, False):
        for each in gone:
            places = waiting[each.sha, each.mode & _TYPE]
            place = next((path for path in places if not named_alike or _name(path) == _name(each.path)), None)
            if each.path not in found and place is not None:
                places.remove(place)
                found[each.path] = place
    return found


def lookalikes(bases: Mapping[Path, Side], theirs: Mapping[Path, Side]) -> set[BlobSha]:
    """The blobs whose content `resolve` will ask for."""
    asked: set[BlobSha] = set()

    def ask(sha: BlobSha) -> bytes:
        asked.add(sha)
        return b"\n"

    renames(bases, theirs, ask)
    return asked


def _alike(gone: Sequence[Side], new: Sequence[Side], content: Content) -> dict[Path, Path]:
    """By common lines, weighed in bytes; the most alike first."""
    if not gone or not new:
        return {}
    having: defaultdict[bytes, dict[int, int]] = defaultdict(dict)
    sizes: dict[int, int] = {}
    for at, each in enumerate(gone):
        data = content(each.sha)
        if data:
            sizes[at] = len(data)
            for line in data.splitlines(keepends=True):
                having[line][at] = having[line].get(at, 0) + 1
    scores: list[tuple[float, Path, Path]] = []
    for each in new:
        data = content(each.sha)
        if not data:
            continue
        common: defaultdict[int, int] = defaultdict(int)
        counts: defaultdict[bytes, int] = defaultdict(int)
        for line in data.splitlines(keepends=True):
            counts[line] += 1
        for line, times in counts.items():
            holders = having.get(line, {})
            if len(holders) <= COMMON_LINE:
                for at, there in holders.items():
                    common[at] += min(there, times) * len(line)
        for at, shared in common.items():
            share = shared / max(sizes[at], len(data))
            if share >= ALIKE:
                scores.append((-share, gone[at].path, each.path))
    found: dict[Path, Path] = {}
    taken: set[Path] = set()
    for _, source, target in sorted(scores):
        if source not in found and target not in taken:
            found[source] = target
            taken.add(target)
    return found


def follow(
    bases: Mapping[Path, Side], ours: Mapping[Path, Side], theirs: Mapping[Path, Side], renamed: Mapping[Path, Path]
) -> Iterator[Track]:
    """Every path of every side in exactly one track, in the order of paths."""
    at: dict[DocumentId, Side] = {each.document: each for each in ours.values() if each.document is not None}
    our_paths: set[Path] = set()
    their_paths: set[Path] = set()
    for path in sorted(bases):
        base = bases[path]
        mine = ours.get(path) or _moved(at.get(base.document) if base.document else None, bases)
        if mine is not None and mine.path in our_paths:
            mine = None
        other = theirs.get(renamed.get(path, path))
        our_paths.update([mine.path] if mine is not None else [])
        their_paths.update([other.path] if other is not None else [])
        yield Track(base, mine, other)
    for path in sorted({*ours, *theirs}):
        mine = None if path in our_paths else ours.get(path)
        other = None if path in their_paths else theirs.get(path)
        if mine is not None or other is not None:
            yield Track(None, mine, other)


def _moved(row: Side | None, bases: Mapping[Path, Side]) -> Side | None:
    """Where our document stands now, unless it took the place of another (collab.bases.changes)."""
    return row if row is not None and row.path not in bases else None


def _decide(track: Track, ours_at: Mapping[Path, Side], theirs_at: Mapping[Path, Side]) -> Decision:
    base, ours, theirs = track.base, track.ours, track.theirs
    do, kind = decide(base, ours, theirs)
    path = next(each.path for each in (ours, theirs, base) if each is not None)
    made = Decision(path, do, base, ours, theirs, None, kind)
    if base is None:
        if ours is None and theirs is not None and theirs.path in ours_at:
            # A file of ours that was moved here, and one that theirs put here.
            return replace(made, do="conflict", kind="rename", blockers=(theirs.path,))
        return made
    our_move = ours is not None and ours.path != base.path
    their_move = theirs is not None and theirs.path != base.path
    if our_move and theirs is None:
        return replace(made, do="conflict", kind="modify/delete")
    if their_move and ours is None:
        return replace(made, do="restore", kind="delete/modify")
    if ours is None or theirs is None or ours.path == theirs.path or not their_move:
        return made
    if our_move:
        return replace(made, do="conflict", kind="rename")
    if do == "conflict":
        return made
    return replace(made, move=theirs.path)


def _blocked(decided: Sequence[Decision], ours: Mapping[Path, Side], theirs: Mapping[Path, Side]) -> list[Decision]:
    """What would have to stand where something of ours stays. What is stopped stays itself, and may stop others."""
    while True:
        leaving = _leaving(decided)
        staying = Standing(path for path in ours if path not in leaving)
        alone = Standing(path for path in ours if path not in leaving and path not in theirs)
        decided = [_stopped(each, staying, alone, theirs) for each in decided]
        if _leaving(decided) == leaving:
            return list(decided)


def _leaving(decided: Sequence[Decision]) -> set[Path]:
    return {each.ours.path for each in decided if each.ours is not None and (each.do == "delete" or each.move)}


def _stopped(each: Decision, staying: Standing, alone: Standing, theirs: Mapping[Path, Side]) -> Decision:
    target = each.move or (each.theirs.path if each.theirs is not None and each.do in ("create", "restore") else None)
    if target is None:
        return each
    if target in staying.files:
        return replace(each, do="conflict", kind="rename", move=None, blockers=(target,))
    if found := staying.across(target):
        kind: ConflictKind = "rename" if each.move else "type"
        return replace(each, do="conflict", kind=kind, move=None, blockers=found)
    if found := alone.twins(target):
        kind = "rename" if each.move else "add/add"
        return replace(each, do="conflict", kind=kind, move=None, blockers=found)
    return each


class Standing:
    """Files that stay where they are, looked up by what they are in the way of."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = frozenset(files)
        self._below: defaultdict[Path, list[Path]] = defaultdict(list)
        self._names: defaultdict[str, dict[Path, list[Path]]] = defaultdict(dict)
        for path in sorted(self.files):
            for prefix in (*paths.parents(path), path):
                if prefix != path:
                    self._below[prefix].append(path)
                self._names[paths.twin_key(prefix)].setdefault(prefix, []).append(path)

    def across(self, path: Path) -> tuple[Path, ...]:
        """Files above it, or below it."""
        above = [each for each in paths.parents(path) if each in self.files]
        return (*above, *self._below.get(path, ()))

    def twins(self, path: Path) -> tuple[Path, ...]:
        """Files that it could not stand beside on every machine: their paths differ in case or normal form alone."""
        found: dict[Path, None] = {}
        for prefix in (*paths.parents(path), path):
            for other, files in self._names.get(paths.twin_key(prefix), {}).items():
                if other != prefix:
                    found.update(dict.fromkeys(files))
        return tuple(found)


def stands_alone(each: Decision) -> bool:
    """It needs nothing to make room for it, and is in nobody's way."""
    return each.do in ("nothing", "adopt", "ingest", "merge", "create") and each.move is None


def asks_for_theirs(each: Decision) -> bool:
    """It cannot be carried out without the bytes of theirs. A submodule has none."""
    return (
        each.do in ("ingest", "merge", "create") and each.theirs is not None and each.theirs.mode & _TYPE != _SUBMODULE
    )


def _order(each: Decision) -> tuple[int, bytes]:
    rank = 0 if each.do in ("delete", "forget") else 1 if each.move else 2
    return rank, paths.to_bytes(each.path)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
