"""What callers give as text and must be a number, a time or a commit. PURE.

`Invalid` for whatever is none; in particular for digits that are not ASCII, for numbers that no counter of ours reaches,
and for times outside of the years 1 to 9999 in UTC.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from collab.errors import Invalid
from snapshots.remotes.base import CommitSha

LARGEST: Final = 2**63 - 1

_COMMIT: Final = re.compile(r"[0-9a-fA-F]{40}")
_POSITION: Final = re.compile(r"[0-9]{1,16}")


def whole(text: str, field: str, *, what: str = "a whole number") -> int:
    """0 to 2^63 - 1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= LARGEST):
        raise Invalid(f"{field} is {text[:40]!r}: give {what}", field=field)
    return int(text)


def within(number: int, field: str, *, what: str) -> int:
    if not 0 <= number <= LARGEST:
        raise Invalid(f"{field} is {number}: give {what}", field=field)
    return number


def clamped(digits: str) -> int:
    """Of ASCII digits, however many: what is larger than any file is all the same."""
    return int(digits) if len(digits) <= 18 else LARGEST


def moment(text: str) -> datetime.datetime | None:
    """RFC 3339, in UTC if it says no zone; None for what is no time."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def commit(at: str | None) -> CommitSha | None:
    """The commit, if `at` is one. What is none of position, commit and time is refused."""
    if at is None or _POSITION.fullmatch(at):
        return None
    if _COMMIT.fullmatch(at):
        return CommitSha(at.lower())
    if not at.isascii() or moment(at) is None:
        raise Invalid(
            f"at is {at[:60]!r}: give a position, a commit (40 hex digits) or a time such as 2026-01-31T12:00:00Z",
            field="at",
        )
    return None


OTHER_FORMS: Final = (".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")


def refuse_form(name: str) -> None:
    """Whoever names a `.tar.gz` does not want a folder of that name."""
    if name.lower().endswith(OTHER_FORMS):
        raise Invalid(
            f"an export is a .zip, a .sqlite or a folder: {name} would be none of them; name another", field="to"
        )
