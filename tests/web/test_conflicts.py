"""A push into a project's repository, over HTTP: pulled, seen as conflicts, decided."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import connect
from tests.harness.server import ServerProcess
from tests.harness.until import until
from tests.snapshots.git import commit_all, git


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that looks at its branches only when it is told to."""
    data = tmp_path_factory.mktemp("quiet") / "data"
    with ServerProcess(data, environ={"QUIRE_POLL": "0", "QUIRE_COMMIT_QUIET": "1h"}) as server:
        yield server


@pytest.fixture
def notes(quiet: ServerProcess, tmp_path: pathlib.Path) -> Iterator[Notes]:
    with connect(quiet) as client:
        yield Notes(client, tmp_path)


class Notes:
    """A project, and bob's clone of it."""

    def __init__(self, client: httpx.Client, folder: pathlib.Path) -> None:
        self.client = client
        name = folder.name.replace("_", "-").lower()
        client.post("/projects", json={"name": name}).raise_for_status()
        self.at = f"/projects/{name}"
        self.put("a.md", "one\ntwo\nthree\n")
        self.put("b.md", "b\n")
        client.post(f"{self.at}/snapshots").raise_for_status()
        self.clone = folder / "bob"
        place = client.get(f"{self.at}/status").json()["remote"]["path"]
        git(folder, "clone", "--quiet", place, "bob")

    def put(self, path: str, text: str) -> None:
        self.client.put(f"{self.at}/files/{path}?force", content=text.encode()).raise_for_status()

    def text(self, path: str) -> str:
        return self.client.get(f"{self.at}/files/{path}").raise_for_status().text

    def push(self, **files: str) -> str:
        for name, text in files.items():
            (self.clone / name.replace("_", ".")).write_text(text)
        sha = commit_all(self.clone)
        git(self.clone, "push", "--quiet")
        return sha

    def pull(self, **body: Any) -> Any:
        answer = self.client.post(f"{self.at}/pull", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        return self.client.get(self.at + path).raise_for_status().json()


def test_a_pull_and_then_nothing_more(notes: Notes) -> None:
    head = notes.push(a_md="one\ntwo\nthree, bob\n", c_md="c\n")
    assert notes.pull() == {"head": head, "merged": ["a.md", "c.md"], "conflicts": [], "state": "done", "detail": ""}
    assert notes.text("a.md") == "one\ntwo\nthree, bob\n"
    assert notes.pull() == {"head": head, "merged": [], "conflicts": [], "state": "nothing", "detail": ""}
    assert notes.get("/changes") == {"changes": []}


def test_a_conflict_is_seen_and_decided(notes: Notes) -> None:
    head = notes.push(a_md="one\nbob\nthree\n")
    notes.put("a.md", "one\nalice\nthree\n")
    pulled = notes.pull()
    (id_,) = pulled["conflicts"]
    assert (pulled["state"], pulled["merged"]) == ("conflicts", [])
    status = notes.get("/status")
    assert (status["state"], status["conflicts"]) == ("conflicts", 1)
    assert "a.md" in status["detail"]
    (listed,) = notes.get("/conflicts")["conflicts"]
    assert (listed["id"], listed["path"], listed["kind"], listed["commit"]) == (id_, "a.md", "modify/modify", head)
    assert "text" not in listed["ours"]
    found = notes.get(f"/conflicts/{id_}")
    assert [found[side]["text"] for side in ("base", "ours", "theirs")] == [
        "one\ntwo\nthree\n", "one\nalice\nthree\n", "one\nbob\nthree\n",
    ]  # fmt: skip
    assert found["hunks"] == [
        {"base": "two\n", "ours": "alice\n", "theirs": "bob\n", "base_line": 2, "ours_line": 2, "theirs_line": 2}
    ]
    notes.put("a.md", "zero\none\nalice\nthree\n")
    assert notes.get(f"/conflicts/{id_}")["hunks"][0]["ours_line"] == 3
    decided = notes.client.post(f"{notes.at}/conflicts/{id_}", json={"take": "both"}).raise_for_status().json()
    assert (decided["state"], decided["taken"]) == ("resolved", "both")
    assert decided["ours"]["text"] == "one\nalice\nthree\n"
    assert notes.text("a.md") == "zero\none\nalice\nbob\nthree\n"
    assert notes.client.post(f"{notes.at}/conflicts/{id_}", json={"take": "ours"}).status_code == 409
    assert notes.get("/conflicts") == {"conflicts": []}
    kinds = [each["kind"] for each in notes.client.get(
        f"{notes.at}/events", headers={"accept": "application/json"}
    ).json()["events"]]  # fmt: skip
    assert [kind for kind in kinds if kind in ("conflict", "pulled", "resolved")] == ["conflict", "pulled", "resolved"]
    made = notes.client.post(f"{notes.at}/snapshots").json()
    assert made["state"] == "done"
    assert notes.get("/status")["state"] == "idle"


def test_a_text_of_ones_own_keeps_what_was_typed_since(notes: Notes) -> None:
    notes.push(a_md="one\nbob\nthree\n")
    notes.put("a.md", "one\nalice\nthree\n")
    (id_,) = notes.pull()["conflicts"]
    sha = notes.get(f"/conflicts/{id_}")["ours"]["sha"]
    notes.put("a.md", "one\nalice\nthree\nfour\n")
    address = f"{notes.at}/conflicts/{id_}"
    notes.client.post(address, json={"text": "one\nwe\nthree\n", "sha": sha}).raise_for_status()
    assert notes.text("a.md") == "one\nwe\nthree\nfour\n"


def test_a_text_over_lines_that_were_typed_since_is_refused(notes: Notes) -> None:
    notes.push(a_md="one\nbob\nthree\n")
    notes.put("a.md", "one\nalice\nthree\n")
    (id_,) = notes.pull()["conflicts"]
    sha = notes.get(f"/conflicts/{id_}")["ours"]["sha"]
    notes.put("a.md", "one\nalice again\nthree\n")
    refused = notes.client.post(f"{notes.at}/conflicts/{id_}", json={"text": "one\nwe\nthree\n", "sha": sha})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "overlap")
    assert notes.get(f"/conflicts/{id_}")["state"] == "open"
    assert notes.text("a.md") == "one\nalice again\nthree\n"


