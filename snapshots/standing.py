"""Where a project stands with its branch: what is not committed, and what of it is held back, why.

A round decides by it what goes out, and the status tells it. It asks the store alone, and nobody elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collab import bases, conflicts, paths
from collab.bases import Base, Changed
from collab.conflicts import FileConflict
from collab.ids import Path
from collab.store.base import Project
from collab.workspace import Workspace
from snapshots import connection, journal, offers, refused, scope
from snapshots.journal import Branch
from snapshots.offers import Offer
from snapshots.refused import Refused
from snapshots.remotes.base import GitRemote
from snapshots.telling import Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`changed` is what the own branch does not hold of what belongs there; `outside` what does not belong. `held`, the
    bases, are looked up only where something was offered elsewhere. `asks`: automatic commits are to go by a pull request."""

    project: Project
    own: str
    """The project's own branch."""
    place: str
    branch: Branch
    changed: Sequence[Changed]
    outside: Sequence[Path]
    held: Mapping[Path, Base]
    conflicts: Sequence[FileConflict]
    offers: Mapping[str, Offer]
    refused: Mapping[Path, Refused]
    asks: bool
    just_refused: frozenset[Path] = frozenset()
    """In the round that runs."""
    _names: frozenset[Path] = field(init=False)
    _documents: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", conflicts.held_back(self.conflicts))
        object.__setattr__(self, "_documents", conflicts.documents(self.conflicts))

    @property
    def rolling(self) -> Offer | None:
        return next((each for each in self.offers.values() if each.rolling), None)

    def in_conflict(self, each: Changed) -> bool:
        if each.path in self._names or (each.row is not None and each.row.id in self._documents):
            return True
        return each.base is not None and each.base.path in self._names

    def apart(self, each: Changed) -> Offer | None:
        """The pull request by which it is to go out, if somebody has asked for that."""
        names = {each.path, *([each.base.path] if each.base is not None else [])}
        for offer in self.offers.values():
            if offer.apart and not names.isdisjoint(offers.waiting(offer, self.held)):
                return offer
        return None

    def is_refused(self, each: Changed) -> bool:
        known = self.refused.get(each.path)
        row = each.row
        return known is not None and (known.sha, known.mode) == ((row.sha, row.mode) if row is not None else (None, 0))

    def offered(self, each: Changed) -> Offer | None:
        """The other branch that holds it as it stands now."""
        there = None if each.row is None else (each.row.sha, each.row.mode)
        for offer in self.offers.values():
            versions = offer.files.get(paths.show(each.path))
            if versions is not None and versions[-1].there == there:
                return offer
        return None

    def held_back(self) -> list[Refused]:
        """What was refused as it stands now."""
        return [self.refused[each.path] for each in self.changed if self.is_refused(each)]

    def waiting(self) -> list[Waiting]:
        """What waits for somebody to merge it."""
        changed = {name for each in self.changed for name in (each.path, *([each.base.path] if each.base else []))}
        found: list[Waiting] = []
        for each in self.offers.values():
            files = changed & offers.waiting(each, self.held).keys()
            if files and (each.number is not None or each.asks):
                found.append(Waiting(each.branch, len(files), each.number, each.url, each.closed))
        return found

    def uncommitted(self) -> list[Changed]:
        """What no branch holds as it stands now."""
        return [each for each in self.changed if self.offered(each) is None]


async def standing(workspace: Workspace, remote: GitRemote, project: Project) -> Standing:
    store = workspace.store
    place = offers.place(remote)
    changed, outside = scope.within(await workspace.changed(project), remote.covers)
    known = await offers.offers(store, project.id, place)
    connected = await connection.connection(store, project.id)
    return Standing(
        project=project,
        own=remote.branch,
        place=place,
        branch=await journal.branch(store, project.id) or Branch(remote.branch),
        changed=changed,
        outside=outside,
        held=await bases.bases(store, project.id) if known else {},
        conflicts=await conflicts.still_open(store, project.id),
        offers=known,
        refused=await refused.refused(store, project.id, place),
        asks=connected is not None and connected.pull_request,
    )
