"""A process whose disk fills up and is cleared again. For test_sqlite: exit status 0 when the store behaved.

`python -m tests.collab.crowded_disk FOLDER`. The limit on file sizes does what a full disk does: writing fails.
"""

from __future__ import annotations

import asyncio
import pathlib
import resource
import sys

from collab.errors import LogFailed
from collab.ids import ActorId, DocumentId, Position
from collab.store.base import Append, Committed, Entry, Store
from collab.store.sqlite import open_store
from tests.collab.committer import begin, document

README = document(0)


def entry(payload: bytes) -> Append:
    return Append(document=README, entries=(Entry(kind=1, actor=ActorId("alice"), payload=payload),))


async def main(folder: pathlib.Path) -> None:
    store = await open_store(folder)
    await begin(store)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    acknowledged = []
    failed = 0
    for number in range(200):
        try:
            committed = await store.commit([entry(b"%d" % number + b"x" * 50_000)])
        except LogFailed:
            failed += 1
        else:
            acknowledged.append(number)
            assert committed.heads[README] == len(acknowledged)
    assert acknowledged, "nothing was committed while there was room"
    assert failed, "the limit was never reached"
    together = range(500, 510)
    answers = await asyncio.gather(
        *(store.commit([entry(b"%d" % number + b"x" * 50_000)]) for number in together), return_exceptions=True
    )
    # A checkpoint in between may have made room for some.
    for number, answer in zip(together, answers, strict=True):
        if isinstance(answer, Committed):
            acknowledged.append(number)
        else:
            assert isinstance(answer, LogFailed), answer
    assert await numbers(store, README) == acknowledged

    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    committed = await store.commit([entry(b"1000")])
    assert committed.heads[README] == len(acknowledged) + 1
    await store.aclose()

    store = await open_store(folder)
    assert await numbers(store, README) == [*acknowledged, 1000]
    await store.aclose()


async def numbers(store: Store, document: DocumentId) -> list[int]:
    entries = await store.entries(document, Position(0), Position(10**6))
    assert [logged.position for logged in entries] == list(range(1, len(entries) + 1))
    return [int(logged.entry.payload.rstrip(b"x")) for logged in entries]


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
