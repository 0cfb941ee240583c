"""Reads a project file that `quire export` wrote (snapshots.exporter has its format): the live documents' bytes.

The file may come from anybody: it is opened read-only, with nothing of its schema trusted, and every file is hashed again.
"""

from __future__ import annotations

import pathlib
import sqlite3
from contextlib import closing

from collab import paths
from collab.errors import Invalid
from collab.ids import BlobSha
from collab.text import blob_sha
from snapshots import trees
from snapshots.portable import FORMAT, TABLES
from snapshots.readers.batches import Batches
from snapshots.sources import Phase


def read(path: pathlib.Path, batches: Batches) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            database.execute("PRAGMA cell_size_check=ON")
            _check(database)
            _read(database, batches)
    except sqlite3.DatabaseError as error:
        raise Invalid(f"the file cannot be read: {error}", field="file") from error


def _check(database: sqlite3.Connection) -> None:
    kinds = dict(database.execute("SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view', 'trigger')"))
    if any(kinds.get(table) != "table" for table in TABLES):
        raise Invalid("the file is no project that Quire exported", field="file")
    found = database.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if found is None or found[0] != str(FORMAT):
        raise Invalid(f"the file's format is {found and found[0]}; this Quire reads {FORMAT}", field="file")


def _read(database: sqlite3.Connection, batches: Batches) -> None:
    live = "FROM documents WHERE deleted_at IS NULL"
    batches.tell(Phase("files", database.execute(f"SELECT count(*) {live}").fetchone()[0]))
    for path, mode, sha, size in database.execute(f"SELECT path, mode, sha, size {live} ORDER BY path"):
        raw = bytes(path)
        batches.check_size(raw, size)
        (content,) = database.execute(
            "SELECT content FROM documents WHERE path = ? AND deleted_at IS NULL", (path,)
        ).fetchone()
        content = bytes(content)
        if mode != trees.SUBMODULE and blob_sha(content) != sha:
            raise Invalid(f"{paths.show(paths.from_bytes(raw))} is damaged in the file", field="file")
        batches.add(raw, mode, content, BlobSha(sha))
