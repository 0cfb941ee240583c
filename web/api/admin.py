"""The whole installation: check it, copy it. For root, and for commands on the same machine.

Both take long, and answer with one JSON object a line while they work: how far they are, what they find, and at the end
`done` or `error`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Final

import anyio
import msgspec

from collab.errors import Conflict, Forbidden, Invalid
from collab.objects.base import ObjectStore
from web.api.endpoint import Body, Call, Endpoints, NoQuery
from web.api.report import LINES, Line, Report, Tell, Work, telling
from web.api.shapes import maybe_rfc3339, rfc3339
from web.archive import Manifest
from web.backup import backup
from web.roles import Access
from web.services import BackedUp, Services, now
from web.settings import S3Place, place
from web.shipping.assembly import Place
from web.shipping.checking import Outcome
from web.shipping.layout import OBJECTS as CARRIED
from web.shipping.layout import Copy
from web.shipping.once import copy_once
from web.verify import Checked, Verifier

endpoints = Endpoints()

SETTLES_WITHIN: Final = 10.0
"""Seconds for the newest edits to arrive in the backup before it is checked."""


class VerifyRequest(Body):
    """`repair`: whatever can be."""

    repair: bool = False


class BackupRequest(Body):
    """`to`: an absolute path on the server's machine, that is not there yet; or `s3://bucket/prefix`. `without_objects`: files that are
    not text stay where they are, if they lie elsewhere than in the data directory."""

    to: str
    without_objects: bool = False


@endpoints.add("POST", "/verify", role="root", body=VerifyRequest, gives=(LINES,))
async def verify(call: Call[VerifyRequest, NoQuery]) -> Report:
    """Checks log, checkpoints, catalog, objects and git against each other, while the server serves.

    Lines: `{"checked": {"project", "done", "total"}}`, `{"finding": {"check", "project", "path"?, "document"?, "message",
    "repaired"?}}`, and at the end `{"done": {"documents", "findings"}}`.
    """
    return Report(_verify(call.services, repair=call.body.repair))


class LastCheck(msgspec.Struct, omit_defaults=True):
    """`at` it was restored, as it was at `moment`, and verified; `error`: why it could not be."""

    at: str
    good: bool
    seconds: float
    moment: str | None = None
    documents: int = 0
    findings: int = 0
    first: tuple[str, ...] = ()
    error: str = ""


class BackupStatus(msgspec.Struct):
    """`state`: `off`, `beginning`, `shipping`, `behind`, `waiting` or `offline`, and `detail` says why. `seconds_behind`: the age of the oldest
    edit that is not there; `moment`: the newest that is."""

    state: str
    where: str = ""
    detail: str = ""
    seconds_behind: float = 0.0
    bytes_waiting: int = 0
    files_waiting: int = 0
    generation: int = 0
    segment: int = 0
    moment: str | None = None
    copied_at: str | None = None
    check: LastCheck | None = None


@endpoints.add("GET", "/backup", role="root", answer=BackupStatus)
async def backup_status(call: Call[None, NoQuery]) -> BackupStatus:
    """How far the continuous backup is, and when it was last restored to see whether it can be."""
    if call.services.backup is None:
        return BackupStatus("off")
    status = call.services.backup.shipper.status()
    return BackupStatus(
        state=status.state,
        where=status.where,
        detail=status.detail,
        seconds_behind=status.seconds,
        bytes_waiting=status.bytes,
        files_waiting=status.files,
        generation=status.generation,
        segment=status.segment,
        moment=maybe_rfc3339(status.at),
        copied_at=maybe_rfc3339(status.copied_at),
        check=_last_check(call.services.backup.checker.last),
    )


@endpoints.add("POST", "/backup/check", role="root", gives=(LINES,), errors=(409,))
async def check_backup(call: Call[None, NoQuery]) -> Report:
    """Restores the newest state from the continuous backup into a scratch folder, and verifies it there.

    Lines: `{"checking": {"phase", "done", "total"}}`, and at the end `{"done": {"at", "good", ...}}` as `check` of `GET /backup`.
    """
    if call.services.backup is None:
        raise Conflict("nothing is backed up continuously: set QUIRE_BACKUP, or QUIRE_OBJECTS")
    return Report(_check(call.services.backup))


@endpoints.add("POST", "/backup", role="root", body=BackupRequest, gives=(LINES,), errors=(400,))
async def make_backup(call: Call[BackupRequest, NoQuery]) -> Report:
    """Copies everything, consistently, to a path on the server's machine, or into a bucket, while the server serves.

    Only with the token that lies in the data directory: the root token alone cannot write files on the machine.
    Lines: `{"copied": {"phase", "done", "total"}}`, and at the end `{"done": {"files", "size"}}`; `lacks` there says what was left out.
    """
    check_local(call.access)
    if call.body.to.startswith("s3:"):
        to = place("to", call.body.to)
        return Report(_copy_into(call.services, to, without_objects=call.body.without_objects))
    destination = pathlib.PurePath(call.body.to)
    if not destination.is_absolute():
        raise Invalid(f"{call.body.to!r} is not an absolute path", field="to")
    return Report(_backup(call.services, pathlib.Path(destination), without_objects=call.body.without_objects))


def check_local(access: Access) -> None:
    """Who reads the data directory may hand over paths on this machine; who comes over the network may not."""
    if not any(each.grant == "local" for each in access.held):
        raise Forbidden("paths on the server's machine are for commands there: use --data instead of --url")


def _verify(services: Services, *, repair: bool) -> Work:
    async def work(tell: Tell) -> Line:
        verifier = Verifier(services.store, services.objects, services.snapshotter.remotes.of, repair=repair)
        documents: dict[str, int] = {}
        findings = 0
        async for each in verifier.run():
            if isinstance(each, Checked):
                documents[each.project] = each.total
                await tell({"checked": each})
            else:
                findings += 1
                await tell({"finding": each})
        return {"documents": sum(documents.values()), "findings": findings}

    return work


def _check(backup: BackedUp) -> Work:
    async def work(tell: Tell) -> Line:
        async def checking(note: Callable[[Line], None]) -> Outcome:
            if backup.shipper.status().state != "offline":
                with anyio.move_on_after(SETTLES_WITHIN):
                    await backup.shipper.flushed()
            return await backup.checker.check(lambda said: note({"checking": said}))

        found = _last_check(await telling(tell, checking))
        assert found is not None
        done: Line = msgspec.to_builtins(found)
        return done

    return work


def _last_check(last: Outcome | None) -> LastCheck | None:
    if last is None:
        return None
    return LastCheck(
        at=rfc3339(last.at),
        good=last.good,
        seconds=last.seconds,
        moment=rfc3339(last.moment) if last.moment else None,
        documents=last.documents,
        findings=last.findings,
        first=last.first,
        error=last.error,
    )


def _backup(services: Services, destination: pathlib.Path, *, without_objects: bool) -> Work:
    async def work(tell: Tell) -> Line:
        async def copying(note: Callable[[Line], None]) -> Manifest:
            settings = services.settings
            own = settings.data / "objects"
            elsewhere = settings.objects if settings.objects != own else None
            lacks = f"files that are not text, which lie in {elsewhere}" if elsewhere and without_objects else ""
            objects = services.objects if elsewhere and not without_objects else None
            return await backup(services.store, settings.data, destination, _noting(note), objects=objects, lacks=lacks)

        manifest = await telling(tell, copying)
        return {"files": len(manifest.files), "size": manifest.size, "lacks": manifest.lacks}

    return work


def _copy_into(services: Services, to: pathlib.Path | S3Place, *, without_objects: bool) -> Work:
    async def work(tell: Tell) -> Line:
        async def copying(note: Callable[[Line], None]) -> Copy | None:
            settings = services.settings
            if to == settings.backup_place and services.backup is not None:
                await services.backup.shipper.copy_now()
                return None
            objects = await anyio.to_thread.run_sync(services.open_place, to)
            try:
                found = _placed(services, objects, to, without_objects=without_objects)
                return await copy_once(services.store, settings.data, found, clock=now, progress=_noting(note))
            finally:
                await objects.aclose()

        copy = await telling(tell, copying)
        if copy is None:
            return {"files": 0, "size": 0, "lacks": ""}
        lacks = f"files that are not text, which lie in {copy.objects_place}" if copy.objects_place else ""
        return {"files": len(copy.pieces), "size": copy.size, "lacks": lacks}

    return work


def _placed(services: Services, objects: ObjectStore, to: pathlib.Path | S3Place, *, without_objects: bool) -> Place:
    """With files that are not text, unless they lie there anyway, or are not wanted."""
    where = services.settings.objects
    if where == to:
        return Place(objects=objects, name=str(to))
    if without_objects and where is not None:
        return Place(objects=objects, name=str(to), elsewhere=str(where))
    return Place(objects=objects, name=str(to), prefix=CARRIED, from_folder=services.objects)


def _noting(note: Callable[[Line], None]) -> Callable[[str, int, int | None], None]:
    def progress(phase: str, done: int, total: int | None) -> None:
        note({"copied": {"phase": phase, "done": done, "total": total}})

    return progress
