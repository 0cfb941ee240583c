"""A GitHub API server in Node (`emulate`), its repositories, and real git as the judge of what they hold.

What it does not have, and `tests/harness/faultproxy.py` adds where a test needs it: 409 for a repository without a commit,
redirects after a rename, what the asker may do in a repository, ETags, secondary limits, truncated listings, push protection, rules. It serves no git protocol:
`copied` brings the objects over through the API, and names each by the SHA that git gives it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import pathlib
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from dulwich.objects import Blob, ObjectID, ShaFile, Tree
from dulwich.repo import Repo

from collab.ids import BlobSha
from snapshots import trees
from snapshots.remotes.base import TreeEntry
from tests.harness.packages import install, node
from tests.snapshots.git import git

HOME: Final = pathlib.Path(__file__).parent.parent / "interop" / "github"

OWNER: Final = "alice"

STARTED_WITHIN: Final = 30.0


class GitHubServer:
    """One server process, shared by the tests of a process; each test makes its own repositories."""

    def __init__(self, url: str, app: str, installation: int, key: str) -> None:
        self.url = url
        self.app, self.installation, self.key = app, installation, key
        self._turns = itertools.cycle(range(50))

    def token(self) -> str:
        return f"token-{next(self._turns)}"

    def make(self, *, begun: bool = False) -> GitHubRepository:
        """A new private repository; `begun`: with a first commit."""
        made = GitHubRepository(self, f"r{secrets.token_hex(5)}", self.token())
        made.post("/user/repos", {"name": made.name, "private": True, "auto_init": begun})
        return made


@contextlib.contextmanager
def github_server() -> Iterator[GitHubServer]:
    install(HOME)
    process = subprocess.Popen(
        [str(node()), str(HOME / "serve.mjs")],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            said = process.stdout.readline()
            assert said.startswith("{"), said + process.stdout.read()
            told = json.loads(said)
            yield GitHubServer(told["url"], told["app"], told["installation"], told["key"])
        finally:
            process.stdin.close()
            process.wait(STARTED_WITHIN)


@dataclass
class GitHubRepository:
    """A repository as somebody else sees and changes it, over the API."""

    server: GitHubServer
    name: str
    token: str

    @property
    def full_name(self) -> str:
        return f"{OWNER}/{self.name}"

    def request(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        answer = httpx.request(method, f"{self.server.url}{path}", headers=headers, json=body, timeout=30)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, tail: str) -> Any:
        return self.request("GET", f"/repos/{self.full_name}{tail}")

    def post(self, path: str, body: object) -> Any:
        return self.request("POST", path, body)

    def rename(self, name: str) -> None:
        self.request("PATCH", f"/repos/{self.full_name}", {"name": name})
        self.name = name

    def head(self, branch: str = "main") -> str:
        found: str = self.get(f"/git/ref/heads/{branch}")["object"]["sha"]
        return found

    def push(self, path: str, content: bytes, *, branch: str = "main") -> str:
        """Somebody else commits one file."""
        url = f"/repos/{self.full_name}/contents/{path}"
        body = {"message": f"Edit {path}\n", "content": base64.b64encode(content).decode(), "branch": branch}
        if branch in [each["name"] for each in self.get("/branches")]:
            tree = self.get(f"/git/trees/{self.head(branch)}?recursive=1")["tree"]
            body.update(("sha", each["sha"]) for each in tree if each["path"] == path)
        made: str = self.request("PUT", url, body)["commit"]["sha"]
        return made

    def reset(self, sha: str, *, branch: str = "main") -> None:
        """Somebody else forces the branch to where he wants it."""
        url = f"/repos/{self.full_name}/git/refs/heads/{branch}"
        self.request("PATCH", url, {"sha": sha, "force": True})

    def copied(self, folder: pathlib.Path, *, branch: str = "main") -> pathlib.Path:
        """A bare repository with all that the branch reaches, each object as git would have made it."""
        if not folder.exists():
            folder.mkdir(parents=True)
            git(folder, "init", "--quiet", "--bare", f"--initial-branch={branch}")
        with (
            Repo(str(folder)) as repo,
            httpx.Client(
                base_url=f"{self.server.url}/repos/{self.full_name}/git",
                headers={"Authorization": f"token {self.token}"},
                timeout=30,
            ) as client,
        ):
            made: dict[str, ShaFile] = {}
            waiting = [("commits", self.head(branch))]
            while waiting:
                kind, sha = waiting.pop()
                if sha in made or ObjectID(sha.encode()) in repo.object_store:
                    continue
                answer = client.get(f"/{kind}/{sha}")
                assert answer.is_success, f"{kind} {sha}: {answer.status_code}"
                made[sha], more = _object(kind, answer.json())
                assert made[sha].id.decode() == sha, f"{kind} {sha} is no object of git"
                waiting.extend(more)
            repo.object_store.add_objects([(each, None) for each in made.values()])
        git(folder, "update-ref", f"refs/heads/{branch}", self.head(branch))
        return folder


def _object(kind: str, body: Any) -> tuple[ShaFile, list[tuple[str, str]]]:
    if kind == "blobs":
        return Blob.from_string(base64.b64decode(body["content"])), []
    if kind == "trees":
        held = {each["path"].encode(): TreeEntry(BlobSha(each["sha"]), int(each["mode"], 8)) for each in body["tree"]}
        kinds = {"tree": "trees", "blob": "blobs"}
        below = [(kinds[each["type"]], each["sha"]) for each in body["tree"] if each["type"] in kinds]
        return Tree.from_string(trees.encode(held)), below
    parents = [each["sha"] for each in body["parents"]]
    lines = [f"tree {body['tree']['sha']}", *(f"parent {each}" for each in parents)]
    lines += [f"{role} {_signature(body[role])}" for role in ("author", "committer")]
    # The server hashes a message as `git commit` would write it, with a line's end, and shows it without.
    message = body["message"] if body["message"].endswith("\n") else f"{body['message']}\n"
    raw = "\n".join(lines) + "\n\n" + message
    made = ShaFile.from_raw_string(1, raw.encode())
    return made, [("trees", body["tree"]["sha"]), *(("commits", each) for each in parents)]


def _signature(who: Any) -> str:
    return f"{who['name']} <{who['email']}> {int(datetime.fromisoformat(who['date']).timestamp())} +0000"
