"""Where a project's git is, over HTTP."""

from __future__ import annotations

import pathlib

import anyio.to_thread
import httpx
import pytest

from snapshots.secrets import Sealer
from tests.harness.github import GitHubServer
from tests.snapshots.git import git
from tests.snapshots.test_connecting import bare, push
from tests.web.conftest import Quire, Start
from web.app import open_sealer
from web.settings import SettingInvalid, Settings

pytestmark = pytest.mark.anyio

REMOTE = {"kind", "repository", "branch", "folder", "patterns", "pull_request", "local", "clone", "credential"}


async def write(root: httpx.AsyncClient, notes: str, **files: str) -> None:
    for name, content in files.items():
        (await root.put(f"{notes}/files/{name}.md", content=content.encode())).raise_for_status()


async def test_every_project_begins_with_a_repository_of_its_own(root: httpx.AsyncClient, notes: str) -> None:
    found = (await root.get(f"{notes}/remote")).json()
    assert found.keys() >= REMOTE
    assert (found["kind"], found["local"], found["branch"], found["credential"]) == ("git", True, "main", None)
    assert found["repository"].endswith("/git/notes.git")
    assert found["connected_at"] is found["connected_by"] is None


async def test_both_sides_have_files_and_somebody_has_to_choose(
    root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "theirs\n", "same.md": "same\n", "there.md": "there\n"})
    await write(root, notes, a="ours\n", same="same\n", here="here\n")
    body = {"kind": "git", "repository": str(path)}
    preview = (await root.post(f"{notes}/remote/preview", json=body)).raise_for_status().json()
    lists = {key: preview[key] for key in ("new_here", "new_there", "equal", "different")}
    assert lists == {"new_here": ["here.md"], "new_there": ["there.md"], "equal": ["same.md"], "different": ["a.md"]}
    assert (preview["choice"], preview["branch"], preview["head"]) == (True, "main", git(path, "rev-parse", "main"))
    refused = await root.put(f"{notes}/remote", json=body)
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["field"]) == ("take_needed", "take")
    assert error["details"] == {"new_here": 1, "new_there": 1, "different": 1, "equal": 1}
    assert (await root.get(f"{notes}/remote")).json()["local"]
    made = (await root.put(f"{notes}/remote", json={**body, "take": "merge"})).raise_for_status().json()
    assert (made["state"], made["repository"], made["local"]) == ("conflicts", str(path), False)
    assert made["merged"] == ["there.md"]
    [conflict] = (await root.get(f"{notes}/conflicts")).json()["conflicts"]
    assert made["conflicts"] == [conflict["id"]]
    assert (conflict["path"], conflict["kind"]) == ("a.md", "add/add")


