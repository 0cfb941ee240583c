"""Brings a source into a project, as a job: all of it, or nothing.

What it promises
1. Nobody sees a file before all are there: they are staged in batches, and published in one transaction with the bases,
   the branch's commit and the job's own record. A job that a crash interrupted is found at the next start: what it staged
   is dropped, the repository it made is removed, and it is marked failed.
2. A git repository comes with its history, when the project has no commits yet: then nothing is uncommitted afterwards.
3. Where the project has files, equal ones are left alone. Different ones make the job fail before anything is there, and
   are named (`refuse`); or stay as they are (`keep`); or are edited to what comes in (`replace`), after the rest is
   published: an edit each, through the room.
4. The source is read in a process of its own; what is held of it in memory is bounded.

What breaks it: a crash while `replace` edits: what is published stays, and running it again does the rest.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

import anyio
import anyio.to_thread
import msgspec
import structlog
from anyio.abc import TaskGroup

from collab import bases, paths
from collab.bases import Base
from collab.errors import Conflict, NotFound, PathTaken, QuireError
from collab.ids import ActorId, BlobSha, Millis, Path, ProjectId, fresh
from collab.large import Large
from collab.store.base import Change, Project, PutRecord, Row
from collab.workspace import Incoming, LargeIncoming, Workspace
from snapshots import journal, trees
from snapshots.connection import connection
from snapshots.elsewhere import Elsewhere
from snapshots.journal import Branch
from snapshots.snapshotter import Snapshotter
from snapshots.sources import Batch, Done, Failed, File, Limits, Message, Note, Phase, Request, Skipped, Source
from snapshots.spool import Spool
from snapshots.worker import reading

log = structlog.get_logger(__name__)

COLLECTION: Final = "jobs"

SLICE_FILES: Final = 100
SLICE_BYTES: Final = 1 << 20
"""What is staged at once: others have their turn in between."""

NAMED: Final = 20
"""Paths in the way that a message names."""

SKIPPED_AT_MOST: Final = 1_000
"""Entries of a job's list of what it left out."""

AT_ONCE: Final = 2
"""Imports that run side by side."""

UNDO_WITHIN: Final = 10.0
"""Seconds that a job which is stopped with the server has to undo itself; else the next start does."""

INTERRUPTED: Final = "It was interrupted when the server stopped, and was undone. Run it again."

