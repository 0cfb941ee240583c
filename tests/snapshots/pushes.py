"""A push from a clone into a house, as the server carries it out, without HTTP between."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from collab.ids import ActorId
from collab.store.base import Change
from snapshots.mirrors import Mirrors
from snapshots.packs.entries import oid
from snapshots.packs.refs import Update
from snapshots.packs.verdict import PushLimits
from snapshots.pushing import Pushing, Wish
from snapshots.remotes.local import LocalRemote
from snapshots.remotes.quarantine import Quarantine
from snapshots.serving import Serving
from tests.snapshots.git import ENVIRONMENT, git
from tests.snapshots.house import BOB, House

NOTHING = "0" * 40


@dataclass
class Told:
    """`problems`: of the refs that did not become what they should."""

    unpacked: str
    problems: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return "".join(self.said)


def packed(clone: pathlib.Path, new: list[str], old: list[str]) -> bytes:
    """What git would send."""
    asked = "".join(f"{sha}\n" for sha in [*new, *(f"^{sha}" for sha in old)])
    return subprocess.run(
        ["git", "-C", str(clone), "pack-objects", "--stdout", "--revs", "--thin", "-q"],
        input=asked.encode(), capture_output=True, env=ENVIRONMENT, check=True,
    ).stdout  # fmt: skip


async def pushed(
    home: House,
    clone: pathlib.Path,
    *,
    refs: dict[str, str] | None = None,
    actor: ActorId = BOB,
    atomic: bool = False,
    despite: bool = False,
    step: Callable[[str], None] = lambda name: None,
    limits: PushLimits | None = None,
    pack: bytes | None = None,
    meanwhile: Callable[[], Awaitable[object]] | None = None,
) -> Told:
    """`refs`: full name -> what it is to become, as the clone calls it ("": nothing); HEAD to main when nothing is said.
    `pack` instead of what git would send. `meanwhile`: between the plan of the push and the move of the branch."""
    serving = Serving(home.remotes.local, home.remotes, Mirrors(home.root / "mirrors", LocalRemote), Quarantine.begin)
    pushing = _Interrupted(meanwhile, serving, home.snapshotter, home.store, home.bus, limits=limits, step=step)
    repository = await home.remotes.local.of(home.project)
    there = {name.decode(): target.hex() for name, target in (await repository.refs()).all.items()}
    wanted = {"refs/heads/main": "HEAD"} if refs is None else refs
    become = {name: git(clone, "rev-parse", what) if what else NOTHING for name, what in wanted.items()}
    updates = [_update(name, there.get(name, NOTHING), new) for name, new in become.items()]
    if pack is None and any(new != NOTHING for new in become.values()):
        new = [each for each in become.values() if each != NOTHING]
        known = [each for each in set(there.values()) if _has(clone, each)]
        pack = await anyio.to_thread.run_sync(packed, clone, new, known)
    incoming = await serving.incoming(home.project)
    said: list[str] = []
    try:
        if pack is not None:
            await incoming.write(pack)
        wish = Wish(
            actor=actor, updates=updates, say=said.append, page="http://quire/p/notes", atomic=atomic, despite=despite
        )
        unpacked, outcomes = await pushing.push(home.project, incoming, wish)
    finally:
        await incoming.aclose()
    return Told(unpacked, {each.ref.decode(): each.problem for each in outcomes if each.problem}, said)


class _Interrupted(Pushing):
    """Something happens when the push has been recorded."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]] | None, *rest: Any, **options: Any) -> None:
        super().__init__(*rest, **options)
        self._meanwhile = meanwhile

    async def commit(self, changes: Sequence[Change]) -> None:
        await super().commit(changes)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()


def _update(name: str, old: str, new: str) -> Update:
    return Update(name.encode(), None if old == NOTHING else oid(old), None if new == NOTHING else oid(new))


def _has(clone: pathlib.Path, sha: str) -> bool:
    done = subprocess.run(["git", "-C", str(clone), "cat-file", "-e", sha], capture_output=True, check=False)
    return done.returncode == 0
