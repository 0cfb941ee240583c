"""The store on SQLite does what the one in memory does, whatever is asked of it, and across restarts."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collab.errors import QuireError
from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId, TurnId
from collab.paths import show
from collab.store.base import (
    ANY,
    Append,
    Change,
    Checkpoint,
    CreateDocument,
    CreateProject,
    DeleteProject,
    DropStaged,
    Emit,
    Entry,
    Event,
    Project,
    PublishStaged,
    PutRecord,
    RenameProject,
    Row,
    SetDocument,
    Store,
)
from collab.store.memory import MemoryStore
from collab.store.sqlite import SqliteStore, open_store

PROJECTS = [ProjectId(name) for name in ("p1", "p2")]
DOCUMENTS = [DocumentId(f"d{number}") for number in range(6)]
PATHS = [Path(path) for path in ("a", "a/b", "b", "\udcff", "é", '"\\377"')]
EMPTY = Row(id=DocumentId(""), project=ProjectId(""), path=Path("")).sha.encode()
JOBS = ["j1", "j2"]

projects = st.sampled_from(PROJECTS)
documents = st.sampled_from(DOCUMENTS)
paths = st.sampled_from(PATHS)
actors = st.sampled_from(["alice", "bob"]).map(ActorId)
positions = st.integers(-1, 12).map(Position)
clients = st.integers(0, 4).map(lambda number: ClientId(2**53 - 1 - number))

entries = st.builds(
    Entry,
    kind=st.sampled_from([1, 2, 77]),
    actor=actors,
    payload=st.binary(max_size=6),
    on_behalf_of=st.none() | actors,
    turn=st.none() | st.just(TurnId("t")),
    clients=st.lists(clients, max_size=2).map(tuple),
)
appends = st.builds(
    Append,
    document=documents,
    entries=st.lists(entries, max_size=3).map(tuple),
    expect=st.none() | st.none() | positions,
)
created_rows = st.builds(
    Row,
    id=documents,
    project=projects,
    path=paths,
    created_by=actors,
    staged=st.none() | st.none() | st.sampled_from(JOBS),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "path": paths,
        "size": st.integers(0, 9),
        "bom": st.booleans(),
        "object": st.none() | st.just(BlobSha("1" * 40)),
        "announced": st.integers(0, 5).map(Position),
        "deleted_at": st.none() | st.integers(1, 5).map(Millis),
        "deleted_by": st.none() | actors,
    },
)
recorded = st.builds(
    lambda sha, mode: b'["d","%s",%d,1,"c"]' % (sha, mode),
    st.sampled_from([EMPTY, b"1" * 40]),
    st.sampled_from([33188, 1]),
)
values = st.none() | st.sampled_from([b"", b"1", b"2"])
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        CreateProject,
        st.builds(
            Project,
            id=projects,
            name=st.sampled_from(["n1", "n2"]),
            created_at=st.just(Millis(0)),
            created_by=actors,
        ),
    ),
    st.builds(CreateDocument, created_rows),
    st.builds(CreateDocument, created_rows),
    st.builds(SetDocument, id=documents, fields=fields, expect_head=st.none() | st.none() | positions),
    st.builds(SetDocument, id=documents, fields=fields),
    st.builds(SetDocument, id=documents, fields=st.fixed_dictionaries({"path": paths})),
    st.builds(PublishStaged, projects, st.sampled_from(JOBS)),
    st.builds(DropStaged, st.sampled_from(JOBS)),
    st.builds(RenameProject, projects, st.sampled_from(["n1", "n2", "n3"])),
    st.builds(Emit, st.builds(Event, project=projects, kind=st.just("k"), path=st.none() | paths)),
    st.builds(
        PutRecord,
        collection=st.just("c"),
        project=projects | st.just(ProjectId("")),
        key=st.sampled_from(["k", "k/1", "l"]),
        value=values,
        expect=st.just(ANY) | values,
    ),
    st.builds(
        PutRecord, collection=st.just("bases"), project=projects, key=paths.map(show), value=st.none() | recorded
    ),
    st.builds(
        Emit,
        st.builds(Event, project=projects, kind=st.just("created"), document=documents, position=st.just(Position(1))),
    ),
)


class StoreModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.now = self.latest = self.opened = Millis(1_700_000_000_000)

    @initialize()
    def begin(self) -> None:
        self.memory = MemoryStore(clock=lambda: self.now)
        self.open()
        for project in PROJECTS:
            new = Project(id=project, name=project, created_at=Millis(0), created_by=ActorId("alice"))
            self.ask("commit", changes=[CreateProject(new)])
        for document, path in zip(DOCUMENTS, PATHS[:4], strict=False):
            self.ask("commit", changes=[CreateDocument(Row(id=document, project=PROJECTS[0], path=path))])

    def open(self) -> None:
        self.sqlite: SqliteStore = self.runner.run(open_store(self.folder, clock=lambda: self.now))

    def ask(self, question: str, *arguments: Any, **options: Any) -> None:
        """Both stores give the same answer, or refuse with the same error."""
        self.compare(lambda store: answer(getattr(store, question)(*arguments, **options)))

    def compare(self, ask: Callable[[Store], Coroutine[Any, Any, Any]]) -> None:
        assert self.runner.run(ask(self.memory)) == self.runner.run(ask(self.sqlite))

    @rule(chosen=st.lists(appends, min_size=1, max_size=3), later=st.integers(-2, 9))
    def write(self, chosen: list[Append], later: int) -> None:
        self.wait(later)
        self.ask("commit", chosen)

    @rule(
        chosen=st.lists(appends, max_size=1), made=st.lists(changes, min_size=1, max_size=5), later=st.integers(-2, 9)
    )
    def change(self, chosen: list[Append], made: list[Change], later: int) -> None:
        self.wait(later)
        self.ask("commit", chosen, made)

    @rule(jobs=st.lists(st.lists(appends, min_size=1, max_size=2), min_size=2, max_size=8))
    def write_at_once(self, jobs: list[list[Append]]) -> None:
        async def every(store: Store) -> list[Any]:
            return await asyncio.gather(*(answer(store.commit(job)) for job in jobs))

        self.compare(every)

    def wait(self, later: int) -> None:
        self.now = Millis(max(self.now + later, self.opened))
        self.latest = max(self.latest, self.now)

    @rule(document=documents, position=positions)
    def checkpoint(self, document: DocumentId, position: Position) -> None:
        self.ask("checkpoint", document, Checkpoint(position, b"state of %d" % position))

    @rule(document=documents, reason=st.none() | st.just("broken"))
    def quarantine(self, document: DocumentId, reason: str | None) -> None:
        self.ask("quarantine", document, reason)

    @rule(project=projects)
    def delete_project(self, project: ProjectId) -> None:
        new = Project(id=project, name=project, created_at=Millis(5), created_by=ActorId("bob"))
        self.ask("commit", changes=[DeleteProject(project)])
        self.ask("commit", changes=[CreateProject(new)])

    @rule()
    def reopen(self) -> None:
        # A time that no row tells (of a commit that stored nothing that has one) is not known after a restart: so the
        # clock does not go back behind it.
        self.now = self.opened = self.latest
        self.runner.run(self.sqlite.aclose())
        self.open()

    @rule(document=documents, position=positions, after=positions, kind=st.sampled_from([None, 1, 2]))
    def look_into_the_past(self, document: DocumentId, position: Position, after: Position, kind: int | None) -> None:
        self.ask("load", document, position)
        self.ask("entries", document, after, position, kind=kind)
        self.ask("actors", document, after, position)
        self.ask("position_at", document, self.now - 10 + position)
        self.ask("shares", [(document, after, position), (DOCUMENTS[0], Position(0), Position(5))])

    @rule(project=projects, path=paths, prefix=st.sampled_from(["", "a", "a/", "\udcff", "zz"]))
    def look_around(self, project: ProjectId, path: Path, prefix: str) -> None:
        self.ask("led_from", project, path)
        self.ask("deleted_at_path", project, path)
        self.ask("at_paths", project, [path, *PATHS])
        self.ask("tree", project, prefix=prefix, after=path, limit=2)
        self.ask("records", "c", project, prefix=prefix)
        self.ask("record_everywhere", "c", "k")
        self.ask("events", project, after=2, limit=2)
        self.ask("unlike", project, "bases")

    @rule(project=projects, after=st.integers(0, 9))
    def look_what_was_touched(self, project: ProjectId, after: int) -> None:
        async def touched(store: Store) -> object:
            found = await store.touched(project, after)
            return found.events, sorted(found.rows, key=lambda row: row.id)

        self.compare(touched)

    @invariant()
    def everything_is_the_same(self) -> None:
        self.ask("projects")
        self.ask("owed")
        for project in PROJECTS:
            self.ask("tree", project)
            self.ask("events", project, after=0, limit=1000)
            self.ask("records", "c", project)
        for document in DOCUMENTS:
            self.ask("document", document)
            self.ask("load", document)
            self.ask("bound_before", document, [2**53 - 1 - number for number in range(5)])

    def teardown(self) -> None:
        self.runner.run(self.sqlite.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)


async def answer(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except QuireError as error:
        return type(error), error.message


StoreModel.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestStoreModel = StoreModel.TestCase
