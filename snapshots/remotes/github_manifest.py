"""The GitHub App as GitHub is asked to make it, and where to ask. PURE.

It may do what a project needs and nothing more: contents (read, commit), pull requests, workflows (files below
`.github/workflows` are files like others), and metadata, which GitHub wants of every App. Nobody but its owner installs it.

GitHub refuses a webhook that it cannot reach, and a webhook without an address; so both stand there, or neither.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from urllib.parse import quote, urlsplit

from collab.errors import Invalid

PERMISSIONS: Final = {"contents": "write", "metadata": "read", "pull_requests": "write", "workflows": "write"}
EVENTS: Final = ("push", "repository")
"""Those about installations come to every App."""

NAME_LONGEST: Final = 34

CREATED: Final = "/github/app/created"
INSTALLED: Final = "/github/app/installed"
HOOK: Final = "/hooks/github"
"""Where GitHub sends the browser, and what happens, below our own address."""

_NOT_PUBLIC: Final = (".local", ".localhost", ".internal", ".lan", ".home", ".test", ".invalid")


def manifest(name: str, base: str, *, webhook: bool) -> dict[str, Any]:
    """`base`: our own address, as browsers know it."""
    if not name or len(name) > NAME_LONGEST or not name.isprintable() or name != name.strip():
        raise Invalid(f"give the App a name of 1 to {NAME_LONGEST} characters, which nobody else has", field="name")
    made: dict[str, Any] = {
        "name": name,
        "url": base,
        "description": "Commits what people write in Quire, and brings what is pushed here to them.",
        "redirect_url": base + CREATED,
        "setup_url": base + INSTALLED,
        "setup_on_update": True,
        "public": False,
        "default_permissions": dict(PERMISSIONS),
    }
    if webhook:
        made["hook_attributes"] = {"url": base + HOOK, "active": True}
        made["default_events"] = list(EVENTS)
    return made


def name_for(host: str) -> str:
    """A name that is likely to be free."""
    return f"Quire {host}"[:NAME_LONGEST].strip()


def web_address(api: str) -> str:
    """Where people see the GitHub server whose API this is: `https://github.com`, `https://OWNER.ghe.com`, or an enterprise's
    own server, whose API is at `https://HOST/api/v3`."""
    parts = urlsplit(api)
    theirs = parts.netloc == "api.github.com" or parts.netloc.endswith(".ghe.com")
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.') if theirs else parts.netloc}"


def action(api: str, organization: str | None, state: str) -> str:
    """Where the manifest is posted to, by the browser of whoever will own the App."""
    if organization is not None and not organization.replace("-", "").isalnum():
        raise Invalid("give an organization's name as it is in its address on GitHub", field="organization")
    below = f"/organizations/{quote(organization)}" if organization else ""
    return f"{web_address(api)}{below}/settings/apps/new?state={quote(state, safe='')}"


def install(api: str, slug: str) -> str:
    """Where somebody says which repositories it may reach."""
    return f"{web_address(api)}/apps/{quote(slug, safe='')}/installations/new"


def reachable(base: str) -> bool:
    """Whether GitHub might reach this address: not one that only this machine, or only this network, knows."""
    host = urlsplit(base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_NOT_PUBLIC)
