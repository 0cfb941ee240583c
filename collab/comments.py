"""Comments on places in texts: threads that stay with what they are about.

What it promises
1. A comment is anchored to characters (collab.anchors) and kept in the catalog: nothing of it enters the document or a commit. It
   moves with its text through edits, pulls and renames; when that is gone, it stays with the file, and says so.
2. It quotes what it was made about, so that it can be read when the text is another.
3. A thread is a comment and its answers, in order; it is open or resolved as a whole.
4. Every change is told as an event (`comment`), with whoever is mentioned (`@name`).

What breaks it: a document whose log cannot be read has comments without places.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from collab import history
from collab.anchors import Anchor, Span, anchor, span
from collab.contents import Contents, is_position
from collab.errors import Conflict, Forbidden, Invalid, NotFound, Quarantined
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Position, ProjectId, fresh
from collab.order import Order, order
from collab.store.base import Emit, Event, PutRecord, Row, Store

COLLECTION: Final = "comments"
TEXT_MOST: Final = 10_000
QUOTE_MOST: Final = 500
ORDERS: Final = 64
"""Documents whose characters are remembered."""

_MENTION: Final = re.compile(r"(?<![\w@])@(\w[\w.-]{0,59})")


class Comment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`thread`: the comment that it answers; None: it begins one. `anchor` None: about the file as a whole."""

    id: str
    document: DocumentId
    text: str
    author: ActorId
    at: Millis
    on_behalf_of: ActorId | None = None
    thread: str | None = None
    anchor: Anchor | None = None
    quote: str = ""
    edited: Millis | None = None
    resolved: Millis | None = None
    resolved_by: ActorId | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """`span` None: about the file, or its text cannot be read. `text` is what stands there now."""

    comment: Comment
    row: Row
    span: Span | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Thread:
    first: Placed
    answers: tuple[Comment, ...]


