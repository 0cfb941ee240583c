"""Whole repositories: 5,000 files, and 100 MB of text."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

import psutil

from benchmarks.bench import Bench
from benchmarks.finding import Finding, goal, median
from benchmarks.text import prose
from tests.harness.server import QUIRE, ServerProcess

IMPORT_WITHIN = 600.0
BOUND = 500
"""MB over what the server was, workers included: 100 MB of text must not be held several times."""


def repository(bench: Bench) -> Iterator[Finding]:
    """A git repository of 5,000 files, 20 MB."""
    times, memory = _measured(bench, "5,000 files", 5_000, 4_000)
    yield goal("repository", "import of a git repository of 5,000 files", median(times), "s", 10)
    yield goal("repository", "the same, memory over what it was (peak)", median(memory), "MB", BOUND)


def text(bench: Bench) -> Iterator[Finding]:
    """A git repository with 100 MB of text in 2,500 files."""
    times, memory = _measured(bench, "100 MB", 2_500, 40_000)
    yield goal("text", "import of 100 MB of text", median(times), "s", 60)
    yield goal("text", "the same, memory over what it was (peak)", median(memory), "MB", BOUND)


def _measured(bench: Bench, name: str, files: int, size: int) -> tuple[list[float], list[float]]:
    source = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "source"
    make_repository(source, files, size)
    times, memory = [], []
    for round_ in range(1, bench.rounds + 1):
        with bench.quire(pinned=False) as server:
            before = server.memory()
            with Peak(server.pid) as peak:
                start = time.perf_counter()
                lines = import_folder(server, source, "bench")
                times.append(time.perf_counter() - start)
            memory.append((peak.most - before) / 1e6)
        said = f"{times[-1]:.1f} s, {memory[-1]:.0f} MB over what it was, {lines} lines of progress"
        bench.say(f"  import of {name}, round {round_}: {said}")
    return times, memory


def make_repository(folder: pathlib.Path, files: int, size: int) -> None:
    for number in range(files):
        file = folder / f"part-{number // 50:03}" / f"chapter-{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(prose(size, number))
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", "--all")
    _git(folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.org", "commit", "--quiet", "-m", "Everything")


def _git(folder: pathlib.Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def import_folder(server: ServerProcess, source: pathlib.Path, project: str) -> int:
    """What a person types; how many lines it said."""
    command = [str(QUIRE), "import", str(source), "--project", project]
    environ = {**os.environ, "QUIRE_URL": server.url, "QUIRE_ROOT_TOKEN": server.token}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=IMPORT_WITHIN, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"quire import ended with {done.returncode}: {done.stdout[-1000:]} {done.stderr[-2000:]}")
    return len((done.stdout + done.stderr).splitlines())


class Peak:
    """The most resident bytes of a process and its children, looked at twenty times a second while the block runs."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += int(process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        return total

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
