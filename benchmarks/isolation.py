"""A lecture while heavy work runs in the same server: a snapshot of 10,000 documents, an import of 5,000 files, a large pull."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.bench import Bench, client
from benchmarks.finding import Finding, median
from benchmarks.imports import IMPORT_WITHIN, import_folder, make_repository
from benchmarks.scenarios import LECTURE
from benchmarks.text import prose
from tests.harness.server import ServerProcess

DOCUMENTS = 10_000
FILES = 5_000
PULLED = 2_000
SIZE = 4_000
"""Bytes of a file."""
SETTLED = 2.0
"""Seconds after which everybody is connected, and the heavy work begins."""
QUIET = 4.0
"""Seconds after an import in which the objects follow: when the lecture has begun."""

Work = Callable[[], None]
Prepare = Callable[[Bench, ServerProcess], Work]


def isolation(bench: Bench) -> Iterator[Finding]:
    """The lecture, and the same lecture while a large snapshot, an import or a pull runs: p99 from send to delivery."""
    rows: Mapping[str, Prepare] = {
        "nothing else": nothing,
        f"a snapshot of {DOCUMENTS:,} documents, to objects and to git": snapshot,
        f"an import of {FILES:,} files": importing,
        f"a pull of {PULLED:,} changed files": pulling,
    }
    figures: dict[str, list[float]] = {name: [] for name in rows}
    took: dict[str, list[float]] = {name: [] for name in rows}
    for round_ in range(1, bench.rounds + 1):
        for name, prepare in rows.items():
            p99, seconds = measured(bench, prepare)
            figures[name].append(p99)
            took[name].append(seconds)
            bench.say(f"  lecture beside {name}, round {round_}: p99 {p99:g} ms; it took {seconds:.1f} s")
    quiet = median(figures.pop("nothing else"))
    for name, found in figures.items():
        yield Finding(
            row="isolation",
            what=f"a lecture beside {name}, p99",
            measured=median(found),
            unit="ms",
            against="the quiet lecture",
            reference=quiet,
            allowed=2.0,
            note=f"it took {median(took[name]):.1f} s of the {bench.seconds:g}",
        )


def measured(bench: Bench, prepare: Prepare) -> tuple[float, float]:
    """The p99, and how long the heavy work took."""
    with serving(bench) as server:
        work = prepare(bench, server)
        result: dict[str, Any] = {}
        failed: list[BaseException] = []

        def lecture() -> None:
            try:
                result.update(
                    bench.load(
                        "load.mjs", url=f"{server.sync}/bench", dialect="quire", http=server.url, token=server.token,
                        seconds=bench.seconds, **LECTURE.load,
                    )
                )  # fmt: skip
            except BaseException as error:  # noqa: BLE001 - raised where the lecture is waited for
                failed.append(error)

        listening = threading.Thread(target=lecture)
        listening.start()
        time.sleep(SETTLED)
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        listening.join()
        if failed:
            raise failed[0]
        return (float(result["p99"]) if result["complete"] else float("inf")), seconds


@contextmanager
def serving(bench: Bench) -> Iterator[ServerProcess]:
    """With objects in a folder of their own, so that snapshots go there too."""
    home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
    environ = {
        "QUIRE_OBJECTS": str(home / "objects"),
        "QUIRE_SNAPSHOT_QUIET": f"{QUIET:g}",
        "QUIRE_SNAPSHOT_MAX_AGE": f"{QUIET:g}",
        "QUIRE_COMMIT_QUIET": "1h",
        "QUIRE_COMMIT_MAX_AGE": "1h",
        "QUIRE_POLL": "0",
    }
    with ServerProcess(home / "data", environ=environ) as server:
        yield server


def nothing(bench: Bench, server: ServerProcess) -> Work:
    return lambda: None


def snapshot(bench: Bench, server: ServerProcess) -> Work:
    """The objects follow by themselves; git is told to."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "many"
    for number in range(DOCUMENTS):
        file = folder / f"part-{number // 50:03}" / f"chapter-{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(prose(SIZE, number))
    import_folder(server, folder, "many")

    def work() -> None:
        with client(server, None) as api:
            made = until_done(api, "many", api.post("/projects/many/snapshots", json={}))
            assert made["state"] == "done", made
            while api.get("/projects/many/status").raise_for_status().json()["objects"]["snapshot"] in (None, 0):
                time.sleep(0.2)

    return work


def importing(bench: Bench, server: ServerProcess) -> Work:
    source = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "source"
    make_repository(source, FILES, SIZE)

    def work() -> None:
        import_folder(server, source, "imported")

    return work


def pulling(bench: Bench, server: ServerProcess) -> Work:
    """Somebody has changed a line at the beginning and one at the end of every file."""
    home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
    source, theirs = home / "source", home / "theirs"
    make_repository(source, PULLED, SIZE)
    import_folder(server, source, "pulled")
    subprocess.run(["git", "clone", "--quiet", server.data / "git" / "pulled.git", theirs], check=True)
    for file in theirs.rglob("*.md"):
        file.write_text(f"A new beginning.\n\n{file.read_text()}\n\nA new end.\n")
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", *who, "commit", "--quiet", "--all", "-m", "All over"], cwd=theirs, check=True)
    subprocess.run(["git", "push", "--quiet"], cwd=theirs, check=True)

    def work() -> None:
        with client(server, None) as api:
            api.post("/projects/pulled/pull", json={}).raise_for_status()
            ended = time.monotonic() + IMPORT_WITHIN
            while api.get("/projects/pulled/status").raise_for_status().json()["state"] != "idle":
                assert time.monotonic() < ended, "the pull did not end"
                time.sleep(0.2)

    return work


def until_done(api: httpx.Client, project: str, answer: httpx.Response) -> dict[str, Any]:
    """A round that takes longer than its answer goes on."""
    made: dict[str, Any] = answer.raise_for_status().json()
    while made["state"] == "running":
        time.sleep(0.2)
        (made,) = api.get(f"/projects/{project}/snapshots?limit=1").raise_for_status().json()["snapshots"]
    return made
