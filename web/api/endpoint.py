"""What an endpoint is: declared once, and from that both routed and described.

A handler is registered with its method, path, role, and the types of its query, body and answer (msgspec structs).
Routing, decoding, the check of the role and the OpenAPI document all follow from the declaration, so that they cannot
drift apart. Unknown fields are refused by name; an absent body is `{}`; a query flag without a value is true.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from collab.errors import Invalid, TooLarge
from collab.ids import Path, ProjectId
from collab.store.base import Project
from web.idempotency import HEADER
from web.roles import Access, Role, require, require_all, require_path
from web.services import Services

API: Final = "/api/v1"
JSON_LIMIT: Final = 16_000_000
"""Bytes of a body that is JSON."""

B = TypeVar("B")
Q = TypeVar("Q")


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What may stand after the `?`."""


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a request carries as JSON."""


class NoQuery(Query):
    pass


class FilePath(Convertor[str]):
    """Everything to the end, newlines too: a path in a project."""

    regex = r"(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("file", FilePath())


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """One request, as far as the declaration knows it. `maybe_access` and `maybe_project` are None only where the
    endpoint is public, or is about no project."""

    request: Request
    services: Services
    body: B
    query: Q
    maybe_access: Access | None = None
    maybe_project: Project | None = None

    @property
    def access(self) -> Access:
        assert self.maybe_access is not None
        return self.maybe_access

    @property
    def project(self) -> Project:
        assert self.maybe_project is not None
        return self.maybe_project

    @property
    def path(self) -> Path:
        return Path(self.request.path_params["path"])

    def covers(self, path: Path) -> bool:
        """Whether whoever asks reaches this path."""
        return self.access.covers(self.project.name, path)

    @property
    def among(self) -> Callable[[Path], bool] | None:
        """Which paths whoever asks reaches; None: all."""
        return self.covers if self.access.limited_in(self.project.name) else None

    def check(self, *wanted: Path) -> None:
        """`NotFound` for a path that whoever asks does not reach."""
        for path in wanted:
            require_path(self.access, self.project.name, path)

    async def reach(self, *wanted: Path) -> None:
        """As `check`, also of where an old path leads to now."""
        self.check(*wanted)
        if self.among is not None:
            led = [await self.services.store.led_from(self.project.id, path) for path in wanted]
            self.check(*(row.path for row in led if row is not None))

    def param(self, name: str) -> str:
        return cast(str, self.request.path_params[name])


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """Below `/api/v1`, unless `root` says that it stands alone."""
    handler: Handler
    role: Role | None
    """None: public."""
    query: type[Query] = NoQuery
    body: type | None = None
    """None: none is read by the layer; `takes` says what the handler reads."""
    takes: tuple[str, ...] = ()
    """Media types of a body that the handler reads by itself."""
    takes_json: type | None = None
    """The shape of a JSON body that the handler reads by itself."""
    answer: type | None = None
    status: int = 200
    gives: tuple[str, ...] = ("application/json",)
    errors: tuple[int, ...] = ()
    root: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers that count: name, what it says."""
    secret: bool = False
    """The answer holds something that is shown once."""
    scoped: bool = False
    """Whoever reaches some paths alone may ask: the handler sees to it. A path in the address is seen to here."""
    decoder: Any = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return self.path if self.root else API + self.path

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def about(self) -> tuple[str, str]:
        """The summary and the description: the handler's docstring."""
        lines = re.sub(r"[ \t]*\n[ \t]*", "\n", (self.handler.__doc__ or "").strip()).partition("\n")
        return lines[0], lines[2].strip()


