"""The HTTP interface under `/api/v1`: one module per noun, declared with `web.api.endpoint`."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from web.api import (
    admin,
    changes,
    comments,
    conflicts,
    events,
    exports,
    files,
    github,
    history,
    hooks,
    imports,
    invites,
    moves,
    policies,
    projects,
    pulls,
    reads,
    remote,
    restoring,
    schedule,
    search,
    session,
    snapshots,
    suggestions,
    system,
    tasks,
    tokens,
    turns,
)
from web.api.endpoint import Endpoint, routes

NOUNS: Final = (
    system,
    session,
    projects,
    imports,
    exports,
    files,
    reads,
    search,
    moves,
    turns,
    history,
    restoring,
    comments,
    suggestions,
    tasks,
    changes,
    events,
    snapshots,
    pulls,
    schedule,
    remote,
    conflicts,
    policies,
    tokens,
    invites,
    admin,
    github,
    hooks,
)

ENDPOINTS: Final[list[Endpoint]] = [each for noun in NOUNS for each in noun.endpoints.all]
ROUTES: Final[list[Route]] = routes(ENDPOINTS)
