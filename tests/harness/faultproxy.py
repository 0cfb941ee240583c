"""A reverse proxy in front of the GitHub API server that does what the server does on its bad days.

A fault is a rule: which requests (method and a pattern of the path), which of them (`times`), and what happens instead of
simply passing them on. Every request that arrives is in `requests`, as `METHOD /tail`, without the repository's name.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.abc
import httpx
from anyio.streams.buffered import BufferedByteReceiveStream

HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"})


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Forward = Callable[[], Awaitable[Reply]]
Action = Callable[[Request, Forward], Awaitable[Reply | None]]
"""None: the connection is closed without an answer."""


@dataclass
class Rule:
    method: str
    pattern: re.Pattern[str]
    action: Action
    times: int
    skip: int
    hits: int = 0

    def takes(self, request: Request) -> bool:
        if request.method != self.method or not self.pattern.search(request.path) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True


@dataclass
class FaultProxy:
    url: str
    upstream: str
    client: httpx.AsyncClient
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    """Bytes of the bodies of requests, and of answers below."""
    received: int = 0
    rules: list[Rule] = field(default_factory=list)

    def on(self, method: str, pattern: str, action: Action, *, times: int = 1, skip: int = 0) -> Rule:
        """`times` -1: always. `skip`: that many pass first."""
        rule = Rule(method, re.compile(pattern), action, times, skip)
        self.rules.append(rule)
        return rule

    def clear(self) -> list[str]:
        """The requests so far; the count begins anew."""
        seen, self.requests = self.requests, []
        self.sent = self.received = 0
        return seen

    async def serve(self, stream: anyio.abc.ByteStream) -> None:
        async with stream:
            received = BufferedByteReceiveStream(stream)
            with contextlib.suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    request = await _read(received)
                    reply = await self._answer(request)
                    if reply is None:
                        return
                    self.received += len(reply.body)
                    await stream.send(_written(reply))

    async def _answer(self, request: Request) -> Reply | None:
        self.requests.append(f"{request.method} {_tail(request.path)}")
        self.sent += len(request.body)

        async def forward() -> Reply:
            headers = {name: value for name, value in request.headers.items() if name not in HOP}
            url = f"{self.upstream}{request.path}"
            answer = await self.client.request(request.method, url, headers=headers, content=request.body)
            kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in HOP}
            # The server counts for itself; what a test says of limits it says by a rule.
            return Reply(answer.status_code, {k: v for k, v in kept.items() if "ratelimit" not in k}, answer.content)

        for rule in self.rules:
            if rule.takes(request):
                return await rule.action(request, forward)
        return await forward()


@contextlib.asynccontextmanager
async def fault_proxy(upstream: str) -> AsyncIterator[FaultProxy]:
    async with (
        httpx.AsyncClient(timeout=30, trust_env=False) as client,
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as group,
    ):
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        proxy = FaultProxy(f"http://127.0.0.1:{port}", upstream, client)
        group.start_soon(listener.serve, proxy.serve)
        yield proxy
        group.cancel_scope.cancel()


# What can happen.


def status(code: int, body: Mapping[str, Any] | None = None, **headers: str) -> Action:
    """The request does not reach the server."""

    async def act(request: Request, forward: Forward) -> Reply:
        return reply(code, body or {"message": "Something happened"}, **headers)

    return act


def after(code: int) -> Action:
    """The server does it, and then says that it failed."""

    async def act(request: Request, forward: Forward) -> Reply:
        await forward()
        return reply(code, {"message": "Server Error"})

    return act


async def drop(request: Request, forward: Forward) -> None:
    """The request is lost."""


async def drop_answer(request: Request, forward: Forward) -> None:
    """The server does it, and the answer is lost."""
    await forward()


def delay(until: anyio.Event) -> Action:
    """The answer comes when `until` is set."""

    async def act(request: Request, forward: Forward) -> Reply:
        done = await forward()
        await until.wait()
        return done

    return act


def changed(change: Callable[[Any], Any], *, code: int | None = None, **headers: str) -> Action:
    """The server's answer, with another body."""

    async def act(request: Request, forward: Forward) -> Reply:
        done = await forward()
        return reply(code or done.status, change(done.json), **headers)

    return act


def then(first: Callable[[], Awaitable[None]], action: Action | None = None) -> Action:
    """Somebody does something just before the request arrives."""

    async def act(request: Request, forward: Forward) -> Reply | None:
        await first()
        return await (action(request, forward) if action is not None else forward())

    return act


def etags() -> Action:
    """Conditional requests, as GitHub has them."""

    async def act(request: Request, forward: Forward) -> Reply:
        done = await forward()
        if done.status != 200:
            return done
        etag = f'W/"{hash(done.body)}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(304, {"etag": etag}, b"")
        return Reply(done.status, {**done.headers, "etag": etag}, done.body)

    return act


def reply(code: int, body: Any, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(code, {"content-type": "application/json", **named}, json.dumps(body).encode())


async def _read(received: BufferedByteReceiveStream) -> Request:
    head = (await received.receive_until(b"\r\n\r\n", 64 << 10)).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await received.receive_exactly(length) if (length := int(headers.get("content-length", "0"))) else b""
    return Request(method, path, headers, body)


def _written(done: Reply) -> bytes:
    lines = [f"HTTP/1.1 {done.status} Status", *(f"{name}: {value}" for name, value in done.headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(done.body)}", "", ""]).encode("latin-1") + done.body


def _tail(path: str) -> str:
    return re.sub(r"^/repos/[^/]+/[^/?]+", "", path)
