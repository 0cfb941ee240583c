"""`quire connect` as people and scripts run it: what it says, its exit status, and what is connected then."""

from __future__ import annotations

import os
import pathlib
import pty
import subprocess
from collections.abc import Iterator
from typing import Any

import click
import httpx
import pytest

from tests.cli.running import environment, git, quire
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.server import QUIRE, ServerProcess
from web.cli import USAGE
from web.commands.connect import Target, parse


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("local", Target(None)),
        ("github:alice/notes", Target("github", "alice/notes")),
        ("github:alice/notes.git", Target("github", "alice/notes")),
        ("github:https://github.com/alice/notes", Target("github", "alice/notes")),
        ("github:alice/notes@draft/one", Target("github", "alice/notes", "draft/one")),
        ("github:alice/notes:docs/en", Target("github", "alice/notes", None, "docs/en")),
        ("github:alice/notes@draft:docs/en", Target("github", "alice/notes", "draft", "docs/en")),
        ("git:/srv/notes.git", Target("git", "/srv/notes.git")),
        ("git:/srv/notes.git@draft/one", Target("git", "/srv/notes.git", "draft/one")),
        ("git:../notes.git", Target("git", "../notes.git")),
    ],
)
def test_what_a_target_means(said: str, meant: Target) -> None:
    assert parse(said) == meant


def test_a_folder_with_an_at_sign_in_its_name_is_a_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes@home").mkdir()
    assert parse(f"git:{tmp_path}/notes@home") == Target("git", f"{tmp_path}/notes@home")


@pytest.mark.parametrize("said", ["", "git:", "github:", "github:alice", "github:a/b/c", "alice/notes", "svn:x"])
def test_what_is_no_target_says_what_one_is(said: str) -> None:
    with pytest.raises(click.UsageError, match="give github:OWNER"):
        parse(said)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, github: GitHubServer) -> Iterator[ServerProcess]:
    environ = {"QUIRE_GITHUB_API": github.url, "QUIRE_COMMIT_QUIET": "1h"}
    with ServerProcess(tmp_path_factory.mktemp("connect") / "data", environ=environ) as server:
        yield server


@pytest.fixture
def notes(serving: ServerProcess, request: pytest.FixtureRequest) -> str:
    """The name of a project with two files."""
    name: str = request.node.name.partition("[")[0].replace("_", "-")[5:95].lower()
    api(serving, "POST", "/projects", json={"name": name})
    for path in ("a.md", "b.md"):
        httpx.put(
            f"{serving.url}/api/v1/projects/{name}/files/{path}", content=b"ours\n", headers=serving.headers
        ).raise_for_status()
    return name


def api(server: ServerProcess, method: str, path: str, **more: Any) -> Any:
    answer = httpx.request(method, f"{server.url}/api/v1{path}", headers=server.headers, timeout=60, **more)
    return answer.raise_for_status().json()


def bare(folder: pathlib.Path, **files: str) -> pathlib.Path:
    work = folder / "work"
    git("init", "-q", "-b", "main", work, cwd=folder)
    for name, content in files.items():
        (work / f"{name}.md").write_text(content)
    git("add", "-A", cwd=work)
    git("commit", "-q", "-m", "First", cwd=work)
    git("clone", "-q", "--bare", work, "theirs.git", cwd=folder)
    return folder / "theirs.git"


def test_a_preview_says_what_is_where_and_nothing_is_connected(
    serving: ServerProcess, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, a="ours\n", c="theirs\n")
    ran = quire("connect", notes, f"git:{path}", "--preview", "--data", serving.data).ok()
    assert ran.out.splitlines() == [
        f"{notes} and {path}, branch main:",
        "       1 equal",
        "       1 only here: b.md",
        "       1 only there: c.md",
    ]
    assert f"2 files of {notes} not committed yet" in ran.err
    assert api(serving, "GET", f"/projects/{notes}/remote")["local"]


def test_without_a_choice_nothing_is_connected_in_a_pipe(
    serving: ServerProcess, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, a="theirs\n")
    ran = quire("connect", notes, f"git:{path}", "--data", serving.data)
    assert ran.status == 1
    assert "--take theirs" in ran.err
    assert "1 different: a.md" in ran.out
    assert api(serving, "GET", f"/projects/{notes}/remote")["local"]


