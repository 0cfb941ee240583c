"""A peer for Python: an agent, a script or a test joins a file that people edit, and edits it with them.

    async with join("ws://localhost:8000/sync/notes", "docs/a.md", token=token) as room:
        print(room.text)
        await room.edit("teh", "the")
        await room.saved()

It speaks the y-websocket protocol, so that any server of that protocol will do; Quire's own tells it besides what is saved.
"""

from __future__ import annotations

from collab.peer.room import PeerClosed, Room, join
from collab.peer.stream import Stream

__all__ = ["PeerClosed", "Room", "Stream", "join"]
