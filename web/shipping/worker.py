"""Restores the newest state of a backup into a folder, verifies it there, and says what it found: in a process of its own.

The request names the settings that lead to the backup, and a scratch folder, which is gone afterwards. The answer is a JSON object a
line: `Said`, and at the end `Outcome`.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import Callable

import anyio
import msgspec
from anyio import to_thread

from collab.errors import QuireError, Unavailable
from collab.ids import ProjectId
from collab.objects.base import ObjectStore
from collab.store import schema
from collab.store.sqlite import open_store
from snapshots import child
from snapshots.connection import connections
from snapshots.remotes.local import LocalRemotes
from web import places
from web.settings import S3Place, Settings
from web.shipping import copying
from web.shipping.checking import SHOWN, Outcome, Request, Said
from web.shipping.layout import OBJECTS as CARRIED
from web.shipping.recovery import Recovered, recover
from web.verify import Checked, Finding, Verifier

SPARE = 256 << 20
"""Bytes of the disk that are left to the server."""


def main() -> None:
    content, answer = child.begin()
    request = msgspec.json.decode(content, type=Request)

    def tell(said: Said | Outcome) -> None:
        answer.write(msgspec.json.encode(said) + b"\n")
        answer.flush()

    try:
        tell(anyio.run(_checked, request, tell))
    except BrokenPipeError:
        child.end(child.ENDED)
    child.end()


async def _checked(request: Request, tell: Callable[[Said | Outcome], None]) -> Outcome:
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=".check-", dir=request.scratch))
    try:
        return await _restored_and_verified(Settings.load(request.settings), scratch, tell)
    except QuireError as error:
        return Outcome(error=error.message)
    except OSError as error:
        return Outcome(error=f"the check could not be made: {error.strerror or error}")
    finally:
        await to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))


async def _restored_and_verified(
    settings: Settings, scratch: pathlib.Path, tell: Callable[[Said | Outcome], None]
) -> Outcome:
    place = settings.backup_place
    if place is None:
        raise Unavailable("nothing is backed up continuously: set QUIRE_BACKUP, or QUIRE_OBJECTS")
    objects = await to_thread.run_sync(places.open_to_read, settings, place)
    try:
        newest = (await copying.copies(objects))[-1:]
        free = shutil.disk_usage(scratch).free
        if newest and newest[0].size + SPARE > free:
            raise Unavailable(f"there is too little room for a restored database: {newest[0].size:,} of {free:,} bytes")
        recovered = await recover(
            objects, scratch, None, lambda phase, done, total: tell(Said(phase=phase, done=done, total=total))
        )
        await to_thread.run_sync(schema.check, scratch)
    finally:
        await objects.aclose()
    files = await to_thread.run_sync(_files, settings, place, recovered)
    try:
        return await _verified(scratch, files, recovered, tell)
    finally:
        await files.aclose()


def _files(settings: Settings, place: pathlib.Path | S3Place, recovered: Recovered) -> ObjectStore:
    """Where the files are that are not text."""
    if recovered.copy.objects == CARRIED:
        return places.open_to_read(settings, places.below(place, "backup"))
    elsewhere = settings.objects if recovered.copy.objects_place else None
    return places.open_to_read(settings, elsewhere or place)


async def _verified(
    scratch: pathlib.Path, files: ObjectStore, recovered: Recovered, tell: Callable[[Said | Outcome], None]
) -> Outcome:
    store = await open_store(scratch)
    remotes = LocalRemotes(scratch / "git")
    try:
        elsewhere = {*await connections(store)}
        names = {project.name: project.id for project in await store.projects()}
        found: list[str] = []
        documents: dict[str, int] = {}
        async for each in Verifier(store, files, remotes.of).run():
            if isinstance(each, Checked):
                documents[each.project] = each.total
                tell(Said(phase=f"verifying {each.project}", done=each.done, total=each.total))
            elif each.check != "git" or names.get(each.project, ProjectId("")) not in elsewhere:
                found.append(_line(each))
        return Outcome(
            generation=recovered.copy.generation,
            segment=recovered.number,
            moment=recovered.at,
            documents=sum(documents.values()),
            findings=len(found),
            first=tuple(found[:SHOWN]),
        )
    finally:
        await remotes.aclose()
        await store.aclose()


def _line(finding: Finding) -> str:
    where = finding.project + (f"/{finding.path}" if finding.path else "")
    return f"{finding.check}: {where}: {finding.message}"
