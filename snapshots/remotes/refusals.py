"""What a remote elsewhere may answer instead of doing what it was asked. PURE.

    Unavailable
    ├── RemoteUnreachable       no answer, or the server's own failure: what was asked may have happened, or not
    └── RemotePaused            nothing more before `until`; holds for everybody with this credential
    Forbidden
    └── RemoteForbidden         the credential is not valid (`remote_unauthorized`), or may not write there
    NotFound
    └── RemoteGone              there is no such repository, or the credential may not see it
    Conflict
    ├── BranchProtected         commits reach this branch through a pull request
    └── FilesRefused            these files are not taken, each with the reason; without them the rest would be

Every message says in plain words what is so and what to do: it is what a project's status shows. None of them loses an
edit; the branch stands where it stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from collab import paths
from collab.errors import Conflict, Forbidden, NotFound, Unavailable
from collab.ids import Millis, Path

Reason = Literal["secret", "workflow", "too_large", "name", "outside", "in_the_way", "refused"]

WORDS: Mapping[Reason, str] = {
    "secret": "GitHub found a secret in it: take it out, or allow it on GitHub",
    "workflow": "the token may not change workflows: give it that permission",
    "too_large": "it is larger than GitHub takes",
    "name": "its name is not UTF-8, which GitHub's API cannot carry: rename it",
    "outside": "it does not belong to the part of the repository that the project is connected to",
    "in_the_way": "something that does not belong to the project stands there in the repository: move the one or the other",
    "refused": "GitHub does not take it",
}


class RemoteUnreachable(Unavailable):
    code = "remote_unreachable"


class RemotePaused(Unavailable):
    code = "remote_paused"

    def __init__(self, message: str, *, until: Millis) -> None:
        super().__init__(message, details={"until": until})
        self.until = until


class RemoteForbidden(Forbidden):
    code = "remote_forbidden"


class RemoteGone(NotFound):
    code = "remote_gone"


class BranchProtected(Conflict):
    code = "branch_protected"

    def __init__(self, branch: str) -> None:
        super().__init__(
            f"Branch {branch} is protected: its edits can go to another branch, with a pull request.",
            details={"branch": branch},
        )
        self.branch = branch


class FilesRefused(Conflict):
    code = "files_refused"

    def __init__(self, files: Mapping[Path, Reason]) -> None:
        said = "; ".join(f"{paths.show(path)}: {WORDS[reason]}" for path, reason in sorted(files.items())[:5])
        more = f"; and {len(files) - 5} more" if len(files) > 5 else ""
        super().__init__(
            f"Not taken: {said}{more}.",
            details={"files": {paths.show(path): reason for path, reason in files.items()}},
        )
        self.files = dict(files)
