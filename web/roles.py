"""Who asks, and what he may do. PURE.

Roles are ordered: whoever may edit may also suggest and view. `root` stands above every project; the others are held in one
project each, there perhaps for some paths alone. What somebody may not even see is "not found", as if it did not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from collab.actors import Actor
from collab.errors import Forbidden, NotFound
from collab.ids import ActorId, Millis, Path
from snapshots import patterns

Role = Literal["viewer", "suggester", "editor", "admin", "root"]
ProjectRole = Literal["viewer", "suggester", "editor", "admin"]

RANK: Final[dict[Role, int]] = {"viewer": 1, "suggester": 2, "editor": 3, "admin": 4, "root": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A role in one project (`project` None: in all, as root), the grant that gives it, and when that ends by itself."""

    grant: str
    role: Role
    project: str | None
    expires_at: Millis | None = None
    on_behalf_of: ActorId | None = None
    """Of an agent's token: whoever made it."""
    paths: tuple[str, ...] = ()
    """Patterns (snapshots.patterns) of the only paths that it reaches; none: all."""

    def covers(self, path: Path) -> bool:
        return not self.paths or any(patterns.matches(each, path) for each in self.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one request or socket may do. `session` is the grant of the cookie that brought it, if one did."""

    actor: Actor
    held: tuple[Held, ...]
    session: str | None = None
    session_expires_at: Millis | None = None

    @property
    def role(self) -> Role:
        """The strongest one, wherever it is held."""
        return max((each.role for each in self.held), key=RANK.__getitem__)

    @property
    def project(self) -> str | None:
        """The only project it is about; None: several, or all."""
        return self.held[0].project if len(self.held) == 1 else None

    @property
    def grant(self) -> str:
        return self.session or self.held[0].grant

    @property
    def on_behalf_of(self) -> ActorId | None:
        """For whom an agent works."""
        return next((each.on_behalf_of for each in self.held if each.on_behalf_of is not None), None)

    def held_in(self, project: str) -> Held | None:
        """The strongest grant that reaches `project`."""
        reaching = [each for each in self.held if each.project in (None, project)]
        return max(reaching, key=lambda each: (RANK[each.role], not each.paths), default=None)

    def limited_in(self, project: str) -> tuple[str, ...]:
        """The patterns of the only paths that it reaches there; none: all."""
        held = self.held_in(project)
        return held.paths if held else ()

    def covers(self, project: str, path: Path) -> bool:
        held = self.held_in(project)
        return held is not None and held.covers(path)

    def role_in(self, project: str) -> Role | None:
        held = self.held_in(project)
        return held.role if held else None

    def everywhere(self) -> bool:
        return any(each.project is None for each in self.held)

    def himself(self) -> bool:
        """Whether it is the person who asks. Whoever has a project's token may act as its maker, but is not its maker."""
        return not any(each.grant.startswith("token:") for each in self.held)


def allows(role: Role | None, needed: Role) -> bool:
    return role is not None and RANK[role] >= RANK[needed]


def require(access: Access, project: str | None, needed: Role) -> None:
    """`project` None: something of the whole installation."""
    if project is None:
        if not allows(access.role, needed) or (needed == "root" and not access.everywhere()):
            raise Forbidden(f"this needs the role {needed}; you have {access.role}")
        return
    role = access.role_in(project)
    if role is None:
        raise NotFound(f"there is no project {project!r}", field="project")
    if not allows(role, needed):
        raise Forbidden(f"this needs the role {needed} in {project!r}; you have {role}")


def require_path(access: Access, project: str, path: Path) -> None:
    """What lies outside of the paths that somebody reaches does not exist for him."""
    if not access.covers(project, path):
        raise NotFound(f"there is no file {path!r}", field="path")


def require_all(access: Access, project: str) -> None:
    """For what is about a project as a whole."""
    if only := access.limited_in(project):
        raise Forbidden(f"this is about the whole project; you reach {', '.join(only)} alone", code="limited_to_paths")
