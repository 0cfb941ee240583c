"""Every command, against a server that runs and against one that does not: output, exit status, and what it left."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.cli.running import Ran, git, quire
from tests.harness.server import ROOT_TOKEN, ServerProcess
from web.console import Progress

FILES = {
    "README.md": "# Handbook\n",
    "docs/café.md": "Grüße 😀\n",
    "docs/windows.txt": "one\r\ntwo\r\n",
    ".gitignore": "ignored/\n",
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("commands") / "data") as server:
        yield server


@pytest.fixture
def stopped(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with a project of one file, which nobody serves."""
    data = tmp_path / "stopped"
    with ServerProcess(data) as server:
        source = folder(tmp_path / "first", {"a.txt": "alice\n"})
        quire("import", source, "--project", "notes", "--data", data).ok()
        server.terminate()
    return data


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    made = folder(tmp_path / "handbook", FILES)
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "link").symlink_to("README.md")
    (made / "logo.png").write_bytes(b"\x89PNG\xff\x00")
    git("init", "-q", "-b", "main", cwd=made)
    git("add", "-A", cwd=made)
    git("commit", "-q", "-m", "First", cwd=made)
    return made


def folder(path: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content.encode())
    return path


def here(server: ServerProcess) -> tuple[str, str]:
    return ("--data", str(server.data))


def read(server: ServerProcess, project: str, path: str, token: str = ROOT_TOKEN) -> httpx.Response:
    address = f"{server.url}/api/v1/projects/{project}/files/{path}"
    return httpx.get(address, headers={"authorization": f"Bearer {token}"})


def write(server: ServerProcess, project: str, path: str, content: str, token: str = ROOT_TOKEN) -> httpx.Response:
    address = f"{server.url}/api/v1/projects/{project}/files/{path}"
    headers = {"authorization": f"Bearer {token}"}
    return httpx.put(address, content=content.encode(), headers=headers, params={"force": "true"})


# the whole way


