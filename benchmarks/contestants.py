"""The peers' servers, each in its fastest form: nothing is kept on disk."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.bench import PEERS
from benchmarks.pinned import SERVER_CORE, on
from tests.harness.packages import node
from tests.harness.server import free_port

UP_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Contestant:
    name: str
    script: str
    dialect: str

    @contextmanager
    def serving(self, folder: pathlib.Path) -> Iterator[str]:
        """Its WebSocket URL while it runs."""
        port = free_port()
        program = sys.executable if self.script.endswith(".py") else str(node())
        command = [*on(SERVER_CORE), program, str(PEERS / self.script), str(port)]
        with (folder / f"{self.name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, port)
            yield f"ws://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


Y_WEBSOCKET = Contestant("y-websocket", "y-websocket.mjs", "y")
HOCUSPOCUS = Contestant("Hocuspocus", "hocuspocus.mjs", "hocuspocus")
PYCRDT_WEBSOCKET = Contestant("pycrdt-websocket", "pycrdt_websocket.py", "y")


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not listen")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
