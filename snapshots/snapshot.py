"""A snapshot: which documents, at which positions, with which blobs, and the message of the commit that they make. PURE.

`Snapshot` is also the journal's record of it: it is written before git is touched (state `running`) and again when the
branch has been moved or has not (`done`, `failed`). Its trailer, `Quire-Snapshot: project/number/nonce`, finds the commit
again after a crash; the nonce tells it from a snapshot of the same number before a restore from backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from collab import actors, paths
from collab.actors import Actor
from collab.bases import Base, Changed, ChangeKind
from collab.ids import BlobSha, DocumentId, Millis, Path, Position, ProjectId
from snapshots.remotes.base import Author, TreeEntry

TRAILER: Final = "Quire-Snapshot"
_OURS: Final = f"{TRAILER}:".casefold()

State = Literal["running", "done", "failed", "nothing"]

LISTED: Final = 500
"""Files that a message lists; of more than these only the number is told."""

_VERBS: Final[dict[ChangeKind, str]] = {"added": "Add", "modified": "Edit", "deleted": "Delete", "renamed": "Rename"}
_SIGNS: Final[dict[ChangeKind, str]] = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R"}


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One path of a snapshot. What is deleted has no sha; `before` is the base that the path (of a rename: `origin`) had
    when the snapshot was cut, and must still have when it is recorded. Paths are as `collab.paths.show` gives them."""

    path: str
    change: ChangeKind
    document: DocumentId
    position: Position
    sha: BlobSha | None = None
    mode: int = 0
    origin: str | None = None
    before: tuple[DocumentId, BlobSha, int, Position, str] | None = None
    apart: bool = False
    """Of the base before."""


class Credit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who wrote, and how many of the log's entries."""

    name: str
    email: str | None = None
    entries: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    number: int
    at: Millis
    state: State
    nonce: str = ""
    parent: str | None = None
    commit: str | None = None
    message: str = ""
    files: tuple[Change, ...] = ()
    authors: tuple[Credit, ...] = ()
    detail: str = ""
    """Why it failed, and what to do."""
    branch: str | None = None
    """Where it went, if not to the project's own branch."""
    merges: str | None = None
    """The commit of the own branch that it merges, and whose tree its files change."""
    pull_request: int | None = None
    url: str = ""
    """Of the pull request."""
    refused: tuple[tuple[str, str], ...] = ()
    """Paths that were not taken, each with the reason (snapshots.remotes.refusals.Reason): without them it was made."""


def key(number: int) -> str:
    """In the order of numbers."""
    return f"{number:010d}"


def trailer(project: ProjectId, snapshot: Snapshot) -> str:
    return f"{TRAILER}: {project}/{snapshot.number}/{snapshot.nonce}"


def change(each: Changed) -> Change:
    row, base = each.row, each.base
    document = row.id if row is not None else base.document if base is not None else DocumentId("")
    return Change(
        path=paths.show(each.path),
        change=each.change,
        document=document,
        position=row.head if row is not None else base.position if base is not None else Position(0),
        sha=row.sha if row is not None else None,
        mode=row.mode if row is not None else 0,
        origin=paths.show(base.path) if each.change == "renamed" and base is not None else None,
        before=None if base is None else (base.document, base.sha, base.mode, base.position, base.commit),
        apart=base is not None and base.apart,
    )


def settled(snapshot: Snapshot, state: State, *, commit: str | None = None, detail: str = "") -> Snapshot:
    """As it is kept for good: what only a retry would need is left out."""
    files = tuple(msgspec.structs.replace(each, before=None, apart=False) for each in snapshot.files)
    return msgspec.structs.replace(snapshot, state=state, commit=commit, detail=detail, files=files)


def base_before(each: Change) -> Base | None:
    if each.before is None:
        return None
    return Base(paths.parse(each.origin or each.path), *each.before, apart=each.apart)


def base_after(each: Change, commit: str) -> Base | None:
    """What the branch holds at the path once the commit is made; None for what was deleted."""
    if each.sha is None:
        return None
    return Base(paths.parse(each.path), each.document, each.sha, each.mode, each.position, commit)


def writes(files: Iterable[Change]) -> dict[Path, TreeEntry]:
    return {paths.parse(each.path): TreeEntry(each.sha, each.mode) for each in files if each.sha is not None}


def deletes(files: Iterable[Change]) -> list[Path]:
    gone = [each.path if each.sha is None else each.origin for each in files]
    return [paths.parse(path) for path in gone if path is not None]


