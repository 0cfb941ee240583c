"""Whose a commit is: who is its author, and who wrote what is in it, with their share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from collab import actors
from collab.ids import ActorId, Position
from collab.store.base import Span, Store
from snapshots.remotes.base import Author
from snapshots.snapshot import Change, Credit, credit

AT_ONCE: Final = 200
"""Files whose entries are counted at once: others get their turn in between."""

QUIRE: Final = Author("Quire", "quire@localhost")


class Authorship:
    """`author` is the author of what nobody has asked for by hand."""

    def __init__(self, store: Store, author: Author = QUIRE) -> None:
        self._store = store
        self._author = author

    async def author(self, actor: ActorId) -> Author:
        """Who asked by hand, if they gave an e-mail; else Quire."""
        found = credit({await actors.actor(self._store, actor): 1})
        if found and found[0].email is not None:
            return Author(found[0].name, found[0].email)
        return self._author

    async def authors(self, files: Sequence[Change]) -> list[Credit]:
        """Everybody who made entries between what the branch holds and the cut."""
        shares: Counter[ActorId] = Counter()
        for start in range(0, len(files), AT_ONCE):
            shares.update(await self._store.shares([await self._span(each) for each in files[start : start + AT_ONCE]]))
        who = await actors.actors(self._store, shares)
        return credit({who[actor]: share for actor, share in shares.items()})

    async def _span(self, each: Change) -> Span:
        after = each.before[3] if each.before is not None and each.before[0] == each.document else Position(0)
        upto = each.position
        if each.sha is None:
            row = await self._store.document(each.document)
            upto = row.head if row is not None else upto
        return each.document, after, upto
