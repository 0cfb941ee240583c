"""Words that nobody else types, so that a text can be asked whether one was lost or came twice. PURE."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

TOKEN = re.compile(r"\[\w+\.\d+ 😀\]")


def token(who: str, number: int) -> str:
    return f"[{who}.{number} 😀]"


@dataclass(frozen=True, slots=True)
class Verdict:
    missing: tuple[str, ...]
    doubled: tuple[str, ...]
    torn: bool
    """Something stands there that is no token."""

    @property
    def good(self) -> bool:
        return not (self.missing or self.doubled or self.torn)


def check(text: str, promised: Iterable[str]) -> Verdict:
    """What was promised is there exactly once, and so is everything else."""
    counted = Counter(TOKEN.findall(text))
    missing = tuple(sorted(each for each in promised if each not in counted))
    doubled = tuple(sorted(each for each, times in counted.items() if times > 1))
    return Verdict(missing, doubled, torn=bool(TOKEN.sub("", text).strip("\n")))
