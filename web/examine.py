"""What a document's log says, held against its checkpoints, its row in the catalog and what was made of it. PURE.

`examine` makes the document once more from its entries alone, in order, and looks at it at the positions that somebody
relies on. It is synchronous and takes as long as the log is: call it in a worker thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from collab import gate, paths
from collab.document import Document
from collab.errors import ProtocolError
from collab.ids import BlobSha, ClientId, Position
from collab.store.base import Checkpoint, EntryKind, Logged, Row
from collab.text import Shape, blob_sha, to_bytes

READER: Final = ClientId(1)
"""Nothing is ever written under it."""

Check = Literal["log", "checkpoint", "catalog", "object", "git"]


@dataclass(frozen=True, slots=True)
class Fault:
    check: Check
    message: str
    position: Position = Position(0)


@dataclass(frozen=True, slots=True)
class Version:
    """The file as it stood at a position."""

    sha: BlobSha
    size: int


@dataclass(slots=True)
class Examined:
    faults: list[Fault] = field(default_factory=list)
    versions: dict[Position, Version] = field(default_factory=dict)
    """At the positions that were asked for, where the file was text."""
    states: dict[Position, bytes] = field(default_factory=dict)
    """For every checkpoint that is wrong, what it should hold."""
    broken: bool = False
    """The log itself cannot be decoded: nothing else can be said."""


def examine(
    row: Row, entries: Sequence[Logged], checkpoints: Iterable[Checkpoint], positions: Iterable[Position]
) -> Examined:
    """`entries` are those up to `row.head`. `positions`: where to look, besides at the checkpoints."""
    examined = Examined()
    _check_positions(row, entries, examined)
    reader = _Reader(examined)
    try:
        reader.read(entries, {each.position: each for each in checkpoints}, frozenset(positions))
        if not examined.broken:
            examined.faults += _catalog(row, reader.meta)
    finally:
        reader.document.close()
    return examined


def _check_positions(row: Row, entries: Sequence[Logged], examined: Examined) -> None:
    found = [each.position for each in entries]
    if found != list(range(1, row.head + 1)):
        missing = sorted(set(range(1, row.head + 1)) - set(found))
        what = f"position {missing[0]} is missing" if missing else "its positions are not in order"
        examined.faults.append(Fault("log", f"the log has {len(found)} entries up to {row.head}: {what}"))
        examined.broken = True
    times = [each.at for each in entries]
    if times != sorted(times):
        examined.faults.append(Fault("log", "times in the log go back"))


class _Reader:
    def __init__(self, examined: Examined) -> None:
        self.examined = examined
        self.document = Document(READER)
        self.meta: dict[str, Any] = {}
        self._waiting: list[bytes] = []

    def read(
        self, entries: Sequence[Logged], checkpoints: Mapping[Position, Checkpoint], positions: frozenset[Position]
    ) -> None:
        for each in entries:
            if not self._take(each):
                return
            if each.position in checkpoints or each.position in positions:
                if not self._apply(each.position):
                    return
                self._look(each.position, checkpoints.get(each.position), each.position in positions)
        self._apply(entries[-1].position if entries else Position(0))

    def _take(self, each: Logged) -> bool:
        if each.entry.kind == EntryKind.UPDATE:
            try:
                gate.walk(each.entry.payload)
            except ProtocolError as error:
                return self._break(each.position, error.message)
            self._waiting.append(each.entry.payload)
        elif each.entry.kind == EntryKind.META:
            try:
                self.meta.update(msgspec.json.decode(each.entry.payload, type=dict[str, Any]))
            except msgspec.DecodeError as error:
                return self._break(each.position, f"metadata that cannot be read: {error}")
        return True

    def _apply(self, position: Position) -> bool:
        waiting, self._waiting = self._waiting, []
        try:
            self.document.apply(waiting)
        except ProtocolError as error:
            return self._break(position, error.message)
        return True

    def _break(self, position: Position, message: str) -> bool:
        self.examined.faults.append(Fault("log", f"the log cannot be decoded at position {position}: {message}"))
        self.examined.broken = True
        return False

    def _look(self, position: Position, checkpoint: Checkpoint | None, wanted: bool) -> None:
        if wanted and self.meta.get("kind", "text") == "text":
            shape = Shape(self.meta.get("eol", "lf"), self.meta.get("bom", False))
            content = to_bytes(self.document.text, shape)
            self.examined.versions[position] = Version(blob_sha(content), len(content))
        if checkpoint is not None and (wrong := self._differs(checkpoint)) is not None:
            self.examined.faults.append(Fault("checkpoint", f"the checkpoint at position {position} {wrong}", position))
            self.examined.states[position] = self.document.encode()

    def _differs(self, checkpoint: Checkpoint) -> str | None:
        try:
            gate.walk(checkpoint.state)
            held = Document(READER)
        except ProtocolError as error:
            return f"cannot be decoded: {error.message}"
        try:
            held.apply([checkpoint.state])
            if held.text != self.document.text:
                return "holds another text than the log makes"
            if held.clocks() != self.document.clocks():
                return "knows other edits than the log has"
        except ProtocolError as error:
            return f"cannot be decoded: {error.message}"
        finally:
            held.close()
        return None


def _catalog(row: Row, meta: Mapping[str, Any]) -> list[Fault]:
    """What the metadata in the log says last, against the row."""
    known = {
        "path": paths.show(row.path),
        "kind": row.kind,
        "mode": row.mode,
        "eol": row.eol,
        "bom": row.bom,
        "object": row.object,
        "deleted": row.deleted_at is not None,
    }
    return [
        Fault("catalog", f"the catalog says {name} is {value!r}, and the log says {meta[name]!r}")
        for name, value in known.items()
        if name in meta and meta[name] != value
    ]
