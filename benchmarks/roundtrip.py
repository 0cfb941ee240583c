"""Whole source trees through Quire and out again: what is ugly about each, and whether git finds it the same."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator

import anyio

from benchmarks.bench import Bench
from benchmarks.finding import Finding, goal
from tests.harness.roundtrip import RoundTrip, repository, round_trip
from tests.harness.ugliness import ugliness
from tests.interop.node_env import ensure_node_modules, environment, npm_command
from tests.snapshots.house import house

SDISTS = ("docutils==0.21.2", "pygments==2.18.0", "babel==2.15.0")
NPM = ("codemirror@5.65.16", "jquery-ui@1.13.2", "test262-parser-tests@0.0.5")
DEBIAN = ("git", "vim")
"""Where the machine's sources have source packages (`deb-src`)."""


def roundtrip(bench: Bench) -> Iterator[Finding]:
    """Source packages of PyPI, npm and Debian: imported, committed anew from the live documents, compared by git."""
    folder = bench.folder / "sources"
    for name, tree in _trees(bench, folder):
        begun = time.perf_counter()
        before = repository(tree)
        kinds = ugliness(tree)
        done = anyio.run(_through, tree)
        taken = time.perf_counter() - begun
        ugly = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if kind != "files")
        bench.say(f"  {name}: {done.files:,} files, {taken:.0f} s; {ugly}")
        same = done.after == done.before == before
        note = f"{done.files:,} files, {done.documents:,} of them documents: {ugly}"
        yield goal("roundtrip", f"{name}, trees that differ", 0.0 if same else 1.0, "", 0.5, note)


async def _through(tree: pathlib.Path) -> RoundTrip:
    with tempfile.TemporaryDirectory(prefix="quire-roundtrip-") as folder:
        async with house(pathlib.Path(folder)) as home:
            return await round_trip(home, tree)


def _trees(bench: Bench, folder: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """Those that can be had on this machine; of the others it is said."""
    ensure_node_modules()
    sdist = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    commands = {name: [*sdist, name] for name in SDISTS}
    commands |= {name: npm_command("pack", "--silent", name) for name in NPM}
    commands |= {name: ["apt-get", "source", "--download-only", "-qq", name] for name in DEBIAN}
    for name, command in commands.items():
        target = folder / name
        target.mkdir(parents=True)
        try:
            subprocess.run(command, cwd=target, check=True, stdout=subprocess.DEVNULL, env=environment())
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            bench.say(f"  {name} is not to be had here: {error}")
            continue
        [archive] = [each for each in target.iterdir() if ".orig.tar" in each.name or each.suffix in (".tgz", ".gz")][
            :1
        ]
        tree = folder / f"{name} unpacked"
        with tarfile.open(archive) as opened:
            opened.extractall(tree, filter="tar")
        yield name, tree
