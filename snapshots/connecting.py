"""A project is connected to another repository, branch or part of one, and the branch's content and the project's meet.

What it promises
1. Where both sides have files and nothing says how one came from the other, somebody chooses: `theirs`, `ours` or `merge`;
   nothing is done before. `preview` says what that is about and changes nothing, here or there.
2. The switch is one transaction: the connection, its credential, the bases and what the journal knows of the branch. Before it
   the project is connected as it was, after it as it is wanted; there is nothing in between that a crash could leave.
   - `theirs`: what the project has counts as what the branch held before, so that the next pull makes it what the branch
     holds: edits of the same documents, tombstones of what is only here, and documents that come back from theirs.
   - `merge`: equal files are adopted; of the others nothing is known, so that the pull finds what differs in conflict.
   - `ours`: what the branch holds is the base, so that the next commit makes it what the project has: on top, never by force.
     What that overwrites is kept here before, and can be brought back.
3. What was typed meanwhile is merged as after any pull: the pull does the rest, and done twice it is done once.
4. Bases stay what they are where they still hold: in the same branch, and in another one whose head is the very commit that
   they are of. Then only what newly belongs is compared.
   Where the repository was lost and an empty one stands in its place, none holds: the next commit begins it with everything.
5. Another file's conflict with the repository that is left is over; both its sides are kept, as ever.
6. Nobody reaches a repository through a credential that somebody else gave for another one.

What breaks it: nothing that is done by way of the snapshotter, whose lock is held.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
import structlog

from collab import actors, bases, conflicts
from collab.bases import NOWHERE, Base
from collab.bus.base import Bus
from collab.errors import Conflict, Forbidden, Invalid, NotFound, Quarantined, QuireError, Stale
from collab.ids import ActorId, DocumentId, Millis, Path, Position, ProjectId
from collab.staging import Incoming
from collab.store.base import Change, Emit, Event, Project, Row
from collab.workspace import Workspace
from snapshots import connection as connections
from snapshots import finding, journal, offers, registration, secrets
from snapshots.comparison import Comparison, compare
from snapshots.connection import Connection
from snapshots.journal import Branch
from snapshots.look import can_be
from snapshots.places import Places, Reached, Wanted
from snapshots.puller import Pulled
from snapshots.remotes.base import CommitSha, TreeEntry
from snapshots.scope import Scope, within
from snapshots.secrets import Sealer
from snapshots.snapshot import settled
from snapshots.trees import SUBMODULE

log = structlog.get_logger(__name__)

Take = Literal["theirs", "ours", "merge"]

TRIES: Final = 5
"""How often a switch begins again because somebody changed something that it moves."""

LEFT: Final = "The project was connected elsewhere before it was known whether this commit was made."


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever wants it. `root` may reach what the server itself can reach."""

    actor: ActorId
    root: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`compared`: what belongs, here and there. `choice`: `connect` needs a `take`. `outside`: files here that do not belong
    and are left alone. `uncommitted`: files that differ from what the remote that is left has. `begins`: the branch is made,
    where the present one stands."""

    place: Reached
    compared: Comparison
    choice: bool
    outside: tuple[Path, ...]
    uncommitted: int
    begins: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    connection: Connection | None
    pulled: Pulled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meeting:
    """Everything that a switch is made of, as it was found. `rows` and `theirs`: what belongs; `holds`: the bases say how what
    is there came from what is here, and `kept` are those that go on; `unknown`: what is compared, because none does."""

    project: Project
    place: Reached
    known: Connection | None
    branch: Branch | None
    head: CommitSha | None
    begins: bool
    stays: bool
    """It is the same branch of the same repository."""
    rows: Mapping[Path, Row]
    outside: tuple[Path, ...]
    theirs: Mapping[Path, TreeEntry]
    held: Mapping[Path, Base]
    holds: bool
    kept: Mapping[Path, Base]
    unknown: Comparison
    choice: bool


class Connecting:
    """`paused`: no round of the project runs inside. `recover` finishes what a crash left of one; `pull` is one now. `step` is
    called with the name of each step that has just been passed (the tests die there)."""

    def __init__(
        self,
        workspace: Workspace,
        places: Places,
        sealer: Sealer,
        bus: Bus,
        *,
        paused: Callable[[ProjectId], AbstractAsyncContextManager[None]],
        recover: Callable[[Project], Awaitable[None]],
        pull: Callable[[Project], Awaitable[Pulled]],
        clock: Callable[[], Millis],
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._places = places
        self._sealer = sealer
        self._bus = bus
        self._paused = paused
        self._recover = recover
        self._pull = pull
        self._clock = clock
        self._step = step

    async def preview(self, project: Project, wanted: Wanted, asker: Asker) -> Preview:
        met = await self._meet(project, wanted, asker)
        ours = {path: TreeEntry(row.sha, row.mode) for path, row in met.rows.items()}
        left = await self._places.of(project)
        uncommitted, _ = within(await self._workspace.changed(project), left.covers)
        return Preview(
            place=met.place,
            compared=compare(ours, met.theirs),
            choice=met.choice,
            outside=met.outside,
            uncommitted=len(uncommitted),
            begins=met.begins,
        )

    async def connect(self, project: Project, wanted: Wanted, take: Take | None, asker: Asker) -> Connected:
        """`Conflict` (`take_needed`) when somebody has to choose and nobody did."""
        async with self._paused(project.id):
            for _ in range(TRIES):
                try:
                    made = await self._switch(project, wanted, take, asker)
                    break
                except Stale as error:
                    log.info("moved under a switch", project=project.name, why=error.message)
            else:
                raise Conflict("files keep changing under it; nothing was connected: try again", code="busy")
        self._step("switched")
        try:
            return Connected(connection=made, pulled=await self._pull(project))
        except QuireError as error:
            # It is connected; the schedule goes on, and the status tells.
            return Connected(connection=made, pulled=Pulled(head=None, state="failed", detail=error.message))

    async def disconnect(self, project: Project, asker: Asker, take: Take = "ours") -> Connected:
        """Back to the repository in the data directory, whatever the remote says. The next commit makes its branch what the
        project has."""
        own = Wanted(kind="git", repository="")
        if await connections.connection(self._store, project.id) is None:
            commit = journal.known(await journal.branch(self._store, project.id))
            if not _made_anew(await self.reach(project, own, asker), commit):
                return Connected(connection=None, pulled=await self._pull(project))
        return await self.connect(project, own, take, asker)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def reach(self, project: Project, wanted: Wanted, asker: Asker) -> Reached:
        """What is wanted, if it is there and the asker's to reach."""
        return (await self._reach(project, wanted, asker))[0]

    async def _reach(self, project: Project, wanted: Wanted, asker: Asker) -> tuple[Reached, Connection | None]:
        known = await connections.connection(self._store, project.id)
        wanted = await self._allowed(project, wanted, known, asker)
        place = await self._places.reach(project, wanted, known)
        if not asker.root and wanted.kind == "github" and not place.same_repository:
            await self._check_own(project, wanted)
        return place, known

    async def _meet(self, project: Project, wanted: Wanted, asker: Asker) -> _Meeting:
        place, known = await self._reach(project, wanted, asker)
        branch = await journal.branch(self._store, project.id)
        commit = journal.known(branch)
        head, begins = place.head, False
        if head is None and place.begun:
            head, begins = await self._beginning(place, commit), True
        rows, outside = await self._rows(project, place.scope)
        theirs = await self._theirs(place, head)
        held = await bases.bases(self._store, project.id)
        stays = place.same_repository and _branch(known, branch) == place.remote.branch
        before = Scope(known.folder, known.patterns) if known is not None else Scope()
        same = before.folder == place.scope.folder and (stays or head == commit)
        holds = commit is not None and same and not _made_anew(place, commit)
        kept = {path: each for path, each in held.items() if holds and place.scope.covers(path)}
        unknown = _unknown(rows, theirs, before if holds else None)
        return _Meeting(
            project=project,
            place=place,
            known=known,
            branch=branch,
            head=head,
            begins=begins,
            stays=stays,
            rows=rows,
            outside=outside,
            theirs=theirs,
            held=held,
            holds=holds,
            kept=kept,
            unknown=unknown,
            choice=bool(unknown.different) if holds else unknown.choice,
        )

    async def _allowed(self, project: Project, wanted: Wanted, known: Connection | None, asker: Asker) -> Wanted:
        """`Forbidden` when it would be reached with what is not the asker's to give."""
        if wanted.kind == "git":
            same = known is not None and (known.kind, known.repository) == ("git", wanted.repository)
            if asker.root or same or await self._places.is_own(project, wanted.repository):
                return wanted
            raise Forbidden(
                "only the administrator of the server may connect a project to another repository on its disk",
                field="repository",
            )
        if wanted.token is not None:
            if wanted.installation is not None:
                raise Invalid("give a token or an installation of the App, not both", field="installation")
            return wanted
        same = known is not None and known.kind == "github" and known.repository.lower() == wanted.repository.lower()
        if same and known is not None and wanted.installation in (None, known.installation):
            return replace(wanted, installation=known.installation)
        number = wanted.installation or await self._places.installation_of(wanted.repository)
        if number is not None and (asker.root or number in await registration.allowed(self._store, project.id)):
            return replace(wanted, installation=number)
        if not asker.root:
            raise _not_yours()
        return wanted

    async def _check_own(self, project: Project, wanted: Wanted) -> None:
        """Somebody else may have the old name of the repository by now."""
        if wanted.token is None and wanted.installation not in await registration.allowed(self._store, project.id):
            raise _not_yours()

    async def _beginning(self, place: Reached, commit: CommitSha | None) -> CommitSha:
        """Where a branch that is not there begins: where the project's present one stands, if the repository has that."""
        if place.same_repository and commit is not None:
            with suppress(NotFound):
                await place.remote.tree_sha(commit)
                return commit
        raise NotFound(
            f"There is no branch {place.remote.branch} in {place.remote.described()['repository']}: make it there, or give "
            f"another one (its own is {place.default}).",
            code="branch_gone",
            field="branch",
        )

    async def _rows(self, project: Project, belongs: Scope) -> tuple[Mapping[Path, Row], tuple[Path, ...]]:
        found: dict[Path, Row] = {}
        outside: list[Path] = []
        for row in await self._store.tree(project.id):
            if not belongs.covers(row.path):
                outside.append(row.path)
                continue
            found[row.path] = row
            if row.quarantined is None:
                with suppress(Quarantined):  # found just now: it stays as it was known
                    found[row.path] = await self._workspace.contents.cut(row)
        return found, tuple(outside)

    async def _theirs(self, place: Reached, head: CommitSha | None) -> Mapping[Path, TreeEntry]:
        if head is None:
            return {}
        return {path: entry for path, entry in (await place.remote.tree(head)).items() if can_be(path)}

    # -- switching ---------------------------------------------------------------------------------------------------

    async def _switch(self, project: Project, wanted: Wanted, take: Take | None, asker: Asker) -> Connection | None:
        try:
            await self._recover(project)
        except Exception:
            # What it was connected to may be out of reach, or broken, for good: that may be why it is left.
            log.exception("a commit could not be looked for before a switch", project=project.name)
        met = await self._meet(project, wanted, asker)
        if met.choice and take is None:
            raise _take_needed(met)
        await self._places.check_writable(met.place)
        if met.begins and met.head is not None:
            await met.place.remote.begin(met.head)
            self._step("branch begun")
        # Where nothing is to be chosen, nothing of either side goes.
        chosen = take if met.choice and take is not None else "merge"
        gone = await self._keep(met) if chosen == "ours" else {}
        self._step("prepared")
        made = None
        if met.place.connection is not None:
            made = msgspec.structs.replace(met.place.connection, at=self._clock(), by=asker.actor)
        await self._commit(
            [
                connections.put(project.id, made, expect=met.known),
                *self._credential(met, made),
                *await self._journal(met, chosen),
                *_bases(met, chosen, gone),
                *await self._over(met),
                *await self._offers(met),
                Emit(_event(project, made, met, chosen, asker)),
            ]
        )
        return made

    async def _keep(self, met: _Meeting) -> Mapping[Path, DocumentId]:
        """What the next commit overwrites, among the objects; what it deletes, as tombstones that can be brought back. Done
        twice it is done once."""
        wanted = (*met.unknown.different, *met.unknown.new_there)
        shas = {met.theirs[path].sha for path in wanted if met.theirs[path].mode != SUBMODULE}
        lacking = [sha for sha in sorted(shas) if not await self._workspace.ingest.has(sha)]
        async for _, content in met.place.remote.blobs(lacking):
            await self._workspace.ingest.keep(content)
        found: dict[Path, DocumentId] = {}
        for path in met.unknown.new_there:
            found[path] = await self._tombstone(met.project, path, met.theirs[path])
        return found

    async def _tombstone(self, project: Project, path: Path, entry: TreeEntry) -> DocumentId:
        known = await self._store.deleted_at_path(project.id, path)
        if known is not None and (known.sha, known.mode) == (entry.sha, entry.mode):
            return known.id
        content = b"" if entry.mode == SUBMODULE else await self._workspace.ingest.kept(entry.sha)
        theirs = Incoming(path, entry.mode, content, entry.sha)
        made = await self._workspace.ingest.bury(project.id, theirs, actors.QUIRE.id, self._clock(), lambda _: ())
        return made.row.id

    def _credential(self, met: _Meeting, made: Connection | None) -> list[Change]:
        """A token that came along is kept; one of a place that is left is forgotten."""
        if met.place.token is not None:
            return [secrets.put(self._sealer, met.project.id, connections.TOKEN, met.place.token)]
        if made is None or made.kind != "github" or made.installation is not None:
            return [secrets.put(self._sealer, met.project.id, connections.TOKEN, None)]
        return []

    async def _journal(self, met: _Meeting, take: Take) -> list[Change]:
        project, branch = met.project, met.branch
        number = branch.number if branch is not None else 0
        if met.stays and met.holds and branch is not None:
            after = msgspec.structs.replace(branch, commit=_commit_after(met, take))
        else:
            after = Branch(met.place.remote.branch, _commit_after(met, take), number)
        changes: list[Change] = [journal.put_branch(project.id, after, expect=branch)]
        newest = await journal.snapshot(self._store, project.id, number)
        if newest is not None and newest.state == "running" and not met.stays:
            changes.append(journal.put(project.id, settled(newest, "failed", detail=LEFT), expect=newest))
        return changes

    async def _over(self, met: _Meeting) -> list[Change]:
        """Conflicts with what is left."""
        ended: list[Change] = []
        for each in await conflicts.still_open(self._store, met.project.id):
            if not met.holds or not met.place.scope.covers(finding.about(each)):
                ended.extend(finding.over(met.project, each, at=self._clock(), moved=True))
        return ended

    async def _offers(self, met: _Meeting) -> list[Change]:
        """What was once put on another branch there says nothing about the bases of now. The branch and its pull request stay."""
        known = await offers.offers(self._store, met.project.id, offers.place(met.place.remote))
        return [] if met.holds else [offers.drop(met.project.id, each) for each in known.values()]

    async def _commit(self, changes: Sequence[Change]) -> None:
        committed = await self._store.commit(changes=changes)
        for event in committed.events:
            self._bus.publish(event.project, event.n)


