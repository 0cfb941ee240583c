"""How a tool asks: in the name of whoever called, through the endpoints that HTTP has.

So the rights, the checks and the errors are the same. A refusal is an answer that a model can act on: what was wrong, what would
be right, and what to do next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from starlette.requests import Request
from starlette.responses import Response

from collab.errors import Invalid, QuireError
from web.api import ENDPOINTS
from web.api.endpoint import Endpoint, within
from web.mcp.entry import ACCESS
from web.roles import Access
from web.services import Services

BY_NAME: Final[Mapping[str, Endpoint]] = {each.name: each for each in ENDPOINTS}

NEXT: Final = {
    "overlap": "Somebody changed these lines since you read them. `hunks` has them as they are now, `sha` is the new base: "
    "make the edit again on that text.",
    "no_match": "Read the file again and copy `old` exactly from it, without line numbers; `nearest` shows similar lines.",
    "ambiguous_match": "Put more of the surrounding lines into `old`, or say `all`.",
    "base_unknown": "Read the file again and use the SHA that comes with it.",
    "blind_write": "Others work on this file: read it and send its SHA as `base`, so that your text is merged with theirs.",
    "exists": "Read it and edit it, or choose another path.",
    "not_found": "Look with list_files or search.",
    "turn_refused": "Nothing was changed. Mend what `files` names and send the whole turn again.",
    "already_undone": "There is nothing to undo.",
    "forbidden": "You may not do this; tell whoever asked you.",
    "unavailable": "Try again in a moment.",
}


class Asking:
    """One call of a tool."""

    def __init__(self, services: Services, context: Context[Any, Any]) -> None:
        self.services = services
        request = context.request_context.request
        assert request is not None  # there is no other transport
        self.access: Access = request.scope[ACCESS]
        self._request: Request = request

    def project(self, named: str | None) -> str:
        found = named or self.access.project
        if found is None:
            raise Invalid("say which project: list_projects names those that you reach", field="project")
        return found

    async def ask(
        self,
        endpoint: str,
        params: Mapping[str, str],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the endpoint of this name answers, as JSON has it."""
        found = await within(
            BY_NAME[endpoint],
            self.services,
            self.access,
            self._request,
            params,
            query=_given(query),
            body=_given(body),
        )
        if isinstance(found, Response):
            return json.loads(bytes(found.body))
        return msgspec.to_builtins(found)


def answered(value: Any, text: str | None = None) -> CallToolResult:
    """`text` is what a model reads, where the JSON would be hard to."""
    shown = text if text is not None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=shown)], structured_content=value)


def refused(error: QuireError) -> CallToolResult:
    told: dict[str, Any] = {"code": error.name, "message": error.message}
    if error.field is not None:
        told["field"] = error.field
    if error.details:
        told["details"] = msgspec.to_builtins(error.details)
    if (then := NEXT.get(error.name) or NEXT.get(error.code)) is not None:
        told["next"] = then
    text = json.dumps({"error": told}, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": told}, is_error=True
    )


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (values or {}).items() if value is not None}
