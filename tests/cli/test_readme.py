"""The README's commands, run as they stand there, in a folder of their own."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Final

import httpx
import pytest

from tests.cli.running import environment, git
from tests.harness.server import ServerProcess
from tests.test_architecture import ROOT

BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS: Final = "http://127.0.0.1:8000"


def lines(page: str) -> list[str]:
    found = [line for block in BLOCK.findall((ROOT / page).read_text()) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in found if line.startswith("$ ")]


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """With a checkout's `.venv`, and the repository that the README imports."""
    handbook = tmp_path / "src" / "handbook"
    handbook.mkdir(parents=True)
    (handbook / "README.md").write_text("# Handbook\n")
    git("init", "-q", "-b", "main", cwd=handbook)
    git("add", "-A", cwd=handbook)
    git("commit", "-q", "-m", "First", cwd=handbook)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_the_readme_does_what_it_says(home: pathlib.Path) -> None:
    commands = lines("README.md")
    assert commands.pop(0) == "make serve"
    variables: dict[str, str] = {}
    with ServerProcess(home / "quire-data", environ=environment()) as server:
        for line in commands:
            run(line.replace(ADDRESS, server.url), home, variables)
        written = httpx.get(variables["URL"], headers=server.headers)
        assert written.text == "# Handbook\nOne more line.\n"
    assert (home / "handbook" / "README.md").read_text() == "# Handbook\n"
    assert (home / "handbook-backup.tar.gz").is_file()


def run(line: str, home: pathlib.Path, variables: dict[str, str]) -> None:
    if line.startswith("curl "):
        curl(line, home, variables)
        return
    env = environment(HOME=str(home), GIT_CONFIG_GLOBAL=os.devnull, **variables)
    script = f'set -e; {line}\nprintf \'%s\\n%s\' "${{TOKEN:-}}" "${{URL:-}}" >&3'
    reading, writing = os.pipe()
    ran = subprocess.run(
        ["bash", "-c", script.replace(">&3", f">&{writing}")],
        cwd=home,
        env=env,
        pass_fds=[writing],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        variables["TOKEN"], variables["URL"] = told.read().split("\n")
    assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"


def curl(line: str, home: pathlib.Path, variables: dict[str, str]) -> None:
    """What `curl` would do, on machines without one."""
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    etag = (home / "etag").read_text() if (home / "etag").exists() else ""
    words = [word.replace("$(cat etag)", etag) for word in shlex.split(line)]
    given = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("-") and word != "-sf"}
    headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
    content = (home / given["--data-binary"].removeprefix("@")).read_bytes() if "--data-binary" in given else None
    answer = httpx.request(given.get("-X", "GET"), words[-1], headers=headers, content=content).raise_for_status()
    if "-o" in given:
        (home / given["-o"]).write_bytes(answer.content)
    if "--etag-save" in given:
        (home / given["--etag-save"]).write_text(answer.headers["etag"])


def test_the_ways_to_write_that_the_readme_promises_are_the_server_s() -> None:
    text = (ROOT / "README.md").read_text()
    assert "ws://127.0.0.1:8000/sync/handbook" in text
    assert "doc.getText('content')" in text