def select(changed: Sequence[Changed], chosen: Sequence[Path] | None) -> list[Changed]:
    """Those at or below the chosen paths; a rename is chosen by either of its names. What stands in the way of a chosen
    path (a file where it needs a directory, or the other way round) goes along."""
    if chosen is None:
        return list(changed)
    taken = {each.path: each for each in changed if any(_touches(each, path) for path in chosen)}
    while True:
        made = {each.path for each in taken.values() if each.row is not None}
        needed = made | {parent for path in made for parent in paths.parents(path)}
        in_the_way = {
            each.path: each
            for each in changed
            if each.path not in taken
            and any(gone in needed or not made.isdisjoint(paths.parents(gone)) for gone in _leaves(each))
        }
        if not in_the_way:
            return [each for each in changed if each.path in taken]
        taken |= in_the_way


def subject(files: Sequence[Change]) -> str:
    """`Edit docs/a.md and 3 more`; the verb is the one that fits all, else Edit."""
    first = next((each for each in files if each.change == "modified"), files[0])
    kinds = {each.change for each in files}
    verb = _VERBS[first.change] if len(kinds) == 1 else "Edit"
    name = f"{_line(first.origin or '')} to {_line(first.path)}" if first.change == "renamed" else _line(first.path)
    rest = len(files) - 1
    return f"{verb} {name} and {rest:,} more" if rest else f"{verb} {name}"


def message(
    given: str | None,
    files: Sequence[Change],
    authors: Sequence[Credit],
    trailer: str,
    *,
    author: Author | None = None,
) -> str:
    """The commit's message. A given one stands as it is; else the files are listed. `Co-authored-by:` needs an e-mail:
    who gave none is named in the text; the commit's own `author` is not named again. Nothing that is given can forge our
    trailers: they are the last paragraph, and a line that begins like ours is indented."""
    text = (given or "").strip()
    if text:
        lines = (line.rstrip() for line in _valid(text).replace("\0", "").splitlines())
        text = "\n".join(f" {line}" if line.casefold().startswith(_OURS) else line for line in lines)
    else:
        text = f"{subject(files)}\n\n{_listing(files)}"
    named = [f"Edited-by: {clean(each.name)}" for each in authors if each.email is None]
    itself = None if author is None else clean(author.email).casefold()
    trailers = [
        f"Co-authored-by: {clean(each.name)} <{clean(each.email)}>"
        for each in authors
        if each.email is not None and clean(each.email).casefold() != itself
    ]
    return "\n\n".join(part for part in (text, "\n".join(named), "\n".join([*trailers, trailer])) if part) + "\n"


def credit(shares: Mapping[Actor, int]) -> list[Credit]:
    """Who wrote most comes first. Two actors with one e-mail are one person."""
    found: dict[str, Credit] = {}
    for actor, entries in sorted(shares.items(), key=lambda share: (-share[1], share[0].id)):
        if actor.kind == "service" or actors.is_from_git(actor.id):
            continue  # what was pulled is in git, by those who wrote it
        email = clean(actor.email) if actor.email else None
        known = found.get(email or actor.id)
        sum_ = entries + (known.entries if known is not None else 0)
        name = known.name if known is not None else clean(actor.name) or str(actor.id)
        found[email or actor.id] = Credit(name=name, email=email or None, entries=sum_)
    return sorted(found.values(), key=lambda each: -each.entries)


def clean(name: str) -> str:
    """A name or an e-mail on one line of a commit, without the characters that git gives a meaning there."""
    return " ".join("".join(char if char.isprintable() else " " for char in _valid(name) if char not in "<>").split())


def _valid(text: str) -> str:
    """Without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _listing(files: Sequence[Change]) -> str:
    lines = [
        f"{_SIGNS[each.change]} {_line(each.origin)} -> {_line(each.path)}"
        if each.origin is not None
        else f"{_SIGNS[each.change]} {_line(each.path)}"
        for each in files[:LISTED]
    ]
    if len(files) > LISTED:
        lines.append(f"and {len(files) - LISTED:,} more")
    return "\n".join(lines)


def _line(path: str) -> str:
    """A path on one line, even when it holds line breaks."""
    return path if path.isprintable() else path.encode("unicode_escape").decode()


def _touches(each: Changed, path: Path) -> bool:
    names = [each.path, *([each.base.path] if each.base is not None else [])]
    return any(name == path or path in paths.parents(name) for name in names)


def _leaves(each: Changed) -> list[Path]:
    """The path that is free once this change is made."""
    if each.row is None:
        return [each.path]
    return [each.base.path] if each.change == "renamed" and each.base is not None else []
