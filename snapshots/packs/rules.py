"""Which refs may become what. PURE.

The project's branch only goes on: it is never deleted, and never loses anything that it had. Other branches, tags and notes
are whoever's who may push; whatever else stands under `refs/` is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from snapshots.packs.refs import BRANCHES, Refs, Update, shown
from snapshots.packs.verdict import Judged

PULL_FIRST: Final = "somebody committed or pushed meanwhile: git pull, then push again"
NOT_FORWARD: Final = "non-fast-forward: what people work on is not rewritten here; git pull, then push again"
ALL_OR_NONE: Final = "another ref of this push is refused, and it was to be all or none"

# git-check-ref-format, over the whole name
_BAD: Final = re.compile(
    rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[./]|[/.]$|\.lock(/|$)",
)


def problems(updates: Sequence[Update], judged: Mapping[bytes, Judged], refs: Refs, branch: str) -> dict[bytes, str]:
    """Of each ref that may not become what it should: why."""
    found: dict[bytes, str] = {}
    seen: set[bytes] = set()
    for each in updates:
        problem = _problem(each, judged.get(each.ref), refs, BRANCHES + branch.encode())
        if each.ref in seen:
            problem = "it is named twice"
        if problem is None:
            problem = _in_the_way(each, updates, refs)
        seen.add(each.ref)
        if problem is not None:
            found[each.ref] = problem
    return found


def _problem(each: Update, judged: Judged | None, refs: Refs, branch: bytes) -> str | None:
    if not shown(each.ref):
        return "only branches, tags and notes are kept here"
    if _BAD.search(each.ref):
        return "that is no name of a ref"
    if judged is not None and judged.problem:
        return judged.problem
    if each.ref == branch and each.new is None:
        return "the project's own branch cannot be deleted"
    if refs.all.get(each.ref) != each.old:
        return PULL_FIRST if each.new is not None else "it is not what it was when you looked"
    if each.ref == branch and judged is not None and not judged.forward:
        return NOT_FORWARD
    return None


def _in_the_way(each: Update, updates: Sequence[Update], refs: Refs) -> str | None:
    """A name cannot be that of a ref and of a directory of refs at once."""
    if each.new is None:
        return None
    going = {other.ref for other in updates if other.new is None}
    coming = {other.ref for other in updates if other.new is not None}
    for name in (refs.all.keys() | coming) - going - {each.ref}:
        if name.startswith(each.ref + b"/") or each.ref.startswith(name + b"/"):
            return f"{name.decode('utf-8', 'replace')} is in the way of it"
    return None
