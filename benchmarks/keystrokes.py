"""How long until a keystroke is durable, and how long until it is on a hundred other screens."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, client
from benchmarks.finding import Finding, goal, median

FILES = 10
WRITERS_A_FILE = 2


def saved(bench: Bench) -> Iterator[Finding]:
    """From send to `saved`: 20 writers in 10 files, 1,000 updates a second together."""
    p99s, p50s = [], []
    for round_ in range(1, bench.rounds + 1):
        with bench.quire() as server, client(server) as api:
            names = [f"saved-{number}.md" for number in range(FILES)]
            for name in names:
                api.put(f"/projects/bench/files/{name}", content=b"").raise_for_status()
            result = bench.load(
                "saved.mjs",
                url=f"{server.sync}/bench",
                token=server.token,
                files=",".join(names),
                peers=WRITERS_A_FILE,
                rate=1000,
                seconds=bench.seconds,
            )
        bench.say(f"  saved, round {round_}: {result}")
        p99s.append(float(result["p99"]) if result["complete"] else float("inf"))
        p50s.append(float(result["p50"]))
    what = "p99 from send to `saved`, 1,000 updates/s"
    yield goal("saved", what, median(p99s), "ms", 25, f"p50 {median(p50s):g} ms")


def typists(bench: Bench) -> Iterator[Finding]:
    """100 people type in one file, three keys a second each."""
    p99s, p50s = [], []
    for round_ in range(1, bench.rounds + 1):
        with bench.quire() as server:
            result = bench.load(
                "load.mjs",
                url=f"{server.sync}/bench",
                dialect="quire",
                http=server.url,
                token=server.token,
                rooms=1,
                peers=100,
                writers=100,
                rate=3,
                seconds=bench.seconds,
            )
        bench.say(f"  typists, round {round_}: p50 {result['p50']} ms, p99 {result['p99']} ms")
        p99s.append(float(result["p99"]) if result["complete"] else float("inf"))
        p50s.append(float(result["p50"]))
    what = "100 people typing in one file, p99 from send to delivery"
    yield goal("typists", what, median(p99s), "ms", 30, f"p50 {median(p50s):g} ms")
