"""A repository on GitHub with its tarball, as git makes it and GitHub serves it.

The server in Node has no tarballs; a proxy in front of it answers as GitHub does: with another address, which serves it.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Final

import anyio

from collab.ids import BlobSha, Path
from snapshots import trees
from snapshots.remotes import github_archive, github_repository
from snapshots.remotes.base import Author, NewCommit, TreeEntry
from snapshots.remotes.github import GitHubRemote
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hubs import hub_to
from tests.snapshots.git import blob_sha, git

FILE, SCRIPT, LINK = 0o100644, 0o100755, 0o120000
MANY: Final = github_archive.AT_LEAST

TARBALL, CODELOAD = "/tarball/", "/codeload/"


@dataclass
class Tarred:
    """`contents` are all that the branch holds, by their SHA, but for the README that every repository begins with."""

    theirs: GitHubRepository
    contents: dict[BlobSha, bytes]
    files: dict[str, tuple[int, bytes]]
    packed: bytes


def tarred(server: GitHubServer, folder: pathlib.Path) -> Tarred:
    """A repository whose tarball is not all that its tree is. Blocking; not within an event loop."""
    theirs = server.make(begun=True)
    files = _files()
    contents = anyio.run(_fill, theirs, files)
    bare = theirs.copied(folder / "copy.git")
    into = folder / "packed.tar.gz"
    git(bare, "archive", "--format=tar.gz", "--prefix=alice-r-0123456/", f"--output={into}", "main")
    return Tarred(theirs, contents, files, into.read_bytes())


def serve(
    proxy: FaultProxy, packed: bytes, *, location: str | None = None, answer: fault.Action | None = None
) -> list[Request]:
    """From now on. The requests that arrive for it are in the list."""
    there = location or f"{proxy.url}/codeload/alice-r.tar.gz?token=temporary"
    asked: list[Request] = []

    async def sent(request: Request, forward: Forward) -> Reply:
        return Reply(302, {"location": there}, b"")

    async def served(request: Request, forward: Forward) -> Reply | None:
        asked.append(request)
        if answer is not None:
            return await answer(request, forward)
        return Reply(200, {"content-type": "application/x-gzip"}, packed)

    proxy.on("GET", TARBALL, sent, times=-1)
    proxy.on("GET", CODELOAD, served, times=-1)
    return asked


def _files() -> dict[str, tuple[int, bytes]]:
    files: dict[str, tuple[int, bytes]] = {f"d{n % 7}/f{n}.txt": (FILE, b"file %d\n" % n) for n in range(MANY)}
    files["hidden.txt"] = FILE, b"not in a tarball\n"
    files["version.txt"] = FILE, b"$Format:%H$\n"
    files[".gitattributes"] = FILE, b"hidden.txt export-ignore\nversion.txt export-subst\n"
    files["run.sh"] = SCRIPT, b"#!/bin/sh\n"
    files["link"] = LINK, b"d0/f0.txt"
    files["again.txt"] = FILE, b"file 0\n"
    files["bytes.bin"] = FILE, bytes(range(256)) * 40
    files["empty"] = FILE, b""
    files["large.bin"] = FILE, b"\0\1\2\3" * 2_000_000
    return files


async def _fill(theirs: GitHubRepository, files: dict[str, tuple[int, bytes]]) -> dict[BlobSha, bytes]:
    hub = hub_to(theirs.server.url, theirs.token)
    remote = GitHubRemote(await github_repository.find(hub, theirs.full_name), "main")
    contents = {blob_sha(content): content for _, content in files.values()}

    async def blob(sha: BlobSha) -> bytes:
        return contents[sha]

    writes = {Path(path): TreeEntry(blob_sha(content), mode) for path, (mode, content) in files.items()}
    writes[Path("vendored")] = TreeEntry(BlobSha("c" * 40), trees.SUBMODULE)
    alice = Author("Alice", "alice@example.org")
    first = await remote.head()
    await remote.commit(
        NewCommit(parent=first, writes=writes, deletes=(), message="Files\n", author=alice, at=1_700_000_000), blob
    )
    return contents
