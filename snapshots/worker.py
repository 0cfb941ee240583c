"""Reads a source in a process of its own, so that a large import never holds up anybody who types.

The process is spawned, never forked: it inherits no socket and no lock. Its stdin carries the request and then stays
open: when the parent dies, however it dies, stdin ends and so does the process. Its stdout carries the messages of
snapshots.sources, each behind its length; the pipe's own bound makes a fast reader wait for a slow importer.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import IO, Final

import anyio
import msgspec
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from collab import paths
from collab.errors import QuireError, Unavailable
from snapshots.sources import (
    Archive,
    Done,
    Failed,
    Folder,
    GitFolder,
    GitUrl,
    Message,
    Phase,
    Portable,
    Request,
    Uploads,
)

_LENGTH: Final = struct.Struct("<I")
_PACKAGES: Final = pathlib.Path(__file__).resolve().parent.parent
_START: Final = "import sys; sys.path.insert(0, sys.argv[1]); from snapshots.worker import main; main()"

PATIENCE: Final = 5.0
"""Seconds that a worker has to end by itself; then it is killed."""

ENDED: Final = 3
"""The exit status of a worker whose parent is gone."""


@contextlib.asynccontextmanager
async def reading(request: Request) -> AsyncIterator[AsyncIterator[Message]]:
    """The messages of a worker that reads `request`; the last one is `Done` or `Failed`. The worker is gone afterwards."""
    async with await anyio.open_process(
        [sys.executable, "-c", _START, str(_PACKAGES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
    ) as process:
        try:
            yield _messages(process, request)
        finally:
            with anyio.move_on_after(PATIENCE, shield=True):
                # Its stdin ends, and so it does.
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()


async def _messages(process: Process, request: Request) -> AsyncIterator[Message]:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(_frame(request))
    stream = BufferedByteReceiveStream(_Chunks(process.stdout))
    decoder = msgspec.msgpack.Decoder(Message)
    while True:
        try:
            (length,) = _LENGTH.unpack(await stream.receive_exactly(_LENGTH.size))
            content = await stream.receive_exactly(length)
        except (anyio.IncompleteRead, anyio.EndOfStream):
            status = await process.wait()
            raise Unavailable(f"the process that read the source ended with status {status}") from None
        message: Message = decoder.decode(content)
        yield message
        if isinstance(message, Done | Failed):
            return


class _Chunks(ByteReceiveStream):
    """Reads the pipe in large pieces, whatever the reader asks for."""

    def __init__(self, inner: ByteReceiveStream) -> None:
        self._inner = inner

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        return await self._inner.receive(max(max_bytes, 1 << 18))

    async def aclose(self) -> None:
        await self._inner.aclose()


def main() -> None:
    """The worker's own side."""
    requests, messages = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever prints goes to stderr and not between the messages.
    (length,) = _LENGTH.unpack(_exactly(requests, _LENGTH.size))
    request = msgspec.msgpack.decode(_exactly(requests, length), type=Request)
    threading.Thread(target=_end_with_parent, args=(requests,), daemon=True).start()

    def tell(message: Message) -> None:
        messages.write(_frame(message))
        messages.flush()

    try:
        outcome: Message = _read(request, tell)
    except QuireError as error:
        outcome = Failed(error.name, error.message, error.field)
    except BrokenPipeError:
        os._exit(ENDED)
    except OSError as error:
        outcome = Failed("unavailable", f"the source cannot be read: {error}", "source")
    except MemoryError:
        outcome = Failed("too_large", "the source needs more memory than there is", "source")
    tell(outcome)
    # The thread on stdin would wait for the parent; there is nothing left to do.
    os._exit(0)


def _read(request: Request, tell: Callable[[Message], None]) -> Done:
    # Only the worker needs the readers.
    from snapshots.readers import archive, folder, git, portable
    from snapshots.readers.batches import Batches

    source, bare, scratch = request.source, pathlib.Path(request.bare), pathlib.Path(request.scratch)
    batches = Batches(tell, request.limits, scratch)
    done = Done()
    match source:
        case GitFolder():
            done = git.read_folder(pathlib.Path(source.path), bare, batches)
        case GitUrl():
            done = git.read_url(source.url, bare, batches)
        case Folder():
            folder.read(pathlib.Path(source.path), batches)
        case Archive():
            done = archive.read(source, bare, scratch, batches)
        case Portable():
            portable.read(pathlib.Path(source.path), batches)
        case Uploads():
            tell(Phase("files", len(source.files)))
            for each in source.files:
                batches.add(paths.to_bytes(paths.check_new(each.name)), folder.FILE, each.content)
    batches.flush()
    return done


def _end_with_parent(requests: IO[bytes]) -> None:
    while requests.read(1):
        pass
    os._exit(ENDED)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        os._exit(ENDED)
    return content


def _frame(message: Message | Request) -> bytes:
    content = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(content)) + content
