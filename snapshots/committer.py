"""A project's uncommitted edits -> one commit, and the records that say so.

What it promises
1. A crash at any point, and running again, ends with exactly one commit. The order: journal the intent, make the commit
   and move the branch by compare-and-swap, record the outcome with the moved bases in one transaction. What was journalled
   and not recorded is looked for on the branch by its trailer.
2. The branch is never forced. When somebody else has moved it, the snapshot fails and keeps every edit: it is pulled first.
   What is in conflict is held back; everything else goes out.
3. Nothing changed: no journal, no commit. Only what changed is written.
4. What is committed is what the log holds at the journalled positions, byte for byte.
5. Files that the remote does not take are held back with the reason, and the rest goes out in the same round.
6. Where the branch takes no commits, they go to another one with one pull request, which is kept up to date
   (snapshots.offers says how that ends); by choice or on request, too.

What breaks it: two rounds of one project at a time (the snapshotter's lock). The swaps then let one of them fail.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import msgspec

from collab import actors, bases, paths
from collab.bus.base import Bus
from collab.crowd import aside
from collab.errors import Conflict, Invalid, NotFound, QuireError, Unavailable
from collab.ids import ActorId, BlobSha, Millis, Path
from collab.store.base import Change as StoreChange
from collab.store.base import Emit, Event, Project, Store
from collab.workspace import Workspace
from snapshots import journal, offers, refused, scope, telling
from snapshots.authorship import QUIRE, Authorship
from snapshots.offers import Offer
from snapshots.refused import Refused
from snapshots.remotes.base import (
    Author,
    BranchMoved,
    CommitSha,
    GitRemote,
    Hosted,
    NewCommit,
    Placed,
    Remotes,
    TreeEntry,
)
from snapshots.remotes.refusals import BranchProtected, FilesRefused
from snapshots.snapshot import (
    Change,
    Snapshot,
    base_after,
    base_before,
    change,
    deletes,
    message,
    select,
    settled,
    trailer,
    writes,
)
from snapshots.standing import Standing, standing

Step = Callable[[str], None]

INTERRUPTED: Final = "It was interrupted before the branch was moved; its edits go out with the next commit."

ROLLING_BODY: Final = "What is written in Quire comes here, and is kept up to date until this is merged."
ASKED_BODY: Final = "Made in Quire, on request."

NAMES: Final = 4
"""Branches that are tried when somebody else has the name."""


def no_step(name: str) -> None:
    """Nothing happens between the steps."""


class WishInvalid(Invalid):
    """What was asked for cannot be, and nothing has failed."""


class BranchTaken(Conflict):
    code = "branch_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for. `given` is the message; `chosen` the only paths; `branch` another branch than the project's own,
    or its own by name: then past whatever pull request is open. `by_hand`: what was refused is tried again."""

    given: str | None = None
    chosen: Sequence[Path] | None = None
    branch: str | None = None
    pull_request: bool = False
    actor: ActorId = actors.QUIRE.id
    by_hand: bool = False


AUTOMATIC: Final = Wish()


class Unasked(Enum):
    UNASKED = 0


UNASKED: Final = Unasked.UNASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where a commit goes: to the own branch, which stands at `head`, or to that of an offer."""

    remote: GitRemote
    head: CommitSha | None
    offer: Offer | None = None

    @property
    def parent(self) -> CommitSha | None:
        return CommitSha(self.offer.commit) if self.offer is not None else self.head

    @property
    def behind(self) -> bool:
        """The own branch has moved since."""
        return self.offer is not None and self.offer.onto != self.head


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """What is to be written, and on which tree: the parent's, or that of the own branch, which is merged then."""

    files: Sequence[Change]
    merges: CommitSha | None = None


