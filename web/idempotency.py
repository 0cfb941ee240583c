"""`Idempotency-Key`: a write that is sent again, because its answer was lost, is answered as it was and not done again.

What it promises
1. The same key of the same actor in the same project gets the answer of its first success, for a day. Failures are not
   kept: whoever tries again tries again.
2. Two at the same time: the second waits for the first.
3. The same key for another request, one with another body included, is `Unprocessable`. A body is hashed as it is read,
   so that an upload of gigabytes needs no memory; of a multipart body the boundary does not count, because clients make
   a new one each time.
4. An answer that holds a secret is not kept; sent again, it is `Conflict`.

What breaks it: a crash after the write and before its answer was kept. Then it is done again, which for a write against
a base is a merge that changes nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import msgspec
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from collab.errors import Conflict, Invalid
from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import PutRecord, Store
from web.errors import Unprocessable

COLLECTION: Final = "answers"
HEADER: Final = "idempotency-key"
KEPT_MILLIS: Final = 24 * 3600 * 1000
BODY_LONGEST: Final = 1_000_000
"""Bytes of an answer that is kept."""
SWEPT_EVERY: Final = 3600.0
SWEPT_AT_ONCE: Final = 500

_KEY: Final = re.compile(r"[ -~]{1,255}")


class Answer(msgspec.Struct, frozen=True):
    asked: str
    at: Millis
    status: int
    media_type: str | None
    body: str | None
    """Base64; None when it held a secret."""


class Asked:
    """A request whose body is hashed while `request` is read."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self._ended = False
        self._body = hashlib.sha256()
        self._boundary = _boundary(request)
        self._tail = b""
        self.request = Request(request.scope, self._hashing)

    async def fingerprint(self) -> str:
        """Where it went and what it said, its whole body included; what nobody has read is read now."""
        while not self._ended:
            await self._hashing()
        scope = self.request.scope
        said = [self.request.headers.get(name, "").encode() for name in ("if-match", "if-none-match")]
        whole = [scope["method"].encode(), scope.get("raw_path", b""), scope["query_string"], *said]
        body = self._body.copy()
        body.update(self._tail)
        return hashlib.sha256(b"\n".join([*whole, body.digest()])).hexdigest()

    async def _hashing(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise ClientDisconnect
        self._ended = not message.get("more_body", False)
        self._hash(message.get("body", b""))
        return message

    def _hash(self, content: bytes) -> None:
        if self._boundary is None:
            self._body.update(content)
            return
        # A boundary may be cut in two by the chunks it comes in.
        whole = (self._tail + content).replace(self._boundary, b"")
        keep = min(len(whole), len(self._boundary) - 1)
        self._body.update(whole[: len(whole) - keep])
        self._tail = whole[len(whole) - keep :]


class Once:
    def __init__(self, store: Store, clock: Callable[[], Millis]) -> None:
        self._store, self._clock = store, clock
        self._under_way: dict[tuple[ProjectId, str], anyio.Event] = {}

    async def answer(
        self,
        request: Request,
        actor: ActorId | None,
        project: ProjectId,
        work: Callable[[Request], Awaitable[Response]],
        *,
        secret: bool,
    ) -> Response:
        """`work` is given the request whose body it may read."""
        given = request.headers[HEADER]
        if not _KEY.fullmatch(given):
            raise Invalid("give 1 to 255 printable ASCII characters", field="Idempotency-Key")
        key = hashlib.sha256(f"{actor}\n{given}".encode()).hexdigest()
        asked = Asked(request)
        while (waiting := self._under_way.get((project, key))) is not None:
            await waiting.wait()
        done = self._under_way[project, key] = anyio.Event()
        try:
            kept = await self._kept(project, key, asked)
            return kept or await self._first(project, key, asked, work, secret=secret)
        finally:
            del self._under_way[project, key]
            done.set()

    async def _kept(self, project: ProjectId, key: str, asked: Asked) -> Response | None:
        record = await self._store.record(COLLECTION, project, key)
        if record is None:
            return None
        answer = msgspec.json.decode(record, type=Answer)
        if answer.at + KEPT_MILLIS <= self._clock():
            return None
        if answer.asked != await asked.fingerprint():
            raise Unprocessable("this key was used for another request", field="Idempotency-Key")
        if answer.body is None:
            raise Conflict("this was done already, and its answer is shown once only", code="already_done")
        headers = {"idempotency-replayed": "true"}
        return Response(base64.b64decode(answer.body), answer.status, headers, answer.media_type)

    async def _first(
        self,
        project: ProjectId,
        key: str,
        asked: Asked,
        work: Callable[[Request], Awaitable[Response]],
        *,
        secret: bool,
    ) -> Response:
        response = await work(asked.request)
        if response.status_code >= 300 or type(response) is not Response or len(response.body) > BODY_LONGEST:
            return response
        body = None if secret else base64.b64encode(response.body).decode()
        answer = Answer(await asked.fingerprint(), self._clock(), response.status_code, response.media_type, body)
        await self._store.commit(changes=[_record(project, key, msgspec.json.encode(answer))])
        return response

    async def sweep(self) -> None:
        """Forgets what is older than a day, now and then, without end."""
        while True:
            await self.forget_old()
            await anyio.sleep(SWEPT_EVERY)

    async def forget_old(self) -> None:
        for project in [ProjectId(""), *(each.id for each in await self._store.projects())]:
            old = [
                _record(project, key, None)
                for key, value in (await self._store.records(COLLECTION, project)).items()
                if msgspec.json.decode(value, type=Answer).at + KEPT_MILLIS <= self._clock()
            ]
            for start in range(0, len(old), SWEPT_AT_ONCE):
                await self._store.commit(changes=old[start : start + SWEPT_AT_ONCE])


def _record(project: ProjectId, key: str, value: bytes | None) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=key, value=value)


def _boundary(request: Request) -> bytes | None:
    _, options = parse_options_header(request.headers.get("content-type"))
    return options.get(b"boundary") or None
