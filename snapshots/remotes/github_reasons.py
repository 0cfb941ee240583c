"""Why GitHub refuses: found in what it says of the repository and the branch, never in the words of a message. ADAPTER."""

from __future__ import annotations

from collab.errors import QuireError, Unavailable
from snapshots.remotes import github_calls as calls
from snapshots.remotes.base import NewCommit
from snapshots.remotes.github_calls import quoted
from snapshots.remotes.github_hub import UNTOLD, Answer
from snapshots.remotes.github_repository import Repository, archived, read_only
from snapshots.remotes.refusals import BranchProtected, FilesRefused


async def why(
    repository: Repository, branch: str, answer: Answer, new: NewCommit | None = None, *, moving: bool = False
) -> QuireError:
    """What a refusal means, by what GitHub says of the repository and the branch now."""
    await repository.verify()
    facts = repository.facts
    if facts.archived:
        return archived(facts.name)
    if facts.may_push is False:
        return read_only(facts.name)
    workflows = [path for path in (new.writes if new else ()) if path.startswith(calls.WORKFLOWS)]
    if workflows and answer.status in (403, 404):
        return FilesRefused(dict.fromkeys(workflows, "workflow"))
    if moving and await _protected(repository, branch):
        return BranchProtected(branch)
    if answer.status == 403:
        return repository.hub.pause_for(
            UNTOLD, f"GitHub refuses to go on with {facts.name}, and gives no reason we can see."
        )
    return Unavailable(
        f"GitHub refused ({answer.status}) what should change {facts.name}, and gives no reason we can see.",
        code="remote_refused",
    )


async def _protected(repository: Repository, name: str) -> bool:
    """By the branch itself, or by the rules of the repository or its owner."""
    branch = quoted(name)
    answer = await repository.send("GET", f"/branches/{branch}")
    if answer.ok and answer.body["protected"]:
        return True
    answer = await repository.send("GET", f"/rules/branches/{branch}")
    return answer.ok and bool(answer.body)
