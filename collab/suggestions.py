"""Suggestions: turns that somebody proposes and somebody else decides.

What it promises
1. What is proposed is kept as what was read (a document's position) and what it would become; nothing of it is in the file until
   it is accepted.
2. While it waits it is rebased: every look at it says what it would change now, and where it no longer applies.
3. Accepted, it is a turn of whoever proposed it, on behalf of whoever accepted it: merged, attributed, undone in one step. Single
   hunks of a text can be accepted; the others are let go.
4. It is decided once.

What breaks it: a crash between the turn and its record leaves it open; accepted again, edits that are there already are no second
edits, and a file that it made already is in its way.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from collab import edits, paths, text
from collab.contents import Contents, File
from collab.errors import Conflict, Forbidden, Invalid, NotFound, QuireError
from collab.ids import ActorId, DocumentId, Millis, Position, ProjectId, TurnId, fresh
from collab.restoring import changes
from collab.store.base import Emit, Event, Project, PutRecord, Store
from collab.turns import Turns
from collab.wish import Taken, Wish, check

COLLECTION: Final = "suggestions"

State = Literal["open", "accepted", "rejected", "withdrawn"]


class Proposed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file. `document` and `position` are what was read; without them it is to be made. `content` in base64: what it would
    become."""

    path: str
    document: DocumentId | None = None
    position: Position | None = None
    content: str | None = None
    mode: int | None = None
    to: str | None = None
    delete: bool = False


class Suggestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    author: ActorId
    at: Millis
    message: str
    files: tuple[Proposed, ...]
    on_behalf_of: ActorId | None = None
    task: str | None = None
    state: State = "open"
    decided: Millis | None = None
    decided_by: ActorId | None = None
    turn: TurnId | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What it would do now; or why it no longer applies."""

    suggestion: Suggestion
    taken: Taken | None
    refusal: QuireError | None


class Suggestions:
    def __init__(self, store: Store, contents: Contents, turns: Turns, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._contents = contents
        self._turns = turns
        self._clock = clock

    async def all(self, project: ProjectId) -> list[Suggestion]:
        """The newest first."""
        found = (await self._store.records(COLLECTION, project)).values()
        decoded = [msgspec.json.decode(raw, type=Suggestion) for raw in found]
        return sorted(decoded, key=lambda each: (each.at, each.id), reverse=True)

    async def one(self, project: ProjectId, id_: str) -> Suggestion:
        raw = await self._store.record(COLLECTION, project, id_)
        if raw is None:
            raise NotFound(f"there is no suggestion {id_!r} in this project", field="id")
        return msgspec.json.decode(raw, type=Suggestion)

    async def propose(
        self,
        project: Project,
        wishes: Sequence[Wish],
        author: ActorId,
        *,
        on_behalf_of: ActorId | None = None,
        message: str = "",
        task: str | None = None,
    ) -> Looked:
        """Refused as the turn would be."""
        check(wishes)
        files = tuple([await self._proposed(project, wish) for wish in wishes])
        made = Suggestion(
            id=fresh(),
            author=author,
            at=self._clock(),
            message=message,
            files=files,
            on_behalf_of=on_behalf_of,
            task=task,
        )
        looked = await self.look(project, made)
        if looked.refusal is not None:
            raise looked.refusal
        await self._put(project.id, None, made)
        return looked

    async def look(self, project: Project, suggestion: Suggestion) -> Looked:
        try:
            wishes = [await self._wish(each) for each in suggestion.files]
            taken = await self._turns.take(project, wishes, suggestion.author, dry_run=True)
        except (Conflict, Invalid, NotFound) as error:
            return Looked(suggestion, None, error)
        return Looked(suggestion, taken, None)

    async def accept(
        self, project: Project, id_: str, actor: ActorId, *, hunks: Mapping[str, Set[int]] | None = None
    ) -> tuple[Suggestion, Taken]:
        """`hunks`: of these paths (as proposed) only these changes, as `changes` of what was read counts them; a path that is not
        named is accepted whole."""
        known = await self._open(project.id, id_)
        wishes = [await self._wish(each, None if hunks is None else hunks.get(each.path)) for each in known.files]
        if unknown := sorted(set(hunks or ()) - {each.path for each in known.files}):
            raise Invalid(f"{unknown[0]} is not part of this suggestion", field="hunks")
        taken = await self._turns.take(
            project, wishes, known.author, on_behalf_of=actor, message=known.message, task=known.task
        )
        return await self._decide(project.id, known, "accepted", actor, taken.turn), taken

    async def reject(self, project: ProjectId, id_: str, actor: ActorId) -> Suggestion:
        return await self._decide(project, await self._open(project, id_), "rejected", actor)

    async def withdraw(self, project: ProjectId, id_: str, actor: ActorId) -> Suggestion:
        known = await self._open(project, id_)
        if known.author != actor:
            raise Forbidden("only whoever made a suggestion may withdraw it; reject it instead")
        return await self._decide(project, known, "withdrawn", actor)

    async def _open(self, project: ProjectId, id_: str) -> Suggestion:
        known = await self.one(project, id_)
        if known.state != "open":
            raise Conflict(f"this suggestion was {known.state} already", code="already_decided", field="id")
        return known

    async def _decide(
        self, project: ProjectId, known: Suggestion, state: State, actor: ActorId, turn: TurnId | None = None
    ) -> Suggestion:
        decided = msgspec.structs.replace(known, state=state, decided=self._clock(), decided_by=actor, turn=turn)
        await self._put(project, known, decided, actor)
        return decided

    async def _put(
        self, project: ProjectId, known: Suggestion | None, made: Suggestion, actor: ActorId | None = None
    ) -> None:
        record = PutRecord(
            collection=COLLECTION,
            project=project,
            key=made.id,
            value=msgspec.json.encode(made),
            expect=None if known is None else msgspec.json.encode(known),
        )
        told = {"suggestion": made.id, "state": made.state, "files": [each.path for each in made.files]}
        event = Event(project=project, kind="suggestion", actors=(actor or made.author,), data=told)
        await self._store.commit(changes=[record, Emit(event)])

    async def _proposed(self, project: Project, wish: Wish) -> Proposed:
        shown, to = paths.show(wish.path), None if wish.to is None else paths.show(wish.to)
        content = None if wish.content is None else base64.b64encode(_bytes(wish)).decode()
        row = await self._store.at_path(project.id, wish.path)
        if row is None and (wish.base is not None or wish.content is None):
            row = await self._contents.resolve(project.id, wish.path)
        if row is None or wish.create:
            return Proposed(path=shown, content=content, mode=wish.mode, to=to)
        base = await self._contents.read(row) if wish.base is None else await self._turns.base(row, wish.base)
        if wish.edits:
            content = base64.b64encode(_edited(base, wish)).decode()
        return Proposed(
            path=shown,
            document=row.id,
            position=base.row.head,
            content=content,
            mode=wish.mode,
            to=to,
            delete=wish.delete,
        )

    async def _wish(self, each: Proposed, hunks: Set[int] | None = None) -> Wish:
        to = None if each.to is None else paths.parse(each.to)
        data = None if each.content is None else base64.b64decode(each.content)
        if each.document is None or each.position is None:
            return Wish(path=paths.parse(each.path), content=data, mode=each.mode, to=to, create=True)
        row = await self._store.document(each.document)
        if row is None or row.deleted_at is not None:
            raise NotFound(f"{each.path} was deleted since", field="path")
        if hunks is not None and data is not None:
            data = _chosen((await self._contents.at(row, each.position)).content, data, hunks)
        return Wish(path=row.path, base=str(each.position), content=data, mode=each.mode, to=to, delete=each.delete)


def _bytes(wish: Wish) -> bytes:
    if not isinstance(wish.content, bytes):
        raise Invalid("a suggestion is about texts and small files", field="content")
    return wish.content


def _edited(base: File, wish: Wish) -> bytes:
    opened = text.open_bytes(base.content) if base.row.kind == "text" else None
    if opened is None:
        raise Invalid(f"{paths.show(wish.path)} is no text: propose its content as a whole", field="path")
    return text.to_bytes(edits.apply(opened[0], wish.edits), opened[1])


def _chosen(before: bytes, after: bytes, hunks: Set[int]) -> bytes:
    old, new = text.open_bytes(before), text.open_bytes(after)
    if old is None or new is None:
        raise Invalid("only of a text can some changes be accepted", field="hunks")
    found = changes(old[0], new[0])
    if unknown := sorted(hunks - set(range(len(found)))):
        raise Invalid(f"there are {len(found)} changes, numbered from 0; {unknown[0]} is none of them", field="hunks")
    lines, wanted = text.lines(old[0]), text.lines(new[0])
    pieces: list[str] = []
    at = 0
    for n, change in enumerate(found):
        pieces += lines[at : change.a0]
        pieces += wanted[change.b0 : change.b1] if n in hunks else lines[change.a0 : change.a1]
        at = change.a1
    return text.to_bytes("".join([*pieces, *lines[at:]]), new[1])