def test_on_a_terminal_it_asks(serving: ServerProcess, notes: str, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, a="theirs\n")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs, "rb") as terminal:
        keyboard.write(b"neither\nours\n")
        ran = subprocess.run(
            [str(QUIRE), "connect", notes, f"git:{path}", "--data", str(serving.data)],
            stdin=terminal,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert (ran.returncode, "What counts? (theirs, ours, merge)" in ran.stderr) == (0, True), ran
    changes = api(serving, "GET", f"/projects/{notes}/changes")["changes"]
    assert {each["path"]: each["change"] for each in changes} == {"a.md": "modified", "b.md": "added"}


def test_conflicts_of_a_merge_are_named_and_are_the_exit_status(
    serving: ServerProcess, notes: str, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, a="theirs\n", c="theirs\n")
    ran = quire("connect", notes, f"git:{path}", "--take", "merge", "--url", serving.url, env=credential(serving))
    assert ran.status == 2
    assert f"{notes} is connected to {path}, branch main: 1 file changed here" in ran.out
    assert f"{notes}: a.md is in conflict (add/add)" in ran.err


def test_a_part_of_a_repository_and_back(serving: ServerProcess, notes: str, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, a="theirs\n", c="theirs\n")
    ran = quire(
        "connect", notes, f"git:{path}@main", "--pattern", "/c.md", "--pattern", "/d.md", "--data", serving.data
    ).ok()
    assert "2 here, and not what is connected: left alone, and not committed: a.md, b.md" in ran.out
    found = api(serving, "GET", f"/projects/{notes}/remote")
    assert (found["patterns"], found["local"]) == (["/c.md", "/d.md"], False)
    ran = quire("connect", notes, "local", "--data", serving.data).ok()
    assert api(serving, "GET", f"/projects/{notes}/remote")["local"]


def test_a_repository_that_is_not_there_is_said_in_one_line(
    serving: ServerProcess, notes: str, tmp_path: pathlib.Path
) -> None:
    ran = quire("connect", notes, f"git:{tmp_path}/none.git", "--data", serving.data)
    assert ran.status == 1
    assert ran.err.splitlines()[-1].startswith("error: There is no git repository at")
    ran = quire("connect", notes, "git:none.git", "--url", serving.url, env=credential(serving))
    assert "no absolute path" in ran.err
    assert quire("connect", notes, "nowhere", "--data", serving.data).status == 64


def test_a_token_comes_by_stdin_or_the_environment_and_is_shown_nowhere(
    serving: ServerProcess, github: GitHubServer, notes: str
) -> None:
    theirs: GitHubRepository = github.make()
    theirs.push("a.md", b"theirs\n")
    to = f"github:{theirs.full_name}"
    ran = quire("connect", notes, to, "--token-stdin", "--data", serving.data, stdin=theirs.token + "\n")
    assert (ran.status, "--take" in ran.err) == (1, True)
    ran = quire(
        "connect", notes, to, "--take", "theirs", "--data", serving.data, env={"QUIRE_GITHUB_TOKEN": theirs.token}
    )
    assert (
        ran.ok().out.splitlines()[-1]
        == f"{notes} is connected to {theirs.full_name}, branch main: 2 files changed here"
    )
    found = api(serving, "GET", f"/projects/{notes}/remote")
    assert (found["kind"], found["credential"]) == ("github", "token")
    kept = b"".join(each.read_bytes() for each in serving.data.rglob("*") if each.is_file())
    assert theirs.token not in ran.out + ran.err + serving.log + str(found)
    assert theirs.token.encode() not in kept


def test_a_directory_that_nobody_serves_is_connected_as_well(tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, a="theirs\n")
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        api(server, "POST", "/projects", json={"name": "notes"})
        server.terminate()
    quire("connect", "notes", "git:theirs.git", "--data", data, cwd=tmp_path).ok()
    with ServerProcess(data) as server:
        assert api(server, "GET", "/projects/notes/remote")["repository"] == str(path)
        assert [each["path"] for each in api(server, "GET", "/projects/notes/files")] == ["a.md"]


def credential(server: ServerProcess) -> dict[str, str]:
    return {"QUIRE_ROOT_TOKEN": server.token}


def test_a_repository_on_github_is_imported_and_stays_connected(serving: ServerProcess, github: GitHubServer) -> None:
    theirs: GitHubRepository = github.make(begun=True)
    theirs.push("docs/a.md", b"theirs\n")
    name = f"imported-{theirs.name}"
    source = f"github:{theirs.full_name}@main:docs"
    ran = quire(
        *("import", source, "--project", name, "--connect", "--token-stdin", "--data", serving.data),
        stdin=theirs.token + "\n",
    )
    assert ran.ok().out.splitlines()[-1] == f"{name}: 1 file, 7 bytes"
    assert f"is connected to {theirs.full_name}" in ran.err
    assert [each["path"] for each in api(serving, "GET", f"/projects/{name}/files")] == ["a.md"]
    assert api(serving, "GET", f"/projects/{name}/remote")["folder"] == "docs"
    assert api(serving, "GET", f"/projects/{name}/status")["uncommitted"] == 0
    assert theirs.token not in ran.out + ran.err + serving.log


def test_a_project_that_was_made_for_an_import_which_fails_is_gone_again(
    serving: ServerProcess, github: GitHubServer
) -> None:
    token = {"QUIRE_GITHUB_TOKEN": github.token()}
    ran = quire("import", "github:alice/no-such", "--project", "nothing", "--data", serving.data, env=token)
    assert (ran.status, "There is no repository alice/no-such" in ran.err) == (1, True)
    assert "nothing" not in [each["name"] for each in api(serving, "GET", "/projects")["projects"]]


@pytest.mark.parametrize("option", ["--connect", "--token-stdin"])
def test_what_is_for_github_goes_with_nothing_else(serving: ServerProcess, tmp_path: pathlib.Path, option: str) -> None:
    ran = quire("import", tmp_path, "--project", "nothing", option, "--data", serving.data)
    assert ran.status == USAGE
    assert "go with github:OWNER/REPO" in ran.err
