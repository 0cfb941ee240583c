"""A real `quire serve` in a process of its own, which tests may kill.

Promises: `start` returns when `/readyz` says yes; `kill` is SIGKILL to the server alone (its workers must find their own
end); `restart` uses the same port and data at once; everything the server said stands in `log`, and goes into the error when
it does not come up. A process that a test leaves behind is ended in `close`.
"""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
import psutil

QUIRE = pathlib.Path(sys.executable).parent / "quire"
ROOT_TOKEN = "root-token-of-the-tests"
READY_WITHIN = 30.0
STOPPED_WITHIN = 30.0


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    def __init__(
        self,
        data: pathlib.Path,
        *,
        port: int | None = None,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
        prefix: Sequence[str] = (),
        probe: str = "/readyz",
    ) -> None:
        """`prefix` goes before the command (`taskset -c 0`), `command` replaces `quire serve`."""
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sync = f"ws://127.0.0.1:{self.port}/sync"
        self.token = ROOT_TOKEN
        self.probe = probe
        self.logfile = data.parent / f"{data.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [*prefix, *(command or self._serve())]
        self._environ = {**os.environ, "QUIRE_ROOT_TOKEN": ROOT_TOKEN, **(environ or {})}

    def _serve(self) -> list[str]:
        return [str(QUIRE), "serve", "--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data)]

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self.logfile.read_text(errors="replace") if self.logfile.exists() else ""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def start(self) -> Self:
        self.spawn()
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Starts the process and does not wait."""
        assert not self.alive, "the server runs already"
        with self.logfile.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self._environ
            )

    def wait_ready(self, seconds: float = READY_WITHIN) -> None:
        deadline = time.monotonic() + seconds
        while not self.ready():
            if not self.alive:
                raise AssertionError(f"the server ended with {self._running().returncode}:\n{self.log[-8000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the server was not ready within {seconds:g} s:\n{self.log[-8000:]}")
            time.sleep(0.01)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}{self.probe}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """The power goes: SIGKILL, no good-bye."""
        process = self._running()
        process.send_signal(signal.SIGKILL)
        process.wait(STOPPED_WITHIN)

    def restart(self) -> None:
        """At once, on the same port and data."""
        self.start()

    def terminate(self) -> None:
        """SIGTERM: an orderly end with status 0."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOPPED_WITHIN)
        assert status == 0, f"SIGTERM ended the server with {status}:\n{self.log[-8000:]}"

    def children(self) -> list[psutil.Process]:
        """The worker processes that live now."""
        return list(psutil.Process(self.pid).children(recursive=True))

    def memory(self) -> int:
        """Resident bytes of the server and its workers."""
        main = psutil.Process(self.pid)
        return sum(_resident(process) for process in (main, *main.children(recursive=True)))

    def close(self) -> None:
        """Ends whatever is left."""
        if self.process is None or self.process.poll() is not None:
            return
        for process in (*self.children(), psutil.Process(self.pid)):
            _end(process)
        self.process.wait(STOPPED_WITHIN)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "the server was never started"
        return self.process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
