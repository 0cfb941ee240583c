"""What every row needs: how many rounds, where to work, whom to tell, and servers to measure.

Servers run on one core and their load on the other, one server after another; a figure is the median over the rounds of
one run.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.pinned import LOAD_CORE, SERVER_CORE, on
from tests.harness.packages import node
from tests.harness.server import ServerProcess

PEERS = pathlib.Path(__file__).parent / "peers"
LOAD_WITHIN = 600.0


@dataclass
class Bench:
    rounds: int
    seconds: float
    folder: pathlib.Path
    traces: pathlib.Path
    say: Callable[[str], None] = field(default=lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201

    @contextmanager
    def quire(
        self, *, pinned: bool = True, data: pathlib.Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Iterator[ServerProcess]:
        """A server on fresh data, unless it is told which."""
        home = data or pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "data"
        with ServerProcess(home, environ=environ, prefix=on(SERVER_CORE) if pinned else ()) as server:
            yield server

    def load(self, script: str, **options: object) -> dict[str, Any]:
        """Runs a load generator to its end; the JSON line that it prints."""
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        done = subprocess.run(
            [*on(LOAD_CORE), str(node()), str(PEERS / script), *arguments],
            capture_output=True,
            text=True,
            timeout=LOAD_WITHIN,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


@contextmanager
def client(server: ServerProcess, project: str | None = "bench") -> Iterator[httpx.Client]:
    """A client of the API as root; `project` is made."""
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=120) as api:
        if project:
            api.post("/projects", json={"name": project}).raise_for_status()
        yield api


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000
