"""Where a push lies until it counts: in a folder of the repository beside its objects, seen by nobody. ADAPTER.

What it promises
1. The repository holds nothing of a push before `keep`: of what was refused, or cut short, not a byte gets there.
2. `keep` makes everything of it durable before it returns, and moves no ref.
3. It is gone when it is left (`aclose`); what a process that died left here is swept away when the repository is next
   opened (snapshots.remotes.local).
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import IO, Final, Self

import anyio
import anyio.to_thread
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream
from dulwich.object_store import DiskObjectStore

from collab.errors import Unavailable
from collab.ids import BlobSha, Path, fresh
from snapshots import child
from snapshots.child import LENGTH
from snapshots.packs.entries import Kind
from snapshots.packs.refs import Update
from snapshots.packs.verdict import RECEIVED, Asked, Progress, PushLimits, Question, Verdict
from snapshots.remotes import local
from snapshots.remotes.base import CommitSha, TreeEntry
from snapshots.remotes.local import BATCH_BYTES, QUARANTINE, sync_directory
from snapshots.serving import Repository

SMALL_OBJECTS: Final = 100
SMALL_BYTES: Final = 1 << 20
"""A pack up to both becomes loose objects, as in git, which are packed together when many have piled up."""

_ORDER: Final = (Kind.BLOB, Kind.TREE, Kind.COMMIT, Kind.TAG)
"""What is named comes before what names it: what is there is whole, whenever the power goes."""

WITHIN: Final = 1800.0
"""Seconds that judging may take."""


class Quarantine:
    """Of one push into `remote`. It follows the repository when that gets another place meanwhile."""

    def __init__(self, remote: Repository) -> None:
        self._remote = remote
        self._name = fresh()
        self._file: IO[bytes] | None = None

    @property
    def folder(self) -> pathlib.Path:
        return self._remote.path / QUARANTINE / self._name

    @classmethod
    async def begin(cls, remote: Repository) -> Self:
        made = cls(remote)
        await anyio.to_thread.run_sync(made._begin)
        return made

    async def write(self, piece: bytes) -> None:
        """More of the pack, as it comes."""
        if self._file is None:
            self._file = await anyio.to_thread.run_sync(lambda: (self.folder / RECEIVED).open("xb"))
        await anyio.to_thread.run_sync(self._file.write, piece)

    async def judge(self, updates: Iterable[Update], limits: PushLimits, told: Callable[[Progress], object]) -> Verdict:
        """What is to be thought of the pack, and of each ref that it would move."""
        await anyio.to_thread.run_sync(self._close)
        question = Question(
            repository=str(self._remote.path),
            folder=f"{QUARANTINE}/{self._name}",
            refs=[Asked(each.ref, each.old, each.new) for each in updates],
            limits=limits,
        )
        try:
            with anyio.fail_after(WITHIN):
                return await _asked(question, told)
        except TimeoutError:
            return Verdict(refused=f"it could not be checked within {WITHIN / 60:.0f} minutes: push in smaller steps")

    async def keep(self) -> None:
        """What was pushed is the repository's from now on."""
        async with self._remote.held():
            await anyio.to_thread.run_sync(self._keep)

    async def tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        return await anyio.to_thread.run_sync(self._tree, commit)

    async def blobs(self, shas: Sequence[BlobSha]) -> AsyncIterator[tuple[BlobSha, bytes]]:
        for sha in shas:
            yield sha, await anyio.to_thread.run_sync(self._blob, sha)

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._end)

    # What follows runs in worker threads.

    def _begin(self) -> None:
        (self.folder / "info").mkdir(parents=True)
        (self.folder / "info" / "alternates").write_text("../../objects\n")

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _end(self) -> None:
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tree(self, commit: CommitSha) -> Mapping[Path, TreeEntry]:
        with contextlib.closing(DiskObjectStore(str(self.folder))) as store:
            return local.tree_in(store, commit)

    def _blob(self, sha: BlobSha) -> bytes:
        with contextlib.closing(DiskObjectStore(str(self.folder))) as store:
            return local.raw_in(store, sha)

    def _keep(self) -> None:
        objects = self._remote.path / "objects"
        for pack in sorted((self.folder / "pack").glob("*.pack")):
            if not self._explode(pack, objects):
                # A pack counts from when its index is there.
                pack.rename(objects / "pack" / pack.name)
                index = pack.with_suffix(".idx")
                index.rename(objects / "pack" / index.name)
        sync_directory(objects / "pack")

    def _explode(self, pack: pathlib.Path, objects: pathlib.Path) -> bool:
        if pack.stat().st_size > SMALL_BYTES:
            return False
        own = DiskObjectStore(str(self.folder))
        store = DiskObjectStore(str(objects), fsync_object_files=True)
        with contextlib.closing(own), contextlib.closing(store):
            shas = [sha for each in own.packs for sha in each]
            if len(shas) > SMALL_OBJECTS:
                return False
            batch, held = [], 0
            for sha in sorted(shas, key=lambda each: _ORDER.index(own.get_raw(each)[0])):
                batch.append(own[sha])
                held += batch[-1].raw_length()
                if held >= BATCH_BYTES:
                    local.write(store, batch)
                    batch, held = [], 0
            local.write(store, batch)
        return True


async def _asked(question: Question, told: Callable[[Progress], object]) -> Verdict:
    decoder = msgspec.msgpack.Decoder(Progress | Verdict)
    async with child.running("snapshots.packs.judging", msgspec.msgpack.encode(question)) as process:
        stream = BufferedByteReceiveStream(process)
        while True:
            try:
                (length,) = LENGTH.unpack(await stream.receive_exactly(LENGTH.size))
                message = decoder.decode(await stream.receive_exactly(length))
            except (anyio.IncompleteRead, anyio.EndOfStream):
                status = await process.wait()
                raise Unavailable(f"the process that checks pushes ended with status {status}") from None
            if isinstance(message, Verdict):
                return message
            told(message)
