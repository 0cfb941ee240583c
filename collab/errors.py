"""Everything that Quire raises on purpose. PURE.

    QuireError                     code, message, field
    ├── Invalid                    what was asked for cannot be (a path, a name, a body)
    │   ├── PathInvalid
    │   └── ProtocolError          a peer's bytes are malformed; says which and where
    ├── NotFound                   known to be absent; a failed read is never reported as this
    ├── Forbidden                  the actor may not
    ├── Conflict                   what was asked for contradicts what is there
    │   ├── PathTaken              another live file, directory or case twin stands there
    │   ├── Stale                  a compare-and-swap lost: what was expected is no longer so
    │   ├── Overlap                somebody changed the same lines; carries the hunks
    │   └── AnotherDocument        a peer writes under a client id that is not its own, or holds a document that is gone
    ├── TooLarge                   beyond a limit, which the message names
    ├── Lacking                    an update needs something this document does not have (yet)
    └── Unavailable                not now; may be tried again
        ├── LogFailed              a commit did not happen
        └── Quarantined            the log of this document cannot be decoded; nothing overwrites it

Every error carries a `code` (snake case, stable, for programs), a message that names what was wrong and what would be
right, and optionally the `field` it is about and `details` (a JSON object for programs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class QuireError(Exception):
    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name = code or self.code
        self.field = field
        self.details = dict(details or {})


class Invalid(QuireError):
    code = "invalid"


class PathInvalid(Invalid):
    code = "path_invalid"


class ProtocolError(Invalid):
    code = "protocol_error"


class NotFound(QuireError):
    code = "not_found"


class Forbidden(QuireError):
    code = "forbidden"


class Conflict(QuireError):
    code = "conflict"


class PathTaken(Conflict):
    code = "path_taken"


class Stale(Conflict):
    code = "stale"


class Overlap(Conflict):
    code = "overlap"


class AnotherDocument(Conflict):
    code = "another_document"


class TooLarge(QuireError):
    code = "too_large"


class Lacking(QuireError):
    code = "lacking"


class Unavailable(QuireError):
    code = "unavailable"


class LogFailed(Unavailable):
    code = "log_failed"


class Quarantined(Unavailable):
    code = "quarantined"
