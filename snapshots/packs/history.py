"""Which objects a client lacks: the walk over commits and trees between what it has and what it wants. PURE.

What it promises
1. Complete: with what the client has (the haves, and everything behind them down to `cut`) and what is sent, it has
   everything behind its wants, down to `cut` and but for what the filter leaves out.
2. What is sent follows what changed: of commits that the client has, only the trees on the way to a change are read, and a
   tree or blob is looked at once. Clocks that went wrong may cost an object too many, never one too few.
3. Nothing recurses: histories and trees may be as deep as somebody cares to make them.

What breaks it: a repository that lacks what its own objects name.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, Protocol

from collab.errors import Invalid
from snapshots.packs.entries import DIRECTORY, SUBMODULE, Commit, Entry, Kind, Oid, parse_commit, parse_tag, parse_tree
from snapshots.packs.filters import EVERYTHING, Filter

SLOP: Final = 5
"""Commits that are looked at beyond the last that seemed to matter: for clocks that went wrong, as in git."""

_WANTED: Final = 1
_THERE: Final = 2


class Source(Protocol):
    """The objects of a repository."""

    def get(self, oid: Oid) -> tuple[Kind, bytes]:
        """`KeyError` when it is not there."""

    def kind(self, oid: Oid) -> Kind: ...

    def size(self, oid: Oid) -> int: ...

    def __contains__(self, oid: object) -> bool: ...


Tick = Callable[[int], None]
"""Called now and then with how many objects were found: time to show a sign of life."""


def no_tick(found: int) -> None:
    """Nobody waits."""


class Graph:
    """The commits of a source, each parsed once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._commits: dict[Oid, Commit] = {}

    def commit(self, oid: Oid) -> Commit:
        """`KeyError` when it is not there, or is none."""
        found = self._commits.get(oid)
        if found is None:
            kind, content = self.source.get(oid)
            if kind is not Kind.COMMIT:
                raise KeyError(oid)
            found = self._commits[oid] = parse_commit(content)
        return found

    def peel(self, oid: Oid) -> tuple[list[Oid], Oid, Kind]:
        """The tags that lead from `oid` on, what they lead to, and what that is."""
        tags: list[Oid] = []
        kind = self.kind(oid)
        while kind is Kind.TAG:
            tags.append(oid)
            oid = parse_tag(self.source.get(oid)[1])[0]
            kind = self.kind(oid)
        return tags, oid, kind

    def kind(self, oid: Oid) -> Kind:
        return Kind.COMMIT if oid in self._commits else self.source.kind(oid)

    def commits(self, oids: Iterable[Oid]) -> list[Oid]:
        """Those among them that are commits, or tags of some."""
        peeled = [self.peel(oid) for oid in oids]
        return list(dict.fromkeys(oid for _, oid, kind in peeled if kind is Kind.COMMIT))


@dataclass(slots=True)
class Selection:
    """`oids`: what is to be sent, in the order of a pack. `there`: some of what the client has, which deltas may be made
    of."""

    oids: list[Oid]
    there: set[Oid]


def select(
    graph: Graph,
    wants: Iterable[Oid],
    haves: Iterable[Oid],
    *,
    cut: Set[Oid] = frozenset(),
    filter_: Filter = EVERYTHING,
    tags: Mapping[Oid, Oid] | None = None,
    tick: Tick = no_tick,
) -> Selection:
    """`cut`: commits whose parents the client does not have and shall not get. `tags`: tag objects that go along with what
    they lead to, by their own names."""
    walk = _Walk(graph.source, filter_, tick)
    tips: list[Oid] = []
    for want in wants:
        chain, oid, kind = graph.peel(want)
        for each in chain:
            walk.send(each)
        if kind is Kind.COMMIT:
            tips.append(oid)
        elif kind is Kind.TREE:
            walk.named_tree(oid)
        else:
            walk.send(oid)
    commits, edges = between(graph, tips, graph.commits(haves), cut=cut, tick=tick)
    named = set(tips)
    trees: list[tuple[Oid, tuple[Oid, ...]]] = []
    for oid in commits:
        commit = graph.commit(oid)
        if filter_.takes(Kind.COMMIT) or oid in named:
            walk.send(oid)
        parents = () if oid in cut else commit.parents
        trees.append((commit.tree, tuple(graph.commit(each).tree for each in parents if each in edges)))
    # The oldest first: what a child shares with its parent has then been seen.
    for tree, known in reversed(trees):
        walk.tree(tree, known)
    for tag, target in (tags or {}).items():
        if target in walk.sent:
            for each in graph.peel(tag)[0]:
                walk.send(each)
    return Selection(list(walk.sent), walk.there)


