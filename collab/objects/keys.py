"""What a key may be, for every adapter. PURE."""

from __future__ import annotations

import re
from typing import Final

from collab.errors import Invalid, NotFound, Stale

_PART: Final = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")
_LENGTH: Final = 1000


def check(key: str) -> str:
    if len(key) > _LENGTH or not all(_PART.match(part) and part not in (".", "..") for part in key.split("/")):
        raise Invalid(
            f"{key[:80]!r} cannot name an object: keys are parts of A-Z a-z 0-9 . _ - (at most 200), divided by /, "
            f"at most {_LENGTH} characters, and no part is . or ..",
            field="key",
        )
    return key


def absent(key: str) -> NotFound:
    return NotFound(f"there is no object {key}")


def not_as_expected(key: str) -> Stale:
    return Stale(f"the object {key} is not what was expected")
