"""What a key may be, for every adapter. PURE."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from collab.errors import Invalid, NotFound, Stale

_PART: Final = re.compile(r"[^/=][^/]*\Z")
_PART_LENGTH: Final = 200
_LENGTH: Final = 900
"""Bytes of UTF-8: S3 takes 1024, which leaves some for a prefix."""

PREFIX_LENGTH: Final = 1024 - 1 - _LENGTH
"""Bytes that an adapter may put before every key."""


def possible(key: str) -> bool:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return False
    return length <= _LENGTH and all(_possible(part) for part in key.split("/"))


def check(key: str) -> str:
    if not possible(key):
        raise Invalid(
            f"{key[:80]!r} cannot name an object: keys are printable parts (at most {_PART_LENGTH} bytes, not beginning "
            f"with =), divided by /, at most {_LENGTH} bytes, and no part is . or ..",
            field="key",
        )
    return key


def in_folder(key: str) -> str:
    """Where the object lies below a folder of objects: `a/b/name` at `a/b/=xx/name`, where `xx` comes from the name, so that no folder
    grows too large; `=` is in no key, so that an object never stands in the way of a longer one."""
    *folders, name = check(key).split("/")
    shard = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:2]
    return "/".join([*folders, f"={shard}", name])


def _possible(part: str) -> bool:
    return (
        bool(_PART.match(part))
        and part not in (".", "..")
        and part.isprintable()
        and len(part.encode()) <= _PART_LENGTH
    )


def absent(key: str) -> NotFound:
    return NotFound(f"there is no object {key}")


def not_as_expected(key: str) -> Stale:
    return Stale(f"the object {key} is not what was expected")
