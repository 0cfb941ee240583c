"""Deliveries as GitHub makes them: signed bodies with the headers that it sends."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SECRET: Final = "the-webhook-secret-of-the-tests"
NOWHERE: Final = "0" * 40


@dataclass(frozen=True)
class Delivery:
    event: str
    body: bytes
    secret: str = SECRET
    id: str = field(default_factory=lambda: f"{secrets.token_hex(4)}-{secrets.token_hex(6)}")
    algorithm: str = "sha256"

    @property
    def headers(self) -> dict[str, str]:
        signed = hmac.new(self.secret.encode(), self.body, self.algorithm).hexdigest()
        header = "X-Hub-Signature-256" if self.algorithm == "sha256" else "X-Hub-Signature"
        return {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Event": self.event,
            "X-GitHub-Delivery": self.id,
            header: f"{self.algorithm}={signed}",
        }


def repository(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "full_name": name, "private": True, "default_branch": "main"}


def delivery(event: str, payload: Mapping[str, Any], **rest: Any) -> Delivery:
    return Delivery(event, json.dumps(payload).encode(), **rest)


def push(
    number: int,
    name: str,
    before: str | None,
    after: str | None,
    *,
    branch: str = "main",
    payload: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Delivery:
    told = {
        "ref": f"refs/heads/{branch}",
        "before": before or NOWHERE,
        "after": after or NOWHERE,
        "created": before is None,
        "deleted": after is None,
        "forced": False,
        "repository": repository(number, name),
        "pusher": {"name": "bob", "email": "bob@example.org"},
        **(payload or {}),
    }
    return delivery("push", told, **rest)
