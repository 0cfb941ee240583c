"""The contract Store: one log of entries per document and one catalog, changed together. PLUG.

What it promises
1. `commit` is one transaction: all appends and all changes of the call are durable (fsynced) when it returns, or none
   is and it raises. Calls that wait at the same time share one fsync; a call that fails does not fail its neighbours.
2. A Position is gapless per document, one per entry, assigned inside the transaction. `at` never decreases, neither in
   a document nor in a project, whatever the clock does.
3. Event numbers are gapless per project, assigned inside the transaction.
4. What may move only once is moved by compare-and-swap: `Append.expect`, `SetDocument.expect_head`, `PutRecord.expect`.
   A swap that loses raises `Stale` and changes nothing.
5. `load` at any position that was ever assigned gives the entries that make that state, packed or not.
6. A read sees one consistent state, and everything whose `commit` has returned.
7. "Not found" is None, only when it is known to be absent. Anything else raises.
8. An entry whose kind a reader does not know is handed over as it is; readers skip it.

What breaks it: a second process on the same data (refused by a lock), a disk that lies about fsync.

Errors: `PathTaken` (a live document stands at that path), `Stale` (a swap lost, or a new document's id is in use),
`NotFound` (an append to, or a change of, a document or project that does not exist; a tombstone exists, and its log may
grow), `LogFailed` (the disk is full, the store is closed, ...). A store that is closed answers questions with `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Final, Literal, Protocol, TypedDict, TypeVar

from collab.ids import ActorId, BlobSha, ClientId, DocumentId, Millis, Path, Position, ProjectId, TurnId

T = TypeVar("T")

DocumentKind = Literal["text", "binary", "symlink", "submodule", "lfs"]
LineEnding = Literal["lf", "crlf"]


class EntryKind(IntEnum):
    UPDATE = 1
    """A Yjs update (v1): what one sender brought in one turn of the room."""
    META = 2
    """A JSON object with the metadata that changed: path, kind, mode, eol, bom, object, deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a document's log, before it has a position. `clients` are the client ids that its update brings news of:
    those that nobody owns yet are bound to `actor` in the same transaction."""

    kind: int
    actor: ActorId
    payload: bytes
    on_behalf_of: ActorId | None = None
    turn: TurnId | None = None
    clients: tuple[ClientId, ...] = ()


@dataclass(frozen=True, slots=True)
class Logged:
    position: Position
    at: Millis
    entry: Entry


Line = tuple[Position, Millis, int, ActorId, ActorId | None, TurnId | None, bytes]
"""An entry as `Store.gather` gives it: position, time, kind, actor, on behalf of whom, turn, payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Entries for one document, in order. With `expect`, the document's head must be exactly that, else `Stale`."""

    document: DocumentId
    entries: tuple[Entry, ...]
    expect: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    id: ProjectId
    name: str
    created_at: Millis
    created_by: ActorId
    events: int = 0
    """The number of the newest event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A document in the catalog. `sha` and `size` describe the file's bytes as they stood at `sha_position`; for text
    they lag behind `head` by a second at most while somebody types. `object` names the bytes of what is not text."""

    id: DocumentId
    project: ProjectId
    path: Path
    kind: DocumentKind = "text"
    mode: int = 0o100644
    eol: LineEnding = "lf"
    bom: bool = False
    object: BlobSha | None = None
    head: Position = Position(0)
    sha: BlobSha = BlobSha("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    sha_position: Position = Position(0)
    size: int = 0
    announced: Position = Position(0)
    """The position of the newest event about this document: smaller than `head`, a `changed` event is owed."""
    created_at: Millis = Millis(0)
    created_by: ActorId = ActorId("")
    updated_at: Millis = Millis(0)
    updated_by: ActorId = ActorId("")
    deleted_at: Millis | None = None
    deleted_by: ActorId | None = None
    staged: str | None = None
    """The job that made it and has not published it: nobody sees it."""
    quarantined: str | None = None
    """Why its log cannot be decoded."""


class RowFields(TypedDict, total=False):
    """What `SetDocument` may change; the rest is the store's own."""

    path: Path
    kind: DocumentKind
    mode: int
    eol: LineEnding
    bom: bool
    object: BlobSha | None
    sha: BlobSha
    sha_position: Position
    size: int
    announced: Position
    deleted_at: Millis | None
    deleted_by: ActorId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a project's tree or text. `n` is 0 until the store has numbered it."""

    project: ProjectId
    kind: str
    path: Path | None = None
    document: DocumentId | None = None
    sha: BlobSha | None = None
    position: Position | None = None
    actors: tuple[ActorId, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    n: int = 0
    at: Millis = Millis(0)


class Anything(Enum):
    ANY = "any"


ANY: Final = Anything.ANY
"""For `PutRecord.expect`: whatever is there."""


@dataclass(frozen=True, slots=True)
class CreateProject:
    """`PathTaken` when the name is taken."""

    project: Project


@dataclass(frozen=True, slots=True)
class RenameProject:
    id: ProjectId
    name: str


@dataclass(frozen=True, slots=True)
class DeleteProject:
    """The project, its documents, their log, its events and its records. There is no way back."""

    id: ProjectId


@dataclass(frozen=True, slots=True)
class CreateDocument:
    """`head`, `created_at`, `updated_at` and `updated_by` are the store's to set (appends of the same commit count).
    `PathTaken` when a live document stands at the path (a staged one never collides before it is published)."""

    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDocument:
    """Changes of one row. A new `path` leaves the old one behind as a former path. `PathTaken` as above, also when a
    deleted document comes back. Documents that leave their path, or are deleted, later in the same commit do not stand in
    the way: files may change places."""

    id: DocumentId
    fields: RowFields
    expect_head: Position | None = None


@dataclass(frozen=True, slots=True)
class PublishStaged:
    """Every document that `job` staged becomes live, each with its event `created`. `PathTaken` if one collides."""

    project: ProjectId
    job: str


@dataclass(frozen=True, slots=True)
class DropStaged:
    """Whatever `job` staged is gone, log and all."""

    job: str


@dataclass(frozen=True, slots=True)
class Emit:
    event: Event


@dataclass(frozen=True, slots=True)
class Announce:
    """A document changed: `event` (kind `changed`; project, document, sha, position and actors are given, the path is the
    row's) is told, and the row's `announced`, `sha`, `sha_position` and `size` move to its position, unless they are
    further already. A document or project that is gone is passed over. A commit that only announces is one step for any
    number of documents."""

    event: Event
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRecord:
    """One small named value (bytes, JSON by convention): tokens, jobs, bases, journals. `project` is "" for the
    installation's own. `expect`: ANY, None (must be absent) or the exact bytes that must be there. `value` None deletes."""

    collection: str
    project: ProjectId
    key: str
    value: bytes | None
    expect: bytes | Anything | None = ANY


Change = (
    CreateProject
    | RenameProject
    | DeleteProject
    | CreateDocument
    | SetDocument
    | PublishStaged
    | DropStaged
    | Emit
    | Announce
    | PutRecord
)
"""Changes are carried out in the order given, before the appends of the same commit."""


def leaves(change: Change) -> bool:
    """It takes a document away from its path: to another one, or as deleted."""
    fields = change.fields if isinstance(change, SetDocument) else {}
    return "path" in fields or fields.get("deleted_at") is not None


def leaving(changes: Sequence[Change]) -> set[DocumentId]:
    """Whoever leaves a path in this commit."""
    return {change.id for change in changes if isinstance(change, SetDocument) and leaves(change)}


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit made: the head of every document that it appended to, its time, the events with their numbers."""

    at: Millis
    heads: Mapping[DocumentId, Position]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    position: Position
    state: bytes
    """A Yjs update (v1) that makes the whole document as of `position`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest checkpoint not after the wanted position, the entries after it up to that position, and every binding."""

    head: Position
    position: Position
    checkpoint: Checkpoint | None
    entries: tuple[Logged, ...]
    bindings: Mapping[ClientId, ActorId]


Span = tuple[DocumentId, Position, Position]
"""Of one document, the entries after a position up to another."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One state. `events`: the number of the project's newest event. `rows`: every published document, deleted ones too, that
    an event after the one asked for names, and every live one of which an event is owed."""

    events: int
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSize:
    """What a document costs: entries not yet packed (how many, and the bytes of their payloads), and bytes as they are
    stored: of the newest checkpoint, and of everything older (segments, checkpoints)."""

    head: Position
    checkpoint: Position
    loose: int
    loose_bytes: int
    packed_bytes: int
    checkpoint_bytes: int


class Store(Protocol):
    """See the module. Everything is async; a call that is cancelled while it commits may or may not have committed."""

    @property
    def node(self) -> int:
        """This process's number among those that share the store: 0 for a store of one process."""

    @property
    def epoch(self) -> int:
        """Begins at 1; a restore from backup begins the next."""

    async def commit(self, appends: Sequence[Append] = (), changes: Sequence[Change] = ()) -> Committed: ...

    async def load(self, document: DocumentId, position: Position | None = None) -> Loaded | None:
        """None when the document does not exist. `Invalid` when `position` lies beyond its head."""

    async def entries(
        self, document: DocumentId, after: Position, upto: Position, *, kind: int | None = None
    ) -> Sequence[Logged]:
        """The entries `after < position <= upto`, packed ones too; with `kind`, those of that kind alone, which costs
        little where they are rare."""

    async def actors(self, document: DocumentId, after: Position, upto: Position) -> Sequence[ActorId]:
        """Whose the entries `after < position <= upto` are, each once, in the order in which they first wrote."""

    async def gather(
        self, document: DocumentId, after: Position, upto: Position, over: Callable[[Iterator[Line]], T]
    ) -> T:
        """What `over` makes of the entries `after < position <= upto`, in their order, of which there may be very many: it
        may run in another thread, and must be done with them when it returns."""

    async def shares(self, spans: Sequence[Span]) -> Mapping[ActorId, int]:
        """How many of the entries in these spans each actor has written, or had written on their behalf."""

    async def position_at(self, document: DocumentId, at: Millis) -> Position:
        """The last position whose time is not later than `at`; 0 when there is none."""

    async def checkpoint(self, document: DocumentId, checkpoint: Checkpoint) -> None:
        """Stores a checkpoint that its maker has decoded and compared (collab.compaction), and packs the entries up to
        it into a compressed segment. Older checkpoints are thinned: enough stay that no position is far from one."""

    async def size(self, document: DocumentId) -> LogSize | None: ...

    async def quarantine(self, document: DocumentId, reason: str | None) -> None:
        """Marks (None: unmarks) a document whose log cannot be decoded. Its log is never touched."""

    async def bound_before(self, document: DocumentId, clients: Sequence[ClientId]) -> frozenset[ClientId]:
        """Those of `clients` that are bound in another document which stood at this document's path before."""

    async def project(self, name: str) -> Project | None: ...

    async def project_by_id(self, project: ProjectId) -> Project | None: ...

    async def projects(self) -> Sequence[Project]:
        """All, by name."""

    async def document(self, document: DocumentId) -> Row | None:
        """Live or deleted, staged or not."""

    async def documents(self, ids: Sequence[DocumentId]) -> Mapping[DocumentId, Row]: ...

    async def at_path(self, project: ProjectId, path: Path) -> Row | None:
        """The live document at exactly this path."""

    async def at_paths(self, project: ProjectId, paths: Sequence[Path]) -> Mapping[Path, Row]: ...

    async def led_from(self, project: ProjectId, path: Path) -> Row | None:
        """The live document that stood at this path last and was moved away, if nothing stands there now."""

    async def deleted_at_path(self, project: ProjectId, path: Path) -> Row | None:
        """The document deleted last from this path."""

    async def tree(
        self, project: ProjectId, *, prefix: str = "", after: Path | None = None, limit: int | None = None
    ) -> Sequence[Row]:
        """The live documents whose path starts with `prefix`, in the order of their paths' bytes."""

    async def names(self, project: ProjectId, directory: str) -> Set[str]:
        """What stands directly in a directory ("" is the root): names of live files and of directories."""

    async def tree_with_deleted(self, project: ProjectId) -> Sequence[Row]:
        """Every published document, tombstones too, for a look into the past."""

    async def owed(self) -> Sequence[Row]:
        """Live documents with `announced < head`: an event is owed (after a crash)."""

    async def touched(self, project: ProjectId, after: int) -> Touched:
        """What may have changed since the event `after`, at a cost that follows what did."""

    async def unlike(self, project: ProjectId, collection: str) -> tuple[Sequence[Row], Mapping[str, bytes]]:
        """The live documents, held against what is recorded of them: JSON arrays that begin with a document's id, a SHA and a
        mode, under the documents' paths (as `collab.paths.show` gives them). Left out are those that are as recorded: settled
        (`sha_position` is `head`), not quarantined, of that SHA and mode, at a path that is shown as it is. Of the records
        those are left out that belong to them. One state, in the order of paths."""

    async def named(self, document: DocumentId, sha: BlobSha) -> Position | None:
        """The newest position of a document at which an event told this SHA of it."""

    async def events(self, project: ProjectId, *, after: int, limit: int) -> Sequence[Event]: ...

    async def record(self, collection: str, project: ProjectId, key: str) -> bytes | None: ...

    async def records(self, collection: str, project: ProjectId, *, prefix: str = "") -> Mapping[str, bytes]:
        """In the order of their keys."""

    async def record_everywhere(self, collection: str, key: str) -> Mapping[ProjectId, bytes]:
        """The records of every project under this key: a token is looked up before its project is known."""

    async def backup(self, destination: str) -> None:
        """A consistent copy of everything in the store as one file at `destination`, while it serves."""

    async def aclose(self) -> None:
        """Finishes what `commit` has accepted, then lets go of the data."""
