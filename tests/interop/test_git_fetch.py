"""Stock git, and another implementation of it, clone and fetch from a running server."""

from __future__ import annotations

import io
import os
import pathlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dulwich import porcelain

from tests.harness.server import ServerProcess
from tests.harness.until import until
from tests.interop.hosted import Hosted, run, token
from tests.snapshots.git import commit_all, git, new_repository

VERSIONS = ("0", "2")
"""1 is 0 with a line in front."""


@pytest.fixture
def hosted(server: ServerProcess, project: str) -> Hosted:
    return Hosted(server, project)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Twenty commits with a merge, a tag, another branch, and files of every kind."""
    folder = new_repository(tmp_path_factory.mktemp("source") / "source")
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("d/e")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git(folder, "commit", "--quiet", "--message", "A submodule")
    for number in range(17):
        (folder / "d" / "e" / "long.md").write_text("".join(f"line {line}\n" for line in range(200 + number)))
        (folder / f"f{number}.md").write_text(f"{number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"Commit {number}")
    git(folder, "checkout", "--quiet", "-b", "side", "HEAD~5")
    (folder / "side.md").write_text("side\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Beside")
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-edit", "side")
    git(folder, "tag", "--annotate", "--message", "One", "v1", "HEAD~3")
    return folder


@pytest.fixture
def filled(hosted: Hosted, source: pathlib.Path, api: httpx.Client) -> Hosted:
    """It holds what `source` holds, and is known to the project."""
    assert httpx.get(hosted.url() + "/info/refs?service=git-upload-pack").status_code == 200
    git(source, "push", "--quiet", "--mirror", str(hosted.bare))
    api.post(f"/projects/{hosted.name}/pull").raise_for_status()
    return hosted


@pytest.fixture
def judge(server: ServerProcess) -> Iterator[str]:
    """The address at which git's own server serves the same repositories."""
    command = [sys.executable, "-m", "tests.snapshots.git_http", str(server.data / "git")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def count(folder: pathlib.Path, *what: str) -> int:
    return int(git(folder, "rev-list", "--count", *(what or ("HEAD",))))


@pytest.mark.parametrize("version", [*VERSIONS, "1"])
def test_a_clone_holds_everything_byte_for_byte(
    filled: Hosted, source: pathlib.Path, tmp_path: pathlib.Path, version: str
) -> None:
    git(tmp_path, "-c", f"protocol.version={version}", "clone", "--quiet", filled.url(), "copy")
    copy = tmp_path / "copy"
    assert git(copy, "fsck", "--full", "--strict") == ""
    assert git(copy, "rev-parse", "HEAD", "origin/side", "v1") == git(source, "rev-parse", "main", "side", "v1")
    assert git(copy, "ls-tree", "-r", "HEAD") == git(source, "ls-tree", "-r", "HEAD")
    assert os.access(copy / "run.sh", os.X_OK)
    assert (copy / "link").readlink() == pathlib.Path("d/e")
    assert git(copy, "status", "--porcelain") == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fetch_brings_what_is_new(filled: Hosted, source: pathlib.Path, tmp_path: pathlib.Path, version: str) -> None:
    option = ("-c", f"protocol.version={version}")
    git(tmp_path, *option, "clone", "--quiet", filled.url(), "copy")
    copy, other = tmp_path / "copy", tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(filled.bare), "other")
    (other / "d" / "new.md").write_text("new\n")
    (copy / "own.md").write_text("a commit that the server does not have\n")
    commit_all(copy)
    sha = commit_all(other)
    git(other, "push", "--quiet", "origin", "main", "HEAD:refs/heads/another")
    git(copy, *option, "fetch", "--quiet", "origin")
    assert git(copy, "rev-parse", "origin/main", "origin/another").split() == [sha, sha]
    assert git(copy, "fsck", "--full", "--strict") == ""
    assert git(copy, *option, "ls-remote", "origin", "HEAD", "refs/heads/an*").split()[::2] == [sha, sha]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_shallow_clone_can_be_deepened_and_completed(
    filled: Hosted, judge: str, source: pathlib.Path, tmp_path: pathlib.Path, version: str
) -> None:
    """Step by step, it holds what it would hold if git itself had been the server."""
    option = ("-c", f"protocol.version={version}")
    copies = {"ours": filled.url(), "judge": f"{judge}/{filled.name}.git"}

    def both(*arguments: str) -> str:
        held = set()
        for name in copies:
            git(tmp_path / name, *option, *arguments)
            assert git(tmp_path / name, "fsck", "--full", "--strict", "--no-dangling") == ""
            held.add(_commits(tmp_path / name))
        (same,) = held
        return same

    for name, url in copies.items():
        git(tmp_path, *option, "clone", "--quiet", "--depth", "1", url, name)
    assert both("status") == git(source, "rev-parse", "main")
    both("fetch", "--quiet", "--depth", "3")
    both("fetch", "--quiet", "--deepen", "2")
    both("fetch", "--quiet", "--no-tags", "--shallow-exclude=v1")
    both("fetch", "--quiet", "--depth", "2")
    assert both("fetch", "--quiet", "--unshallow") == _commits(source)
    assert not (tmp_path / "ours" / ".git" / "shallow").exists()


