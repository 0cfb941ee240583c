"""The tables of `quire.sqlite`, and the way from one data format to the next.

A step, once released, is never changed: a new format appends one. `format` in `meta` is the number of the newest step
that was carried out. A file of an older format is brought forward when it is opened, each step in a transaction of its
own; one of a newer format is refused.
"""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from sqlite_utils import Database, Migrations

from collab.errors import Invalid, Unavailable
from collab.ids import Millis
from collab.store.lock import DirectoryLock

FILE: Final = "quire.sqlite"
OLDEST: Final = (3, 37, 0)
"""The first SQLite with STRICT tables, which take no value of another type."""

Step = Callable[[Database], None]


def tables(db: Database) -> None:
    """Format 1."""
    for statement in _TABLES.split(";\n\n"):
        db.execute(statement)


STEPS: Final[tuple[Step, ...]] = (tables,)


def prepare(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Makes the tables, or brings those of an older format forward. `Unavailable` when the format is unknown."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise Unavailable(
            f"SQLite {sqlite3.sqlite_version} is too old: Quire needs {'.'.join(map(str, OLDEST))} or newer"
        )
    db = Database(connection, execute_plugins=False, recursive_triggers=False)
    found = _format(db)
    if found > len(steps):
        raise Unavailable(
            f"the data is of format {found}, and this version of Quire knows formats up to {len(steps)}: "
            "use the version that wrote it, or a newer one"
        )
    if found == len(steps):
        return
    migrations = Migrations("quire")
    for number, step in enumerate(steps, start=1):
        migrations(name=f"{number}")(_recorded(number, step))
    migrations.apply(db)


def newest_time(connection: sqlite3.Connection) -> Millis:
    """The latest time in the log and the catalog."""
    query = """
        SELECT max((SELECT coalesce(max(updated_at), 0) FROM documents), (SELECT coalesce(max(created_at), 0) FROM projects),
                   (SELECT coalesce(max(e.at), 0) FROM projects AS p JOIN events AS e ON e.project = p.id AND e.n = p.events))
    """
    (value,) = connection.execute(query).fetchone()
    return Millis(value)


def number(connection: sqlite3.Connection, key: str) -> int:
    """One of the numbers in `meta`: format, epoch, node."""
    (value,) = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return int(value)


def begin_epoch(folder: pathlib.Path, above: int = 0) -> int:
    """Begins the next epoch of the data in `folder`, which nobody may serve meanwhile: after a restore, peers may bring back what
    the backup had lost, and nothing that is written from now on uses a reserved client id of before. `above`: the latest epoch that
    is known of this data elsewhere; the same backup may be restored twice."""
    file = folder / FILE
    if not file.exists():
        raise Unavailable(f"{folder} holds no {FILE}: nothing to begin an epoch in")
    lock = DirectoryLock(folder)
    connection = sqlite3.connect(file)
    try:
        prepare(connection)
        db = Database(connection, execute_plugins=False, recursive_triggers=False)
        epoch = max(number(connection, "epoch"), above) + 1
        db.table("meta").update("epoch", {"value": epoch})
        connection.commit()
    finally:
        connection.close()
        lock.release()
    return epoch


def check(folder: pathlib.Path) -> None:
    """`Invalid` when SQLite finds something wrong with the file in `folder`, which nobody has open."""
    connection = sqlite3.connect(folder / FILE)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise Invalid(f"the database is damaged: {error}") from error
    finally:
        connection.close()
    if found != "ok":
        raise Invalid(f"the database is damaged: {found}")


def _format(db: Database) -> int:
    names = db.table_names()
    if not names:
        return 0
    if "meta" not in names:
        raise Unavailable(f"{FILE} is not a file of Quire: it has tables, and none of them is `meta`")
    return number(db.conn, "format")


def _recorded(number_: int, step: Step) -> Step:
    def carried_out(db: Database) -> None:
        step(db)
        db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('format', ?)", (number_,))

    return carried_out


# `documents.n` stands for the document's id in everything that there is much of. `entries` holds what is not packed yet,
# clustered by document, so that a load is one range; whatever enters it moves its document's head and binds its clients.
_TABLES: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;

INSERT INTO meta(key, value) VALUES ('epoch', 1), ('node', 0);

CREATE TABLE projects(
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
    events INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID, STRICT;

CREATE TABLE documents(
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, project TEXT NOT NULL, path BLOB NOT NULL,
    kind TEXT NOT NULL, mode INTEGER NOT NULL, eol TEXT NOT NULL, bom INTEGER NOT NULL, object TEXT,
    head INTEGER NOT NULL, sha TEXT NOT NULL, sha_position INTEGER NOT NULL, size INTEGER NOT NULL,
    announced INTEGER NOT NULL, created_at INTEGER NOT NULL, created_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL, deleted_at INTEGER, deleted_by TEXT, staged TEXT, quarantined TEXT
) STRICT;

CREATE UNIQUE INDEX documents_live ON documents(project, path) WHERE deleted_at IS NULL AND staged IS NULL;

CREATE INDEX documents_deleted ON documents(project, path, deleted_at) WHERE deleted_at IS NOT NULL;

CREATE INDEX documents_staged ON documents(staged) WHERE staged IS NOT NULL;

CREATE TABLE former_paths(
    n INTEGER PRIMARY KEY, project TEXT NOT NULL, path BLOB NOT NULL, document INTEGER NOT NULL, at INTEGER NOT NULL,
    leads INTEGER NOT NULL
) STRICT;

CREATE INDEX former_paths_path ON former_paths(project, path);

CREATE INDEX former_paths_document ON former_paths(document);

CREATE TABLE entries(
    document INTEGER NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL,
    actor TEXT NOT NULL, on_behalf_of TEXT, turn TEXT, clients TEXT, payload BLOB NOT NULL,
    PRIMARY KEY (document, position)
) WITHOUT ROWID, STRICT;

CREATE TABLE clients(
    document INTEGER NOT NULL, client INTEGER NOT NULL, actor TEXT NOT NULL, PRIMARY KEY (document, client)
) WITHOUT ROWID, STRICT;

CREATE TABLE segments(
    document INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, until INTEGER NOT NULL,
    weight INTEGER NOT NULL, kinds INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (document, first)
) STRICT;

CREATE TABLE checkpoints(
    document INTEGER NOT NULL, position INTEGER NOT NULL, coding INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (document, position)
) STRICT;

CREATE TABLE events(
    project TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, path BLOB, document TEXT,
    sha TEXT, position INTEGER, actors TEXT, data TEXT, PRIMARY KEY (project, n)
) WITHOUT ROWID, STRICT;

CREATE INDEX events_sha ON events(document, sha) WHERE sha IS NOT NULL;

CREATE TABLE records(
    collection TEXT NOT NULL, project TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (collection, project, key)
) WITHOUT ROWID, STRICT;

CREATE INDEX records_everywhere ON records(collection, key);

CREATE TRIGGER entries_advance AFTER INSERT ON entries BEGIN
    UPDATE documents SET head = NEW.position, updated_at = NEW.at, updated_by = NEW.actor WHERE n = NEW.document;
    INSERT INTO clients SELECT NEW.document, value, NEW.actor FROM json_each(NEW.clients) WHERE true
        ON CONFLICT DO NOTHING;
END
"""