@pytest.mark.parametrize("body", [{}, {"take": "ours", "text": ""}, {"take": "mine"}, {"text": "\ud800"}])
def test_a_decision_that_is_none(notes: Notes, body: dict[str, str]) -> None:
    notes.push(a_md="bob\n")
    notes.put("a.md", "alice\n")
    (id_,) = notes.pull()["conflicts"]
    assert notes.client.post(f"{notes.at}/conflicts/{id_}", content=json.dumps(body)).status_code == 400
    assert notes.client.get(f"{notes.at}/conflicts/none").status_code == 404
    assert notes.pull()["conflicts"] == [id_]


def test_a_policy(notes: Notes) -> None:
    notes.push(a_md="bob\n")
    notes.put("a.md", "alice\n")
    assert notes.pull(policy="theirs")["state"] == "done"
    assert notes.text("a.md") == "bob\n"
    assert notes.client.post(f"{notes.at}/pull", json={"policy": "mine"}).status_code == 400


def test_who_may_not(notes: Notes) -> None:
    created = notes.client.post(f"{notes.at}/tokens", json={"role": "viewer"}).raise_for_status().json()
    viewer = {"authorization": f"Bearer {created['token']}"}
    assert notes.client.get(f"{notes.at}/conflicts", headers=viewer).status_code == 200
    assert notes.client.post(f"{notes.at}/pull", headers=viewer).status_code == 403
    assert notes.client.post(f"{notes.at}/conflicts/x", json={"take": "ours"}, headers=viewer).status_code == 403


def test_a_push_is_seen_by_itself(spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path) -> None:
    with connect(spawn(QUIRE_POLL="100ms")) as client:
        notes = Notes(client, tmp_path)
        notes.push(b_md="b by bob\n")
        until(lambda: notes.text("b.md") == "b by bob\n", "what bob pushed")
