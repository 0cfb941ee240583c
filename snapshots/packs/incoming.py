"""A pack that somebody sent: judged, completed and indexed, before anything of it counts. ADAPTER.

What it promises
1. Nothing is believed: every object is inflated and named anew; sizes, counts and the work of unpacking have limits; a delta
   is applied within them. What is refused is refused in words (`Refused`).
2. What is accepted is whole: every commit, tree and tag can be read, holds nothing that does harm in a checkout, and names
   only what the pack or the repository has, of the right kind.
3. Memory follows the largest object and the number of objects, not the size of the pack. Large blobs are never held, unless
   they are deltas.
4. A pack made of what the repository has (a thin one) is completed, so that it stands alone.

It runs in a process of its own (snapshots.packs.judging), whose memory is limited besides.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import pathlib
import zlib
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, ObjectFormatException
from dulwich.objects import ShaFile
from dulwich.pack import apply_delta, write_pack_index_v2

from collab.errors import ProtocolError
from snapshots.packs import checks
from snapshots.packs.entries import (
    HEADER,
    NAMES,
    SUBMODULE,
    TRAILER,
    Entry,
    Head,
    Kind,
    Oid,
    delta_sizes,
    head,
    pack_header,
    parse_commit,
    parse_head,
    parse_pack_header,
    parse_tag,
    parse_tree,
)
from snapshots.packs.history import Source
from snapshots.packs.verdict import PushLimits

FIRST: Final = 1 << 12
CHUNK: Final = 1 << 18
"""Bytes that are inflated at once: few at first, because most objects are small."""

HELD: Final = 256 << 20
"""Bytes of contents that deltas still wait for; what is dropped is made again."""


class Refused(Exception):
    """Why the pack, or something in it, is not taken."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


Tick = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""


@dataclass(slots=True)
class _Pack:
    """What was found in it, by number. What it is made of besides is numbered on (`borrowed`)."""

    offsets: array[int] = field(default_factory=lambda: array("Q"))
    crcs: array[int] = field(default_factory=lambda: array("L"))
    oids: list[Oid | None] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)
    """Of deltas that were applied: what they are made of."""
    borrowed: list[int] = field(default_factory=list)


class _Waiting:
    """Deltas, by what they are made of."""

    def __init__(self) -> None:
        self._at: dict[int, list[int]] = defaultdict(list)
        self._named: dict[Oid, list[int]] = defaultdict(list)
        self.count = 0

    def add(self, number: int, base: int | Oid) -> None:
        """`base`: an offset, or a name."""
        self.count += 1
        if isinstance(base, int):
            self._at[base].append(number)
        else:
            self._named[base].append(number)

    def on(self, offset: int | None, oid: Oid) -> bool:
        return offset in self._at or oid in self._named

    def take(self, offset: int | None, oid: Oid) -> list[int]:
        return [*(self._at.pop(offset, ()) if offset is not None else ()), *self._named.pop(oid, ())]

    def names(self) -> list[Oid]:
        return list(self._named)


class _Contents:
    """Contents that deltas still wait for: of the newest, so many bytes."""

    def __init__(self, most: int) -> None:
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._left = most

    def put(self, number: int, content: bytes) -> None:
        self._held[number] = content
        self._left -= len(content)
        while self._left < 0 and len(self._held) > 1:
            self._left += len(self._held.popitem(last=False)[1])

    def take(self, number: int) -> bytes | None:
        content = self._held.pop(number, None)
        self._left += len(content or b"")
        return content


