"""A project in the object store: where its parts lie, what changed between two snapshots, which snapshots stay. PURE.

    projects/{id}/HEAD                  the number of the newest snapshot
    projects/{id}/snapshots/{n}.json    its manifest: every file, with the SHA of its bytes
    projects/{id}/blobs/{sha}           the bytes that a manifest names, by git's SHA-1
    projects/{id}/files/{path}          the newest bytes once more, for whoever wants plain files
    projects/{id}/FILES                 the number of the snapshot that `files/` shows

A snapshot with `sweeping_until` in the future is the newest, and the same as the one before it; old ones are being deleted
meanwhile, and nobody makes a new one. It is `unswept`, as are those after it, until the sweep, or another, comes to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from collab import paths
from collab.ids import BlobSha, DocumentId, Millis, Position, ProjectId
from collab.objects.keys import possible

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_AS_CONTENT: Final = ("100644", "100755")
"""Modes of what `files/` shows: a link or a submodule is no content."""


class File(msgspec.Struct, frozen=True, gc=False):
    """`path` is as `collab.paths.show` gives it, `mode` as git writes it: 100644."""

    path: str
    mode: str
    sha: BlobSha
    document: DocumentId
    position: Position

    @property
    def has_blob(self) -> bool:
        return self.mode != "160000"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`files` are in the order of their paths."""

    number: int
    at: Millis
    files: tuple[File, ...]
    epoch: int = 1
    """The store's when it was made: positions of another epoch may stand for something else."""
    sweeping_until: Millis = Millis(0)
    same_as: int = 0
    """The number of an earlier snapshot of the very same files, if it was made by a sweep."""
    unswept: bool = False
    """A sweep has not come to its end: there may be blobs that nothing names."""


class Named(msgspec.Struct, frozen=True, gc=False):
    sha: BlobSha


class Outline(msgspec.Struct, frozen=True):
    """What a sweep wants to know of a manifest."""

    number: int
    at: Millis
    files: tuple[Named, ...] = ()
    same_as: int = 0


NEVER: Final = Millis(0)
EMPTY: Final = Manifest(number=0, at=NEVER, files=())


@dataclass(frozen=True, slots=True)
class Moves:
    """What brings `files/` from one snapshot to another: keys to delete, and then keys to copy blobs to."""

    deletes: tuple[str, ...]
    copies: Mapping[str, BlobSha]


class Place:
    """The keys of one project."""

    def __init__(self, project: ProjectId) -> None:
        self.root = f"projects/{project}/"
        self.head = f"{self.root}HEAD"
        self.shown = f"{self.root}FILES"
        self.manifests = f"{self.root}snapshots/"
        self.blobs = f"{self.root}blobs/"
        self.files = f"{self.root}files/"

    def manifest(self, number: int) -> str:
        return f"{self.manifests}{number}.json"

    def blob(self, sha: str) -> str:
        return f"{self.blobs}{sha}"

    def file(self, shown: str) -> str | None:
        """None for a path that is too long for a key: it is in the manifest alone."""
        key = self.files + "/".join(_part(part) for part in paths.to_bytes(paths.parse(shown)).split(b"/"))
        return key if possible(key) else None

    def number(self, key: str) -> int | None:
        """Of a manifest's key."""
        name = key.removeprefix(self.manifests).removesuffix(".json")
        return int(name) if name.isdecimal() and self.manifest(int(name)) == key else None

    def view(self, files: Iterable[File]) -> dict[str, BlobSha]:
        """What `files/` is to show of them."""
        return self._keyed(_contents(files))

    def moves(self, before: Iterable[File], after: Iterable[File]) -> Moves:
        """Files that are the same in both may be left out. Only what differs is given a key: the rest may be very much."""
        old, new = _contents(before), _contents(after)
        gone = {path: sha for path, sha in old.items() if path not in new}
        return Moves(
            tuple(self._keyed(gone)),
            self._keyed({path: sha for path, sha in new.items() if old.get(path) != sha}),
        )

    def _keyed(self, contents: Mapping[str, BlobSha]) -> dict[str, BlobSha]:
        keys = ((self.file(path), sha) for path, sha in contents.items())
        return {key: sha for key, sha in keys if key is not None}


def encode(manifest: Manifest, files: Sequence[msgspec.Raw] | None = None) -> bytes:
    """`files`: those of the manifest, encoded already."""
    return msgspec.json.encode(manifest if files is None else msgspec.structs.replace(manifest, files=files))


def decode(content: bytes) -> Manifest:
    return msgspec.json.decode(content, type=Manifest)


def outline(content: bytes) -> Outline:
    return msgspec.json.decode(content, type=Outline)


def same(before: File | None, after: File | None) -> bool:
    """Whether nothing is different but the position (something was typed and taken back)."""
    if before is None or after is None:
        return before is after
    return (before.path, before.mode, before.sha) == (after.path, after.mode, after.sha)


def outdated(made: Mapping[int, Millis], *, now: Millis, keep: int, stays: frozenset[int]) -> set[int]:
    """Those of the snapshots, with the times they were made, that nobody needs any more: older than `keep` milliseconds,
    or not the last of their hour (beyond the last hour) or of their day (beyond the last day). `stays` stay."""
    newest: dict[tuple[int, int], int] = {}
    gone: set[int] = set()
    for number, at in sorted(made.items()):
        age = now - at
        if number in stays or age <= min(HOUR, keep):
            continue
        if age > keep:
            gone.add(number)
            continue
        span = HOUR if age <= DAY else DAY
        earlier = newest.get((span, at // span))
        if earlier is not None:
            gone.add(earlier)
        newest[span, at // span] = number
    return gone


def _contents(files: Iterable[File]) -> dict[str, BlobSha]:
    return {each.path: each.sha for each in files if each.mode in _AS_CONTENT}


def _part(part: bytes) -> str:
    """As a key can hold it: what is not printable text, `%`, and a `=` at the beginning are written `%` and two digits.
    Two paths never have one key."""
    text = part.decode("utf-8", "surrogateescape")
    plain = "".join(char if char.isprintable() and char != "%" else _escaped(char) for char in text)
    return f"%3D{plain[1:]}" if plain.startswith("=") else plain


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
