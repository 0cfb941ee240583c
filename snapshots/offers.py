"""What was put on another branch, so that it comes to the project's own one later: records of the store (collection "offers").

Where the own branch takes no commits, or a pull request is wanted, edits go to a branch of Quire's. How that ends well

1. **What a commit of that branch stands on.** The first commit's parent is the own branch's head as it was pulled. Each
   later one has the one before it as parent; when the own branch has moved meanwhile, its head is merged as a second parent,
   and the commit's tree is that head's with everything that is offered on top. So the difference between the two branches
   is always exactly what is not yet on the own branch, whoever computes it, and nothing is ever forced.
2. **Bases.** They say what the own branch holds, and an offer is not there: they stay. When the own branch is pulled, a
   path that stands there as it was offered (its newest version, or one before it: people go on typing) takes the offered
   document and position as its base (`adopted`). That holds for a merge, a squash, a rebase, a cherry-pick: what counts is
   the content, there or in what the merge of the pull request had made, whoever has gone on from that. Where the commit that we left is known to be in what was merged, it also holds for a path that somebody went
   on with on our branch. What was typed since is then ours alone, and never a conflict with our own words.
3. **The end.** When its pull request was merged or closed, or, where there is none, when the own branch holds all of it, the
   offer is over, and the next edits begin another one, on a branch of another name if the old one is still there: after a
   squash its commits would stand in the next pull request again.
4. **Others on that branch.** Whoever merges the own branch into it ("Update branch") changes nothing of what it offers, and
   it is gone on with. Whoever commits to it keeps it: what he did comes with its pull request, and our edits go on on
   another branch.

What breaks it: a pull request that is merged by hand with other contents is what it looks like, a change by somebody else;
it is merged by lines, or becomes a conflict. A rebase leaves out what a merge commit had changed: that is offered again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import msgspec

from collab import bases, paths
from collab.bases import Base
from collab.ids import BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import ANY, Anything, PutRecord, Store
from snapshots.remotes.base import CommitSha, GitRemote, TreeEntry
from snapshots.snapshot import Change

COLLECTION: Final = "offers"

PREFIX: Final = "quire"

VERSIONS: Final = 100
"""Of one path, that are recognised when the own branch has them."""

There = tuple[BlobSha, int] | None
"""Blob and mode of what stands at a path; None: nothing does."""


class Version(msgspec.Struct, frozen=True, array_like=True):
    """What was offered of a path; without a sha its deletion. `origin`: where the document stood on the own branch."""

    document: DocumentId
    position: Position
    sha: BlobSha | None
    mode: int
    origin: str | None = None

    @property
    def there(self) -> There:
        return None if self.sha is None else (self.sha, self.mode)


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`place` is what it is meant for (`place`); `commit` where we left the branch, `onto` the commit of the own branch that
    this stands on. The last version of each path is what the branch holds."""

    branch: str
    place: str
    commit: str
    onto: str
    files: dict[str, tuple[Version, ...]] = {}
    rolling: bool = False
    """Automatic commits go on with it."""
    apart: bool = False
    """Its files go out by this pull request or by hand, and by no automatic commit."""
    asks: bool = False
    """A pull request is wanted."""
    title: str = ""
    number: int | None = None
    url: str = ""
    closed: bool = False
    """Somebody closed the pull request without merging it."""
    looked: str | None = None
    """Where the own branch stood when the pull request was looked at."""


def place(remote: GitRemote) -> str:
    """Which branch of which repository, as which project: an offer for another one is none."""
    told = remote.described()
    repository = told.get("id") or told["repository"]
    return f"{told['kind']}:{repository}@{remote.branch}:{told.get('folder', '')}"


def branch_name(project: str, number: int, nonce: str, attempt: int) -> str:
    """The plain one first; then ones that nobody else has."""
    name = re.sub(r"[^a-z0-9_-]+", "-", project).strip("-") or "edits"
    match attempt:
        case 0:
            return f"{PREFIX}/{name}"
        case 1:
            return f"{PREFIX}/{name}-{number}"
        case 2:
            return f"{PREFIX}/{name}-{number}-{nonce}"
        case _:
            # Who has a branch `quire` has none below it.
            return f"{PREFIX}-{name}-{number}-{nonce}"


def is_branch(name: str) -> bool:
    """Whether git lets a branch have this name."""
    parts = name.split("/")
    odd = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", name)
    return (
        odd is None
        and name != "@"
        and not name.startswith("-")
        and not name.endswith(".")
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
    )


# -- records -----------------------------------------------------------------------------------------------------------


async def offers(store: Store, project: ProjectId, place: str) -> dict[str, Offer]:
    """By branch."""
    found = await store.records(COLLECTION, project)
    every = (msgspec.json.decode(value, type=Offer) for value in found.values())
    return {each.branch: each for each in every if each.place == place}


async def offer(store: Store, project: ProjectId, branch: str) -> Offer | None:
    found = await store.record(COLLECTION, project, branch)
    return None if found is None else msgspec.json.decode(found, type=Offer)


def put(project: ProjectId, each: Offer, *, expect: Offer | Anything | None = ANY) -> PutRecord:
    return PutRecord(
        collection=COLLECTION,
        project=project,
        key=each.branch,
        value=msgspec.json.encode(each),
        expect=msgspec.json.encode(expect) if isinstance(expect, Offer) else expect,
    )


