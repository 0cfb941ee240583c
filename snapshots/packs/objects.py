"""The objects of a repository on this disk, and where in its packs they lie. ADAPTER.

Content is read through dulwich, deltas applied. What is to be sent as it lies (`Pack`) is read from the mapped file itself:
an entry ends where the next one begins. For one thread of one process; what others add or pack meanwhile is found, what
was found once stays readable as long as this lives.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pathlib
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dulwich.object_format import SHA1
from dulwich.object_store import DiskObjectStore
from dulwich.objects import RawObjectID
from dulwich.pack import PackIndex, load_pack_index

from collab.errors import ProtocolError
from snapshots.packs.entries import KINDS, TRAILER, Head, Kind, Oid, delta_sizes, parse_head

PEEK: Final = 64
"""Bytes of a loose object, or of a delta, in which its sizes stand."""


class Pack:
    """One pack, mapped. `name` is its path without the ending."""

    def __init__(self, name: pathlib.Path) -> None:
        with name.with_suffix(".pack").open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._index: PackIndex = load_pack_index(name.with_suffix(".idx"), SHA1)
        self._offsets: array[int] | None = None
        self._names: dict[int, Oid] = {}

    def offset(self, oid: Oid) -> int | None:
        try:
            return self._index.object_offset(RawObjectID(oid))
        except KeyError:
            return None

    def head(self, offset: int) -> Head:
        return parse_head(self.data, offset)

    def end(self, offset: int) -> int:
        """Where the entry that begins at `offset` ends."""
        at = bisect_right(self._table(), offset)
        table = self._table()
        return table[at] if at < len(table) else len(self.data) - TRAILER

    def oid_at(self, offset: int) -> Oid:
        self._table()
        return self._names[offset]

    def inflated(self, offset: int, most: int) -> bytes:
        """How the content of the entry begins."""
        start = self.head(offset).content
        return zlib.decompressobj().decompress(self.data[start : start + most + PEEK], most)

    def close(self) -> None:
        self.data.close()
        self._index.close()

    def _table(self) -> array[int]:
        """Every offset, in order."""
        if self._offsets is None:
            self._names = {offset: Oid(bytes(name)) for name, offset, _ in self._index.iterentries()}
            self._offsets = array("Q", sorted(self._names))
        return self._offsets


@dataclass(frozen=True, slots=True)
class Place:
    pack: Pack
    offset: int


class Objects:
    """`folder` is the directory of objects; those of its alternates belong to it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._store = DiskObjectStore(str(folder))
        self._folders = [folder, *(pathlib.Path(os.fspath(each.path)) for each in _alternates(self._store))]
        self._packs: dict[pathlib.Path, Pack] = {}
        self._seen: list[int] = []
        self._find_packs()

    def get(self, oid: Oid) -> tuple[Kind, bytes]:
        number, content = self._store.get_raw(RawObjectID(oid))
        return Kind(number), content

    def __contains__(self, oid: object) -> bool:
        if not isinstance(oid, bytes):
            return False
        there = self.place(Oid(oid)) is not None or self._loose(Oid(oid)) is not None
        # What was loose a moment ago may just have been packed.
        return there or (self._find_packs() and self.place(Oid(oid)) is not None)

    def kind(self, oid: Oid) -> Kind:
        return self._kind_and_size(oid)[0]

    def size(self, oid: Oid) -> int:
        return self._kind_and_size(oid)[1]

    def place(self, oid: Oid) -> Place | None:
        """Where it lies packed: in the first pack that has it, always the same one."""
        for pack in self._packs.values():
            offset = pack.offset(oid)
            if offset is not None:
                return Place(pack, offset)
        return None

    def close(self) -> None:
        for pack in self._packs.values():
            pack.close()
        self._store.close()

    def _kind_and_size(self, oid: Oid) -> tuple[Kind, int]:
        found = self.place(oid)
        if found is None:
            loose = self._loose(oid)
            if loose is not None:
                return loose
            # It may have been packed since; and if it is not there at all, this says so.
            kind, content = self.get(oid)
            return kind, len(content)
        head, pack = found.pack.head(found.offset), found.pack
        size, seen = None, 0
        while head.base is not None:
            if size is None:
                size = delta_sizes(pack.inflated(found.offset, 20))[1]
            offset = head.base if isinstance(head.base, int) else pack.offset(head.base)
            if offset is None or seen > len(pack.data):
                raise ProtocolError(f"the object {oid.hex()} is made of one that its pack does not have")
            head, found, seen = pack.head(offset), Place(pack, offset), seen + 1
        return head.kind, head.size if size is None else size

    def _loose(self, oid: Oid) -> tuple[Kind, int] | None:
        name = oid.hex()
        for folder in self._folders:
            with contextlib.suppress(FileNotFoundError), (folder / name[:2] / name[2:]).open("rb") as file:
                begins = zlib.decompressobj().decompress(file.read(PEEK * 2), PEEK)
                kind, _, size = begins.partition(b"\0")[0].partition(b" ")
                return KINDS[kind], int(size)
        return None

    def _find_packs(self) -> bool:
        """Whether there may be packs that were not known."""
        stands = [_changed_at(folder / "pack") for folder in self._folders]
        if stands == self._seen:
            return False
        self._seen = stands
        for folder in self._folders:
            for index in sorted((folder / "pack").glob("*.idx")):
                # A `git gc` may be taking it away.
                with contextlib.suppress(FileNotFoundError):
                    if index not in self._packs:
                        self._packs[index] = Pack(index.with_suffix(""))
        return True


def _changed_at(folder: pathlib.Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _alternates(store: DiskObjectStore) -> Iterator[DiskObjectStore]:
    for each in store.alternates:
        if isinstance(each, DiskObjectStore):
            yield each
            yield from _alternates(each)
