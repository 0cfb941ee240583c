"""The continuous backup: how far it is behind while people type, what it costs them, and how long a restore takes."""

from __future__ import annotations

import contextlib
import pathlib
import secrets
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping

import httpx

from benchmarks.bench import Bench, client
from benchmarks.finding import Finding, goal, median, told
from benchmarks.imports import import_folder, make_repository
from benchmarks.pinned import SERVER_CORE, on
from tests.harness.s3 import make_bucket, s3_server
from tests.harness.server import QUIRE, ServerProcess
from tests.harness.until import until

ROOMS = 100
RATE = 3
"""Keystrokes a second, of each of them."""
DOCUMENTS = 1_000
LOOKED_AT = 0.05
"""Seconds between two looks at how far the backup is behind."""


def backup(bench: Bench) -> Iterator[Finding]:
    """100 people type in 100 files, three keys a second each, with a backup to S3 and without."""
    behind, with_it, without, bytes_a_key = [], [], [], []
    with s3_server() as address:
        for round_ in range(1, bench.rounds + 1):
            without.append(float(_typing(bench, {}, None)["p99"]))
            seconds: list[float] = []
            result = _typing(bench, _settings(address), seconds)
            with_it.append(float(result["p99"]))
            behind.append(_p95(seconds) * 1000)
            bytes_a_key.append(result["shipped"] / max(1, result["sent"]))
            said = f"p95 behind {behind[-1]:.0f} ms, p99 of typing {without[-1]:g} -> {with_it[-1]:g} ms"
            bench.say(f"  backup, round {round_}: {said}, {bytes_a_key[-1]:.0f} bytes a keystroke")
    what = "100 people typing in 100 files, p95 of how old the oldest edit is that is not in the backup"
    yield goal("backup", what, median(behind), "ms", 1000, f"{median(bytes_a_key):.0f} bytes shipped a keystroke")
    yield Finding(
        row="backup",
        what="the same, p99 from send to delivery, with a backup",
        measured=median(with_it),
        unit="ms",
        against="without one",
        reference=median(without),
        allowed=1.25,
    )


def restore(bench: Bench) -> Iterator[Finding]:
    """1,000 documents, out of S3."""
    times = []
    source = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "source"
    make_repository(source, DOCUMENTS, 4_000)
    with s3_server() as address:
        settings = _settings(address)
        with _serving(bench, settings) as server:
            import_folder(server, source, "bench")
            _all_is_shipped(server)
        for round_ in range(1, bench.rounds + 1):
            to = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "again"
            start = time.perf_counter()
            subprocess.run(
                [str(QUIRE), "restore", settings["QUIRE_BACKUP"], "--to", str(to)],
                env=settings,
                check=True,
                capture_output=True,
            )
            times.append(time.perf_counter() - start)
            bench.say(f"  restore, round {round_}: {times[-1]:.1f} s")
    yield told("restore", "restore of 1,000 documents out of S3", median(times), "s")


def _settings(address: str) -> dict[str, str]:
    name = f"b-{secrets.token_hex(8)}"
    make_bucket(address, name)
    return {
        "QUIRE_BACKUP": f"s3://{name}/quire",
        "QUIRE_S3_ENDPOINT": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


@contextlib.contextmanager
def _serving(bench: Bench, settings: Mapping[str, str]) -> Iterator[ServerProcess]:
    home = pathlib.Path(tempfile.mkdtemp(dir=bench.folder)) / "data"
    with ServerProcess(home, prefix=on(SERVER_CORE), environ=settings) as server:
        yield server


def _typing(bench: Bench, settings: Mapping[str, str], seconds: list[float] | None) -> dict[str, float]:
    """What the load says; `seconds` is filled with how far the backup was behind, again and again."""
    with _serving(bench, settings) as server, client(server):
        if seconds is not None:
            _all_is_shipped(server)
        with _watched(server, seconds):
            result = bench.load(
                "load.mjs",
                url=f"{server.sync}/bench",
                dialect="quire",
                http=server.url,
                token=server.token,
                rooms=ROOMS,
                peers=2,
                writers=1,
                rate=RATE,
                seconds=bench.seconds,
            )
        if not result["complete"]:
            result["p99"] = float("inf")
        return {**result, "shipped": _shipped(server) if seconds is not None else 0.0}


@contextlib.contextmanager
def _watched(server: ServerProcess, seconds: list[float] | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        with httpx.Client(base_url=server.url, headers=server.headers, timeout=30) as api:
            while not ended.wait(LOOKED_AT):
                seconds.append(api.get("/api/v1/backup").json()["seconds_behind"])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _all_is_shipped(server: ServerProcess) -> None:
    def there() -> bool:
        status = httpx.get(f"{server.url}/api/v1/backup", headers=server.headers).json()
        return bool(status["state"] == "shipping" and not status["seconds_behind"])

    until(there, "everything is in the backup", seconds=120)


def _shipped(server: ServerProcess) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("quire_backup_bytes_total"))


def _p95(figures: list[float]) -> float:
    return statistics.quantiles(figures, n=20)[18]
