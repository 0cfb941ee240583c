"""What a row of the table is: one figure, what it is held against, and how large the ratio may be. PURE."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`against` and `reference`: the better peer and its figure, or the goal; None where a figure is only told. Smaller
    is better throughout."""

    row: str
    what: str
    measured: float
    unit: str
    against: str
    reference: float | None
    allowed: float = 1.0
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.reference is None else self.measured / self.reference

    @property
    def met(self) -> bool:
        return self.ratio is None or self.ratio <= self.allowed


def goal(row: str, what: str, measured: float, unit: str, most: float, note: str = "") -> Finding:
    """A figure that is held against a goal."""
    return Finding(row=row, what=what, measured=measured, unit=unit, against="goal", reference=most, note=note)


def told(row: str, what: str, measured: float, unit: str, note: str = "") -> Finding:
    """A figure without a goal."""
    return Finding(row=row, what=what, measured=measured, unit=unit, against="", reference=None, note=note)


def median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


HEADER = (
    "| Ratio | Allowed | What | Quire | Against | Note |",
    "|---:|---:|---|---:|---|---|",
)


def table(findings: Sequence[Finding]) -> str:
    """Markdown, ratios first; a ratio that is too large is bold."""
    return "\n".join([*HEADER, *(_line(finding) for finding in findings)])


def _line(finding: Finding) -> str:
    ours = f"{_figure(finding.measured)} {finding.unit}"
    if finding.ratio is None or finding.reference is None:
        return f"| | | {finding.what} | {ours} | | {finding.note} |"
    ratio = f"{finding.ratio:.2f}" if finding.met else f"**{finding.ratio:.2f}**"
    theirs = f"{finding.against}: {_figure(finding.reference)} {finding.unit}"
    return f"| {ratio} | {finding.allowed:g} | {finding.what} | {ours} | {theirs} | {finding.note} |"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:,.3g}"
