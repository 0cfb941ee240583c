"""What GitHub's webhook says, and whether GitHub said it."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Invalid
from snapshots.remotes.github_hook import FORM, Checked, Push, delivery, understood

SECRET = "It's a Secret to Everybody"
ZEROS = "0" * 40


def signed(body: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return f"{algorithm}={hmac.new(secret.encode(), body, algorithm).hexdigest()}"


def holds(body: bytes, signature: str, *secrets: str) -> bool:
    checked = Checked(signature, secrets or (SECRET,))
    checked.update(body)
    return checked.holds()


def test_the_example_in_githubs_documentation_holds() -> None:
    assert holds(b"Hello, World!", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")


@given(st.binary(max_size=300), st.integers(0, 300), st.text(min_size=1, max_size=30))
def test_a_body_holds_however_it_comes_in_and_no_other_does(body: bytes, cut: int, secret: str) -> None:
    checked = Checked(signed(body, secret), ["another", secret])
    checked.update(body[:cut])
    checked.update(body[cut:])
    assert checked.holds()
    assert not holds(body + b"\n", signed(body, secret), secret)
    assert not holds(body, signed(body, secret), secret + "x")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        signed(b"x", algorithm="sha1"),
        hashlib.sha256(b"x").hexdigest(),
        signed(b"x").upper(),
        signed(b"x")[:-1],
        signed(b"x") + "0",
        signed(b"x") + "\n",
        " " + signed(b"x"),
        f"sha1={'0' * 64}",
        f"{signed(b'x')},{signed(b'x', algorithm='sha1')}",
    ],
)
def test_what_is_no_sha256_signature_is_refused_before_the_body_is_read(header: str | None) -> None:
    with pytest.raises(Invalid, match="X-Hub-Signature-256"):
        Checked(header, [SECRET])


def test_nothing_holds_without_a_secret_of_ours() -> None:
    checked = Checked(signed(b"x", ""), [])
    checked.update(b"x")
    assert not checked.holds()


@pytest.mark.parametrize("given_", [None, "", "a b c d e f g h", "../../../etc", "x" * 65, "12345678\n"])
def test_what_is_no_id_of_a_delivery_is_refused(given_: str | None) -> None:
    with pytest.raises(Invalid):
        delivery(given_)


def test_a_delivery_has_one_id_however_it_is_written() -> None:
    assert delivery("72D3162E-cc78-11e3-81ab-4c9367dc0958") == "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def push(**changes: object) -> bytes:
    body = {
        "ref": "refs/heads/main",
        "before": "a" * 40,
        "after": "b" * 40,
        "deleted": False,
        "repository": {"id": 7, "full_name": "alice/notes", "private": True},
        "installation": {"id": 3, "node_id": "x"},
        "commits": [{"id": "b" * 40, "message": "Edit"}],
    }
    return json.dumps({**body, **changes}).encode()


def test_a_push_tells_of_its_repository_and_where_the_branch_stood_and_stands() -> None:
    found = understood("push", push())
    assert (found.kind, found.repositories, found.installation) == ("push", {7: "alice/notes"}, 3)
    assert found.push == Push("main", "a" * 40, "b" * 40)


def test_a_branch_with_slashes_keeps_them() -> None:
    found = understood("push", push(ref="refs/heads/feature/ä/b"))
    assert found.push is not None
    assert found.push.branch == "feature/ä/b"


def test_a_branch_that_is_new_or_gone_stood_or_stands_nowhere() -> None:
    assert understood("push", push(before=ZEROS)).push == Push("main", None, "b" * 40)
    assert understood("push", push(after=ZEROS, deleted=True)).push == Push("main", "a" * 40, None)


def test_a_tag_is_nothing_to_pull() -> None:
    found = understood("push", push(ref="refs/tags/v1"))
    assert (found.kind, found.push) == ("other", None)


def test_a_webhook_that_was_left_at_its_default_sends_a_form() -> None:
    found = understood("push", urlencode({"payload": push().decode()}).encode(), f"{FORM}; charset=utf-8")
    assert found.push == Push("main", "a" * 40, "b" * 40)


def test_a_repository_that_was_renamed_is_told_by_its_new_name() -> None:
    body = json.dumps(
        {
            "action": "renamed",
            "changes": {"repository": {"name": {"from": "notes"}}},
            "repository": {"id": 7, "full_name": "alice/papers"},
        }
    )
    found = understood("repository", body.encode())
    assert (found.kind, found.said, found.repositories) == ("repository", "repository renamed", {7: "alice/papers"})


def test_an_installation_is_about_everything_that_it_reaches() -> None:
    body = json.dumps(
        {"action": "deleted", "installation": {"id": 3}, "repositories": [{"id": 7, "full_name": "alice/notes"}]}
    )
    found = understood("installation", body.encode())
    assert (found.kind, found.installation, found.whole) == ("installation", 3, True)


def test_repositories_that_an_installation_gains_or_loses_are_told_alone() -> None:
    body = json.dumps(
        {
            "action": "removed",
            "installation": {"id": 3},
            "repositories_added": [{"id": 8, "full_name": "alice/more"}],
            "repositories_removed": [{"id": 7, "full_name": "alice/notes"}],
        }
    )
    found = understood("installation_repositories", body.encode())
    assert (found.whole, found.repositories) == (False, {7: "alice/notes", 8: "alice/more"})


@pytest.mark.parametrize("event", ["issues", "star", "", "github_app_authorization"])
def test_other_events_are_not_even_read(event: str) -> None:
    assert understood(event, b"\xff not JSON").kind == "other"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"\xff", push(repository={"id": "7"}), push(repository=7), push(ref=1)]
)
def test_a_body_that_github_does_not_send_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="no push of GitHub's"):
        understood("push", body)
