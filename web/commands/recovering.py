"""What `quire restore` does: a backup that was made at a moment, or a place that is shipped to, becomes a data directory."""

from __future__ import annotations

import pathlib

import anyio
from anyio import to_thread

from collab.errors import Invalid
from collab.ids import Millis
from collab.objects.folder import FolderObjects
from collab.store import schema
from web import places
from web.api.given import moment
from web.archive import MANIFEST, Manifest
from web.console import Progress, plural
from web.restore import restore, restore_shipped
from web.settings import S3Place, Settings
from web.settings import place as parse_place
from web.shipping.layout import shown
from web.shipping.recovery import Recovered


def place(source: str) -> pathlib.Path | S3Place | None:
    """Where a continuous backup lies; None for one that was made at a moment."""
    if source.startswith("s3:"):
        return parse_place("SOURCE", source)
    folder = pathlib.Path(source)
    shipped = (folder / "backup" / "copies").is_dir() and not (folder / MANIFEST).exists()
    return folder if shipped else None


def demand_no_time(source: str, at: str | None) -> None:
    if at is not None:
        raise Invalid(
            f"{source} holds one moment, the one at which it was made: --at is for a continuous backup (QUIRE_BACKUP)",
            field="at",
        )


def archive(source: pathlib.Path, to: pathlib.Path, progress: Progress) -> Manifest:
    return restore(source, to, schema, lambda phase, done, _: progress.update(f"{phase}:", done))


def shipped(
    settings: Settings,
    source: pathlib.Path | S3Place,
    to: pathlib.Path,
    at: str | None,
    progress: Progress,
    *,
    with_objects: bool,
) -> Recovered:
    wanted = None if at is None else _time(at)

    async def run() -> Recovered:
        objects = await to_thread.run_sync(places.open_to_read, settings, source)
        try:
            return await restore_shipped(
                objects,
                to,
                schema,
                lambda phase, done, total: progress.update(f"{phase}:", done, total),
                at=wanted,
                bring=_folder,
                with_all=with_objects,
            )
        finally:
            await objects.aclose()

    return anyio.run(run)


def told(done: Recovered, source: pathlib.Path | S3Place, *, with_objects: bool) -> tuple[str, str]:
    """What was restored, and what goes before the command that serves it."""
    parts = [f"As it was at {shown(done.at)}: copy {done.copy.number} of generation {done.copy.generation}"]
    parts.append(
        f"and {plural(done.segments, 'segment')} after it, {plural(done.repositories, 'git folder')}, all checked."
    )
    if not done.copy.files:
        parts.append(
            "The keys of the installation are not in the backup: put yours there (QUIRE_SECRET_KEY), see docs/operations.md."
        )
    if done.copy.objects_place:
        parts.append(f"Files that are not text lie in {done.copy.objects_place}.")
        return " ".join(parts), f"QUIRE_OBJECTS={done.copy.objects_place} "
    if done.copy.objects == "objects/" and not with_objects:
        parts.append(f"Files that are not text lie in {source}.")
        return " ".join(parts), f"QUIRE_OBJECTS={source} "
    return " ".join(parts), ""


def _time(at: str) -> Millis:
    found = moment(at)
    if found is None:
        raise Invalid(f"--at is {at[:60]!r}: give a time such as 2026-01-31T12:00:00Z", field="at")
    return Millis(int(found.timestamp() * 1000))


def _folder(data: pathlib.Path) -> FolderObjects:
    return FolderObjects(data / "objects")
