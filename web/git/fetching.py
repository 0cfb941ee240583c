"""A client asks for objects: its request parsed, and the answer to it, all but the pack. PURE.

Over HTTP every request says everything anew (what is wanted, what is there), so that nothing is remembered between two of
them. `Wanted` is a request of either version; `answer` is the conversation of git's own upload-pack for one request, and
yields packets up to where the pack begins. Bytes that are no such request raise `ProtocolError`.

The clauses are those of gitprotocol-pack (versions 0 and 1) and gitprotocol-v2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from collab.errors import Invalid, ProtocolError
from snapshots.packs import filters, history
from snapshots.packs.entries import Oid, oid
from snapshots.packs.filters import EVERYTHING, Filter
from snapshots.packs.history import Depth, Graph, Shallow
from snapshots.packs.refs import BRANCHES, TAGS, Refs
from web.git.pktline import DELIMITER, FLUSH, LONGEST, Mark, Packet, line, packets, text

INFINITE: Final = 0x7FFFFFFF
"""The depth of `git fetch --unshallow`."""

Acks = Literal["single", "multi", "detailed"]


@dataclass(slots=True, kw_only=True)
class Wanted:
    """`haves`: what the client has, in the order told. `done`: it wants the pack now. `ended`: the haves ended, in done or in
    a flush. `sideband`: the largest packet of a multiplexed answer; 0 where the pack comes bare. `without`: names of refs
    whose history is not wanted."""

    version: int
    wants: list[Oid] = field(default_factory=list)
    haves: list[Oid] = field(default_factory=list)
    shallow: set[Oid] = field(default_factory=set)
    done: bool = False
    ended: bool = False
    wait_for_done: bool = False
    commits: int | None = None
    relative: bool = False
    since: int | None = None
    without: list[str] = field(default_factory=list)
    filter: Filter = EVERYTHING
    acks: Acks = "single"
    no_done: bool = False
    thin: bool = False
    ofs_delta: bool = False
    include_tag: bool = False
    progress: bool = True
    sideband: int = 0

    @property
    def deepens(self) -> bool:
        return self.commits is not None or self.since is not None or bool(self.without)


# -- parsing -----------------------------------------------------------------------------------------------------------


def parse(body: bytes) -> Wanted:
    """A request of version 0 or 1."""
    wanted = Wanted(version=0)
    stream = packets(body)
    for each in stream:
        if isinstance(each, Mark):
            break
        _ask(wanted, _capabilities(wanted, each) if not wanted.wants else text(each))
    for each in stream:
        if isinstance(each, Mark):
            wanted.ended = True
            break
        said = text(each)
        if said == "done":
            wanted.done = wanted.ended = True
            break
        if not said.startswith("have "):
            raise ProtocolError(f"{said[:80]!r} cannot stand among what the client has")
        wanted.haves.append(oid(said.removeprefix("have ")))
    return wanted


def _capabilities(wanted: Wanted, first: Packet) -> str:
    """Behind the first `want`; what stands before them."""
    assert isinstance(first, bytes)
    words = text(first).split(" ")
    for each in words[2:]:
        match each:
            case "multi_ack":
                wanted.acks = "multi" if wanted.acks == "single" else wanted.acks
            case "multi_ack_detailed":
                wanted.acks = "detailed"
            case "side-band":
                wanted.sideband = wanted.sideband or 1000
            case "side-band-64k":
                wanted.sideband = LONGEST + 4
            case "no-done":
                wanted.no_done = True
            case "thin-pack":
                wanted.thin = True
            case "ofs-delta":
                wanted.ofs_delta = True
            case "include-tag":
                wanted.include_tag = True
            case "no-progress":
                wanted.progress = False
            case "deepen-relative":
                wanted.relative = True
    return " ".join(words[:2])


def parse_2(arguments: Sequence[str]) -> Wanted:
    """The arguments of a `fetch` of version 2."""
    wanted = Wanted(version=2, acks="detailed", ofs_delta=False, sideband=LONGEST + 4, ended=True)
    for each in arguments:
        key, _, value = each.partition(" ")
        match key:
            case "have":
                wanted.haves.append(oid(value))
            case "done":
                wanted.done = True
            case "thin-pack":
                wanted.thin = True
            case "ofs-delta":
                wanted.ofs_delta = True
            case "include-tag":
                wanted.include_tag = True
            case "no-progress":
                wanted.progress = False
            case "deepen-relative":
                wanted.relative = True
            case "wait-for-done":
                wanted.wait_for_done = True
            case _:
                _ask(wanted, each)
    return wanted


def _ask(wanted: Wanted, said: str) -> None:
    key, _, value = said.partition(" ")
    match key:
        case "want":
            wanted.wants.append(oid(value))
        case "shallow":
            wanted.shallow.add(oid(value))
        case "deepen":
            wanted.commits = min(_number(said, value), INFINITE) or None
        case "deepen-since":
            wanted.since = _number(said, value)
        case "deepen-not":
            wanted.without.append(value)
        case "filter":
            wanted.filter = filters.parse(value)
        case _:
            raise ProtocolError(f"{said[:80]!r} is nothing that can be asked for here")


def _number(said: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise ProtocolError(f"{said[:80]!r} names no number")
    return int(value)


# -- answering ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Answer:
    """One request, held against a repository. When `packets` is through, `shallow` says what is to be packed; None: the
    answer ends there, and the client asks again. `tips`: nothing but what refs name can be asked for."""

    wanted: Wanted
    graph: Graph
    refs: Refs
    tips: bool = False
    shallow: Shallow | None = None

    def packets(self) -> Iterator[bytes]:
        """`Invalid` when something is wanted that is not here."""
        if not self.wanted.wants:
            yield from [FLUSH] if self.wanted.version == 2 else []
            return
        if self.tips and self.wanted.filter != EVERYTHING:
            raise Invalid("partial clones are not possible of this repository", field="filter")
        named = set(self.refs.all.values())
        for each in self.wanted.wants:
            if each not in (named if self.tips else self.graph.source):
                raise Invalid(f"not our ref {each.hex()}", field="want")
        yield from self._version_2() if self.wanted.version == 2 else self._version_0()

    @property
    def wants(self) -> list[Oid]:
        return [*self.wanted.wants, *(self.shallow.wants if self.shallow is not None else ())]

    @property
    def haves(self) -> list[Oid]:
        return self._common()

    def _common(self) -> list[Oid]:
        return [each for each in dict.fromkeys(self.wanted.haves) if each in self.graph.source]

    def _enough(self, common: Sequence[Oid]) -> bool:
        return history.reaches(self.graph, self.wanted.wants, common)

    def _shallow(self) -> Shallow:
        asked = self.wanted
        depth = Depth(asked.commits, asked.relative, asked.since, tuple(self._named(each) for each in asked.without))
        known = {each for each in asked.shallow if each in self.graph.source}
        return history.shallow(self.graph, asked.wants, known, depth, self.refs.shallow)

    def _named(self, name: str) -> Oid:
        raw = name.encode("utf-8", "surrogateescape")
        for each in (raw, TAGS + raw, BRANCHES + raw, self.refs.head if raw == b"HEAD" else raw):
            if each in self.refs.all:
                return self.refs.all[each]
        raise Invalid(f"there is no branch or tag {name[:80]!r} here", field="deepen-not")

    # gitprotocol-pack, "Packfile Negotiation"; the order is that of git's upload-pack.

    def _version_0(self) -> Iterator[bytes]:
        found = self._shallow()
        if self.wanted.deepens:
            yield from self._told(found)
            yield FLUSH
        if not self.wanted.ended:
            # A stateless client reads what is shallow, and asks again.
            return
        acks = self.wanted.acks
        last, ready = "", False
        common: list[Oid] = []
        enough: tuple[int, bool] = (0, False)
        for each in self.wanted.haves:
            if each in self.graph.source:
                common.append(each)
                last = each.hex()
                if acks != "single":
                    yield line(f"ACK {last} {'common' if acks == 'detailed' else 'continue'}")
                elif len(common) == 1:
                    yield line(f"ACK {last}")
            elif acks != "single":
                enough = enough if enough[0] == len(common) else (len(common), self._enough(common))
                if enough[1]:
                    ready = acks == "detailed"
                    yield line(f"ACK {each.hex()} {'ready' if ready else 'continue'}")
        if self.wanted.done:
            if not common:
                yield line("NAK")
            elif acks != "single":
                yield line(f"ACK {last}")
            self.shallow = found
            return
        if acks == "detailed" and common and not ready and self._enough(common):
            ready = True
            yield line(f"ACK {last} ready")
        if not common or acks != "single":
            yield line("NAK")
        if self.wanted.no_done and ready:
            yield line(f"ACK {last}")
            self.shallow = found

    def _version_2(self) -> Iterator[bytes]:
        if not self.wanted.done and (self.wanted.haves or self.wanted.wait_for_done):
            common = self._common()
            yield line("acknowledgments")
            yield from (line(f"ACK {each.hex()}") for each in common)
            if not common:
                yield line("NAK")
            if self.wanted.wait_for_done or not self._enough(common):
                yield FLUSH
                return
            yield line("ready")
            yield DELIMITER
        found = self._shallow()
        if self.wanted.deepens or self.wanted.shallow or self.refs.shallow:
            yield line("shallow-info")
            yield from self._told(found)
            yield DELIMITER
        yield line("packfile")
        self.shallow = found

    @staticmethod
    def _told(found: Shallow) -> Iterator[bytes]:
        yield from (line(f"shallow {each.hex()}") for each in found.told)
        yield from (line(f"unshallow {each.hex()}") for each in found.untold)
