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

JSON = {"accept": "application/json"}


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
    assert notes.client.get(f"{notes.at}/policies", headers=viewer).status_code == 200
    assert notes.client.put(f"{notes.at}/policies", json={"policies": []}, headers=viewer).status_code == 403
    assert (
        notes.client.post(f"{notes.at}/conflicts/x/restore", json={"side": "ours"}, headers=viewer).status_code == 403
    )
    assert notes.client.get(f"{notes.at}/conflicts", headers=viewer).status_code == 200
    assert notes.client.post(f"{notes.at}/pull", headers=viewer).status_code == 403
    assert notes.client.post(f"{notes.at}/conflicts/x", json={"take": "ours"}, headers=viewer).status_code == 403


def test_a_push_is_seen_by_itself(spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path) -> None:
    with connect(spawn(QUIRE_POLL="100ms")) as client:
        notes = Notes(client, tmp_path)
        notes.push(b_md="b by bob\n")
        until(lambda: notes.text("b.md") == "b by bob\n", "what bob pushed")


def test_what_has_ended_is_listed_and_the_loser_is_brought_back(notes: Notes) -> None:
    notes.push(a_md="one\nbob\nthree\n", b_md="bob\n")
    notes.put("a.md", "one\nalice\nthree\n")
    notes.put("b.md", "alice\n")
    first, second = notes.pull()["conflicts"]
    at = f"/conflicts/{first}"
    open_ = notes.get("/conflicts")["conflicts"]
    assert [each["state"] for each in open_] == ["open", "open"]
    assert notes.get("/conflicts?state=ended") == {"conflicts": []}
    notes.client.post(f"{notes.at}{at}", json={"take": "theirs"}).raise_for_status()
    (ended,) = notes.get("/conflicts?state=resolved")["conflicts"]
    assert (ended["id"], ended["state"], ended["taken"]) == (first, "resolved", "theirs")
    assert ended["ended_by"]["name"]
    assert ended["ended_at"] >= ended["at"]
    assert [each["id"] for each in notes.get("/conflicts?state=all")["conflicts"]] == [second, first]
    assert notes.get("/conflicts?state=gone") == {"conflicts": []}
    assert notes.client.get(f"{notes.at}/conflicts?state=over").status_code == 400
    assert notes.client.get(f"{notes.at}/conflicts?state=all&limit=0").status_code == 400
    refused = notes.client.post(f"{notes.at}/conflicts/{second}/restore", json={"side": "ours"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict_open")
    restored = notes.client.post(f"{notes.at}{at}/restore", json={"side": "ours"}).raise_for_status().json()
    assert restored["path"] == "a.md"
    assert notes.text("a.md") == "one\nalice\nthree\n"
    assert [each["path"] for each in notes.get("/changes")["changes"]] == ["a.md", "b.md"]
    notes.put("a.md", "one\nsomebody else\nthree\n")
    overlap = notes.client.post(f"{notes.at}{at}/restore", json={"side": "base"})
    assert (overlap.status_code, overlap.json()["error"]["code"]) == (409, "overlap")
    whole = notes.client.post(f"{notes.at}{at}/restore", json={"side": "base", "whole": True}).raise_for_status()
    assert whole.json()["path"] == "a.md"
    assert notes.text("a.md") == "one\ntwo\nthree\n"


def test_what_can_be_merged_comes_in_pieces(notes: Notes) -> None:
    notes.push(a_md="one\nbob\nthree, bob\n")
    notes.put("a.md", "one\nalice\nthree\n")
    (id_,) = notes.pull()["conflicts"]
    notes.put("a.md", "zero\none\nalice\nthree\n")
    found = notes.get(f"/conflicts/{id_}")
    assert "".join(map(str, found["merged"])) == "zero\none\n0"
    (hunk,) = found["hunks"]
    assert (hunk["ours"], hunk["theirs"]) == ("alice\nthree\n", "bob\nthree, bob\n")
    chosen = "".join(each if isinstance(each, str) else "we\n" for each in found["merged"])
    body = {"text": chosen, "sha": found["ours"]["sha"]}
    notes.client.post(f"{notes.at}/conflicts/{id_}", json=body).raise_for_status()
    assert notes.text("a.md") == "zero\none\nwe\n"


def test_policies_are_kept_in_their_order_and_decide(notes: Notes) -> None:
    rules = [{"pattern": "b.md", "policy": "manual"}, {"pattern": "*.md", "policy": "theirs"}]
    assert notes.get("/policies") == {"policies": []}
    put = notes.client.put(f"{notes.at}/policies", json={"policies": rules}).raise_for_status()
    assert put.json() == notes.get("/policies") == {"policies": rules}
    notes.push(a_md="bob\n", b_md="bob\n")
    notes.put("a.md", "alice\n")
    notes.put("b.md", "alice\n")
    (id_,) = notes.pull()["conflicts"]
    assert notes.get(f"/conflicts/{id_}")["path"] == "b.md"
    assert notes.text("a.md") == "bob\n"
    kinds = [each["kind"] for each in notes.client.get(f"{notes.at}/events", headers=JSON).json()["events"]]
    told = [each for each in kinds if each in ("policies", "conflict", "resolved")]
    assert told[:2] == ["policies", "conflict"]
    assert sorted(told[2:]) == ["conflict", "resolved"]  # two files, side by side


@pytest.mark.parametrize(
    "rules",
    [
        [{"pattern": "", "policy": "ours"}],
        [{"pattern": "*.md", "policy": "mine"}],
        [{"pattern": "*.md"}],
        [{"pattern": f"{number}.md", "policy": "ours"} for number in range(101)],
    ],
)
def test_policies_that_are_none(notes: Notes, rules: list[dict[str, str]]) -> None:
    assert notes.client.put(f"{notes.at}/policies", json={"policies": rules}).status_code == 400
    assert notes.get("/policies") == {"policies": []}


def test_the_bytes_of_a_side(notes: Notes) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    (notes.clone / "a.png").write_bytes(picture)
    notes.push()
    notes.client.put(f"{notes.at}/files/a.png", content=b"\xff\x00").raise_for_status()
    (id_,) = notes.pull()["conflicts"]
    theirs = notes.client.get(f"{notes.at}/conflicts/{id_}/sides/theirs").raise_for_status()
    assert theirs.content == picture
    assert theirs.headers["content-type"] == "image/png"
    assert "sandbox" in theirs.headers["content-security-policy"]
    notes.client.put(f"{notes.at}/files/a.png?force", content=b"\xff\x01").raise_for_status()
    assert notes.client.get(f"{notes.at}/conflicts/{id_}/sides/ours").content == b"\xff\x01"
    assert notes.client.get(f"{notes.at}/conflicts/{id_}/sides/base").status_code == 404
    assert notes.client.get(f"{notes.at}/conflicts/{id_}/sides/other").status_code == 400


def test_a_conflict_ends_soon_after_somebody_typed_what_was_pushed(notes: Notes) -> None:
    notes.push(a_md="bob\n")
    notes.put("a.md", "alice\n")
    (id_,) = notes.pull()["conflicts"]
    notes.put("a.md", "bob\n")
    until(lambda: notes.get("/conflicts") == {"conflicts": []}, "the conflict to end by itself")
    ended = notes.get(f"/conflicts/{id_}")
    assert (ended["state"], ended["taken"]) == ("resolved", "itself")
    assert notes.get("/changes") == {"changes": []}