def _made_anew(place: Reached, commit: CommitSha | None) -> bool:
    """Whether what held our last commit is gone, and an empty repository stands in its place."""
    return commit is not None and place.head is None and not place.begun


def _branch(known: Connection | None, branch: Branch | None) -> str | None:
    if known is not None:
        return known.branch
    return branch.name if branch is not None else None


def _unknown(rows: Mapping[Path, Row], theirs: Mapping[Path, TreeEntry], before: Scope | None) -> Comparison:
    """`before`: what belonged already, of which the bases say enough."""
    ours = {path: TreeEntry(row.sha, row.mode) for path, row in rows.items()}
    if before is None:
        return compare(ours, theirs)
    return compare(
        {path: each for path, each in ours.items() if not before.covers(path)},
        {path: each for path, each in theirs.items() if not before.covers(path)},
    )


def _commit_after(met: _Meeting, take: Take) -> CommitSha | None:
    """The commit that the bases describe then; None: they describe none, and it is to be pulled."""
    waits = take == "theirs" and met.unknown.new_here
    if take != "ours" and (met.unknown.new_there or met.unknown.different or waits):
        return None
    # Bases that still hold are of the commit that they were of.
    return journal.known(met.branch) if met.holds else met.head


def _bases(met: _Meeting, take: Take, gone: Mapping[Path, DocumentId]) -> list[Change]:
    """From those that are held to those that are to be."""
    project = met.project.id
    wanted = {**met.kept, **{each.path: each for each in _made(met, take, gone)}}
    changes: list[Change] = [bases.drop(project, each) for path, each in met.held.items() if path not in wanted]
    for path, each in wanted.items():
        if each != (before := met.held.get(path)):
            changes.append(bases.put(project, each, expect=before))
    return changes


