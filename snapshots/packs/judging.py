"""Judges a push in a process of its own: its pack (snapshots.packs.incoming), and what every ref would become. ADAPTER.

The process may take so much memory and no more, so that what is meant to exhaust it ends that process alone.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import IO, Final

import msgspec
from dulwich.objects import Commit

from collab.errors import QuireError
from snapshots import child
from snapshots.packs import checks, history
from snapshots.packs.entries import Entry, Kind, Oid, parse_tree
from snapshots.packs.history import Graph
from snapshots.packs.incoming import Incoming, Refused
from snapshots.packs.objects import Objects
from snapshots.packs.refs import BRANCHES, Refs
from snapshots.packs.repository import read_refs
from snapshots.packs.verdict import NEWEST, RECEIVED, Asked, Judged, NewCommit, Progress, PushLimits, Question, Verdict

MEMORY: Final = 1 << 30
"""Bytes, and as much again for each of a few copies of the largest object."""
COPIES: Final = 6

SIGN: Final = 0.5
"""Seconds between two messages of progress."""

SUBJECT: Final = 200
"""Characters that are kept of a subject, or a name."""


def main() -> None:
    content, answer = child.begin()
    question = msgspec.msgpack.decode(content, type=Question)
    _limit(MEMORY + COPIES * question.limits.object)
    os.chdir(question.repository)
    try:
        verdict = judge(question, _Progress(answer))
    except Refused as refused:
        verdict = Verdict(refused=refused.why)
    except QuireError as error:
        verdict = Verdict(refused=error.message)
    except MemoryError:
        verdict = Verdict(refused="it needs more memory to unpack than a push may take")
    except OSError as error:
        verdict = Verdict(refused=f"it cannot be kept: {error.strerror or error}")
    _tell(answer, verdict)
    child.end()


def _limit(memory: int) -> None:
    # Where a system has no such limit, those of the pack remain.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def judge(question: Question, tick: _Progress) -> Verdict:
    folder = pathlib.Path(question.folder)
    known: dict[Oid, Kind] = {}
    if (folder / RECEIVED).exists():
        with contextlib.closing(Objects(pathlib.Path("objects"))) as there:
            known = Incoming(folder / RECEIVED, there, question.limits, tick).judge()
    with contextlib.closing(Objects(folder)) as objects:
        graph, refs = Graph(objects), read_refs(pathlib.Path())
        judged = tuple(_judged(graph, refs, each, question.limits) for each in question.refs if each.new is not None)
    return Verdict(objects=len(known), refs=judged)


def _judged(graph: Graph, refs: Refs, each: Asked, limits: PushLimits) -> Judged:
    assert each.new is not None
    new = Oid(each.new)
    if new not in graph.source:
        return Judged(ref=each.ref, problem="the object is missing, here and in what was sent")
    _, target, kind = graph.peel(new)
    if each.ref.startswith(BRANCHES) and graph.kind(new) is not Kind.COMMIT:
        return Judged(ref=each.ref, problem=f"a branch names a commit, and this is a {graph.kind(new).name.lower()}")
    if kind is not Kind.COMMIT:
        return Judged(ref=each.ref)
    extent = checks.extent(graph.commit(target).tree, lambda oid: _entries(graph, oid))
    if extent.files > limits.files:
        return Judged(ref=each.ref, problem=f"it has {extent.files:,} files, and {limits.files:,} are the most")
    if extent.longest > limits.path:
        return Judged(
            ref=each.ref, problem=f"it has a path of {extent.longest:,} bytes, and {limits.path:,} are the most"
        )
    commits, _ = history.between(graph, [target], graph.commits(refs.all.values()), cut=refs.shallow)
    return Judged(
        ref=each.ref,
        forward=_forward(graph, refs, each, target),
        count=len(commits),
        newest=tuple(_told(graph, oid) for oid in commits[:NEWEST]),
    )


def _forward(graph: Graph, refs: Refs, each: Asked, target: Oid) -> bool:
    if each.old is None:
        return True
    old = Oid(each.old)
    return old in graph.source and history.is_ancestor(graph, old, target, cut=refs.shallow)


def _entries(graph: Graph, oid: Oid) -> Sequence[Entry]:
    return list(parse_tree(graph.source.get(oid)[1]))


def _told(graph: Graph, oid: Oid) -> NewCommit:
    commit = Commit.from_string(graph.source.get(oid)[1])
    author = commit.author.partition(b"<")[0].decode("utf-8", "replace").strip()
    subject = commit.message.partition(b"\n")[0].decode("utf-8", "replace").strip()
    return NewCommit(oid.hex(), author[:SUBJECT], subject[:SUBJECT])


class _Progress:
    def __init__(self, answer: IO[bytes]) -> None:
        self._answer = answer
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        # Looking at the clock for every object would cost as much as some of the work.
        if done % 64 == 0 and time.monotonic() - self._told >= SIGN:
            self._told = time.monotonic()
            _tell(self._answer, Progress(what, done, total))


def _tell(answer: IO[bytes], message: Progress | Verdict) -> None:
    try:
        answer.write(child.frame(msgspec.msgpack.encode(message)))
        answer.flush()
    except BrokenPipeError:
        sys.stderr.write("nobody waits for the verdict\n")
        child.end(child.ENDED)
