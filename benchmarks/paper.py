"""The log of a paper: 259,778 recorded keystrokes of its author, one entry each, as a room would have logged them."""

from __future__ import annotations

import gzip
import json
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pycrdt

from benchmarks.bench import Bench
from benchmarks.finding import Finding, goal
from collab.compaction import compact, due
from collab.document import Document
from collab.history import text_at
from collab.ids import ActorId, ClientId, DocumentId, Path, Position, ProjectId
from collab.store.base import Append, CreateDocument, CreateProject, Entry, EntryKind, Project, Row
from collab.store.sqlite import SqliteStore, open_store

TRACE = "automerge-paper.json.gz"
AUTHOR = ActorId("author")
CLIENT = ClientId(7)
PROJECT = ProjectId("paper")
PAPER = DocumentId("paper")
AT_ONCE = 500
LOOKS = 20
"""How many positions are rebuilt and compared with what the trace had then."""
LOADS = 15


@dataclass(frozen=True, slots=True)
class Keystrokes:
    updates: Sequence[bytes]
    texts: dict[int, str]
    """What stood there after so many keystrokes, at LOOKS places and at the end."""


def paper(bench: Bench) -> Iterator[Finding]:
    """The log, packed, on disk; the live state and how long it takes to load; old positions rebuilt."""
    trace = bench.traces / TRACE
    if not trace.exists():
        raise FileNotFoundError(f"{trace} is not there; name the folder that has it with --traces")
    keystrokes = typed(json.loads(gzip.decompress(trace.read_bytes())))
    bench.say(f"  paper: {len(keystrokes.updates):,} updates of {sum(map(len, keystrokes.updates)) / 1e6:.1f} MB")
    yield from anyio.run(_measure, bench, keystrokes, pathlib.Path(tempfile.mkdtemp(dir=bench.folder)))


def typed(trace: dict[str, Any]) -> Keystrokes:
    """One update per keystroke. The paper is ASCII, so that code points are bytes."""
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=CLIENT)
    text = doc.get("content", type=pycrdt.Text)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    patches = [patch for transaction in trace["txns"] for patch in transaction["patches"]]
    texts: dict[int, str] = {}
    for at, deleted, inserted in patches:
        with doc.transaction():
            if deleted:
                del text[at : at + deleted]
            if inserted:
                text.insert(at, inserted)
        if len(updates) % (len(patches) // LOOKS) == 0:
            texts[len(updates)] = str(text)
    texts[len(updates)] = str(text)
    doc.unobserve(subscription)
    assert texts[len(updates)] == trace["endContent"]
    assert trace["endContent"].isascii()
    return Keystrokes(updates, texts)


async def _measure(bench: Bench, keystrokes: Keystrokes, folder: pathlib.Path) -> list[Finding]:
    store = await open_store(folder)
    await _log(bench, store, keystrokes.updates)
    size = await store.size(PAPER)
    assert size is not None
    loading = await _loading(store)
    document = await _load(store)
    state = len(document.encode()) / 1e6
    assert document.text == keystrokes.texts[len(keystrokes.updates)]
    document.close()
    for position, text in keystrokes.texts.items():
        assert await text_at(store, PAPER, Position(position)) == text, f"position {position} has another text"
    await store.aclose()
    disk = _disk(folder) / 1e6
    kept = f"{size.packed_bytes / 1e6:.2f} MB of segments, {size.checkpoint_bytes / 1e6:.2f} MB of checkpoints"
    looked = f"{len(keystrokes.texts)} old positions rebuilt and compared"
    return [
        goal("paper", "log of 259,778 keystrokes on disk, the whole data directory", disk, "MB", 3.0, kept),
        goal("paper", "its live state", state, "MB", 0.5, looked),
        goal("paper", "loading it", loading, "ms", 50),
    ]


def _disk(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def _log(bench: Bench, store: SqliteStore, updates: Sequence[bytes]) -> None:
    """As many a commit as a busy room has, compacted when the policy says so."""
    row = Row(id=PAPER, project=PROJECT, path=Path("paper.tex"), created_by=AUTHOR)
    project = Project(id=PROJECT, name="paper", created_at=row.created_at, created_by=AUTHOR)
    await store.commit(changes=[CreateProject(project), CreateDocument(row)])
    start = time.perf_counter()
    for first in range(0, len(updates), AT_ONCE):
        entries = tuple(
            Entry(kind=EntryKind.UPDATE, actor=AUTHOR, payload=update, clients=(CLIENT,))
            for update in updates[first : first + AT_ONCE]
        )
        await store.commit([Append(document=PAPER, entries=entries)])
        size = await store.size(PAPER)
        if size is not None and due(size):
            await compact(store, PAPER)
    await compact(store, PAPER)
    bench.say(f"  paper: logged and packed in {time.perf_counter() - start:.1f} s")


async def _load(store: SqliteStore) -> Document:
    loaded = await store.load(PAPER)
    assert loaded is not None
    states = [loaded.checkpoint.state] if loaded.checkpoint else []
    updates = [logged.entry.payload for logged in loaded.entries if logged.entry.kind == EntryKind.UPDATE]
    return Document.load(CLIENT, [*states, *updates])


async def _loading(store: SqliteStore) -> float:
    """Milliseconds from the store to the text, median."""
    times = []
    for _ in range(LOADS):
        start = time.perf_counter()
        document = await _load(store)
        assert document.text
        times.append((time.perf_counter() - start) * 1000)
        document.close()
    return sorted(times)[LOADS // 2]
