"""A document as it was at a position of its log.

Text comes from the nearest checkpoint and the updates after it; what else there is to a file (path, kind, mode, line
ending, BOM) from the metadata entries, of which the first carries everything and each later one what it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from anyio import to_thread

from collab.document import Document
from collab.errors import NotFound, PathInvalid, Quarantined
from collab.ids import BlobSha, ClientId, DocumentId, Path, Position
from collab.paths import parse
from collab.store.base import DocumentKind, EntryKind, LineEnding, Loaded, Store

READER: Final = ClientId(2**53 - 2**32 - 1)
"""The client id of documents that are only read. Nothing is ever written under it."""

HERE: Final = 64_000
"""Bytes of updates that are decoded in the event loop; more go to a worker thread, so that others get their turn."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What a file was, apart from its text."""

    path: Path
    kind: DocumentKind = "text"
    mode: int = 0o100644
    eol: LineEnding = "lf"
    bom: bool = False
    object: BlobSha | None = None
    deleted: bool = False


def updates(loaded: Loaded) -> Iterator[bytes]:
    """The Yjs updates that make the document, in order. Entries of other kinds are none."""
    if loaded.checkpoint is not None:
        yield loaded.checkpoint.state
    for logged in loaded.entries:
        if logged.entry.kind == EntryKind.UPDATE:
            yield logged.entry.payload


def rebuild(loaded: Loaded) -> Document:
    """The document, to read from, in the thread that calls; whoever gets it closes it. `Quarantined` when it cannot be
    decoded."""
    return Document.load(READER, updates(loaded))


def text(loaded: Loaded) -> str:
    document = rebuild(loaded)
    try:
        return document.text
    finally:
        document.close()


async def document_at(store: Store, document: DocumentId, position: Position) -> Document:
    """As `rebuild`. `NotFound` when there is no such document, `Invalid` when the position lies beyond its head."""
    return rebuild(await _load(store, document, position))


async def text_at(store: Store, document: DocumentId, position: Position) -> str:
    """The text at a position, LF and without BOM as the document holds it. Errors as `document_at`."""
    loaded = await _load(store, document, position)
    if sum(map(len, updates(loaded))) <= HERE:
        return text(loaded)
    return await to_thread.run_sync(text, loaded)


async def meta_at(store: Store, document: DocumentId, position: Position) -> Meta:
    """`NotFound` when the document did not exist yet; `Quarantined` when its metadata cannot be read."""
    entries = await store.entries(document, Position(0), position, kind=EntryKind.META)
    if not entries:
        raise NotFound(f"document {document} did not exist at position {position}", field="at")
    fields: dict[str, object] = {}
    for logged in entries:
        fields |= _decode(document, logged.entry.payload)
    try:
        shown = msgspec.convert(fields, Meta)
        return msgspec.structs.replace(shown, path=parse(shown.path))
    except (msgspec.ValidationError, PathInvalid) as error:
        raise Quarantined(f"the metadata of document {document} cannot be read: {error}") from error


def _decode(document: DocumentId, payload: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(payload, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise Quarantined(f"the metadata of document {document} cannot be read: {error}") from error


async def _load(store: Store, document: DocumentId, position: Position) -> Loaded:
    loaded = await store.load(document, position)
    if loaded is None:
        raise NotFound(f"there is no document {document}")
    return loaded
