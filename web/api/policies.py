"""What becomes of a conflict by itself, per path pattern."""

from __future__ import annotations

import msgspec

from collab.conflicts import Policy
from collab.store.base import Emit, Event
from snapshots import policies
from snapshots.policies import Policies, Rule
from web.api.endpoint import Body, Call, Endpoints, NoQuery

endpoints = Endpoints()


class RuleInfo(msgspec.Struct, forbid_unknown_fields=True):
    """`pattern` is as in a `.gitignore`: `docs/**/*.md`, `*.png`, `vendor/`. `policy`: manual (people decide), ours, theirs, or
    branch (theirs is taken, and ours goes to a branch with a pull request)."""

    pattern: str
    policy: Policy


class PolicyList(msgspec.Struct):
    """The first whose pattern means a path says what becomes of it; without one it is manual."""

    policies: list[RuleInfo]


class NewPolicies(Body):
    policies: list[RuleInfo]


def _shape(found: Policies) -> PolicyList:
    return PolicyList([RuleInfo(each.pattern, each.policy) for each in found.rules])


@endpoints.add("GET", "/projects/{project}/policies", role="viewer", answer=PolicyList, errors=(404,))
async def get_policies(call: Call[None, NoQuery]) -> PolicyList:
    """What becomes of conflicts by itself."""
    return _shape(await policies.policies(call.services.store, call.project.id))


@endpoints.add(
    "PUT", "/projects/{project}/policies", role="admin", body=NewPolicies, answer=PolicyList, errors=(400, 404)
)
async def put_policies(call: Call[NewPolicies, NoQuery]) -> PolicyList:
    """Says what becomes of conflicts that are found from now on; those that are open stay as they are."""
    wanted = policies.check(tuple(Rule(each.pattern, each.policy) for each in call.body.policies))
    project, services = call.project, call.services
    changed = Event(project=project.id, kind="policies", actors=(call.access.actor.id,))
    committed = await services.store.commit(changes=[policies.put(project.id, wanted), Emit(changed)])
    for event in committed.events:
        services.bus.publish(event.project, event.n)
    return _shape(wanted)