def _made(met: _Meeting, take: Take, gone: Mapping[Path, DocumentId]) -> list[Base]:
    commit = met.head or NOWHERE
    found = [_as_here(met.rows[path], commit) for path in met.unknown.equal]
    if take == "theirs":
        found += [_as_here(met.rows[path], NOWHERE) for path in (*met.unknown.different, *met.unknown.new_here)]
    if take == "ours":
        documents = {path: met.rows[path].id for path in met.unknown.different} | dict(gone)
        found += [
            Base(path, document, met.theirs[path].sha, met.theirs[path].mode, Position(0), commit, apart=True)
            for path, document in documents.items()
        ]
    return found


def _as_here(row: Row, commit: str) -> Base:
    return Base(row.path, row.id, row.sha, row.mode, row.head, commit)


def _event(project: Project, made: Connection | None, met: _Meeting, take: Take, asker: Asker) -> Event:
    described = met.place.remote.described()
    told = {"remote": described["kind"], "repository": described["repository"], "branch": met.place.remote.branch}
    if met.choice:
        told["take"] = take
    kind = "connected" if made is not None else "disconnected"
    return Event(project=project.id, kind=kind, actors=(asker.actor,), data=told)


def _not_yours() -> Forbidden:
    return Forbidden(
        "this needs a token for GitHub: give one that may read and write the repository. What this server has of its own, or what "
        "was given for another repository, only its administrator may use.",
        code="token_needed",
        field="token",
    )


def _take_needed(met: _Meeting) -> Conflict:
    found = met.unknown
    return Conflict(
        f"Both sides have files, and they are not the same: {len(found.new_here)} only here, {len(found.new_there)} only there, "
        f"{len(found.different)} different, {len(found.equal)} equal. Choose with `take` what counts: theirs, ours or merge.",
        code="take_needed",
        field="take",
        details={
            "new_here": len(found.new_here),
            "new_there": len(found.new_there),
            "different": len(found.different),
            "equal": len(found.equal),
        },
    )
