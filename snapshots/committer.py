"""A project's uncommitted edits -> one commit on its branch, and the bases that say so.

What it promises
1. A crash at any point, and running again, ends with exactly one commit. The order: journal the intent, make the commit
   and move the branch by compare-and-swap, record the outcome with the moved bases in one transaction. What was journalled
   and not recorded is looked for on the branch by its trailer.
2. The branch is never forced. When somebody else has moved it, the snapshot fails and keeps every edit: it is pulled first.
   What is in conflict is held back; everything else goes out.
3. Nothing changed: no journal, no commit. Only what changed is written.
4. What is committed is what the log holds at the journalled positions, byte for byte.

What breaks it: two rounds of one project at a time (the snapshotter's lock). The swaps then let one of them fail.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence, Set
from typing import Final

import msgspec

from collab import actors, bases, conflicts
from collab.bases import Changed
from collab.bus.base import Bus
from collab.errors import NotFound
from collab.ids import ActorId, BlobSha, DocumentId, Millis, Path, Position
from collab.store.base import Change as StoreChange
from collab.store.base import Emit, Event, Project, Store
from collab.workspace import Workspace
from snapshots import journal
from snapshots.journal import Branch
from snapshots.remotes.base import Author, BranchMoved, CommitSha, GitRemote, NewCommit, Remotes
from snapshots.scope import left_out, within
from snapshots.snapshot import (
    Change,
    Credit,
    Snapshot,
    base_after,
    base_before,
    change,
    credit,
    deletes,
    message,
    select,
    settled,
    trailer,
    writes,
)

Step = Callable[[str], None]

LOG_AT_ONCE: Final = 5_000
"""Entries of a log that are held at once while co-authors are counted."""

INTERRUPTED: Final = "It was interrupted before the branch was moved; its edits go out with the next commit."

QUIRE: Final = Author("Quire", "quire@localhost")


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


class Committer:
    """`step` is called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self,
        workspace: Workspace,
        remotes: Remotes,
        bus: Bus,
        *,
        clock: Callable[[], Millis],
        author: Author = QUIRE,
        step: Step = no_step,
    ) -> None:
        self._workspace = workspace
        self._store: Store = workspace.store
        self._remotes = remotes
        self._bus = bus
        self._clock = clock
        self._author = author
        self._step = step

    async def round(
        self,
        project: Project,
        *,
        given: str | None = None,
        chosen: Sequence[Path] | None = None,
        actor: ActorId = actors.QUIRE.id,
    ) -> Snapshot:
        """One snapshot, after what a crash left unfinished. `given` is the message; `chosen` the only paths."""
        await self.recover(project)
        remote = await self._remotes.of(project)
        branch = await journal.branch(self._store, project.id) or Branch(remote.branch)
        head = await remote.head()
        waiting = await conflicts.still_open(self._store, project.id)
        names, documents = conflicts.held_back(waiting), conflicts.documents(waiting)
        belongs, outside = within(await self._workspace.changed(project), remote.covers)
        changed = [each for each in belongs if not _among(each, names, documents)]
        files = [change(each) for each in select(changed, chosen)]
        if not files:
            detail = left_out(outside)
            return Snapshot(number=branch.number, at=self._clock(), state="nothing", commit=head, detail=detail)
        if head != branch.commit:
            detail = what_to_do(BranchMoved(remote.branch, journal.known(branch), head), remote)
            return Snapshot(number=branch.number, at=self._clock(), state="failed", detail=detail)
        snapshot = await self._intent(project, branch.number + 1, head, files, given, await self._author_for(actor))
        await self._begin(project, branch, snapshot)
        self._step("journalled")
        return await self._carry_out(project, remote, snapshot, actor)

    async def recover(self, project: Project) -> None:
        """Finishes, or gives up, what a crash left between the journal and the branch."""
        branch = await journal.branch(self._store, project.id)
        snapshot = await journal.snapshot(self._store, project.id, branch.number) if branch is not None else None
        if snapshot is None or snapshot.state != "running":
            return
        remote = await self._remotes.of(project)
        since = CommitSha(snapshot.parent) if snapshot.parent is not None else None
        commit = await remote.find(trailer(project.id, snapshot), since=since)
        if commit is None:
            await self._record(project, snapshot, settled(snapshot, "failed", detail=INTERRUPTED), ())
        else:
            await self._finish(project, snapshot, commit, actors.QUIRE.id)

    async def _intent(
        self,
        project: Project,
        number: int,
        head: CommitSha | None,
        files: Sequence[Change],
        given: str | None,
        author: Author,
    ) -> Snapshot:
        snapshot = Snapshot(
            number=number,
            at=self._clock(),
            state="running",
            nonce=secrets.token_hex(6),
            parent=head,
            files=tuple(files),
            authors=tuple(await self._authors(files)),
        )
        text = message(given, files, snapshot.authors, trailer(project.id, snapshot), author=author)
        return msgspec.structs.replace(snapshot, message=text)

    async def _begin(self, project: Project, branch: Branch, snapshot: Snapshot) -> None:
        known = await journal.branch(self._store, project.id)
        begun = msgspec.structs.replace(branch, number=snapshot.number)
        await self._store.commit(
            changes=[
                journal.put(project.id, snapshot, expect=None),
                journal.put_branch(project.id, begun, expect=known),
            ]
        )

    async def _carry_out(self, project: Project, remote: GitRemote, snapshot: Snapshot, actor: ActorId) -> Snapshot:
        places = {each.sha: each for each in snapshot.files if each.sha is not None}

        async def blob(sha: BlobSha) -> bytes:
            return await self._content(places[sha])

        new = NewCommit(
            parent=CommitSha(snapshot.parent) if snapshot.parent is not None else None,
            writes=writes(snapshot.files),
            deletes=deletes(snapshot.files),
            message=snapshot.message,
            author=await self._author_for(actor),
            at=snapshot.at // 1000,
        )
        try:
            made = await remote.commit(new, blob)
        except BranchMoved as moved:
            failed = settled(snapshot, "failed", detail=what_to_do(moved, remote))
            return await self._record(project, snapshot, failed, ())
        self._step("committed")
        done = await self._finish(project, snapshot, made.commit, actor)
        self._step("recorded")
        return done

    async def _finish(self, project: Project, snapshot: Snapshot, commit: CommitSha, actor: ActorId) -> Snapshot:
        """The outcome, the bases and the branch's commit, by compare-and-swap, in one transaction."""
        branch = await journal.branch(self._store, project.id)
        assert branch is not None  # it was written with the intent
        told = {"number": snapshot.number, "commit": commit, "subject": snapshot.message.partition("\n")[0]}
        moves: list[StoreChange] = [
            journal.put_branch(project.id, msgspec.structs.replace(branch, commit=commit), expect=branch),
            Emit(Event(project=project.id, kind="snapshot", actors=(actor,), data=told)),
        ]
        moves.extend(move for each in snapshot.files for move in _base_moves(project, each, commit))
        return await self._record(project, snapshot, settled(snapshot, "done", commit=commit), moves)

    async def _record(
        self, project: Project, snapshot: Snapshot, ended: Snapshot, moves: Sequence[StoreChange]
    ) -> Snapshot:
        committed = await self._store.commit(changes=[journal.put(project.id, ended, expect=snapshot), *moves])
        for event in committed.events:
            self._bus.publish(event.project, event.n)
        return ended

    async def _content(self, each: Change) -> bytes:
        row = await self._store.document(each.document)
        if row is None:
            raise NotFound(f"the document of {each.path} is gone", field="path")
        return (await self._workspace.at(row, each.position)).content

    async def _author_for(self, actor: ActorId) -> Author:
        """Who asked by hand, if they gave an e-mail; else Quire."""
        found = credit({await actors.actor(self._store, actor): 1})
        if found and found[0].email is not None:
            return Author(found[0].name, found[0].email)
        return self._author

    async def _authors(self, files: Sequence[Change]) -> list[Credit]:
        """Everybody who made entries between what the branch holds and the cut."""
        shares: Counter[ActorId] = Counter()
        for each in files:
            after = each.before[3] if each.before is not None and each.before[0] == each.document else Position(0)
            upto = each.position
            if each.sha is None:
                row = await self._store.document(each.document)
                upto = row.head if row is not None else upto
            while after < upto:
                stop = Position(min(upto, after + LOG_AT_ONCE))
                for logged in await self._store.entries(each.document, after, stop):
                    shares[logged.entry.actor] += 1
                    if logged.entry.on_behalf_of is not None:
                        shares[logged.entry.on_behalf_of] += 1
                after = stop
        who = await actors.actors(self._store, shares)
        return credit({who[actor]: share for actor, share in shares.items()})