def between(
    graph: Graph, tips: Iterable[Oid], haves: Iterable[Oid], *, cut: Set[Oid] = frozenset(), tick: Tick = no_tick
) -> tuple[list[Oid], set[Oid]]:
    """The commits behind `tips` and not behind `haves`, the newest first; and the edges: parents of theirs that are."""
    flags: dict[Oid, int] = {}
    waiting: list[tuple[int, int, Oid]] = []
    open_: set[Oid] = set()
    order = 0

    def mark(oid: Oid, flag: int) -> None:
        nonlocal order
        before = flags.get(oid, 0)
        if before | flag == before:
            return
        flags[oid] = before | flag
        if flags[oid] & _THERE:
            open_.discard(oid)
        else:
            open_.add(oid)
        order += 1
        heapq.heappush(waiting, (-graph.commit(oid).time, order, oid))

    for oid in haves:
        mark(oid, _THERE)
    for oid in tips:
        mark(oid, _WANTED)
    found: dict[Oid, None] = {}
    beyond = SLOP
    while waiting and (open_ or beyond):
        beyond = SLOP if open_ else beyond - 1
        oid = heapq.heappop(waiting)[2]
        open_.discard(oid)
        if not flags[oid] & _THERE:
            found[oid] = None
            tick(len(found))
        if oid not in cut:
            for parent in graph.commit(oid).parents:
                mark(parent, flags[oid])
    selected = [oid for oid in found if not flags[oid] & _THERE]
    parents = (parent for oid in selected if oid not in cut for parent in graph.commit(oid).parents)
    return selected, {parent for parent in parents if flags[parent] & _THERE}


@dataclass(slots=True)
class _Walk:
    source: Source
    filter: Filter
    tick: Tick
    sent: dict[Oid, None] = field(default_factory=dict)
    there: set[Oid] = field(default_factory=set)
    _depths: dict[Oid, int] = field(default_factory=dict)
    """Of trees that were walked: how near to the root."""

    def send(self, oid: Oid) -> None:
        self.sent[oid] = None

    def named_tree(self, oid: Oid) -> None:
        self.send(oid)
        self.tree(oid, ())

    def tree(self, root: Oid, known: tuple[Oid, ...]) -> None:
        """What of it is not in the trees `known`, which the client has, nor seen yet."""
        waiting: list[tuple[Oid, tuple[Oid, ...], int]] = [(root, known, 0)]
        while waiting:
            oid, beside, depth = waiting.pop()
            self.there.update(beside)
            if oid in beside or not self.filter.walks(depth) or self._depths.get(oid, depth + 1) <= depth:
                continue
            self._depths[oid] = depth
            if self.filter.takes(Kind.TREE):
                self.send(oid)
                self.tick(len(self.sent))
            names = [{each.name: each for each in self._entries(tree)} for tree in beside]
            self.there.update(each.oid for held in names for each in held.values())
            for each in self._entries(oid):
                if each.mode == SUBMODULE:
                    continue
                twins = [held[each.name] for held in names if each.name in held] if names else []
                if any(twin.oid == each.oid for twin in twins):
                    continue
                if each.mode == DIRECTORY:
                    dirs = tuple(twin.oid for twin in twins if twin.mode == DIRECTORY)
                    waiting.append((each.oid, dirs, depth + 1))
                elif each.oid not in self.sent and self.filter.takes_at(depth + 1) and self._takes(each.oid):
                    self.send(each.oid)
                    self.tick(len(self.sent))

    def _takes(self, oid: Oid) -> bool:
        return self.filter.takes_blob(lambda: self.source.size(oid))

    def _entries(self, oid: Oid) -> Iterator[Entry]:
        return parse_tree(self.source.get(oid)[1])


def reaches(graph: Graph, tips: Iterable[Oid], common: Collection[Oid]) -> bool:
    """Whether something of `common` is behind every tip: then no more has to be asked. Tips that are no commits need
    nothing. What is older than all that is common is not looked at."""
    goals = set(graph.commits(common))
    if not goals:
        return False
    oldest = min(graph.commit(oid).time for oid in goals)
    for tip in graph.commits(tips):
        seen, waiting = {tip}, [tip]
        while waiting:
            oid = waiting.pop()
            if oid in goals:
                goals |= {tip}
                break
            for parent in graph.commit(oid).parents:
                if parent not in seen and parent in graph.source and graph.commit(parent).time >= oldest:
                    seen.add(parent)
                    waiting.append(parent)
        else:
            return False
    return True