class _OwnMoved(Exception):
    """The own branch was moved by a pull request that was merged just now."""

    def __init__(self, why: BranchMoved) -> None:
        super().__init__(why.message)
        self.why = why


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
        self._authorship = Authorship(self._store, author)
        self._step = step

    async def round(
        self, project: Project, wish: Wish = AUTOMATIC, *, head: CommitSha | Unasked | None = UNASKED
    ) -> Snapshot:
        """One snapshot, after what a crash left unfinished. `head`: where the branch was found just now, else it is asked."""
        await self.recover(project)
        remote = await self._remotes.of(project)
        if head is UNASKED:
            head = await remote.head()
        stand = await standing(self._workspace, remote, project)
        known = journal.known(stand.branch)
        if head is None and known is not None and wish.branch == remote.branch:
            with suppress(NotFound):  # the commit is lost as well
                head = await remote.begin(known)  # it was asked for by its name
        if head != known:
            if not _outgoing(stand, _Way(remote=remote, head=head), wish, self._clock()).files:
                return self._nothing(stand, head)
            return self._moved(stand, remote, BranchMoved(remote.branch, known, head))
        try:
            stand = await self._tend(stand, remote, head)
            return await self._send(stand, remote, head, wish)
        except _OwnMoved as moved:
            return self._moved(stand, remote, moved.why)

    async def recover(self, project: Project) -> None:
        """Finishes, or gives up, what a crash left between the journal and the branch."""
        branch = await journal.branch(self._store, project.id)
        snapshot = await journal.snapshot(self._store, project.id, branch.number) if branch is not None else None
        if snapshot is None or snapshot.state != "running":
            return
        own = await self._remotes.of(project)
        remote = own if snapshot.branch is None else own.on(snapshot.branch)
        since = CommitSha(snapshot.parent) if snapshot.parent is not None else None
        commit = await remote.find(trailer(project.id, snapshot), since=since)
        if commit is None:
            await self._record(project, snapshot, settled(snapshot, "failed", detail=INTERRUPTED), ())
        else:
            await self._finish(project, snapshot, commit, actors.QUIRE.id)

    async def adopt(self, project: Project) -> None:
        """Before the own branch is pulled: what it holds now as it was offered becomes the base."""
        remote = await self._remotes.of(project)
        known = await offers.offers(self._store, project.id, offers.place(remote))
        if not any(each.files for each in known.values()):
            return
        head = await remote.head()
        if head is None or head == journal.known(await journal.branch(self._store, project.id)):
            return
        held = await bases.bases(self._store, project.id)
        every = [await self._brought(remote, head, each) for each in known.values() if each.files]
        moves = offers.adopted(project.id, every, held, head)
        if moves:
            await self._store.commit(changes=moves)
            self._step("offer adopted")

    async def _brought(
        self, remote: GitRemote, head: CommitSha, offer: Offer
    ) -> tuple[Offer, Mapping[Path, TreeEntry], bool]:
        """With the tree in which it came to the own branch, and whether it is known to be in that as we left it: because
        that stands on it, or is the pull request's very tree (a squash). A rebase leaves out what a merge commit had
        changed."""
        ours = CommitSha(offer.commit)
        if await remote.contains(head, ours):
            return offer, await remote.tree(head), True
        hosted = remote.hosted
        found = await hosted.pull_request(offer.number) if hosted is not None and offer.number is not None else None
        if found is None or found.state != "merged" or found.head is None or found.merged is None:
            return offer, await remote.tree(head), False
        if not await remote.contains(head, found.merged):
            return offer, await remote.tree(head), False  # somebody has rewritten the branch since
        same = await remote.tree_sha(found.merged) == await remote.tree_sha(found.head)
        whole = same and await remote.contains(found.head, ours)
        return offer, await remote.tree(found.merged), whole

    # -- where it goes -----------------------------------------------------------------------------------------------

    async def _send(self, stand: Standing, remote: GitRemote, head: CommitSha | None, wish: Wish) -> Snapshot:
        """Another way, or fewer files, as often as the remote refuses."""
        stand, way = await self._way(stand, remote, head, wish)
        snapshot: Snapshot | None = None
        attempt = 0
        while True:
            out = await aside(len(stand.changed), _outgoing, stand, way, wish, self._clock())
            if not out.files:
                return await self._asked(stand, remote, way, wish, await self._empty(stand, head, snapshot))
            snapshot = await self._intent(stand, way, wish, out, snapshot)
            self._step("journalled")
            try:
                made = await self._commit(way, snapshot, wish)
            except FilesRefused as error:
                stand = await self._hold_back(stand, snapshot, error)
            except BranchProtected as error:
                if way.offer is not None or remote.hosted is None or head is None:
                    return await self._failed(stand, snapshot, error.message)
                offer = stand.rolling or self._begin(stand, head, AUTOMATIC, 0)
                stand, way = await self._onto(stand, remote, head, offer)
            except BranchMoved as error:
                if way.offer is None:
                    return await self._failed(stand, snapshot, what_to_do(error, remote))
                attempt += 1
                stand, way = await self._elsewhere(stand, remote, way, error, wish, attempt)
            else:
                self._step("committed")
                done = await self._finish(stand.project, snapshot, made, wish.actor)
                self._step("recorded")
                return await self._asked(stand, remote, way, wish, done)

    async def _way(
        self, stand: Standing, remote: GitRemote, head: CommitSha | None, wish: Wish
    ) -> tuple[Standing, _Way]:
        own = _Way(remote=remote, head=head)
        _check(wish, remote, head)
        if head is None or wish.branch == remote.branch:
            return stand, own
        if wish.branch is not None or wish.pull_request:
            return await self._asked_for(stand, remote, head, wish)
        rolling = stand.rolling
        news = rolling is not None and _outgoing(stand, replace(own, offer=rolling), wish, self._clock()).files
        if rolling is not None and (news or wish.by_hand):
            stand = await self._look_at(stand, remote, head, rolling, on=True)
            rolling = stand.rolling
        if rolling is None and not (stand.asks and remote.hosted is not None):
            return stand, own
        return await self._onto(stand, remote, head, rolling or self._begin(stand, head, wish, 0))

    async def _asked_for(
        self, stand: Standing, remote: GitRemote, head: CommitSha, wish: Wish
    ) -> tuple[Standing, _Way]:
        """The branch that somebody named, or one for the pull request that he wants."""
        offer = stand.offers.get(wish.branch) if wish.branch is not None else None
        if offer is None:
            offer = self._begin(stand, head, wish, 1)
        elif wish.pull_request and not offer.asks:
            offer = msgspec.structs.replace(offer, asks=True, apart=True, title=_title(wish, offer.title))
        return await self._onto(stand, remote, head, offer)

    def _begin(self, stand: Standing, head: CommitSha, wish: Wish, attempt: int) -> Offer:
        """An offer on a branch that is not there yet."""
        by_hand = wish.branch is not None or wish.pull_request
        name = wish.branch
        while name is None or (wish.branch is None and name in stand.offers):
            name = offers.branch_name(stand.project.name, stand.branch.number + 1, secrets.token_hex(3), attempt)
            attempt += 1
        return Offer(
            branch=name,
            place=stand.place,
            commit=head,
            onto=head,
            rolling=not by_hand,
            apart=wish.pull_request,
            asks=wish.pull_request or not by_hand,
            title=_title(wish, f"Edits of {stand.project.name}"),
        )

    async def _onto(self, stand: Standing, remote: GitRemote, head: CommitSha, offer: Offer) -> tuple[Standing, _Way]:
        held = stand.held or await bases.bases(self._store, stand.project.id)
        stand = replace(stand, held=held, offers={**stand.offers, offer.branch: offer})
        return stand, _Way(remote=remote.on(offer.branch), head=head, offer=offer)

    async def _elsewhere(
        self, stand: Standing, remote: GitRemote, way: _Way, moved: BranchMoved, wish: Wish, attempt: int
    ) -> tuple[Standing, _Way]:
        """Somebody else has the branch, or took it away."""
        offer, head = way.offer, way.head
        assert offer is not None  # the own branch is pulled first
        assert head is not None
        if moved.found is not None and offer.files:
            same = await self._updated(remote, offer, head, moved.found)
            if same is not None:
                return await self._onto(stand, remote, head, same)
        if moved.found is not None and wish.branch == offer.branch:
            raise BranchTaken(
                f"the branch {offer.branch} holds commits of somebody else: choose another name", field="branch"
            )
        if attempt > NAMES:
            raise Unavailable(f"somebody else keeps taking the branches that our edits go to: {moved.message}")
        rest = {name: each for name, each in stand.offers.items() if name != offer.branch}
        if moved.found is not None and offer.files:
            # His commits, and ours below them, come with its pull request.
            left = msgspec.structs.replace(offer, rolling=False, apart=False)
            await self._store.commit(changes=[offers.put(stand.project.id, left)])
            rest[offer.branch] = left
        else:
            await self._store.commit(changes=[offers.drop(stand.project.id, offer)])
        taken = replace(stand, offers={**rest, **({offer.branch: offer} if moved.found is not None else {})})
        fresh = self._begin(taken, head, wish if wish.branch == offer.branch else AUTOMATIC, attempt)
        fresh = msgspec.structs.replace(
            fresh, rolling=offer.rolling, apart=offer.apart, asks=offer.asks, title=offer.title
        )
        return await self._onto(replace(stand, offers=rest), remote, head, fresh)

    async def _updated(self, remote: GitRemote, offer: Offer, head: CommitSha, found: CommitSha) -> Offer | None:
        """The offer as it stands now, when somebody has merged the own branch into it and no more: what it holds beside that
        is what we had put there. Else None."""
        if not await remote.contains(found, CommitSha(offer.commit)):
            return None
        onto = head if await remote.contains(found, head) else CommitSha(offer.onto)
        theirs, own = await remote.tree(found), await remote.tree(onto)
        beside = {path: theirs.get(path) for path in theirs.keys() | own.keys() if theirs.get(path) != own.get(path)}
        ours = {path: None if there is None else TreeEntry(*there) for path, there in offers.stands(offer).items()}
        if beside != {path: entry for path, entry in ours.items() if entry != own.get(path)}:
            return None
        return msgspec.structs.replace(offer, commit=found, onto=onto)

    # -- what becomes of what was offered ----------------------------------------------------------------------------

    async def _tend(self, stand: Standing, remote: GitRemote, head: CommitSha | None) -> Standing:
        """Looks at every pull request when the own branch has moved: is it merged?"""
        for offer in list(stand.offers.values()):
            if head is not None and offer.files and offer.looked != head:
                stand = await self._look_at(stand, remote, head, offer)
        return stand

    async def _look_at(
        self, stand: Standing, remote: GitRemote, head: CommitSha, offer: Offer, *, on: bool = False
    ) -> Standing:
        """`on`: there is more to offer, and a closed pull request is over; until then nobody opens it again."""
        if not offer.files:
            return stand
        state = await self._state(stand, remote, offer)
        if state == "merged" and offers.waiting(offer, stand.held) and (now := await remote.head()) != head:
            # It was merged just now: what it brought is pulled first, while we know what we had offered.
            raise _OwnMoved(BranchMoved(remote.branch, head, now))
        rest = {name: each for name, each in stand.offers.items() if name != offer.branch}
        if state == "merged" or (state == "closed" and (on or not _matters(stand, offer))):
            await self._store.commit(changes=[offers.drop(stand.project.id, offer)])
            return replace(stand, offers=rest)
        looked = msgspec.structs.replace(offer, looked=head, closed=state == "closed")
        await self._store.commit(changes=[offers.put(stand.project.id, looked)])
        return replace(stand, offers={**rest, offer.branch: looked})

    async def _state(self, stand: Standing, remote: GitRemote, offer: Offer) -> str:
        if offer.number is None or remote.hosted is None:
            return "merged" if offers.merged(offer, stand.held) else "open"
        found = await remote.hosted.pull_request(offer.number)
        return "closed" if found is None else found.state

    async def _asked(self, stand: Standing, remote: GitRemote, way: _Way, wish: Wish, done: Snapshot) -> Snapshot:
        """With its pull request. Whatever wants one and has none gets it: a process may have died in between."""
        known = await offers.offers(self._store, stand.project.id, stand.place)
        for offer in known.values():
            missing = offer.number is None or (offer.closed and wish.branch == offer.branch)
            if offer.asks and offer.files and missing and remote.hosted is not None:
                known = {**known, offer.branch: await self._open(stand, remote.hosted, offer, way.head)}
        if way.offer is None or (offered := known.get(way.offer.branch)) is None:
            return done
        told = msgspec.structs.replace(done, branch=offered.branch, pull_request=offered.number, url=offered.url)
        if done.state == "done":
            await self._store.commit(changes=[journal.put(stand.project.id, told, expect=done)])
        return told

    async def _open(self, stand: Standing, hosted: Hosted, offer: Offer, head: CommitSha | None) -> Offer:
        body = ROLLING_BODY if offer.rolling else ASKED_BODY
        try:
            opened = await hosted.ensure_pull_request(offer.branch, stand.own, offer.title, body)
        except QuireError as error:
            error.message = f"The edits are on the branch {offer.branch}, without a pull request yet. {error.message}"
            raise
        self._step("pull request opened")
        now = msgspec.structs.replace(offer, number=opened.number, url=opened.url, closed=False, looked=head)
        await self._store.commit(changes=[offers.put(stand.project.id, now, expect=offer)])
        self._step("pull request recorded")
        return now

    # -- one commit --------------------------------------------------------------------------------------------------

    def _nothing(self, stand: Standing, head: CommitSha | None) -> Snapshot:
        return Snapshot(
            number=stand.branch.number,
            at=self._clock(),
            state="nothing",
            commit=head,
            detail=telling.detail(outside=scope.left_out(stand.outside)),
            refused=_refusals(stand),
        )

    def _moved(self, stand: Standing, remote: GitRemote, moved: BranchMoved) -> Snapshot:
        detail = what_to_do(moved, remote)
        return Snapshot(number=stand.branch.number, at=self._clock(), state="failed", detail=detail)

    async def _empty(self, stand: Standing, head: CommitSha | None, snapshot: Snapshot | None) -> Snapshot:
        """Nothing is to be written, or nothing is left of it."""
        if snapshot is None:
            return self._nothing(stand, head)
        ended = await self._failed(
            stand, snapshot, telling.held_back([(each.path, each.detail) for each in stand.held_back()])
        )
        return msgspec.structs.replace(ended, refused=_refusals(stand))

    async def _intent(
        self, stand: Standing, way: _Way, wish: Wish, out: _Outgoing, before: Snapshot | None
    ) -> Snapshot:
        """Journalled: instead of `before`, which was refused, or as the next one."""
        snapshot = Snapshot(
            number=before.number if before is not None else stand.branch.number + 1,
            at=self._clock(),
            state="running",
            nonce=secrets.token_hex(6),
            parent=way.parent,
            merges=out.merges,
            branch=way.offer.branch if way.offer is not None else None,
            files=tuple(out.files),
            authors=tuple(await self._authorship.authors(out.files)),
            refused=_refusals(stand),
        )
        author = await self._authorship.author(wish.actor)
        line = trailer(stand.project.id, snapshot)
        text = await aside(len(out.files), message, wish.given, out.files, snapshot.authors, line, author=author)
        snapshot = msgspec.structs.replace(snapshot, message=text)
        changes: list[StoreChange] = [journal.put(stand.project.id, snapshot, expect=before)]
        if before is None:
            known = await journal.branch(self._store, stand.project.id)
            begun = msgspec.structs.replace(stand.branch, number=snapshot.number)
            changes.append(journal.put_branch(stand.project.id, begun, expect=known))
        if way.offer is not None:
            changes.append(offers.put(stand.project.id, way.offer))
        if stand.refused:
            gone = refused.over(stand.refused, [change(each) for each in stand.changed])
            changes.extend(refused.drop(stand.project.id, each) for each in gone)
        await self._store.commit(changes=changes)
        return snapshot

    async def _commit(self, way: _Way, snapshot: Snapshot, wish: Wish) -> CommitSha:
        places = {each.sha: each for each in snapshot.files if each.sha is not None}

        async def blob(sha: BlobSha) -> bytes:
            return await self._content(places[sha])

        if way.offer is not None and not way.offer.files:
            stood = await way.remote.begin(CommitSha(way.offer.commit))
            if stood != way.offer.commit:
                raise BranchMoved(way.offer.branch, CommitSha(way.offer.commit), stood)
            self._step("branch begun")
        count = len(snapshot.files)
        new = NewCommit(
            parent=CommitSha(snapshot.parent) if snapshot.parent is not None else None,
            writes=await aside(count, writes, snapshot.files),
            deletes=await aside(count, deletes, snapshot.files),
            message=snapshot.message,
            author=await self._authorship.author(wish.actor),
            at=snapshot.at // 1000,
            merges=CommitSha(snapshot.merges) if snapshot.merges is not None else None,
        )
        where = {sha: (each.document, each.position) for sha, each in places.items()}
        return (await way.remote.commit(new, Placed(where, blob))).commit

    async def _finish(self, project: Project, snapshot: Snapshot, commit: CommitSha, actor: ActorId) -> Snapshot:
        """The outcome, with what the branch holds now, by compare-and-swap, in one transaction."""
        told: dict[str, object] = {
            "number": snapshot.number,
            "commit": commit,
            "subject": snapshot.message.partition("\n")[0],
        }
        if snapshot.branch is not None:
            told["branch"] = snapshot.branch
        moves: list[StoreChange] = [
            Emit(Event(project=project.id, kind="snapshot", actors=(actor,), data=told)),
            *(await self._moves(project, snapshot, commit)),
        ]
        ended = await aside(len(snapshot.files), settled, snapshot, "done", commit=commit)
        return await self._record(project, snapshot, ended, moves)

    async def _moves(self, project: Project, snapshot: Snapshot, commit: CommitSha) -> list[StoreChange]:
        if snapshot.branch is not None:
            offer = await offers.offer(self._store, project.id, snapshot.branch)
            assert offer is not None  # it was written with the intent
            made = offers.after(offer, snapshot.files, commit, snapshot.merges)
            return [offers.put(project.id, made, expect=offer)]
        branch = await journal.branch(self._store, project.id)
        assert branch is not None  # it was written with the intent
        moved = journal.put_branch(project.id, msgspec.structs.replace(branch, commit=commit), expect=branch)
        return [moved, *await aside(len(snapshot.files), _moves_of, project, snapshot.files, commit)]

    async def _record(
        self, project: Project, snapshot: Snapshot, ended: Snapshot, moves: Sequence[StoreChange]
    ) -> Snapshot:
        committed = await self._store.commit(changes=[journal.put(project.id, ended, expect=snapshot), *moves])
        for event in committed.events:
            self._bus.publish(event.project, event.n)
        return ended

    async def _failed(self, stand: Standing, snapshot: Snapshot, why: str) -> Snapshot:
        return await self._record(stand.project, snapshot, settled(snapshot, "failed", detail=why), ())

    async def _hold_back(self, stand: Standing, snapshot: Snapshot, error: FilesRefused) -> Standing:
        """Recorded, so that the next round knows; `FilesRefused` when none of what was to be committed is among them."""
        now = self._clock()
        found: dict[Path, Refused] = {}
        for each in snapshot.files:
            names = [paths.parse(each.path), *([paths.parse(each.origin)] if each.origin is not None else [])]
            reason = next((error.files[name] for name in names if name in error.files), None)
            if reason is not None:
                found[names[0]] = Refused(
                    path=each.path, sha=each.sha, mode=each.mode, reason=reason, place=stand.place, at=now
                )
        if not found:
            await self._failed(stand, snapshot, error.message)
            raise error
        await self._store.commit(changes=[refused.put(stand.project.id, each) for each in found.values()])
        self._step("files held back")
        return replace(stand, refused={**stand.refused, **found}, just_refused=stand.just_refused | found.keys())

    async def _content(self, each: Change) -> bytes:
        row = await self._store.document(each.document)
        if row is None:
            raise NotFound(f"the document of {each.path} is gone", field="path")
        return (await self._workspace.at(row, each.position)).content


