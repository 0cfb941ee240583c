"""Types for the ids that could be confused. PURE.

A `Path` is a project's path as git knows it: bytes, held as `str` with surrogate escapes where they are not UTF-8
(see `collab.paths`). A `Position` counts the entries of one document's log from 1, without gaps; 0 is the empty document.
Times are milliseconds since the Unix epoch.
"""

from __future__ import annotations

import secrets
from typing import NewType

ProjectId = NewType("ProjectId", str)
DocumentId = NewType("DocumentId", str)
ActorId = NewType("ActorId", str)
TurnId = NewType("TurnId", str)
Path = NewType("Path", str)
Position = NewType("Position", int)
ClientId = NewType("ClientId", int)
BlobSha = NewType("BlobSha", str)
Millis = NewType("Millis", int)

START = Position(0)


def fresh() -> str:
    """A new opaque id: 20 lower-case hex digits, 80 bits of them random."""
    return secrets.token_hex(10)
