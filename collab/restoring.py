"""Files as they were once, made again: what a turn would have to do.

What it promises
1. It is an edit like any other: made against the file as it is now, so that cursors survive, and undone in one step.
2. A document that was deleted since comes back with its history; one that was moved goes back to where it stood, when a folder
   or a project is restored; what was made since goes, and can be brought back.
3. Of a single file only its content is restored, or some of the changes to it.

What breaks it: what is typed between the question and the turn is merged with, or refuses the turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from collab import text
from collab.align import Budget, Change, align
from collab.contents import Contents, File
from collab.errors import Invalid
from collab.ids import BlobSha, DocumentId, Path, ProjectId
from collab.store.base import Row, Store
from collab.wish import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """A file as it was. `document` None: only its content is known."""

    path: Path
    sha: BlobSha
    mode: int
    document: DocumentId | None
    content: Callable[[], Awaitable[bytes]]


class Restoring:
    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents

    async def of_file(self, row: Row, then: Then, hunks: Set[int] | None = None) -> list[Wish]:
        """Its content alone. `hunks`: only these of the changes since, as `changes` counts them."""
        now = await self._contents.exact(row)
        if row.deleted_at is not None:
            return [Wish(path=row.path, back=row.id, content=await then.content(), mode=then.mode)]
        if (now.sha, now.mode) == (then.sha, then.mode):
            return []
        before = await then.content()
        if hunks is not None:
            before = _partly(before, await self._contents.read(row), hunks)
        return [Wish(path=row.path, base=now.sha, content=before, mode=then.mode if hunks is None else None)]

    async def of_folder(
        self, project: ProjectId, prefix: str, past: Sequence[Then], *, among: Callable[[Path], bool] | None = None
    ) -> list[Wish]:
        """All below `prefix` ("": the project), as `past` has it; of that, only the paths that `among` takes."""
        rows = await self._store.tree(project)
        live, at_path = {row.id: row for row in rows}, {row.path: row for row in rows}
        wishes: list[Wish] = []
        kept: set[DocumentId] = set()
        for then in past:
            row = live.get(then.document) if then.document is not None else at_path.get(then.path)
            if row is not None:
                kept.add(row.id)
            wishes += await self._one(then, row)
        gone = [row for row in rows if row.path.startswith(prefix) and row.id not in kept]
        gone = [row for row in gone if among is None or among(row.path)]
        return [
            *wishes,
            *[Wish(path=row.path, base=(await self._contents.exact(row)).sha, delete=True) for row in gone],
        ]

    async def _one(self, then: Then, row: Row | None) -> Iterable[Wish]:
        if row is None:
            tombstone = None if then.document is None else await self._store.document(then.document)
            content = await then.content()
            if tombstone is None:
                return [Wish(path=then.path, content=content, mode=then.mode, create=True)]
            return [Wish(path=then.path, back=tombstone.id, content=content, mode=then.mode)]
        now = await self._contents.exact(row)
        to = then.path if then.path != now.path else None
        if (now.sha, now.mode) == (then.sha, then.mode):
            return [] if to is None else [Wish(path=now.path, to=to)]
        return [Wish(path=now.path, base=now.sha, content=await then.content(), mode=then.mode, to=to)]


def changes(before: str, after: str) -> list[Change]:
    """What became of a text, by lines: numbered from 0, as `hunks` name them."""
    return align(text.lines(before), text.lines(after), Budget.for_lines(before, after))


def _partly(before: bytes, now: File, hunks: Set[int]) -> bytes:
    """The file as it is, with some of the changes since taken back."""
    opened, opened_now = text.open_bytes(before), text.open_bytes(now.content)
    if opened is None or opened_now is None:
        raise Invalid("only of a text can some changes be taken back; this is none: restore it whole", field="hunks")
    old, new = text.lines(opened[0]), text.lines(opened_now[0])
    found = changes(opened[0], opened_now[0])
    if unknown := sorted(hunks - set(range(len(found)))):
        raise Invalid(f"there are {len(found)} changes, numbered from 0; {unknown[0]} is none of them", field="hunks")
    pieces: list[str] = []
    at = 0
    for n, change in enumerate(found):
        pieces += new[at : change.b0]
        pieces += old[change.a0 : change.a1] if n in hunks else new[change.b0 : change.b1]
        at = change.b1
    return text.to_bytes("".join([*pieces, *new[at:]]), opened_now[1])
