"""What waits on disk to be shipped: segments in order, and files of repositories that they name.

The folder holds `chain.json` (how far the chain of segments is), `g-n-k` (segments and their parts), `shipped` (the newest
segment that is in the store: its mark is where the next process goes on) and, for repositories, `pack-*`, `loose-*` and `repo-*`.
Files appear whole, and are not synced to the disk: what a power cut takes of them is found out by their checksums, and a new
generation makes up for it; the database itself has lost nothing.

All of it blocks: to be called in a thread, one call at a time.
"""

from __future__ import annotations

import errno
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from collab.errors import QuireError
from collab.ids import Millis
from collab.store.pages import Mark
from web.shipping import segment
from web.shipping.segment import Head

_NAME: Final = re.compile(r"(\d{6})-(\d{12})-(\d{4})")
_CHAIN: Final = "chain.json"
_SHIPPED: Final = "shipped"
LEAST_FREE: Final = 256 << 20
"""Bytes of the disk that are left to the log: before it has less, nothing more is put here."""


class SpoolFailed(QuireError):
    """The disk does not take what is to wait on it."""

    code = "spool_failed"


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that began, or was copied, at `mark`, the end of segment `number`, whose time is `at`. Until it is `copied`, nobody can restore
    from it. `size`: bytes of that copy."""

    generation: int
    number: int
    mark: Mark
    at: Millis
    copied: bool = False
    copied_at: Millis = Millis(0)
    size: int = 0


class Waiting(NamedTuple):
    """Sorts in the order of shipping: parts first, then the segment (`part` 0)."""

    generation: int
    number: int
    last: bool
    part: int

    @property
    def name(self) -> str:
        return f"{self.generation:06}-{self.number:012}-{self.part:04}"


def waiting(generation: int, number: int, part: int = 0) -> Waiting:
    return Waiting(generation, number, not part, part)


class Spool:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for half in folder.glob(".new-*"):
            half.unlink()
        for scratch in folder.glob(".check-*"):  # of a check that was killed with the server
            shutil.rmtree(scratch, ignore_errors=True)

    def segments(self) -> list[Waiting]:
        """In the order of shipping."""
        found = (_NAME.fullmatch(each.name) for each in self.folder.iterdir())
        return sorted(waiting(int(each[1]), int(each[2]), int(each[3])) for each in found if each)

    def size(self, which: Sequence[Waiting]) -> int:
        """Bytes of these segments."""
        return sum((self.folder / each.name).stat().st_size for each in which)

    def put(self, which: Waiting, content: bytes) -> None:
        self.write(which.name, content)

    def get(self, which: Waiting) -> bytes:
        """`Invalid` when it is damaged."""
        content = (self.folder / which.name).read_bytes()
        segment.check(content)
        return content

    def head(self, which: Waiting) -> Head:
        with (self.folder / which.name).open("rb") as file:
            return segment.read_head_of(file)

    def shipped(self, which: Waiting) -> None:
        path = self.folder / which.name
        if which.part:
            path.unlink()
        else:
            path.replace(self.folder / _SHIPPED)

    def drop_from(self, which: Waiting) -> None:
        """This one, and what comes after it in its generation."""
        for each in self.segments():
            if each.generation == which.generation and each >= which:
                (self.folder / each.name).unlink()

    def chain(self) -> Chain | None:
        try:
            return msgspec.json.decode((self.folder / _CHAIN).read_bytes(), type=Chain)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def put_chain(self, chain: Chain | None) -> None:
        if chain is not None:
            self.write(_CHAIN, msgspec.json.encode(chain))
            return
        for name in (_CHAIN, _SHIPPED):
            (self.folder / name).unlink(missing_ok=True)

    def newest(self, chain: Chain) -> tuple[int, Millis, Mark]:
        """The number of the last segment of the chain, its time, and where it ends. `Invalid` when it is damaged."""
        found = [(head.number, head.at, head.mark) for head in self._heads() if head.generation == chain.generation]
        return max([(chain.number, chain.at, chain.mark), *found], key=lambda each: each[0])

    def _heads(self) -> Iterator[Head]:
        names = [each.name for each in self.segments() if each.last][-1:]
        for name in [*names, _SHIPPED]:
            path = self.folder / name
            if path.exists():
                content = path.read_bytes()
                segment.check(content)
                yield segment.read_head(content)

    # -- other files

    def write(self, name: str, content: bytes) -> None:
        new = self.folder / f".new-{name}"
        try:
            if shutil.disk_usage(self.folder).free - len(content) < LEAST_FREE:
                raise OSError(errno.ENOSPC, "there is too little room left on the disk")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            new.replace(self.folder / name)
        except OSError as error:
            raise SpoolFailed(f"{self.folder} cannot be written: {error.strerror}") from error

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def drop(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def keep(self, name: str, source: pathlib.Path) -> None:
        """`source`, which nobody changes but somebody may delete: linked where that can be, else copied."""
        new = self.folder / f".new-{name}"
        new.unlink(missing_ok=True)
        try:
            new.hardlink_to(source)
        except FileNotFoundError:
            raise
        except OSError:
            _copy(source, new)
        new.replace(self.folder / name)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    with source.open("rb") as content:
        try:
            with target.open("xb") as file:
                shutil.copyfileobj(content, file)
        except OSError as error:
            raise SpoolFailed(f"{target.parent} cannot be written: {error.strerror}") from error
