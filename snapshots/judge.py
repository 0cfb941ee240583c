"""Decides conflicts by policy: for one side, or theirs with ours put aside on a branch.

What it promises: what it cannot decide stays open, says why, and is tried again. Nothing is taken from a document that is
not what was looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from collab import actors, conflicts
from collab.conflicts import FileConflict, Policy
from collab.errors import Conflict, QuireError, Stale
from collab.store.base import Store
from snapshots.asides import Asides
from snapshots.look import Look
from snapshots.settling import Settling

log = structlog.get_logger(__name__)


class Judge:
    def __init__(self, store: Store, settling: Settling, asides: Asides, *, step: Callable[[str], None]) -> None:
        self._store = store
        self._settling = settling
        self._asides = asides
        self._step = step

    async def by_policy(self, look: Look, found: FileConflict, policy: Policy) -> None:
        """What a policy cannot decide either (another file stands in the way) stays open."""
        if policy == "manual":
            return
        if policy == "branch":
            look.aside.append(found)
            return
        try:
            await self._settling.settle(look.project, found.id, take=policy, actor=actors.QUIRE.id)
        except Conflict as error:
            await self._left_to_people(look, found, error.message)

    async def put_aside(self, look: Look) -> None:
        """Ours to a branch, all in one commit, and theirs into the documents, each if ours is still what went there."""
        if not look.aside:
            return
        try:
            aside, stood = await self._asides.put(look.project, look.head, look.aside)
        except QuireError as error:
            for found in look.aside:
                await self._left_to_people(look, found, f"Ours could not be put on a branch: {error.message}")
            return
        self._step("put aside")
        for found in look.aside:
            try:
                await self._settling.settle(
                    look.project, found.id, take="theirs", actor=actors.QUIRE.id, aside=aside, expect=stood
                )
            except Stale:
                look.again = True
            except Conflict as error:
                await self._left_to_people(look, found, error.message)

    async def _left_to_people(self, look: Look, found: FileConflict, why: str) -> None:
        log.info("left to people", project=look.project.name, path=found.path, why=why)
        if found.detail != why:
            said = msgspec.structs.replace(found, detail=why)
            await self._store.commit(changes=[conflicts.change(look.project.id, said, expect=found)])
