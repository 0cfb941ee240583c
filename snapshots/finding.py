"""A conflict, as a pull finds it: what it is about, whether it is still the same, how it is told and how it ends. PURE."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from collab import actors, conflicts, paths
from collab.conflicts import FileConflict
from collab.ids import ActorId, DocumentId, Millis, Path
from collab.store.base import Change, Emit, Event, Project
from snapshots.resolver import Decision, Side


def key(each: Decision) -> Path:
    """What a conflict is about, whatever becomes of ours meanwhile: the base's path, else theirs."""
    return next(side.path for side in (each.base, each.theirs, each.ours) if side is not None)


def about(each: FileConflict) -> Path:
    """The same of one that was found."""
    # What was brought back has the base of what theirs is.
    sides = (each.theirs, each.base) if each.kind == "delete/modify" else (each.base, each.theirs)
    return paths.parse(next(side.path for side in sides if side is not None))


def side(each: Side | None) -> conflicts.Side | None:
    if each is None:
        return None
    return conflicts.Side(path=paths.show(each.path), sha=each.sha, mode=each.mode, document=each.document)


def unmoved(known: FileConflict, each: Decision) -> bool:
    """Theirs is what it was when the conflict was found."""
    before = known.theirs
    now = side(each.theirs)
    if before is None or now is None:
        return before == now
    return (before.path, before.sha, before.mode) == (now.path, now.sha, now.mode)


def stands(known: FileConflict, each: Decision) -> bool:
    """Nothing that it is about has changed, so that nothing is to be done about it."""
    if not unmoved(known, each):
        return False
    if each.do == "merge":
        ours = known.ours
        return ours is not None and each.ours is not None and (ours.sha, ours.mode) == (each.ours.sha, each.ours.mode)
    if known.kind == "delete/modify":
        return each.ours is not None and each.do == "nothing"
    return each.do in ("conflict", "restore")


def told(project: Project, each: FileConflict) -> list[Change]:
    """It is there from now on."""
    data = {"id": each.id, "kind": each.kind, "commit": each.commit}
    return [*conflicts.begin(project.id, each), Emit(_event(project, each, "conflict", actors.QUIRE.id, data))]


def over(project: Project, known: FileConflict, *, at: Millis, moved: bool) -> list[Change]:
    """It is there no more, and nobody has decided it: the branch has moved on, or what was typed here agrees with it."""
    if moved:
        ended = msgspec.structs.replace(known, state="gone", ended_at=at)
    else:
        ended = msgspec.structs.replace(known, state="resolved", taken="itself", ended_at=at, ended_by=actors.QUIRE.id)
    return ends(project, known, ended)


def ends(
    project: Project,
    known: FileConflict,
    ended: FileConflict,
    *,
    path: Path | None = None,
    document: DocumentId | None = None,
) -> list[Change]:
    """`path` and `document`: where the file stands by now."""
    data = {"id": known.id, "kind": known.kind, "state": ended.state, "take": ended.taken or None}
    event = _event(project, known, "resolved", ended.ended_by or actors.QUIRE.id, data, path, document)
    return [*conflicts.end(project.id, ended, expect=known), Emit(event)]


def _event(
    project: Project,
    each: FileConflict,
    kind: str,
    actor: ActorId,
    data: Mapping[str, str | None],
    path: Path | None = None,
    document: DocumentId | None = None,
) -> Event:
    ours = each.ours or each.base
    return Event(
        project=project.id,
        kind=kind,
        path=path or paths.parse(each.path),
        document=document or (ours.document if ours is not None else None),
        actors=(actor,),
        data=data,
    )
