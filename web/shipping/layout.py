"""A backup in an object store: where its parts lie, and what they say. PURE.

    backup/OWNER                       who ships here, and how far it is; moved by compare-and-swap
    backup/copies/{g}/{n}.json         a copy: the whole database after segment n, put when all that it names is there
    backup/pages/{sha256}              a piece of a copy; copies share those that are equal
    backup/segments/{g}/{n}            what changed after segment n - 1
    backup/segments/{g}/{n}.{k}        the first parts of a segment that is too large for one
    backup/git/{sha256}                a piece of a repository
    backup/objects/{sha}               files that are not text, where the objects of the server lie elsewhere

`g` is a generation: segments without a gap, 1, 2, 3, ..., after a copy. A new one begins where the chain was broken. A segment is
put after its parts and the pieces that it names, and after the segment before it; so whoever reads upwards from a copy, until there
is no next one, has a state that there was. Nothing is ever overwritten but OWNER.

What lies here holds every text, and nothing that opens the door: neither the keys of the installation nor a token, unless the
operator asked for it (`files`).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from collab.errors import Invalid
from collab.ids import Millis

FORMAT: Final = 1

ROOT: Final = "backup/"
OWNER: Final = "backup/OWNER"
COPIES: Final = "backup/copies/"
PAGES: Final = "backup/pages/"
SEGMENTS: Final = "backup/segments/"
GIT: Final = "backup/git/"
OBJECTS: Final = "backup/objects/"

COPY_PIECE: Final = 1 << 20
"""Bytes of a database's piece: small, so that what has not changed since the last copy need not go there again."""
GIT_PIECE: Final = 8 << 20

_COPY: Final = re.compile(r"backup/copies/(\d{6})/(\d{12})\.json")
_SEGMENT: Final = re.compile(r"backup/segments/(\d{6})/(\d{12})(?:\.\d{4})?")
T = TypeVar("T")

_PLAIN: Final = b"\0"
_PACKED: Final = b"\1"


class File(msgspec.Struct, frozen=True):
    """`pieces` are the SHA-256 of its parts, each of `GIT_PIECE` bytes but the last."""

    size: int
    pieces: tuple[str, ...]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A bare repository as it was. `small`: its refs, HEAD and whatever else is no object, by name; `packs`: the files of its
    packs; `loose`: pieces, each a mapping from names below `objects/` to content. Not `there`: it was deleted, or renamed."""

    name: str
    there: bool = True
    small: dict[str, bytes] = {}
    packs: dict[str, File] = {}
    loose: tuple[str, ...] = ()

    def pieces(self) -> list[str]:
        return [*self.loose, *(piece for file in self.packs.values() for piece in file.pieces)]


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """The whole database as of the end of segment `number`; 0: where its generation begins. `at` is the time of the newest
    commit in it, `made_at` that of the copy. `objects`: below which prefix of this place the files lie that are not text; empty when
    they lie in another place, `objects_place`."""

    format: int
    version: str
    generation: int
    number: int
    at: Millis
    made_at: Millis
    epoch: int
    size: int
    pieces: tuple[str, ...]
    repositories: tuple[Repository, ...] = ()
    objects: str = "objects/"
    objects_place: str = ""
    files: dict[str, bytes] = {}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who ships here. `holder` is a data directory's, `run` a process's, `host` for people. `turn` only grows, so that no content
    comes twice. It has shipped the segments of `generation` up to `number`, the last of them with commits up to `at`; everything
    committed up to `seen_at` was there when this was written."""

    turn: int
    holder: str
    run: str
    host: str
    generation: int
    number: int
    at: Millis
    seen_at: Millis
    epoch: int
    released: bool = False


def copy_key(generation: int, number: int) -> str:
    return f"{COPIES}{generation:06}/{number:012}.json"


def segment_key(generation: int, number: int, part: int = 0) -> str:
    """`part` 0 is the segment itself."""
    return f"{SEGMENTS}{generation:06}/{number:012}" + (f".{part:04}" if part else "")


def copy_of(key: str) -> tuple[int, int] | None:
    """Generation and number."""
    found = _COPY.fullmatch(key)
    return (int(found[1]), int(found[2])) if found else None


def segment_of(key: str) -> tuple[int, int] | None:
    found = _SEGMENT.fullmatch(key)
    return (int(found[1]), int(found[2])) if found else None


def encode(what: Copy | Owner) -> bytes:
    return msgspec.json.encode(what)


def decode_owner(content: bytes) -> Owner:
    return _decode(content, Owner, OWNER)


def decode_copy(content: bytes, key: str) -> Copy:
    found = _decode(content, Copy, key)
    if found.format != FORMAT:
        raise Invalid(f"{key} is of format {found.format}, and this version of Quire reads format {FORMAT}")
    return found


def shown(at: Millis) -> str:
    """A time for people, which `--at` takes."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def name_of(piece: bytes) -> str:
    return hashlib.sha256(piece).hexdigest()


def pack(piece: bytes) -> bytes:
    """As it lies in the store."""
    packed = zlib.compress(piece, 1)
    return _PACKED + packed if len(packed) < len(piece) else _PLAIN + piece


def unpack(content: bytes, name: str) -> bytes:
    """`Invalid` when it is not what its name says."""
    try:
        piece = zlib.decompress(content[1:]) if content[:1] == _PACKED else content[1:]
    except zlib.error as error:
        raise Invalid(f"the piece {name} of the backup is damaged: {error}") from error
    if name_of(piece) != name:
        raise Invalid(f"the piece {name} of the backup is damaged: its SHA-256 is another")
    return piece


def _decode(content: bytes, type_: type[T], key: str) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{key} cannot be read: {error}") from error
