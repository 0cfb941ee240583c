"""Who keeps the snapshots of projects in the object store: here, or in a process beside the server."""

from __future__ import annotations

from typing import Protocol

from collab.ids import ProjectId
from collab.store.base import Project
from snapshots.backroom import Backroom
from snapshots.materialiser import Made, Materialiser
from snapshots.retention import Plan, Sweeper, Swept


class Keeping(Protocol):
    """One question of a project at a time."""

    async def round(self, project: Project) -> Made:
        """See `snapshots.materialiser.Materialiser`."""

    async def plan(self, project: Project) -> Plan:
        """See `snapshots.retention.Sweeper`, as for `sweep`."""

    async def sweep(self, project: Project, plan: Plan) -> Swept: ...

    async def erase(self, project: ProjectId) -> None:
        """Everything of a project that is gone."""


class Keeper:
    """In this process."""

    def __init__(self, materialiser: Materialiser, sweeper: Sweeper) -> None:
        self._materialiser = materialiser
        self._sweeper = sweeper

    async def round(self, project: Project) -> Made:
        return await self._materialiser.round(project)

    async def plan(self, project: Project) -> Plan:
        return await self._sweeper.plan(project)

    async def sweep(self, project: Project, plan: Plan) -> Swept:
        return await self._sweeper.sweep(project, plan)

    async def erase(self, project: ProjectId) -> None:
        await self._materialiser.erase(project)


class KeeperBeside:
    """In a process of its own, so that it holds up nobody."""

    def __init__(self, backroom: Backroom) -> None:
        self._backroom = backroom

    async def round(self, project: Project) -> Made:
        made: Made = await self._backroom.ask("round", project)
        return made

    async def plan(self, project: Project) -> Plan:
        plan: Plan = await self._backroom.ask("plan", project)
        return plan

    async def sweep(self, project: Project, plan: Plan) -> Swept:
        swept: Swept = await self._backroom.ask("sweep", project, plan)
        return swept

    async def erase(self, project: ProjectId) -> None:
        await self._backroom.ask("erase", project)