def is_ancestor(graph: Graph, old: Oid, new: Oid, *, cut: Set[Oid] = frozenset()) -> bool:
    """Whether `old` is `new` or behind it. The newest are looked at first, so that a push is judged by what it brings."""
    seen = {new}
    waiting = [(-graph.commit(new).time, new)]
    while waiting:
        oid = heapq.heappop(waiting)[1]
        if oid == old:
            return True
        for parent in () if oid in cut else graph.commit(oid).parents:
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(waiting, (-graph.commit(parent).time, parent))
    return False


# -- shallow histories -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Depth:
    """How much history a client asks for: so many commits (`relative`: beyond what it has), or none older than `since`
    (seconds since the epoch), or none that is behind `without`."""

    commits: int | None = None
    relative: bool = False
    since: int | None = None
    without: tuple[Oid, ...] = ()

    @property
    def limited(self) -> bool:
        return self.commits is not None or self.since is not None or bool(self.without)


@dataclass(frozen=True, slots=True)
class Shallow:
    """`told` and `untold`: commits that become shallow, and that are so no longer. `cut`: see `select`. `wants`: what has to
    be sent besides, so that the deepened history has no gap."""

    told: tuple[Oid, ...] = ()
    untold: tuple[Oid, ...] = ()
    cut: frozenset[Oid] = frozenset()
    wants: tuple[Oid, ...] = ()


def shallow(graph: Graph, wants: Sequence[Oid], client: Set[Oid], depth: Depth, ours: Set[Oid]) -> Shallow:
    """`client`: the commits that are shallow there; `ours`: here."""
    if not depth.limited and not ours:
        return Shallow(cut=frozenset(client))
    tips = graph.commits(wants)
    if depth.since is not None or depth.without:
        ends, whole = _by_age(graph, tips, depth, ours)
    elif depth.commits is None:
        ends, whole = _by_count(graph, tips, None, ours)
    elif depth.relative:
        reachable = [oid for oid in client if _behind_any(graph, oid, tips, ours)]
        ends, whole = _by_count(graph, reachable, depth.commits + 1, ours)
    else:
        ends, whole = _by_count(graph, tips, depth.commits, ours)
    told = tuple(oid for oid in ends if oid not in client)
    cut = frozenset({*client, *ends, *ours})
    if not depth.limited:
        return Shallow(told=told, cut=cut)
    untold = tuple(oid for oid in client if oid in whole)
    parents = [parent for oid in untold for parent in graph.commit(oid).parents]
    return Shallow(told, untold, cut, tuple(dict.fromkeys(parents)))


def _by_count(
    graph: Graph, tips: Iterable[Oid], commits: int | None, ours: Set[Oid]
) -> tuple[dict[Oid, None], set[Oid]]:
    """Where a history of so many commits ends, and what of it has all of its parents."""
    ends: dict[Oid, None] = {}
    whole: set[Oid] = set()
    seen: set[Oid] = set()
    level, number = list(dict.fromkeys(tips)), 1
    while level:
        seen.update(level)
        further: dict[Oid, None] = {}
        for oid in level:
            if oid in ours or (commits is not None and number >= commits):
                ends[oid] = None
                continue
            whole.add(oid)
            further.update(dict.fromkeys(each for each in graph.commit(oid).parents if each not in seen))
        level, number = list(further), number + 1
    return ends, whole


def _by_age(graph: Graph, tips: Iterable[Oid], depth: Depth, ours: Set[Oid]) -> tuple[dict[Oid, None], set[Oid]]:
    selected, _ = between(graph, tips, graph.commits(depth.without), cut=ours)
    since = depth.since or 0
    young = {oid for oid in selected if graph.commit(oid).time >= since}
    kept: dict[Oid, None] = {}
    waiting = [tip for tip in tips if tip in young]
    while waiting:
        oid = waiting.pop()
        if oid not in kept:
            kept[oid] = None
            waiting.extend(each for each in graph.commit(oid).parents if oid not in ours and each in young)
    if not kept:
        raise Invalid("no commit is as young as was asked for", field="depth")
    ends = {oid: None for oid in kept if oid in ours or any(each not in kept for each in graph.commit(oid).parents)}
    return ends, set(kept) - ends.keys()


def _behind_any(graph: Graph, oid: Oid, tips: Iterable[Oid], ours: Set[Oid]) -> bool:
    return oid in graph.source and any(is_ancestor(graph, oid, tip, cut=ours) for tip in tips)
