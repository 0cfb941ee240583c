"""Projects that are connected to a branch, a part or a repository of somebody else: what git clients see of them."""

from __future__ import annotations

import pathlib
from typing import Any

import httpx
import pytest

from tests.harness.server import ServerProcess
from tests.interop.hosted import Clone, Hosted, files, run, snapshot, status
from tests.snapshots.git import git


@pytest.fixture
def hosted(server: ServerProcess, project: str) -> Hosted:
    return Hosted(server, project)


@pytest.fixture
def elsewhere(tmp_path: pathlib.Path) -> Clone:
    """Somebody else's repository, with a branch of which the project knows nothing."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "elsewhere.git")
    git(tmp_path, "clone", "--quiet", "elsewhere.git", "carol")
    carol = Clone(tmp_path / "carol")
    carol.write(secret_md="secret\n")
    git(carol.folder, "branch", "-m", "main", "secret")
    carol.push("--quiet", "origin", "secret")
    git(carol.folder, "checkout", "--quiet", "--orphan", "main")
    git(carol.folder, "rm", "--quiet", "-rf", ".")
    carol.write(a_md="a\n", docs__b_md="b\n")
    carol.push("--quiet", "origin", "main")
    return carol


def connect(api: httpx.Client, project: str, **wanted: Any) -> None:
    answer = api.put(f"/projects/{project}/remote", json={"kind": "git", "take": "theirs", **wanted})
    assert answer.status_code in (200, 201, 202), answer.text


def test_what_is_elsewhere_is_cloned_here_and_pushed_there(
    hosted: Hosted, elsewhere: Clone, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    bare = tmp_path / "elsewhere.git"
    connect(api, hosted.name, repository=str(bare), branch="main")
    assert git(tmp_path, "ls-remote", hosted.url()).split()[1::2] == ["HEAD", "refs/heads/main"]
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    bob = Clone(tmp_path / "bob")
    assert git(bob.folder, "rev-parse", "HEAD") == git(bare, "rev-parse", "main")
    elsewhere.write(a_md="more\n")
    elsewhere.push("--quiet", "origin", "main")
    git(bob.folder, "pull", "--quiet")
    assert (bob.folder / "a.md").read_text() == "more\n"
    bob.write(a_md="bob\n")
    done = run(bob.folder, "push")
    assert f"remote: Nothing was pushed: the commits of {hosted.name} go to the branch main of {bare}" in done.stderr
    secret = git(bare, "rev-parse", "secret")
    done = run(bob.folder, "-c", "protocol.version=2", "fetch", "origin", secret)
    assert f"not our ref {secret}" in done.stderr


def test_where_only_a_part_belongs_to_the_project_the_whole_is_not_shown(
    hosted: Hosted, elsewhere: Clone, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    connect(api, hosted.name, repository=str(tmp_path / "elsewhere.git"), branch="main", folder="docs")
    assert files(api, hosted.name) == {"b.md": b"b\n"}
    done = run(tmp_path, "clone", hosted.url(), "bob")
    assert f"remote: {hosted.name} is a part of the branch main of {tmp_path / 'elsewhere.git'}" in done.stderr
    assert "not found" in done.stderr


def test_another_branch_of_its_own_repository_takes_pushes(
    hosted: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    bob = Clone(tmp_path / "bob")
    bob.write(a_md="a\n")
    bob.push("--quiet", "origin", "HEAD:main", "HEAD:draft")
    connect(api, hosted.name, repository="", branch="draft")
    assert git(tmp_path, "ls-remote", "--symref", hosted.url(), "HEAD").split()[1] == "refs/heads/draft"
    bob.write(a_md="draft\n")
    said = bob.push("origin", "HEAD:draft")
    assert f"1 file of {hosted.name} changed" in said
    assert files(api, hosted.name) == {"a.md": b"draft\n"}
    said = bob.push("origin", "HEAD:main")
    assert "changed" not in said


def test_a_part_of_its_own_repository_takes_pushes_and_the_rest_is_git_s_alone(
    hosted: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    bob = Clone(tmp_path / "bob")
    bob.write(docs__a_md="a\n", src__x_py="x\n")
    bob.push("--quiet")
    connect(api, hosted.name, repository="", branch="main", folder="docs")
    assert files(api, hosted.name) == {"a.md": b"a\n"}
    api.put(f"/projects/{hosted.name}/files/b.md?force", content=b"alice\n").raise_for_status()
    sha = bob.write(docs__a_md="bob\n", src__x_py="y\n")
    bob.push("--quiet")
    assert files(api, hosted.name) == {"a.md": b"bob\n", "b.md": b"alice\n"}
    assert status(api, hosted.name)["head"] == sha
    snapshot(api, hosted.name)
    bob.pull()
    assert (bob.folder / "docs" / "b.md").read_text() == "alice\n"
    assert (bob.folder / "src" / "x.py").read_text() == "y\n"
