"""A repository in memory, made of small histories, and a client that fetches from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from snapshots.packs import history
from snapshots.packs.entries import (
    DIRECTORY,
    NAMES,
    SUBMODULE,
    Kind,
    Oid,
    parse_commit,
    parse_tag,
    parse_tree,
)
from snapshots.packs.filters import EVERYTHING, Filter
from snapshots.packs.history import Depth, Graph


@dataclass
class Memory:
    """A source; `read` tells what was looked at."""

    objects: dict[Oid, tuple[Kind, bytes]] = field(default_factory=dict)
    read: list[Oid] = field(default_factory=list)

    def get(self, oid: Oid) -> tuple[Kind, bytes]:
        self.read.append(oid)
        return self.objects[oid]

    def kind(self, oid: Oid) -> Kind:
        return self.objects[oid][0]

    def size(self, oid: Oid) -> int:
        return len(self.objects[oid][1])

    def __contains__(self, oid: object) -> bool:
        return oid in self.objects

    def add(self, kind: Kind, content: bytes) -> Oid:
        oid = Oid(hashlib.sha1(NAMES[kind] + b" %d\0" % len(content) + content).digest())
        self.objects[oid] = (kind, content)
        return oid

    def blob(self, content: bytes) -> Oid:
        return self.add(Kind.BLOB, content)

    def tree(self, files: Mapping[str, bytes]) -> Oid:
        """Paths -> contents; directories are made."""
        here: dict[str, tuple[int, Oid]] = {}
        below: dict[str, dict[str, bytes]] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = content
            else:
                here[name] = (0o100644, self.blob(content))
        for name, inside in below.items():
            here[name] = (DIRECTORY, self.tree(inside))
        rows = sorted(here.items(), key=lambda each: each[0] + ("/" if each[1][0] == DIRECTORY else ""))
        return self.add(Kind.TREE, b"".join(b"%o %s\0" % (mode, name.encode()) + oid for name, (mode, oid) in rows))

    def commit(self, files: Mapping[str, bytes], parents: Sequence[Oid] = (), time: int = 0) -> Oid:
        rows = [b"tree " + self.tree(files).hex().encode(), *(b"parent " + each.hex().encode() for each in parents)]
        rows += [b"%s alice <alice@example.org> %d +0000" % (who, time) for who in (b"author", b"committer")]
        return self.add(Kind.COMMIT, b"\n".join([*rows, b"", b"A commit\n"]))

    def tag(self, oid: Oid, name: str = "v1") -> Oid:
        kind = NAMES[self.kind(oid)].decode()
        return self.add(Kind.TAG, f"object {oid.hex()}\ntype {kind}\ntag {name}\n\nA tag\n".encode())

    def behind(self, tips: Iterable[Oid], cut: Iterable[Oid] = ()) -> set[Oid]:
        """Every object behind `tips`, found in the plainest way."""
        stop = set(cut)
        found: set[Oid] = set()
        waiting = list(tips)
        while waiting:
            oid = waiting.pop()
            if oid in found:
                continue
            found.add(oid)
            kind, content = self.objects[oid]
            if kind is Kind.COMMIT:
                commit = parse_commit(content)
                waiting += [commit.tree, *(() if oid in stop else commit.parents)]
            elif kind is Kind.TREE:
                waiting += [each.oid for each in parse_tree(content) if each.mode != SUBMODULE]
            elif kind is Kind.TAG:
                waiting.append(parse_tag(content)[0])
        return found


@dataclass
class Client:
    """A clone that fetches from `server`, by what the server's side answers alone."""

    server: Memory
    objects: set[Oid] = field(default_factory=set)
    tips: set[Oid] = field(default_factory=set)
    shallow: set[Oid] = field(default_factory=set)

    def fetch(self, wants: Sequence[Oid], depth: Depth | None = None, filter_: Filter = EVERYTHING) -> list[Oid]:
        """What was sent."""
        graph = Graph(self.server)
        found = history.shallow(graph, wants, self.shallow, depth or Depth(), frozenset())
        chosen = history.select(graph, [*wants, *found.wants], self.tips, cut=found.cut, filter_=filter_)
        self.shallow = (self.shallow | set(found.told)) - set(found.untold)
        self.objects |= set(chosen.oids)
        self.tips |= set(wants)
        return chosen.oids

    def whole(self) -> bool:
        """Nothing is missing behind what it has."""
        return self.server.behind(self.tips, self.shallow) <= self.objects
