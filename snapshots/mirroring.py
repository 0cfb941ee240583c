"""Brings a mirror up to date in a process of its own, through dulwich. ADAPTER.

It says nothing when that is done, else why not, in words.
"""

from __future__ import annotations

import pathlib

import msgspec
from dulwich.client import get_transport_and_path_from_url
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID
from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo
from urllib3.exceptions import HTTPError

from snapshots import child
from snapshots.mirrors import Branch
from snapshots.readers.git import connections, why
from snapshots.remotes.local import init

USER = "x-access-token"
"""What GitHub calls whoever has a token."""


def main() -> None:
    content, answer = child.begin()
    branch = msgspec.msgpack.decode(content, type=Branch)
    answer.write(bring(branch).encode("utf-8", "replace"))
    answer.flush()
    child.end()


def bring(branch: Branch) -> str:
    path = pathlib.Path(branch.path)
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        init(path, branch.branch)
    ref = Ref(f"refs/heads/{branch.branch}".encode())
    store = DiskObjectStore(str(path / "objects"), fsync_object_files=True)
    try:
        with Repo(str(path), object_store=store) as repo:
            client, where = get_transport_and_path_from_url(
                branch.url,
                quiet=True,
                pool_manager=connections(branch.url),
                username=USER if branch.password else None,
                password=branch.password or None,
            )
            found = client.fetch(where, repo, lambda refs, depth=None: [refs[ref]] if ref in refs else [])
    except NotGitRepository:
        return "there is no git repository where the project is connected to, or the credential does not reach it"
    except (HTTPError, GitProtocolError, HangupException, OSError) as error:
        return f"the repository could not be fetched: {why(error)}"
    sha = found.refs.get(ref)
    if sha is None:
        return f"the branch {branch.branch} is not there any more"
    DiskRefsContainer(str(path))[ref] = ObjectID(sha)
    return ""
