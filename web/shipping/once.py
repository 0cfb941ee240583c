"""A copy of everything into a place, once, while the server serves: what `quire backup s3://...` makes.

It has the form of a continuous backup with one copy and no segments, so that it is restored in the same way, and copies share what has
not changed since the last one. It takes the place for as long as it lasts; a place that another server ships to is refused.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

from anyio import to_thread

from collab.errors import Conflict, Unavailable
from collab.ids import Millis
from collab.objects.base import ObjectStore
from collab.store.base import Store
from web.shipping import copying, layout
from web.shipping.assembly import Place, me
from web.shipping.carrier import Carrier
from web.shipping.copying import Progress
from web.shipping.layout import GIT, Copy, Owner, Repository
from web.shipping.lease import Lease, described
from web.shipping.repositories import Repositories
from web.shipping.spool import Spool

TRIES: Final = 5
"""How often the database is copied again because a commit came in between."""
DATABASE: Final = "copy.sqlite"


async def copy_once(
    store: Store, data: pathlib.Path, place: Place, *, clock: Callable[[], Millis], progress: Progress
) -> Copy:
    """`Conflict` when another server ships there."""
    objects = place.objects
    lease = Lease(objects, await to_thread.run_sync(me, data, store.epoch))
    owner = await lease.acquire(_refuse)
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as scratch:
            spool = Spool(pathlib.Path(scratch))
            repositories = await _copy_consistently(store, data, spool, progress)
            at, generation = clock(), owner.generation + 1
            await lease.renew(generation=generation, number=0, at=at, seen_at=at)
            pieces = await copying.put_pieces(objects, spool.folder / DATABASE, progress)
            await _put_repositories(objects, data, spool, repositories, progress)
            if place.from_folder is not None:
                progress("files that are not text", 0, None)
                await Carrier(place.from_folder, objects, place.prefix, spool.folder).bring()
            size = (spool.folder / DATABASE).stat().st_size
            copy = Copy(
                format=layout.FORMAT,
                version=version("quire-server"),
                generation=generation,
                number=0,
                at=at,
                made_at=at,
                epoch=store.epoch,
                size=size,
                pieces=pieces,
                repositories=tuple(repositories),
                objects="" if place.elsewhere else place.prefix,
                objects_place=place.elsewhere,
            )
            await objects.put(layout.copy_key(generation, 0), layout.encode(copy), if_none_match=True)
    finally:
        await lease.release()
    return copy


def _refuse(owner: Owner) -> None:
    raise Conflict(f"{described(owner)} ships its backup there: give another place")


async def _copy_consistently(store: Store, data: pathlib.Path, spool: Spool, progress: Progress) -> list[Repository]:
    """The database into the spool, and the repositories that belong to it."""

    def look() -> list[Repository]:
        return [each.repository for each in Repositories(data / "git", spool, dict).look()]

    for _ in range(TRIES):
        progress("database", 0, None)
        before = _refs(await to_thread.run_sync(look))
        await store.backup(str(spool.folder / DATABASE))
        found = await to_thread.run_sync(look)
        if _refs(found) == before:
            return found
    raise Unavailable("commits came in faster than the database could be copied: try again in a quieter minute")


def _refs(repositories: list[Repository]) -> Mapping[str, Mapping[str, bytes]]:
    return {each.name: each.small for each in repositories}


async def _put_repositories(
    objects: ObjectStore, data: pathlib.Path, spool: Spool, found: list[Repository], progress: Progress
) -> None:
    shipping = Repositories(data / "git", spool, dict)
    for done, repository in enumerate(found, start=1):
        for piece in await to_thread.run_sync(shipping.waiting, repository):
            content = await to_thread.run_sync(piece.packed)
            if content is not None:
                await objects.put(GIT + piece.name, content)
        progress("repositories", done, len(found))
