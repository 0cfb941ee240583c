"""Every file of a project at one moment, brought up to the next moment a file at a time. PURE.

A file is encoded once, when it is put; the manifest of ten thousand files is then made by joining them. What it costs to
bring a cut up to date follows what changed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from collab import paths
from collab.ids import BlobSha, DocumentId
from snapshots.manifest import File

Place = tuple[bytes, DocumentId]
"""Where a file stands in the order of paths, bytewise as git's."""


class Cut:
    def __init__(self, files: Iterable[File] = ()) -> None:
        self._files: dict[DocumentId, File] = {}
        self._encoded: dict[DocumentId, msgspec.Raw] = {}
        self._order: list[Place] = []
        self._shas: Counter[BlobSha] = Counter()
        for file in files:
            self._hold(file)
            self._order.append(_place(file))
        self._order.sort()

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[File]:
        """In the order of paths."""
        return (self._files[document] for _, document in self._order)

    def get(self, document: DocumentId) -> File | None:
        return self._files.get(document)

    def documents(self) -> set[DocumentId]:
        return set(self._files)

    def names(self, sha: BlobSha) -> bool:
        """Whether a file here has this content."""
        return sha in self._shas

    def put(self, file: File) -> File | None:
        """What stood for its document before."""
        before = self._files.get(file.document)
        if before is None:
            insort(self._order, _place(file))
        elif before.path != file.path:
            self._leave(before)
            insort(self._order, _place(file))
        if before is not None:
            self._let_go(before)
        self._hold(file)
        return before

    def drop(self, document: DocumentId) -> File | None:
        """What stood for it, if anything did."""
        before = self._files.get(document)
        if before is not None:
            self._leave(before)
            self._let_go(before)
        return before

    def encoded(self) -> list[msgspec.Raw]:
        """The files as a manifest lists them."""
        return [self._encoded[document] for _, document in self._order]

    def _hold(self, file: File) -> None:
        self._files[file.document] = file
        self._encoded[file.document] = msgspec.Raw(msgspec.json.encode(file))
        self._shas[file.sha] += 1

    def _let_go(self, file: File) -> None:
        del self._files[file.document], self._encoded[file.document]
        self._shas[file.sha] -= 1
        if not self._shas[file.sha]:
            del self._shas[file.sha]

    def _leave(self, file: File) -> None:
        del self._order[bisect_left(self._order, _place(file))]


def _place(file: File) -> Place:
    return paths.to_bytes(paths.parse(file.path)), file.document
