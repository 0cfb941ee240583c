"""What a turn is asked for, and what is known of it afterwards. PURE.

A `Wish` is about one file. A `TurnRecord` is kept for good: it says who made a turn, when, and which positions of which
documents it lies between, so that it can be undone and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from collab import paths
from collab.edits import Replacement
from collab.errors import Invalid
from collab.ids import ActorId, DocumentId, Millis, Path, Position, TurnId
from collab.store.base import Row

FILES: Final = 1_000
"""Files of one turn."""

Kind = Literal["edited", "created", "deleted", "moved", "undeleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`edits` to what `base` names, or new `content`, or a move (`to`), also along with one of these; or it is to go
    (`delete`). `base` is the SHA that was read, or a position of the file's log. A file that is not there is made of
    `content`; `create` refuses one that is there."""

    path: Path
    base: str | None = None
    edits: Sequence[Replacement] = ()
    content: bytes | None = None
    mode: int | None = None
    to: Path | None = None
    delete: bool = False
    create: bool = False
    force: bool = False
    """Content without a base, though others are at work on the file."""
    back: DocumentId | None = None
    """A deleted document that is to stand at `path` again, with its history; and with `content`, if that is given."""


class TurnFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a turn did to a document, from the position `before` to `after`. `path` is where it stood before, `to` where it
    stood after; both as `paths.show` has them."""

    document: DocumentId
    path: str
    change: Kind
    before: Position
    after: Position
    to: str | None = None


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: TurnId
    at: Millis
    actor: ActorId
    on_behalf_of: ActorId | None = None
    message: str = ""
    task: str | None = None
    files: tuple[TurnFile, ...] = ()
    undoes: TurnId | None = None
    undone_by: TurnId | None = None


@dataclass(frozen=True, slots=True)
class Turned:
    """A file after a turn. `diff` is unified, against the text that was live; empty for what is no text."""

    row: Row
    change: Kind | Literal["unchanged"]
    rebased: bool
    diff: str


@dataclass(frozen=True, slots=True)
class Taken:
    """`turn` is None for a dry run."""

    turn: TurnId | None
    files: tuple[Turned, ...]


def check(wishes: Sequence[Wish]) -> None:
    """`Invalid` for a turn that makes no sense, whatever the files are."""
    if not wishes:
        raise Invalid("a turn needs at least one file", field="files")
    if len(wishes) > FILES:
        raise Invalid(f"{len(wishes)} files are more than one turn may change ({FILES})", field="files")
    seen: dict[Path, int] = {}
    for n, wish in enumerate(wishes):
        if (first := seen.setdefault(wish.path, n)) != n:
            raise Invalid(
                f"{paths.show(wish.path)} is there twice, as files {first} and {n}: put its edits together",
                field=f"files[{n}].path",
            )
        _check_one(wish, f"files[{n}]" if len(wishes) > 1 else "")


def _check_one(wish: Wish, place: str) -> None:
    asked = [
        name
        for name, is_asked in (
            ("edits", bool(wish.edits)),
            ("content", wish.content is not None),
            ("delete", wish.delete),
            ("back", wish.back is not None and wish.content is None),
        )
        if is_asked
    ]
    field = f"{place}.{asked[-1]}".strip(".") if asked else place or "edits"
    if len(asked) > 1:
        raise Invalid(f"{' and '.join(asked)} cannot both be done to {paths.show(wish.path)}: choose one", field=field)
    if not asked and wish.to is None:
        raise Invalid(
            f"nothing is asked of {paths.show(wish.path)}: give edits, a content, where to move it, or delete",
            field=field,
        )
    if wish.delete and wish.to is not None:
        raise Invalid("a file that is deleted cannot move: choose one", field=field)
    if wish.edits and wish.base is None:
        raise Invalid(
            "say which version the edits were made for: `base` is the SHA (or the position) that came with the text",
            field=f"{place}.base".strip("."),
        )
    if wish.create and (wish.base is not None or wish.content is None):
        raise Invalid("a file that is made has a content and no base", field=f"{place}.create".strip("."))
