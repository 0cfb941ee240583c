"""The refs of a repository on this disk, as others may see them. ADAPTER."""

from __future__ import annotations

import contextlib
import pathlib

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, Tag
from dulwich.refs import DiskRefsContainer, Ref

from snapshots.packs.entries import Oid, oid
from snapshots.packs.refs import TAGS, Refs, shown


def read_refs(repository: pathlib.Path) -> Refs:
    container = DiskRefsContainer(str(repository))
    found: dict[bytes, Oid] = {}
    peeled: dict[bytes, Oid] = {}
    with contextlib.closing(DiskObjectStore(str(repository / "objects"))) as store:
        for name in sorted(filter(shown, container.allkeys())):
            # One that is being deleted, or that leads nowhere, is none.
            with contextlib.suppress(KeyError):
                found[name] = oid(container[name])
                target = _peeled(container, store, name) if name.startswith(TAGS) else found[name]
                if target != found[name]:
                    peeled[name] = target
    head = container.read_loose_ref(Ref(b"HEAD")) or b""
    return Refs(found, peeled, head.removeprefix(b"ref: "), _shallow(repository))


def _peeled(container: DiskRefsContainer, store: DiskObjectStore, name: Ref) -> Oid:
    known = container.get_peeled(name)
    if known is not None:
        return oid(known)
    at = ObjectID(container[name])
    while isinstance(found := store[at], Tag):
        at = ObjectID(found.object[1])
    return oid(at)


def _shallow(repository: pathlib.Path) -> frozenset[Oid]:
    try:
        return frozenset(map(oid, (repository / "shallow").read_text().split()))
    except FileNotFoundError:
        return frozenset()
