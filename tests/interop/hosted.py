"""A project of a running server, as git clients see it."""

from __future__ import annotations

import pathlib
import subprocess
from dataclasses import dataclass
from typing import Any

import httpx

from tests.harness.server import ServerProcess
from tests.snapshots.git import ENVIRONMENT, commit_all, git


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


class Clone:
    """Bob's."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def write(self, **files: str | bytes | None) -> str:
        """The commit; `a_md` is a.md, `d__a_md` is d/a.md, None deletes."""
        for name, content in files.items():
            place = self.folder / name.replace("__", "/").replace("_", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.unlink()
            else:
                place.write_bytes(content.encode() if isinstance(content, str) else content)
        return commit_all(self.folder)

    def push(self, *arguments: str) -> str:
        """What git says; it must succeed."""
        done = run(self.folder, "push", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def refused(self, *arguments: str) -> str:
        done = run(self.folder, "push", *arguments)
        assert done.returncode == 1, done.stderr
        return done.stderr

    def pull(self) -> None:
        git(self.folder, "pull", "--quiet", "--no-edit", "--no-rebase")


def files(api: httpx.Client, project: str) -> dict[str, bytes]:
    listed = api.get(f"/projects/{project}/files").raise_for_status().json()
    return {each["path"]: api.get(f"/projects/{project}/files/{each['path']}").content for each in listed}


def put(api: httpx.Client, project: str, path: str, text: str) -> None:
    api.put(f"/projects/{project}/files/{path}?force", content=text.encode()).raise_for_status()


def status(api: httpx.Client, project: str) -> dict[str, Any]:
    return dict(api.get(f"/projects/{project}/status").raise_for_status().json())


def events(api: httpx.Client, project: str, kind: str) -> list[dict[str, Any]]:
    answer = api.get(f"/projects/{project}/events?kind={kind}", headers={"accept": "application/json"})
    return list(answer.raise_for_status().json()["events"])


def snapshot(api: httpx.Client, project: str) -> dict[str, Any]:
    return dict(api.post(f"/projects/{project}/snapshots").raise_for_status().json())


def make(api: httpx.Client, project: str) -> None:
    api.post("/projects", json={"name": project}).raise_for_status()
