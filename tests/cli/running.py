"""`quire` as people and scripts run it: a process of its own, with its output and its exit status."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.harness.server import QUIRE

WITHIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    out: str
    err: str

    def ok(self) -> Ran:
        assert self.status == 0, self
        return self


def environment(**more: str) -> dict[str, str]:
    """Ours, without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUIRE_")}
    return {**kept, **more}


def quire(
    *arguments: str | pathlib.Path,
    cwd: pathlib.Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ran:
    ran = subprocess.run(
        [str(QUIRE), *map(str, arguments)],
        cwd=cwd,
        env=environment(**(env or {})),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert "Traceback" not in ran.stderr or "--debug" in arguments, ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def git(*arguments: str | pathlib.Path, cwd: pathlib.Path) -> str:
    """Real git, as a person with a name and nobody's configuration."""
    who = {"GIT_AUTHOR_NAME": "Alice", "GIT_AUTHOR_EMAIL": "alice@localhost", "GIT_CONFIG_GLOBAL": os.devnull}
    env = {**environment(), **who, "GIT_COMMITTER_NAME": "Alice", "GIT_COMMITTER_EMAIL": "alice@localhost"}
    return subprocess.run(
        ["git", *map(str, arguments)], cwd=cwd, env=env, check=True, capture_output=True, text=True, timeout=WITHIN
    ).stdout
