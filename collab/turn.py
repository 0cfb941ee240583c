"""Exclusive use of a room's document, for whoever edits it past the sockets: HTTP, pulls, undo.

`stage` changes the document in memory; `collab.rooms.Rooms.commit` makes that durable and shows it. What was staged and
not committed when the turn ends is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from collab.document import Document
from collab.ids import ActorId, Position, TurnId
from collab.store.base import Append, Entry, EntryKind, Row

if TYPE_CHECKING:
    from collab.room import Room


class Turn:
    """The document is what the log holds at `position`, until something is staged."""

    def __init__(self, room: Room, row: Row) -> None:
        self.room = room
        self.row = row
        self.entries: list[Entry] = []
        self._before: bytes | None = None

    @property
    def document(self) -> Document:
        return self.room.document

    @property
    def position(self) -> Position:
        return self.room.position

    def stage(
        self,
        *,
        actor: ActorId,
        target: str | None = None,
        meta: Mapping[str, Any] | None = None,
        on_behalf_of: ActorId | None = None,
        turn: TurnId | None = None,
    ) -> Position:
        """Edits towards the text `target`, and metadata that changed; the position that the document will have."""
        if meta is not None:
            self.entries.append(
                Entry(
                    kind=EntryKind.META,
                    actor=actor,
                    payload=msgspec.json.encode(meta),
                    on_behalf_of=on_behalf_of,
                    turn=turn,
                )
            )
        if target is not None:
            self._before = self._before or self.document.state_vector()
            novel = self.document.edit(target)
            if novel is not None:
                self.entries.append(
                    Entry(kind=EntryKind.UPDATE, actor=actor, payload=novel, on_behalf_of=on_behalf_of, turn=turn)
                )
        return Position(self.position + len(self.entries))

    def append(self) -> Append:
        return Append(document=self.room.id, entries=tuple(self.entries), expect=self.position)

    async def settle(self, head: Position) -> None:
        """What was staged is durable: tell the room."""
        entries, self.entries = self.entries, []
        await self.room.adopt(entries, head, self._before)

    async def undo(self) -> None:
        """What was staged is not to be."""
        if self.room.gone is None and any(entry.kind == EntryKind.UPDATE for entry in self.entries):
            await self.room.reread()
        self.entries = []
