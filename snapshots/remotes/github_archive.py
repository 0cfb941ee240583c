"""Many blobs at once, from the tarball of a commit: two requests instead of one for each. ADAPTER.

It is downloaded and unpacked in a process of its own (snapshots.worker), and what it holds counts by its SHA alone. What
did not come has to be asked for by itself: nothing here fails because there is no tarball.

GitHub answers with an address that is good for some minutes; it is asked without our credential, and only where it is of
the host that the settings name.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import structlog

from collab.errors import Unavailable
from collab.ids import BlobSha
from snapshots.remotes.base import CommitSha
from snapshots.remotes.github_hub import Hub
from snapshots.remotes.github_manifest import web_address
from snapshots.remotes.github_repository import Repository
from snapshots.remotes.refusals import RemoteUnreachable
from snapshots.sources import Batch, File, Note, Request, Tarball
from snapshots.worker import messages_of

log = structlog.get_logger(__name__)

AT_LEAST: Final = 50
"""Blobs for which a tarball is worth it."""
PART: Final = 10
"""It is, too, only for a tenth of the files or more: it holds all of them."""


def worth(wanted: int, files: int) -> bool:
    return wanted >= AT_LEAST and wanted * PART >= files


async def contents(
    repository: Repository, commit: CommitSha, shas: Iterable[BlobSha]
) -> AsyncGenerator[tuple[BlobSha, bytes]]:
    """Some of them, in any order."""
    url = await address(repository, commit)
    if url is None:
        return
    wanted = b"".join(bytes.fromhex(sha) for sha in shas)
    scratch = await anyio.to_thread.run_sync(tempfile.mkdtemp)
    try:
        request = Request(source=Tarball(url, wanted), bare="", scratch=scratch)
        async with aclosing(messages_of(request)) as messages:
            async for message in messages:
                if isinstance(message, Batch):
                    for each in message.files:
                        yield BlobSha(each.sha), await _content(each)
                elif isinstance(message, Note):
                    _unreadable(repository, message.text)
    except Unavailable as error:
        _unreadable(repository, error.message)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(functools.partial(shutil.rmtree, scratch, ignore_errors=True))


async def _content(each: File) -> bytes:
    if not each.beside:
        return each.content
    large = anyio.Path(each.beside)
    content = await large.read_bytes()
    await large.unlink()
    return content


def _unreadable(repository: Repository, why: str) -> None:
    log.info("a tarball of GitHub's could not be read", repository=repository.facts.name, why=why)


async def address(repository: Repository, commit: CommitSha) -> str | None:
    """Where the tarball is; None: GitHub does not say, or says somewhere that is not its own."""
    hub = repository.hub
    async with hub.session():
        try:
            answer = await hub.send("GET", f"/repos/{repository.facts.name}/tarball/{commit}", again=False)
        except RemoteUnreachable:
            return None
    location = answer.headers.get("location", "")
    return location if answer.status == 302 and _of_host(location, hub) else None


def _of_host(location: str, hub: Hub) -> bool:
    """`codeload.github.com` belongs to `github.com`."""
    there, web = urlsplit(location), urlsplit(web_address(hub.api))
    host = web.hostname or ""
    return there.scheme == web.scheme and (there.hostname == host or (there.hostname or "").endswith(f".{host}"))
