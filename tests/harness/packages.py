"""Node packages of other folders than `tests/interop/node`: installed once from their lock, again when it changes.

The interpreter and npm are those of `tests.interop.node_env`; the machine's own are not asked.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import subprocess

from tests.interop.node_env import environment, node_command, npm_command

INSTALLED_WITHIN = 600.0


def node() -> pathlib.Path:
    """The interpreter."""
    return pathlib.Path(node_command("")[0])


def install(folder: pathlib.Path) -> pathlib.Path:
    """The `node_modules` of `folder`. Safe from many processes at once."""
    lock = folder / "package-lock.json"
    stamp = folder / "node_modules" / ".installed"
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted = hashlib.sha256(file.read() + (folder / "package.json").read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _ci(folder)
            stamp.write_text(wanted)
    return stamp.parent


def _ci(folder: pathlib.Path) -> None:
    done = subprocess.run(
        npm_command("ci", "--ignore-scripts"),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALLED_WITHIN,
        check=False,
    )
    assert done.returncode == 0, f"npm ci in {folder.name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
