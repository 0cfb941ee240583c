"""The OpenAPI 3.1 document, made from the declarations of the endpoints. PURE."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from web.api.endpoint import Endpoint
from web.errors import ErrorAnswer

REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")

IDEMPOTENCY: Final = ("Idempotency-Key", "sent again with the same key, it is answered as before and not done again")

PARAMETERS: Final = {
    "project": "the project's name",
    "path": "a file's path, percent-encoded",
    "id": "the id",
    "secret": "what the invitation's link ends with",
}


def describe(endpoints: Iterable[Endpoint], version: str = "0") -> dict[str, Any]:
    every = list(endpoints)
    kinds = {
        kind for each in every for kind in (each.body, each.takes_json, each.answer, each.query) if kind is not None
    }
    schemas, components = msgspec.json.schema_components([*kinds, ErrorAnswer], ref_template=REF)
    by_kind = dict(zip([*kinds, ErrorAnswer], schemas, strict=True))
    addresses: dict[str, dict[str, Any]] = {}
    for each in every:
        address = _PARAMETER.sub(r"{\1}", each.address)
        addresses.setdefault(address, {})[each.method.lower()] = _operation(each, by_kind, components)
    queries = {kind.__name__ for kind in kinds if any(each.query is kind for each in every)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quire",
            "version": version,
            "description": "Multiplayer files for people and AI agents, backed by git.",
        },
        "paths": addresses,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "quire_session"},
            },
        },
    }


def _operation(each: Endpoint, by_kind: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    summary, description = each.about
    needed = f"Needs the role `{each.role}`." if each.role else "Public."
    operation: dict[str, Any] = {
        "operationId": each.name,
        "summary": summary,
        "description": f"{description}\n\n{needed}".strip(),
        "tags": [each.handler.__module__.rpartition(".")[2]],
        "parameters": [*_in_path(each), *_in_query(each, by_kind, components), *_in_headers(each)],
        "responses": _responses(each, by_kind),
        "security": [{"token": []}, {"session": []}] if each.role else [],
    }
    content = {media: {"schema": {"type": "string", "format": "binary"}} for media in each.takes}
    as_json = each.body or each.takes_json
    if as_json is not None:
        content = {"application/json": {"schema": by_kind[as_json]}, **content}
    if content:
        operation["requestBody"] = {"required": bool(each.takes), "content": content}
    return operation


def _in_path(each: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARAMETERS.get(name, name),
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(each.address)
    ]


def _in_query(each: Endpoint, by_kind: dict[Any, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[by_kind[each.query]["$ref"].rpartition("/")[2]]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": shape}
        for name, shape in schema["properties"].items()
    ]


def _in_headers(each: Endpoint) -> list[dict[str, Any]]:
    known = each.headers if each.method == "GET" else (*each.headers, IDEMPOTENCY)
    return [
        {"name": name, "in": "header", "required": False, "description": about, "schema": {"type": "string"}}
        for name, about in known
    ]


def _responses(each: Endpoint, by_kind: dict[Any, Any]) -> dict[str, Any]:
    def content(media: str) -> dict[str, Any]:
        schema = by_kind[each.answer] if each.answer and media == "application/json" else {"type": "string"}
        return {"schema": schema}

    failed = sorted({*each.errors, *((401, 403) if each.role else ())})
    problem = {"application/json": {"schema": by_kind[ErrorAnswer]}}
    return {
        str(each.status): {
            "description": HTTPStatus(each.status).phrase,
            "content": {media: content(media) for media in each.gives},
        },
        **{
            str(status): {"description": HTTPStatus(status).phrase, **({} if status == 304 else {"content": problem})}
            for status in failed
        },
    }
