"""Sources become projects, to the byte, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Mapping

import anyio
import pytest

from collab.bases import bases
from collab.errors import Conflict, Invalid, NotFound
from collab.ids import Path
from collab.store.memory import MemoryStore
from snapshots import trees
from snapshots.importer import Existing, Job
from snapshots.remotes.base import TreeEntry
from snapshots.sources import (
    Archive,
    Folder,
    GitFolder,
    GitUrl,
    Limits,
    Source,
    Upload,
    Uploads,
    git_url,
    locate,
)
from tests.snapshots.git import blob_sha, commit_all, git, new_repository
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

ODD: Mapping[bytes, bytes] = {
    b"README.md": b"# one\n",
    b"crlf.txt": b"one\r\ntwo\r\n",
    b"mixed.txt": b"one\r\ntwo\nthree\r",
    b"bom.txt": b"\xef\xbb\xbfone\n",
    b"no-newline.txt": b"one\ntwo",
    b"empty.txt": b"",
    b"latin1.txt": b"caf\xe9\n",
    b"binary.bin": bytes(range(256)),
    b"caf\xe9/\xff name.txt": b"in a folder whose name is not UTF-8\n",
    "e\u0301 nfd.txt".encode(): b"not in normal form C\n",
    b'"quoted" name\t.txt': b"\n",
    b"CASE.txt": b"upper\n",
    b"case.txt": b"lower\n",
    b"deep/er/and/deeper/file.md": "emoji 😀 and 漢字\n".encode(),
    b"lfs.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
    b"long.txt": b"x" * 2_100_000,
    b"ignored.log": b"committed although it is ignored\n",
    b".gitignore": b"*.log\n",
}


def odd_repository(folder: pathlib.Path) -> pathlib.Path:
    """Everything that git can hold and that somebody once forgot."""
    new_repository(folder, branch="trunk")
    for path, content in ODD.items():
        target = folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/er")
    (folder / "dangling").symlink_to(b"/no/where/\xfe")
    commit_all(folder, "The first")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},vendor/sub")
    git(folder, "commit", "--quiet", "--message", "A submodule")
    return folder


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path / "house") as made:
        yield made


async def bring(home: House, source: Source, *, existing: Existing = "refuse") -> Job:
    job = await home.importer.start(home.project, source, ALICE, existing=existing)
    with anyio.fail_after(60):
        return await home.importer.wait(job.id)


async def recomputed(home: House) -> str:
    """The tree's SHA, made from the documents' own bytes."""
    entries = {}
    for row in (await home.workspace.tree(home.project)).rows:
        content = (await home.workspace.read(home.project, row.path)).content
        entries[row.path] = TreeEntry(row.sha if row.kind == "submodule" else blob_sha(content), row.mode)
    return trees.tree_of(entries)


async def test_a_repository_comes_with_its_history_and_to_the_byte(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    job = await bring(home, GitFolder(str(source)))
    assert job.state == "done", job.message
    head = git(source, "rev-parse", "HEAD")
    assert job.commit == head
    assert await recomputed(home) == git(source, "rev-parse", "HEAD^{tree}")
    assert git(home.repository, "rev-parse", "trunk") == head
    assert git(home.repository, "log", "--format=%s").split("\n") == ["A submodule", "The first"]
    assert git(home.repository, "fsck", "--strict", "--full") == ""
    kinds = {row.path: row.kind for row in (await home.workspace.tree(home.project)).rows}
    assert kinds[Path("link")] == "symlink"
    assert kinds[Path("vendor/sub")] == "submodule"
    assert kinds[Path("lfs.bin")] == "lfs"
    assert kinds[Path("latin1.txt")] == kinds[Path("long.txt")] == "binary"
    assert kinds[Path("crlf.txt")] == "text"


async def test_nothing_is_uncommitted_after_an_import_from_git(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    await bring(home, GitFolder(str(source)))
    head = git(source, "rev-parse", "HEAD")
    assert await home.workspace.changed(home.project) == []
    nothing = await home.snapshotter.snapshot(home.project)
    assert (nothing.state, nothing.commit) == ("nothing", head)
    held = await bases(home.store, home.project.id)
    assert {base.commit for base in held.values()} == {head}
    for base in held.values():
        row = await home.store.document(base.document)
        assert row is not None
        then = (await home.workspace.at(row, base.position)).row
        assert (then.sha, then.mode) == (base.sha, base.mode)
    await home.write("README.md", "# two\n")
    made = await home.snapshotter.snapshot(home.project)
    assert git(home.repository, "diff", "--name-only", f"{head}..{made.commit}") == "README.md"
    git(tmp_path, "clone", "--quiet", str(home.repository), "copy")
    assert git(tmp_path / "copy", "branch", "--show-current") == "trunk"


async def test_packed_repositories_with_alternates_and_linked_worktrees(home: House, tmp_path: pathlib.Path) -> None:
    origin = odd_repository(tmp_path / "origin")
    git(origin, "gc", "--quiet")
    git(tmp_path, "clone", "--quiet", "--shared", str(origin), "shared")
    (tmp_path / "shared/more.md").write_text("more\n")
    commit_all(tmp_path / "shared")
    git(tmp_path / "shared", "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    (tmp_path / "linked/side.md").write_text("side\n")
    head = commit_all(tmp_path / "linked")
    job = await bring(home, locate(str(tmp_path / "linked")))
    assert (job.state, job.commit) == ("done", head), job.message
    assert await recomputed(home) == git(tmp_path / "linked", "rev-parse", "HEAD^{tree}")
    assert not (home.repository / "objects/info/alternates").exists()
    assert git(home.repository, "fsck", "--strict", "--full") == ""
    assert git(home.repository, "rev-list", "--count", "side") == "4"


async def test_bare_detached_and_empty_repositories(tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    first = git(source, "rev-parse", "HEAD~1")
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "bare.git")
    git(source, "checkout", "--quiet", "--detach", first)
    empty = new_repository(tmp_path / "empty", branch="start")
    async with house(tmp_path / "a") as home:
        assert (await bring(home, locate(str(tmp_path / "bare.git")))).state == "done"
        assert await recomputed(home) == git(source, "rev-parse", "trunk^{tree}")
    async with house(tmp_path / "b") as home:
        assert (await bring(home, GitFolder(str(source)))).commit == first
        assert git(home.repository, "rev-parse", "main") == first
    async with house(tmp_path / "c") as home:
        job = await bring(home, GitFolder(str(empty)))
        assert (job.state, job.total, job.commit) == ("done", 0, None)
        await home.write("a.md", "a")
        assert (await home.snapshotter.snapshot(home.project)).state == "done"
        assert git(home.repository, "rev-list", "--count", "start") == "1"


async def test_shallow_clones_come_as_they_are(home: House, tmp_path: pathlib.Path) -> None:
    origin = odd_repository(tmp_path / "origin")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", "shallow")
    assert (await bring(home, GitFolder(str(tmp_path / "shallow")))).state == "done"
    await home.write("README.md", "# two\n")
    assert (await home.snapshotter.snapshot(home.project)).state == "done"
    git(tmp_path, "clone", "--quiet", f"file://{home.repository}", "copy")
    assert git(tmp_path / "copy", "rev-list", "--count", "HEAD") == "2"


async def test_what_is_not_committed_is_named_and_not_taken(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    (source / "README.md").write_text("# changed\n")
    (source / "crlf.txt").unlink()
    (source / "new.md").write_text("new\n")
    (source / "noise.log").write_text("ignored\n")
    os.utime(source / "bom.txt", (1, 1))
    job = await bring(home, GitFolder(str(source)))
    assert job.message.endswith("Not taken, because not committed: README.md, crlf.txt, new.md.")
    assert (await home.files())["README.md"] == b"# one\n"


@pytest.mark.parametrize("scheme", ["git", "http"])
async def test_a_repository_behind_an_address(home: House, tmp_path: pathlib.Path, scheme: str) -> None:
    source = odd_repository(tmp_path / "source")
    (tmp_path / "served").mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "served/odd.git")
    async with git_server(tmp_path / "served", scheme) as base:
        job = await bring(home, git_url(f"{base}/odd.git"))
        assert (job.state, job.commit) == ("done", git(source, "rev-parse", "HEAD")), job.message
        assert await recomputed(home) == git(source, "rev-parse", "HEAD^{tree}")
        assert git(home.repository, "rev-list", "--count", "trunk") == "2"
        assert git(home.repository, "fsck", "--strict", "--full") == ""
        other = await home.workspace.create_project("other", ALICE)
        gone = await home.importer.start(other, git_url(f"{base.replace('//', '//me:secret@')}/none.git"), ALICE)
        failed = await home.importer.wait(gone.id)
        assert failed.state == "failed"
        assert "secret" not in failed.message


async def test_redirects_stay_on_their_host(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    (tmp_path / "served").mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "served/odd.git")
    async with git_server(tmp_path / "served", "http") as base:
        for path, why in (("page", ""), ("away/odd.git", "redirects to localhost")):
            failed = await bring(home, git_url(f"{base}/{path}"))
            assert failed.state == "failed"
            assert why in failed.message
        moved = await bring(home, git_url(f"{base}/moved/odd.git"))
        assert (moved.state, moved.commit) == ("done", git(source, "rev-parse", "HEAD")), moved.message


async def test_addresses_that_would_run_programs_are_refused(tmp_path: pathlib.Path) -> None:
    for url in ("ssh://host/x", "file:///etc", "ext::sh -c x", "git@host:x.git", "https://"):
        with pytest.raises(Invalid):
            git_url(url)
    with pytest.raises(Invalid):
        locate("git@example.org:x.git")
    with pytest.raises(NotFound):
        locate(str(tmp_path / "nothing"))
    assert locate("https://example.org/x.git") == GitUrl("https://example.org/x.git")


async def test_a_plain_folder_without_what_it_ignores(home: House, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    for path, content in {
        ".gitignore": "*.log\n/build/\n!keep.log\n",
        ".quireignore": "private.md\n",
        "a.md": "a\n",
        "x.log": "no\n",
        "keep.log": "yes\n",
        "build/out.md": "no\n",
        "sub/build/in.md": "yes\n",
        "sub/.gitignore": "*.md\n!in.md\n",
        "sub/no.md": "no\n",
        "private.md": "no\n",
        "nested/.git/HEAD": "no\n",
        "nested/b.md": "yes\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (folder / "link").symlink_to("a.md")
    os.mkfifo(folder / "pipe")
    job = await bring(home, locate(str(folder)))
    assert job.state == "done"
    assert set(await home.files()) == {
        ".gitignore", ".quireignore", "a.md", "keep.log", "sub/build/in.md", "sub/.gitignore", "nested/b.md", "link",
    }  # fmt: skip
    assert job.skipped == ("pipe is neither a file nor a link",)
    made = await home.snapshotter.snapshot(home.project)
    assert made.message.startswith("Add .gitignore and 7 more\n")


def zip_of(path: pathlib.Path, files: Mapping[str, bytes], *, link: str | None = None) -> pathlib.Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link is not None:
            info = zipfile.ZipInfo("link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, link)
    return path


def tar_of(path: pathlib.Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> pathlib.Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


async def test_archives(tmp_path: pathlib.Path) -> None:
    files = {"top/a.md": b"a\r\n", "top/sub/b.bin": b"\0\xff", "top/inner.zip": b"PK\x03\x04 stays a file"}
    zipped = zip_of(tmp_path / "a.zip", files)
    tarred = tar_of(tmp_path / "a.tar.gz", files)
    for number, (path, strip) in enumerate([(zipped, False), (zipped, True), (tarred, False), (tarred, True)]):
        async with house(tmp_path / str(number)) as home:
            job = await bring(home, locate(str(path), strip=strip))
            assert job.state == "done", job.message
            assert await home.files() == {
                name.removeprefix("top/" if strip else ""): each for name, each in files.items()
            }


async def test_an_archive_of_a_repository_is_a_repository(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    git(source, "config", "filter.evil.clean", f"touch {tmp_path}/ran")
    (source / ".git/objects/info/alternates").write_text("/root\n")
    subprocess.run(["tar", "-czf", str(tmp_path / "a.tgz"), "-C", str(source), "."], check=True)  # noqa: ASYNC221
    (source / ".git/objects/info/alternates").unlink()
    job = await bring(home, Archive(str(tmp_path / "a.tgz")))
    assert (job.state, job.commit) == ("done", git(source, "rev-parse", "HEAD")), job.message
    assert await recomputed(home) == git(source, "rev-parse", "HEAD^{tree}")


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.mark.parametrize(
    "members",
    [
        {"../out": b"x"},
        {"/abs": b"x"},
        {"a/../../out": b"x"},
        {"a": b"x", "b": link("b", "../out")},
        {"b": link("b", "/etc/passwd")},
        {"a": b"x", "b": link("b", "a", tarfile.LNKTYPE)},
        {"dev": link("dev", "", tarfile.CHRTYPE)},
        {"a": b"x", "./a": b"y"},
        {"a": b"x", "a/b": b"y"},
    ],
)
async def test_archives_that_lead_out_are_refused(
    home: House, tmp_path: pathlib.Path, members: Mapping[str, bytes | tarfile.TarInfo]
) -> None:
    job = await bring(home, Archive(str(tar_of(tmp_path / "bad.tar.gz", members))))
    assert job.state == "failed"
    assert await home.files() == {}


async def test_zips_that_lead_out_are_refused(home: House, tmp_path: pathlib.Path) -> None:
    for path in (zip_of(tmp_path / "a.zip", {"../x": b"x"}), zip_of(tmp_path / "b.zip", {"a": b"x"}, link="../../x")):
        assert (await bring(home, Archive(str(path)))).state == "failed"
    whole = zip_of(tmp_path / "c.zip", {"a": b"x" * 1_000})
    whole.write_bytes(whole.read_bytes()[:-30])
    assert (await bring(home, Archive(str(whole)))).state == "failed"
    assert await home.files() == {}


async def test_bombs_are_refused(tmp_path: pathlib.Path) -> None:
    limits = Limits(entries=100, file=1 << 20, total=8 << 20, ratio=10, ratio_free=1 << 20)
    many = {f"f{n}": b"x" for n in range(101)}
    large = {"large": b"\0" * (2 << 20)}
    dense = {f"f{n}": b"\0" * (1 << 20) for n in range(5)}
    async with house(tmp_path / "house", limits=limits) as home:
        for name, files in (("many", many), ("large", large), ("dense", dense)):
            for archive in (zip_of(tmp_path / f"{name}.zip", files), tar_of(tmp_path / f"{name}.tar.gz", files)):
                job = await bring(home, Archive(str(archive)))
                assert (job.state, job.phase) == ("failed", "failed"), (name, job)
        assert await home.files() == {}


async def test_single_files(home: House) -> None:
    job = await bring(home, Uploads((Upload("docs/a.md", b"a\n"), Upload("b.png", b"\x89PNG\xff"))))
    assert job.state == "done"
    assert await home.files() == {"docs/a.md": b"a\n", "b.png": b"\x89PNG\xff"}
    assert (await bring(home, Uploads((Upload("../x", b""),)))).state == "failed"


async def test_into_a_project_that_has_files(home: House, tmp_path: pathlib.Path) -> None:
    await home.write("same.md", "same\n")
    await home.write("other.md", "ours\n")
    source = Folder(str(tmp_path / "in"))
    (tmp_path / "in").mkdir()
    for name, content in {"same.md": "same\n", "other.md": "theirs\n", "new.md": "new\n"}.items():
        (tmp_path / "in" / name).write_text(content)
    refused = await bring(home, source)
    assert refused.state == "failed"
    assert "other.md" in refused.message
    assert set(await home.files()) == {"same.md", "other.md"}
    kept = await bring(home, source, existing="keep")
    assert kept.skipped == ("other.md stays as it is in the project",)
    assert await home.files() == {"same.md": b"same\n", "other.md": b"ours\n", "new.md": b"new\n"}
    document = (await home.workspace.stat(home.project, Path("other.md"))).id
    replaced = await bring(home, source, existing="replace")
    assert replaced.state == "done", replaced.message
    assert (await home.files())["other.md"] == b"theirs\n"
    assert (await home.workspace.stat(home.project, Path("other.md"))).id == document


async def test_a_submodule_is_never_replaced_by_a_file(home: House, tmp_path: pathlib.Path) -> None:
    await bring(home, GitFolder(str(odd_repository(tmp_path / "in"))))
    (tmp_path / "plain" / "vendor").mkdir(parents=True)
    (tmp_path / "plain" / "vendor" / "sub").write_text("a file\n")
    (tmp_path / "plain" / "new").write_text("new\n")
    refused = await bring(home, Folder(str(tmp_path / "plain")), existing="replace")
    assert refused.state == "failed"
    assert "vendor/sub is a submodule" in refused.message
    assert "new" not in await home.files()
    row = await home.workspace.stat(home.project, Path("vendor/sub"))
    assert (row.kind, row.sha) == ("submodule", "a" * 40)


async def test_git_into_files_without_commits_brings_history_and_keeps_what_differs(
    home: House, tmp_path: pathlib.Path
) -> None:
    source = odd_repository(tmp_path / "source")
    await home.write("README.md", "# ours\n")
    await home.write("mine.md", "mine\n")
    job = await bring(home, GitFolder(str(source)), existing="replace")
    assert job.state == "done", job.message
    assert [each.path for each in await home.workspace.changed(home.project)] == ["mine.md"]
    made = await home.snapshotter.snapshot(home.project)
    assert made.parent == git(source, "rev-parse", "HEAD")
    again = await bring(home, GitFolder(str(source)))
    assert again.state == "done"
    assert "history was not brought" in again.message
    assert git(home.repository, "rev-parse", "HEAD") == made.commit


async def test_one_import_at_a_time(home: House, tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    first = await home.importer.start(home.project, GitFolder(str(source)), ALICE)
    with pytest.raises(Conflict):
        await home.importer.start(home.project, GitFolder(str(source)), ALICE)
    assert (await home.importer.wait(first.id)).state == "done"


async def test_an_import_that_is_stopped_leaves_nothing(tmp_path: pathlib.Path) -> None:
    source = odd_repository(tmp_path / "source")
    store = MemoryStore()
    async with house(tmp_path / "house", store=store) as home:
        job = await home.importer.start(home.project, GitFolder(str(source)), ALICE)
    async with house(tmp_path / "house", store=store) as home:
        found = await home.importer.job(job.id)
        assert found.state == "failed"
        assert "Run it again" in found.message
        assert await home.files() == {}
        assert (await home.importer.start(home.project, GitFolder(str(source)), ALICE)).state == "running"


@contextlib.asynccontextmanager
async def git_server(folder: pathlib.Path, scheme: str) -> AsyncIterator[str]:
    """Real git, serving what lies in `folder` on loopback; yields its address."""
    if scheme == "http":
        command = [sys.executable, "-m", "tests.snapshots.git_http", str(folder)]
    else:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = int(listener.extra(anyio.abc.SocketAttribute.local_port))
        command = ["git", "daemon", "--export-all", f"--base-path={folder}", "--listen=127.0.0.1", f"--port={port}"]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            with anyio.fail_after(20):
                if scheme == "http":
                    assert process.stdout is not None
                    port = int(await process.stdout.receive())
                await _reachable(port)
            yield f"{scheme}://127.0.0.1:{port}"
        finally:
            process.terminate()


async def _reachable(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            return
        await anyio.sleep(0.02)