def _commits(folder: pathlib.Path) -> str:
    return "\n".join(sorted(git(folder, "rev-list", "HEAD").split()))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_partial_clone_fetches_files_when_it_needs_them(
    filled: Hosted, source: pathlib.Path, tmp_path: pathlib.Path, version: str
) -> None:
    option = ("-c", f"protocol.version={version}")
    git(tmp_path, *option, "clone", "--quiet", "--no-checkout", "--filter=blob:none", filled.url(), "copy")
    copy = tmp_path / "copy"
    missing = git(copy, "rev-list", "--objects", "--all", "--missing=print").split("\n")
    assert sum(row.startswith("?") for row in missing) > 15
    git(copy, *option, "checkout", "--quiet", "main")
    assert git(copy, "status", "--porcelain") == ""
    git(copy, *option, "fetch", "--quiet", "origin", "side")
    assert git(copy, *option, "show", "-p", "main~2") == git(source, "show", "-p", "main~2")


def test_an_empty_project_clones_empty_and_its_branch_is_main(hosted: Hosted, tmp_path: pathlib.Path) -> None:
    for version in VERSIONS:
        git(tmp_path, "-c", f"protocol.version={version}", "clone", "--quiet", hosted.url(), f"copy{version}")
    assert git(tmp_path / "copy2", "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(tmp_path, "ls-remote", hosted.url()) == ""


def test_another_implementation_clones_and_fetches(
    filled: Hosted, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    options: dict[str, Any] = {"username": "anybody", "password": filled.server.token, "errstream": io.BytesIO()}
    url = f"{filled.server.url}/git/{filled.name}.git"
    copy = tmp_path / "copy"
    porcelain.clone(url, copy, **options).close()
    assert git(copy, "rev-parse", "HEAD") == git(source, "rev-parse", "main")
    assert git(copy, "fsck", "--full", "--strict") == ""
    porcelain.clone(url, tmp_path / "shallow", depth=2, **options).close()
    assert count(tmp_path / "shallow") < count(copy)
    porcelain.fetch(copy, url, **options)


# who may


def test_without_a_token_git_asks_for_one(hosted: Hosted, tmp_path: pathlib.Path) -> None:
    answer = httpx.get(f"{hosted.server.url}/git/{hosted.name}.git/info/refs?service=git-upload-pack")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    done = run(tmp_path, "clone", f"{hosted.server.url}/git/{hosted.name}.git", "copy")
    assert "could not read Username" in done.stderr
    done = run(tmp_path, "clone", hosted.url("wrong"), "copy")
    assert "remote: this token is not (or no longer) valid" in done.stderr
    assert "Authentication failed" in done.stderr


def test_a_viewer_clones_with_any_user_name_until_the_token_is_revoked(
    filled: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    secret, number = token(api, filled.name, "viewer")
    git(tmp_path, "clone", "--quiet", filled.url(secret, "alice"), "copy")
    git(
        tmp_path,
        "-c",
        f"http.extraHeader=Authorization: Bearer {secret}",
        "ls-remote",
        filled.url().replace("anybody:", ""),
    )
    api.delete(f"/projects/{filled.name}/tokens/{number}").raise_for_status()
    done = run(tmp_path / "copy", "fetch")
    assert (done.returncode, "Authentication failed" in done.stderr) == (128, True)


def test_a_project_that_one_may_not_see_is_one_that_is_not_there(
    filled: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    other = f"p{secrets.token_hex(5)}"
    api.post("/projects", json={"name": other}).raise_for_status()
    secret, _ = token(api, other, "admin")
    seen = run(tmp_path, "clone", filled.url(secret), "copy").stderr
    absent = run(tmp_path, "clone", Hosted(filled.server, "absent").url(secret), "copy").stderr
    assert "not found" in seen
    assert seen.replace(filled.name, "absent") == absent


def test_a_token_of_some_paths_does_not_get_the_whole_project(filled: Hosted, api: httpx.Client) -> None:
    body = {"role": "editor", "paths": ["docs/**"]}
    limited = api.post(f"/projects/{filled.name}/tokens", json=body).raise_for_status().json()["token"]
    refused = httpx.get(
        f"{filled.server.url}/git/{filled.name}.git/info/refs?service=git-upload-pack", auth=("x", limited)
    )
    assert refused.status_code == 403
    assert "docs/**" in refused.text


def test_a_renamed_project_is_found_under_its_new_name(
    filled: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    git(tmp_path, "clone", "--quiet", filled.url(), "copy")
    renamed = f"{filled.name}-renamed"
    api.patch(f"/projects/{filled.name}", json={"name": renamed}).raise_for_status()
    assert "not found" in run(tmp_path / "copy", "fetch").stderr
    git(tmp_path / "copy", "remote", "set-url", "origin", Hosted(filled.server, renamed).url())
    git(tmp_path / "copy", "fetch", "--quiet")


def test_old_clients_and_browsers_are_told_what_this_is(hosted: Hosted) -> None:
    for path, status in (("", 404), ("/info/refs", 403), ("/HEAD", 403), ("/objects/info/packs", 403)):
        answer = httpx.get(f"{hosted.server.url}/git/{hosted.name}.git{path}")
        assert (answer.status_code, "smart HTTP" in answer.text) == (status, True)
        assert answer.headers["content-type"].startswith("text/plain")


def test_what_is_no_request_of_git_is_refused_in_words(hosted: Hosted) -> None:
    url = hosted.url() + "/git-upload-pack"
    kind = {"content-type": "application/x-git-upload-pack-request"}
    assert httpx.post(url, content=b"0000").status_code == 400
    assert httpx.post(url, content=b"0000", headers={**kind, "content-encoding": "br"}).status_code == 400
    assert httpx.post(url, content=b"no gzip", headers={**kind, "content-encoding": "gzip"}).status_code == 400
    asked = httpx.post(url, content=b"0010command=nope0000", headers={**kind, "git-protocol": "version=2"})
    assert b"ERR the command 'nope' is not known here" in asked.content
    asked = httpx.post(url, content=b"0008wish0000", headers=kind)
    assert b"ERR" in asked.content


def test_a_token_that_ends_in_the_middle_of_a_clone_ends_it(
    hosted: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    (tmp_path / "bob" / "big.bin").write_bytes(os.urandom(30_000_000))
    sha = commit_all(tmp_path / "bob")
    git(tmp_path / "bob", "push", "--quiet")
    secret, number = token(api, hosted.name, "viewer")
    asked = b"0032want " + sha.encode() + b"\n" + b"0000" + b"0009done\n"
    kind = {"content-type": "application/x-git-upload-pack-request"}
    url = f"{hosted.url(secret)}/git-upload-pack"
    size = 0

    def all_of_it() -> None:
        nonlocal size
        with httpx.stream("POST", url, content=asked, headers=kind, timeout=30) as answer:
            for chunk in answer.iter_raw():
                if not size:
                    api.delete(f"/projects/{hosted.name}/tokens/{number}").raise_for_status()
                size += len(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        all_of_it()
    assert 0 < size < 30_000_000


def test_the_branch_of_an_import_is_the_one_that_is_cloned(
    hosted: Hosted, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    other = new_repository(tmp_path / "other", branch="trunk")
    (other / "a.md").write_text("a\n")
    sha = commit_all(other)
    started = api.post(f"/projects/{hosted.name}/import", json={"path": str(other)}).raise_for_status().json()
    job = started["job"]["id"]
    until(lambda: api.get(f"/projects/{hosted.name}/import/{job}").json()["job"]["state"] != "running", "the import")
    git(tmp_path, "clone", "--quiet", hosted.url(), "copy")
    assert git(tmp_path / "copy", "symbolic-ref", "HEAD") == "refs/heads/trunk"
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == sha
    (tmp_path / "copy" / "a.md").write_text("b\n")
    commit_all(tmp_path / "copy")
    git(tmp_path / "copy", "push", "--quiet")
    assert api.get(f"/projects/{hosted.name}/files/a.md").content == b"b\n"