def _base_moves(project: Project, each: Change, commit: CommitSha) -> list[StoreChange]:
    before, after = base_before(each), base_after(each, commit)
    if after is None:
        return [bases.drop(project.id, before)] if before is not None else []
    if before is not None and before.path != after.path:
        return [bases.drop(project.id, before), bases.put(project.id, after, expect=None)]
    return [bases.put(project.id, after, expect=before)]


def _among(each: Changed, names: Set[Path], documents: Set[DocumentId]) -> bool:
    if each.path in names or (each.row is not None and each.row.id in documents):
        return True
    return each.base is not None and each.base.path in names


def what_to_do(moved: BranchMoved, remote: GitRemote) -> str:
    """For people, when the branch does not stand where Quire left it."""
    place = remote.clone_command().removeprefix("git clone ")
    if moved.found is None:
        return (
            f"The branch {moved.branch} is gone from {place}; Quire committed {_short(moved.expected)} to it last. Every "
            f"edit is kept here. Put it back with: git -C {place} update-ref refs/heads/{moved.branch} {moved.expected}"
        )
    return (
        f"Somebody else moved the branch {moved.branch} to {_short(moved.found)}; Quire had left it at "
        f"{_short(moved.expected)}. Every edit is kept here, and nothing was committed: it is pulled first, and then "
        "committed on top."
    )


def _short(commit: CommitSha | None) -> str:
    return commit[:10] if commit is not None else "nothing"
