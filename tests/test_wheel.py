"""The wheel, installed into an empty environment, is all that it takes to serve."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.cli.running import environment
from tests.harness.server import ServerProcess, free_port
from tests.test_architecture import ROOT
from tests.test_architecture import sources as modules

WITHIN: Final = 600.0
"""Seconds for pip, which may have to fetch Node to build with."""

pytestmark = [pytest.mark.xdist_group("wheel"), pytest.mark.timeout(900)]


def run(*command: str | pathlib.Path, cwd: pathlib.Path = ROOT) -> str:
    ran = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """As pip builds it: in an environment of the build's own."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (made,) = folder.glob("quire_server-*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An environment with the wheel and what it needs, at the versions that the lock names."""
    folder = tmp_path_factory.mktemp("empty")
    pins = re.findall(r"^[\w.-]+==\S+(?: ; [^\\\n]+)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (folder / "pins.txt").write_text("\n".join(pins))
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", folder / "pins.txt", wheel, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def served(installed: pathlib.Path) -> Iterator[ServerProcess]:
    port = free_port()
    quire = [str(installed / "venv" / "bin" / "quire"), "serve", "--port", str(port), "--data", str(installed / "data")]
    with ServerProcess(installed / "data", port=port, command=quire, environ={"PYTHONPATH": ""}) as server:
        yield server


def test_the_wheel_holds_the_packages_and_the_page_and_nothing_else(wheel: pathlib.Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert set(modules()) <= names
    assert "web/static/index.html" in names
    strange = [
        name
        for name in names
        if not name.startswith(("collab/", "snapshots/", "web/", "quire_server-")) or "node_modules" in name
    ]
    assert strange == []
    assert not [name for name in names if name.startswith("web/editor/")]


def test_it_serves_without_node_and_without_the_repository(served: ServerProcess, installed: pathlib.Path) -> None:
    assert served.ready()
    where = run(installed / "venv" / "bin" / "python", "-c", "import web; print(web.__file__)", cwd=installed)
    assert pathlib.Path(where.strip()).is_relative_to(installed)
    assert not (installed / "venv" / "bin" / "node").exists()


def test_its_page_and_what_the_page_needs_are_there(served: ServerProcess) -> None:
    page = httpx.get(served.url, follow_redirects=True).raise_for_status()
    assert page.headers["content-type"].startswith("text/html")
    assets = re.findall(r'(?:src|href)="([^"]*assets/[^"]+)"', page.text)
    assert assets
    for asset in assets:
        answer = httpx.get(httpx.URL(served.url + "/").join(asset)).raise_for_status()
        assert len(answer.content) > 0
        assert not answer.headers["content-type"].startswith("text/html"), asset


def test_the_address_that_it_prints_logs_in(served: ServerProcess) -> None:
    found = re.search(r"^  log in +(\S+)$", served.log, re.MULTILINE)
    assert found is not None, served.log
    with httpx.Client(follow_redirects=True, base_url=served.url) as browser:
        browser.get(found[1]).raise_for_status()
        assert browser.get("/api/v1/me").json()["role"] == "root"


def test_the_source_archive_builds_without_node(wheel: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    (made,) = tmp_path.glob("quire_server-*.tar.gz")
    with tarfile.open(made) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"web/static/index.html", "web/static/.sources", "web/editor/package.json", "hatch_build.py"} <= set(names)
    assert not [name for name in names if "node_modules" in name]
