"""Every error that leaves by HTTP: the status it gets and the one JSON shape.

    QuireError (collab.errors)
    ├── Unauthenticated        401   nobody is known behind the request (or no longer)
    ├── Unprocessable          422   well-formed, but it cannot be done to what is there
    └── PreconditionFailed     412   If-Match or If-None-Match says no

The shape is `{"error": {"code", "message", "field"?, "details"?}}`.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from collab import errors
from collab.edits import EditInvalid
from collab.errors import QuireError
from snapshots.rounds import told

log = structlog.get_logger(__name__)


class Unauthenticated(QuireError):
    code = "unauthenticated"


class Unprocessable(QuireError):
    code = "unprocessable"


class PreconditionFailed(QuireError):
    code = "precondition_failed"


class ErrorBody(msgspec.Struct, omit_defaults=True):
    code: str
    message: str
    field: str | None = None
    details: dict[str, Any] | None = None


class ErrorAnswer(msgspec.Struct):
    error: ErrorBody


STATUS: Final[tuple[tuple[type[QuireError], int], ...]] = (
    (Unauthenticated, 401),
    (Unprocessable, 422),
    (PreconditionFailed, 412),
    (EditInvalid, 422),
    (errors.Invalid, 400),
    (errors.NotFound, 404),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.Lacking, 409),
    (errors.TooLarge, 413),
    (errors.Unavailable, 503),
)

RETRY_AFTER: Final = "1"
"""Seconds, for what may be tried again."""


def status_of(error: QuireError) -> int:
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def answer(status: int, body: ErrorBody, headers: dict[str, str] | None = None) -> Response:
    try:
        content = msgspec.json.encode(ErrorAnswer(body))
    except UnicodeEncodeError:
        # A path of bytes that are not UTF-8 found its way into the message or the details.
        content = json.dumps(msgspec.to_builtins(ErrorAnswer(body))).encode()
    return Response(content, status, headers=headers, media_type="application/json")


async def on_quire_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, QuireError)
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="quire"'
    if isinstance(error, errors.Unavailable) and not isinstance(error, errors.Quarantined):
        headers["retry-after"] = RETRY_AFTER
    if status >= 500:
        log.warning("request failed", code=error.name, error=error.message)
    return answer(status, ErrorBody(error.name, error.message, error.field, error.details or None), headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router says: no such address, no such method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    if error.status_code == 404:
        message = f"there is nothing at {request.url.path}"
    elif error.status_code == 405:
        message = f"{request.method} is not possible here"
    else:
        message = error.detail
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return answer(error.status_code, ErrorBody(code, message), dict(error.headers or {}))


async def on_disconnect(request: Request, error: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=499)


async def on_forbidden_file(request: Request, error: Exception) -> Response:
    """The server may not do to its own disk what it has to."""
    log.error("request failed", exc_info=error)
    return answer(503, ErrorBody("unavailable", told(error)), {"retry-after": RETRY_AFTER})


async def on_bug(request: Request, error: Exception) -> Response:
    """The traceback goes to the log, its request's id to the caller."""
    number = request.scope.get("quire.request_id", "")
    return answer(500, ErrorBody("internal", f"something went wrong here; the log has it under request {number}"))


HANDLERS: Final[dict[Any, Any]] = {
    QuireError: on_quire_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    PermissionError: on_forbidden_file,
    Exception: on_bug,
}
