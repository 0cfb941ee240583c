"""What a pull would do, path by path, against the live text of this moment; nothing is changed.

It is the same look, the same decisions and the same merge in a turn as the pull's own, so that it says what a pull that
began now would do. People who type afterwards may make another outcome of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from collab import paths
from collab.conflicts import ConflictKind, Policy
from collab.errors import Conflict, Quarantined
from collab.ids import Path
from collab.merge import Hunk
from snapshots import finding
from snapshots.look import Look
from snapshots.remotes.base import CommitSha
from snapshots.resolver import Decision

NAMED = 10
"""Files that a refusal names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A path that a pull would change here, or that would be in conflict: then `kind` says how, `hunks` where (of texts),
    and `policy` what would become of it. Lines count from 1 in each of the three texts."""

    path: Path
    kind: ConflictKind | None = None
    hunks: tuple[Hunk, ...] = ()
    policy: Policy = "manual"

    @property
    def clean(self) -> bool:
        return self.kind is None

    def __str__(self) -> str:
        """One line for people, such as `docs/a.md: lines 3 and 17`. Lines are those of what was pushed."""
        shown = paths.show(self.path)
        if not self.hunks:
            return f"{shown}: {self.kind or 'clean'}"
        lines = [str(each.theirs_line) for each in self.hunks]
        head, last = lines[:-1][:NAMED], lines[-1]
        return f"{shown}: lines {', '.join(head)} and {last}" if head else f"{shown}: line {last}"


@dataclass(frozen=True, slots=True)
class Plan:
    head: CommitSha
    paths: tuple[Foreseen, ...]

    @property
    def conflicts(self) -> tuple[Foreseen, ...]:
        """Those that people would have to decide."""
        return tuple(each for each in self.paths if not each.clean and each.policy == "manual")


class PushRefused(Conflict):
    """What was pushed and what is written here overlap. Nothing was changed."""

    code = "push_conflicts"

    def __init__(self, plan: Plan) -> None:
        named = "; ".join(map(str, plan.conflicts[:NAMED]))
        rest = len(plan.conflicts) - NAMED
        super().__init__(f"in conflict with what is written here: {named}{f'; and {rest} more' if rest > 0 else ''}")
        self.plan = plan


async def plan(look: Look) -> Plan:
    """`Stale` when something moved under it: look again."""
    found: list[Foreseen] = []
    for each in await look.decisions():
        known = look.open.get(finding.key(each))
        if each.do == "nothing" or (known is not None and finding.unmoved(known, each)):
            continue
        try:
            found.append(await _foreseen(look, each))
        except Quarantined:
            continue  # it is left as it is, and holds up nothing
    return Plan(look.head, tuple(sorted(found, key=lambda each: paths.to_bytes(each.path))))


async def _foreseen(look: Look, each: Decision) -> Foreseen:
    policy = look.rules.of(each.path)
    if each.do in ("conflict", "restore"):
        return Foreseen(path=each.path, kind=each.kind, policy=policy)
    if each.do != "merge":
        return Foreseen(path=each.path, policy=policy)
    assert each.ours is not None
    assert each.theirs is not None
    base = await look.committed(look.held[each.base.path]) if each.base is not None else None
    row = look.rows[each.ours.path]
    collided = await look.workspace.ingest.collision(row, base, await look.pushed(each.theirs))
    if collided is None:
        return Foreseen(path=each.path, policy=policy)
    kind = (each.kind or "modify/modify") if collided.kind == "lines" else collided.kind
    return Foreseen(path=each.path, kind=kind, hunks=collided.hunks, policy=policy)