async def test_the_status_is_answered_when_the_repository_cannot_be_looked_at(
    quire: Quire, root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    (await root.put(f"{notes}/remote", json={"kind": "git", "repository": str(path)})).raise_for_status()
    path.rename(tmp_path / "away")
    gone = (await root.get(f"{notes}/status")).raise_for_status().json()
    assert (gone["state"], "is not there (any more)" in gone["detail"]) == ("failed", True)
    path.symlink_to(path)  # the disk refuses it, also to root
    refused = (await root.get(f"{notes}/status")).raise_for_status().json()
    assert (refused["state"], refused["head"]) == ("failed", git(tmp_path / "away", "rev-parse", "main"))
    path.unlink()
    (tmp_path / "away").rename(path)
    assert (await root.get(f"{notes}/status")).raise_for_status().json()["state"] == "idle"


async def test_what_was_connected_is_shown_and_ended(
    quire: Quire, root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n"})
    body = {"kind": "git", "repository": str(path), "folder": "/docs/", "patterns": ["*.md"]}
    (await root.put(f"{notes}/remote", json=body)).raise_for_status()
    found = (await root.get(f"{notes}/remote")).json()
    assert (found["folder"], found["patterns"], found["connected_by"]["name"]) == ("docs", ["*.md"], "Owner")
    await write(root, notes, b="b\n")
    (await root.put(f"{notes}/files/c.txt", content=b"c\n")).raise_for_status()
    changes = {each["path"]: each.get("outside") for each in (await root.get(f"{notes}/changes")).json()["changes"]}
    assert changes == {"b.md": None, "c.txt": True}
    status = (await root.get(f"{notes}/status")).json()
    assert (status["uncommitted"], status["outside"], status["state"]) == (1, 1, "idle")
    assert "c.txt" in status["detail"]
    ended = (await root.delete(f"{notes}/remote")).raise_for_status().json()
    assert (ended["local"], ended["state"]) == (True, "nothing")
    kinds = [
        each["kind"]
        for each in (await root.get(f"{notes}/events", headers={"accept": "application/json"})).json()["events"]
    ]
    assert [kind for kind in kinds if "connected" in kind] == ["connected", "disconnected"]


async def test_a_switch_of_the_branch_over_http(root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    push(path, {"a.md": None, "b.md": "b\n"}, branch="draft", onto="main")
    body = {"kind": "git", "repository": str(path), "branch": "main"}
    (await root.put(f"{notes}/remote", json=body)).raise_for_status()
    [before] = (await root.get(f"{notes}/files")).json()
    (await root.put(f"{notes}/remote", json={**body, "branch": "draft", "take": "theirs"})).raise_for_status()
    assert [each["path"] for each in (await root.get(f"{notes}/files")).json()] == ["b.md"]
    (await root.put(f"{notes}/remote", json={**body, "take": "theirs"})).raise_for_status()
    [after] = (await root.get(f"{notes}/files")).json()
    assert (after["path"], after["id"]) == ("a.md", before["id"])


async def test_only_admins_connect_and_only_root_reaches_the_disk(
    quire: Quire, root: httpx.AsyncClient, notes: str, tmp_path: pathlib.Path
) -> None:
    body = {"kind": "git", "repository": str(bare(tmp_path))}
    for role, status in (("viewer", 403), ("editor", 403), ("admin", 403)):
        async with quire.client(await quire.token("notes", role)) as someone:
            assert (await someone.get(f"{notes}/remote")).status_code == 200
            answers = [
                await someone.post(f"{notes}/remote/preview", json=body),
                await someone.put(f"{notes}/remote", json=body),
            ]
            assert [each.status_code for each in answers] == [status, status]
            said = answers[0].json()["error"]["message"]
            assert ("only the administrator" in said) is (role == "admin")
    async with quire.client(await quire.token("notes", "admin")) as admin:
        own = {"kind": "git", "repository": ""}
        assert (await admin.put(f"{notes}/remote", json=own)).status_code == 200
        assert (await admin.delete(f"{notes}/remote")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "git"}, "repository"),
        ({"kind": "svn", "repository": "x"}, "kind"),
        ({"kind": "git", "repository": "relative"}, "repository"),
        ({"kind": "git", "repository": "", "branch": "a..b"}, "branch"),
        ({"kind": "git", "repository": "", "folder": "../x"}, "folder"),
        ({"kind": "git", "repository": "", "patterns": [""]}, "patterns"),
        ({"kind": "git", "repository": "", "token": "x"}, "token"),
        ({"kind": "git", "repository": "", "pull_request": True}, "pull_request"),
        ({"kind": "github", "repository": "alice", "token": "x"}, "repository"),
        ({"kind": "github", "repository": "alice/notes", "token": "two words"}, "token"),
        ({"kind": "git", "repository": "", "take": "both"}, "take"),
        ({"kind": "git", "repository": "", "forks": True}, "forks"),
    ],
)
async def test_what_cannot_be_is_named(root: httpx.AsyncClient, notes: str, body: object, field: str) -> None:
    for answer in (
        await root.put(f"{notes}/remote", json=body),
        await root.post(f"{notes}/remote/preview", json=body),
    ):
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_a_token_is_never_given_back_and_its_key_is_for_its_owner_alone(
    start: Start, github: GitHubServer, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = await anyio.to_thread.run_sync(github.make)
    token = f"{theirs.token}-and-nothing-like-it"
    await anyio.to_thread.run_sync(theirs.push, "a.md", b"theirs\n")
    async with start(QUIRE_GITHUB_API=github.url, QUIRE_LOG_LEVEL="debug") as quire, quire.client() as root:
        (await root.post("/projects", json={"name": "notes"})).raise_for_status()
        body = {"kind": "github", "repository": theirs.full_name, "token": token}
        answers = [
            await root.post("/projects/notes/remote/preview", json=body),
            await root.put("/projects/notes/remote", json=body, headers={"idempotency-key": "one"}),
            await root.get("/projects/notes/remote"),
            await root.get("/projects/notes/status"),
            await root.get("/projects/notes/events", headers={"accept": "application/json"}),
        ]
        assert [each.status_code for each in answers] == [200] * 5
        assert token not in "".join(each.text for each in answers)
        assert (answers[1].json()["state"], answers[2].json()["credential"]) == ("done", "token")
        assert answers[2].json()["clone"].startswith("git clone ")
    said = capfd.readouterr()
    assert token not in said.out + said.err
    key = tmp_path / "secret-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) == 64


def test_a_key_that_is_set_seals_and_the_one_in_the_directory_still_opens(tmp_path: pathlib.Path) -> None:
    before = open_sealer(Settings.load({}, data=tmp_path)).seal("token", about="x")
    both = open_sealer(Settings.load({"QUIRE_SECRET_KEY": "k" * 32}, data=tmp_path))
    assert both.open(before, about="x") == "token"
    assert Sealer("k" * 32).open(both.seal("token", about="x"), about="x") == "token"


def test_with_a_key_that_is_set_none_is_made(tmp_path: pathlib.Path) -> None:
    open_sealer(Settings.load({"QUIRE_SECRET_KEY": "k" * 32}, data=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["short", "k" * 31, "k" * 32 + ",short", "with space " * 4, ","])
def test_a_key_that_is_too_weak_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingInvalid, match="openssl rand") as caught:
        Settings.load({"QUIRE_SECRET_KEY": key})
    assert key == "," or key not in caught.value.message