def drop(project: ProjectId, each: Offer) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=project, key=each.branch, value=None)


# -- what is on it -----------------------------------------------------------------------------------------------------


def stands(each: Offer) -> dict[Path, There]:
    """What the branch holds at the paths that were offered."""
    return {paths.parse(path): versions[-1].there for path, versions in each.files.items()}


def waiting(each: Offer, held: Mapping[Path, Base]) -> dict[Path, There]:
    """What it holds that the own branch does not."""
    return {path: there for path, there in stands(each).items() if there != base_there(held.get(path))}


def base_there(base: Base | None) -> There:
    return None if base is None else (base.sha, base.mode)


def merged(each: Offer, held: Mapping[Path, Base]) -> bool:
    """The own branch holds all of it."""
    return bool(each.files) and not waiting(each, held)


def outgoing(
    selected: Sequence[Change], held: Mapping[Path, Base], each: Offer | None, keep: Set[Path] = frozenset()
) -> list[Change]:
    """What has to be written on the branch so that it holds `selected` beside what the own branch does, and no more.
    What it holds at the paths to `keep` stays as it is. `each` None: it holds nothing else than the own branch."""
    if each is None:
        return list(selected)
    there = stands(each)
    found: list[Change] = []
    wanted: set[Path] = set()
    for change in selected:
        path = paths.parse(change.path)
        origin = paths.parse(change.origin) if change.origin is not None else None
        wanted |= {path, *([origin] if origin is not None else [])}
        gone = origin is not None and there.get(origin, base_there(held.get(origin))) is None
        if gone:
            change = msgspec.structs.replace(change, origin=None, change="modified" if path in there else "added")
        if there.get(path, base_there(held.get(path))) != _there(change) or change.origin is not None:
            found.append(change)
    over = (path for path in there.keys() - wanted - keep if there[path] != base_there(held.get(path)))
    found.extend(_as_before(path, there[path], held.get(path), each) for path in over)
    return sorted(found, key=lambda change: change.path)


def _as_before(path: Path, there: There, base: Base | None, each: Offer) -> Change:
    """What was offered is so no more: the path stands as the own branch has it."""
    if base is None:
        last = each.files[paths.show(path)][-1]
        return Change(path=paths.show(path), change="deleted", document=last.document, position=last.position)
    return Change(
        path=paths.show(path),
        change="added" if there is None else "modified",
        document=base.document,
        position=base.position,
        sha=base.sha,
        mode=base.mode,
    )


def _there(change: Change) -> There:
    return None if change.sha is None else (change.sha, change.mode)


def after(each: Offer, files: Iterable[Change], commit: CommitSha, onto: str | None) -> Offer:
    """The offer once a commit with these files was made; `onto`: which was merged, and whose tree it changed."""
    known = each.files
    found = dict(known) if onto is None else {}
    for change in files:
        for path, version in _versions(change):
            found[path] = (*known.get(path, ()), version)[-VERSIONS:]
    return msgspec.structs.replace(each, files=found, commit=commit, onto=onto or each.onto, closed=False)


def _versions(change: Change) -> list[tuple[str, Version]]:
    here = Version(change.document, change.position, change.sha, change.mode, change.origin)
    if change.origin is None:
        return [(change.path, here)]
    return [(change.path, here), (change.origin, Version(change.document, change.position, None, 0))]


# -- when the own branch has it ----------------------------------------------------------------------------------------


def adopted(
    project: ProjectId,
    every: Iterable[tuple[Offer, Mapping[Path, TreeEntry], bool]],
    held: Mapping[Path, Base],
    head: CommitSha,
) -> list[PutRecord]:
    """The bases of paths that the own branch held as they were offered: in the tree that its pull request's merge made, or
    in its newest one. Where an offer is known to be merged as we left it (the flag), what stands there was made from it,
    whatever it is."""
    moves: dict[Path, PutRecord] = {}
    for each, theirs, whole in every:
        for shown, versions in each.files.items():
            path = paths.parse(shown)
            found = theirs.get(path)
            version = _newer(versions, held.get(path), None if found is None else (found.sha, found.mode), whole)
            if version is not None:
                moves.update(_moves(project, path, version, held, theirs, head))
    return list(moves.values())


def _newer(versions: Sequence[Version], base: Base | None, theirs: There, whole: bool) -> Version | None:
    """The newest version that is what stands there, or was made into it; unless the own branch already had it, or a newer
    one."""
    for version in reversed(versions):
        if version.there == base_there(base):
            return None
        if version.there == theirs or whole:
            return version
    return None


def _moves(
    project: ProjectId,
    path: Path,
    version: Version,
    held: Mapping[Path, Base],
    theirs: Mapping[Path, TreeEntry],
    head: CommitSha,
) -> Mapping[Path, PutRecord]:
    before = held.get(path)
    if version.sha is None:
        return {} if before is None else {path: bases.drop(project, before)}
    now = Base(path, version.document, version.sha, version.mode, version.position, head)
    moves = {path: bases.put(project, now, expect=before)}
    origin = paths.parse(version.origin) if version.origin is not None else None
    old = held.get(origin) if origin is not None and origin not in theirs else None
    if old is not None and old.document == version.document:
        moves[old.path] = bases.drop(project, old)
    return moves
