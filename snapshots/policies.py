"""What becomes of a conflict that nobody has looked at: rules per project and path pattern (records, collection "policies").

The first rule whose pattern means the path says it; where none does, it is `manual`: people decide. `ours` and `theirs`
decide for one side; `branch` takes theirs, and ours goes to a branch of its own, with a pull request where the host has
them. Whatever loses is kept (snapshots.settling).
"""

from __future__ import annotations

from typing import Final

import msgspec

from collab import paths
from collab.conflicts import Policy
from collab.errors import Invalid
from collab.ids import Path, ProjectId
from collab.store.base import ANY, Anything, PutRecord, Store
from snapshots import patterns

COLLECTION: Final = "policies"
KEY: Final = "rules"

MOST: Final = 100
"""Rules of a project."""


class Rule(msgspec.Struct, frozen=True):
    pattern: str
    policy: Policy


class Policies(msgspec.Struct, frozen=True):
    """In the order in which they are asked."""

    rules: tuple[Rule, ...] = ()

    def of(self, path: Path) -> Policy:
        shown = paths.show(path)
        return next((rule.policy for rule in self.rules if patterns.matches(rule.pattern, shown)), "manual")


def check(rules: tuple[Rule, ...]) -> Policies:
    """`Invalid` when one of them means nothing."""
    if len(rules) > MOST:
        raise Invalid(f"{len(rules)} rules are too many; a project has at most {MOST}", field="policies")
    for rule in rules:
        patterns.check(rule.pattern, field="pattern")
    return Policies(rules)


async def policies(store: Store, project: ProjectId) -> Policies:
    found = await store.record(COLLECTION, project, KEY)
    return Policies() if found is None else msgspec.json.decode(found, type=Policies)


def put(project: ProjectId, each: Policies, *, expect: Policies | Anything | None = ANY) -> PutRecord:
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=KEY,
        value=msgspec.json.encode(each),
        expect=msgspec.json.encode(expect) if isinstance(expect, Policies) else expect,
    )
