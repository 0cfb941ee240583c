"""The object stores that the settings name: where objects lie, and where backups go."""

from __future__ import annotations

import pathlib

from collab.errors import NotFound
from collab.objects.base import ObjectStore
from collab.objects.earlier import WithEarlier
from collab.objects.folder import FolderObjects
from web.settings import S3Place, Settings
from web.shipping.assembly import Place, Told
from web.shipping.carrier import OBJECTS
from web.shipping.layout import OBJECTS as CARRIED


def open_both(settings: Settings) -> tuple[ObjectStore, Place | None]:
    """Where the files are that are not text, and where everything is backed up to. Blocks."""
    to = settings.backup_place
    own = settings.data / "objects"
    where = own if settings.objects is None else settings.objects
    if to is None:
        return _objects(settings, own, where), None
    place = open_place(settings, to)
    if isinstance(where, pathlib.Path) and where != to:
        return _carried(settings, own, where, place, str(to))
    # They lie there anyway, but for those of before.
    earlier = FolderObjects(own) if own.is_dir() and where != own else None
    elsewhere = "" if where == to else str(where)
    return _objects(settings, own, where), Place(
        objects=place, name=str(to), prefix=OBJECTS, from_folder=earlier, elsewhere=elsewhere
    )


def _carried(
    settings: Settings, own: pathlib.Path, where: pathlib.Path, to: ObjectStore, name: str
) -> tuple[ObjectStore, Place]:
    """They lie in a folder, and are brought into the backup."""
    told = Told()
    folder = FolderObjects(where, on_put=told)
    objects = WithEarlier(folder, FolderObjects(own)) if own != where and own.is_dir() else folder
    return objects, Place(objects=to, name=name, prefix=CARRIED, from_folder=objects, told=told)


def _objects(settings: Settings, own: pathlib.Path, where: pathlib.Path | S3Place) -> ObjectStore:
    objects = open_place(settings, where)
    return WithEarlier(objects, FolderObjects(own)) if own != where and own.is_dir() else objects


def open_place(settings: Settings, place: pathlib.Path | S3Place) -> ObjectStore:
    """A folder is made if it is not there. Blocks."""
    return _open_bucket(settings, place) if isinstance(place, S3Place) else FolderObjects(place)


def open_beside(settings: Settings) -> ObjectStore:
    """Where the files are that are not text, and snapshots, for a process that writes the latter beside the server. Blocks."""
    own = settings.data / "objects"
    where = own if settings.objects is None else settings.objects
    objects = _open_bucket(settings, where) if isinstance(where, S3Place) else FolderObjects(where, beside=True)
    return WithEarlier(objects, FolderObjects(own, read_only=True)) if own != where and own.is_dir() else objects


def open_to_read(settings: Settings, place: pathlib.Path | S3Place) -> ObjectStore:
    """Beside somebody who writes there. `NotFound` when there is no such folder. Blocks."""
    if isinstance(place, S3Place):
        return _open_bucket(settings, place)
    if not place.is_dir():
        raise NotFound(f"there is no folder {place}")
    return FolderObjects(place, read_only=True)


def below(place: pathlib.Path | S3Place, part: str) -> pathlib.Path | S3Place:
    """Where the keys that begin with `part/` lie without it."""
    if isinstance(place, S3Place):
        return S3Place(place.bucket, f"{place.prefix}/{part}".lstrip("/"))
    return place / part


def said(settings: Settings) -> dict[str, str]:
    """What leads to the places, as an environment would say it: for another process."""
    aws = settings.aws
    found = {
        "QUIRE_DATA": str(settings.data),
        "QUIRE_OBJECTS": str(settings.objects) if settings.objects is not None else None,
        "QUIRE_BACKUP": str(settings.backup),
        "QUIRE_S3_ENDPOINT": settings.s3_endpoint,
        "QUIRE_S3_ADDRESSING": settings.s3_addressing,
        "QUIRE_S3_CHECKSUMS": settings.s3_checksums,
        "AWS_ACCESS_KEY_ID": aws.access_key,
        "AWS_SECRET_ACCESS_KEY": aws.secret_key,
        "AWS_SESSION_TOKEN": aws.session_token,
        "AWS_REGION": aws.region,
    }
    return {key: value for key, value in found.items() if value is not None}


def _open_bucket(settings: Settings, place: S3Place) -> ObjectStore:
    from collab.objects.s3 import Bucket, S3Objects  # boto3 takes its time, and only a bucket needs it

    addressing = settings.s3_addressing
    if addressing == "auto" and settings.s3_endpoint is not None:
        addressing = "path"
    return S3Objects(
        Bucket(
            name=place.bucket,
            prefix=place.prefix,
            endpoint=settings.s3_endpoint,
            public_endpoint=settings.s3_public_endpoint,
            region=settings.aws.region,
            access_key=settings.aws.access_key,
            secret_key=settings.aws.secret_key,
            session_token=settings.aws.session_token,
            addressing=addressing,
            checksums=settings.s3_checksums,
            at_once=settings.s3_at_once,
        )
    )
