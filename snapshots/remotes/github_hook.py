"""What GitHub's webhook says, and whether GitHub said it. PURE.

A body counts only with an HMAC-SHA256 of its raw bytes under a secret of ours, in `X-Hub-Signature-256`, exactly as
`sha256=` and 64 hex digits: the older SHA-1 signature is not taken. Every secret is tried and compared in constant time, so
that how long it takes tells nothing of what was nearly right.

What it says is a hint and nothing more: which repository or which installation of the App it is about, and of a push
where the branch stood and stands. Whatever follows from it is read from GitHub itself.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qs

import msgspec

from collab.errors import Invalid

SIGNATURE: Final = "x-hub-signature-256"
EVENT: Final = "x-github-event"
DELIVERY: Final = "x-github-delivery"

LARGEST: Final = 25 << 20
"""Bytes of a body: GitHub sends none that is larger."""

FORM: Final = "application/x-www-form-urlencoded"
"""How GitHub sends it when a webhook was not set to `application/json`."""

HEADS: Final = "refs/heads/"

_SIGNED: Final = re.compile(r"sha256=([0-9a-f]{64})")
_DELIVERY: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_NOWHERE: Final = re.compile(r"0*")


@dataclass(frozen=True, slots=True)
class Push:
    """`before` and `after` are commits; None: the branch did not exist, or does not exist any more."""

    branch: str
    before: str | None
    after: str | None


Kind = Literal["push", "ping", "repository", "installation", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """`repositories`: id -> the name that each has now. `installation`: the one of the App that it came by. `whole`: it is
    about everything that the installation reaches. `said`: the event and its action, for the log."""

    kind: Kind
    said: str
    repositories: dict[int, str]
    installation: int | None = None
    whole: bool = False
    push: Push | None = None


class Checked:
    """The signature of a body while it comes in."""

    def __init__(self, given: str | None, secrets: Sequence[str]) -> None:
        """`Invalid` when it is no signature of the kind that counts."""
        match = _SIGNED.fullmatch(given or "")
        if match is None:
            raise Invalid(
                "this is not signed: give the webhook a secret on GitHub, the same as here; only X-Hub-Signature-256 "
                "counts",
                field="X-Hub-Signature-256",
            )
        self._given = match[1]
        self._expected = [hmac.new(secret.encode(), digestmod=hashlib.sha256) for secret in secrets]

    def update(self, part: bytes) -> None:
        for each in self._expected:
            each.update(part)

    def holds(self) -> bool:
        """Whether one of the secrets has signed what came in."""
        found = [hmac.compare_digest(each.hexdigest(), self._given) for each in self._expected]
        return any(found)


def delivery(given: str | None) -> str:
    """The id that GitHub gives a delivery, the same when it is sent again."""
    if not _DELIVERY.fullmatch(given or ""):
        raise Invalid("X-GitHub-Delivery names no delivery", field="X-GitHub-Delivery")
    return str(given).lower()


class _Repository(msgspec.Struct):
    id: int
    full_name: str = ""


class _Installation(msgspec.Struct):
    id: int


class _Payload(msgspec.Struct):
    """Of what GitHub sends, the little that we look at."""

    action: str = ""
    ref: str = ""
    before: str = ""
    after: str = ""
    repository: _Repository | None = None
    repositories: list[_Repository] = []
    repositories_added: list[_Repository] = []
    repositories_removed: list[_Repository] = []
    installation: _Installation | None = None


_DECODER: Final = msgspec.json.Decoder(_Payload)

_KINDS: Final[dict[str, Kind]] = {
    "push": "push",
    "ping": "ping",
    "repository": "repository",
    "installation": "installation",
    "installation_repositories": "installation",
}


def understood(event: str, body: bytes, content_type: str = "application/json") -> Hint:
    """`Invalid` when the body is none that GitHub sends."""
    kind = _KINDS.get(event, "other")
    if kind in ("ping", "other"):
        return Hint(kind=kind, said=event, repositories={})
    try:
        payload = _DECODER.decode(_json(body, content_type))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is no {event} of GitHub's: {error}") from error
    about = payload.repositories_added + payload.repositories_removed + payload.repositories
    if payload.repository is not None:
        about.append(payload.repository)
    push = _push(payload) if kind == "push" else None
    if kind == "push" and push is None:
        # A tag: no project follows those.
        kind = "other"
    return Hint(
        kind=kind,
        said=" ".join(each for each in (event, payload.action) if each),
        repositories={each.id: each.full_name for each in about},
        installation=None if payload.installation is None else payload.installation.id,
        whole=event == "installation",
        push=push,
    )


def _push(payload: _Payload) -> Push | None:
    if not payload.ref.startswith(HEADS):
        return None
    return Push(payload.ref.removeprefix(HEADS), _commit(payload.before), _commit(payload.after))


def _commit(sha: str) -> str | None:
    return None if _NOWHERE.fullmatch(sha) else sha


def _json(body: bytes, content_type: str) -> bytes:
    if content_type.partition(";")[0].strip().lower() != FORM:
        return body
    found = parse_qs(body.decode(), max_num_fields=4).get("payload", [""])
    return found[0].encode()
