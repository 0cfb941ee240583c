"""python -m benchmarks [ROW ...]: measures Quire, side by side with its peers, and prints one table, ratios first.

Absolute figures mean nothing on a shared machine: compare within one run. `--write` keeps the table and the figures in
benchmarks/results.md and results.json; nothing else writes there.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from benchmarks import (
    backups,
    commits,
    footprint,
    github,
    imports,
    isolation,
    joins,
    keystrokes,
    merging,
    paper,
    pulls,
    requests,
    roundtrip,
    scenarios,
    serving,
    snapshots,
)
from benchmarks.bench import PEERS, Bench
from benchmarks.finding import Finding, table
from tests.harness.packages import install

Row = Callable[[Bench], Iterator[Finding]]

ROWS: dict[str, Row] = {
    "lecture": scenarios.lecture,
    "storm": scenarios.storm,
    "pairs": scenarios.pairs,
    "hot": scenarios.hot,
    "saved": keystrokes.saved,
    "typists": keystrokes.typists,
    "joins": joins.joins,
    "rooms": footprint.rooms,
    "connections": footprint.connections,
    "closed": footprint.closed,
    "read": requests.read,
    "listing": requests.listing,
    "start": requests.start,
    "repository": imports.repository,
    "text": imports.text,
    "pushed": github.pushed,
    "tarball": github.tarball,
    "paper": paper.paper,
    "merging": merging.merging,
    "histories": merging.histories,
    "commits": commits.commits,
    "requests": commits.on_github,
    "now": commits.now,
    "objects": snapshots.objects,
    "streamed": snapshots.streamed,
    "pull": pulls.pull,
    "looked": pulls.looked,
    "roundtrip": roundtrip.roundtrip,
    "backup": backups.backup,
    "restore": backups.restore,
    "isolation": isolation.isolation,
    "git": serving.serving,
}
HERE = pathlib.Path(__file__).parent
TRACES = HERE.parent.parent / "shared" / "traces"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    rows = "\n".join(f"  {name:12} {str(row.__doc__).splitlines()[0]}" for name, row in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"rows:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which rows to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load lasts (default: 5)")
    parser.add_argument("--traces", type=pathlib.Path, default=TRACES, help=f"folder that holds {paper.TRACE}")
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results.md and .json")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.rows) - set(ROWS))
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return chosen


def main() -> int:
    chosen = options()
    _raise_file_limit()
    install(PEERS)
    findings: list[Finding] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="quire-bench-") as folder:
        bench = Bench(chosen.rounds, chosen.seconds, pathlib.Path(folder), chosen.traces)
        for name in chosen.rows or ROWS:
            bench.say(f"==> {name}: {str(ROWS[name].__doc__).splitlines()[0]}")
            try:
                findings.extend(ROWS[name](bench))
            except Exception:  # noqa: BLE001 - one row that fails must not cost the others; the exit status says so
                traceback.print_exc()
                failed.append(name)
    text = report(findings, failed, bench)
    print(text)  # noqa: T201
    if chosen.write:
        keep(text, findings)
    return 1 if failed or not all(finding.met for finding in findings) else 0


def report(findings: Sequence[Finding], failed: Sequence[str], bench: Bench) -> str:
    where = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    missed = sum(1 for finding in findings if not finding.met)
    lines = [
        f"Medians of {bench.rounds} rounds of one run, {bench.seconds:g} s of load each; {where}. Quire keeps a durable log;",
        "the peers keep nothing. Servers ran on one core and their load on another. A ratio is Quire's figure over the",
        "better peer's, or over the goal; smaller is better, and bold is larger than allowed.",
        "",
        table(findings),
        "",
        f"{len(findings) - missed} of {len(findings)} met."
        + (f" Not measured: {', '.join(failed)}." if failed else ""),
    ]
    return "\n".join(lines)


def keep(text: str, findings: Sequence[Finding]) -> None:
    (HERE / "results.md").write_text(f"# Measured\n\n{text}\n")
    figures = [{**asdict(finding), "ratio": finding.ratio, "met": finding.met} for finding in findings]
    (HERE / "results.json").write_text(json.dumps(figures, indent=2) + "\n")


def _raise_file_limit() -> None:
    """A thousand connections need as many files, here and in every process made here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 20_000 if hard == resource.RLIM_INFINITY else min(20_000, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
