"""What others push: how long a large pull takes, and how soon a push is seen in an open editor."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import anyio.to_thread

from benchmarks.bench import Bench, client
from benchmarks.commits import folder_of
from benchmarks.desk import desk
from benchmarks.finding import Finding, goal, median, told
from tests.harness.peer import Peer, crowd
from tests.harness.server import ServerProcess
from tests.snapshots.branch import Branch, Held

CHANGED = 1_000

PUSHES = 20
"""Pushes that somebody with the file open waits for."""

SEEN_WITHIN = 60.0


def pull(bench: Bench) -> Iterator[Finding]:
    """A pull of 1,000 changed files into live documents, and one that is merged with what is live."""
    taken, merged = anyio.run(_pulled, bench)
    note = f"{median(taken) / CHANGED * 1000:.1f} ms a file"
    yield goal("pull", f"pull of {CHANGED:,} changed files", median(taken), "s", 5, note)
    yield told("pull", "the same, each merged with an edit that is not committed", median(merged), "s")


async def _pulled(bench: Bench) -> tuple[list[float], list[float]]:
    plain: list[float] = []
    merged: list[float] = []
    async with desk(bench.folder, CHANGED) as home:
        await home.snapshotter.snapshot(home.project)
        branch = Branch(home.repository)
        for round_ in range(bench.rounds):
            for times in (plain, merged):
                tree = branch.tree()
                if times is merged:
                    for path, held in tree.items():
                        await home.write(path, held.content + b"written here\n")
                pushed = {path: Held(held.mode, b"%d\n" % round_ + held.content) for path, held in tree.items()}
                branch.commit(pushed, onto=branch.head())
                begun = time.perf_counter()
                done = await home.snapshotter.pull(home.project)
                times.append(time.perf_counter() - begun)
                assert (done.state, len(done.merged)) == ("done", CHANGED), done
                await home.snapshotter.snapshot(home.project)
            bench.say(f"  pull, round {round_ + 1}: {plain[-1]:.2f} s, merged {merged[-1]:.2f} s")
    return plain, merged


def looked(bench: Bench) -> Iterator[Finding]:
    """From a push to the server's own repository on disk to the text in an open editor: it is looked at every 5 s."""
    with bench.quire() as server, client(server) as api:
        api.put("/projects/bench/files/a.md", content=b"begin\n").raise_for_status()
        api.post("/projects/bench/snapshots").raise_for_status()
        times = anyio.run(_seen, server)
    said = f"p50 {median(times):.2f} s, the slowest {max(times):.2f} s; pushed right after the look before"
    bench.say(f"  seen by looking: {said}")
    p95 = sorted(times)[max(0, round(len(times) * 0.95) - 1)]
    yield goal("looked", "a push to the repository on disk in an open editor, p95", p95, "s", 6, said)


async def _seen(server: ServerProcess) -> list[float]:
    branch = Branch(folder_of(server.data))
    async with crowd() as people:
        peer = await people.join(server, "bench", "a.md")
        times = []
        for number in range(PUSHES):
            text = f"begin\npush {number}\n"
            tree = {**branch.tree(), "a.md": Held(0o100644, text.encode())}
            begun = time.perf_counter()
            await anyio.to_thread.run_sync(lambda: branch.commit(tree, onto=branch.head()))  # noqa: B023
            await _shows(peer, text)
            times.append(time.perf_counter() - begun)
        return times


async def _shows(peer: Peer, text: str) -> None:
    await peer.hears(lambda: str(peer) == text, "the push", seconds=SEEN_WITHIN)