def _check(wish: Wish, remote: GitRemote, head: CommitSha | None) -> None:
    if wish.pull_request and remote.hosted is None:
        raise WishInvalid("a pull request needs a host such as GitHub: this is git alone", field="pull_request")
    if wish.pull_request and wish.branch == remote.branch:
        raise WishInvalid(f"{remote.branch} is the project's own branch: name another one", field="branch")
    if wish.branch is not None and not offers.is_branch(wish.branch):
        raise WishInvalid(f"{wish.branch!r} is no name for a branch", field="branch")
    if head is None and (wish.pull_request or wish.branch not in (None, remote.branch)):
        raise WishInvalid("the repository has no commit yet: commit to its own branch first", field="branch")


def _matters(stand: Standing, offer: Offer) -> bool:
    """Of a pull request that was closed: whether its files still wait for somebody to say what is to become of them."""
    there = offers.waiting(offer, stand.held)
    names = {path for each in stand.changed for path in (each.path, *([each.base.path] if each.base else []))}
    return not names.isdisjoint(there)


def _outgoing(stand: Standing, way: _Way, wish: Wish, now: Millis) -> _Outgoing:
    """What is to be written on the branch."""
    offer = way.offer
    free = [each for each in stand.changed if not stand.in_conflict(each)]
    if wish.branch is None and wish.chosen is None and not wish.pull_request:
        # What somebody set apart goes out by its own pull request, or by hand.
        free = [each for each in free if stand.apart(each) is None]
    chosen = wish.chosen
    if chosen is not None and offer is not None and way.behind:
        # The commit will be built on the own branch: what was offered before goes along.
        chosen = [*chosen, *offers.stands(offer)]
    selected = [change(each) for each in select(free, chosen)]
    selected = [each for each in selected if not _held_back(stand, each, wish, now)]
    if offer is None or not offer.files:
        return _Outgoing(selected)
    if way.behind and selected:
        return _Outgoing(selected, way.head) if _differs(selected, stand, offer) else _Outgoing([])
    there = {paths.parse(each.path) for each in selected}
    held_back = {each.path for each in stand.changed if each.path not in there}
    keep = held_back if chosen is None else set(offers.stands(offer))
    return _Outgoing(offers.outgoing(selected, stand.held, offer, keep))


