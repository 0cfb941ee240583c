"""What a room, a connection and ten thousand closed documents cost in memory."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.bench import PEERS, Bench, client
from benchmarks.finding import Finding, goal, median, told
from benchmarks.imports import import_folder
from benchmarks.memory import resident
from benchmarks.pinned import LOAD_CORE, on
from benchmarks.text import prose
from tests.harness.packages import node
from tests.harness.server import ServerProcess

ROOMS = 300
CONNECTIONS = 1000
CLOSED = 10_000
SIZE = 10_000


def rooms(bench: Bench) -> Iterator[Finding]:
    """An open room with 10 kB of text and two peers."""
    costs = []
    for _ in range(bench.rounds):
        with bench.quire() as server, client(server) as api:
            names = [f"room-{number}.md" for number in range(ROOMS)]
            for number, name in enumerate(names):
                api.put(f"/projects/bench/files/{name}", content=prose(SIZE, number).encode()).raise_for_status()
            costs.append(_cost(server, names, 2) / ROOMS / 1000)
        bench.say(f"  rooms: {costs[-1]:.1f} kB each")
    note = "the connections of its two peers are in it"
    yield told("rooms", "memory of an open room, 10 kB of text and two peers", median(costs), "kB", note)


def connections(bench: Bench) -> Iterator[Finding]:
    """An idle connection to a room that is open."""
    costs = []
    for _ in range(bench.rounds):
        with bench.quire() as server, client(server) as api:
            api.put("/projects/bench/files/quiet.md", content=b"quiet\n").raise_for_status()
            with holding(server, ["quiet.md"], 1):
                costs.append(_cost(server, ["quiet.md"], CONNECTIONS) / CONNECTIONS / 1000)
        bench.say(f"  connections: {costs[-1]:.1f} kB each")
    yield goal("connections", "memory of an idle connection", median(costs), "kB", 25)


def closed(bench: Bench) -> Iterator[Finding]:
    """10,000 documents of which none is open, against the same server without any."""
    costs = []
    for _ in range(bench.rounds):
        home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        with bench.quire(data=home / "empty") as server, client(server):
            server.terminate()
            server.restart()
            empty = resident(server.pid)
        source = home / "many"
        for number in range(CLOSED):
            file = source / f"{number // 100:03}" / f"{number:05}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(prose(500, number))
        with bench.quire(data=home / "full") as server:
            import_folder(server, source, "bench")
            server.terminate()
            server.restart()
            costs.append((resident(server.pid) - empty) / 1e6)
        bench.say(f"  closed documents: {costs[-1]:.2f} MB for all {CLOSED:,}")
    # "None" within what one and the same process differs from start to start.
    yield goal("closed", "memory of 10,000 documents, none of them open", max(0.0, median(costs)), "MB", 2)


def _cost(server: ServerProcess, files: Sequence[str], peers: int) -> int:
    before = resident(server.pid)
    with holding(server, files, peers):
        return resident(server.pid) - before


@contextmanager
def holding(server: ServerProcess, files: Sequence[str], peers: int) -> Iterator[None]:
    """Idle peers while the block runs."""
    options = ["--url", f"{server.sync}/bench", "--token", server.token, "--peers", str(peers)]
    command = [*on(LOAD_CORE), str(node()), str(PEERS / "hold.mjs"), *options, "--files", ",".join(files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        assert said == f"ready {len(files) * peers}", f"the peers said {said!r}"
        yield
        assert process.stdin is not None
        process.stdin.close()