class Incoming:
    """`file` is the pack as it came; `there` what the repository has."""

    def __init__(self, file: pathlib.Path, there: Source, limits: PushLimits, tick: Tick) -> None:
        self._file = file
        self._there = there
        self._limits = limits
        self._tick = tick
        self._pack = _Pack()
        self._waiting = _Waiting()
        self._contents = _Contents(HELD)
        self._links: dict[Oid, Kind] = {}
        self._known: dict[Oid, Kind] = {}
        self._twins: list[int] = []
        self._work = limits.work + limits.work_ratio * file.stat().st_size
        self._data: mmap.mmap

    def judge(self) -> dict[Oid, Kind]:
        """Its objects. Afterwards it lies in `pack`, beside where it lay, with its index."""
        with self._file.open("rb") as raw, contextlib.closing(_mapped(raw)) as self._data:
            self._scan()
            self._resolve()
            self._check_twins()
        self._check_links()
        if self._known:
            self._store()
        else:
            self._file.unlink()
        return self._known

    # -- what is in it -----------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        """Every entry once: what is whole is named, what is a delta waits for what it is made of."""
        data, pack = self._data, self._pack
        count = parse_pack_header(data[:HEADER])
        if count > self._limits.objects:
            raise Refused(
                f"it holds {count:,} objects, and {self._limits.objects:,} are the most: push in smaller steps"
            )
        if len(data) < HEADER + TRAILER or _digest(data, len(data) - TRAILER) != data[-TRAILER:]:
            raise Refused("it was damaged on the way: its checksum is wrong")
        at = HEADER
        for number in range(count):
            found = parse_head(data, at)
            pack.offsets.append(at)
            pack.kinds.append(found.kind)
            pack.oids.append(None)
            if found.base is not None:
                self._allow(found.size, self._limits.object)
                end = self._inflate(found.content, found.size, _nowhere)
                self._waiting.add(number, found.base)
            else:
                end = self._whole(number, found)
            pack.crcs.append(self._crc(at, end))
            at = end
            self._tick("Reading", number + 1, count)
        if at != len(data) - TRAILER:
            raise Refused("something stands behind its last object")

    def _whole(self, number: int, found: Head) -> int:
        digest = hashlib.sha1(NAMES[found.kind] + b" %d\0" % found.size, usedforsecurity=False)
        if found.kind is Kind.BLOB:
            self._allow(found.size, self._limits.object)
            end = self._inflate(found.content, found.size, digest.update)
            self._name(number, found.kind, Oid(digest.digest()), b"")
            return end
        self._allow(found.size, self._limits.structure)
        parts: list[bytes] = []
        end = self._inflate(found.content, found.size, parts.append)
        content = b"".join(parts)
        digest.update(content)
        self._name(number, found.kind, Oid(digest.digest()), content)
        return end

    def _name(self, number: int, kind: Kind, oid: Oid, content: bytes) -> None:
        """`content`: of what is no blob."""
        if oid in self._known:
            raise Refused(f"it holds the object {oid.hex()} twice")
        self._known[oid] = kind
        self._pack.oids[number] = oid
        self._pack.kinds[number] = kind
        if kind is not Kind.BLOB:
            self._look_into(kind, oid, content)
        if oid in self._there:
            self._twins.append(number)

    def _inflate(self, at: int, size: int, sink: Callable[[bytes], object]) -> int:
        """Where the stream that begins at `at` ends; it must hold just `size` bytes."""
        self._spend(size)
        inflate, begins, done, piece = zlib.decompressobj(), at, 0, FIRST
        while not inflate.eof:
            raw = self._data[at : at + piece]
            if not raw:
                raise Refused("it is cut short")
            try:
                out = inflate.decompress(raw, min(size - done, CHUNK) + 1)
            except zlib.error as error:
                raise Refused(f"the object at byte {begins} cannot be unpacked ({error})") from error
            done += len(out)
            if done > size:
                raise Refused(f"the object at byte {begins} is larger than it says")
            sink(out)
            # At the end, what is left may stand in both.
            at += len(raw) - len(inflate.unused_data if inflate.eof else inflate.unconsumed_tail)
            piece = CHUNK
        if done != size:
            raise Refused(f"the object at byte {begins} is smaller than it says")
        return at

    def _crc(self, start: int, end: int) -> int:
        crc = 0
        for at in range(start, end, CHUNK):
            crc = zlib.crc32(self._data[at : min(at + CHUNK, end)], crc)
        return crc

    def _allow(self, size: int, most: int) -> None:
        if size > most:
            raise Refused(f"it holds an object of {size:,} bytes, and {most:,} are the most")

    def _spend(self, size: int) -> None:
        self._work -= size
        if self._work < 0:
            raise Refused("it unpacks to far more than it could hold in earnest")

    # -- deltas ------------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        """Names all deltas. Whatever one is made of is made once, unless too much would have to be held."""
        pack, total = self._pack, self._waiting.count
        for number in range(len(pack.oids)):
            self._follow(number, total)
        for oid in self._waiting.names():
            if oid not in self._known and oid in self._there:
                pack.oids.append(oid)
                pack.kinds.append(self._there.kind(oid))
                pack.borrowed.append(len(pack.oids) - 1)
                self._follow(len(pack.oids) - 1, total)
        if self._waiting.count:
            raise Refused("it is made of objects that neither it nor the repository has")

    def _follow(self, root: int, total: int) -> None:
        """All that is made of it, and all that is made of that."""
        stack = [root]
        while stack:
            number = stack.pop()
            oid, offset = self._pack.oids[number], self._offset(number)
            if oid is None or not self._waiting.on(offset, oid):
                continue
            made_of = self._content(number)
            for each in self._waiting.take(offset, oid):
                self._pack.parents[each] = number
                kind = self._pack.kinds[number]
                content = self._applied(each, made_of)
                self._allow(len(content), self._limits.object if kind is Kind.BLOB else self._limits.structure)
                made = _named(kind, content)
                self._name(each, kind, made, content)
                if self._waiting.on(self._offset(each), made):
                    self._contents.put(each, content)
                    stack.append(each)
                self._waiting.count -= 1
                self._tick("Resolving deltas", total - self._waiting.count, total)

    def _offset(self, number: int) -> int | None:
        return self._pack.offsets[number] if number < len(self._pack.offsets) else None

    def _content(self, number: int) -> bytes:
        """Of an object, if need be made once more from what it is made of."""
        chain: list[int] = []
        while (content := self._contents.take(number)) is None and number in self._pack.parents:
            chain.append(number)
            number = self._pack.parents[number]
        if content is None:
            content = self._entry(number)
        for each in reversed(chain):
            content = self._applied(each, content)
        return content

    def _entry(self, number: int) -> bytes:
        """The content of an entry, as it stands there: of a delta, the delta."""
        if self._offset(number) is None:
            oid = self._pack.oids[number]
            assert oid is not None
            self._allow(self._there.size(oid), self._limits.object)
            return self._there.get(oid)[1]
        found = parse_head(self._data, self._pack.offsets[number])
        parts: list[bytes] = []
        self._inflate(found.content, found.size, parts.append)
        return b"".join(parts)

    def _applied(self, number: int, made_of: bytes) -> bytes:
        delta = self._entry(number)
        source, target = delta_sizes(delta)
        self._allow(target, self._limits.object)
        self._spend(target)
        if source != len(made_of):
            raise Refused("a delta is made of something of another size")
        try:
            made = b"".join(apply_delta(made_of, delta))
        except (ApplyDeltaError, ValueError) as error:
            raise Refused(f"a delta cannot be applied ({error})") from error
        if len(made) != target:
            raise Refused("a delta makes something of another size than it says")
        return made

    # -- what objects say --------------------------------------------------------------------------------------------

    def _look_into(self, kind: Kind, oid: Oid, content: bytes) -> None:
        try:
            if kind is Kind.TREE:
                self._look_into_tree(oid, list(parse_tree(content)))
                return
            ShaFile.from_raw_string(kind, content).check()
            if kind is Kind.COMMIT:
                commit = parse_commit(content)
                self._link(commit.tree, Kind.TREE)
                for parent in commit.parents:
                    self._link(parent, Kind.COMMIT)
            else:
                self._link(*parse_tag(content))
        except (ProtocolError, ObjectFormatException, ChecksumMismatch, ValueError) as error:
            raise Refused(f"the {kind.name.lower()} {oid.hex()} cannot be read ({error})") from error

    def _look_into_tree(self, oid: Oid, entries: Sequence[Entry]) -> None:
        wrong = checks.problem(entries)
        if wrong is not None:
            raise Refused(f"the tree {oid.hex()} holds {wrong}")
        for each in entries:
            if each.mode != SUBMODULE:
                self._link(each.oid, checks.expected(each))

    def _link(self, oid: Oid, kind: Kind) -> None:
        if self._links.setdefault(oid, kind) is not kind:
            raise Refused(f"the object {oid.hex()} is named as two kinds of things")

    def _check_links(self) -> None:
        for number, (oid, kind) in enumerate(self._links.items()):
            found = self._known.get(oid)
            if found is None:
                try:
                    found = self._there.kind(oid)
                except KeyError:
                    raise Refused(
                        f"it names the {kind.name.lower()} {oid.hex()}, which neither it nor the repository has; "
                        "from a shallow clone, git fetch --unshallow first"
                    ) from None
            if found is not kind:
                raise Refused(f"the object {oid.hex()} is a {found.name.lower()} and named as a {kind.name.lower()}")
            self._tick("Checking", number + 1, len(self._links))

    def _check_twins(self) -> None:
        """What the repository has under the same name must be the same: SHA-1 alone does not say so."""
        for number in self._twins:
            oid = self._pack.oids[number]
            assert oid is not None
            self._allow(self._there.size(oid), self._limits.object)
            if self._there.get(oid)[1] != self._content(number):
                raise Refused(f"the object {oid.hex()} is another one in the repository")

    # -- its place ---------------------------------------------------------------------------------------------------

    def _store(self) -> None:
        pack = self._pack
        with self._file.open("r+b") as file:
            if pack.borrowed:
                self._complete(file)
            file.seek(-TRAILER, os.SEEK_END)
            checksum = file.read(TRAILER)
            os.fsync(file.fileno())
        folder = self._file.parent / "pack"
        folder.mkdir(exist_ok=True)
        name = folder / f"pack-{checksum.hex()}"
        rows = sorted(
            (bytes(oid), offset, crc)
            for oid, offset, crc in zip(pack.oids, pack.offsets, pack.crcs, strict=True)
            if oid is not None
        )
        with name.with_suffix(".idx").open("wb") as index:
            write_pack_index_v2(index, rows, checksum)
            index.flush()
            os.fsync(index.fileno())
        self._file.rename(name.with_suffix(".pack"))

    def _complete(self, file: IO[bytes]) -> None:
        """What it is made of besides is put behind it."""
        file.seek(-TRAILER, os.SEEK_END)
        file.truncate()
        for number in self._pack.borrowed:
            oid = self._pack.oids[number]
            assert oid is not None
            kind, content = self._there.get(oid)
            raw = head(kind, len(content)) + zlib.compress(content)
            self._pack.offsets.append(file.tell())
            self._pack.crcs.append(zlib.crc32(raw))
            file.write(raw)
        file.seek(0)
        file.write(pack_header(len(self._pack.offsets)))
        file.flush()
        with contextlib.closing(_mapped(file)) as data:
            checksum = _digest(data, len(data))
        file.seek(0, os.SEEK_END)
        file.write(checksum)
        file.flush()


def _mapped(file: IO[bytes]) -> mmap.mmap:
    if not os.fstat(file.fileno()).st_size:
        raise Refused("it is empty")
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _digest(data: mmap.mmap, upto: int) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    for at in range(0, upto, CHUNK):
        digest.update(data[at : min(at + CHUNK, upto)])
    return digest.digest()


def _named(kind: Kind, content: bytes) -> Oid:
    return Oid(hashlib.sha1(NAMES[kind] + b" %d\0" % len(content) + content, usedforsecurity=False).digest())


def _nowhere(_: bytes) -> None:
    """Looked at, and not kept."""
