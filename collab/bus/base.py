"""The contract Bus: hints between the parts (and later the processes) of one installation. PLUG.

A hint says that something is there to be read; it may be lost, doubled or late, and nobody may lose anything by it:
whoever hears one, or suspects that one was lost, reads the log or the events from where it stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from collab.ids import ProjectId


class Bus(Protocol):
    def publish(self, project: ProjectId, number: int) -> None:
        """Events up to `number` of `project` are in the store. Never blocks."""

    def subscribe(self, project: ProjectId) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """The newest number published since one last looked; hints that nobody took in time are coalesced."""

    def subscribe_all(self) -> AbstractAsyncContextManager[AsyncIterator[ProjectId]]:
        """Each project with news, coalesced: for the snapshotter."""

    async def aclose(self) -> None: ...
