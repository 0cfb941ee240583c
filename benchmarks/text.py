"""Text to measure with: the same every time, no two lines alike, so that nothing can share it. PURE."""

from __future__ import annotations

import random

WORDS = tuple(
    """
    room document update state vector peer provider checkpoint snapshot merge hunk base ours theirs token origin
    keystroke cursor branch commit remote folder project workspace event turn session naïve café 文書 編集 🙂
    """.split()  # noqa: SIM905 - a list of words, not of quotes
)


def prose(size: int, seed: int) -> str:
    """About `size` bytes of UTF-8, never more."""
    chance = random.Random(seed)
    lines: list[str] = []
    room = size
    while room > 0:
        line = " ".join(chance.choices(WORDS, k=12))
        lines.append(line)
        room -= len(line.encode()) + 1
    return "\n".join(lines).encode()[: size - 1].decode(errors="ignore") + "\n"