def _held_back(stand: Standing, each: Change, wish: Wish, now: Millis) -> bool:
    if wish.by_hand:
        return paths.parse(each.path) in stand.just_refused
    return refused.holds(stand.refused, each, now)


def _differs(selected: Sequence[Change], stand: Standing, offer: Offer) -> bool:
    """Whether a commit that merges the own branch is worth it: what is offered is not what it was."""
    now: dict[Path, offers.There] = dict.fromkeys(deletes(selected))
    now |= {path: (each.sha, each.mode) for path, each in writes(selected).items()}
    return now != offers.waiting(offer, stand.held)


def _title(wish: Wish, otherwise: str) -> str:
    return (wish.given or "").strip().partition("\n")[0].strip() or otherwise


def _refusals(stand: Standing) -> tuple[tuple[str, str], ...]:
    return tuple((each.path, each.reason) for each in stand.held_back())


def _moves_of(project: Project, files: Sequence[Change], commit: CommitSha) -> list[StoreChange]:
    return [move for each in files for move in _base_moves(project, each, commit)]


def _base_moves(project: Project, each: Change, commit: CommitSha) -> list[StoreChange]:
    before, after = base_before(each), base_after(each, commit)
    if after is None:
        return [bases.drop(project.id, before)] if before is not None else []
    if before is not None and before.path != after.path:
        return [bases.drop(project.id, before), bases.put(project.id, after, expect=None)]
    return [bases.put(project.id, after, expect=before)]


def what_to_do(moved: BranchMoved, remote: GitRemote) -> str:
    """For people, when the branch does not stand where Quire left it."""
    told = remote.described()
    place = told["repository"]
    if moved.found is None and told["kind"] == "git":
        how = (
            "Where the repository has lost that commit, connect the project to it again (quire connect): the next commit begins "
            f"it anew. Else put it back with: git -C {place} update-ref refs/heads/{moved.branch} {moved.expected}"
        )
    elif moved.found is None:
        how = f"Put it back there, or say that Quire shall: quire snapshot PROJECT --branch {moved.branch}"
    if moved.found is None:
        return (
            f"The branch {moved.branch} is gone from {place}; Quire committed {_short(moved.expected)} to it last. Every "
            f"edit is kept here. {how}"
        )
    return (
        f"Somebody else moved the branch {moved.branch} to {_short(moved.found)}; Quire had left it at "
        f"{_short(moved.expected)}. Every edit is kept here, and nothing was committed: it is pulled first, and then "
        "committed on top."
    )


def _short(commit: CommitSha | None) -> str:
    return commit[:10] if commit is not None else "nothing"
