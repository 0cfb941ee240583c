"""Runs the application with uvicorn, from bound socket to exit status.

What it promises
1. The port is bound before anything is opened: a port in use is said at once, and by its number.
2. `server.json` in the data directory (readable by its owner alone) names the address, a token for commands on this
   machine, and the process, from the moment the server answers until it ends.
3. SIGTERM and SIGINT end it in order, with status 0: nothing new is taken (503, 1012), streams and sockets are closed
   (1012), the log is drained, a last snapshot is made within the deadline, the store is closed. A second SIGINT is at once.

Choices that were measured: uvloop and httptools; `websockets-sansio`, which needs the fewest steps per frame; no
compression of frames, because edits are small and fan out; a thread switch interval of one millisecond, so that the
writer's thread does not make the event loop wait for five.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import msgspec
import uvicorn

from collab.errors import QuireError, Unavailable
from collab.protocol import MESSAGE_LIMIT
from web.app import create_app
from web.observability import configure_logging
from web.private import write_private
from web.services import Services
from web.settings import Settings

SWITCH_INTERVAL: Final = 0.001
GC_THRESHOLDS: Final = (50_000, 20, 100)
"""Of the cycle collector: a full collection stops everybody for tens of milliseconds, and little of ours is in cycles."""
BACKLOG: Final = 2048
WS_MAX_SIZE: Final = 2 * MESSAGE_LIMIT
"""Bytes of one message: beyond, the connection ends with 1009, which stock peers try again for ever. So it is more than
the protocol's own limit, beyond which they are told 4413."""
WS_QUEUE: Final = 32
PING_EVERY: Final = 20.0
PING_TIMEOUT: Final = 20.0
KEEP_ALIVE: Final = 65
"""Seconds: longer than the minute after which common proxies drop an idle connection."""
REQUESTS_WITHIN: Final = 5
"""Seconds that requests have to end when the server stops."""


class PortTaken(Unavailable):
    code = "port_taken"


class Running(msgspec.Struct):
    """What `server.json` holds."""

    url: str
    token: str
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Told once, when the server answers. `local_url` works on this machine, `url` is for people."""

    url: str
    local_url: str
    login_url: str
    data: pathlib.Path


def run(settings: Settings, *, ready: Callable[[Ready], None] | None = None) -> None:
    """Serves until it is told to stop. Prints nothing; `ready` is called from within the event loop."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(*GC_THRESHOLDS)
    configure_logging(settings)
    with contextlib.closing(bind(settings.host, settings.port)) as listening:
        make_data(settings.data)
        app = create_app(settings)
        server = Server(_config(app, settings), listening, settings, ready)
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listening]))
    if server.failed:
        raise server.failed


def make_data(data: pathlib.Path) -> None:
    """The data directory, for its owner alone; `Unavailable` where it cannot be, or cannot be written to."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the data directory {data} cannot be made ({error.strerror}); --data or QUIRE_DATA names another"
        ) from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise Unavailable(f"the data directory {data} cannot be written to; --data or QUIRE_DATA names another")


def bind(host: str, port: int) -> socket.socket:
    """A socket that restarts can bind again at once, that no child inherits, and that does not listen yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        family = address[0]
    except socket.gaierror as error:
        raise Unavailable(f"there is no address {host!r} to listen at ({error.strerror}); set QUIRE_HOST") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address[4])
    except OSError as error:
        listening.close()
        raise PortTaken(
            f"port {port} of {host} cannot be had ({error.strerror}): stop what listens there, or choose another port"
        ) from error
    listening.set_inheritable(False)
    return listening


def local_url(listening: socket.socket) -> str:
    """How this machine reaches what listens there."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=WS_MAX_SIZE,
        ws_max_queue=WS_QUEUE,
        ws_ping_interval=PING_EVERY,
        ws_ping_timeout=PING_TIMEOUT,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, min(REQUESTS_WITHIN, int(settings.shutdown_timeout / 2))),
    )


class Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        settings: Settings,
        ready: Callable[[Ready], None] | None,
    ) -> None:
        super().__init__(config)
        self._listening, self._settings, self._ready = listening, settings, ready
        self._file = settings.data / "server.json"
        self.failed: BaseException | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn logs the traceback of whatever failed at the start; what we raised on purpose is said in one line.
        logging.getLogger("uvicorn.error").addFilter(lambda _: not isinstance(self._app.state.failure, QuireError))
        try:
            await super().startup(sockets=sockets)
        except SystemExit:
            self.failed = self._app.state.failure or Unavailable("the server could not start; its log says why")
            self.should_exit = True
            return
        services: Services = self._app.state.services
        here = local_url(self._listening)
        write_private(
            self._file, msgspec.json.encode(Running(here, services.identity.local_token, os.getpid())).decode()
        )
        if self._ready is not None:
            url = self._settings.public_url or here
            login = f"{url}/login?code={services.identity.login_code()}"
            self._ready(Ready(url, here, login, self._settings.data))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.services.closing.set()
        try:
            await super().shutdown(sockets=sockets)
        finally:
            self._forget()

    @property
    def _app(self) -> Any:
        return self.config.app

    def _forget(self) -> None:
        """Removes `server.json`, unless another server wrote it meanwhile."""
        try:
            running = msgspec.json.decode(self._file.read_bytes(), type=Running)
        except FileNotFoundError:
            return
        if running.pid == os.getpid():
            self._file.unlink()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does it, but the signal is not raised again at the end: an orderly stop is a success."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
