"""A client pushes: what it asks for, parsed, and what is reported to it. PURE.

The clauses are those of gitprotocol-pack, "Pushing Data To a Server". The pack itself comes behind what is parsed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from collab.errors import ProtocolError
from snapshots.packs.entries import Oid, oid
from snapshots.packs.refs import Outcome, Update
from web.git.pktline import FLUSH, Mark, line, take, text

MOST: Final = 4 << 20
"""Bytes before the pack."""

ZERO: Final = Oid(b"\0" * 20)

OPTIONS_MOST: Final = 100


@dataclass(slots=True)
class Asked:
    """`updates`: what refs are to become. `options`: of `git push -o`."""

    updates: list[Update] = field(default_factory=list)
    capabilities: frozenset[str] = frozenset()
    options: list[str] = field(default_factory=list)

    @property
    def atomic(self) -> bool:
        return "atomic" in self.capabilities

    @property
    def brings(self) -> bool:
        """Whether a pack comes behind it."""
        return any(each.new is not None for each in self.updates)


class Reader:
    """Takes what comes in pieces of any size, until everything before the pack is there."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._taken = 0
        self._asked = Asked()
        self._options = False

    def feed(self, piece: bytes) -> tuple[Asked, bytes] | None:
        """What is asked for, and what of the pack has come already; None: more is needed."""
        self._held += piece
        raw, at = bytes(self._held), 0
        while (found := take(raw, at)) is not None:
            packet, at = found
            if packet is Mark.FLUSH:
                if self._options or "push-options" not in self._asked.capabilities:
                    return self._asked, raw[at:]
                self._options = True
            elif isinstance(packet, Mark):
                raise ProtocolError("a push holds no packet of this kind")
            elif self._options:
                self._option(text(packet))
            else:
                self._update(packet)
        del self._held[:at]
        self._taken += len(piece)
        if self._taken > MOST:
            raise ProtocolError("a push names no more than some thousand refs")
        return None

    def _option(self, said: str) -> None:
        self._asked.options.append(said)
        if len(self._asked.options) > OPTIONS_MOST:
            raise ProtocolError(f"a push has no more than {OPTIONS_MOST} options")

    def _update(self, packet: bytes) -> None:
        said, nul, capabilities = packet.partition(b"\0")
        if nul:
            self._asked.capabilities = frozenset(text(capabilities).split())
        words = said.removesuffix(b"\n").split(b" ", 2)
        if words[0] == b"shallow":
            return  # what the client lacks is looked for here, and refused if it is not there
        if len(words) != 3:
            raise ProtocolError(f"{text(said)[:80]!r} says not which ref is to become what")
        old, new = oid(words[0]), oid(words[1])
        self._asked.updates.append(Update(words[2], None if old == ZERO else old, None if new == ZERO else new))


def report(outcomes: Sequence[Outcome], unpacked: str = "ok") -> bytes:
    """Of report-status: `unpacked` says why nothing could be read of the pack, if that is so."""
    rows = [line(f"unpack {_one_line(unpacked)}")]
    for each in outcomes:
        if each.problem:
            rows.append(line(b"ng " + each.ref + b" " + _one_line(each.problem).encode()))
        else:
            rows.append(line(b"ok " + each.ref))
    return b"".join([*rows, FLUSH])


def _one_line(words: str) -> str:
    return " ".join(words.split()).encode("utf-8", "replace").decode()
