"""A project of a running server, as git clients see it."""

from __future__ import annotations

import pathlib
import subprocess
from dataclasses import dataclass

import httpx

from tests.harness.server import ServerProcess
from tests.snapshots.git import ENVIRONMENT


@dataclass
class Hosted:
    """A project of the shared server, as git clients see it."""

    server: ServerProcess
    name: str

    @property
    def bare(self) -> pathlib.Path:
        return self.server.data / "git" / f"{self.name}.git"

    def url(self, token: str | None = None, user: str = "anybody") -> str:
        return f"{self.server.url.replace('://', f'://{user}:{token or self.server.token}@')}/git/{self.name}.git"


def run(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """git, which may have something to complain about."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )


def token(api: httpx.Client, project: str, role: str) -> tuple[str, str]:
    """The secret, and the token's number."""
    made = api.post(f"/projects/{project}/tokens", json={"role": role}).raise_for_status().json()
    return made["token"], made["id"]
