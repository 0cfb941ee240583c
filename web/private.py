"""Small private files of the data directory: readable by their owner alone, whole or not there."""

from __future__ import annotations

import os
import pathlib
import secrets
from collections.abc import Callable


def write_private(path: pathlib.Path, text: str) -> None:
    """Replaces `path` in one step; it never lies there with other permissions or half written."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_or_make(path: pathlib.Path, make: Callable[[], str]) -> str:
    """What the file holds; made and written first when there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, make() + "\n")
    return path.read_text().strip()