class Endpoints:
    """The endpoints of one noun."""

    def __init__(self) -> None:
        self.all: list[Endpoint] = []

    def add(
        self, method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"], path: str, *, role: Role | None, **rest: Any
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            body = rest.get("body")
            decoder = None if body is None else msgspec.json.Decoder(body)
            self.all.append(Endpoint(method=method, path=path, handler=handler, role=role, decoder=decoder, **rest))
            return handler

        return register


def routes(endpoints: Iterable[Endpoint]) -> list[Route]:
    """One route per address, in the order in which the addresses were first named."""
    by_address: dict[str, dict[str, Endpoint]] = {}
    for each in endpoints:
        methods = by_address.setdefault(each.address, {})
        if each.method in methods:
            raise ValueError(f"{each.method} {each.address} is declared twice")
        methods[each.method] = each
    return [_route(address, methods) for address, methods in by_address.items()]


def _route(address: str, methods: dict[str, Endpoint]) -> Route:
    async def serve(request: Request) -> Response:
        return await run(methods["GET" if request.method == "HEAD" else request.method], request)

    return Route(address, serve, methods=list(methods))


async def run(endpoint: Endpoint, request: Request) -> Response:
    services: Services = request.app.state.services
    access, project = None, None
    if endpoint.role is not None:
        access = await services.identity.authenticate(request)
        name = request.path_params.get("project")
        require(access, name, endpoint.role)
        _check_scope(endpoint, access, name, request.path_params.get("path"))
        project = None if name is None else await services.workspace.project(name)
    query = decode_query(endpoint.query, request.query_params.multi_items())

    async def work(request: Request) -> Response:
        body = await decode_body(endpoint, request)
        call = Call(request, services, body, query, access, project)
        answer = await endpoint.handler(call)
        return answer if isinstance(answer, Response) else json_answer(answer, endpoint.status)

    if endpoint.method == "GET" or HEADER not in request.headers:
        return await work(request)
    actor = None if access is None else access.actor.id
    scope = ProjectId("") if project is None else project.id
    return await services.once.answer(request, actor, scope, work, secret=endpoint.secret)


async def within(
    endpoint: Endpoint,
    services: Services,
    access: Access,
    request: Request,
    params: Mapping[str, str],
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """What an endpoint answers, asked within another request (by MCP): the same checks, the same errors. `params` are those
    of its address; its query and body are validated as the declaration says."""
    name = params.get("project")
    if endpoint.role is not None:
        require(access, name, endpoint.role)
        _check_scope(endpoint, access, name, params.get("path"))
    project = None if name is None else await services.workspace.project(name)
    scope = {**request.scope, "method": endpoint.method, "path_params": dict(params), "query_string": b""}
    try:
        asked = msgspec.convert(dict(query or {}), endpoint.query)
        given = None if endpoint.body is None else msgspec.convert(dict(body or {}), endpoint.body)
    except msgspec.ValidationError as error:
        raise _invalid(error, "what was asked") from error
    return await endpoint.handler(Call(Request(scope), services, given, asked, access, project))


def _check_scope(endpoint: Endpoint, access: Access, project: str | None, path: str | None) -> None:
    """Nobody who reaches some paths alone gets at others through an endpoint that was not made with him in mind."""
    if project is None:
        return
    if path is not None:
        require_path(access, project, Path(path))
    elif not endpoint.scoped:
        require_all(access, project)


def json_answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")


def decode_query(kind: type[Query], items: list[tuple[str, str]]) -> Query:
    flags = {each.name for each in msgspec.structs.fields(kind) if each.type is bool}
    values = {name: ("true" if value == "" and name in flags else value) for name, value in items}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, "the query") from error


async def decode_body(endpoint: Endpoint, request: Request) -> Any:
    if endpoint.decoder is None:
        return None
    raw = await read_body(request, JSON_LIMIT)
    return decode_json(endpoint.decoder, raw)


def decode_json(decoder: Any, raw: bytes) -> Any:
    try:
        return decoder.decode(raw or b"{}")
    except msgspec.ValidationError as error:
        raise _invalid(error, "the body") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not valid JSON: {error}", code="json_invalid") from error


_FIELD: Final = re.compile(r"at `\$\.?(.*?)`")
_UNKNOWN: Final = re.compile(r"unknown field `(.*?)`")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")


def _invalid(error: msgspec.ValidationError, where: str) -> Invalid:
    text = str(error)
    at = _FIELD.search(text)
    inner = _UNKNOWN.search(text) or _MISSING.search(text)
    names = [part for part in (at and at[1], inner and inner[1]) if part and part != "..."]
    said = _FIELD.sub("", text).rstrip(" -")
    return Invalid(f"{where} cannot be understood: {said}", field=".".join(names) or None)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; `TooLarge` as soon as it is known to be."""
    parts = [part async for part in chunks(request, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def peeked(request: Request, size: int = 16) -> tuple[Request, bytes]:
    """How the body begins, and a request that still has all of it."""
    messages: list[Message] = []
    start = b""
    while len(start) < size:
        messages.append(await request.receive())
        start += messages[-1].get("body", b"")
        if not messages[-1].get("more_body", False):
            break

    async def receive() -> Message:
        return messages.pop(0) if messages else await request.receive()

    return Request(request.scope, receive), start[:size]


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    size = 0
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise too_large(limit)
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        if chunk:
            yield chunk


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit:,} bytes, the most that this request may carry")
