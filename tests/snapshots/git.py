"""Real git, as the judge of what we make."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
from typing import Final

from collab.ids import BlobSha

ENVIRONMENT: Final = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "alice",
    "GIT_AUTHOR_EMAIL": "alice@example.org",
    "GIT_COMMITTER_NAME": "alice",
    "GIT_COMMITTER_EMAIL": "alice@example.org",
    "GIT_AUTHOR_DATE": "2024-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2024-01-02T03:04:05Z",
    "GIT_TERMINAL_PROMPT": "0",
}


def git(folder: pathlib.Path, *arguments: str | bytes, stdin: bytes | None = None, strip: bool = True) -> str:
    """What git says, without the line breaks at its end; it must have nothing to complain about."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], input=stdin, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    said = done.stdout.decode("utf-8", "surrogateescape")
    return said.rstrip("\n") if strip else said


def blob_sha(content: bytes) -> BlobSha:
    return BlobSha(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


def new_repository(folder: pathlib.Path, *, branch: str = "main") -> pathlib.Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", f"--initial-branch={branch}")
    return folder


def commit_all(folder: pathlib.Path, message: str = "A commit") -> str:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
