"""The GitHub App as GitHub is asked to make it."""

from __future__ import annotations

import pytest

from collab.errors import Invalid
from snapshots.remotes.github_manifest import (
    NAME_LONGEST,
    action,
    install,
    manifest,
    name_for,
    reachable,
    web_address,
)

BASE = "https://quire.example.org/notes"


def test_the_app_may_do_what_a_project_needs_and_nothing_more() -> None:
    made = manifest("Quire", BASE, webhook=True)
    assert made["default_permissions"] == {
        "contents": "write",
        "metadata": "read",
        "pull_requests": "write",
        "workflows": "write",
    }
    assert made["public"] is False
    assert made["redirect_url"] == f"{BASE}/github/app/created"
    assert made["setup_url"] == f"{BASE}/github/app/installed"


def test_a_webhook_is_asked_for_with_its_address_or_not_at_all() -> None:
    # GitHub refuses one without an address, and events without a webhook are of no use.
    made = manifest("Quire", BASE, webhook=True)
    assert made["hook_attributes"] == {"url": f"{BASE}/hooks/github", "active": True}
    assert made["default_events"] == ["push", "repository"]
    without = manifest("Quire", BASE, webhook=False)
    assert "hook_attributes" not in without
    assert "default_events" not in without


@pytest.mark.parametrize("name", ["", " Quire", "x" * (NAME_LONGEST + 1), "Qu\nire"])
def test_a_name_that_github_does_not_take_is_refused_here(name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        manifest(name, BASE, webhook=False)


def test_a_name_that_nobody_gave_is_made_of_the_address() -> None:
    assert name_for("quire.example.org") == "Quire quire.example.org"
    assert len(name_for("x" * 80)) <= NAME_LONGEST


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://github.example.org/api/v3", "https://github.example.org"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com"),
        ("http://127.0.0.1:4010", "http://127.0.0.1:4010"),
        ("https://api.example.org", "https://api.example.org"),
    ],
)
def test_people_see_a_server_at_its_own_address(api: str, web: str) -> None:
    assert web_address(api) == web


def test_the_app_is_its_makers_or_an_organizations() -> None:
    api = "https://api.github.com"
    assert action(api, None, "a.b/c") == "https://github.com/settings/apps/new?state=a.b%2Fc"
    assert action(api, "acme-inc", "s") == "https://github.com/organizations/acme-inc/settings/apps/new?state=s"
    assert install(api, "quire-acme") == "https://github.com/apps/quire-acme/installations/new"


@pytest.mark.parametrize("organization", ["", "../x", "a b", "a/b", "a?b"])
def test_what_is_no_organization_gets_into_no_address(organization: str) -> None:
    with pytest.raises(Invalid, match="organization"):
        action("https://api.github.com", organization, "s")


@pytest.mark.parametrize(
    "base",
    [
        *(
            "http://localhost:8000",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://10.0.0.7",
            "http://192.168.1.2",
        ),
        *("http://quire.local", "http://quire", "http://quire.internal/x", "http://172.16.3.4:80"),
    ],
)
def test_what_only_this_network_knows_github_cannot_reach(base: str) -> None:
    assert not reachable(base)


@pytest.mark.parametrize(
    "base", ["https://quire.example.org", "https://quire.example.org/notes", "http://93.184.216.34"]
)
def test_what_the_world_knows_github_can_reach(base: str) -> None:
    assert reachable(base)
