"""What a commit costs, by how many files changed: in a bare repository, on GitHub, and when somebody says "Commit now"."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

import anyio

from benchmarks.bench import Bench, client
from benchmarks.desk import desk, edit, size_of
from benchmarks.finding import Finding, goal, median, told
from benchmarks.text import prose
from snapshots.committer import Committer
from snapshots.remotes import github_repository
from snapshots.remotes.github import GitHubRemote
from tests.harness.faultproxy import fault_proxy
from tests.harness.github import GitHubServer, github_server
from tests.harness.hubs import Time, hub_to
from tests.snapshots.test_github_rounds import OneRemote

CHANGED = (1, 10, 100, 1_000)
FILES = 1_000
NOW = 20
"""Times that somebody says "Commit now"."""


def commits(bench: Bench) -> Iterator[Finding]:
    """A commit of 1, 10, 100 and 1,000 of 1,000 files into a bare repository, and a round in which nothing changed."""
    seconds, written = anyio.run(_local, bench)
    for changed, taken in seconds.items():
        what = (
            f"a commit of {changed:,} files, into a bare repository" if changed else "a round in which nothing changed"
        )
        note = f"{written[changed] / 1000:,.0f} kB written to the repository"
        yield told("commits", what, median(taken) * 1000, "ms", note)
    yield goal("commits", "the same, bytes that it wrote", float(written[0]), "bytes", 1)


async def _local(bench: Bench) -> tuple[dict[int, list[float]], dict[int, int]]:
    seconds: dict[int, list[float]] = {changed: [] for changed in (*CHANGED, 0)}
    written: dict[int, int] = {}
    async with desk(bench.folder, FILES) as home:
        await home.snapshotter.snapshot(home.project)
        for round_ in range(bench.rounds):
            for changed in seconds:
                await edit(home, range(changed), f"round {round_}, {changed}")
                before = await anyio.to_thread.run_sync(size_of, home.repository)
                begun = time.perf_counter()
                made = await home.snapshotter.snapshot(home.project)
                seconds[changed].append(time.perf_counter() - begun)
                assert (made.state, len(made.files)) == ("done" if changed else "nothing", changed)
                written[changed] = await anyio.to_thread.run_sync(size_of, home.repository) - before
            bench.say(f"  commits, round {round_ + 1}: {_said(seconds)}")
    return seconds, written


def on_github(bench: Bench) -> Iterator[Finding]:
    """The same on GitHub (a server on loopback): requests, bytes and time; nothing waits for a limit."""
    with github_server() as server:
        seconds, requests, bytes_ = anyio.run(_on_github, bench, server)
    for changed, taken in seconds.items():
        note = f"{median(taken) * 1000:,.0f} ms; {bytes_[changed][0] / 1000:,.0f} kB there, {bytes_[changed][1] / 1000:,.0f} kB back"
        if changed == 0:
            yield goal("requests", "requests of a round in which nothing changed", float(len(requests[0])), "", 1, note)
        elif changed <= 100:
            what = f"requests of a commit of {changed:,} files on GitHub"
            yield goal("requests", what, float(len(requests[changed])), "", 5, note)
        else:
            what = f"requests of a commit of {changed:,} files on GitHub"
            yield told("requests", what, float(len(requests[changed])), "", note)


async def _on_github(
    bench: Bench, server: GitHubServer
) -> tuple[dict[int, list[float]], dict[int, list[str]], dict[int, tuple[int, int]]]:
    seconds: dict[int, list[float]] = {changed: [] for changed in (*CHANGED, 0)}
    requests: dict[int, list[str]] = {}
    bytes_: dict[int, tuple[int, int]] = {}
    theirs = server.make()
    async with fault_proxy(server.url) as proxy, desk(bench.folder, FILES) as home:
        remote = GitHubRemote(
            await github_repository.find(hub_to(proxy.url, theirs.token, Time()), theirs.full_name), "main"
        )
        committer = Committer(home.workspace, OneRemote(remote), home.bus, clock=home.clock)
        await committer.round(home.project)
        for round_ in range(bench.rounds):
            for changed in seconds:
                await edit(home, range(changed), f"round {round_}, {changed}")
                proxy.clear()
                begun = time.perf_counter()
                made = await committer.round(home.project)
                seconds[changed].append(time.perf_counter() - begun)
                assert made.state == ("done" if changed else "nothing"), made.detail
                bytes_[changed] = proxy.sent, proxy.received
                requests[changed] = proxy.clear()
            bench.say(f"  requests, round {round_ + 1}: {_said(seconds)}")
    return seconds, requests, bytes_


def _said(seconds: dict[int, list[float]]) -> str:
    return ", ".join(f"{changed:,} files {taken[-1] * 1000:,.0f} ms" for changed, taken in seconds.items())


def now(bench: Bench) -> Iterator[Finding]:
    """From the last edit of 100 files to the answer to "Commit now", over HTTP."""
    times: list[float] = []
    with bench.quire() as server, client(server) as api:
        names = [f"now-{number}.md" for number in range(100)]
        for turn in range(NOW + 1):
            for number, name in enumerate(names):
                text = prose(4_000, number) + f"turn {turn}\n"
                api.put(f"/projects/bench/files/{name}?force=1", content=text.encode()).raise_for_status()
            begun = time.perf_counter()
            made = api.post("/projects/bench/snapshots", json={"message": f"Turn {turn}"}).raise_for_status().json()
            if turn:  # the first one makes everything
                times.append(time.perf_counter() - begun)
            assert made["state"] == "done"
    times.sort()
    p95 = times[round(len(times) * 0.95) - 1]
    note = f"p50 {median(times) * 1000:.0f} ms; into the repository of this server"
    yield goal("now", '"Commit now" of 100 edited files, p95', p95, "s", 5, note)


def folder_of(server_data: pathlib.Path, project: str = "bench") -> pathlib.Path:
    """The bare repository of a project."""
    return server_data / "git" / f"{project}.git"
