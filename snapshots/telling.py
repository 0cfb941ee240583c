"""A project's status in words that say what is so and what to do. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from collab.ids import Millis
from snapshots.budget import Left

NAMED: Final = 10
"""Paths that are named; of more only the number is told."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that another branch holds, and the own one does not. Without a number there is no pull request."""

    branch: str
    files: int
    number: int | None = None
    url: str = ""
    closed: bool = False


def state(*, running: str | None, failed: bool, conflicts: int, refused: int) -> str:
    """`running`: what the round that runs is at."""
    if running is not None:
        return running
    return "failed" if failed else "conflicts" if conflicts else "failed" if refused else "idle"


def detail(
    *,
    failure: str = "",
    conflicts: Sequence[str] = (),
    refused: Sequence[tuple[str, str]] = (),
    pause: str = "",
    waiting: Sequence[Waiting] = (),
    outside: str = "",
) -> str:
    """What is wrong comes first. `refused`: paths, each with what to do; `outside`: what is not the connection's, in words."""
    parts = [
        failure,
        _in_conflict(conflicts),
        held_back(refused),
        pause,
        *(_waits(each) for each in waiting),
        outside,
    ]
    return " ".join(_sentence(part) for part in parts if part)


def pause(why: str, left: Left | None) -> str:
    """Until when, where that is known."""
    if left is None or left.paused_until is None:
        return why
    spent = "GitHub's rate limit is reached: edits go out when it ends."
    asked = "GitHub asks for a pause: edits go out after it."
    return f"{why or (asked if left.requests else spent)} It ends at {clock(left.paused_until)}"


def clock(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S UTC")


def _sentence(part: str) -> str:
    return part if part.endswith((".", "!", "?")) else f"{part}."


def _in_conflict(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"In conflict with what was pushed, and held back from commits until it is resolved: {_listed(names)}"


def held_back(files: Sequence[tuple[str, str]]) -> str:
    """What a remote does not take, and what to do."""
    if not files:
        return ""
    named = "; ".join(f"{path}: {what}" for path, what in files[:NAMED])
    more = f"; and {len(files) - NAMED:,} more" if len(files) > NAMED else ""
    return f"Held back, because it was not taken: {named}{more}. Everything else goes out"


def _waits(each: Waiting) -> str:
    files = "1 file waits" if each.files == 1 else f"{each.files:,} files wait"
    if each.number is None:
        return f"{files} on the branch {each.branch} for a pull request that could not be opened yet"
    if each.closed:
        return (
            f"Pull request {each.number} was closed without being merged ({each.url}): its {_number(each.files)} held back. "
            "Commit by hand, or discard"
        )
    return f"{files} in pull request {each.number}: merge it, and the branch has them ({each.url})"


def _number(files: int) -> str:
    return "file is" if files == 1 else f"{files:,} files are"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
