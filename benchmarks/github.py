"""GitHub: how soon a push is in an open editor, and a whole repository through the API.

GitHub itself is on loopback; what a request to it takes is added to each of ours (`AWAY`).
"""

from __future__ import annotations

import base64
import pathlib
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator

import anyio
import anyio.to_thread
import httpx

from benchmarks.bench import Bench
from benchmarks.finding import Finding, goal, median, told
from benchmarks.imports import BOUND, Peak, make_repository
from tests.harness.faultproxy import Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer, github_server
from tests.harness.octo import NAME, Octo, octo
from tests.harness.peer import crowd
from tests.harness.server import ServerProcess
from tests.harness.until import auntil

AWAY = 0.15
"""Seconds that GitHub takes for a request."""
PUSHES = 25
SECRET = "the-secret-of-the-benchmark"


def pushed(bench: Bench) -> Iterator[Finding]:
    """Somebody pushes to GitHub: until it is visible in an open editor, with a webhook."""
    slowest: list[float] = []
    medians: list[float] = []
    for round_ in range(1, bench.rounds + 1):
        times = anyio.run(_pushes, bench)
        slowest.append(statistics.quantiles(times, n=20)[-1])
        medians.append(median(times))
        bench.say(f"  push to visible, round {round_}: median {medians[-1]:.2f} s, p95 {slowest[-1]:.2f} s")
    note = f"{PUSHES} pushes, {AWAY * 1000:.0f} ms to GitHub"
    yield goal("pushed", "push to GitHub until visible in an open editor, p95", median(slowest), "s", 5, note)
    yield told("pushed", "the same, median", median(medians), "s", note)


async def _pushes(bench: Bench) -> list[float]:
    async def away(request: Request, forward: Forward) -> Reply:
        await anyio.sleep(AWAY)
        return await forward()

    with github_server() as github:
        theirs = await anyio.to_thread.run_sync(lambda: github.make(begun=True))
        async with fault_proxy(github.url) as proxy:
            for method in ("GET", "POST", "PATCH", "PUT"):
                proxy.on(method, "", away, times=-1)
            data = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "data"
            environ = {"QUIRE_GITHUB_API": proxy.url, "QUIRE_GITHUB_WEBHOOK_SECRET": SECRET, "QUIRE_GITHUB_POLL": "0"}
            server = ServerProcess(data, environ=environ)
            await anyio.to_thread.run_sync(server.start)
            try:
                return await _in_an_editor(server, theirs, github)
            finally:
                await anyio.to_thread.run_sync(server.close)


async def _in_an_editor(server: ServerProcess, theirs: GitHubRepository, github: GitHubServer) -> list[float]:
    path, times = "notes.md", []
    await anyio.to_thread.run_sync(theirs.push, path, b"# Notes\n")
    hook = {"active": True, "events": ["push"]}
    config = {"url": f"{server.url}/hooks/github", "content_type": "json", "secret": SECRET}
    await anyio.to_thread.run_sync(theirs.post, f"/repos/{theirs.full_name}/hooks", {**hook, "config": config})
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
        (await api.post("/projects", json={"name": "bench"})).raise_for_status()
        wanted = {"kind": "github", "repository": theirs.full_name, "token": theirs.token}
        (await api.put("/projects/bench/remote", json=wanted)).raise_for_status()
    async with crowd() as people:
        peer = people.peer(server, "bench", path)
        await peer.connect()
        for number in range(PUSHES):
            line = f"line {number} {secrets.token_hex(4)}"
            began = time.perf_counter()
            await anyio.to_thread.run_sync(_push, theirs, path, line)
            await auntil(lambda said=line: said in str(peer), "the push is visible", seconds=60)  # type: ignore[misc]
            times.append(time.perf_counter() - began)
    return times


def _push(theirs: GitHubRepository, path: str, line: str) -> None:
    held = theirs.get(f"/contents/{path}")
    text = base64.b64decode(held["content"]).decode() + line + "\n"
    body = {
        "message": "Go on",
        "content": base64.b64encode(text.encode()).decode(),
        "sha": held["sha"],
        "branch": "main",
    }
    theirs.request("PUT", f"/repos/{theirs.full_name}/contents/{path}", body)


def tarball(bench: Bench) -> Iterator[Finding]:
    """A repository on GitHub of 5,000 files, and one with 100 MB of text, imported through the API and connected."""
    for name, files, size, most in (("5,000 files", 5_000, 4_000, 30), ("100 MB of text", 2_500, 40_000, 90)):
        source = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "source"
        make_repository(source, files, size)
        times, memory, asked = [], [], 0
        for round_ in range(1, bench.rounds + 1):
            with octo(source, latency=AWAY) as there:
                seconds, megabytes = _imported(bench, there)
                asked = len(there.requests)
            times.append(seconds)
            memory.append(megabytes)
            bench.say(f"  {name}, round {round_}: {seconds:.1f} s, {megabytes:.0f} MB more, {asked} requests")
        note = f"{asked} requests, {AWAY * 1000:.0f} ms each"
        yield goal("tarball", f"import from GitHub, {name}, connected", median(times), "s", most, note)
        yield goal("tarball", "the same, memory over what it was (peak)", median(memory), "MB", BOUND)


def _imported(bench: Bench, there: Octo) -> tuple[float, float]:
    data = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "data"
    environ = {"QUIRE_GITHUB_API": there.url, "QUIRE_GITHUB_POLL": "0"}
    with ServerProcess(data, environ=environ) as server:
        before = server.memory()
        with Peak(server.pid) as peak:
            began = time.perf_counter()
            with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=600) as api:
                api.post("/projects", json={"name": "bench"}).raise_for_status()
                body = {"github": NAME, "token": "token", "connect": True}
                job = api.post("/projects/bench/import", json=body).raise_for_status().json()["job"]
                while job["state"] == "running":
                    time.sleep(0.1)
                    job = api.get(f"/projects/bench/import/{job['id']}").raise_for_status().json()["job"]
            seconds = time.perf_counter() - began
        if job["state"] != "done":
            raise RuntimeError(job["message"])
        return seconds, (peak.most - before) / 1e6