def test_a_repository_goes_in_and_comes_out_again_to_the_byte(
    serving: ServerProcess, repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (repository / "README.md").write_text("not committed\n")
    ran = quire("import", repository, "--project", "handbook", *here(serving)).ok()
    assert ran.out.startswith("handbook: 7 files")
    assert "README.md" in ran.err, "what is not committed is named"

    assert quire("snapshot", "handbook", *here(serving)).ok().out == "handbook: nothing to commit\n"
    clone = tmp_path / "clone"
    git("clone", "-q", serving.data / "git" / "handbook.git", clone, cwd=tmp_path)
    assert git("rev-parse", "HEAD^{tree}", cwd=clone) == git("rev-parse", "HEAD^{tree}", cwd=repository)

    quire("export", "handbook", tmp_path / "out", *here(serving)).ok()
    git("checkout", "-q", "README.md", cwd=repository)
    assert contents(tmp_path / "out") == contents(repository)


def contents(root: pathlib.Path) -> dict[str, tuple[int, bytes]]:
    """Everything but git's own: is it executable, a link, and its bytes."""
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            found[path.relative_to(root).as_posix()] = (2, os.fsencode(path.readlink()))
        elif path.is_file() and ".git" not in path.relative_to(root).parts:
            found[path.relative_to(root).as_posix()] = (int(os.access(path, os.X_OK)), path.read_bytes())
    return found


def test_what_was_edited_is_committed_with_a_message(serving: ServerProcess, repository: pathlib.Path) -> None:
    quire("import", repository, "--project", "edited", *here(serving)).ok()
    write(serving, "edited", "README.md", "# Edited\n").raise_for_status()
    write(serving, "edited", "new.md", "new\n").raise_for_status()

    status = json.loads(quire("status", "edited", "--json", *here(serving)).ok().out)
    assert status["edited"]["uncommitted"] == 2
    shown = quire("status", *here(serving)).ok().out
    assert re.search(r"^edited +idle +2 ", shown, re.MULTILINE)

    ran = quire("snapshot", "edited", "-m", "Only the new one", "new.md", *here(serving)).ok()
    assert re.fullmatch(r"edited: [0-9a-f]{10} Only the new one \(1 file\)\n", ran.out)
    assert "(1 file)" in quire("snapshot", *here(serving)).ok().out
    assert "nothing to commit" in quire("snapshot", "edited", *here(serving)).ok().out
    log = git("log", "--format=%s", cwd=serving.data / "git" / "edited.git")
    assert log.splitlines()[1:] == ["Only the new one", "First"]


def test_a_branch_that_somebody_moved_is_pulled_and_one_that_is_gone_is_said(
    serving: ServerProcess, repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    quire("import", repository, "--project", "moved", *here(serving)).ok()
    clone = tmp_path / "clone"
    git("clone", "-q", serving.data / "git" / "moved.git", clone, cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "Elsewhere", cwd=clone)
    git("push", "-q", cwd=clone)
    pushed = git("rev-parse", "HEAD", cwd=clone)
    write(serving, "moved", "README.md", "# Edited\n").raise_for_status()

    quire("snapshot", "moved", *here(serving)).ok()
    bare = serving.data / "git" / "moved.git"
    assert git("rev-parse", "main~1", cwd=bare) == pushed
    committed = git("rev-parse", "main", cwd=bare).strip()

    git("update-ref", "-d", "refs/heads/main", cwd=bare)
    write(serving, "moved", "README.md", "# Edited again\n").raise_for_status()
    for command in ("snapshot", "pull"):
        ran = quire(command, "moved", *here(serving))
        assert (ran.status, ran.out) == (1, "")
        assert "moved: The branch main is gone" in ran.err
    assert quire("status", "moved", *here(serving)).status == 1
    assert read(serving, "moved", "README.md").text == "# Edited again\n"

    git("update-ref", "refs/heads/main", committed, cwd=bare)
    quire("snapshot", "moved", *here(serving)).ok()
    assert git("show", "main:README.md", cwd=bare) == "# Edited again\n"


@pytest.mark.parametrize("name", ["plain", "plain.zip", "plain.tar.gz"])
def test_a_folder_or_an_archive_becomes_a_project(serving: ServerProcess, tmp_path: pathlib.Path, name: str) -> None:
    source = folder(tmp_path / "plain", {**FILES, "ignored/x": "x"})
    if name == "plain.zip":
        shutil.make_archive(str(source), "zip", source)
    if name == "plain.tar.gz":
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            archive.add(source, arcname=".", filter=lambda info: None if "ignored" in info.name else info)
    project = name.replace(".", "-")
    quire("import", tmp_path / name, "--project", project, *here(serving)).ok()
    assert read(serving, project, "docs/windows.txt").content == b"one\r\ntwo\r\n"
    assert read(serving, project, "docs/caf%C3%A9.md").text == "Grüße 😀\n"


def test_a_project_file_is_read_again(serving: ServerProcess, repository: pathlib.Path, tmp_path: pathlib.Path) -> None:
    quire("import", repository, "--project", "origin", *here(serving)).ok()
    quire("export", "origin", tmp_path / "origin.sqlite", *here(serving)).ok()
    quire("import", tmp_path / "origin.sqlite", "--project", "again", *here(serving)).ok()
    quire("export", "again", tmp_path / "out", *here(serving)).ok()
    assert contents(tmp_path / "out") == contents(repository)


# a server elsewhere


@pytest.fixture
def elsewhere(serving: ServerProcess) -> dict[str, str]:
    return {"QUIRE_URL": serving.url, "QUIRE_ROOT_TOKEN": ROOT_TOKEN}


def test_a_repository_is_packed_for_a_server_elsewhere(
    serving: ServerProcess, repository: pathlib.Path, tmp_path: pathlib.Path, elsewhere: dict[str, str]
) -> None:
    (repository / "README.md").write_text("not committed\n")
    ran = quire("import", repository, "--project", "packed", env=elsewhere, cwd=tmp_path).ok()
    assert "README.md" in ran.err
    bare = serving.data / "git" / "packed.git"
    assert git("rev-parse", "main^{tree}", cwd=bare) == git("rev-parse", "HEAD^{tree}", cwd=repository)
    git("checkout", "-q", "README.md", cwd=repository)
    quire("export", "packed", tmp_path / "out", env=elsewhere, cwd=tmp_path).ok()
    assert contents(tmp_path / "out") == contents(repository)
    quire("export", "packed", tmp_path / "out.zip", env=elsewhere, cwd=tmp_path).ok()
    quire("export", "packed", tmp_path / "out.sqlite", env=elsewhere, cwd=tmp_path).ok()
    assert sqlite3.connect(tmp_path / "out.sqlite").execute("SELECT count(*) FROM documents").fetchone() == (7,)


def test_a_folder_is_packed_without_what_it_ignores(tmp_path: pathlib.Path, elsewhere: dict[str, str]) -> None:
    source = folder(tmp_path / "plain", {**FILES, "ignored/x": "x"})
    ran = quire("import", source, "--project", "packed-plain", env=elsewhere, cwd=tmp_path).ok()
    assert ran.out.startswith("packed-plain: 4 files")


def test_a_backup_of_a_server_elsewhere_says_where_to_run_it(tmp_path: pathlib.Path, elsewhere: dict[str, str]) -> None:
    ran = quire("backup", tmp_path / "copy", env=elsewhere, cwd=tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert "run this on the server's machine" in ran.err


def test_the_root_token_alone_writes_no_files_on_the_machine(serving: ServerProcess, tmp_path: pathlib.Path) -> None:
    answer = httpx.post(f"{serving.url}/api/v1/backup", json={"to": str(tmp_path / "copy")}, headers=serving.headers)
    assert answer.status_code == 403
    assert not (tmp_path / "copy").exists()


def test_a_server_that_is_not_there_is_one_line(tmp_path: pathlib.Path) -> None:
    ran = quire("status", "--url", "http://127.0.0.1:9", env={"QUIRE_ROOT_TOKEN": ROOT_TOKEN}, cwd=tmp_path)
    assert ran.status == 1
    assert "http://127.0.0.1:9/ does not answer" in ran.err


def test_a_wrong_root_token_is_refused(serving: ServerProcess, tmp_path: pathlib.Path) -> None:
    ran = quire("status", "--url", serving.url, env={"QUIRE_ROOT_TOKEN": "another-token"}, cwd=tmp_path)
    assert ran.status == 1
    assert "token" in ran.err


# tokens and people


def test_a_token_opens_its_project_until_it_is_revoked(serving: ServerProcess, repository: pathlib.Path) -> None:
    quire("import", repository, "--project", "tokens", *here(serving)).ok()
    made = quire("token", "create", "--project", "tokens", "--role", "viewer", "--agent", "Scribe", *here(serving)).ok()
    token = made.out.strip()
    assert read(serving, "tokens", "README.md", token).status_code == 200
    assert write(serving, "tokens", "README.md", "x", token).status_code == 403

    listed = quire("token", "list", "--project", "tokens", *here(serving)).ok().out
    assert token not in listed
    row = re.search(r"^([0-9a-f]+) +viewer +Scribe", listed, re.MULTILINE)
    assert row is not None
    quire("token", "revoke", row[1], "--project", "tokens", *here(serving)).ok()
    assert read(serving, "tokens", "README.md", token).status_code == 401
    assert quire("token", "revoke", row[1], "--project", "tokens", *here(serving)).status == 1


def test_an_invitation_is_a_link_that_works(serving: ServerProcess, repository: pathlib.Path) -> None:
    quire("import", repository, "--project", "invited", *here(serving)).ok()
    link = quire("invite", "invited", "--role", "viewer", "--expires", "1h", *here(serving)).ok().out.strip()
    assert link.startswith(f"{serving.url}/join/")
    secret = link.rpartition("/")[2]
    assert httpx.get(f"{serving.url}/api/v1/invites/{secret}").json() == {"project": "invited", "role": "viewer"}


def test_open_prints_an_address_that_logs_in(serving: ServerProcess) -> None:
    address = quire("open", *here(serving)).ok().out.strip()
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(address).raise_for_status()
        assert browser.get(f"{serving.url}/api/v1/me").json()["role"] == "root"


# verify, backup, restore


def test_a_server_is_copied_while_it_serves_and_the_copy_serves(
    serving: ServerProcess, repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    quire("import", repository, "--project", "copied", *here(serving)).ok()
    write(serving, "copied", "README.md", "edited\n").raise_for_status()
    assert "all of it agrees" in quire("verify", *here(serving)).ok().err
    quire("backup", tmp_path / "copy.tar.gz", *here(serving)).ok()
    again = tmp_path / "again"
    ran = quire("restore", tmp_path / "copy.tar.gz", "--to", again).ok()
    assert re.fullmatch(rf"\S*quire serve --data {again}\n", ran.out)
    with ServerProcess(again) as server:
        assert read(server, "copied", "README.md").text == "edited\n"
        assert "all of it agrees" in quire("verify", "--data", again).ok().err
        assert "(1 file)" in quire("snapshot", "copied", "--data", again).ok().out
    assert quire("restore", tmp_path / "copy.tar.gz", "--to", again).status == 1


def test_verify_lists_what_differs_and_repairs_it(stopped: pathlib.Path) -> None:
    with sqlite3.connect(stopped / "quire.sqlite") as database:
        database.execute("UPDATE documents SET size = 7")
    database.close()
    ran = quire("verify", "--data", stopped)
    assert ran.status == 1
    assert re.fullmatch(r"catalog: notes/a.txt: the catalog says 7 bytes .*\n", ran.out)
    ran = quire("verify", "--repair", "--data", stopped).ok()
    assert "made again from the log" in ran.out
    assert quire("verify", "--data", stopped).ok().out == ""


# nobody serves


def test_commands_open_the_directory_themselves_and_say_so(stopped: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ran = quire("status", "--data", stopped).ok()
    assert f"No server runs on {stopped}" in ran.err
    source = folder(tmp_path / "second", {"b.txt": "bob\n"})
    quire("import", source, "--project", "second", "--data", stopped).ok()
    quire("snapshot", "--data", stopped).ok()
    assert git("log", "--format=%an", cwd=stopped / "git" / "second.git") != ""
    quire("export", "second", tmp_path / "out", "--data", stopped).ok()
    assert (tmp_path / "out" / "b.txt").read_text() == "bob\n"
    quire("backup", tmp_path / "copy", "--data", stopped).ok()
    assert (tmp_path / "copy" / "backup.json").is_file()
    assert not (stopped / "server.json").exists()


def test_a_look_makes_no_commit(stopped: pathlib.Path) -> None:
    with ServerProcess(stopped, environ={"QUIRE_SHUTDOWN_TIMEOUT": "0"}) as server:
        write(server, "notes", "a.txt", "edited\n").raise_for_status()
        server.kill()
    before = git("rev-parse", "main", cwd=stopped / "git" / "notes.git") if committed(stopped) else ""
    assert json.loads(quire("status", "--json", "--data", stopped).ok().out)["notes"]["uncommitted"] == 1
    after = git("rev-parse", "main", cwd=stopped / "git" / "notes.git") if committed(stopped) else ""
    assert before == after


def committed(data: pathlib.Path) -> bool:
    return (data / "git" / "notes.git" / "refs" / "heads" / "main").exists()


def test_open_needs_a_server(stopped: pathlib.Path) -> None:
    ran = quire("open", "--data", stopped)
    assert ran.status == 1
    assert "start it with `quire serve`" in ran.err


def test_a_crash_leaves_an_address_that_nobody_trusts(stopped: pathlib.Path) -> None:
    with ServerProcess(stopped) as server:
        server.kill()
        assert (stopped / "server.json").exists()
        assert "No server runs on" in quire("status", "--data", stopped).ok().err


def test_a_second_server_is_told_who_serves(serving: ServerProcess) -> None:
    ran = quire("serve", "--port", "0", *here(serving))
    assert ran.status == 1
    assert f"process {serving.pid}" in ran.err


def test_a_port_that_is_taken_is_said_by_its_number(serving: ServerProcess, tmp_path: pathlib.Path) -> None:
    ran = quire("serve", "--port", str(serving.port), "--data", tmp_path / "new")
    assert ran.status == 1
    assert str(serving.port) in ran.err
    assert not (tmp_path / "new").exists()


# bad input


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("open",),
        ("import", ".", "--project", "notes"),
        ("export", "notes", "out"),
        ("snapshot",),
        ("token", "list", "--project", "notes"),
        ("invite", "notes"),
        ("verify",),
        ("backup", "copy"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_command_but_serve_makes_a_data_directory(tmp_path: pathlib.Path, arguments: tuple[str, ...]) -> None:
    ran = quire(*arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert "the data directory quire-data is not there" in ran.err
    assert "`quire serve` makes a new one" in ran.err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "quire-data").mkdir()
    assert "holds no data of Quire" in quire(*arguments, cwd=tmp_path).err
    assert list((tmp_path / "quire-data").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "{tmp}/nothing", "--project", "bad"), "there is no"),
        (("import", "{tmp}/text.zip", "--project", "bad"), "neither a .zip nor"),
        (("import", "ssh://example.org/x", "--project", "bad"), "cannot be fetched"),
        (("import", "{tmp}/folder", "--project", "Bad Name"), "The project name 'Bad Name'"),
        (("export", "nobody", "{tmp}/out"), "nobody"),
        (("export", "handed", "{tmp}/folder"), "is there already"),
        (("snapshot", "nobody"), "nobody"),
        (("status", "nobody"), "nobody"),
        (("invite", "nobody"), "nobody"),
        (("invite", "handed", "--expires", "yesterday"), "yesterday"),
        (("token", "revoke", "xyz", "--project", "handed"), "xyz"),
        (("backup", "{tmp}/folder"), "is there already"),
        (("restore", "{tmp}/nothing", "--to", "{tmp}/new"), "there is no backup"),
        (("restore", "{tmp}/folder", "--to", "{tmp}/new"), "no backup of Quire"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(
    serving: ServerProcess, tmp_path: pathlib.Path, arguments: tuple[str, ...], says: str
) -> None:
    folder(tmp_path / "folder", {"a": "a"})
    folder(tmp_path, {"text.zip": "text"})
    if "handed" in arguments:
        httpx.post(f"{serving.url}/api/v1/projects", json={"name": "handed"}, headers=serving.headers)
    there = () if arguments[0] == "restore" else here(serving)
    before = sorted(tmp_path.iterdir())
    ran = quire(*(each.replace("{tmp}", str(tmp_path)) for each in arguments), *there)
    assert (ran.status, ran.out) == (1, "")
    assert says in ran.err
    assert ran.err.startswith("error: ") or "\nerror: " in ran.err
    assert sorted(tmp_path.iterdir()) == before
    assert read(serving, "bad", "a").json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("arguments", [("nonsense",), ("serve", "--nonsense"), ("export", "one"), ("token",), ()])
def test_a_command_line_that_cannot_be_has_a_status_of_its_own(arguments: tuple[str, ...]) -> None:
    ran = quire(*arguments)
    assert ran.status == 64
    assert "Usage: quire" in ran.err + ran.out


def test_a_setting_that_cannot_be_is_named(tmp_path: pathlib.Path) -> None:
    ran = quire("serve", env={"QUIRE_COMMIT_QUIET": "soon"}, cwd=tmp_path)
    assert ran.status == 1
    assert "QUIRE_COMMIT_QUIET is 'soon'" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_it_came_from(tmp_path: pathlib.Path) -> None:
    ran = quire("status", "--debug", cwd=tmp_path)
    assert ran.status == 1
    assert "Traceback" in ran.err


def test_the_version_and_the_help() -> None:
    assert re.fullmatch(r"quire, version \d+\.\d+\.\d+\n", quire("--version").ok().out)
    for arguments in (("--help",), ("-h",), ("token", "--help"), ("import", "-h")):
        assert "Usage: quire" in quire(*arguments).ok().out


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_output_has_no_control_characters_in_a_pipe(
    serving: ServerProcess, repository: pathlib.Path, form: str, tmp_path: pathlib.Path
) -> None:
    ran: Callable[..., Ran] = quire
    said = ran(
        "import", repository, "--project", f"piped-{form.replace('.', '-')}", *here(serving), env={"NO_COLOR": "1"}
    )
    assert "\x1b" not in said.out + said.err
    assert "\r" not in said.out + said.err


def test_pull_says_what_came_and_what_is_in_conflict(tmp_path: pathlib.Path) -> None:
    with ServerProcess(tmp_path / "data", environ={"QUIRE_POLL": "0", "QUIRE_COMMIT_QUIET": "1h"}) as server:
        quire(
            "import", folder(tmp_path / "first", {"a.txt": "one\n"}), "--project", "notes", "--data", server.data
        ).ok()
        quire("snapshot", "notes", "--data", server.data).ok()
        git("clone", "-q", server.data / "git" / "notes.git", "bob", cwd=tmp_path)
        push(tmp_path / "bob", "a.txt", "two\n")
        pulled = quire("pull", "--data", server.data).ok()
        assert re.fullmatch(r"notes: 1 file changed at [0-9a-f]{10}\n", pulled.out)
        assert quire("pull", "notes", "--data", server.data).ok().out.startswith("notes: nothing new at ")
        push(tmp_path / "bob", "a.txt", "bob\n")
        address = f"{server.url}/api/v1/projects/notes/files/a.txt?force"
        httpx.put(address, content=b"alice\n", headers=server.headers).raise_for_status()
        conflicts = quire("pull", "notes", "--data", server.data)
        assert (conflicts.status, conflicts.err) == (2, "notes: pulling\nnotes: a.txt is in conflict (modify/modify)\n")
        assert quire("status", "--data", server.data).status == 2
        assert quire("snapshot", "--data", server.data).status == 2
        push(tmp_path / "bob", "a.txt", "bob again\n")
        assert quire("pull", "notes", "--policy", "theirs", "--data", server.data).status == 0
        assert httpx.get(address.removesuffix("?force"), headers=server.headers).text == "bob again\n"


def push(clone: pathlib.Path, path: str, text: str) -> None:
    (clone / path).write_text(text)
    git("commit", "-q", "-a", "-m", text.strip(), cwd=clone)
    git("push", "-q", cwd=clone)


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = quire("serve", "--port", "0", "--data", tmp_path / "file" / "data")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"error: the data directory {tmp_path}/file/data cannot be made")
    assert ran.err.count("\n") == 1


def test_nobody_to_commit_promises_no_commit_and_paths_that_are_not_there_are_named(
    stopped: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    row = quire("status", "notes", "--data", stopped).ok().out.splitlines()[1]
    assert row.split()[-1] == "-"
    ran = quire("snapshot", "notes", "nope.txt", "--data", stopped)
    assert (ran.status, ran.out) == (1, "")
    assert "nope.txt" in ran.err


@pytest.mark.parametrize("name", ["notes.tar.gz", "notes.tgz", "notes.tar"])
def test_a_form_that_no_export_has_is_refused(stopped: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    ran = quire("export", "notes", tmp_path / name, "--data", stopped)
    assert ran.status == 1
    assert "a .zip, a .sqlite or a folder" in ran.err
    assert not (tmp_path / name).exists()


def test_a_repository_that_cannot_be_fetched_is_said_in_plain_words(stopped: pathlib.Path) -> None:
    ran = quire("import", "http://127.0.0.1:9/x.git", "--project", "x", "--data", stopped)
    assert ran.status == 1
    assert "http://127.0.0.1:9/x.git could not be fetched: nothing listens there" in ran.err
    assert "urllib3" not in ran.err
    assert "Connection" not in ran.err


def test_one_is_told_without_a_plural(tmp_path: pathlib.Path) -> None:
    shown = io.StringIO()
    with Progress(shown) as progress:
        progress.update("taking", 1, 1, unit="files")
        progress.update("sending", 2, unit="files")
    assert "1 of 1 file\n" in shown.getvalue()
    assert "2 files" in shown.getvalue()


def test_status_says_why_snapshots_in_the_object_store_wait(tmp_path: pathlib.Path) -> None:
    source = folder(tmp_path / "first", {"a.txt": "alice\n"})
    nowhere = {"QUIRE_OBJECTS": "s3://bucket/quire", "QUIRE_S3_ENDPOINT": "http://127.0.0.1:9", "QUIRE_BACKUP": "off"}
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "QUIRE_SNAPSHOT_QUIET": "0.1"}
    with ServerProcess(tmp_path / "data", environ=nowhere | keys) as server:
        quire("import", source, "--project", "notes", *here(server)).ok()
        deadline = time.monotonic() + 30
        while (
            "snapshots in s3://bucket/quire: S3 does not answer" not in (ran := quire("status", *here(server)).ok()).err
        ):
            assert time.monotonic() < deadline, ran
