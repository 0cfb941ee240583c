"""A repository on GitHub, addressed by its name and followed by its id. ADAPTER.

A repository keeps its id when it is renamed or transferred, and somebody else may take its old name. So requests go to
the name; a redirect, a 404, or a branch that stands where nobody expected it make us ask which name the id has now. A 404
that comes out of `send` therefore is about what was asked for: the repository itself is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from collab.ids import BlobSha, Millis
from snapshots.budget import Kind
from snapshots.remotes.github_hub import Answer, Hub
from snapshots.remotes.refusals import RemoteForbidden, RemoteGone, RemoteUnreachable

MOVED: Final = frozenset({301, 302, 307, 308})

BLOBS_KNOWN: Final = 20_000
BLOBS_KEPT: Final = 6 * 3_600_000
"""How many blobs without a commit are remembered, and for how many milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What GitHub says of a repository. `may_push` is None where it does not say."""

    id: int
    name: str
    """`owner/name`."""
    default_branch: str
    clone_url: str
    archived: bool
    may_push: bool | None


class Repository:
    def __init__(self, hub: Hub, facts: Facts) -> None:
        self.hub = hub
        self.facts = facts
        self._blobs: dict[BlobSha, Millis] = {}

    def made(self, sha: BlobSha) -> None:
        """A blob is there now, though no commit names it yet."""
        self._blobs[sha] = self.hub.clock()
        if len(self._blobs) > BLOBS_KNOWN:
            del self._blobs[next(iter(self._blobs))]

    def has(self, sha: BlobSha) -> bool:
        """Whether it was made so lately that GitHub still has it."""
        at = self._blobs.get(sha)
        return at is not None and 0 <= self.hub.clock() - at < BLOBS_KEPT

    async def send(
        self,
        method: str,
        tail: str,
        *,
        kind: Kind = "read",
        again: bool = True,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`tail` follows `/repos/OWNER/NAME`."""
        name = self.facts.name
        for _ in range(2):
            answer = await self.hub.send(
                method,
                f"/repos/{name}{tail}",
                kind=kind,
                repository=str(self.facts.id),
                again=again,
                json=json,
                params=params,
                headers=headers,
            )
            if answer.status not in MOVED and answer.status != 404:
                return answer
            if (await self.follow()).name == name:
                break
            name = self.facts.name
        if answer.status in MOVED:
            raise RemoteUnreachable(f"GitHub sends requests for {name} somewhere else: it is tried again.")
        return answer

    def takes_commits(self) -> None:
        """It has just taken one, whatever it said before."""
        self.facts = replace(self.facts, archived=False, may_push=True)

    async def follow(self) -> Facts:
        """Where the repository is now, and what may be done there."""
        answer = await self.hub.send("GET", f"/repositories/{self.facts.id}")
        if not answer.ok:
            raise gone(self.facts.name)
        self.facts = _facts(answer.body)
        return self.facts

    async def verify(self) -> bool:
        """Whether the name still leads to this repository; followed when it does not."""
        answer = await self.hub.send("GET", f"/repos/{self.facts.name}")
        if answer.ok and answer.body["id"] == self.facts.id:
            self.facts = _facts(answer.body)
            return True
        await self.follow()
        return False


async def find(hub: Hub, name: str) -> Repository:
    """The repository that `owner/name` leads to today."""
    async with hub.session():
        answer = await hub.send("GET", f"/repos/{name}")
        if answer.status in MOVED and (location := answer.headers.get("location")):
            answer = await hub.send("GET", location.removeprefix(str(hub.api)))
        if not answer.ok:
            raise gone(name)
        return Repository(hub, _facts(answer.body))


def check(facts: Facts) -> None:
    """`RemoteForbidden` when commits cannot go there, by what GitHub says of it."""
    if facts.archived:
        raise archived(facts.name)
    if facts.may_push is False:
        raise read_only(facts.name)


async def may_write(repository: Repository) -> None:
    """Finds out, which for some tokens GitHub does not say: it is asked to make the empty blob, which nobody sees. An empty
    repository makes none before its first commit; there, what GitHub says is all that is known."""
    async with repository.hub.session():
        body = {"content": "", "encoding": "utf-8"}
        answer = await repository.send("POST", "/git/blobs", kind="content", json=body)
        if answer.status in (403, 404):
            check(await repository.follow())
            raise read_only(repository.facts.name)


def archived(name: str) -> RemoteForbidden:
    return RemoteForbidden(f"{name} is archived, and takes no commits: unarchive it, or connect to another one.")


def read_only(name: str) -> RemoteForbidden:
    return RemoteForbidden(f"The token may not write to {name}: give it that permission.")


def gone(name: str) -> RemoteGone:
    return RemoteGone(
        f"There is no repository {name} on GitHub, or the token may not see it: "
        "connect to another one, or give the token access."
    )


def _facts(body: Mapping[str, Any]) -> Facts:
    return Facts(
        id=body["id"],
        name=body["full_name"],
        default_branch=body["default_branch"],
        clone_url=body["clone_url"],
        archived=bool(body.get("archived")),
        may_push=(body.get("permissions") or {}).get("push"),
    )
