"""Reading a hundred files in one request, and listing ten thousand."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

from benchmarks.bench import Bench, client, milliseconds
from benchmarks.finding import Finding, goal, median
from benchmarks.imports import import_folder
from benchmarks.text import prose

REPEATS = 15


def read(bench: Bench) -> Iterator[Finding]:
    """`POST /read` with 100 paths of 10 kB each: the first time and from then on."""
    first, again = [], []
    for _ in range(bench.rounds):
        with bench.quire() as server, client(server) as api:
            names = [f"read-{number}.md" for number in range(100)]
            for number, name in enumerate(names):
                api.put(f"/projects/bench/files/{name}", content=prose(10_000, number).encode()).raise_for_status()
            server.terminate()
            server.restart()
            body = {"paths": names}

            def ask() -> None:
                reply = api.post("/projects/bench/read", json=body).raise_for_status()  # noqa: B023
                assert len(reply.json()["files"]) == len(names)  # noqa: B023

            first.append(milliseconds(ask))
            again.append(median([milliseconds(ask) for _ in range(REPEATS)]))
        bench.say(f"  read: first {first[-1]:.1f} ms, then {again[-1]:.1f} ms")
    yield goal("read", "100 files of 10 kB in one request, right after a start", median(first), "ms", 50)
    yield goal("read", "100 files of 10 kB in one request", median(again), "ms", 50)


def listing(bench: Bench) -> Iterator[Finding]:
    """`GET /files` of 10,000 files."""
    times, first = [], []
    for _ in range(bench.rounds):
        home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        for number in range(10_000):
            file = home / "many" / f"{number // 100:03}" / f"{number:05}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{number}\n")
        with bench.quire(data=home / "data") as server, client(server, None) as api:
            import_folder(server, home / "many", "bench")
            server.terminate()
            server.restart()

            def ask() -> None:
                reply = api.get("/projects/bench/files").raise_for_status()
                assert len(reply.json()) == 10_000

            first.append(milliseconds(ask))
            times.append(median([milliseconds(ask) for _ in range(REPEATS)]))
        bench.say(f"  listing: first {first[-1]:.1f} ms, then {times[-1]:.1f} ms")
    yield goal("listing", "listing 10,000 files, right after a start", median(first), "ms", 100)
    yield goal("listing", "listing 10,000 files", median(times), "ms", 100)


def start(bench: Bench) -> Iterator[Finding]:
    """From the command to the first yes of `/readyz`, on data that is there."""
    times = []
    for _ in range(max(3, bench.rounds)):
        home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "data"
        with bench.quire(data=home, pinned=False) as server, client(server) as api:
            api.put("/projects/bench/files/a.md", content=b"a\n").raise_for_status()
            server.terminate()
            times.append(milliseconds(server.restart) / 1000)
        bench.say(f"  start: {times[-1]:.2f} s")
    yield goal("start", "cold start to ready", median(times), "s", 1.5)
