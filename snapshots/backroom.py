"""Heavy work in a process that stays: asked one thing after the other, side by side, while there is something to do.

What it promises
1. What runs there holds up nobody who types: the processor is yielded to the server, and the interpreter is another one.
2. It is started when it is first asked, and ends when nobody has asked for a while: nothing is paid for what is not used.
3. When it dies, however it dies, whoever waits is told (`Unavailable`), and the next question starts another one. Nothing
   that it does needs it to end well: everything there can be begun again.
4. Whoever stops waiting stops the work.
5. Errors come back as they were raised there.

Questions and answers are pickled: both ends are this program, and nobody else is between them.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import IO, Any, Final, Self

import anyio
import structlog
from anyio import from_thread, to_thread
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from collab.errors import QuireError, Unavailable
from snapshots import child
from snapshots.child import Child

log = structlog.get_logger(__name__)

IDLE: Final = 120.0
"""Seconds without a question after which it ends."""
TAKE_BACK_WITHIN: Final = 1.0
"""Seconds for saying that nobody waits any more."""


class _Waiting:
    """A question that is being answered."""

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.value: Any = None
        self.error: Exception | None = None


class _Room:
    """One process, from its start to its end."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        self.process = process
        self.waiting: dict[int, _Waiting] = {}
        self.sending = anyio.Lock()
        self.closing = False
        self._stdin = process.stdin

    async def send(self, number: int, question: object) -> None:
        try:
            async with self.sending:
                await self._stdin.send(child.frame(pickle.dumps((number, question))))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _gone() from error

    async def end(self) -> None:
        """Its stdin ends, and so does it."""
        self.closing = True
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(child.PATIENCE) as patience:
                async with self.sending:
                    await self._stdin.aclose()
                await self.process.wait()
            if patience.cancelled_caught:
                self.process.kill()
                await self.process.wait()


class Backroom:
    """`module` has a `main` that answers (web/backroom.py); `first` is what it is told before any question. `async with`:
    at the end the process ends."""

    def __init__(self, module: str, first: object, *, idle: float = IDLE) -> None:
        self._module = module
        self._first = first
        self._idle = idle
        self._numbers = itertools.count(1)
        self._room: _Room | None = None
        self._starting = anyio.Lock()
        self._asked = anyio.Event()
        self._tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._room is not None:
            await self._room.end()
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    @property
    def process(self) -> int | None:
        """Its number, while there is one."""
        return None if self._room is None else self._room.process.pid

    async def ask(self, what: str, *arguments: object) -> Any:
        """The answer; `Unavailable` when the process ended before it was there."""
        number, waiting = next(self._numbers), _Waiting()
        room = await self._open()
        room.waiting[number] = waiting
        try:
            await room.send(number, (what, arguments))
            await waiting.answered.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(TAKE_BACK_WITHIN, shield=True):
                await self._take_back(room, number)
            raise
        finally:
            room.waiting.pop(number, None)
            self._asked.set()
        if waiting.error is not None:
            raise waiting.error
        return waiting.value

    async def _take_back(self, room: _Room, number: int) -> None:
        try:
            await room.send(number, None)
        except Unavailable:
            return  # it is gone, and with it the work

    async def _open(self) -> _Room:
        async with self._starting:
            if self._room is None or self._room.closing:
                room = _Room(await child.spawn(self._module))
                await room.send(0, self._first)
                self._room = room
                self._tasks.start_soon(self._listen, room)
                self._tasks.start_soon(self._end_when_idle, room)
            return self._room

    async def _listen(self, room: _Room) -> None:
        """Until the process ends."""
        async with room.process:
            stream = BufferedByteReceiveStream(Child(room.process))
            try:
                while True:
                    (length,) = child.LENGTH.unpack(await stream.receive_exactly(child.LENGTH.size))
                    number, value, error = pickle.loads(await stream.receive_exactly(length))
                    waiting = room.waiting.get(number)
                    if waiting is not None:
                        waiting.value, waiting.error = value, error
                        waiting.answered.set()
            except (anyio.IncompleteRead, anyio.EndOfStream):
                status = await room.process.wait()
        if self._room is room:
            self._room = None
        if not room.closing:
            log.warning("the process for heavy work ended", status=status)
        room.closing = True
        for waiting in room.waiting.values():
            waiting.error = _gone(status)
            waiting.answered.set()

    async def _end_when_idle(self, room: _Room) -> None:
        while not room.closing:
            self._asked = anyio.Event()
            with anyio.move_on_after(self._idle) as patience:
                await self._asked.wait()
            if patience.cancelled_caught and not room.waiting:
                async with self._starting:  # nobody is about to ask this one
                    if not room.waiting:
                        await room.end()


def _gone(status: int | None = None) -> Unavailable:
    with_status = "" if status is None else f" with status {status}"
    return Unavailable(f"the process for heavy work ended{with_status}; it is tried again in a new one")


# -- the process's own side --------------------------------------------------------------------------------------------


def answer(opened: Callable[[Any], AbstractAsyncContextManager[object]]) -> None:
    """Every question, by the methods of what `opened` gives for the first thing that was said. Until there are no more
    questions: then the process ends, whatever is under way."""
    requests, answers = child.begin_many()
    _, first = pickle.loads(next(requests))
    anyio.run(_answer, opened(first), requests, answers)


async def _answer(opened: AbstractAsyncContextManager[object], requests: Iterator[bytes], answers: IO[bytes]) -> None:
    async with opened as desk, anyio.create_task_group() as tasks:
        under_way: dict[int, anyio.CancelScope] = {}
        telling = anyio.Lock()

        async def do(number: int, what: str, arguments: tuple[object, ...]) -> None:
            value, failure = None, None
            with under_way[number]:
                try:
                    value = await getattr(desk, what)(*arguments)
                except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                    failure = error
            if not under_way.pop(number).cancelled_caught:
                async with telling:
                    await to_thread.run_sync(_tell, answers, number, value, failure)

        def take(number: int, question: tuple[str, tuple[object, ...]] | None) -> None:
            if question is not None:
                under_way[number] = anyio.CancelScope()
                tasks.start_soon(do, number, *question)
            elif number in under_way:
                under_way[number].cancel()

        def listen() -> None:
            for content in requests:
                from_thread.run_sync(take, *pickle.loads(content))

        await to_thread.run_sync(listen)


def _tell(answers: IO[bytes], number: int, value: object, error: Exception | None) -> None:
    """What cannot be sent as it is, is said."""
    kept = error if error is None or isinstance(error, QuireError) else Unavailable(f"heavy work failed: {error!r}")
    try:
        content = pickle.dumps((number, value, kept))
        pickle.loads(content)
    except Exception as trouble:  # noqa: BLE001 - whoever waits is told, whatever it is
        content = pickle.dumps((number, None, Unavailable(f"heavy work has no answer that can be sent: {trouble!r}")))
    answers.write(child.frame(content))
    answers.flush()
