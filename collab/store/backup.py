"""A consistent copy of the store as one file, while it serves."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from typing import Final

STEP: Final = 1024
"""Pages to a step (4 MB): between steps the thread can be told to stop."""


def copy(connection: sqlite3.Connection, destination: pathlib.Path) -> None:
    """Copies what `connection` sees to `destination`, which is whole when it is there: an older one is replaced.
    The reader's transaction holds the state still, so that commits meanwhile do not make the copy begin anew."""
    partial = destination.with_name(destination.name + ".partial")
    partial.unlink(missing_ok=True)
    connection.execute("SELECT 1 FROM meta").fetchone()
    target = sqlite3.connect(partial)
    try:
        connection.backup(target, pages=STEP)
    finally:
        target.close()
    _sync(partial)
    partial.replace(destination)
    _sync(destination.parent)


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
