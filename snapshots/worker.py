"""Reads a source in a process of its own, so that a large import never holds up anybody who types.

The process (snapshots.child) answers with the messages of snapshots.sources, each behind its length.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from collab import paths
from collab.errors import QuireError, Unavailable
from snapshots import child
from snapshots.child import LENGTH, Child
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
    Tarball,
    Uploads,
)


@contextlib.asynccontextmanager
async def reading(request: Request) -> AsyncIterator[AsyncIterator[Message]]:
    """The messages of a worker that reads `request`; the last one is `Done` or `Failed`. The worker is gone afterwards."""
    async with child.running("snapshots.worker", msgspec.msgpack.encode(request)) as worker:
        yield _messages(worker)


async def messages_of(request: Request) -> AsyncGenerator[Message]:
    """The same, for whoever reads to the end or closes it."""
    async with reading(request) as messages:
        async for message in messages:
            yield message


async def _messages(worker: Child) -> AsyncIterator[Message]:
    stream = BufferedByteReceiveStream(worker)
    decoder = msgspec.msgpack.Decoder(Message)
    while True:
        try:
            (length,) = LENGTH.unpack(await stream.receive_exactly(LENGTH.size))
            content = await stream.receive_exactly(length)
        except (anyio.IncompleteRead, anyio.EndOfStream):
            status = await worker.wait()
            raise Unavailable(f"the process that read the source ended with status {status}") from None
        message: Message = decoder.decode(content)
        yield message
        if isinstance(message, Done | Failed):
            return


def main() -> None:
    """The worker's own side."""
    content, messages = child.begin()
    request = msgspec.msgpack.decode(content, type=Request)

    def tell(message: Message) -> None:
        messages.write(child.frame(msgspec.msgpack.encode(message)))
        messages.flush()

    try:
        outcome: Message = _read(request, tell)
    except QuireError as error:
        outcome = Failed(error.name, error.message, error.field)
    except BrokenPipeError:
        child.end(child.ENDED)
    except OSError as error:
        outcome = Failed("unavailable", f"the source cannot be read: {error}", "source")
    except MemoryError:
        outcome = Failed("too_large", "the source needs more memory than there is", "source")
    tell(outcome)
    child.end()


def _read(request: Request, tell: Callable[[Message], None]) -> Done:
    # Only the worker needs the readers.
    from snapshots.readers import archive, folder, git, portable, tarball
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
        case Tarball():
            done = tarball.read(source, batches)
        case Uploads():
            tell(Phase("files", len(source.files)))
            for each in source.files:
                batches.add(paths.to_bytes(paths.check_new(each.name)), folder.FILE, each.content)
    batches.flush()
    return done
