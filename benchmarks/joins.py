"""A lecture begins: 200 people open one file of 2 MB in the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from benchmarks.bench import Bench, client
from benchmarks.finding import Finding, goal, median
from benchmarks.memory import forget_peak, peak, resident
from benchmarks.text import prose

PEERS = 200
SIZE = 2_000_000


def joins(bench: Bench) -> Iterator[Finding]:
    """Time to the last byte of the document, undecoded, and what it costs the server's memory."""
    medians, worsts, costs = [], [], []
    for round_ in range(1, bench.rounds + 1):
        with bench.quire() as server, client(server) as api:
            content = prose(SIZE, round_).encode()
            api.put("/projects/bench/files/large.md", content=content).raise_for_status()
            before = resident(server.pid)
            forget_peak(server.pid)
            path = f"/sync/bench/large.md?token={quote(server.token)}"
            result = bench.load("joins.mjs", port=server.port, path=path, peers=PEERS)
            costs.append((peak(server.pid) - before) / 1e6)
        bench.say(f"  joins, round {round_}: {result}, {costs[-1]:.0f} MB over what it was")
        whole = result["joined"] == PEERS and result["bytes"] >= len(content)
        medians.append(result["p50"] / 1000 if whole else float("inf"))
        worsts.append(result["max"] / 1000 if whole else float("inf"))
    yield goal("joins", "200 peers join a 2 MB document at once, median", median(medians), "s", 1.0)
    yield goal("joins", "the same, the worst of them", median(worsts), "s", 1.0)
    yield goal("joins", "the same, the server's memory over what it was (peak)", median(costs), "MB", 200)
