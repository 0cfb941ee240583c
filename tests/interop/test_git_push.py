"""Stock git, and another implementation of it, push to a running server: merged into the live files, or refused in words."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
from typing import Any

import httpx
import pytest
from dulwich import porcelain

from tests.harness.server import ServerProcess
from tests.interop.hosted import Clone, Hosted, events, files, put, run, status, token
from tests.snapshots.git import git

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


@pytest.fixture
def hosted(server: ServerProcess, project: str) -> Hosted:
    return Hosted(server, project)


@pytest.fixture
def bob(hosted: Hosted, tmp_path: pathlib.Path) -> Clone:
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    return Clone(tmp_path / "bob")


@pytest.fixture
def base(bob: Clone) -> Clone:
    """Some files are there on both sides."""
    bob.write(a_md=TEN, b_md="b\n", d__c_md="c\n")
    bob.push("--quiet")
    return bob


# what is pushed is merged


def test_a_first_push_fills_an_empty_project(hosted: Hosted, bob: Clone, api: httpx.Client) -> None:
    (bob.folder / "run.sh").write_text("#!/bin/sh\n")
    (bob.folder / "run.sh").chmod(0o755)
    (bob.folder / "link").symlink_to("run.sh")
    git(bob.folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git(bob.folder, "commit", "--quiet", "--message", "A submodule")
    (bob.folder / "module").mkdir()
    sha = bob.write(a_md=TEN, crlf_txt="one\r\ntwo\r\n", latin_txt=b"caf\xe9", empty="")
    said = bob.push()
    assert f"remote: 7 files of {hosted.name} changed" in said
    assert files(api, hosted.name)["crlf.txt"] == b"one\r\ntwo\r\n"
    assert status(api, hosted.name)["head"] == sha
    assert status(api, hosted.name)["uncommitted"] == 0
    modes = {each["path"]: each["mode"] for each in api.get(f"/projects/{hosted.name}/files").json()}
    assert (modes["run.sh"], modes["link"], modes["module"]) == ("100755", "120000", "160000")
    assert api.post(f"/projects/{hosted.name}/snapshots").json()["state"] == "nothing"
    git(bob.folder.parent, "clone", "--quiet", hosted.url(), "again")
    assert git(bob.folder.parent / "again", "rev-parse", "HEAD^{tree}") == git(bob.folder, "rev-parse", "HEAD^{tree}")


def test_what_is_not_committed_stays_so_and_goes_out_on_top(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    put(api, hosted.name, "a.md", "alice\n" + TEN)
    put(api, hosted.name, "new.md", "alice\n")
    pushed = base.write(a_md=TEN + "bob\n", b_md=None)
    base.push("--quiet")
    assert files(api, hosted.name) == {
        "a.md": f"alice\n{TEN}bob\n".encode(), "d/c.md": b"c\n", "new.md": b"alice\n",
    }  # fmt: skip
    changed = api.get(f"/projects/{hosted.name}/changes").json()["changes"]
    assert [(each["path"], each["change"]) for each in changed] == [("a.md", "modified"), ("new.md", "added")]
    made = api.post(f"/projects/{hosted.name}/snapshots").raise_for_status().json()
    assert git(hosted.bare, "rev-parse", f"{made['commit']}^") == pushed
    base.pull()
    assert (base.folder / "a.md").read_text() == f"alice\n{TEN}bob\n"


def test_a_large_push_comes_in_pieces(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    noise = os.urandom(3_000_000)
    base.write(big_bin=noise, **{f"many__f{number}_md": f"{number}\n" for number in range(300)})
    base.push("--quiet")
    assert api.get(f"/projects/{hosted.name}/files/big.bin").content == noise
    assert len(list((hosted.bare / "objects" / "pack").glob("*.pack"))) == 1
    base.write(big_bin=noise + b"more")
    base.push("--quiet")
    assert api.get(f"/projects/{hosted.name}/files/big.bin").content == noise + b"more"
    assert git(hosted.bare, "fsck", "--full", "--strict") == ""


def test_a_rename_keeps_the_document(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    before = {each["path"]: each["id"] for each in api.get(f"/projects/{hosted.name}/files").json()}
    base.write(a_md=None, there_md=TEN)
    base.push("--quiet")
    after = {each["path"]: each["id"] for each in api.get(f"/projects/{hosted.name}/files").json()}
    assert after["there.md"] == before["a.md"]


def test_a_merge_of_branches_is_pushed_with_its_history(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    git(base.folder, "checkout", "--quiet", "-b", "side", "HEAD")
    base.write(side_md="side\n")
    git(base.folder, "checkout", "--quiet", "main")
    base.write(b_md="main\n")
    git(base.folder, "merge", "--quiet", "--no-edit", "side")
    base.push("--quiet", "origin", "main")
    assert files(api, hosted.name)["side.md"] == b"side\n"
    assert events(api, hosted.name, "pushed")[-1]["data"]["count"] == 3


def test_another_implementation_pushes(hosted: Hosted, api: httpx.Client, tmp_path: pathlib.Path) -> None:
    address = f"{hosted.server.url}/git/{hosted.name}.git"
    account: dict[str, Any] = {"username": "anybody", "password": hosted.server.token, "errstream": io.BytesIO()}
    copy = tmp_path / "copy"
    with contextlib.closing(porcelain.clone(address, copy, **account)):
        for text in (TEN, TEN + "more\n"):
            (copy / "a.md").write_text(text)
            porcelain.add(copy, [copy / "a.md"])
            porcelain.commit(copy, b"A commit", author=b"bob <bob@example.org>", committer=b"bob <bob@example.org>")
            porcelain.push(copy, address, b"HEAD:refs/heads/main", outstream=io.BytesIO(), **account)
            assert files(api, hosted.name) == {"a.md": text.encode()}


# who pushed


def test_whoever_pushed_is_known_and_so_is_who_wrote_it(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    made = api.post(f"/projects/{hosted.name}/tokens", json={"role": "editor", "agent": "fixer"}).json()
    sha = base.write(a_md=TEN + "more\n")
    base.push("--quiet", hosted.url(made["token"]), "main")
    told = events(api, hosted.name, "pushed")[-1]
    assert [each["name"] for each in told["actors"]] == ["fixer"]
    assert told["data"]["commit"] == sha
    assert told["data"]["commits"] == [{"sha": sha, "author": "alice", "subject": "A commit"}]
    blamed = api.get(f"/projects/{hosted.name}/blame/a.md").raise_for_status().json()
    (last,) = [each for each in blamed["ranges"] if each["actor"]["name"] == "fixer"]
    assert last["on_behalf_of"]["name"] == "alice"


# what is refused


def test_a_push_over_lines_that_somebody_is_writing_is_refused_and_they_are_named(
    hosted: Hosted, base: Clone, api: httpx.Client
) -> None:
    put(api, hosted.name, "a.md", TEN.replace("line 2", "alice 2").replace("line 7", "alice 7"))
    put(api, hosted.name, "b.md", "alice\n")
    before = files(api, hosted.name), status(api, hosted.name)["head"]
    base.write(a_md=TEN.replace("line 2", "bob 2").replace("line 7", "bob 7"), b_md=None, fine_md="fine\n")
    said = base.refused()
    assert "remote:   a.md: lines 3 and 8" in said
    assert "remote:   b.md: you delete it, and it is being edited here" in said
    assert "[remote rejected] main -> main (in conflict with what is being written here)" in said
    assert (files(api, hosted.name), status(api, hosted.name)["head"]) == before
    assert status(api, hosted.name)["conflicts"] == 0
    assert list((hosted.bare / ".quarantine").iterdir()) == []
    # And this is how it goes on.
    api.post(f"/projects/{hosted.name}/snapshots").raise_for_status()
    assert "fetch first" in base.refused()
    run(base.folder, "pull", "--no-rebase", "-X", "ours")
    git(base.folder, "rm", "--quiet", "b.md")
    git(base.folder, "commit", "--quiet", "--message", "Merged")
    base.push("--quiet")
    assert files(api, hosted.name)["a.md"] == (base.folder / "a.md").read_bytes()


def test_who_wants_to_decide_later_can_push_all_the_same(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    put(api, hosted.name, "a.md", TEN.replace("line 2", "alice"))
    sha = base.write(a_md=TEN.replace("line 2", "bob"), fine_md="fine\n")
    said = base.push("-o", "conflicts=keep", "-o", "unknown")
    assert f"to be decided at {hosted.server.url}/p/{hosted.name}/-/conflicts" in said
    assert "The option 'unknown' means nothing here" in said
    assert (status(api, hosted.name)["head"], status(api, hosted.name)["conflicts"]) == (sha, 1)
    assert files(api, hosted.name)["fine.md"] == b"fine\n"
    assert files(api, hosted.name)["a.md"] == TEN.replace("line 2", "alice").encode()


def test_history_that_people_work_on_is_not_rewritten(hosted: Hosted, base: Clone, tmp_path: pathlib.Path) -> None:
    git(tmp_path, "clone", "--quiet", hosted.url(), "carol")
    carol = Clone(tmp_path / "carol")
    base.write(b_md="bob\n")
    base.push("--quiet")
    carol.write(a_md="carol\n")
    assert "fetch first" in carol.refused()
    assert "non-fast-forward: what people work on is not rewritten here" in carol.refused("--force")
    assert "the project's own branch cannot be deleted" in carol.refused("origin", ":main")
    assert git(hosted.bare, "rev-parse", "main") == git(base.folder, "rev-parse", "main")


def test_other_branches_and_tags_are_kept_and_belong_to_whoever_pushes(
    hosted: Hosted, base: Clone, api: httpx.Client
) -> None:
    before = files(api, hosted.name)
    git(base.folder, "checkout", "--quiet", "-b", "review")
    base.write(a_md="review\n")
    git(base.folder, "tag", "--annotate", "--message", "One", "v1")
    said = base.push("origin", "review", "v1")
    assert f"review is kept as a branch; the files of {hosted.name} follow main." in said
    git(base.folder, "commit", "--quiet", "--amend", "--message", "Again")
    base.push("--quiet", "--force", "origin", "review")
    assert git(hosted.bare, "rev-parse", "review") == git(base.folder, "rev-parse", "review")
    assert files(api, hosted.name) == before
    assert "is in the way of it" in base.refused("origin", "HEAD:refs/heads/review/more")
    assert "only branches, tags and notes are kept here" in base.refused("origin", "HEAD:refs/secret/x")
    base.push("--quiet", "origin", ":review", ":v1")
    assert git(hosted.bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    told = [(each["data"]["ref"], each["data"]["forced"]) for each in events(api, hosted.name, "pushed")[1:]]
    assert told == [
        ("refs/heads/review", False), ("refs/tags/v1", False), ("refs/heads/review", True),
        ("refs/heads/review", False), ("refs/tags/v1", False),
    ]  # fmt: skip


def test_all_or_none(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    put(api, hosted.name, "a.md", "alice\n")
    base.write(a_md="bob\n")
    git(base.folder, "branch", "beside")
    said = base.refused("--atomic", "origin", "main", "beside")
    assert "beside -> beside (another ref of this push is refused" in said
    assert git(hosted.bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    base.push("--quiet", "--atomic", "-o", "conflicts=keep", "origin", "main", "beside")
    assert git(hosted.bare, "rev-parse", "beside") == git(hosted.bare, "rev-parse", "main")


def test_a_viewer_does_not_push(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    secret, _ = token(api, hosted.name, "viewer")
    base.write(a_md="viewer\n")
    done = run(base.folder, "push", hosted.url(secret), "main")
    assert done.returncode != 0
    assert "remote: Nothing was pushed: this needs the role editor" in done.stderr
    secret, number = token(api, hosted.name, "editor")
    api.delete(f"/projects/{hosted.name}/tokens/{number}").raise_for_status()
    assert "Authentication failed" in run(base.folder, "push", hosted.url(secret), "main").stderr


def test_what_would_do_harm_in_a_checkout_is_refused(hosted: Hosted, base: Clone) -> None:
    blob = git(base.folder, "hash-object", "-w", "--stdin", stdin=b"[core]\n")
    for name in (".git", ".GIT", "git~1", ".git "):
        tree = git(base.folder, "mktree", "--missing", stdin=f"100644 blob {blob}\t{name}\n".encode())
        commit = git(base.folder, "commit-tree", tree, "-p", "HEAD", "-m", "Bad")
        said = base.refused("origin", f"{commit}:refs/heads/bad")
        assert f"holds the name {name!r}, which is git's own on some system" in said
    assert list((hosted.bare / ".quarantine").iterdir()) == []
    assert git(hosted.bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
