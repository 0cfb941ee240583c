"""Clones, fetches and pushes over HTTP, against git's own server (`git http-backend`) over the same repository."""

from __future__ import annotations

import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.bench import Bench, client
from benchmarks.finding import Finding, goal, median, told
from tests.snapshots.git import ENVIRONMENT, git

FILES = 2_000
COMMITS = 500
CHANGED = 20
"""Files of each commit."""

MEMORY = 300
"""Megabytes that the server and its processes may have more than before."""


def serving(bench: Bench) -> Iterator[Finding]:
    """Clone, fetch and push of 500 commits over 2,000 files; against git http-backend."""
    source = _source(pathlib.Path(tempfile.mkdtemp(dir=bench.folder)))
    with bench.quire(pinned=False) as server, client(server, "bench"):
        url = f"{server.url.replace('://', f'://x:{server.token}@')}/git/bench.git"
        before = server.memory()
        first = _seconds(source, "push", "--quiet", url, "main")
        yield told("git", "first push, merged into the files", first, "s", f"{COMMITS:,} commits, {FILES:,} files")
        with _judge(server.data / "git") as judged:
            addresses = {"ours": url, "git": f"{judged}/bench.git"}
            ways = {"clone": (), "clone --depth 1": ("--depth=1",), "clone --filter=blob:none": ("--filter=blob:none",)}
            for what, options in ways.items():
                taken = {who: _clones(bench, address, options) for who, address in addresses.items()}
                yield _against(what, taken["ours"], taken["git"])
        grown = (server.memory() - before) / 1e6
        yield goal("git", "memory after clones and pushes", max(grown, 1.0), "MB", MEMORY)
        yield from _steps(bench, url)


def _against(what: str, ours: float, theirs: float) -> Finding:
    return Finding(
        row="git", what=what, measured=ours, unit="s", against="git http-backend", reference=theirs, allowed=6.0,
        note="a process of Python is begun for each",
    )  # fmt: skip


def _steps(bench: Bench, url: str) -> Iterator[Finding]:
    """One commit, pushed and fetched."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
    git(folder, "clone", "--quiet", url, "bob")
    git(folder, "clone", "--quiet", url, "carol")
    pushes, fetches = [], []
    for number in range(max(bench.rounds, 1) * 3):
        (folder / "bob" / "d0" / "f0.md").write_text(f"{number}\n")
        git(folder / "bob", "commit", "--quiet", "--all", "--message", f"Step {number}")
        pushes.append(_seconds(folder / "bob", "push", "--quiet"))
        fetches.append(_seconds(folder / "carol", "fetch", "--quiet"))
    yield goal("git", "push of one commit, merged", median(pushes), "s", 2.0)
    yield goal("git", "fetch of one commit", median(fetches), "s", 1.0)


def _clones(bench: Bench, url: str, options: Sequence[str]) -> float:
    taken = []
    for _ in range(max(bench.rounds, 1)):
        folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        taken.append(_seconds(folder, "clone", "--quiet", "--bare", *options, url, "copy"))
    return median(taken)


def _seconds(folder: pathlib.Path, *arguments: str) -> float:
    begun = time.perf_counter()
    git(folder, *arguments)
    return time.perf_counter() - begun


@contextmanager
def _judge(folder: pathlib.Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.snapshots.git_http", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def _source(folder: pathlib.Path) -> pathlib.Path:
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "source.git")
    chance = random.Random(1)
    texts = {
        f"d{number // 50}/f{number}.md": [f"line {line} {chance.random()}" for line in range(50)]
        for number in range(FILES)
    }
    stream: list[bytes] = []
    for number in range(COMMITS):
        stream.append(b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n" % (1_700_000_000 + number))
        for name in list(texts) if not number else chance.sample(list(texts), CHANGED):
            texts[name][chance.randrange(50)] = f"changed in {number}"
            content = "\n".join(texts[name]).encode()
            stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content))
    bare = folder / "source.git"
    subprocess.run(
        ["git", "-C", str(bare), "fast-import", "--quiet"], input=b"".join(stream), check=True, env=ENVIRONMENT
    )
    return bare
