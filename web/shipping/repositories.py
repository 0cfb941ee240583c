"""The bare repositories of the data directory, on their way to a backup: what is new in each since it was looked at last.

A repository's refs are read before its objects are listed, so every ref finds its objects: git writes objects first. Objects are
never changed, so what was shipped once stays as it is; small new ones travel together, packs as they lie there. What git packs or
sweeps away meanwhile is found again at the next look.

Refs belong to the state of the database: who ships both compares `moves` before and after, and takes the database again when a
branch was moved in between (web.shipping.collector). What others push past the server is looked for in `look`.

Beside its segments the spool holds for every repository `repo-NAME` (what was shipped), and, until they are shipped, `loose-SHA`
and `pack-NAME`. All of it blocks.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from web.shipping.layout import GIT_PIECE, File, Repository, name_of, pack
from web.shipping.spool import Spool

CONTAINERS: Final = 40
"""Pieces of loose objects that a repository gathers before all of them are put into new ones."""
LOOSE_TOGETHER: Final = 4 << 20
"""Bytes of loose objects, or one that is larger, to a piece."""
LOOKS: Final = 5
"""How often a repository is listed again because git packed it meanwhile."""

Moves = Mapping[str, int]
"""Of each repository (by the name of its folder) how often it was moved, or seen to have moved, in this process."""


class Known(msgspec.Struct, frozen=True):
    """What was shipped of a repository, and which loose objects that is."""

    repository: Repository
    loose: frozenset[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one lies on disk, and how it is named in the backup."""

    name: str
    path: pathlib.Path
    offset: int = 0
    size: int = -1

    def packed(self) -> bytes | None:
        """As it goes into the store; None when it has been shipped meanwhile."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return pack(file.read(self.size))
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Changed:
    """To be `record`ed when its segment is in the spool."""

    known: Known

    @property
    def repository(self) -> Repository:
        return self.known.repository


class Repositories:
    def __init__(self, root: pathlib.Path, spool: Spool, moves: Callable[[], Moves]) -> None:
        self._root = root
        self._spool = spool
        self.moves = moves
        self._seen: dict[str, int] = {}
        self._known: dict[str, Known | None] = {}
        self.troubles: dict[str, str] = {}
        """Why some cannot be read."""

    def changed(self, moves: Moves) -> list[Changed]:
        """Of those that were moved since they were recorded."""
        return self._look(name for name, count in moves.items() if self._seen.get(name) != count)

    def look(self) -> list[Changed]:
        """Of all, those included that are not there any more."""
        there = {each.name for each in self._folders()}
        return self._look([*there, *(name for name in self._shipped() if name not in there)])

    def record(self, changes: Iterable[Changed], moves: Moves) -> None:
        """They are in the spool; `moves` is how often each was moved when it was looked at."""
        for change in changes:
            name = change.repository.name
            self._known[name] = change.known
            self._spool.write(_note(name), msgspec.json.encode(change.known))
        self._seen.update((name, count) for name, count in moves.items() if name not in self.troubles)

    def all(self) -> list[Repository]:
        """As recorded."""
        known = (self._recorded(name) for name in self._shipped())
        return [each.repository for each in known if each is not None and each.repository.there]

    def forget(self) -> None:
        """What lies in the store is not what was recorded: everything is to be shipped again."""
        for name in self._shipped():
            self._spool.drop(_note(name))
        self._known, self._seen = {}, {}

    def waiting(self, repository: Repository) -> list[Piece]:
        """The pieces that are not shipped yet."""
        found = [Piece(name, self._spool.folder / f"loose-{name}") for name in repository.loose]
        for each, file in repository.packs.items():
            path = self._spool.folder / f"pack-{each}"
            found += [Piece(name, path, number * GIT_PIECE, GIT_PIECE) for number, name in enumerate(file.pieces)]
        return [piece for piece in found if piece.path.exists()]

    def shipped(self, repository: Repository) -> None:
        for piece in repository.loose:
            self._spool.drop(f"loose-{piece}")
        for name in repository.packs:
            self._spool.drop(f"pack-{name}")

    def _look(self, names: Iterable[str]) -> list[Changed]:
        found = []
        for name in names:
            self.troubles.pop(name, None)
            try:
                found.append(self._looked_at(name))
            except OSError as error:
                # The others go on, and so do the edits; this one is looked at again.
                self.troubles[name] = f"the repository {name} cannot be read: {error.strerror or error}"
        return [each for each in found if each is not None]

    def _looked_at(self, name: str) -> Changed | None:
        known = self._recorded(name)
        folder = self._root / name
        if not (folder / "HEAD").exists():
            gone = known is not None and known.repository.there
            return Changed(Known(Repository(name=name, there=False), frozenset())) if gone else None
        small = self._steady(folder)
        if known is not None and known.repository.there and known.repository.small == small:
            return None
        if known is not None and len(known.repository.loose) > CONTAINERS:
            known = None
        return self._gathered(name, folder, small, known)

    def _steady(self, folder: pathlib.Path) -> dict[str, bytes]:
        for _ in range(LOOKS):
            try:
                return _small(folder)
            except FileNotFoundError:  # a ref went, or was packed, since it was listed
                continue
        raise OSError("its refs are moved faster than they can be read")

    def _gathered(self, name: str, folder: pathlib.Path, small: dict[str, bytes], known: Known | None) -> Changed:
        before = known.repository if known is not None else Repository(name=name)
        shipped = known.loose if known is not None else frozenset()
        for _ in range(LOOKS):
            loose = set(_loose(folder)) - shipped
            try:
                packs = {each: before.packs.get(each) or self._keep(folder, each) for each in _packs(folder)}
                pieces = [self._put(piece) for piece in _together(folder, sorted(loose))]
            except FileNotFoundError:  # packed meanwhile
                continue
            repository = Repository(name=name, small=small, packs=packs, loose=(*before.loose, *pieces))
            return Changed(Known(repository, shipped | loose))
        raise OSError("it is packed faster than it can be read")

    def _keep(self, folder: pathlib.Path, name: str) -> File:
        kept = f"pack-{name}"
        self._spool.keep(kept, folder / "objects" / "pack" / name)
        path = self._spool.folder / kept
        return File(path.stat().st_size, tuple(name_of(piece) for piece in _pieces(path)))

    def _put(self, piece: bytes) -> str:
        name = name_of(piece)
        self._spool.write(f"loose-{name}", piece)
        return name

    def _folders(self) -> Sequence[pathlib.Path]:
        if not self._root.is_dir():
            return ()
        return [each for each in self._root.iterdir() if each.suffix == ".git" and not each.name.startswith(".")]

    def _shipped(self) -> list[str]:
        return [each.name.removeprefix("repo-") for each in self._spool.folder.glob("repo-*")]

    def _recorded(self, name: str) -> Known | None:
        if name not in self._known:
            content = self._spool.read(_note(name))
            try:
                self._known[name] = None if content is None else msgspec.json.decode(content, type=Known)
            except msgspec.DecodeError:
                self._known[name] = None
        return self._known[name]


def _note(name: str) -> str:
    return f"repo-{name}"


def _small(folder: pathlib.Path) -> dict[str, bytes]:
    """Everything but objects, and what somebody is just writing."""
    found: dict[str, bytes] = {}
    for where, folders, names in os.walk(folder):
        # Pushes that do not count yet lie in a folder that begins with a dot.
        folders[:] = [each for each in folders if each[0] != "." and (where != str(folder) or each != "objects")]
        for name in names:
            path = pathlib.Path(where, name)
            if not name.endswith(".lock") and path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def _loose(folder: pathlib.Path) -> Iterator[str]:
    """`ab/cdef...`"""
    for fan in (folder / "objects").iterdir():
        if len(fan.name) == 2:
            yield from (f"{fan.name}/{each.name}" for each in fan.iterdir() if len(each.name) == 38)


def _packs(folder: pathlib.Path) -> list[str]:
    place = folder / "objects" / "pack"
    return sorted(each.name for each in place.glob("pack-*")) if place.is_dir() else []


def _together(folder: pathlib.Path, names: Sequence[str]) -> Iterator[bytes]:
    """Loose objects in pieces of bounded size."""
    gathered: dict[str, bytes] = {}
    size = 0
    for name in names:
        gathered[name] = (folder / "objects" / name).read_bytes()
        size += len(gathered[name])
        if size >= LOOSE_TOGETHER:
            yield msgspec.msgpack.encode(gathered)
            gathered, size = {}, 0
    if gathered:
        yield msgspec.msgpack.encode(gathered)


def _pieces(path: pathlib.Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(GIT_PIECE):
            yield piece


def restore(repository: Repository, root: pathlib.Path, piece: Callable[[str], bytes]) -> None:
    """Makes it again below `root`."""
    folder = root / repository.name
    for name in repository.loose:
        objects = msgspec.msgpack.decode(piece(name), type=dict[str, bytes])
        for each, content in objects.items():
            _write(folder / "objects" / each, [content])
    for name, file in repository.packs.items():
        _write(folder / "objects" / "pack" / name, map(piece, file.pieces))
    for name, content in repository.small.items():
        _write(folder / name, [content])
    for each in ("objects/pack", "objects/info", "refs/heads", "refs/tags"):
        (folder / each).mkdir(parents=True, exist_ok=True)


def _write(path: pathlib.Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