Existing = Literal["refuse", "keep", "replace"]
Connect = Callable[[], Awaitable[str]]
"""Connects the project, and says what is to be said of that."""
JobState = Literal["running", "done", "failed"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`done` of `total` files; `skipped` are paths (as shown to people) with the reason."""

    id: str
    project: ProjectId
    state: JobState = "running"
    phase: str = "waiting"
    done: int = 0
    total: int = 0
    bytes: int = 0
    message: str = ""
    skipped: tuple[str, ...] = ()
    commit: str | None = None
    """The commit that came with the source."""
    adopting: bool = False
    """The repository that the source brings is being made the project's."""
    started_at: Millis = Millis(0)
    ended_at: Millis | None = None


@dataclass(slots=True)
class _Import:
    """One import while it runs."""

    job: Job
    project: Project
    source: Source | Elsewhere
    actor: ActorId
    existing: Existing
    connect: Connect | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)
    rows: dict[Path, Row] = field(default_factory=dict)
    """What the project has; exact."""
    folders: set[Path] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)
    """Of the project and of what has come in."""
    held: list[Base] = field(default_factory=list)
    """What the branch will hold, commit still to be filled in."""
    in_the_way: list[Path] = field(default_factory=list)
    replaced: int = 0
    equal: int = 0
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    skipped_count: int = 0
    outcome: Done = field(default_factory=Done)

    def progress(self, **changes: object) -> None:
        self.job = msgspec.structs.replace(self.job, **changes)

    def place(self, path: Path) -> None:
        """`PathTaken` when a file would stand where a directory is, or the other way round."""
        above = paths.parents(path)
        clash = next((each for each in above if each in self.files), path if path in self.folders else None)
        if clash is not None:
            raise PathTaken(
                f"Nothing was imported, because {paths.show(clash)} would be a file and a directory at once",
                field="path",
            )
        self.files.add(path)
        self.folders.update(above)

    def skip(self, path: Path, why: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_AT_MOST:
            self.skipped.append(f"{paths.show(path)} {why}")


class Importer:
    """`async with`: at the start it undoes what a crash left; at the end running jobs are stopped and undone. `folder` is
    for what lives no longer than a job."""

    def __init__(
        self,
        workspace: Workspace,
        snapshotter: Snapshotter,
        *,
        folder: pathlib.Path,
        clock: Callable[[], Millis],
        limits: Limits | None = None,
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._snapshotter = snapshotter
        self._remotes = snapshotter.remotes
        self._folder = folder
        self._clock = clock
        self._limits = limits or Limits()
        self._imports: dict[str, _Import] = {}
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._recover()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    async def start(
        self,
        project: Project,
        source: Source | Elsewhere,
        actor: ActorId,
        *,
        existing: Existing = "refuse",
        remove: pathlib.Path | None = None,
        connect: Connect | None = None,
    ) -> Job:
        """The job, which runs from now on. `remove` is a file (an upload) that is deleted when it has ended. `connect` is what
        the import ends with, once its files are there."""
        if any(each.project.id == project.id for each in self._imports.values()):
            raise Conflict(f"an import into {project.name} is running; wait until it has ended", code="busy")
        job = Job(id=fresh(), project=project.id, started_at=self._clock())
        self._imports[job.id] = running = _Import(job, project, source, actor, existing, connect)
        try:
            await self._store.commit(changes=[_record(job)])
        except BaseException:
            del self._imports[job.id]
            raise
        self._tasks.start_soon(self._carry_out, running, remove)
        return job

    async def job(self, job: str) -> Job:
        if (running := self._imports.get(job)) is not None:
            return running.job
        for value in (await self._store.record_everywhere(COLLECTION, job)).values():
            return msgspec.json.decode(value, type=Job)
        raise NotFound(f"there is no job {job}", field="job")

    async def wait(self, job: str) -> Job:
        """The job once it has ended."""
        if (running := self._imports.get(job)) is not None:
            await running.ended.wait()
        return await self.job(job)

    # -- one import --------------------------------------------------------------------------------------------------

    async def _carry_out(self, running: _Import, remove: pathlib.Path | None) -> None:
        scratch = self._folder / running.job.id
        try:
            async with self._limiter:
                await anyio.to_thread.run_sync(lambda: scratch.mkdir(parents=True))
                await self._import(running, scratch)
        except QuireError as error:
            await self._give_up(running, error.message)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(UNDO_WITHIN, shield=True):
                await self._give_up(running, INTERRUPTED)
            raise
        except Exception as error:
            log.exception("an import failed", job=running.job.id)
            await self._give_up(running, f"It failed: {error!r}")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_clean, scratch, remove)
            del self._imports[running.job.id]
            running.ended.set()

    async def _import(self, running: _Import, scratch: pathlib.Path) -> None:
        bare = self._remotes.incoming(running.job.id)
        for row in (await self._workspace.tree(running.project)).rows:
            running.rows[row.path] = row
            running.place(row.path)
        spool = Spool(scratch / "replaced")
        async with self._reading(running.source, bare, scratch) as messages:
            async for message in messages:
                match message:
                    case Batch():
                        await self._take(running, message.files, spool)
                    case Phase():
                        running.progress(phase=message.name, total=message.total)
                    case Skipped():
                        running.skip(paths.from_bytes(message.path), message.why)
                    case Note():
                        running.notes.append(message.text)
                    case Failed():
                        raise QuireError(message.message, code=message.code, field=message.field)
                    case Done():
                        running.outcome = message
        if running.in_the_way and running.existing == "refuse":
            raise PathTaken(_in_the_way(running.in_the_way), details={"paths": len(running.in_the_way)})
        async with self._snapshotter.paused(running.project.id):
            await self._publish(running)
        if running.replaced:
            await self._replace(running, spool)
        if running.connect is not None:
            await self._connect(running, running.connect)
        await self._remotes.discard(running.job.id)

    @contextlib.asynccontextmanager
    async def _reading(
        self, source: Source | Elsewhere, bare: pathlib.Path, scratch: pathlib.Path
    ) -> AsyncIterator[AsyncIterator[Message]]:
        if isinstance(source, Elsewhere):
            async with contextlib.aclosing(source.read(scratch, self._limits)) as messages:
                yield messages
            return
        request = Request(source=source, bare=str(bare), scratch=str(scratch), limits=self._limits)
        async with reading(request) as messages:
            yield messages

    async def _take(self, running: _Import, files: Sequence[File], spool: Spool) -> None:
        """Stages what is new, in slices."""
        part: list[Incoming | LargeIncoming] = []
        held = 0
        for each in files:
            path = paths.from_bytes(each.path)
            there = running.rows.get(path)
            if there is not None:
                await self._compare(running, each, path, there, spool)
                continue
            running.place(path)
            part.append(_incoming(path, each))
            held += len(each.content)
            if len(part) >= SLICE_FILES or held >= SLICE_BYTES:
                await self._stage(running, part)
                part, held = [], 0
        await self._stage(running, part)
        seen = running.job.done + len(files)
        running.progress(done=seen, bytes=running.job.bytes + sum(each.length for each in files))

    async def _compare(self, running: _Import, each: File, path: Path, there: Row, spool: Spool) -> None:
        if (there.sha, there.mode) == (each.sha, each.mode):
            running.equal += 1
            running.held.append(Base(path, there.id, there.sha, there.mode, there.head, ""))
            return
        running.in_the_way.append(path)
        if running.existing == "keep":
            running.skip(path, "stays as it is in the project")
        if running.existing == "replace" and trees.SUBMODULE in (each.mode, there.mode):
            raise PathTaken(
                f"{paths.show(path)} is a submodule, here or there, and cannot be replaced: remove it first"
            )
        if running.existing == "replace":
            running.replaced += 1
            await anyio.to_thread.run_sync(spool.add, each)

    async def _stage(self, running: _Import, part: Sequence[Incoming | LargeIncoming]) -> None:
        if not part or (running.in_the_way and running.existing == "refuse"):
            return
        rows = await self._workspace.stage(running.project, running.job.id, part, running.actor)
        large = [each.content.file for each in part if isinstance(each, LargeIncoming)]
        if large:
            await anyio.to_thread.run_sync(_remove, large)
        running.held.extend(Base(row.path, row.id, row.sha, row.mode, row.head, "") for row in rows)

    async def _publish(self, running: _Import) -> None:
        """Everything becomes visible, in one transaction; the repository is put in place before it."""
        project = await self._store.project_by_id(running.project.id)
        if project is None:
            raise NotFound(f"the project {running.project.name} was deleted meanwhile")
        running.project = project
        running.progress(phase="publishing")
        changes: list[Change] = []
        if running.outcome.branch is not None:
            changes = await self._with_history(running, running.outcome.branch, running.outcome.commit)
        if running.replaced:
            published = msgspec.structs.replace(running.job, phase="replacing", done=0, total=running.replaced)
        else:
            published = self._there(running)
        await self._workspace.publish(project, running.job.id, [*changes, _record(published)])
        running.job = published

    async def _with_history(self, running: _Import, branch: str, commit: str | None) -> list[Change]:
        if await connection(self._store, running.project.id) is not None:
            running.notes.append(
                "The history was not brought, because the project is connected to a repository elsewhere."
            )
            return []
        known = await journal.branch(self._store, running.project.id)
        head = await (await self._remotes.of(running.project)).head()
        if head is not None or journal.known(known) is not None:
            running.notes.append("The history was not brought, because the project has commits of its own.")
            return []
        if running.in_the_way and running.existing == "keep":
            running.notes.append("The history was not brought, because files of the project differ from it.")
            return []
        running.progress(adopting=True, commit=commit)
        await self._store.commit(changes=[_record(running.job)])
        await self._remotes.adopt(running.project, running.job.id)
        number = known.number if known is not None else 0
        changes: list[Change] = [journal.put_branch(running.project.id, Branch(branch, commit, number), expect=known)]
        async for each in _in_slices(running.held):
            changes.append(bases.put(running.project.id, _at(each, commit)))  # noqa: PERF401 - mypy knows no async extend
        return changes

    async def _replace(self, running: _Import, spool: Spool) -> None:
        """What stood there with other content is edited to what came in."""
        for each in spool:
            path = paths.from_bytes(each.path)
            content = _incoming(path, each).content
            written = await self._workspace.write(
                running.project, path, content, running.actor, mode=each.mode, force=True
            )
            if running.job.commit is not None and (written.row.sha, written.row.mode) == (each.sha, each.mode):
                base = Base(
                    path, written.row.id, written.row.sha, written.row.mode, written.row.head, running.job.commit
                )
                await self._store.commit(changes=[bases.put(running.project.id, base)])
            running.progress(done=running.job.done + 1)
        running.job = self._there(running)
        await self._store.commit(changes=[_record(running.job)])

    def _there(self, running: _Import) -> Job:
        """All files are there."""
        if running.connect is not None:
            return msgspec.structs.replace(running.job, phase="connecting")
        return self._ended(running)

    async def _connect(self, running: _Import, connect: Connect) -> None:
        running.notes.append(await connect())
        running.job = self._ended(running)
        await self._store.commit(changes=[_record(running.job)])

    def _ended(self, running: _Import) -> Job:
        counts = [f"Imported {running.job.total - running.equal - len(running.in_the_way):,} files."]
        if running.equal:
            counts.append(f"{running.equal:,} were there already.")
        if running.replaced:
            counts.append(f"{running.replaced:,} were replaced.")
        if running.skipped_count:
            counts.append(f"{running.skipped_count:,} were left out.")
        return msgspec.structs.replace(
            running.job,
            state="done",
            phase="done",
            done=running.job.total,
            message=" ".join([*counts, *running.notes]),
            skipped=tuple(running.skipped),
            ended_at=self._clock(),
        )

    # -- undoing -----------------------------------------------------------------------------------------------------

    async def _give_up(self, running: _Import, why: str) -> None:
        failed = self._failed(running.job, why, tuple(running.skipped))
        await self._undo(running.project.id, running.job, failed)
        running.job = failed

    async def _recover(self) -> None:
        """What was running when an earlier process died."""
        for project in await self._store.projects():
            for value in (await self._store.records(COLLECTION, project.id)).values():
                job = msgspec.json.decode(value, type=Job)
                if job.state == "running":
                    await self._undo(project.id, job, self._failed(job, INTERRUPTED, ()))
        await anyio.to_thread.run_sync(_clean, self._folder, None)

    async def _undo(self, project: ProjectId, job: Job, failed: Job) -> None:
        """What was published stays: then it is only the replacing that did not end."""
        there = await self._store.project_by_id(project) is not None
        if there and job.adopting and job.phase == "publishing":
            await self._remotes.remove(project)
        await self._remotes.discard(job.id)
        await self._workspace.drop(job.id, [_record(failed)] if there else [])

    def _failed(self, job: Job, why: str, skipped: tuple[str, ...]) -> Job:
        if job.phase == "connecting":
            why = f"The files are in the project, but it is not connected. {why}"
        if job.phase == "replacing":
            why = f"What is new is in the project, but not all that was to be replaced is. {why}"
        return msgspec.structs.replace(
            job, state="failed", phase="failed", message=why, skipped=skipped, ended_at=self._clock()
        )


async def _in_slices(held: Sequence[Base]) -> AsyncIterator[Base]:
    for number, each in enumerate(held):
        if number % 500 == 499:
            await anyio.lowlevel.checkpoint()
        yield each


def _incoming(path: Path, each: File) -> Incoming | LargeIncoming:
    if not each.beside:
        return Incoming(path=path, mode=each.mode, content=each.content, sha=BlobSha(each.sha))
    return LargeIncoming(path, each.mode, Large(pathlib.Path(each.beside), BlobSha(each.sha), each.size))


def _remove(files: Sequence[pathlib.Path]) -> None:
    for each in files:
        each.unlink()


def _at(each: Base, commit: str | None) -> Base:
    return Base(each.path, each.document, each.sha, each.mode, each.position, commit or "")


def _record(job: Job) -> PutRecord:
    return PutRecord(collection=COLLECTION, project=job.project, key=job.id, value=msgspec.json.encode(job))


def _in_the_way(found: Sequence[Path]) -> str:
    names = ", ".join(paths.show(path) for path in found[:NAMED])
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return (
        f"Nothing was imported, because the project has other content at: {names}{more}. "
        "Import into a new project, or say whether to keep or to replace what is there."
    )


def _clean(scratch: pathlib.Path, remove: pathlib.Path | None) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    if remove is not None:
        with contextlib.suppress(FileNotFoundError):
            remove.unlink()
