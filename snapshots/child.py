"""A process of its own for heavy work, so that it never holds up anybody who types.

It is spawned, never forked: it inherits no socket and no lock, and yields to the server when both want a processor. Its
stdin carries one request, or one after the other, and then stays open: when the parent dies, however it dies, stdin ends and
so does the process. Its stdout is the answer; the pipe's own bound makes it wait for a slow reader.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import IO, Final, NoReturn

import anyio
from anyio.abc import ByteReceiveStream, Process

LENGTH: Final = struct.Struct("<I")
ENDED: Final = 3
"""The exit status of a process whose parent is gone."""

PATIENCE: Final = 5.0
"""Seconds that it has to end by itself; then it is killed."""

READ: Final = 1 << 18
"""Bytes of the answer that are read at once."""

BUFFER: Final = 1 << 16
NICE: Final = 5

_PACKAGES: Final = pathlib.Path(__file__).resolve().parent.parent
_START: Final = "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module; import_module(sys.argv[2]).main()"


class Child(ByteReceiveStream):
    """What it answers, in large pieces, whatever the reader asks for."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process, self._output = process, process.stdout

    async def receive(self, max_bytes: int = READ) -> bytes:
        return await self._output.receive(max(max_bytes, READ))

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await self._process.wait()

    async def aclose(self) -> None:
        await self._output.aclose()


async def spawn(module: str) -> Process:
    """`module.main()`, in a process that is the caller's to end."""
    return await anyio.open_process(
        [sys.executable, "-c", _START, str(_PACKAGES), module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
    )


@contextlib.asynccontextmanager
async def running(module: str, request: bytes) -> AsyncIterator[Child]:
    """`module.main()` with `request`, in a process that is gone afterwards."""
    async with await spawn(module) as process:
        assert process.stdin is not None
        try:
            await process.stdin.send(frame(request))
            yield Child(process)
        finally:
            with anyio.move_on_after(PATIENCE, shield=True):
                # Its stdin ends, and so it does.
                await process.stdin.aclose()
                await process.wait()


def frame(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content


# -- the process's own side --------------------------------------------------------------------------------------------


def begin() -> tuple[bytes, IO[bytes]]:
    """The request, and where the answer goes. Whatever else prints goes to stderr."""
    requests, answer = _opened()
    request = _request(requests)
    threading.Thread(target=_end_with_parent, args=(requests,), daemon=True).start()
    return request, answer


def begin_many() -> tuple[Iterator[bytes], IO[bytes]]:
    """The requests, one after the other; when there are no more, the process ends. Ctrl-C is the parent's business: it may
    still want something at its own end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answer = _opened()

    def each() -> Iterator[bytes]:
        while True:
            yield _request(requests)

    return each(), answer


def end(status: int = 0) -> NoReturn:
    """At once: the thread on stdin would wait for the parent."""
    os._exit(status)


def _opened() -> tuple[IO[bytes], IO[bytes]]:
    requests, answer = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", BUFFER)
    os.dup2(2, 1)
    os.nice(NICE)
    return requests, answer


def _request(requests: IO[bytes]) -> bytes:
    (length,) = LENGTH.unpack(_exactly(requests, LENGTH.size))
    return _exactly(requests, length)


def _end_with_parent(requests: IO[bytes]) -> None:
    while requests.read(1):
        pass
    os._exit(ENDED)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        os._exit(ENDED)
    return content
