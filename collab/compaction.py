"""When a document's log is worth a new checkpoint, and making one.

A checkpoint is stored only when it has been decoded again and is the same document: the same text, the same clocks, the
same encoding; and when nothing that the log holds is missing from it. The log itself is packed by the store, and stays.
"""

from __future__ import annotations

from typing import Final

from anyio import to_thread

from collab import gate
from collab.document import Document
from collab.errors import LogFailed
from collab.history import READER, updates
from collab.ids import DocumentId
from collab.store.base import Checkpoint, Loaded, LogSize, Store

ENOUGH: Final = 500
"""Fewer loose entries than this load at once."""
MANY: Final = 5_000
"""So many are packed whatever their weight: about 10 ms of a load."""
WEIGHT: Final = 32_000
"""Bytes of loose payloads below which a checkpoint does not pay; for large documents it is half of their checkpoint, so
that writing checkpoints costs no more than a small multiple of the log."""


def due(size: LogSize) -> bool:
    """Whether the document deserves a checkpoint while people work on it. PURE."""
    if size.loose >= MANY:
        return True
    return size.loose >= ENOUGH and size.loose_bytes >= max(WEIGHT, size.checkpoint_bytes // 2)


async def compact(store: Store, document: DocumentId) -> None:
    """Makes a checkpoint of the document as it stands and gives it to the store, which packs what lies before it.

    `Quarantined` when the log cannot be decoded; `LogFailed` when the checkpoint would not be the same document. Either
    way nothing has changed."""
    loaded = await store.load(document)
    if loaded is None or not loaded.entries:
        return
    state = await to_thread.run_sync(_state, document, loaded)
    await store.checkpoint(document, Checkpoint(loaded.position, state))


def _state(document: DocumentId, loaded: Loaded) -> bytes:
    """Runs in a worker thread, in which the documents are made and let go of."""
    original = Document.load(READER, updates(loaded))
    try:
        state = original.encode()
        copy = Document.load(READER, [state])
        try:
            _compare(document, original, copy, state)
        finally:
            copy.close()
        _find_missing(document, loaded, original)
    finally:
        original.close()
    return state


def _compare(document: DocumentId, original: Document, copy: Document, state: bytes) -> None:
    if copy.text != original.text:
        raise _unfaithful(document, "its text differs")
    if copy.clocks() != original.clocks():
        raise _unfaithful(document, "its clocks differ")
    if copy.encode() != state:
        raise _unfaithful(document, "it encodes differently")


def _find_missing(document: DocumentId, loaded: Loaded, original: Document) -> None:
    """What a document could not integrate it holds back, and its encoding lacks it."""
    clocks = original.clocks()
    for update in updates(loaded):
        for client, ranges in gate.walk(update).news.items():
            if ranges[-1][1] > clocks.get(client, 0):
                raise _unfaithful(document, f"it lacks entries of client {client}")


def _unfaithful(document: DocumentId, how: str) -> LogFailed:
    return LogFailed(f"a checkpoint of document {document} was not stored: {how}", code="checkpoint_unfaithful")
