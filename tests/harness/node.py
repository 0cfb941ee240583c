"""Stock Yjs peers in a Node process of their own (`tests/interop/node/peers.mjs`), driven from here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.streams.text import TextReceiveStream

from tests.harness.server import ServerProcess
from tests.interop.node_env import ensure_node_modules, node_command

PATIENCE = 60.0
"""Seconds; the script itself gives up on a condition earlier, and says why."""


class StockPeers:
    """Made by `stock_peers`. A command that fails there raises AssertionError here."""

    def __init__(self, stdin: ByteSendStream) -> None:
        self._stdin = stdin
        self._numbers = count(1)
        self._answers: dict[int, tuple[anyio.Event, dict[str, Any]]] = {}

    async def do(self, command: str, who: str, **options: Any) -> Any:
        """What the script answers."""
        number = next(self._numbers)
        done, answer = self._answers[number] = (anyio.Event(), {})
        line = json.dumps({"n": number, "do": command, "who": who, **options}) + "\n"
        await self._stdin.send(line.encode())
        with anyio.fail_after(PATIENCE):
            await done.wait()
        assert "error" not in answer, f"{who}, {command}: {answer['error']}"
        return answer["value"]

    async def join(self, who: str, server: ServerProcess, room: str, **options: Any) -> int:
        """A stock provider that is in step with the server; its client id."""
        client: int = await self.do("join", who, **address(server, room, **options))
        return client

    async def knock(self, who: str, server: ServerProcess, room: str, **options: Any) -> None:
        """A stock provider, whatever becomes of it."""
        await self.do("knock", who, **address(server, room, **options))

    async def _listen(self, stdout: ByteReceiveStream) -> None:
        rest = ""
        async for chunk in TextReceiveStream(stdout):
            *lines, rest = (rest + chunk).split("\n")
            for line in lines:
                message = json.loads(line)
                done, answer = self._answers.pop(message["n"])
                answer.update(message)
                done.set()


def address(server: ServerProcess, room: str, **options: Any) -> dict[str, Any]:
    """What `new WebsocketProvider` needs; with the root's token unless `params` has another."""
    params = {"token": server.token, **options.pop("params", {})}
    return {"url": server.sync, "room": room, "params": params, **options}


@asynccontextmanager
async def stock_peers() -> AsyncIterator[StockPeers]:
    await anyio.to_thread.run_sync(ensure_node_modules)
    process = await anyio.open_process(node_command("peers.mjs"), stderr=None)
    async with process, anyio.create_task_group() as tasks:
        assert process.stdin is not None
        assert process.stdout is not None
        peers = StockPeers(process.stdin)
        tasks.start_soon(peers._listen, process.stdout)
        yield peers
        process.kill()
        tasks.cancel_scope.cancel()
