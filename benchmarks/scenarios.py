"""The same load on Quire, with its durable log, and on the peers, which keep nothing: p99 from send to delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.contestants import HOCUSPOCUS, PYCRDT_WEBSOCKET, Y_WEBSOCKET, Contestant
from benchmarks.finding import Finding, median

RIVALS = (Y_WEBSOCKET, HOCUSPOCUS)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    rooms: int
    peers: int
    writers: int
    rate: int
    allowed: float

    @property
    def load(self) -> dict[str, int]:
        return {"rooms": self.rooms, "peers": self.peers, "writers": self.writers, "rate": self.rate}


LECTURE = Scenario("a lecture", 1, 50, 10, 100, 1.0)
STORM = Scenario("a storm", 1, 50, 10, 400, 0.7)
PAIRS = Scenario("many pairs", 100, 2, 1, 50, 1.0)
HOT = Scenario("many pairs, hot", 100, 2, 1, 200, 1.0)


def lecture(bench: Bench) -> Iterator[Finding]:
    """1 room, 50 peers, 10 of them write 100 updates a second each."""
    return measure(bench, LECTURE, (*RIVALS, PYCRDT_WEBSOCKET))


def storm(bench: Bench) -> Iterator[Finding]:
    """1 room, 50 peers, 10 of them write 400 updates a second each."""
    return measure(bench, STORM, RIVALS)


def pairs(bench: Bench) -> Iterator[Finding]:
    """100 rooms of two, one of them writes 50 updates a second."""
    return measure(bench, PAIRS, RIVALS)


def hot(bench: Bench) -> Iterator[Finding]:
    """100 rooms of two, one of them writes 200 updates a second."""
    return measure(bench, HOT, RIVALS)


def measure(bench: Bench, scenario: Scenario, rivals: tuple[Contestant, ...]) -> Iterator[Finding]:
    """Every server in turn, in every round; pycrdt-websocket may not survive, and is then said to have died."""
    ours: list[dict[str, Any]] = []
    theirs: dict[str, list[dict[str, Any]]] = {rival.name: [] for rival in rivals}
    for round_ in range(1, bench.rounds + 1):
        ours.append(_told(bench, scenario, round_, "Quire", quire(bench, scenario)))
        for rival in rivals:
            theirs[rival.name].append(_told(bench, scenario, round_, rival.name, against(bench, scenario, rival)))
    yield _finding(scenario, ours, theirs)


def quire(bench: Bench, scenario: Scenario) -> dict[str, Any]:
    with bench.quire() as server:
        return bench.load(
            "load.mjs",
            url=f"{server.sync}/bench",
            dialect="quire",
            http=server.url,
            token=server.token,
            seconds=bench.seconds,
            **scenario.load,
        )


def against(bench: Bench, scenario: Scenario, rival: Contestant) -> dict[str, Any]:
    with rival.serving(bench.folder) as url:
        return bench.load("load.mjs", url=url, dialect=rival.dialect, seconds=bench.seconds, **scenario.load)


def _told(bench: Bench, scenario: Scenario, round_: int, name: str, result: dict[str, Any]) -> dict[str, Any]:
    whole = "" if result["complete"] else f", only {result['delivered']:,} of {result['expected']:,} delivered"
    bench.say(f"  {scenario.name}, round {round_}, {name}: p50 {result['p50']} ms, p99 {result['p99']} ms{whole}")
    return result


def _finding(scenario: Scenario, ours: list[dict[str, Any]], theirs: dict[str, list[dict[str, Any]]]) -> Finding:
    figures = {name: _p99(results) for name, results in theirs.items()}
    best = min(figures, key=lambda name: figures[name])
    lost = sum(1 for result in ours if not result["complete"])
    others = "; ".join(f"{name} {_said(figure)}" for name, figure in figures.items() if name != best)
    p50 = median([float(result["p50"]) for result in ours])
    return Finding(
        row="scenarios",
        what=f"{scenario.name}, p99 from send to delivery",
        measured=_p99(ours) if not lost else float("inf"),
        unit="ms",
        against=best,
        reference=figures[best],
        allowed=scenario.allowed,
        note=f"p50 {p50:g} ms; {others}" + (f"; updates lost in {lost} rounds" if lost else ""),
    )


def _p99(results: list[dict[str, Any]]) -> float:
    """Infinite when the server did not deliver everything in most rounds."""
    return median([float(result["p99"]) if result["complete"] else float("inf") for result in results])


def _said(figure: float) -> str:
    return f"{figure:g} ms" if figure != float("inf") else "did not deliver everything"
