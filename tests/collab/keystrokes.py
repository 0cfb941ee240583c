"""Recorded keystrokes as Yjs updates, one each."""

from __future__ import annotations

import functools
import gzip
import json
import pathlib
from dataclasses import dataclass
from typing import Final

import pycrdt

DATA: Final = pathlib.Path(__file__).resolve().parent.parent / "data" / "keystrokes"
CLIENT: Final = 123_456_789


@dataclass(frozen=True)
class Recording:
    updates: tuple[bytes, ...]
    text: str
    """What they make."""


@functools.cache
def recording(name: str = "automerge-paper-20000", *, limit: int | None = None) -> Recording:
    """The recording, or its first `limit` keystrokes. It is ASCII: positions are bytes as well."""
    trace = json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))
    patches = [patch for txn in trace["txns"] for patch in txn["patches"]][:limit]
    made: list[bytes] = []
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=CLIENT)
    text = doc.get("content", type=pycrdt.Text)
    watching = doc.observe(lambda event: made.append(event.update))
    for position, deleted, inserted in patches:
        with doc.transaction():
            if deleted:
                del text[position : position + deleted]
            if inserted:
                text.insert(position, inserted)
    doc.unobserve(watching)
    assert limit is not None or str(text) == trace["endContent"]
    return Recording(tuple(made), str(text))
