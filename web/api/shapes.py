"""The JSON that several nouns share: rows of files, actors, times. Times are RFC 3339, UTC, with milliseconds."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, cast

import msgspec

from collab import actors, paths
from collab.actors import Actor
from collab.errors import Invalid
from collab.ids import ActorId, Millis
from collab.store.base import Row, Store
from snapshots.past import Stood
from snapshots.remotes.refusals import WORDS, Reason
from web import mime
from web.api import given
from web.settings import SettingInvalid, seconds


class ActorRef(msgspec.Struct, frozen=True):
    id: str
    name: str


class Person(msgspec.Struct):
    """An actor in full."""

    id: str
    name: str
    kind: str
    color: str
    email: str | None


class FileRow(msgspec.Struct):
    """A file. `sha` is git's name for its bytes at `position`; `eol` and `bom` are there when they are not the usual. In
    the tree of a commit that an import brought along, `id`, `position`, `updated_at` and `updated_by` are null."""

    path: str
    id: str | None
    kind: str
    mode: str
    mime: str
    size: int
    sha: str
    position: int | None
    updated_at: str | None
    updated_by: ActorRef | None
    eol: str | msgspec.UnsetType = msgspec.UNSET
    bom: bool | msgspec.UnsetType = msgspec.UNSET


class Directory(msgspec.Struct):
    """Stands among the files of one directory."""

    path: str
    kind: Literal["directory"] = "directory"


@functools.lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def rfc3339(at: Millis) -> str:
    whole, rest = divmod(at, 1000)
    return f"{_second(whole)}.{rest:03d}Z"


def maybe_rfc3339(at: Millis | None) -> str | None:
    return None if at is None else rfc3339(at)


def person(actor: Actor) -> Person:
    return Person(actor.id, actor.name, actor.kind, actor.color, actor.email)


async def refs(store: Store, ids: Iterable[ActorId]) -> dict[ActorId, ActorRef]:
    """Names to ids, each looked up once."""
    found = await actors.actors(store, dict.fromkeys(ids))
    return {key: ActorRef(actor.id, actor.name) for key, actor in found.items()}


def row(each: Row, names: Mapping[ActorId, ActorRef]) -> FileRow:
    return FileRow(
        paths.show(each.path),
        each.id,
        each.kind,
        f"{each.mode:06o}",
        mime.guess(each.path, each.kind),
        each.size,
        each.sha,
        each.head,
        rfc3339(each.updated_at),
        names[each.updated_by],
        msgspec.UNSET if each.eol == "lf" else each.eol,
        each.bom or msgspec.UNSET,
    )


def stood(each: Stood, names: Mapping[ActorId, ActorRef]) -> FileRow:
    """As it stood at a commit."""
    return FileRow(
        paths.show(each.path),
        each.document,
        each.kind,
        f"{each.mode:06o}",
        mime.guess(each.path, each.kind),
        each.size,
        each.sha,
        each.position,
        maybe_rfc3339(each.at),
        None if each.by is None else names[each.by],
        msgspec.UNSET if each.eol == "lf" else each.eol,
        each.bom or msgspec.UNSET,
    )


async def rows(store: Store, found: Sequence[Row]) -> list[FileRow]:
    names = await refs(store, (each.updated_by for each in found))
    return [row(each, names) for each in found]


LATEST: Final = Millis(253_402_300_799_000)
"""The end of the year 9999: no later time can be said in RFC 3339."""


def expiry(wanted: str | int | None, now: Millis) -> Millis | None:
    """`"1h"`, seconds, or a time; None never ends."""
    if wanted is None:
        return None
    at = _moment(wanted, now)
    if at <= now:
        raise Invalid(
            f"expires is {str(wanted)[:60]!r}: give a time to come, such as 1h, 7d or 2030-01-31T12:00:00Z",
            field="expires",
        )
    return at


def _moment(wanted: str | int, now: Millis) -> Millis:
    """0, which is long ago, for what is no time."""
    try:
        return Millis(min(now + int(seconds("expires", wanted) * 1000), LATEST))
    except (SettingInvalid, OverflowError, ValueError):
        at = given.moment(str(wanted))
        return Millis(0) if at is None else Millis(int(at.timestamp() * 1000))


class RefusedInfo(msgspec.Struct):
    """A file that is held back because the remote does not take it. `reason` is for programs: secret, workflow, too_large,
    name, outside, in_the_way or refused; `detail` says what to do."""

    path: str
    reason: str
    detail: str


def refused_info(path: str, reason: str) -> RefusedInfo:
    return RefusedInfo(path, reason, WORDS[cast(Reason, reason)])
