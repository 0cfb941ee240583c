"""The format of a project file: one SQLite database with a project's documents, their logs and who made them. PURE.

`documents.content` holds each file's bytes as they were when the file was written, tombstones included; `entries` the
whole log of each document in the order of its positions (kinds are those of collab.store.base.EntryKind, `clients` a JSON
list). Paths are git's bytes. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

TABLES: Final = ("meta", "documents", "entries", "actors", "snapshots")

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id TEXT PRIMARY KEY, path BLOB NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL, eol TEXT NOT NULL,
    bom INTEGER NOT NULL, sha TEXT NOT NULL, size INTEGER NOT NULL, position INTEGER NOT NULL, content BLOB NOT NULL,
    created_at INTEGER NOT NULL, created_by TEXT NOT NULL, updated_at INTEGER NOT NULL, updated_by TEXT NOT NULL,
    deleted_at INTEGER, deleted_by TEXT
);
CREATE UNIQUE INDEX live_paths ON documents (path) WHERE deleted_at IS NULL;
CREATE TABLE entries (
    document TEXT NOT NULL REFERENCES documents (id), position INTEGER NOT NULL, at INTEGER NOT NULL,
    kind INTEGER NOT NULL, actor TEXT NOT NULL, on_behalf_of TEXT, turn TEXT, clients TEXT NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (document, position)
) WITHOUT ROWID;
CREATE TABLE actors (id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, email TEXT) WITHOUT ROWID;
CREATE TABLE snapshots (number INTEGER PRIMARY KEY, value TEXT NOT NULL);
"""
