"""Whose edits a pull brings: the authors of the commits that changed each file last, as far as git says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Set

from collab import actors, paths
from collab.conflicts import FileConflict
from collab.ids import ActorId, Path
from collab.store.base import Store
from snapshots.remotes.base import CommitSha, GitRemote
from snapshots.snapshot import clean

LONGEST = 100
"""Characters of a name, as a commit has it."""

Authors = Callable[[Set[Path]], Awaitable[Mapping[Path, ActorId]]]


def of_commits(store: Store, remote: GitRemote, *, since: CommitSha | None, until: CommitSha) -> Authors:
    async def found(wanted: Set[Path]) -> Mapping[Path, ActorId]:
        told = await remote.authors(wanted, since=since, until=until)
        made = {
            each: actors.from_git(clean(each.name)[:LONGEST], clean(each.email)[:LONGEST]) for each in told.values()
        }
        new = [each for each in made.values() if await actors.actor(store, each.id) != each]
        if new:
            await store.commit(changes=[actors.put(each) for each in new])
        return {path: made[author].id for path, author in told.items()}

    return found


def but(store: Store, pusher: ActorId, inner: Authors) -> Authors:
    """Without those who are the one that pushed, by their e-mail."""

    async def found(wanted: Set[Path]) -> Mapping[Path, ActorId]:
        told = await inner(wanted)
        email = (await actors.actor(store, pusher)).email
        same = {each for each in set(told.values()) if email and _same(email, (await actors.actor(store, each)).email)}
        return {path: each for path, each in told.items() if each not in same}

    return found


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()


def of_conflicts(waiting: Iterable[FileConflict]) -> Authors:
    """As it was known when they were found."""
    sides = ((each.theirs or each.base, each.pushed_by) for each in waiting)
    known = {paths.parse(side.path): by for side, by in sides if side is not None and by is not None}

    async def found(wanted: Set[Path]) -> Mapping[Path, ActorId]:
        return {path: by for path, by in known.items() if path in wanted}

    return found