class Comments:
    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents
        self._orders: OrderedDict[tuple[DocumentId, Position], tuple[Order, str]] = OrderedDict()

    async def threads(self, project: ProjectId, document: DocumentId | None = None) -> list[Thread]:
        """In the order in which they began."""
        found = await self._all(project)
        if document is not None:
            found = [each for each in found if each.document == document]
        rows = await self._store.documents(list({each.document for each in found}))
        answers: dict[str, list[Comment]] = {}
        for each in found:
            if each.thread is not None:
                answers.setdefault(each.thread, []).append(each)
        return [
            Thread(await self._placed(each, rows[each.document]), tuple(answers.get(each.id, ())))
            for each in found
            if each.thread is None and each.document in rows
        ]

    async def thread(self, project: ProjectId, id_: str) -> Thread:
        first = await self.comment(project, id_)
        answers = [each for each in await self._all(project) if each.thread == first.id]
        row = await self._store.document(first.document)
        if row is None:
            raise _unknown(id_)
        return Thread(await self._placed(first, row), tuple(answers))

    async def comment(self, project: ProjectId, id_: str) -> Comment:
        raw = await self._store.record(COLLECTION, project, id_)
        if raw is None:
            raise _unknown(id_)
        return msgspec.json.decode(raw, type=Comment)

    async def begin(
        self,
        row: Row,
        text: str,
        author: ActorId,
        now: Millis,
        *,
        on_behalf_of: ActorId | None = None,
        range_: tuple[int, int] | None = None,
        base: str | None = None,
        at: Anchor | None = None,
    ) -> Comment:
        """On a range of the text that `base` names (not given: now), in code points; or where an `at` of a Yjs client says; or on
        the file."""
        quote = ""
        if range_ is not None:
            runs, content = await self._order(row, await self._base(row, base))
            at, quote = anchor(runs, *range_), content[range_[0] : range_[1]]
        elif at is not None:
            runs, content = await self._order(row, row.head)
            place = span(runs, at)
            if place is None:
                raise Conflict(
                    "the text does not have what this comment is about (yet); try again", code="stale", field="anchor"
                )
            quote = content[place.start : place.end]
        made = Comment(
            id=fresh(), document=row.id, text=checked(text), author=author, at=now, on_behalf_of=on_behalf_of, anchor=at,
            quote=quote[:QUOTE_MOST],
        )  # fmt: skip
        await self._put(row, None, made, "begun")
        return made

    async def answer(
        self,
        project: ProjectId,
        id_: str,
        text: str,
        author: ActorId,
        now: Millis,
        *,
        on_behalf_of: ActorId | None = None,
    ) -> Comment:
        first = await self.comment(project, id_)
        made = Comment(
            id=fresh(), document=first.document, text=checked(text), author=author, at=now, on_behalf_of=on_behalf_of,
            thread=first.thread or first.id,
        )  # fmt: skip
        await self._put(await self._row(first), None, made, "answered")
        return made

    async def change(self, project: ProjectId, id_: str, text: str, author: ActorId, now: Millis) -> Comment:
        """Only one's own."""
        known = await self.comment(project, id_)
        if known.author != author:
            raise Forbidden("only whoever wrote a comment may change it")
        changed = msgspec.structs.replace(known, text=checked(text), edited=now)
        await self._put(await self._row(known), known, changed, "changed")
        return changed

    async def resolve(self, project: ProjectId, id_: str, actor: ActorId, now: Millis, *, resolved: bool) -> Comment:
        """The thread that this comment is of."""
        known = await self.comment(project, id_)
        if known.thread is not None:
            known = await self.comment(project, known.thread)
        if (known.resolved is not None) is resolved:
            return known
        changed = msgspec.structs.replace(
            known, resolved=now if resolved else None, resolved_by=actor if resolved else None
        )
        await self._put(await self._row(known), known, changed, "resolved" if resolved else "reopened", actor)
        return changed

    async def remove(self, project: ProjectId, id_: str, actor: ActorId, *, anybodys: bool) -> None:
        """One's own, or by whoever manages the project; with its answers, if it begins a thread."""
        known = await self.comment(project, id_)
        if known.author != actor and not anybodys:
            raise Forbidden("only whoever wrote a comment, or manages the project, may delete it")
        gone = [known, *(each for each in await self._all(project) if each.thread == known.id)]
        row = await self._row(known)
        records = [PutRecord(collection=COLLECTION, project=project, key=each.id, value=None) for each in gone]
        await self._store.commit(changes=[*records, Emit(_event(row, known, "deleted", actor))])

    async def _all(self, project: ProjectId) -> list[Comment]:
        found = (await self._store.records(COLLECTION, project)).values()
        return sorted((msgspec.json.decode(raw, type=Comment) for raw in found), key=lambda each: (each.at, each.id))

    async def _row(self, comment: Comment) -> Row:
        row = await self._store.document(comment.document)
        if row is None:
            raise _unknown(comment.id)
        return row

    async def _put(
        self, row: Row, known: Comment | None, made: Comment, what: str, actor: ActorId | None = None
    ) -> None:
        record = PutRecord(
            collection=COLLECTION,
            project=row.project,
            key=made.id,
            value=msgspec.json.encode(made),
            expect=None if known is None else msgspec.json.encode(known),
        )
        await self._store.commit(changes=[record, Emit(_event(row, made, what, actor or made.author))])

    async def _base(self, row: Row, base: str | None) -> Position:
        if base is None:
            return row.head
        if is_position(base):
            return Position(int(base))
        position = await self._contents.base_position(row, BlobSha(base))
        if position is None:
            raise Conflict(
                f"the version {base} is not known any more; read the file again", code="base_unknown", field="base"
            )
        return position

    async def _placed(self, comment: Comment, row: Row) -> Placed:
        if comment.anchor is None or row.kind != "text":
            return Placed(comment, row, None, None)
        try:
            runs, content = await self._order(row, row.head)
        except Quarantined:
            return Placed(comment, row, None, None)
        found = span(runs, comment.anchor)
        return Placed(comment, row, found, None if found is None else content.count("\n", 0, found.start) + 1)

    async def _order(self, row: Row, position: Position) -> tuple[Order, str]:
        key = row.id, position
        known = self._orders.get(key)
        if known is None:
            document = await history.document_at(self._store, row.id, position)
            try:
                known = Order(order(document.encode())), document.text
            finally:
                document.close()
            self._orders[key] = known
            while len(self._orders) > ORDERS:
                self._orders.popitem(last=False)
        self._orders.move_to_end(key)
        return known


def checked(text: str) -> str:
    if not text.strip() or len(text) > TEXT_MOST:
        raise Invalid(f"a comment has 1 to {TEXT_MOST:,} characters", field="text")
    return text


def mentions(text: str) -> list[str]:
    return list(dict.fromkeys(found.rstrip(".-") for found in _MENTION.findall(text)))


def state(thread: Thread) -> Literal["open", "resolved"]:
    return "open" if thread.first.comment.resolved is None else "resolved"


def _event(row: Row, comment: Comment, what: str, actor: ActorId) -> Event:
    told = {
        "comment": comment.id,
        "thread": comment.thread or comment.id,
        "what": what,
        "mentions": mentions(comment.text),
    }
    return Event(project=row.project, kind="comment", path=row.path, document=row.id, actors=(actor,), data=told)


def _unknown(id_: str) -> NotFound:
    return NotFound(f"there is no comment {id_!r} in this project", field="id")
